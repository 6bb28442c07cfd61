"""Sphinx extension of the book: what its pages need beyond what Jupyter Book does.

Drawings and equations are put into the pages themselves, so that their text is text, and follows the light and the dark
theme; the files that a figure offers, and the charting library if a page uses it, are put beside the pages.

Sphinx reads and writes only pages whose files have changed. What else changes a page is said here, so that a book that
was built before becomes the one that is built from nothing.
"""

import hashlib
import json
import re
import shutil
from collections.abc import Iterable
from copy import deepcopy
from html import escape, unescape
from importlib.metadata import distribution
from pathlib import Path
from textwrap import shorten
from urllib.parse import urljoin

from docutils import nodes
from math_core import LatexError, LatexToMathML
from sphinx.application import Sphinx
from sphinx.config import Config
from sphinx.environment import BuildEnvironment
from sphinx.util import logging
from sphinx.writers.html5 import HTML5Translator

from paper_code.book import light
from paper_code.book.build import installed_packages
from paper_code.book.metadata import TABLES, citation, codemeta, croissant
from paper_code.book.terms import define_terms, definitions
from paper_code.chapters.shared.vega import vega_bundle
from paper_code.runs.machine import commit
from paper_code.runs.profiles import project_path

IMAGE = re.compile(r'<img\b[^>]*?\bsrc="([^"]+\.svg)"[^>]*>')


def setup(app: Sphinx) -> dict:
    app.add_config_value("rendered_by", rendered_by(Path(app.srcdir, "_static")), "env")
    app.connect("config-inited", name_commit)
    app.connect("config-inited", drop_launchers_without_a_place)
    app.connect("env-before-read-docs", read_users_of_values)
    app.connect("env-get-updated", write_all_if_names_changed, priority=900)  # after the figures have their numbers
    app.connect("html-page-context", inline_drawings)
    app.connect("html-page-context", define_terms)
    app.connect("html-page-context", mend_lists)
    app.connect("html-page-context", describe)
    app.connect("html-page-context", flatten_buttons, priority=900)
    app.connect("html-page-context", name_folds, priority=900)
    app.add_html_math_renderer("mathml", (write_inline_equation, None), (write_equation, None))
    app.connect("html-page-context", drop_thebe, priority=900)
    app.connect("build-finished", add_files, priority=900)  # after the theme has written its colours of code
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def name_commit(app: Sphinx, config: Config) -> None:
    """Say at the foot of every page which commit the book was built from."""
    built = commit()
    text = f"Built from commit {built['commit'][:10]}" if built["commit"] else "Built outside of a checkout"
    config.html_theme_options["extra_footer"] = f"<p>{text}{' with changes' * bool(built['modified'])}.</p>"


def drop_launchers_without_a_place(app: Sphinx, config: Config) -> None:
    """Offer Binder and Colab only where `_config.yml` says from which repository they could launch a notebook."""
    options = config.html_theme_options
    if not options.get("repository_url"):
        for name in ("binderhub_url", "colab_url"):
            options.get("launch_buttons", {}).pop(name, None)


def rendered_by(static: Path) -> str:
    """The hash of what every page depends on: this package, the styles and scripts, and the installed versions."""
    found = hashlib.sha256(repr(installed_packages()).encode())
    own = sorted(Path(__file__).parent.glob("*.py"))
    for path in (*own, *sorted(path for path in static.rglob("*") if path.is_file())):
        found.update(path.read_bytes())
    return found.hexdigest()


VALUE = re.compile(r"`([\w-]+)\.ipynb::")


def read_users_of_values(app: Sphinx, env: BuildEnvironment, docnames: list[str]) -> None:
    """Also read the pages that show values of notebooks which are read, for the values may have changed."""
    for name in sorted(env.found_docs - {*docnames}):
        shown = VALUE.findall(Path(env.doc2path(name)).read_text(encoding="utf-8"))
        if not set(docnames).isdisjoint(shown):
            docnames.append(name)


def write_all_if_names_changed(app: Sphinx, env: BuildEnvironment) -> Iterable[str]:
    """Also write the other pages if titles, numbers, places or definitions changed that they may show or link to."""
    titles = {name: title.astext() for name, title in env.titles.items()}
    env.definitions = definitions(env)
    names = deepcopy([titles, env.toctree_includes, env.toc_fignumbers, env.get_domain("std").data, env.definitions])
    before, env.names_before = getattr(env, "names_before", None), names
    return [] if names == before else env.found_docs


