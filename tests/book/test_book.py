"""What is executed again when the book is made again; the commands that make the PDF and the archive, where something
that they need is missing."""

import os
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

from paper_code.book import build
from paper_code.book.build import archive_book, execute_book, find_browser, print_book

MODULES = {
    "__init__": "",
    "colours": "RED = '#f00'\nBLUE = '#00f'\nPALETTE = {}\nPALETTE['red'] = RED\n",
    "drawing": "from paper_code.colours import BLUE as SEA\n\ndef line():\n    return 1\ndef wave():\n    return SEA\n",
    "words": "class Words:\n    def of_wave(self):\n        return 'wave'\n\ndef unused():\n    return 2\n",
}
NOTEBOOKS = {
    "first": "from paper_code import drawing\ndrawing.line()",
    "second": "from paper_code import drawing, words\ngetattr(drawing, words.Words().of_wave())()",
    "third": "%time 1",
}


def save_notebook(path: Path, code: str, output: str | None = None) -> None:
    outputs = [nbformat.v4.new_output("stream", text=output)] if output else []
    cell = nbformat.v4.new_code_cell(code, id="cell", outputs=outputs)
    path.write_text(nbformat.writes(nbformat.v4.new_notebook(cells=[cell])))


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A project of three notebooks, whose execution is a copy; what was executed is in its list."""
    for folder in ("book", "paper_code", "data/runs"):
        (tmp_path / folder).mkdir(parents=True)
    for name, code in MODULES.items():
        (tmp_path / "paper_code" / f"{name}.py").write_text(code)
    for name, code in NOTEBOOKS.items():
        save_notebook(tmp_path / "book" / f"{name}.ipynb", code)
    (tmp_path / "book" / "page.md").write_text("# A page")
    (tmp_path / "data" / "runs" / "record.json").write_text("{}")
    monkeypatch.setattr(build, "BOOK_FOLDER", tmp_path / "book")
    monkeypatch.setattr(build, "PACKAGE", tmp_path / "paper_code")
    monkeypatch.setattr(build, "DATA", (tmp_path / "data",))
    monkeypatch.setattr(build, "execute_notebook", lambda source, target, _: target.write_bytes(source.read_bytes()))
    return tmp_path


def executed(project: Path, **parameters) -> list[str]:
    return [path.stem for path in execute_book(project / "_build", **parameters)]


def replace(path: Path, old: str, new: str) -> None:
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))


def test_what_has_not_changed_is_not_executed_again(project):
    assert executed(project) == ["first", "second", "third"]
    for path in project.rglob("*"):
        os.utime(path)
    assert executed(project) == []
    assert executed(project, anew=True) == ["first", "second", "third"]
    (project / "_build" / "third.ipynb").unlink()
    assert executed(project) == ["third"]


def test_a_changed_notebook_alone_is_executed_again_unless_only_its_outputs_changed(project):
    executed(project)
    save_notebook(project / "book" / "first.ipynb", NOTEBOOKS["first"], output="1")
    assert executed(project) == []
    save_notebook(project / "book" / "first.ipynb", NOTEBOOKS["first"] + "  # once")
    assert executed(project) == ["first"]
    assert executed(project, seeds=[1]) == ["first", "second", "third"]


@pytest.mark.parametrize(
    ("module", "old", "new", "expected"),
    [
        ("drawing", "return 1", "return 2", ["first"]),
        ("drawing", "return SEA", "return SEA * 2", ["second"]),  # named by a string of a class that it uses
        ("colours", "BLUE = '#00f'", "BLUE = '#00e'", ["second"]),  # through `wave`, under another name
        ("words", "return 2", "return 3", []),
        ("colours", "PALETTE['red'] = RED", "PALETTE['red'] = BLUE", ["first", "second", "third"]),  # on import
    ],
)
def test_a_changed_definition_is_executed_by_the_notebooks_that_use_it(project, module, old, new, expected):
    executed(project)
    replace(project / "paper_code" / f"{module}.py", old, new)
    assert executed(project) == expected


def test_a_figure_is_drawn_again_where_its_name_is_asked_for(project):
    (project / "paper_code" / "chapter.py").write_text("FIGURES = {'one': (1, 2), 'two': (3, 4)}\n")
    save_notebook(project / "book" / "first.ipynb", "page.figure('one', chapter)")
    executed(project)
    replace(project / "paper_code" / "chapter.py", "(1, 2)", "(1, 5)")
    assert executed(project) == ["first"]


@pytest.mark.parametrize("changed", ["data/runs/record.json", "data/runs/another.json", "paper_code/table.csv"])
def test_a_changed_or_new_file_of_data_is_read_by_all_notebooks(project, changed):
    executed(project)
    (project / changed).write_text("{ }")
    assert executed(project) == ["first", "second", "third"]
    assert executed(project) == []


def test_so_is_a_record_of_the_results_folder_that_is_given(project):
    results = {"results_dir": str(project / "results")}
    executed(project, **results)
    (project / "results").mkdir()
    (project / "results" / "record.json").write_text("{}")
    assert executed(project, **results) == ["first", "second", "third"]


def test_a_notebook_that_failed_is_executed_again_though_it_is_as_it_was_before(project, monkeypatch):
    executed(project)
    save_notebook(project / "book" / "first.ipynb", "1 / 0")

    def fail(source, target, _):
        raise ZeroDivisionError

    with monkeypatch.context() as patched:
        patched.setattr(build, "execute_notebook", fail)
        with pytest.raises(ZeroDivisionError):
            executed(project)
    save_notebook(project / "book" / "first.ipynb", NOTEBOOKS["first"])
    assert executed(project) == ["first"]


def test_a_page_is_copied_only_where_it_has_changed(project):
    executed(project)
    copied = project / "_build" / "page.md"
    os.utime(copied, (0, 0))
    executed(project)
    assert copied.stat().st_mtime == 0
    (project / "book" / "page.md").write_text("# Another")
    executed(project)
    assert copied.read_text() == "# Another"
    assert copied.stat().st_mtime > 0


# Writes a file and waits for that of the other notebook
WAITING = """
import time
from pathlib import Path
folder = Path({folder!r})
(folder / {own!r}).touch()
end = time.monotonic() + 300
while not (folder / {other!r}).exists():
    assert time.monotonic() < end
    time.sleep(0.1)
