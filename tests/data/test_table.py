"""A table of any layout is encoded as it says, its split is kept, and what does not fit is named."""

import csv
import errno
import functools
import gzip
import io
import math
import random
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from paper_code.data import encoding, load_click_log, prepare_avazu, prepare_criteo, prepare_table, table
from paper_code.data.avazu import AVAZU
from paper_code.data.click_log import split_rows
from paper_code.data.criteo import CATEGORICAL_FIELDS, INTEGER_FIELDS

ROWS = 120


def criteo_rows(rows: int = ROWS) -> list[list[str]]:
    draw = random.Random(0)
    return [
        [
            str(draw.randrange(2)),
            *(draw.choice(["", "-2", "0", "1", "2", "3", "7", "12", "150", "20000"]) for _ in INTEGER_FIELDS),
            *(draw.choice(["", "68fd1e64", "80e26c9b", "fb936136"]) for _ in CATEGORICAL_FIELDS),
        ]
        for _ in range(rows)
    ]


def write(path, lines: list[list[str]], separator: str = ","):
    path.write_text("".join(f"{separator.join(line)}\n" for line in lines), encoding="utf-8")
    return path


def write_parts(folder, header: list[str], rows: list[list[str]]) -> list:
    """train.csv, valid.csv and test.csv of reczoo: 80, 20 and 20 rows."""
    parts = {"train.csv": rows[:80], "valid.csv": rows[80:100], "test.csv": rows[100:]}
    return [write(folder / name, [header, *part]) for name, part in parts.items()]


# Layouts of others


def test_criteo_x4_is_encoded_as_the_raw_log(tmp_path):
    """reczoo's Criteo_x4: commas, a header that begins with Label, the values as they are."""
    rows = criteo_rows()
    paths = write_parts(tmp_path, ["Label", *INTEGER_FIELDS, *CATEGORICAL_FIELDS], rows)
    log = prepare_table(paths, tmp_path / "log", label="Label", numeric=INTEGER_FIELDS, threshold=3)
    raw = prepare_criteo(write(tmp_path / "train.txt", rows, "\t"), tmp_path / "raw", threshold=3).log
    assert log.fields == raw.fields
    np.testing.assert_array_equal(log.ids, raw.ids)
    np.testing.assert_array_equal(log.labels, raw.labels)
    assert log.parts == (80, 20, 20)


def test_avazu_x4_is_encoded_as_the_raw_log(tmp_path):
    """reczoo's Avazu_x4: the columns of the contest, id and click first."""
    draw = random.Random(1)
    rows = [
        [f"{10**18 + row}", str(row % 3 == 0).replace("True", "1").replace("False", "0")]
        + [f"{draw.randrange(4)}x" for _ in AVAZU.fields]
        for row in range(ROWS)
    ]
    header = ["id", "click", *AVAZU.fields]
    paths = write_parts(tmp_path, header, rows)
    log = prepare_table(paths, tmp_path / "log", label="click", drop=["id"], threshold=4)
    raw = prepare_avazu(write(tmp_path / "raw.csv", [header, *rows]), tmp_path / "raw").log
    assert log.fields == raw.fields
    np.testing.assert_array_equal(log.ids, raw.ids)
    np.testing.assert_array_equal(log.labels, raw.labels)


def test_frappe_x1_keeps_its_split(tmp_path):
    """reczoo's Frappe_x1: label, then numbers that stand for the values."""
    names = ["user", "item", "daytime", "weekday", "isweekend", "homework", "cost", "weather", "country", "city"]
    rows = [[str(row % 2), *(str((row * 13 + k) % (k + 2)) for k in range(10))] for row in range(ROWS)]
    paths = write_parts(tmp_path, ["label", *names], rows)
    log = prepare_table(paths, tmp_path / "log", label="label", threshold=1)
    assert [field.name for field in log.fields] == names
    assert log.cardinalities == [k + 3 for k in range(10)]  # one more than values: id 0 is always there
    for seed in (0, 5):
        split = log.split(seed)
        assert sorted(split.train) == list(range(80))
        assert split.validation.tolist() == list(range(80, 100))
        assert split.test.tolist() == list(range(100, 120))
    assert load_click_log(tmp_path / "log").parts == (80, 20, 20)


