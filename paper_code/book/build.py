"""Build-time work of the book: execute its notebooks with papermill, and make a PDF and an archive of its pages."""

import argparse
import ast
import filecmp
import hashlib
import json
import os
import re
import shutil
import sys
import time
import zipfile
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import date
from importlib.metadata import distributions
from multiprocessing.pool import ThreadPool
from pathlib import Path
from typing import TYPE_CHECKING

import nbformat
from IPython.core.inputtransformer2 import TransformerManager
from jupyter_core.utils import ensure_event_loop
from tqdm import tqdm

from paper_code.book.environment import ACTIONS
from paper_code.book.release import NAME, release
from paper_code.runs.machine import processor
from paper_code.runs.profiles import NEW_RESULTS, project_path

if TYPE_CHECKING:
    from playwright.sync_api import Browser


BOOK_FOLDER = project_path("book")
PACKAGE = project_path("paper_code")
DATA = (project_path("figures/data"), NEW_RESULTS)
"""Folders of files that notebooks read, beside the results folder that they are given."""
AT_ONCE = 2
"""Notebooks that are executed at the same time."""
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
BESIDE = Path(__file__).parent
"""Where the script and the style of the printed book are."""
FOOTER = '<div style="width: 100%; text-align: center; font-size: 8px"><span class="pageNumber"></span></div>'


def execute_book(
    folder: str | Path, notebooks: Sequence[str] | None = None, *, anew: bool = False, **parameters
) -> dict[Path, float]:
    """Copy the book's pages to `folder` and execute the notebooks there, each from its committed source.

    A notebook that was executed there before is left as it is unless something has changed that decides its outputs,
    see `fingerprints`.
    notebooks: by their names; None: all. anew: execute all of these. parameters: given to every notebook; none: its
    defaults. Returns the notebooks that were executed, each with the seconds that it took. A notebook that fails raises
    papermill's PapermillExecutionError, which shows the cell.
    """
    folder = Path(folder)
    pages = shutil.ignore_patterns("*.ipynb", ".*")
    shutil.copytree(BOOK_FOLDER, folder, dirs_exist_ok=True, ignore=pages, copy_function=copy_if_changed)
    sources = [path for path in sorted(BOOK_FOLDER.glob("*.ipynb")) if notebooks is None or path.stem in notebooks]
    wanted, seconds = fingerprints(sources, **parameters), {}

    def execute(source: Path) -> Path:
        stamp, started = stamp_of(folder / source.name), time.perf_counter()
        stamp.unlink(missing_ok=True)
        execute_notebook(source, folder / source.name, parameters)
        stamp.write_text(wanted[source], encoding="utf-8")
        seconds[folder / source.name] = time.perf_counter() - started
        return source

    outdated = [path for path in sources if anew or not has_stamp(folder / path.name, wanted[path])]
    with ThreadPool(AT_ONCE) as pool, tqdm(total=len(outdated), unit="notebook") as bar:
        for source in pool.imap_unordered(execute, outdated):
            bar.set_postfix_str(source.name)
            bar.update()
    return {path: seconds[path] for path in sorted(seconds)}


def copy_if_changed(source: str, target: str) -> None:
    """Sphinx reads a page again whose file is newer."""
    if not (os.path.exists(target) and filecmp.cmp(source, target, shallow=False)):
        shutil.copyfile(source, target)


def execute_notebook(source: Path, target: Path, parameters: dict) -> None:
    import papermill  # here, for it takes a second to import

    try:
        papermill.execute_notebook(source, target, parameters, progress_bar=False, extra_arguments=["--log-level=40"])
    finally:
        ensure_event_loop().close()  # this thread's, which papermill leaves open
    strip_times(target)


def stamp_of(notebook: Path) -> Path:
    """The file that holds the fingerprint of an executed notebook."""
    return notebook.with_name(f".{notebook.stem}.executed")


def has_stamp(notebook: Path, fingerprint: str) -> bool:
    stamp = stamp_of(notebook)
    return notebook.exists() and stamp.exists() and stamp.read_text(encoding="utf-8") == fingerprint


def fingerprints(notebooks: Sequence[Path], **parameters) -> dict[Path, str]:
    """The hash of all that decides a notebook's outputs, for each.

    That is the notebook without its outputs; what the package defines under the names that its code uses, under those
    that these definitions use, and so on; and for all notebooks alike what else the package executes when it is
    imported, its files that are not code, the records and the other data, the parameters, and the installed versions.
    """
    alike = [installed_packages(), sys.version, parameters]
    common = hashlib.sha256(json.dumps(alike, default=str, sort_keys=True).encode())
    results = [project_path(parameters["results_dir"])] if "results_dir" in parameters else []
    for folder in (*DATA, *results, PACKAGE):
        for path in sorted(path for path in folder.rglob("[!.]*") if path.suffix not in (".py", ".pyc")):
            if path.is_file():
                common.update(f"{path.relative_to(folder)}\n".encode() + hashlib.sha256(path.read_bytes()).digest())
    defined, found = definitions(PACKAGE), {}
    for path in notebooks:
        notebook = json.loads(path.read_text(encoding="utf-8"))
        cells = [(cell["cell_type"], "".join(cell["source"]), cell["metadata"]) for cell in notebook["cells"]]
        code = [TransformerManager().transform_cell(text) for kind, text, _ in cells if kind == "code"]
        content = common.copy()
        content.update(json.dumps([cells, notebook["metadata"]], sort_keys=True).encode())
        for name in reached(names_in(ast.parse("\n".join(code))), defined):
            content.update("\n".join([name, *(text for text, _ in defined[name])]).encode())
        found[path] = content.hexdigest()
    return found


