"""Avazu's header and its real rows."""

import numpy as np
import pytest

from paper_code.data.avazu import AVAZU, prepare_avazu
from paper_code.data.raw import MalformedLogError

COLUMNS = [AVAZU.label, *AVAZU.fields]


def write(path, columns: list[str], rows: int = 3):
    """A log in which each value names its row and column."""
    lines = [columns]
    for row in range(rows):
        lines.append([str(row % 2) if column == AVAZU.label else f"{row} {column}" for column in columns])
    path.write_text("\n".join(",".join(line) for line in lines), encoding="utf-8")
    return path


def test_columns_are_found_by_name_in_any_order_among_others(tmp_path):
    expected = prepare_avazu(write(tmp_path / "plain", COLUMNS), tmp_path / "expected", threshold=1).log
    shuffled = ["id", *reversed(COLUMNS), "extra", "extra"]
    log = prepare_avazu(write(tmp_path / "shuffled", shuffled), tmp_path / "log", threshold=1).log
    assert log.fields == expected.fields
    assert [field.name for field in log.fields] == list(AVAZU.fields)
    np.testing.assert_array_equal(log.ids, expected.ids)
    np.testing.assert_array_equal(log.labels, expected.labels)


@pytest.mark.parametrize("column", COLUMNS)
@pytest.mark.parametrize("on_bad_lines", ["error", "skip"])
def test_a_missing_column_is_named(tmp_path, column, on_bad_lines):
    path = write(tmp_path / "raw", [name for name in COLUMNS if name != column])
    with pytest.raises(
        MalformedLogError, match=f"raw: line 1: found the header .* not name {column}, expected a header"
    ):
        prepare_avazu(path, tmp_path / "log", on_bad_lines=on_bad_lines)
    assert list(tmp_path.iterdir()) == [path]


def test_a_repeated_column_is_named(tmp_path):
    with pytest.raises(MalformedLogError, match=r"line 1: found the header .* names hour more than once, expected"):
        prepare_avazu(write(tmp_path / "raw", [*COLUMNS, "hour"]), tmp_path / "log")


def test_a_header_that_is_not_text_is_refused(tmp_path):
    (tmp_path / "raw").write_bytes(b"\xff\xfd\0\n0\n")
    with pytest.raises(MalformedLogError, match=r"line 1: found bytes that are not text .*, expected a header"):
        prepare_avazu(tmp_path / "raw", tmp_path / "log", on_bad_lines="skip")


def test_real_rows_have_the_known_label_mean_and_22_fields(real_data, tmp_path):
    log = prepare_avazu(real_data / "avazu" / "train_6k.csv", tmp_path / "log").log
    assert log.name == "avazu"
    assert log.threshold == 4
    assert log.ids.shape == (6_000, 22)
    assert [log.fields[i].name for i in (0, 1, 21)] == ["hour", "C1", "C21"]
    assert log.labels.mean() == pytest.approx(0.1745, abs=0.0005)