def test_the_real_rows_of_both_layouts(real_data, tmp_path):
    """Avazu's own file is such a table; Criteo's becomes one with a header."""
    avazu = real_data / "avazu" / "train_6k.csv"
    log = prepare_table(avazu, tmp_path / "log", label="click", drop=["id"], threshold=4)
    np.testing.assert_array_equal(log.ids, prepare_avazu(avazu, tmp_path / "raw").log.ids)
    criteo = real_data / "criteo" / "train_10k.txt"
    header = "\t".join(["label", *INTEGER_FIELDS, *CATEGORICAL_FIELDS])
    (tmp_path / "with_header.txt").write_text(f"{header}\n{criteo.read_text()}")
    log = prepare_table(tmp_path / "with_header.txt", tmp_path / "log", label="label", numeric=INTEGER_FIELDS)
    np.testing.assert_array_equal(log.ids, prepare_criteo(criteo, tmp_path / "raw").log.ids)


# How a table is written does not matter


@functools.cache
def frame() -> pl.DataFrame:
    return pl.DataFrame(
        {
            "click": [0, 1, 0, 1] * 10,
            "price": [1.0, 2.5, None, 7.0, 7.9, 1e3, -3.2, 0.0] * 5,
            "site": ["a, b", None, 'say "x"', "a", "ü"] * 8,
            "hour": [3, None, 14, 3, 15] * 8,
        }
    )


def as_csv(**options) -> bytes:
    return frame().write_csv(**options).encode()


# Made when they are asked for: the threads of polars, which the first would start, do not outlive the fork of a mutant.
FORMS = {
    "quoted.csv": lambda: as_csv(quote_style="always"),
    "tabs.tsv": lambda: as_csv(separator="\t"),
    "semicolons.csv": lambda: as_csv(separator=";"),
    "bars.txt": lambda: as_csv(separator="|"),
    "windows.csv": lambda: as_csv(line_terminator="\r\n"),
    "byte_order_mark.csv": lambda: b"\xef\xbb\xbf" + as_csv(),
    "no_last_line_end.csv": lambda: as_csv().rstrip(b"\n"),
    "blank_lines.csv": lambda: as_csv() + b"\n\n",
    "compressed": lambda: gzip.compress(as_csv()),
    "float_label.csv": lambda: as_csv().replace(b"\n0,", b"\n0.0,").replace(b"\n1,", b"\n1.0,"),
    "other_order.csv": lambda: frame().select("hour", "click", "site", "price").write_csv().encode(),
}


@pytest.mark.parametrize("form", [*FORMS, "parquet", "boolean_label.parquet"])
def test_every_form_gives_the_same_log(tmp_path, form):
    (tmp_path / "plain.csv").write_bytes(as_csv())
    expected = prepare_table(tmp_path / "plain.csv", tmp_path / "log", label="click", numeric=["price"], threshold=2)
    ids = {field.name: column for field, column in zip(expected.fields, expected.ids.T, strict=True)}
    if "parquet" in form:
        kind = pl.Boolean if "boolean" in form else pl.Int64
        frame().with_columns(pl.col("click").cast(kind)).write_parquet(tmp_path / form)
    else:
        (tmp_path / form).write_bytes(FORMS[form]())
    log = prepare_table(tmp_path / form, tmp_path / "log", label="click", numeric=["price"], threshold=2)
    assert {field.name for field in log.fields} == {"price", "site", "hour"}
    for field, column in zip(log.fields, log.ids.T, strict=True):
        np.testing.assert_array_equal(column, ids[field.name])
    np.testing.assert_array_equal(log.labels, frame()["click"].to_numpy())


# A reader of one value at a time


def tokens_of(values: list[str], numeric: bool) -> list[str]:
    if not numeric:
        return values
    numbers = [None if value.strip() in ("", "NaN", "null") else math.floor(float(value)) for value in values]
    return ["" if v is None else str(math.floor(math.log(v) ** 2) if v > 2 else v - 2) for v in numbers]


def ids_row_by_row(tokens: list[str], counted: list[int], threshold: int) -> tuple[list[int], int]:
    """The ids, and how many there are; counted: the rows that count."""
    counts = Counter(tokens[row] for row in counted)
    kept = sorted((token for token in counts if counts[token] >= threshold), key=lambda t: (-counts[t], t))
    return [kept.index(token) + 1 if token in kept else 0 for token in tokens], len(kept) + 1


