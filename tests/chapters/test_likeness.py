"""What a synthetic log should share with a real one is measured right, and the committed numbers are those shown."""

from itertools import combinations

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from paper_code.chapters import synthetic_logs
from paper_code.chapters.synthetic_logs import MEASURES, dependence, entropy, information, one_hot, predicted_auc
from paper_code.data import SYNTHETIC_LOGS, ClickLog, Field


def log_of(columns: list[np.ndarray], labels: np.ndarray) -> ClickLog:
    fields = tuple(Field(f"field {i}", int(column.max()) + 1) for i, column in enumerate(columns))
    return ClickLog("log", fields, np.stack(columns, axis=1).astype(np.int32), labels.astype(np.uint8), 1, {})


def test_the_entropy_of_equal_cells_is_the_logarithm_of_their_number():
    assert entropy(np.full(8, 5)) == pytest.approx(3)
    assert entropy(np.array([7, 0, 0])) == 0
    assert entropy(np.array([1, 1, 2])) == pytest.approx(1.5)


def test_information_is_the_mutual_information_where_rates_are_well_known():
    """Two values of click rates .1 and .5, as frequent: I(X; Y) / H(Y), within four standard errors of 100,000 rows."""
    rng = np.random.default_rng(0)
    value = rng.integers(2, size=100_000)
    labels = (rng.random(100_000) < np.where(value, 0.5, 0.1)).astype(np.uint8)

    def h(p: float) -> float:
        return -(p * np.log2(p) + (1 - p) * np.log2(1 - p))

    expected = (h(0.3) - (h(0.1) + h(0.5)) / 2) / h(0.3)
    assert information(value, 2, labels) == pytest.approx(expected, abs=0.006)
    assert abs(information(rng.permutation(value), 2, labels)) < 0.001


def test_a_field_that_never_repeats_tells_nothing():
    """Where counting would find all of the label's entropy."""
    labels = np.random.default_rng(0).integers(2, size=2_000).astype(np.uint8)
    assert abs(information(np.arange(2_000), 2_000, labels)) < 0.01


