"""The measures' comparisons, against the records by the definitions."""

import numpy as np
import pytest

from paper_code.chapters.fig09_analysis import figure_9_claims
from paper_code.chapters.measures import measures_table
from paper_code.chapters.optimizer import with_training
from paper_code.chapters.shared.tables import Runs, random_spectra
from paper_code.runs.reading import records_of
from paper_code.spectra import random_spectrum

NAMES = ("evidence_iii", "evidence_iv", "patterns", "optimizer")


@pytest.fixture(scope="module")
def records() -> dict:
    return {name: records_of(name, "criteo_like") for name in NAMES}


@pytest.fixture(scope="module")
def table(records):
    return measures_table(*records.values()).set_index(["comparison", "measure"])


def test_information_abundance_gives_what_the_ledger_gives(table):
    """The claims on information abundance are those of Figures 2, 5, 6 and 9a."""
    found = table.xs("information abundance", level="measure")["answer"]
    assert found["learned over random"] == "yes"
    assert found["multi over single, side by side (9a)"] == "yes"
    assert found["multi over single, per set (9a)"] == "yes"


def test_figure_9a_is_of_the_same_numbers_as_in_the_ledger(records, table):
    per_set, side_by_side = figure_9_claims(Runs(records["patterns"]))[0].effects
    found = table.xs("information abundance", level="measure")["mean"]
    assert found["multi over single, per set (9a)"] == pytest.approx(per_set.mean)
    assert found["multi over single, side by side (9a)"] == pytest.approx(side_by_side.mean)


def test_a_ratio_is_of_means_over_fields_within_a_seed(records, table):
    runs = Runs(records["evidence_iv"])
    ratios = []
    for dnn, dcnv2 in zip(runs.records_of("dnn"), runs.records_of("dcnv2"), strict=True):
        means = [
            np.mean([np.sum(np.square(v)) / np.max(v) ** 2 for v in r.spectra["side_by_side"]]) for r in (dnn, dcnv2)
        ]
        ratios.append(means[0] / means[1])
    row = table.loc[("DNN over DCNv2 (IV)", "stable rank")]
    assert row["mean"] == pytest.approx(np.mean(ratios))
    assert row["high"] - row["mean"] == pytest.approx(2.7764 * np.std(ratios, ddof=1) / np.sqrt(5), rel=1e-4)


def test_rows_are_normalised_on_both_sides(records, table):
    record = Runs(with_training([r for r in records["optimizer"] if r.config["model"] == "dcnv2"], 1e-4)).records_of(
        "dcnv2"
    )[0]
    number = len(record.fields) - 1
    values = random_spectra(record, row_normalised=True)[number]
    shape = record.fields[number]["cardinality"], record.config["embedding_size"]
    assert np.array_equal(values, random_spectrum(*shape, row_normalised=True))
    assert not np.array_equal(values, random_spectrum(*shape))
    plain, normalised = (
        table.loc[("single 4x, learned over random", f"information abundance{rows}"), "mean"]
        for rows in ("", ", rows normalised")
    )
    assert plain != normalised


def test_every_comparison_has_every_measure(table):
    assert table.groupby(level="comparison", sort=False).size().tolist() == [3] * 5 + [6] * 2
    assert set(table["seeds"]) == {5}