def write_as(path: Path, columns: list[str], rows: list[dict], form: str) -> None:
    """The rows as Parquet or, separated by the form's first character, as text: with all values quoted, if the form
    says so, or compressed."""
    if form == "parquet":
        frame = pl.DataFrame(
            {column: [row[column] or None for row in rows] for column in columns}, dict.fromkeys(columns, pl.String)
        )
        return frame.write_parquet(path, row_group_size=3)
    text = io.StringIO()
    quoting = csv.QUOTE_ALL if "quoted" in form else csv.QUOTE_MINIMAL
    writer = csv.writer(text, delimiter=form[0], quoting=quoting, lineterminator="\r\n" if "windows" in form else "\n")
    writer.writerows([columns, *([row[column] for column in columns] for row in rows)])
    stored = text.getvalue().encode()
    path.write_bytes(gzip.compress(stored) if "compressed" in form else stored)


VALUES = {
    "label": st.sampled_from(["0", "1", "0.0", "1.0", " 1"]),
    "text": st.text("ab,\t\"'; é", max_size=3),
    "any": st.text(st.characters(exclude_characters="\0\r\n", exclude_categories=["Cs"]), max_size=4),
    "number": st.sampled_from(["", "NaN", " null", "-0.5", "1.0", " 7.9", "1e3", "+2"])
    | (st.integers(-2, 9) | st.integers(-(10**9), 10**17)).map(str),
    "id": st.just("7"),
}
FORMS_OF_ANY = [",", "\t", ";quoted", "|windows", ",compressed", "parquet"]


@settings(deadline=None, max_examples=60)
@given(data=st.data())
def test_any_table_is_encoded_as_value_by_value(tmp_path_factory, data):
    """Whatever the values, the form, the order of the columns, the split, what counts, and the size of a block."""
    folder, rows, parts, fields = tmp_path_factory.mktemp("any"), [], [], []
    for number in range(data.draw(st.sampled_from([1, 3]), "files")):
        part = data.draw(st.lists(st.fixed_dictionaries(VALUES), min_size=2, max_size=25), "rows")
        part[0]["label"], part[1]["label"] = "0", "1"
        columns = data.draw(st.permutations([*VALUES]), "columns")
        fields = fields or [column for column in columns if column not in ("label", "id")]
        write_as(folder / str(number), columns, part, data.draw(st.sampled_from(FORMS_OF_ANY), "form"))
        rows += part
        parts.append(len(part))
    threshold, vocabulary = data.draw(st.integers(1, 4)), data.draw(st.sampled_from(["all", "train"]))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(table, "CSV_BLOCK_BYTES", data.draw(st.integers(60, 300), "bytes of a block"))
        log = prepare_table(
            [folder / str(number) for number in range(len(parts))],
            folder / "log",
            label="label",
            drop=["id"],
            numeric=["number"],
            threshold=threshold,
            vocabulary=vocabulary,
            split_seed=3,
        )
    if vocabulary == "all":
        counted = range(len(rows))
    else:
        counted = split_rows(len(rows), 3).train if len(parts) == 1 else range(parts[0])
    assert log.labels.tolist() == [int(float(row["label"])) for row in rows]
    assert [field.name for field in log.fields] == fields
    for field, ids in zip(log.fields, log.ids.T, strict=True):
        tokens = tokens_of([row[field.name] for row in rows], field.name == "number")
        assert (ids.tolist(), field.cardinality) == ids_row_by_row(tokens, counted, threshold)
    assert log.parts == (tuple(parts) if len(parts) == 3 else None)


def test_many_row_groups_and_slices(tmp_path, monkeypatch):
    monkeypatch.setattr(table, "SLICE_ROWS", 64)
    monkeypatch.setattr(table, "BATCH_ROWS", 10)
    frame = pl.DataFrame({"label": [0, 1] * 500, "x": np.arange(1_000) % 7})
    frame.write_parquet(tmp_path / "raw.parquet", row_group_size=37)
    log = prepare_table(tmp_path / "raw.parquet", tmp_path / "log", label="label", threshold=1)
    assert log.ids[:, 0].tolist() == [1 + row % 7 for row in range(1_000)]  # ties by the text
    assert log.labels.tolist() == [0, 1] * 500


