"""Sphinx extension of the book: what its pages need beyond what Jupyter Book does.

Drawings are put into the pages themselves, so that their text is text, and follows the light and the dark theme; the
files that a figure offers, and the charting library if a page uses it, are put beside the pages.

Sphinx reads and writes only pages whose files have changed. What else changes a page is said here, so that a book that
was built before becomes the one that is built from nothing.
"""

import hashlib
import re
import shutil
from collections.abc import Container, Iterable
from copy import deepcopy
from importlib.metadata import distribution
from pathlib import Path

from sphinx.application import Sphinx
from sphinx.config import Config
from sphinx.environment import BuildEnvironment

from paper_code.book.build import installed_packages
from paper_code.book.terms import define_terms
from paper_code.chapters.shared.vega import vega_bundle
from paper_code.runs.machine import commit

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
    app.connect("html-page-context", drop_thebe, priority=900)
    app.connect("build-finished", add_files)
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
    """The hash of what every page depends on: this file, the styles and scripts, and the installed versions."""
    found = hashlib.sha256(repr(installed_packages()).encode())
    for path in (Path(__file__), *sorted(path for path in static.rglob("*") if path.is_file())):
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
    """Also write the other pages if titles, numbers or places changed that they may show or link to."""
    titles = {name: title.astext() for name, title in env.titles.items()}
    names = deepcopy([titles, env.toctree_includes, env.toc_fignumbers, env.get_domain("std").data])
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


def inline_svg(text: str) -> str:
    """The <svg> element alone, as wide as its place allows, its text and lines in the colour of the page's text."""
    svg = re.sub(r"<metadata>.*?</metadata>", "", text[text.index("<svg") :], flags=re.DOTALL)
    head, rest = svg.split(">", 1)
    svg = re.sub(r'\s(width|height)="[^"]*"', "", head) + ">" + rest
    return re.sub("|".join(THEMED), lambda color: THEMED[color[0]], svg)


def mend_lists(app: Sphinx, page: str, template: str, context: dict, doctree) -> None:
    """Take the role of a list from the references, whose entries have another role than that of a list's items."""
    if "body" in context:
        context["body"] = context["body"].replace(
            '<div role="list" class="citation-list">', '<div class="citation-list">'
        )


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
    icons = pages / "_static" / "scripts" / "fontawesome.js"
    used = set(re.findall(r"\bfa-([a-z0-9-]+)", written))
    icons.write_text(without_unused_icons(icons.read_text(encoding="utf-8"), used), encoding="utf-8")


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


ICON = re.compile(r'(?<=[{,])"?([a-z0-9-]+)"?:\[\d+,\d+,\[([^\]]*)\],"[0-9a-f]+",(?:"[^"]*"|\[[^\]]*\])\],?')


def without_unused_icons(script: str, used: Container[str]) -> str:
    """Font Awesome's script without the icons that no page uses, by name or alias: half of what a page weighs."""

    def kept(icon: re.Match) -> str:
        return icon[0] if any(name in used for name in (icon[1], *re.findall(r"[a-z0-9-]+", icon[2]))) else ""

    return ICON.sub(kept, script)
