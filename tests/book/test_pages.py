"""The built pages: the book builds without a warning, and every link and picture in it leads somewhere."""

import re
from html import unescape
from html.parser import HTMLParser
from pathlib import Path
from unicodedata import category
from urllib.parse import unquote, urlsplit

import yaml
from fontTools.ttLib import TTFont

from paper_code.book.build import BOOK_FOLDER
from paper_code.book.rendering import LONGEST_DESCRIPTION


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


def test_the_table_of_contents_has_every_page_once(html):
    parts = yaml.safe_load((BOOK_FOLDER / "_toc.yml").read_text())["parts"]
    chapters = [chapter for part in parts for chapter in part["chapters"]]
    pages = [page["file"] for chapter in chapters for page in (chapter, *chapter.get("sections", []))]
    assert sorted([*pages, "index"]) == sorted(
        path.stem for path in BOOK_FOLDER.iterdir() if path.suffix in (".md", ".ipynb")
    )
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


def test_every_page_has_a_description(html):
    for path in html.glob("*.html"):
        text = re.search(r'<meta name="description" content="([^"]*)"', path.read_text(encoding="utf-8"))
        assert text, path.name
        assert 30 <= len(unescape(text[1])) <= LONGEST_DESCRIPTION, path.name


def test_a_preview_of_every_page_has_a_title_and_a_picture_of_the_book(html):
    titles = {}
    for path in html.glob("*.html"):
        found = dict(re.findall(r'<meta property="og:(\w+)" content="([^"]*)"', path.read_text(encoding="utf-8")))
        assert found.keys() == {"title", "description", "type", "image"}, path.name
        assert (html / found["image"]).is_file(), f"{path.name}: {found['image']}"
        titles[path.name] = unescape(found["title"])
    assert titles["fig02_collapse.html"] == "Embedding collapse (Figure 2)"


def test_the_font_has_every_character_of_the_equations(html):
    equations = {
        path.name: re.findall("<math.*?</math>", path.read_text(encoding="utf-8")) for path in html.glob("*.html")
    }
    assert sum(map(len, equations.values())) > 300
    glyphs = TTFont(html / "_static" / "equations.woff").getBestCmap()
    for page, found in equations.items():
        used = set(unescape(re.sub("<[^>]*>", "", "".join(found))))
        visible = {character for character in used if category(character)[0] in "LNPS"}
        assert {character for character in visible if ord(character) not in glyphs} == set(), page


def test_a_book_that_is_built_again_is_left_as_it_is(built_again):
    assert "0 added, 0 changed, 0 removed" in built_again
    assert "no targets are out of date" in built_again