# Numbers


def ids_of(tmp_path, texts: list[str], **options) -> list[int]:
    lines = [["label", "n"], *([str(row % 2), text] for row, text in enumerate(texts))]
    return prepare_table(write(tmp_path / "n.csv", lines), tmp_path / "log", label="label", threshold=1, **options)


def test_a_number_is_rounded_down_and_a_missing_one_is_a_value_of_its_own(tmp_path):
    texts = ["7", "7.0", " 7.9", "-0.5", "-1", "", "NaN", "NULL", r"\N", "1e2", "100", "123456789012345678"]
    one, two, three, minus, minus_one, *missing, hundred, also_hundred, large = (
        ids_of(tmp_path, texts, numeric=["n"]).ids[:, 0].tolist()
    )
    assert one == two == three
    assert minus == minus_one
    assert len(set(missing)) == 1
    assert hundred == also_hundred
    assert len({one, minus, missing[0], hundred, large}) == 5
    as_text = ["7", "7.0", " 7.9", "-0.5", "-1", "", "1e2", "100"]
    assert len(set(ids_of(tmp_path, as_text).ids[:, 0].tolist())) == len(as_text)


# Splits and vocabularies


def three_files(folder) -> list:
    header = ["click", "site"]
    return [
        write(folder / "train.csv", [header, ["0", "a"], ["1", "b"], ["1", "a"]]),
        write(folder / "valid.csv", [header[::-1], ["c", "0"], ["a", "1"]]),
        write(folder / "test.csv", [header, ["0", "c"], ["1", "b"]]),
    ]


def test_the_vocabulary_of_a_given_split_is_that_of_its_training_file(tmp_path):
    paths = three_files(tmp_path)
    log = prepare_table(paths, tmp_path / "all", label="click", threshold=1)
    assert log.ids[:, 0].tolist() == [1, 2, 1, 3, 1, 3, 2]
    of_train = prepare_table(paths, tmp_path / "train", label="click", threshold=1, vocabulary="train")
    assert of_train.ids[:, 0].tolist() == [1, 2, 1, 0, 1, 0, 2]
    assert of_train.parts == log.parts == (3, 2, 2)
    assert of_train.fingerprint != log.fingerprint


def test_the_vocabulary_of_one_file_is_that_of_the_training_rows_of_its_split(tmp_path):
    lines = [["click", "site"], *([str(row % 2), str(row)] for row in range(50))]
    log = prepare_table(
        write(tmp_path / "raw.csv", lines),
        tmp_path / "log",
        label="click",
        threshold=1,
        vocabulary="train",
        split_seed=4,
    )
    split = log.split(4)
    assert (log.ids[split.train] > 0).all()
    assert (log.ids[[*split.validation, *split.test]] == 0).all()
    assert log.source["split_seed"] == 4


def test_the_log_says_what_it_was_made_of(tmp_path):
    paths = three_files(tmp_path)
    log = prepare_table(paths, tmp_path / "log", label="click")
    assert log.source["file"] == "train.csv, valid.csv, test.csv"
    assert len(set(log.source["sha256"])) == 3
    assert log.source["label"] == "click"
    assert prepare_table(paths, tmp_path / "log", label="click", numeric=[]).fingerprint == log.fingerprint
    paths[2].write_text("click,site\n0,c\n1,a\n")
    assert prepare_table(paths, tmp_path / "log", label="click").fingerprint != log.fingerprint


# What does not fit


