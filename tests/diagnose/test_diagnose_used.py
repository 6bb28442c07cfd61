"""Measures against noise and random matrices, and of tables as they are used, are those of slow obvious code."""

import json

import numpy as np
import pytest

from paper_code.diagnose import DiagnosisError, diagnose
from paper_code.diagnose.measures import (
    DRAWS,
    marchenko_pastur_edge,
    marchenko_pastur_median,
    noise_variance,
    power_law_alpha,
    random_interval,
    subspace_overlap,
)
from paper_code.diagnose.views import random_normalised, random_weighted
from tests.diagnose.test_diagnose import gaussian, only


def abundance(matrix: np.ndarray) -> float:
    values = np.linalg.svd(matrix, compute_uv=False)
    return values.sum() / values[0]


# Against noise and random matrices


@pytest.mark.parametrize("ratio", [0.01, 0.3, 1.0])
def test_the_median_of_marchenko_and_pastur_is_that_of_a_large_random_matrix(ratio):
    columns = 300
    rows = round(columns / ratio)
    # a normal matrix's squared singular values by Bartlett's triangle, as 30,000 x 300 would be slow
    draw = np.random.default_rng(0)
    triangle = np.triu(draw.standard_normal((columns, columns)), 1)
    np.fill_diagonal(triangle, np.sqrt(draw.chisquare(rows - np.arange(columns))))
    values = np.linalg.svd(triangle, compute_uv=False)
    assert marchenko_pastur_median(ratio) == pytest.approx(np.median(values**2) / rows, rel=0.03)
    assert values[0] == pytest.approx(marchenko_pastur_edge(rows, columns, 1.0), rel=0.03)
    assert noise_variance(3 * values, rows, columns) == pytest.approx(9, rel=0.03)
    assert noise_variance(3 * values, columns, rows) == noise_variance(3 * values, rows, columns)


def test_the_median_of_a_square_matrix_is_the_published_one():
    """Gavish and Donoho (2014): for square matrices the median is 0.6528, and 2.858 = 4 / sqrt(3) / sqrt(0.6528)."""
    assert 4 / np.sqrt(3) / np.sqrt(marchenko_pastur_median(1.0)) == pytest.approx(2.858, abs=2e-3)


@pytest.mark.parametrize("signals", [0, 1, 5])
def test_planted_directions_stand_above_noise_and_noise_does_not(signals):
    noise = gaussian(2000, 40, seed=1)
    left, right = np.linalg.qr(gaussian(2000, 5))[0][:, :signals], np.linalg.qr(gaussian(40, 5))[0][:, :signals]
    found = only(diagnose({"table": 0.01 * (noise + 300 * left @ right.T)}))
    assert found.above_noise == signals
    edge = 0.01 * (np.sqrt(2000) + np.sqrt(40))
    assert found.noise_edge * found.singular_values[0] == pytest.approx(edge, rel=0.05)


def test_the_interval_of_random_matrices_holds_19_of_20():
    low, high = random_interval(60, 12)
    shares = [abundance(gaussian(60, 12, seed)) for seed in range(100, 400)]
    inside = np.mean([low <= share <= high for share in shares])
    assert 0.86 < inside <= 1
    found = only(diagnose({"table": gaussian(60, 12, 7)}))
    assert found.random_interval == (low, high)
    assert found.interval_of_share == pytest.approx(
        (low / found.random_information_abundance, high / found.random_information_abundance)
    )
    assert random_interval(2000, 300) is None
    assert DRAWS == 39


@pytest.mark.parametrize("alpha", [2.0, 3.5])
def test_alpha_is_the_exponent_of_a_power_law(alpha):
    """Eigenvalues drawn from p(x) ~ x^-alpha, from 1 on: their quantiles."""
    eigenvalues = (1 - (np.arange(2000) + 0.5) / 2000) ** (-1 / (alpha - 1))
    assert power_law_alpha(np.sqrt(eigenvalues)) == pytest.approx(alpha, rel=0.03)
    assert power_law_alpha(7 * np.sqrt(eigenvalues)) == pytest.approx(power_law_alpha(np.sqrt(eigenvalues)))
    below = np.random.default_rng(0).uniform(0, 1, 1000)  # the law holds for the tail alone
    assert power_law_alpha(np.sqrt(np.concatenate([eigenvalues, below]))) == pytest.approx(alpha, rel=0.05)


