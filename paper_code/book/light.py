"""What the built pages load, made light: one style sheet, one script and the glyphs of two fonts, each of what is used.

Sphinx's theme loads a dozen style sheets, twenty scripts and whole fonts on every page. They are left beside the pages,
for Sphinx compares them with its own when it builds again; no page asks for them.
"""

import base64
import re
from collections.abc import Iterable
from io import BytesIO
from pathlib import Path

import lightningcss
from fontTools.subset import Options, Subsetter
from fontTools.ttLib import TTFont

STYLES = ["basic", "styles/pydata-sphinx-theme", "pygments", "styles/sphinx-book-theme", "copybutton", "mystnb.*"]
STYLES += ["proof", "sphinx-design.min"]
OWN_STYLES = ["book", "try_it", "interactive"]
"""In the order of the theme, without their ending, below `_static/`."""
SCRIPTS = ["documentation_options", "doctools", "sphinx_highlight", "clipboard.min", "copybutton"]
SCRIPTS += ["scripts/sphinx-book-theme", "scripts/pydata-sphinx-theme", "search", "interactive"]
"""Not those of Bootstrap, tabs and toggle buttons, which no page has, nor Font Awesome's, whose font is enough."""
ADDED_BY_SCRIPTS = {
    "active",
    "body",
    "context",
    "copybtn",
    "hide",
    "highlight-link",
    "highlighted",
    "noprint",
    "search",
}
ADDED_BY_SCRIPTS |= {"o-tooltip--left", "pst-sidebar-hidden", "scrolled", "search-summary", "special", "success"}
"""Classes that a page gets in use."""
SEARCH = ["_static/searchtools.js", "_static/language_data.js", "searchindex.js"]
ICONS = "vendor/fontawesome/webfonts/fa-solid-900.ttf"
ICON_FACE = '@font-face{{font-family:"Font Awesome 6 Free";font-weight:900;src:url(data:font/woff;base64,{})}}'


def lighten_pages(pages: Path) -> None:
    """Make the style sheet, the script and the fonts of the book in `pages`, and have its pages ask for them alone."""
    static, texts = pages / "_static", {path: path.read_text(encoding="utf-8") for path in pages.glob("*.html")}
    script = ";\n".join(read(static, SCRIPTS, ".js"))
    used = words_of_attributes("".join(texts.values())) | ADDED_BY_SCRIPTS
    own = "\n".join(read(static, OWN_STYLES, ".css"))
    style = pruned("\n".join([*read(static, STYLES, ".css"), own]), used | set(NAME.findall(own)))
    icons = woff(static / ICONS, set(re.findall("[\ue000-\uf8ff]", style)))
    (static / "style.css").write_text(style + ICON_FACE.format(base64.b64encode(icons).decode()), encoding="utf-8")
    (static / "script.js").write_text(script, encoding="utf-8")
    equations = "".join(equation for text in texts.values() for equation in re.findall("<math.*?</math>", text))
    (static / "equations.woff").write_bytes(woff(static / "math.woff", set(equations)))
    for path, text in texts.items():
        path.write_text(lightened(text, SEARCH if path.stem == "search" else []), encoding="utf-8")


def read(static: Path, names: Iterable[str], ending: str) -> list[str]:
    """The texts of the files, a name of which may be a pattern; FileNotFoundError names those that are not there."""
    found = {name: sorted(static.glob(name + ending)) for name in names}
    if missing := [name + ending for name, paths in found.items() if not paths]:
        raise FileNotFoundError(
            f"{static} lacks {', '.join(missing)}: has the theme renamed it? See STYLES and SCRIPTS"
        )
    return [paths[0].read_text(encoding="utf-8") for paths in found.values()]


def words_of_attributes(html: str) -> set[str]:
    """The classes and ids of pages."""
    return {word for value in re.findall(r'\b(?:class|id)="([^"]*)"', html) for word in value.split()}


NAME = re.compile(r"[.#](-?[A-Za-z_][\w-]*)")


def pruned(style: str, used: set[str]) -> str:
    """The style sheet, minified, without unused classes, ids and variables, and without the icon fonts."""
    style = lightningcss.process_stylesheet(style, unused_symbols=set(NAME.findall(style)) - used)
    return without_unused_variables(re.sub(r"@font-face\{[^}]*Font Awesome[^}]*\}", "", style))


VARIABLE = re.compile(
    r"""(--[\w-]+):(?:[^;{}"'()]|\((?:[^;{}"'()]|\([^;{}"'()]*\))*\))*(?:;|(?=\}))"""
)  # of simple values


def without_unused_variables(style: str) -> str:
    used = set(re.findall(r"var\((--[\w-]+)", style))
    kept = VARIABLE.sub(lambda variable: variable[0] if variable[1] in used else "", style)
    return kept if kept == style else without_unused_variables(kept)  # one may be used by an unused one alone


def woff(path: Path, characters: set[str]) -> bytes:
    """The font with the glyphs of these characters alone, those that it has."""
    font = TTFont(path)
    subsetter = Subsetter(Options(layout_features=["ssty"], hinting=False, flavor="woff"))
    subsetter.populate(text="".join(characters))
    subsetter.subset(font)
    font.flavor = "woff"
    file = BytesIO()
    font.save(file)
    return file.getvalue()


THEME = """<script data-cfasync="false">
{ const { dataset } = document.documentElement, dark = matchMedia("(prefers-color-scheme: dark)").matches;
  dataset.mode = localStorage.getItem("mode") ?? "auto";
  dataset.theme = dataset.mode === "auto" ? (dark ? "dark" : "light") : dataset.mode; }
</script>"""
"""The theme's script finds the colours when the page is there, so that it would be drawn twice."""
STYLE_LINK = re.compile(r'\s*<link\b[^>]*\brel="stylesheet"[^>]*>')
SCRIPT = re.compile(r'\s*<script\b.*?</script>|\s*<link rel="preload" as="script"[^>]*>', re.S)
BODY_SCRIPT = re.compile(
    r"\s*<script\b[^>]*(?:defer |x-thebe)[^>]*>.*?</script>|\s*<script>kernelName.*?</script>", re.S
)
TABLE = re.compile(r"\n?</(?:td|th|tr)>|\n(?=<(?:td|th|tr|tbody)\b)")  # HTML may leave out where cells and rows end
AS_WRITTEN = re.compile(r"(<pre\b.*?</pre>|<script\b.*?</script>)", re.S)


def lightened(page: str, scripts: Iterable[str] = ()) -> str:
    """The page with one style sheet, one script and further `scripts`, without indentation; twice is as once."""
    head, body = STYLE_LINK.sub("", page).split("</head>", 1)
    head = SCRIPT.sub("", head).replace(' data-theme="auto"', "").rstrip()
    links = [THEME, '<link rel="stylesheet" href="_static/style.css">']
    links += [f'<script defer src="{name}"></script>' for name in ("_static/script.js", *scripts)]
    parts = AS_WRITTEN.split("\n".join([head, *links, "</head>"]) + BODY_SCRIPT.sub("", body))
    parts[::2] = [TABLE.sub("", re.sub(r"\s*\n\s*", "\n", part)) for part in parts[::2]]
    return "".join(parts)
