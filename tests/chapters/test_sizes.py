"""Sizes of the models: closed formulas at the paper's sizes, and the paper's footnote."""

import pytest

from paper_code.chapters.models import (
    memory_table,
    nfwfm_on_avazu,
    paper_cardinalities,
    parameter_table,
    parameters,
    size_table,
)
from paper_code.models import MODELS
from paper_code.published import STATISTICS


@pytest.mark.parametrize(
    ("dataset", "fields", "total", "largest", "smallest"),
    [
        ("Criteo", 39, 1_080_000, 190_000, 4),
        ("Avazu", 22, 2_020_000, 1_610_000, 5),
    ],
)
def test_the_cardinalities_are_those_of_table_2(dataset, fields, total, largest, smallest):
    cardinalities = paper_cardinalities(dataset)
    assert (len(cardinalities), sum(cardinalities)) == (fields, total)
    assert (max(cardinalities), min(cardinalities)) == (largest, smallest)


def test_single_and_multi_embedding_of_a_size_have_the_same_embedding_parameters():
    table = size_table("Criteo").set_index(["model", "embedding", "scale"])["embeddings"]
    for model in ("dnn", "nfwfm", "dcnv2"):
        for scale in (2, 3, 4, 10):
            expected = 1_080_000 * MODELS[model].base_size * scale
            assert table[model, "SE", scale] == table[model, "ME", scale] == expected


def test_dcnv2_by_hand():
    """4 cross layers of (N K)(N K + 1), a first hidden layer of 400 with its batch normalisation, 400 x 400, output."""
    width = 39 * 100
    mlp = 400 * (width + 3) + 400 * (400 + 3) + 401
    assert parameters("dcnv2", "Criteo", 10, 1) == (108_000_000, 4 * width * (width + 1) + mlp)


def test_ffm_has_a_sub_embedding_of_size_8_for_every_other_field():
    assert parameters("ffm", "Avazu", 1, 1)[0] == 2_020_000 * 8 * 21


def test_every_model_has_its_rows():
    table = size_table("Avazu")
    counts = table.groupby("model").size().to_dict()
    assert counts == {name: 5 if name in ("ffm", "fm") else 9 for name in MODELS}
    assert (table["training_bytes"] == 16 * (table["embeddings"] + table["others"])).all()


def test_memory_is_shown_in_gb():
    wide = memory_table("Avazu").set_index(["model", "embedding"])
    assert list(wide.columns) == ["base", "2x", "3x", "4x", "10x"]
    assert wide.loc[("NFwFM", "SE"), "10x"] == "16.2"
    assert wide.loc[("NFwFM", "ME"), "base"] == ""


def test_the_footnote_is_ten_times_the_embeddings():
    """2.02 million values of 500 float32 are 4.04 GB, 3.76 GiB; the paper says nearly 37.6 GB."""
    found = nfwfm_on_avazu()
    assert found["embeddings"] == pytest.approx(2_020_000 * 500 * 4 / 2**30)
    assert found["training"] == pytest.approx(4 * found["embeddings"])
    assert found["published_over_embeddings"] == pytest.approx(10, abs=0.02)


def test_the_parameters_besides_the_embeddings_are_shown_in_thousands():
    table = parameter_table().set_index("model")
    assert len(table.columns) == 3 * len(STATISTICS)
    assert table.loc["DNN", "Criteo, base"] == "319"
    assert table.loc["FFM", "Criteo, multi 10x"] == "-"