def test_alpha_needs_ten_eigenvalues_that_differ():
    assert power_law_alpha(np.geomspace(1, 0.1, 9)) is None
    assert power_law_alpha(np.ones(50)) is None
    assert power_law_alpha(np.array([1.0] * 5 + [0.0] * 50)) is None
    assert power_law_alpha(np.geomspace(1, 0.1, 10)) > 1


def test_overlap_is_one_for_the_same_subspace_and_by_chance_for_another():
    basis = np.linalg.qr(gaussian(60, 60))[0]
    turned = np.linalg.qr(gaussian(6, 6))[0] @ basis[:6]
    assert subspace_overlap(basis[:6], turned) == pytest.approx(1)
    assert subspace_overlap(basis[:6], basis[6:12]) == pytest.approx(0, abs=1e-12)
    assert subspace_overlap(basis[:6], np.r_[basis[:3], basis[10:13]]) == pytest.approx(0.5)
    by_chance = [subspace_overlap(basis[:6], np.linalg.qr(gaussian(60, 6, seed))[0].T) for seed in range(200)]
    assert np.mean(by_chance) == pytest.approx(6 / 60, rel=0.05)


# As they are used


@pytest.mark.parametrize("block", [64, 1 << 18])
def test_views_are_those_of_the_obvious_code(monkeypatch, block):
    monkeypatch.setattr("paper_code.diagnose.arrays.NUMBERS_AT_ONCE", block)
    matrix = gaussian(203, 6) * [1, 1, 0.1, 0.1, 0.01, 0.01] + [3, 0, 0, 0, 0, 1]
    counts = np.random.default_rng(1).zipf(1.5, 203) - 1
    found = only(diagnose({"table": matrix}, as_used=True, counts=counts)).as_used
    assert list(found) == ["centred", "row_normalised", "shuffled", "weighted"]
    obvious = {
        "centred": matrix - matrix.mean(axis=0),
        "row_normalised": matrix / np.linalg.norm(matrix, axis=1, keepdims=True),
        "weighted": np.repeat(matrix, np.minimum(counts, 50), axis=0),
    }
    weighted = only(diagnose({"table": matrix}, counts=np.minimum(counts, 50))).as_used["weighted"]
    for view, measures in ((view, found[view]) for view in ("centred", "row_normalised")):
        assert measures.information_abundance == pytest.approx(abundance(obvious[view]), rel=1e-9)
    assert weighted.information_abundance == pytest.approx(abundance(obvious["weighted"]), rel=1e-9)


def test_a_common_mean_hides_the_dimensions_and_centring_shows_them():
    found = diagnose({"table": gaussian(500, 8) + 30}, as_used=True)
    table = only(found)
    assert table.verdict == "collapsed"
    assert table.as_used["centred"].share_of_random == pytest.approx(1, abs=0.05)
    assert "in common alone, and not when centred: table" in " ".join(found.reading())


def test_shuffling_undoes_what_columns_have_in_common_and_keeps_their_scales():
    alike = gaussian(900, 1) + 0.01 * gaussian(900, 8, 1)
    scaled = gaussian(900, 8) * np.geomspace(1, 0.001, 8)
    found = {table.name: table for table in diagnose({"alike": alike, "scaled": scaled}, as_used=True).tables}
    assert found["alike"].share_of_random < 0.2
    assert found["alike"].as_used["shuffled"].share_of_random > 0.8
    shuffled = found["scaled"].as_used["shuffled"]
    assert shuffled.information_abundance == pytest.approx(found["scaled"].information_abundance, rel=0.1)