@pytest.mark.parametrize(
    ("text", "options", "words"),
    [
        (
            "a,b\n0,x\n1,y\n",
            {},
            "raw: found the columns a, b, expected also 'click', given as --label; is there a header",
        ),
        ("click,b\n0,x\n1,y\n", {"drop": ["id"]}, "found the columns click, b, expected also 'id', given as --drop"),
        ("click,b\n0,x\n1,y\n", {"numeric": ["n"]}, "expected also 'n', given as --numeric"),
        ("click,b\n0,x\n1,y\n", {"drop": ["b"]}, "found the columns click, b, expected one more than the label"),
        ("click,b\n0,x\n1,y\n", {"drop": ["b"], "numeric": ["b"]}, "b is given twice"),
        ("click,b,b\n0,x,y\n1,y,y\n", {}, "found several columns 'b', expected each name once"),
        ("click,b\n0,x\n1,y\n-1,z\n", {}, "raw: line 4: found '-1' in column click, expected 0 or 1"),
        ("click,b\n0,x\n1,y\n,z\n", {}, "raw: line 4: found '' in column click, expected 0 or 1"),
        ("click,b\n0,x\n1,y\n0.5,z\n", {}, "raw: line 4: found '0.5' in column click"),
        ("click,b\n0,1\n1,two\n", {"numeric": ["b"]}, "raw: line 3: found 'two' in column b, expected a number"),
        ("click,b\n0,1\n1,inf\n", {"numeric": ["b"]}, "raw: line 3: found 'inf' in column b, expected a number"),
        ("click,b\n0,x\n0,y\n", {}, "raw: found .*label 0, expected rows of both labels"),
        ("click,b\n", {}, "raw: found no row, expected rows of both labels"),
        ("", {}, "raw: Empty CSV file"),
        ("click,b\n0,x\n1\n", {}, "raw: line 3: Expected 2 columns, got 1: 1"),
        ("click,b\n0,x\n1,y,z\n", {}, "raw: line 3: Expected 2 columns, got 3: 1,y,z"),
        (
            'click,b\n0,x\n1,"y\n0,z\n',
            {},
            "raw: line 3: found .* in column b, expected none with a line break: is a quote",
        ),
        ("click,b\n0,x\n1,y\n", {"threshold": 0}, "threshold is 0"),
        ("click,b\n0,x\n1,y\n", {"vocabulary": "test"}, "vocabulary is 'test'"),
        ("PK\x03\x04 ", {}, "raw: is a zip archive, expected a CSV or Parquet file: unpack it"),
        ("PAR1 and no more", {}, "raw: not a Parquet file, or a damaged one"),
    ],
)
def test_what_does_not_fit_is_named_and_the_earlier_log_stays(tmp_path, text, options, words):
    write(tmp_path / "good", [["click", "b"], ["0", "x"], ["1", "y"]])
    before = prepare_table(tmp_path / "good", tmp_path / "log", label="click").fingerprint
    (tmp_path / "raw").write_text(text)
    with pytest.raises(ValueError, match=words):
        prepare_table(tmp_path / "raw", tmp_path / "log", label="click", **options)
    assert load_click_log(tmp_path / "log").fingerprint == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["good", "log", "raw"]


def test_text_that_is_none_and_broken_compression_are_named(tmp_path):
    raw = tmp_path / "raw"
    raw.write_bytes(b"click,b\n0,x\n1,\xff\n")
    with pytest.raises(ValueError, match=r"raw: .*invalid UTF8"):
        prepare_table(raw, tmp_path / "log", label="click")
    raw.write_bytes(b"click,\xe9\n0,x\n1,y\n")
    with pytest.raises(ValueError, match=r"raw: line 1: found bytes that are not text"):
        prepare_table(raw, tmp_path / "log", label="click")
    raw.write_bytes(gzip.compress(b"click,b\n" + b"0,x\n1,y\n" * 1_000)[:-9])
    with pytest.raises(ValueError, match="raw: a broken gzip file"):
        prepare_table(raw, tmp_path / "log", label="click")
    with pytest.raises(FileNotFoundError, match="absent"):
        prepare_table(tmp_path / "absent", tmp_path / "log", label="click")


def test_the_line_of_an_error_is_right_after_many_blocks(tmp_path, monkeypatch):
    monkeypatch.setattr(table, "CSV_BLOCK_BYTES", 1_000)
    lines = [["click", "b"], *([str(row % 2), "x"] for row in range(4_000))]
    lines[3_210] = ["2", "x"]
    with pytest.raises(ValueError, match="line 3211: found '2'"):
        prepare_table(write(tmp_path / "raw", lines), tmp_path / "log", label="click")
    lines[3_210] = ["1"]
    with pytest.raises(ValueError, match="line 3211: Expected 2 columns"):
        prepare_table(write(tmp_path / "raw", lines), tmp_path / "log", label="click")
    lines[3_210] = ["1", '"x\n"']
    with pytest.raises(ValueError, match=r"line 3211: found .* in column b, expected none with a line break"):
        prepare_table(write(tmp_path / "raw", lines), tmp_path / "log", label="click")


