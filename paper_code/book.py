"""Build-time work of the book: execute its notebooks with papermill, and keep their files free of time stamps."""

import argparse
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

import nbformat
import papermill
from tqdm import tqdm

from paper_code.experiments import project_path

BOOK_FOLDER = project_path("book")


def execute_book(folder: str | Path, notebooks: Sequence[str] | None = None, **parameters) -> list[Path]:
    """Copy the book's pages to `folder` and execute the notebooks there, each from its committed source.

    notebooks: by their names; None: all. parameters: given to every notebook; none: its defaults. Returns the executed
    notebooks. A notebook that fails raises papermill's PapermillExecutionError, which shows the cell.
    """
    folder = Path(folder)
    shutil.copytree(BOOK_FOLDER, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("*.ipynb", ".*"))
    executed = []
    sources = [path for path in sorted(BOOK_FOLDER.glob("*.ipynb")) if notebooks is None or path.stem in notebooks]
    with tqdm(sources, unit="notebook") as bar:
        for source in bar:
            bar.set_postfix_str(source.name)
            target = folder / source.name
            papermill.execute_notebook(
                source, target, parameters, progress_bar=False, extra_arguments=["--log-level=40"]
            )
            strip_times(target)
            executed.append(target)
    return executed


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
    """Execute the notebooks at their defaults; put their outputs into `book/` and their figures into `figures/`."""
    for notebook in execute_book(project_path("_build/book")):
        shutil.copy(notebook, BOOK_FOLDER / notebook.name)
    shutil.copytree(project_path("_build/figures"), project_path("figures"), dirs_exist_ok=True)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m paper_code.book", description=__doc__)
    parser.add_argument("action", choices=("execute", "refresh"), help="below _build/ only, or the committed outputs")
    if parser.parse_args().action == "execute":
        execute_book(project_path("_build/book"))
    else:
        refresh_committed()
    return 0


if __name__ == "__main__":
    sys.exit(main())