def test_dependence_is_none_of_independent_fields_and_all_of_functions():
    rng = np.random.default_rng(0)
    fine = rng.integers(40, size=20_000)
    other, unique = rng.integers(40, size=20_000), rng.permutation(20_000)
    ids = np.stack([fine, fine // 8, other, unique], axis=1).astype(np.int32)
    entropies = np.array([entropy(np.bincount(column)) for column in ids.T])
    table = dependence(ids, entropies, rng).set_index(["first", "second"])
    assert table.loc[(0, 1), "dependence"] == pytest.approx(1)
    assert table.loc[(0, 1), "determined"] == 1  # the coarse one
    for pair in ((0, 2), (1, 2), (0, 3), (2, 3)):
        assert abs(table.loc[pair, "dependence"]) < 0.02
        assert table.loc[pair, "determined"] == -1


def test_a_label_of_pairs_alone_is_seen_with_pairs_only():
    rng = np.random.default_rng(0)
    columns = [rng.integers(4, size=4_000) for _ in range(3)]
    probability = np.where((columns[0] + columns[1]) % 2, 0.8, 0.2)
    log = log_of(columns, rng.random(4_000) < probability)
    assert predicted_auc(log, with_pairs=False) == pytest.approx(0.5, abs=0.04)
    assert predicted_auc(log, with_pairs=True) == pytest.approx(roc_auc_score(log.labels, probability), abs=0.02)


def test_columns_stand_for_values_and_for_pairs_of_values():
    rng = np.random.default_rng(0)
    log = log_of([rng.integers(size, size=200) for size in (3, 7, 2)], rng.integers(2, size=200))
    features = one_hot(log, with_pairs=True)
    assert features.shape == (200, 12 + synthetic_logs.PAIR_BUCKETS)
    assert (features.sum(axis=1) == 3 + 3).all()
    plain = features[:, :12].toarray()
    for row, ids in zip(plain, log.ids, strict=True):
        assert np.flatnonzero(row).tolist() == [ids[0], 3 + ids[1], 10 + ids[2]]
    # as many buckets as pairs of values that occur: none of so few is shared
    expected = sum(len(np.unique(log.ids[:, pair], axis=0)) for pair in map(list, combinations(range(3), 2)))
    assert len(np.unique(features[:, 12:].indices)) == expected
    assert one_hot(log, with_pairs=False).shape == (200, 12)


def test_every_measure_of_a_log_is_there(monkeypatch):
    monkeypatch.setattr(synthetic_logs, "PENALTIES", {False: (0.1,), True: (0.01,)})
    monkeypatch.setattr(synthetic_logs, "PAIR_BUCKETS", 1 << 12)
    log = SYNTHETIC_LOGS["criteo_like"](0, 3_000, 0)
    values, fields = synthetic_logs.likeness(log)
    assert list(values) == list(MEASURES)
    assert np.isfinite(list(values.values())).all()
    assert values["rows_per_value"] == 3_000 / sum(log.cardinalities)
    counts = [np.bincount(ids, minlength=size)[ids] for ids, size in zip(log.ids.T, log.cardinalities, strict=True)]
    for bound in (100, 1_000):
        assert values[f"reads_below_{bound}"] == pytest.approx(np.mean([(of < bound).mean() for of in counts]))
    assert values["shared_id_reads"] == pytest.approx((log.ids == 0).mean())
    assert fields["field"].tolist() == [field.name for field in log.fields]


# The committed numbers


def test_the_committed_numbers_are_of_logs_with_as_many_rows():
    table = synthetic_logs.committed()
    assert [(row.log, row.rows) for row in table.itertuples()] == [
        *(("criteo_80k", 80_000), ("criteo_like", 80_000), ("criteo_like", 200_000)),
        *(("avazu_6k", 6_000), ("avazu_like", 6_000), ("avazu_like", 200_000)),
    ]
    assert set(MEASURES) <= set(table.columns)
    assert table["source"].str.startswith(("SHA-256", "seed 0")).all()
    fields = synthetic_logs.committed("likeness_fields")
    assert fields.groupby(["log", "rows"]).size().to_dict() == {
        (row.log, row.rows): row.fields for row in table.itertuples()
    }


def test_the_committed_numbers_of_a_synthetic_log_are_its_own():
    fields = synthetic_logs.committed("likeness_fields").query("log == 'avazu_like' and rows == 6000")
    found = synthetic_logs.field_table(SYNTHETIC_LOGS["avazu_like"](0, 6_000, 0)).set_index("field")
    expected = fields.set_index("field").drop(columns=["log", "rows"])
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4)


def test_the_table_has_a_row_per_measure_and_a_column_per_log():
    table = synthetic_logs.likeness_table()
    assert table[""].tolist() == list(MEASURES.values())
    assert table.shape == (len(MEASURES), 7)
    assert table.set_index("").loc["rows per value", "criteo_like, 200,000 rows"] == "42.0"
    assert len(synthetic_logs.fields_text()) == len(synthetic_logs.committed("likeness_fields"))


@pytest.mark.parametrize(("real", "like"), [("criteo_80k", "criteo_like"), ("avazu_6k", "avazu_like")])
def test_what_the_page_says_fits_and_does_not(real, like):
    table = synthetic_logs.committed().set_index(["log", "rows"])
    theirs = table.loc[real].iloc[0]
    same_rows, regime = (table.loc[(like, rows)] for rows in (theirs.name, 200_000))
    assert theirs["shared_id_reads"] > 0.05
    assert regime["shared_id_reads"] == 0
    assert theirs["most_frequent"] > 2 * same_rows["most_frequent"]
    assert theirs["evenness"] < same_rows["evenness"] - 0.15
    assert theirs["information_median"] > 1.5 * same_rows["information_median"]
    assert theirs["information_best"] > 1.5 * same_rows["information_best"]
    assert theirs["auc_linear"] > same_rows["auc_linear"] + 0.03
    assert theirs["determined_fields"] < same_rows["determined_fields"]
    if like == "criteo_like":
        assert same_rows["shared_id_reads"] < 0.01
        assert theirs["gain_of_pairs"] < 0.003
        assert same_rows["gain_of_pairs"] > 0.02
        assert same_rows["reads_below_1000"] == pytest.approx(theirs["reads_below_1000"], rel=0.1)
        assert same_rows["entropy"] == pytest.approx(theirs["entropy"], rel=0.2)
        assert same_rows["dependence"] == pytest.approx(theirs["dependence"], abs=0.05)
    else:
        assert theirs["dependence"] > same_rows["dependence"] + 0.1
