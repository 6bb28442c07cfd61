"""The built pages: the book builds without a warning, and every link and picture in it leads somewhere."""

import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
import yaml

from paper_code.book import BOOK_FOLDER
from paper_code.experiments import project_path


class Page(HTMLParser):
    """Where a page points to, and the names of its places."""

    def __init__(self, path: Path):
        super().__init__()
        self.targets, self.names = [], set()
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attributes):
        found = dict(attributes)
        self.targets += [found[key] for key in ("href", "src") if found.get(key)]
        self.names.add(found.get("id"))


@pytest.fixture(scope="module")
def html(tmp_path_factory) -> Path:
    """The book built from the committed notebooks, with warnings as errors."""
    folder = tmp_path_factory.mktemp("book")
    command = [Path(sys.executable).parent / "jupyter-book", "build", BOOK_FOLDER, "--path-output", folder, "-W", "-q"]
    command += ["--keep-going", "--config", project_path("_config.yml")]
    built = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=600)
    assert built.returncode == 0, built.stdout[-3000:] + built.stderr[-3000:]
    return folder / "_build" / "html"


def test_the_table_of_contents_has_every_page_and_the_ledger_comes_first(html):
    parts = yaml.safe_load((BOOK_FOLDER / "_toc.yml").read_text())["parts"]
    pages = [chapter["file"] for part in parts for chapter in part["chapters"]]
    assert sorted([*pages, "index"]) == sorted(
        path.stem for path in BOOK_FOLDER.iterdir() if path.suffix in (".md", ".ipynb")
    )
    assert pages[0] == "claims"
    assert {path.stem for path in html.glob("*.html")} >= {*pages, "index"}


def test_every_link_and_picture_within_the_book_leads_somewhere(html):
    pages = {path: Page(path) for path in html.glob("*.html")}
    assert len(pages) > 20
    for path, page in pages.items():
        for target in page.targets:
            parts = urlsplit(target)
            if parts.scheme or parts.netloc:
                continue
            to = path.parent / unquote(parts.path) if parts.path else path
            assert to.exists(), f"{path.name} points to {target}"
            if parts.fragment and to in pages:
                assert unquote(parts.fragment) in pages[to].names, f"{path.name} points to {target}"