def installed_packages() -> list[str]:
    """Each with its version."""
    return sorted(f"{package.name} {package.version}" for package in distributions())


Definitions = dict[str, list[tuple[str, set[str]]]]
"""Name -> its definitions: their text, and the names that they use."""


def definitions(package: Path) -> Definitions:
    """What stands at the top level of the package's modules; under the empty name what defines none, and a chapter's
    figures each under its own.

    Names of all modules are one: where two modules define the same, or an attribute is called as a function is, a
    notebook depends on more than it uses, never on less.
    """
    found = defaultdict(list)
    for path in sorted(package.rglob("*.py")):
        text = path.read_text(encoding="utf-8")
        lines = text.split("\n")
        for statement in ast.parse(text).body:
            if isinstance(statement, ast.Assign) and ast.unparse(statement.targets[0]) == "FIGURES":
                for name, drawing in zip(statement.value.keys, statement.value.values, strict=True):
                    found[f"figure {name.value}"].append((ast.unparse(drawing), names_in(drawing)))
                continue
            first = min([statement, *getattr(statement, "decorator_list", [])], key=lambda node: node.lineno).lineno
            for name in defined_names(statement):
                found[name].append(("\n".join(lines[first - 1 : statement.end_lineno]), names_in(statement)))
    return found


def defined_names(statement: ast.stmt) -> set[str]:
    """The names that a statement defines, the empty one if it does something else."""
    match statement:
        case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
            return {name}
        case ast.Import(names=names) | ast.ImportFrom(names=names):
            return {alias.asname for alias in names if alias.asname}
        case ast.Expr(value=ast.Constant()):
            return set()  # a docstring
        case ast.Assign() | ast.AnnAssign() | ast.AugAssign():
            names = (node for node in ast.walk(statement) if isinstance(node, ast.Name))
            return {node.id for node in names if isinstance(node.ctx, ast.Store)} or {""}
    return {""}


def names_in(code: ast.AST) -> set[str]:
    """The names that code may mean something by: also those of attributes, and strings that could be one."""
    found = set()
    for node in ast.walk(code):
        match node:
            case ast.Name(id=name) | ast.Attribute(attr=name):
                found.add(name)
            case ast.alias(name=name, asname=str()):
                found.add(name.split(".")[-1])
            case ast.Constant(value=str(name)) if name.isidentifier():
                found.add(name)
            case ast.Call(func=ast.Attribute(attr="figure"), args=[ast.Constant(value=name), *_]):
                found.add(f"figure {name}")
    return found


def reached(names: Iterable[str], defined: Definitions) -> list[str]:
    """The names that are defined, and the defined ones that their definitions use, in order."""
    found, waiting = set(), ["", *names]
    while waiting:
        name = waiting.pop()
        if name in defined and name not in found:
            found.add(name)
            waiting.extend(other for _, used in defined[name] for other in used)
    return sorted(found)


def strip_times(path: Path) -> None:
    """Remove what papermill and the kernel note about one execution: times, paths and versions."""
    notebook = nbformat.read(path, as_version=4)
    for part in (notebook, *notebook.cells):
        for key in ("papermill", "execution"):
            part.metadata.pop(key, None)
    notebook.metadata["language_info"] = {"name": "python"}
    for cell in notebook.cells:  # papermill adds an empty list of tags to every cell
        if cell.metadata.get("tags") == []:
            del cell.metadata["tags"]
    nbformat.write(notebook, path)


def refresh_committed() -> None:
    """Execute the notebooks at their defaults; put their outputs into `book/`, and their figures into `figures/`, with
    how long each notebook took, which the page of environments shows."""
    import pandas as pd

    from paper_code.chapters.shared.tables import store_spectra
    from paper_code.runs.reading import run_store

    store_spectra(run_store().records())
    executed, figures = execute_book(project_path("_build/book"), anew=True), project_path("figures")
    rows = [(path.stem, f"{seconds:.1f}", processor(), date.today()) for path, seconds in executed.items()]
    times = pd.DataFrame(rows, columns=["notebook", "seconds", "hardware", "date"])
    times.to_csv(figures / "data" / "notebooks.csv", index=False)
    executed |= execute_book(project_path("_build/book"), ["runs"])
    for notebook in executed:
        shutil.copy(notebook, BOOK_FOLDER / notebook.name)
    shutil.copytree(project_path("_build/figures"), figures, dirs_exist_ok=True)


def find_browser() -> str | None:
    """The path of the browser that the environment variable CHROMIUM names, else of the first known one on PATH."""
    named = os.environ.get("CHROMIUM")
    return next(filter(None, map(shutil.which, [named] if named else BROWSERS)), None)