def inline_drawings(app: Sphinx, page: str, template: str, context: dict, doctree) -> None:
    """Put the SVG in place of every image that shows one."""
    sources = {name: Path(app.srcdir, source) for source, name in app.builder.images.items()}

    def drawing(image: re.Match) -> str:
        source = sources.get(Path(image[1]).name)
        return inline_svg(source.read_text(encoding="utf-8")) if source else image[0]

    if "body" in context:
        context["body"] = IMAGE.sub(drawing, context["body"])


# a drawing's colour -> the page's, which depends on its theme
THEMED = {"#262626": "currentColor", "#1a1a1a": "currentColor", "#ffffff": "var(--pst-color-background, #ffffff)"}

# the font of every text, which book.css says once, and a turn by nothing
NOT_NEEDED = r"""font-family: 'DejaVu Sans', 'Verdana', sans-serif;? ?| transform="rotate\(-0 [\d. ]+\)\""""
COMMAND = re.compile(r"\s*([A-Za-z])\s*")  # of a path


def inline_svg(text: str) -> str:
    """The <svg> element alone, as wide as its place allows, its text and lines in the colour of the page's text.

    Coordinates keep two decimals, a sixtieth of a pixel at the figure's full width.
    """
    svg = re.sub(r"<metadata>.*?</metadata>", "", text[text.index("<svg") :], flags=re.DOTALL)
    head, rest = svg.split(">", 1)
    svg = re.sub(r'\s(width|height)="[^"]*"', "", head) + ">" + rest
    svg = re.sub("|".join(THEMED), lambda color: THEMED[color[0]], svg)
    svg = re.sub(NOT_NEEDED, "", svg)
    svg = re.sub(r' style="[^"]*"', lambda style: re.sub("([;:]) ", r"\1", style[0]), svg)
    svg = re.sub(r' (d|x|y|width|height)="[^"]*"', lambda lengths: re.sub(r"(\.\d\d)\d+", r"\1", lengths[0]), svg)
    svg = re.sub(r' d="[^"]*"', lambda path: path[0][:4] + COMMAND.sub(r"\1", path[0][4:]), svg)
    named = set(re.findall(r"#([\w-]+)", svg))
    return re.sub(r' id="([^"]*)"', lambda place: place[0] if place[1] in named else "", svg)


def mend_lists(app: Sphinx, page: str, template: str, context: dict, doctree) -> None:
    """Take the role of a list from the references, whose entries have another role than that of a list's items."""
    if "body" in context:
        context["body"] = context["body"].replace(
            '<div role="list" class="citation-list">', '<div class="citation-list">'
        )


LONGEST_DESCRIPTION = 300  # characters
PREVIEW = "figures/fig02_information_abundance.png"
"""The picture that stands for a page without a figure of its own."""


def describe(app: Sphinx, page: str, template: str, context: dict, doctree: nodes.document | None) -> None:
    """Give the page what search engines and previews of a link show of it: a description, which is its first paragraph
    without an equation, or the book's title; its own title; and its first figure.

    The picture's address has a host only where `_config.yml` says where the book is published.
    """
    paragraphs = doctree.findall(nodes.paragraph) if doctree else []
    running = (paragraph for paragraph in paragraphs if isinstance(paragraph.parent, nodes.section | nodes.Admonition))
    texts = (paragraph.astext() for paragraph in running if not paragraph.next_node(nodes.math))
    text = next(texts, app.config.html_title)
    text = escape(shorten(text, LONGEST_DESCRIPTION, placeholder=" …"))
    title = escape(unescape(re.sub("<[^>]*>", "", context.get("title") or app.config.html_title)))
    picture = next(iter(re.findall(r'href="(figures/\w+\.png)"', context.get("body", ""))), PREVIEW)
    preview = {
        "title": title,
        "description": text,
        "type": "article",
        "image": urljoin(app.config.html_baseurl, picture),
    }
    tags = [f'<meta property="og:{name}" content="{value}">' for name, value in preview.items()]
    described = f'<meta name="description" content="{text}">'
    context["metatags"] = "".join([context.get("metatags", ""), described, *tags])


def flatten_buttons(app: Sphinx, page: str, template: str, context: dict, doctree) -> None:
    """Put the buttons for download beside the others: a menu of them would need Bootstrap's script."""
    buttons = [button for entry in context.get("header_buttons", []) for button in entry.get("buttons", [entry])]
    context["header_buttons"] = [button | {"text": None, "classes": "pst-navbar-icon"} for button in buttons]


