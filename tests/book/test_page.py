"""What stands under a figure: its files, the command that makes it, and where its runs come from."""

import json
import re
from html import unescape
from types import SimpleNamespace

import pandas as pd
import pytest
from matplotlib import pyplot as plt

from paper_code.book import page as page_module
from paper_code.book.page import Page
from paper_code.runs.reading import records_of


@pytest.fixture
def page(tmp_path) -> Page:
    return Page("fig02_collapse", "criteo_like", "laptop", None, "auto", "figures/data/runs", str(tmp_path))


def test_the_command_is_the_notebook_with_its_parameters(page):
    expected = "papermill -p dataset criteo_like -p profile laptop book/fig02_collapse.ipynb"
    assert page.command.startswith(expected)
    other = Page("x", "criteo", "paper", "3,4", "cuda:1", "", "")
    assert "-p dataset criteo -p profile paper -p seeds 3,4 -p device cuda:1 book/x.ipynb" in other.command


@pytest.mark.parametrize("name", ["dataset", "profile", "device", "results_dir", "figures_dir"])
@pytest.mark.parametrize("value", [2014, 1.5, True, None])
def test_a_parameter_that_papermill_made_a_number_of_is_named(name, value):
    given = {"dataset": "criteo_like", "profile": "laptop", "device": "auto", "results_dir": "r", "figures_dir": "f"}
    with pytest.raises(ValueError, match=rf"{name}={value}: is a .*, expected text; .*papermill -r {name}"):
        Page("fig02_collapse", seeds=None, **given | {name: value})


@pytest.mark.parametrize("value", [2014, 1.5, True, None])
def test_notebooks_without_a_page_name_it_as_well(value):
    with pytest.raises(ValueError, match=rf"dataset={value}: is a .*, expected text"):
        records_of("collapse", value)
    with pytest.raises(ValueError, match=rf"folder={value}: is a .*, expected text"):
        records_of("collapse", "criteo_like", results_dir=value)


def test_the_records_are_those_of_the_page_and_of_a_log_that_is_named(page):
    assert page.records("collapse") == records_of("collapse", "criteo_like")
    assert page.records("collapse", "avazu_like") == records_of("collapse", "avazu_like")


def test_a_page_says_once_that_its_runs_are_of_the_first_regime(page, monkeypatch):
    """By a box where they are first read, and in the provenance below each figure; of the regime's it says nothing."""
    shown, (first, new) = [], ([SimpleNamespace(config={"training": t})] for t in ({}, {"averaging": 0.999}))
    monkeypatch.setattr(page_module, "display", lambda box: shown.append(box.data))
    monkeypatch.setattr(page_module, "provenance", lambda records: {})
    for records, boxes in ((new, 0), (first, 1), (first, 1)):
        monkeypatch.setattr(page_module, "records_of", lambda *_, records=records: records)
        assert page.records("collapse") == records
        assert len(shown) == boxes
    assert "Runs of the first regime" in shown[0]
    assert "<dt>regime</dt><dd>the first; these runs are only read</dd>" in page.sources("x", first).data
    assert "regime" not in page.sources("x", new).data


def test_a_figures_sources_name_its_files_and_the_provenance_of_its_records(page):
    records = page.records("collapse")
    text = unescape(page.sources("fig02_x", records).data)
    for path in ("figures/data/fig02_x.csv", "figures/fig02_x.svg", "figures/fig02_x.png"):
        assert f'href="{path}"' in text
    assert 'href="_sources/fig02_collapse.ipynb"' in text
    for words in (page.command, "laptop", "0, 1, 2, 3, 4", records[0].provenance["commit"][:10], "hardware"):
        assert words in text
    assert "commit" not in page.sources("fig04_toy").data


def test_a_chart_travels_as_data_that_cannot_end_its_script(page):
    chart = {"title": "</script><b>"}
    text = page.sources("x", chart=chart).data
    (found,) = re.findall(r'<script type="application/json" class="interactive-chart">(.*)</script>', text)
    assert json.loads(found) == chart
    assert "</script><b>" not in text
    assert "<script" not in page.sources("x").data


def test_a_figure_is_saved_and_shown_with_its_description(page, tmp_path, monkeypatch):
    shown = []
    monkeypatch.setattr(page_module, "display", lambda bundle, raw: shown.append(bundle))
    figure, axes = plt.subplots()
    axes.set_title("a title")
    draw, describe = lambda values: (figure, pd.DataFrame({"a": values})), lambda data: f"the sum is {data['a'].sum()}"
    page.figure("x", SimpleNamespace(FIGURES={"x": (draw, describe)}), [1, 3])
    assert shown[0]["text/plain"] == "the sum is 4"
    assert 'aria-label="the sum is 4"' in shown[0]["image/svg+xml"]
    assert shown[0]["image/svg+xml"] == (tmp_path / "x.svg").read_text(encoding="utf-8")
    assert pd.read_csv(tmp_path / "data" / "x.csv")["a"].tolist() == [1, 3]
    assert figure.number not in plt.get_fignums()
