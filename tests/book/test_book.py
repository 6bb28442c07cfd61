"""The commands that make the PDF and the archive, where something that they need is missing."""

import subprocess
import sys

import pytest

from paper_code.book.build import archive_book, find_browser, print_book


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