def name_folds(app: Sphinx, page: str, template: str, context: dict, doctree) -> None:
    """Give a name to what unfolds a part of the table of contents: the theme's arrow has none."""
    contents, named = context["generate_toctree_html"], '<summary aria-label="pages below">'
    context["generate_toctree_html"] = lambda *args, **options: str(contents(*args, **options)).replace(
        "<summary>", named
    )


TO_MATHML = LatexToMathML(fancy_error=False)


def mathml(node: nodes.math | nodes.math_block, displaystyle: bool) -> str:
    """The equation as MathML Core, which browsers set themselves; a warning if it is not understood."""
    try:
        return TO_MATHML.convert_with_local_state(node.astext(), displaystyle=displaystyle)
    except LatexError as error:
        logging.getLogger(__name__).warning("no MathML for the equation %r: %s", node.astext(), error, location=node)
        return f"<code>{escape(node.astext())}</code>"


def write_inline_equation(writer: HTML5Translator, node: nodes.math) -> None:
    writer.body.append(f'<span class="math">{mathml(node, displaystyle=False)}</span>')
    raise nodes.SkipNode


def write_equation(writer: HTML5Translator, node: nodes.math_block) -> None:
    opening = writer.starttag(node, "div", CLASS="math", tabindex="0")  # so that a wide one scrolls by keyboard
    writer.body.append(f"{opening}{mathml(node, displaystyle=True)}</div>")
    raise nodes.SkipNode


def drop_thebe(app: Sphinx, page: str, template: str, context: dict, doctree) -> None:
    """Leave out the launcher of live code that Jupyter Book puts on every page; it names another host."""
    for kind in ("script_files", "css_files"):
        context[kind] = [file for file in context.get(kind, []) if not is_of_thebe(file)]


def is_of_thebe(file) -> bool:
    return "thebe" in f"{getattr(file, 'filename', file)} {getattr(file, 'attributes', '')}".lower()


def add_files(app: Sphinx, error: Exception | None) -> None:
    """Copy the figures with their numbers beside the pages, and the charting library if a page has a chart."""
    if error or app.builder.format != "html":
        return
    pages, figures = Path(app.outdir), Path(app.srcdir).parent / "figures"
    for source in (path for pattern in ("*.svg", "*.png", "data/*.csv") for path in figures.glob(pattern)):
        target = pages / "figures" / source.relative_to(figures)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)
    written = "".join(page.read_text(encoding="utf-8") for page in pages.glob("*.html"))
    if 'class="interactive-chart"' in written:
        (pages / "_static" / "vega.js").write_text(vega_bundle(), encoding="utf-8")
    (pages / "_static" / "packages.LICENSE.txt").write_text(licences(), encoding="utf-8")
    url = app.config.html_theme_options.get("repository_url") or citation()["references"][0]["url"]
    for name in TABLES:
        if not (table := pages / "figures" / "data" / f"{name}.csv").exists():
            shutil.copyfile(project_path(f"figures/data/{name}.csv"), table)
    for name, described in {"croissant": croissant(pages / "figures", url), "codemeta": codemeta(url)}.items():
        (pages / "_static" / f"{name}.json").write_text(json.dumps(described, indent=1) + "\n", encoding="utf-8")
    light.lighten_pages(pages)


BUNDLED = (
    *("Sphinx", "pydata-sphinx-theme", "sphinx-book-theme", "sphinx-copybutton", "sphinx-design"),
    *("sphinx-togglebutton", "sphinx-proof", "sphinx-thebe", "myst-nb"),
)
"""Packages whose scripts and styles the pages contain, beside those whose licences are files of `book/_static`."""


def licences() -> str:
    """The licences of the `BUNDLED` packages, as these state them. Raises ValueError for one that states none."""
    parts = []
    for name in BUNDLED:
        package = distribution(name)
        texts = [file.read_text() for file in package.files or () if re.fullmatch(r"LICEN[CS]E(\.\w+)?", file.name)]
        if not texts:
            raise ValueError(f"{name} {package.version}: no file LICENSE in the installed package")
        parts.append("\n\n".join([f"{name} {package.version}", *texts]))
    return f"\n\n{80 * '-'}\n\n".join(parts) + "\n"