def test_rows_that_are_never_read_do_not_count():
    matrix = np.r_[gaussian(300, 5), 100 * gaussian(1, 5) * np.ones((50, 1))]
    counts = np.r_[np.full(300, 7), np.zeros(50, int)]
    found = only(diagnose({"table": matrix}, counts=counts))
    assert found.share_of_random < 0.3
    assert found.as_used["weighted"].information_abundance == pytest.approx(abundance(matrix[:300]), rel=1e-9)
    assert only(diagnose({"table": matrix}, counts=counts * 1e-200)).as_used["weighted"] == found.as_used["weighted"]


@pytest.mark.parametrize("weights", ["equal", "few", "heavy"])
def test_random_matrices_with_weighted_rows_are_those_drawn(weights):
    draw = np.random.default_rng(3)
    counts = {
        "equal": np.full(400, 3.0),
        "few": np.r_[np.ones(390), np.full(10, 500.0)],
        "heavy": draw.zipf(1.5, 400).clip(max=1000).astype(float),
    }[weights]
    mean, (low, high) = random_weighted(counts, 6)
    drawn = [abundance(gaussian(400, 6, seed) * np.sqrt(counts)[:, None]) for seed in range(300)]
    error = np.std(drawn) * np.sqrt(1 / 300 + 1 / DRAWS)
    assert abs(mean - np.mean(drawn)) < 5 * error
    assert 0.8 < np.mean([low <= one <= high for one in drawn]) <= 1


def test_random_matrices_with_normalised_rows_are_those_drawn_also_where_normal_ones_stand_for_them(monkeypatch):
    mean, interval = random_normalised(2000, 8)
    monkeypatch.setattr("paper_code.diagnose.views.MOST_NUMBERS_DRAWN", 0)
    other, other_interval = random_normalised(2000, 8)
    spread = interval[1] - interval[0]
    assert abs(mean - other) < spread / 3
    assert other_interval[1] - other_interval[0] == pytest.approx(spread, rel=0.5)


def test_counts_belong_to_fields_and_to_tables_by_name():
    matrices = {"a": gaussian(30, 4), "b": gaussian(20, 4)}
    counts = np.r_[np.zeros(10, int), np.arange(1, 21)]
    found = diagnose(matrices, fields=[10, 20], counts={"a": counts})
    never, read, other = found.tables
    assert (dict(never.as_used), dict(other.as_used)) == ({}, {})
    expected = abundance(matrices["a"][10:] * np.sqrt(counts[10:])[:, None])
    assert read.as_used["weighted"].information_abundance == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize(
    ("counts", "words"),
    [
        (np.ones(8), r"8 counts \(--counts\), the tables have as many rows: 9 \(a\)"),
        ({"b": np.ones(9)}, r"counts \(--counts\) of 'b'"),
        ({"a": np.ones(8)}, r"counts \(--counts\) of 'a', 8 of them"),
        (np.full(9, -1), "found numbers from -1 to -1"),
        (np.full(9, np.nan), "found numbers from nan to nan"),
        (np.zeros(9), "found numbers from 0"),
        (np.ones((9, 1)), r"found float64 of shape \(9, 1\)"),
        (np.array(["x"] * 9), "found <U1"),
    ],
)
def test_counts_that_are_none(counts, words):
    with pytest.raises(DiagnosisError, match=words):
        diagnose({"a": gaussian(9, 3)}, counts=counts)


def test_views_of_what_is_zero_or_very_large():
    found = {
        it.name: it
        for it in diagnose({"zeros": np.zeros((9, 3)), "rows": np.eye(3)[[0, 0, 1]] * [1, 0, 0]}, as_used=True).tables
    }
    assert found["zeros"].as_used["row_normalised"].information_abundance is None
    assert found["rows"].as_used["row_normalised"].information_abundance == pytest.approx(1)
    large = only(diagnose({"large": gaussian(50, 3) * 1e300}, as_used=True))
    assert large.as_used["row_normalised"].share_of_random > 0.5


def test_the_text_and_the_json_have_what_was_measured():
    report = diagnose({"table": gaussian(300, 4)}, as_used=True)
    assert "Share of random, as the tables are used:" in str(report)
    (table,) = json.loads(report.to_json())["tables"]
    assert set(table["as_used"]) == {"centred", "row_normalised", "shuffled"}
    assert "directions" not in table
    assert "row-normalised" in report.to_html()
