"""How to cite: CITATION.cff and the page of the book say what pyproject.toml and references.bib say."""

import re
import tomllib
from pathlib import Path

import pytest
import yaml
from pybtex.database import Entry, parse_file, parse_string

PROJECT = Path(__file__).parents[1]
PAPER = "guo2024embedding"


@pytest.fixture(scope="module")
def citation() -> dict:
    return yaml.safe_load((PROJECT / "CITATION.cff").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def paper() -> Entry:
    return parse_file(str(PROJECT / "book" / "references.bib"), bib_format="bibtex").entries[PAPER]


@pytest.fixture(scope="module")
def on_page() -> dict[str, Entry]:
    """The BibTeX entries that the page offers to copy."""
    text = (PROJECT / "book" / "cite.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```bibtex\n(.*?)^```$", text, flags=re.DOTALL | re.MULTILINE)
    return dict(parse_string("\n".join(blocks), "bibtex").entries.items())


def version() -> str:
    return tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]


def names(entry: Entry) -> list[tuple[str, str]]:
    return [(" ".join(author.last_names), " ".join(author.first_names)) for author in entry.persons["author"]]


def test_it_has_the_required_keys_of_cff(citation):
    assert citation["cff-version"] == "1.2.0"
    assert citation["type"] == "software"
    assert citation["message"].strip()
    assert citation["title"].strip()
    assert all(author["name"].strip() for author in citation["authors"])
    assert citation["authors"]


def test_its_version_is_that_of_the_package(citation):
    assert citation["version"] == version()


def test_the_licences_are_the_same_everywhere(citation):
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert citation["license"] == ["MIT", "CC-BY-4.0"]
    assert project["license"] == "MIT"
    page = (PROJECT / "book" / "cite.md").read_text(encoding="utf-8")
    for file, beginning in zip(project["license-files"], ("MIT License", "The text and the figures"), strict=True):
        assert (PROJECT / file).read_text(encoding="utf-8").startswith(beginning)
        assert f"`{file}`" in page


def test_the_changes_begin_with_the_version_or_with_what_came_since():
    changes = (PROJECT / ".github" / "CHANGELOG.md").read_text(encoding="utf-8")
    headings = re.findall(r"^## (\S+)", changes, flags=re.MULTILINE)
    assert next(heading for heading in headings if heading != "Unreleased") == version()
    assert "Unreleased" not in headings[1:]


def test_its_reference_is_the_paper_as_in_the_bibliography(citation, paper):
    (reference,) = citation["references"]
    assert reference["type"] == "conference-paper"
    assert reference["title"] == paper.fields["title"]
    assert reference["collection-title"] == paper.fields["booktitle"]
    assert str(reference["year"]) == paper.fields["year"]
    assert [(author["family-names"], author["given-names"]) for author in reference["authors"]] == names(paper)


def test_the_paper_is_found_where_the_readme_links_it(citation):
    (reference,) = citation["references"]
    assert f"({reference['url']})" in (PROJECT / "README.md").read_text(encoding="utf-8")


def test_the_page_cites_the_paper_as_in_the_bibliography(on_page, paper):
    assert on_page[PAPER].type == paper.type
    assert dict(on_page[PAPER].fields) == dict(paper.fields)
    assert names(on_page[PAPER]) == names(paper)


def test_the_page_cites_the_companion_as_its_citation_file_does(on_page, citation):
    (companion,) = (entry for key, entry in on_page.items() if key != PAPER)
    config = yaml.safe_load((PROJECT / "_config.yml").read_text(encoding="utf-8"))
    assert companion.fields["title"] == citation["title"]
    assert [str(author).strip("{}") for author in companion.persons["author"]] == [
        author["name"] for author in citation["authors"]
    ]
    assert companion.fields["year"] == config["copyright"]
    assert f"Version {version()}," in companion.fields["note"]
