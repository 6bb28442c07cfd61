"""Criteo's integers and its real rows."""

import math

import polars as pl
import pytest

from paper_code.data.criteo import prepare_criteo
from paper_code.data.encoding import integer_token


def tokens_of(values: list[str]) -> list[str]:
    return pl.DataFrame({"value": values}).select(integer_token(pl.col("value")))["value"].to_list()


def test_integers_above_2_become_the_floor_of_their_squared_logarithm_and_others_lie_below():
    values = range(-5, 10**6 + 1)
    expected = [str(math.floor(math.log(v) ** 2)) if v > 2 else str(v - 2) for v in values]
    assert tokens_of([str(v) for v in values]) == expected


def test_integers_up_to_2_and_a_missing_one_are_values_of_their_own():
    values = ["", *map(str, range(-5, 1000))]
    own = tokens_of(values)[: values.index("3")]
    assert len({*own}) == len(own) == 9
    assert not {*own} & {*tokens_of(values[values.index("3") :])}
    assert tokens_of(["2", "1", "0", "-1", "3", "4", "5", "999999999999999999"]) == [
        *("0", "-1", "-2", "-3", "1", "1", "2", "1717")
    ]


def test_the_partition_of_real_rows_is_that_of_an_obvious_count(real_data, tmp_path):
    """All 39 fields: two rows have one id if, and only if, the released code's rule gives them one value."""
    log = prepare_criteo(real_data / "criteo" / "train_10k.txt", tmp_path / "log", threshold=1).log
    with open(real_data / "criteo" / "train_10k.txt", encoding="utf-8") as file:
        lines = [line.rstrip("\n").split("\t") for line in file]
    for field in range(39):
        values = [line[1 + field] for line in lines]
        if field < 13:
            numbers = [int(value) if value else None for value in values]
            values = [
                "none" if v is None else f"small {v}" if v <= 2 else f"bucket {int(math.log(v) * math.log(v))}"
                for v in numbers
            ]
        ids = log.ids[:, field].tolist()
        assert len({*values}) == len({*ids}) == len({*zip(values, ids, strict=True)}) == log.cardinalities[field] - 1


def test_real_rows_have_the_known_label_mean_and_39_fields(real_data, tmp_path):
    log = prepare_criteo(real_data / "criteo" / "train_10k.txt", tmp_path / "log").log
    assert log.name == "criteo"
    assert log.threshold == 10
    assert log.ids.shape == (10_000, 39)
    assert [log.fields[i].name for i in (0, 12, 13, 38)] == ["I1", "I13", "C1", "C26"]
    assert log.labels.mean() == pytest.approx(0.218, abs=0.0005)


def test_integers_written_differently_that_share_a_token_are_counted_together(tmp_path):
    values = ["4"] * 4 + ["3"] * 3 + ["03"] * 3 + ["0"] * 9 + ["-0"] + ["5"] * 9
    rows = ["\t".join([str(i % 2), value, *[""] * 38]) for i, value in enumerate(values)]
    (tmp_path / "raw").write_text("\n".join(rows))
    log = prepare_criteo(tmp_path / "raw", tmp_path / "log", threshold=10).log
    assert log.ids[:, 0].tolist() == [2] * 10 + [1] * 10 + [0] * 9
    assert log.cardinalities[0] == 3
