"""Criteo's integers and its real rows."""

import math

import polars as pl
import pytest

from paper_code.data.criteo import prepare_criteo
from paper_code.data.encoding import integer_token


def tokens_of(values: list[str]) -> list[str]:
    return pl.DataFrame({"value": values}).select(integer_token(pl.col("value")))["value"].to_list()


def test_integers_above_2_become_the_floor_of_their_squared_logarithm():
    values = range(-3, 10**6 + 1)
    expected = [str(math.floor(math.log(v) ** 2)) if v > 2 else str(v) for v in values]
    assert tokens_of([str(v) for v in values]) == expected


def test_a_missing_integer_is_a_value_of_its_own_and_1_and_3_share_one():
    assert tokens_of(["", "1", "3", "0", "-1", "2", "999999999999999999"]) == ["", "1", "1", "0", "-1", "2", "1717"]


def test_real_rows_have_the_known_label_mean_and_39_fields(real_data, tmp_path):
    log = prepare_criteo(real_data / "criteo" / "train_10k.txt", tmp_path / "log").log
    assert log.name == "criteo"
    assert log.threshold == 10
    assert log.ids.shape == (10_000, 39)
    assert [log.fields[i].name for i in (0, 12, 13, 38)] == ["I1", "I13", "C1", "C26"]
    assert log.labels.mean() == pytest.approx(0.218, abs=0.0005)


def test_integers_written_differently_that_share_a_token_are_counted_together(tmp_path):
    values = ["1"] * 4 + ["3"] * 3 + ["01"] * 3 + ["0"] * 9 + ["-0"] + ["5"] * 9
    (tmp_path / "raw").write_text("".join("\t".join(["0", value, *[""] * 38]) + "\n" for value in values))
    log = prepare_criteo(tmp_path / "raw", tmp_path / "log", threshold=10).log
    assert log.ids[:, 0].tolist() == [2] * 10 + [1] * 10 + [0] * 9
    assert log.cardinalities[0] == 3