"""


def test_two_notebooks_are_executed_at_a_time(tmp_path, monkeypatch):
    for name in ("book", "package", "met"):
        (tmp_path / name).mkdir()
    for own, other in (("a", "b"), ("b", "a")):
        code = WAITING.format(folder=str(tmp_path / "met"), own=own, other=other)
        save_notebook(tmp_path / "book" / f"{own}.ipynb", code)
        replace(tmp_path / "book" / f"{own}.ipynb", '"metadata": {}', '"metadata": {"kernelspec": {"name": "python3"}}')
    monkeypatch.setattr(build, "BOOK_FOLDER", tmp_path / "book")
    monkeypatch.setattr(build, "PACKAGE", tmp_path / "package")
    monkeypatch.setattr(build, "DATA", ())
    assert [path.name for path in execute_book(tmp_path / "_build")] == ["a.ipynb", "b.ipynb"]


@pytest.fixture
def programs(tmp_path, monkeypatch):
    """A folder that is all of PATH, and no browser named."""
    folder = tmp_path / "programs"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.delenv("CHROMIUM", raising=False)
    return folder


def program(path):
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
    return str(path)


def test_a_browser_is_found_on_path_or_by_its_name(programs, tmp_path, monkeypatch):
    assert find_browser() is None
    on_path, elsewhere = program(programs / "google-chrome"), program(tmp_path / "my-chrome")
    assert find_browser() == on_path
    monkeypatch.setenv("CHROMIUM", elsewhere)
    assert find_browser() == elsewhere
    monkeypatch.setenv("CHROMIUM", elsewhere + "-of-old")
    assert find_browser() is None, "the named one is missing; another is not what was asked for"


def test_without_a_browser_the_pdf_says_what_to_install(programs, tmp_path):
    (tmp_path / "index.html").touch()
    with pytest.raises(FileNotFoundError, match=r"install chromium.* CHROMIUM"):
        print_book(tmp_path, tmp_path / "book.pdf")


@pytest.mark.parametrize("make", [print_book, archive_book])
def test_without_a_built_book_one_is_told_how_to_build_it(make, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no built book in .*: `make book`"):
        make(tmp_path, tmp_path / "book")
    assert list(tmp_path.iterdir()) == []


def test_the_command_line_reports_it_without_a_traceback(tmp_path):
    command = [sys.executable, "-m", "paper_code.book", "archive", "--html", str(tmp_path)]
    told = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert told.returncode == 1
    assert told.stderr.startswith("no built book in")