def test_a_full_disk_is_explained_with_the_bytes_a_row_takes(tmp_path, monkeypatch):
    """Four of each of two ids and one of the label."""

    def fail(self, rows):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(encoding.ArrayFile, "append", fail)
    raw = write(tmp_path / "raw", [["click", "a", "b"], ["0", "x", "y"], ["1", "x", "y"]])
    with pytest.raises(OSError, match=f"No space left on device: {tmp_path / 'log'} needs 9 bytes a row"):
        prepare_table(raw, tmp_path / "log", label="click")


def test_progress_is_shown_on_a_terminal_if_asked(tmp_path, monkeypatch):
    raw = write(tmp_path / "raw.csv", [["click", "b"], ["0", "x"], ["1", "y"]])
    shown = {}
    for progress in (True, False):
        terminal = io.StringIO()
        terminal.isatty = lambda: True
        monkeypatch.setattr(sys, "stderr", terminal)
        prepare_table(raw, tmp_path / "log", label="click", progress=progress)
        shown[progress] = terminal.getvalue()
    assert shown[False] == ""
    for bar in ("raw.csv: 2.00 rows", "counting: 100%", "ids: 100%", "8192/8192", "rows/s"):
        assert bar in shown[True]


def test_parquet_that_does_not_fit_is_named_by_its_row(tmp_path):
    path = tmp_path / "raw"
    pl.DataFrame({"click": [0, 1, 3], "b": [1, 2, 3]}).write_parquet(path)
    with pytest.raises(ValueError, match="raw: row 3: found '3' in column click, expected 0 or 1"):
        prepare_table(path, tmp_path / "log", label="click")
    pl.DataFrame({"click": [0, 1], "b": [[1], [2]]}).write_parquet(path)
    with pytest.raises(ValueError, match="raw: column b holds lists or structures"):
        prepare_table(path, tmp_path / "log", label="click")
    buffer = io.BytesIO()
    pl.DataFrame({"click": [0, 1] * 500, "b": range(1_000)}).write_parquet(buffer)
    path.write_bytes(buffer.getvalue()[:200])
    with pytest.raises(ValueError, match="raw: not a Parquet file, or a damaged one"):
        prepare_table(path, tmp_path / "log", label="click")


def test_files_of_a_split_must_have_the_same_columns_and_both_labels(tmp_path):
    paths = three_files(tmp_path)
    with pytest.raises(ValueError, match="2 files, expected one, or three"):
        prepare_table(paths[:2], tmp_path / "log", label="click")
    paths[1].write_text("click,site,id\n0,a,1\n1,b,2\n")
    with pytest.raises(ValueError, match=r"valid\.csv: id is a column of this file or of .*train\.csv, not of both"):
        prepare_table(paths, tmp_path / "log", label="click")
    paths[2].write_text("click,page\n0,c\n1,b\n")
    with pytest.raises(ValueError, match=r"valid\.csv: id is a column"):
        prepare_table(paths, tmp_path / "log", label="click")
    paths[1].write_text("click,site\n0,a\n0,b\n")
    with pytest.raises(ValueError, match=r"test\.csv: page, site is a column"):
        prepare_table(paths, tmp_path / "log", label="click")
    paths[2].write_text("click,site\n0,c\n1,b\n")
    with pytest.raises(ValueError, match=r"valid\.csv: found .*label 0, expected rows of both labels"):
        prepare_table(paths, tmp_path / "log", label="click")


def test_the_raw_table_is_not_replaced_by_the_log(tmp_path):
    (tmp_path / "log").mkdir()
    raw = write(tmp_path / "log" / "raw.csv", [["click", "b"], ["0", "x"], ["1", "y"]])
    (tmp_path / "log" / "log.json").write_text("{}")
    with pytest.raises(ValueError, match="which is to be replaced"):
        prepare_table(raw, tmp_path / "log", label="click")
    assert raw.is_file()