@contextmanager
def open_browser() -> Iterator["Browser"]:
    """A headless Chromium, until the block ends; FileNotFoundError where none is found."""
    from playwright.sync_api import sync_playwright  # of the extra `test`; the notebooks do without

    path = find_browser()
    if path is None:
        raise FileNotFoundError(
            f"no browser found: none of {', '.join(BROWSERS)} is on PATH. On Debian, install chromium by "
            f"`apt-get install chromium`; a browser elsewhere can be named by the environment variable CHROMIUM"
        )
    options = {"executable_path": path, "args": ["--no-sandbox"]}  # root, as in a container, has none; our own pages
    with sync_playwright() as playwright, playwright.chromium.launch(**options) as browser:
        yield browser


def print_book(html: str | Path, target: str | Path) -> None:
    """Write the built pages, in the order of their table of contents, to one PDF with links between the chapters; the
    same pages and the same browser give the same bytes.

    html: the folder of the built book. The text and the numbers of figures are those of the pages. Code is left out,
    static figures stand for interactive ones, and everything else that is folded is open. FileNotFoundError: there is
    no built book, or no browser.
    """
    html = built_book(html)
    with open_browser() as browser:
        page = browser.new_page(color_scheme="light")
        page.goto((html / "index.html").as_uri())
        links = page.eval_on_selector_all("nav.bd-links a.internal", "links => links.map(a => a.getAttribute('href'))")
        names = ["index", *(Path(link).stem for link in links)]
        page.emulate_media(media="print", color_scheme="light")
        page.add_style_tag(path=BESIDE / "print.css")
        page.evaluate(
            (BESIDE / "one_page.js").read_text(encoding="utf-8"),
            [(name, (html / f"{name}.html").read_text(encoding="utf-8")) for name in names],
        )
        page.pdf(
            path=target,
            prefer_css_page_size=True,
            print_background=True,
            display_header_footer=True,
            header_template="<span></span>",
            footer_template=FOOTER,
            outline=True,
            tagged=True,
        )
    undate(Path(target))


PDF_DATE = re.compile(rb"(?<=Date \(D:)\d{14}[+-]\d\d'\d\d'(?=\))")


def undate(pdf: Path) -> None:
    """Date the PDF 1980, as the entries of the archive; its length stays, and so do the places in its table."""
    content = pdf.read_bytes()
    head, rest = content[:1000], content[1000:]  # the browser writes its dates first
    pdf.write_bytes(PDF_DATE.sub(b"19800101000000+00'00'", head) + rest)


def archive_book(html: str | Path, target: str | Path) -> None:
    """Write the built pages to a zip of one folder; the same pages give the same bytes.

    html: the folder of the built book. FileNotFoundError: there is none.
    """
    html = built_book(html)
    with zipfile.ZipFile(target, "w") as archive:
        for path in sorted(path for path in html.rglob("*") if path.is_file() and path.name != ".buildinfo"):
            entry = zipfile.ZipInfo(f"{NAME}/{path.relative_to(html).as_posix()}")  # dated 1980, as every ZipInfo
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, path.read_bytes(), zipfile.ZIP_DEFLATED)


def built_book(html: str | Path) -> Path:
    """The folder, as an absolute path; FileNotFoundError if it holds no built book."""
    html = Path(html).resolve()
    if not (html / "index.html").exists():
        raise FileNotFoundError(f"no built book in {html}: `make book` builds it")
    return html


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m paper_code.book", description=__doc__)
    actions = parser.add_subparsers(dest="action", required=True)
    for action, what in ACTIONS.items():  # done before this is imported, as they need nothing installed
        actions.add_parser(action, help=what.__doc__.partition("\n")[0])
    actions.add_parser("execute", help="execute the notebooks below _build/ only")
    actions.add_parser("refresh", help="execute the notebooks and refresh the committed outputs")
    for action, what, ending in (("pdf", "one PDF", "pdf"), ("archive", "a zip", "zip")):
        command = actions.add_parser(action, help=f"make {what} of the built book")
        command.add_argument("--html", default=project_path("_build/html"), help="folder of the built book")
        command.add_argument("--to", default=project_path(f"_build/{NAME}.{ending}"), help="the file to write")
    command = actions.add_parser("release", help="make all files of a release, of the commit and the built book")
    command.add_argument("--to", type=Path, default=project_path("_build/release"), help="the folder to write")
    command.add_argument("--builder", default=sys.executable, help="a Python that has the package `build`")
    options = parser.parse_args()
    if options.action == "execute":
        execute_book(project_path("_build/book"))
    elif options.action == "refresh":
        refresh_committed()
    else:
        what, make = {
            "pdf": ("book", lambda: print_book(options.html, options.to)),
            "archive": ("book", lambda: archive_book(options.html, options.to)),
            "release": ("release", lambda: release(options.to, project_path("_build"), options.builder)),
        }[options.action]
        try:
            make()
        except (FileNotFoundError, RuntimeError) as error:
            parser.exit(1, f"{error}\n")
        print(f"The {what}: {options.to}")
    return 0
