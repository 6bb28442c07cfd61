"""Fixtures of the tests of the built book."""

import subprocess
import sys
from pathlib import Path

import pytest

from paper_code.book.build import BOOK_FOLDER
from paper_code.runs.profiles import project_path


def build(folder: Path) -> str:
    """Build the book from the committed notebooks, with warnings as errors: what Sphinx says."""
    command = [Path(sys.executable).parent / "jupyter-book", "build", BOOK_FOLDER, "--path-output", folder, "-W"]
    command += ["--keep-going", "--config", project_path("_config.yml")]
    built = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=600)
    assert built.returncode == 0, built.stdout[-3000:] + built.stderr[-3000:]
    return built.stdout


@pytest.fixture(scope="session")
def html(tmp_path_factory) -> Path:
    """The built book."""
    folder = tmp_path_factory.mktemp("book")
    build(folder)
    return folder / "_build" / "html"


@pytest.fixture(scope="session")
def built_again(html) -> str:
    """What Sphinx says when the book is built again."""
    return build(html.parents[1])
