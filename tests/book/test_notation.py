"""The glossary: it defines each of its terms once, and every term that a page refers to."""

import re
from collections import Counter
from pathlib import Path

import nbformat
import pytest

from paper_code.book.build import BOOK_FOLDER

NOTATION = BOOK_FOLDER / "notation.md"
GLOSSARY = re.compile(r"^```\{glossary\}\n(.*?)^```$", flags=re.DOTALL | re.MULTILINE)
ROLE = re.compile(r"\{term\}`([^`]+)`")
PAGES = sorted(path for path in BOOK_FOLDER.iterdir() if path.suffix in (".md", ".ipynb"))


def glossary() -> str:
    (text,) = GLOSSARY.findall(NOTATION.read_text(encoding="utf-8"))
    return text


def defined_terms() -> list[str]:
    """The glossary's lines that are not indented, without its options."""
    return [line for line in glossary().splitlines() if line and not line.startswith((" ", ":"))]


def prose(page: Path) -> str:
    if page.suffix == ".md":
        return page.read_text(encoding="utf-8")
    cells = nbformat.read(page, as_version=4).cells
    return "\n".join(cell.source for cell in cells if cell.cell_type == "markdown")


def used_terms(text: str) -> list[str]:
    """What {term}`name` and {term}`shown <name>` refer to; a line may break within."""
    roles = [" ".join(role.split()) for role in ROLE.findall(text)]
    return [named[1] if (named := re.search(r"<(.+)>$", role)) else role for role in roles]


def test_a_term_is_found_in_both_forms_of_the_role():
    text = "{term}`cross layer`, {term}`fields <field>`, {term}`information\nabundance`"
    assert used_terms(text) == ["cross layer", "field", "information abundance"]


def test_every_term_is_defined_once():
    terms = defined_terms()
    assert len(terms) > 20
    assert [term for term, count in Counter(map(str.casefold, terms)).items() if count > 1] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_page_refers_only_to_terms_of_the_glossary(page):
    assert set(used_terms(prose(page))) <= set(defined_terms())
