"""Descriptions for machines say what is there. `make croissant` asks the validator of the format."""

import hashlib

import pandas as pd
import pytest
import yaml

from paper_code.book.metadata import TABLES, codemeta, croissant
from paper_code.runs.config import PROJECT_FOLDER

FIGURES = PROJECT_FOLDER / "figures"


@pytest.fixture(scope="module")
def described() -> dict:
    return croissant(FIGURES, "https://example.org")


def test_every_file_is_described_with_its_sum_and_all_its_columns(described):
    sets = {of_table["name"]: of_table["field"] for of_table in described["recordSet"]}
    assert [*sets] == [*TABLES]
    for entry in described["distribution"]:
        path = (FIGURES / "data" / entry["name"]).resolve()
        assert entry["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
        assert entry["contentUrl"] == f"../figures/data/{path.name}"
        assert [field["name"] for field in sets[path.stem]] == list(pd.read_csv(path, nrows=1).columns)


def test_a_columns_type_is_that_of_its_values(described):
    kinds = {field["@id"]: field["dataType"] for of_table in described["recordSet"] for field in of_table["field"]}
    assert (kinds["runs/model"], kinds["runs/scale"], kinds["runs/test_auc"]) == ("sc:Text", "sc:Integer", "sc:Float")


def test_the_code_is_described_as_it_is_cited():
    cited = yaml.safe_load((PROJECT_FOLDER / "CITATION.cff").read_text())
    found = codemeta("https://example.org")
    assert (found["name"], found["version"]) == (cited["title"], cited["version"])
    assert found["referencePublication"][0]["name"] == cited["references"][0]["title"]
