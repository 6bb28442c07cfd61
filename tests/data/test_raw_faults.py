"""Raw logs as other tools write them: what can mean but one thing is read, anything else is refused in clear words."""

import bz2
import gzip
import io
import lzma
import os
import random
import re
import tarfile
import threading
import zipfile
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import pytest

from paper_code.data import raw
from paper_code.data.avazu import AVAZU, prepare_avazu
from paper_code.data.criteo import CRITEO, prepare_criteo
from paper_code.data.raw import MalformedLogError

ROWS = 300
FORMATS = {"criteo": (CRITEO, prepare_criteo), "avazu": (AVAZU, prepare_avazu)}
NAMES = [CRITEO.label, *CRITEO.fields]


def criteo_rows() -> list[list[str]]:
    """Rows with every kind of value: integers below and above 2, missing ones, categories."""
    draw = random.Random(0)
    integers = ["", "-1", "0", "1", "2", "3", "4", "5", "1382", "123456789"]
    return [
        [str(i % 4 // 3), *draw.choices(integers, k=13), *draw.choices(["", "68fd1e64", "0a", "b"], k=26)]
        for i in range(ROWS)
    ]


def avazu_rows() -> list[list[str]]:
    draw = random.Random(0)
    return [[str(i % 5 // 4), *draw.choices(["14102100", "1fbe01fe", "-1", "0"], k=22)] for i in range(ROWS)]


def joined(rows: list[list[str]], separator: str = "\t", end: str = "\n") -> bytes:
    return "".join(separator.join(row) + end for row in rows).encode()


CRITEO_TEXT = joined(criteo_rows())
AVAZU_TEXT = joined([[AVAZU.label, *AVAZU.fields], *avazu_rows()], ",")
TEXTS = {"criteo": CRITEO_TEXT, "avazu": AVAZU_TEXT}


def prepared(text: bytes, folder: Path, name: str = "criteo", file: str = "raw", **options):
    (folder / file).write_bytes(text)
    return FORMATS[name][1](folder / file, folder / "log", threshold=1, progress=False, **options)


def assert_read(text: bytes, folder: Path, name: str = "criteo", counted: str = "", times: int | None = None):
    """The log of `text` is that of the clean one, and `counted` is in the report, so many times."""
    (folder / "clean").mkdir()
    expected = prepared(TEXTS[name], folder / "clean", name)
    assert expected.read_otherwise == {}
    found = prepared(text, folder, name)
    np.testing.assert_array_equal(found.log.ids, expected.log.ids)
    np.testing.assert_array_equal(found.log.labels, expected.log.labels)
    assert found.skipped_lines == 0
    assert found.log.source["read_otherwise"] == found.read_otherwise
    if counted:
        (number,) = [number for what, number in found.read_otherwise.items() if counted in what]
        assert times in (None, number)


def respelled(spell, column_of=range(1, 14)) -> bytes:
    """The clean log with the values of some columns written otherwise."""
    return joined([[spell(v) if i in column_of else v for i, v in enumerate(row)] for row in criteo_rows()])


# Files of users


@pytest.mark.parametrize(
    ("file", "like", "counted"),
    [
        ("c_pandas.txt", "c_plain.txt", {"header", "integer not written in digits alone"}),
        ("c_float.txt", "c_plain.txt", {"integer not written in digits alone"}),
        ("c_nan.txt", "c_plain.txt", {"missing value written 'NaN'"}),
        ("c_bom.txt", "c_plain.txt", {"byte-order mark"}),
        ("c_blankend.txt", "c_plain.txt", {"blank lines at the end"}),
        ("c_header.txt", "c_plain.txt", {"header"}),
        ("c.txt.gz", "c_plain.txt", set()),
        ("c.zip", "c_plain.txt", {"train.txt in a zip archive"}),
        ("a_quotedall.csv", "a_bom_clickfirst.csv", {"values in quotes"}),
        ("a_bom_clickfirst.csv", "a_quotedall.csv", {"byte-order mark"}),
    ],
)
def test_a_users_file_is_read_as_the_clean_one(real_data, tmp_path, file, like, counted):
    prepare = prepare_criteo if file.startswith("c") else prepare_avazu
    found = prepare(real_data / "faults" / "logs" / file, tmp_path / "log", threshold=1)
    expected = prepare(real_data / "faults" / "logs" / like, tmp_path / "expected", threshold=1)
    np.testing.assert_array_equal(found.log.ids, expected.log.ids)
    np.testing.assert_array_equal(found.log.labels, expected.log.labels)
    assert found.read_otherwise.keys() == counted
    assert found.skipped_lines == 0


def test_a_users_archive_of_two_files_is_refused_by_name(real_data, tmp_path):
    with pytest.raises(
        MalformedLogError, match=r"is a tar archive with 2 files \(readme.txt, train.txt\).*: unpack it"
    ):
        prepare_criteo(real_data / "faults" / "logs" / "c.tar.gz", tmp_path / "log")


def test_avazu_without_its_header_is_one_sentence_that_shows_line_1(real_data, tmp_path):
    with pytest.raises(MalformedLogError) as error:
        prepare_avazu(real_data / "faults" / "logs" / "a_nohead.csv", tmp_path / "log", on_bad_lines="skip")
    message = str(error.value)
    assert re.search("line 1: found no header but '1000009418151094273,0,14102100,.*', expected a header", message)
    assert "0 columns named" not in message


# Integers, labels and missing values

SPELLINGS = {
    "1.0": lambda v: v and f"{v}.0",
    "1.": lambda v: v and f"{v}.",
    "1.000": lambda v: v and f"{v}.000",
    "+1": lambda v: v if v.startswith("-") or not v else f"+{v}",
    "1e0": lambda v: v and f"{v}e0",
    "1E+01": lambda v: v and f"{int(v) / 10}E+01",
    " 1 ": lambda v: f" {v} ",
    "1.0 and nan": lambda v: f"{v}.0" if v else "nan",
}
MARKERS = ["NaN", "nan", "\\N", "NULL", "null", "None", "NA", "N/A", "<NA>", "#N/A"]
LABELS = {
    "1.0": "{}.0".format,
    "+1": "+{}".format,
    "01": "0{}".format,
    "true": {"0": "false", "1": "true"}.get,
    "True": {"0": "False", "1": "True"}.get,
    " 1": " {}".format,
}


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_an_integer_written_otherwise_is_read(tmp_path, spelling):
    assert_read(respelled(SPELLINGS[spelling]), tmp_path, counted="integer not written in digits alone")


@pytest.mark.parametrize("marker", MARKERS)
def test_a_missing_value_written_out_is_a_missing_value(tmp_path, marker):
    text = respelled(lambda v: v or marker, range(1, 40))
    missing = sum(value == "" for row in criteo_rows() for value in row)
    assert_read(text, tmp_path, counted=f"missing value written {marker!r}", times=missing)


@pytest.mark.parametrize("spelling", LABELS)
def test_a_label_written_otherwise_is_read(tmp_path, spelling):
    text = respelled(LABELS[spelling], [0])
    assert_read(text, tmp_path, counted="label not written as 0 or 1", times=ROWS)


def test_values_are_counted_over_all_rows_whatever_the_vocabulary(tmp_path):
    found = prepared(respelled(lambda v: v or "NaN"), tmp_path, vocabulary="train")
    missing = sum(value == "" for row in criteo_rows() for value in row[1:14])
    assert found.read_otherwise == {"missing value written 'NaN'": missing}


@pytest.mark.parametrize("value", ["1.5", "1,000", "0x1", "1e", "1e99", "inf", "--1", "1_000", "٣", "1 2", "?"])
def test_what_is_no_integer_is_refused(tmp_path, value):
    lines = criteo_rows()
    lines[7][3] = value
    with pytest.raises(
        MalformedLogError, match=f"line 8: found {re.escape(repr(value))} in column I3, expected an inte"
    ):
        prepared(joined(lines), tmp_path)


# Text

SEVERAL_BLANK = b"\n \n\r\n\n"


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize(
    ("change", "counted"),
    [
        (lambda text: "\ufeff".encode() + text, "byte-order mark"),
        (lambda text: text.replace(b"\n", b"\n\xef\xbb\xbf", 1), "byte-order mark"),
        (lambda text: text + b"\n", "blank lines at the end"),
        (lambda text: text + SEVERAL_BLANK, "blank lines at the end"),
        (lambda text: text + b"\x1a", "Ctrl-Z"),
        (lambda text: text[:-1] + b"\x1a", "Ctrl-Z"),
        (lambda text: text[:-1] + b"\r\n\x1a\r\n", "Ctrl-Z"),
        (lambda text: text.replace(b"\n", b"\r\n"), ""),
        (lambda text: text.replace(b"\n", b"\r"), "carriage return alone"),
        (lambda text: text.replace(b"\n", b"\r\r\n"), "several carriage returns"),
        (lambda text: text.decode().encode("utf-16"), "UTF-16"),
        (lambda text: text.decode().encode("utf-16-be"), "UTF-16"),
        (lambda text: "\ufeff".encode("utf-16-be") + text.decode().encode("utf-16-be"), "UTF-16"),
        (lambda text: text.decode().replace("\n", "\r\n").encode("utf-32"), "UTF-32"),
    ],
)
def test_the_same_text_in_another_encoding_is_read(tmp_path, monkeypatch, name, change, counted):
    monkeypatch.setattr("paper_code.data.rows.CHUNK_BYTES", 5000)
    assert_read(change(TEXTS[name]), tmp_path, name, counted)


def test_a_mark_before_a_category_is_no_part_of_it(tmp_path):
    columns = ["hour", AVAZU.label, *AVAZU.fields[1:]]
    rows = [[row[1], row[0], *row[2:]] for row in avazu_rows()]
    assert_read(
        "\ufeff".encode() + joined([columns, *rows], ",", "\n\ufeff")[:-3], tmp_path, "avazu", "byte-order mark"
    )


def test_blank_lines_elsewhere_and_text_that_is_none_are_refused(tmp_path):
    with pytest.raises(MalformedLogError, match="line 2: found a blank line, expected 40 columns"):
        prepared(CRITEO_TEXT.replace(b"\n", b"\n\n", 1), tmp_path)
    with pytest.raises(MalformedLogError, match=r"found a broken UTF-16 stream .*truncated"):
        prepared(CRITEO_TEXT.decode().encode("utf-16")[:-1], tmp_path)
    with pytest.raises(MalformedLogError, match="line 1: found bytes that are not text"):
        prepared(b"\xe9" + CRITEO_TEXT, tmp_path)


# Headers, quotes and separators


def quoted(rows: list[list[str]], separator: str) -> bytes:
    return joined([[f'"{value}"' for value in row] for row in rows], separator)


AVAZU_COLUMNS = [AVAZU.label, *AVAZU.fields]
INDEXED = [[str(i), *row] for i, row in enumerate(criteo_rows())]


@pytest.mark.parametrize(
    ("name", "text", "counted"),
    [
        ("criteo", joined([NAMES]) + CRITEO_TEXT, "header"),
        ("criteo", joined([[f" {name.upper()} " for name in NAMES]]) + CRITEO_TEXT, "header"),
        ("criteo", joined([["", *NAMES], *INDEXED]), "header"),
        ("criteo", joined([[str(i) for i in range(40)]]) + CRITEO_TEXT, "header"),
        ("criteo", joined([[f"column_{i}" for i in range(1, 41)]]) + CRITEO_TEXT, "header"),
        ("criteo", joined([NAMES]) + CRITEO_TEXT + joined([NAMES]), "header repeated"),
        ("criteo", quoted([NAMES], "\t") + CRITEO_TEXT, "values in quotes"),
        ("criteo", quoted(criteo_rows(), "\t"), "values in quotes"),
        ("criteo", quoted([NAMES, *criteo_rows()], ","), "columns separated by ','"),
        ("criteo", joined(criteo_rows(), ","), "columns separated by ','"),
        ("avazu", quoted([AVAZU_COLUMNS], ",") + joined(avazu_rows(), ","), "values in quotes"),
        ("avazu", joined([AVAZU_COLUMNS], ",") + quoted(avazu_rows(), ","), "values in quotes"),
        ("avazu", joined([["note", *AVAZU_COLUMNS], *(['"a, ""b"""', *row] for row in avazu_rows())], ","), "quotes"),
        ("avazu", joined([AVAZU_COLUMNS, *avazu_rows()], "\t"), "columns separated by '\\t'"),
        ("avazu", joined([AVAZU_COLUMNS, *avazu_rows()], ";"), "columns separated by ';'"),
        ("avazu", AVAZU_TEXT + AVAZU_TEXT.split(b"\n")[0] + b"\n", "header repeated"),
    ],
)
def test_another_header_quotes_and_separators_are_read(tmp_path, name, text, counted):
    (tmp_path / "clean").mkdir()
    expected = prepared(TEXTS[name], tmp_path / "clean", name)
    found = prepared(text, tmp_path, name)
    np.testing.assert_array_equal(found.log.ids, expected.log.ids)
    assert any(counted in what for what in found.read_otherwise)


def test_a_header_that_leaves_a_column_out_is_refused(tmp_path):
    with pytest.raises(
        MalformedLogError, match=r"line 1: found the header .*, which does not name I2, C26, expected a "
    ):
        prepared(joined([[name.replace("I2", "x").replace("C26", "y") for name in NAMES]]) + CRITEO_TEXT, tmp_path)


def test_a_quote_that_is_not_closed_is_refused(tmp_path):
    text = AVAZU_TEXT.replace(b"click", b'"click"', 1).replace(b"14102100", b'"14102100', 1)
    with pytest.raises(MalformedLogError, match=r"found quotes that do not match .*, expected a closing quote in each"):
        prepared(text, tmp_path, "avazu")


# Archives and compressed files


def zipped(files: dict[str, bytes]) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return file.getvalue()


def tarred(files: dict[str, bytes], mode: str = "w", tar_format: int = tarfile.PAX_FORMAT) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode=mode, format=tar_format) as archive:
        for name, text in files.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.type = len(text), tarfile.DIRTYPE if name.endswith("/") else tarfile.REGTYPE
            archive.addfile(entry, io.BytesIO(text))
    return file.getvalue()


def by_arrow(codec: str, text: bytes) -> bytes:
    file = pa.BufferOutputStream()
    with pa.CompressedOutputStream(file, codec) as stream:
        stream.write(text)
    return file.getvalue().to_pybytes()


T = CRITEO_TEXT
HALVES = CRITEO_TEXT[:5000], CRITEO_TEXT[5000:]
WRAPPED = {
    "gzip": gzip.compress(T),
    "gzip members": b"".join(map(gzip.compress, HALVES)),
    "gzip twice": gzip.compress(gzip.compress(T)),
    "bzip2": bz2.compress(T),
    "bzip2 streams": b"".join(map(bz2.compress, HALVES)),
    "xz": lzma.compress(T),
    "xz streams, padded": lzma.compress(HALVES[0]) + bytes(4) + lzma.compress(HALVES[1]) + bytes(8),
    "lzma": lzma.compress(T, lzma.FORMAT_ALONE),
    "zstd": by_arrow("zstd", T),
    "zstd frames": b"P*M\x18\4\0\0\0abcd" + b"".join(by_arrow("zstd", half) for half in HALVES),
    "lz4": by_arrow("lz4", T),
    "zip": zipped({"train.txt": T}),
    "zip in a folder, from a Mac": zipped(
        {"a/": b"", "a/train.txt": T, "__MACOSX/a/._train.txt": b"x", ".DS_Store": b"x"}
    ),
    "zip of gzip": zipped({"train.gz": gzip.compress(T)}),
    "tar": tarred({"train.txt": T}),
    "tar of old": tarred({"train.txt": T}, tar_format=tarfile.USTAR_FORMAT),
    "tar.gz": tarred({"a/": b"", "a/train.txt": T, "a/._train.txt": b"x"}, "w:gz"),
    "tar.bz2": tarred({"train.txt": T}, "w:bz2"),
    "tar.xz": tarred({"train.txt": T}, "w:xz"),
    "tar.zst": by_arrow("zstd", tarred({"train.txt": T})),
    "tar of gzip": tarred({"x" * 150 + ".gz": gzip.compress(T)}, "w:gz"),
}


@pytest.mark.parametrize("kind", WRAPPED)
def test_a_compressed_file_or_an_archive_of_one_file_is_read_by_its_content(tmp_path, kind):
    assert_read(WRAPPED[kind], tmp_path)


@pytest.mark.parametrize(
    ("stored", "words"),
    [
        (zipped({"train.txt": T, "test.txt": T}), "is a zip archive with 2 files (train.txt, test.txt), expected one"),
        (zipped({str(i): T for i in range(9)}), "is a zip archive with 9 files (0, 1, 2, 3, ...), expected one"),
        (zipped({"a/": b""}), "is a zip archive with 0 files, expected one"),
        (
            tarred({"readme": b"", "train.txt": T}, "w:xz"),
            "is a tar archive with 2 files (readme, train.txt), expected",
        ),
        (gzip.compress(zipped({"train.txt": T})), "is zip in gzip: unpack the gzip file first"),
        (zipped({"train.tar": tarred({"train.txt": T})}), "is tar in zip: unpack the zip file first"),
        (b"7z\xbc\xaf\x27\x1c" + T, "is a 7z archive: unpack it"),
        (b"Rar!\x1a\x07\x01\0" + T, "is a RAR archive: unpack it"),
        (b"\x89HDF\r\n\x1a\n" + T, "is an HDF5 file: write"),
        (b"ARROW1\0\0" + T, "is an Arrow file: write"),
        (b"\x93NUMPY\1\0" + T, "is a NumPy array: write"),
        (b"<!DOCTYPE HTML><html>", "is a web page"),
        (zipped({"train.txt": T})[:-30], "found a broken zip stream (File is not a zip file), expected a complete zip"),
        (bz2.compress(T)[:-9], "found a broken bzip2 stream (it ends before its end mark), expected a complete"),
        (bz2.compress(HALVES[0]) + b"garbage", "found a broken bzip2 stream (Invalid data stream)"),
        (lzma.compress(T)[:-9], "found a broken xz stream (it ends"),
        (lzma.compress(HALVES[0]) + b"garbage", "found a broken xz stream (Input format not supported"),
        (by_arrow("zstd", T)[:-9], "found a broken zstd stream (Truncated compressed stream)"),
        (tarred({"train.txt": T})[:9000], "found a broken tar stream (unexpected end of data)"),
        (gzip.compress(tarred({"train.txt": T}))[:-900], "found a broken gzip stream"),
    ],
    ids=range(20),
)
@pytest.mark.parametrize("on_bad_lines", ["error", "skip"])
def test_what_is_not_one_whole_file_is_refused_and_nothing_is_written(tmp_path, stored, words, on_bad_lines):
    with pytest.raises(MalformedLogError, match=re.escape(words)):
        prepared(stored, tmp_path, on_bad_lines=on_bad_lines)
    assert [path.name for path in tmp_path.iterdir()] == ["raw"]


def test_an_encrypted_zip_is_refused(tmp_path):
    stored = bytearray(zipped({"train.txt": T}))
    for flags in (6, stored.rindex(b"PK\1\2") + 8):  # of the entry, and of the directory at the end
        stored[flags] |= 1
    with pytest.raises(MalformedLogError, match=r"broken zip stream .*encrypted"):
        prepared(bytes(stored), tmp_path)


@pytest.mark.parametrize("kind", ["gzip", "bzip2", "xz", "zstd", "lz4", "zip", "tar.gz", "gzip twice"])
def test_no_kind_of_file_expands_without_bound(tmp_path, monkeypatch, kind):
    monkeypatch.setattr(raw, "FREE_EXPANSION", 1 << 12)
    monkeypatch.setattr(raw, "MOST_EXPANSION", 2)
    with pytest.raises(MalformedLogError, match=r"found more than 2 times as much text as \w+ file, expected a log"):
        prepared(WRAPPED[kind], tmp_path)


# Parquet


def typed(rows: list[list[str]]) -> pl.DataFrame:
    """The rows as a table library holds them: integers with nulls, categories as text."""
    frame = pl.DataFrame(rows, dict.fromkeys(NAMES, pl.String), orient="row")
    empty_is_null = pl.all().replace({"": None})
    return frame.with_columns(empty_is_null).with_columns(pl.col(NAMES[:14]).cast(pl.Int64))


@pytest.mark.parametrize(
    "change",
    [
        lambda frame: frame,
        lambda frame: frame.with_columns(pl.col(CRITEO.integer_fields).cast(pl.Float64)),
        lambda frame: frame.with_columns(pl.col("label").cast(pl.Boolean), pl.col("C1", "C2").cast(pl.Categorical)),
        lambda frame: (
            frame.select(pl.lit(0).alias("index"), pl.all().reverse()).select("index", *reversed(NAMES)).reverse()
        ),
        lambda frame: frame.rename({name: f"column_{i}" for i, name in enumerate(NAMES)}),
    ],
    ids=["typed", "floats", "booleans and categories", "other columns, another order", "numbered"],
)
def test_parquet_is_read(tmp_path, monkeypatch, change):
    monkeypatch.setattr(raw, "PARQUET_ROWS", 77)
    file = io.BytesIO()
    change(typed(criteo_rows())).write_parquet(file, row_group_size=100)
    assert_read(file.getvalue(), tmp_path, counted="Parquet", times=1)


def test_parquet_with_a_list_or_a_bad_value_is_refused_with_column_and_row(tmp_path):
    file = io.BytesIO()
    typed(criteo_rows()).with_columns(C3=pl.lit([1, 2])).write_parquet(file)
    with pytest.raises(MalformedLogError, match=r"column C3 holds List\(.*\), expected one value a row"):
        prepared(file.getvalue(), tmp_path)
    file = io.BytesIO()
    rows = pl.int_range(pl.len())
    typed(criteo_rows()).with_columns(I3=pl.when(rows == 4).then(1.5)).write_parquet(file)
    with pytest.raises(MalformedLogError, match=r"raw: row 5: found '1.5' in column I3"):
        prepared(file.getvalue(), tmp_path)
    with pytest.raises(MalformedLogError, match="found a broken Parquet stream"):
        prepared(file.getvalue()[:-100], tmp_path)


# Where the file lies


@pytest.mark.parametrize("stored", [T, WRAPPED["gzip"], WRAPPED["xz"]], ids=["plain", "gzip", "xz"])
def test_a_pipe_is_read_as_a_file(tmp_path, stored):
    (tmp_path / "clean").mkdir()
    expected = prepared(T, tmp_path / "clean")
    os.mkfifo(tmp_path / "pipe")

    def write_in_two_pieces():
        with open(tmp_path / "pipe", "wb", buffering=0) as pipe:
            pipe.write(stored[:1])
            pipe.write(stored[1:])

    writer = threading.Thread(target=write_in_two_pieces)
    writer.start()
    found = prepare_criteo(tmp_path / "pipe", tmp_path / "log", threshold=1)
    writer.join()
    np.testing.assert_array_equal(found.log.ids, expected.log.ids)


def test_an_archive_through_a_pipe_is_refused(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    writer = threading.Thread(target=lambda: (tmp_path / "pipe").write_bytes(WRAPPED["zip"][:2000]))
    writer.start()
    with pytest.raises(MalformedLogError, match="is a zip file through a pipe"):
        prepare_criteo(tmp_path / "pipe", tmp_path / "log")
    writer.join()


def test_a_link_where_the_log_goes_is_followed(tmp_path):
    (tmp_path / "disk").mkdir()
    (tmp_path / "log").symlink_to("disk/log")
    for _ in range(2):
        assert prepared(T, tmp_path).log.rows == ROWS
        assert (tmp_path / "log").is_symlink()
        assert (tmp_path / "disk" / "log" / "log.json").is_file()


def test_a_folder_is_refused_with_what_it_holds(tmp_path):
    (tmp_path / "part-0000.txt").write_bytes(T)
    with pytest.raises(IsADirectoryError, match=r"is a folder \(of part-0000.txt\), expected the file"):
        prepare_criteo(tmp_path, tmp_path / "log")


# What a skip may leave out, and what it may not


def spoiled(number: int, column: int, *values: str) -> bytes:
    """The clean log with the first `number` of its values in a column replaced, by `values` in turn."""
    rows = criteo_rows()
    for i in range(number):
        rows[i][column] = values[i % len(values)]
    return joined(rows)


@pytest.mark.parametrize(
    ("text", "limit", "words"),
    [
        (
            spoiled(4, 1, "x"),
            0.01,
            "4 of 300 lines malformed, 4 of them for what is no integer in column I1, first in line 1",
        ),
        (spoiled(31, 5, "1.5"), 0.1, "31 of 300 lines malformed, 31 of them for what is no integer in column I5"),
        (spoiled(280, 2, "1.5", "x"), 1, "280 of 300 lines .* for what is no integer in column I2.* another form"),
        (joined([row[:-1] for row in criteo_rows()[1:]]) + T, 0, "line 1, .*at most a share of 0 "),
        (spoiled(30, 0, "2"), 1, "30 of them for the label '2', first in line 1, expected the labels 0 and 1"),
        (spoiled(2, 0, "yes"), 1, "2 of them for the label 'yes', first in line 1, expected the labels 0 and 1"),
        (respelled({"0": "-1", "1": "1"}.get, [0]), 1, "line 1: found the label '-1', expected 0 or 1; if -1"),
        (respelled({"0": "-1.0", "1": "1.0"}.get, [0]), 1, "line 1: found the label '-1.0', expected 0 or 1; if -1"),
        (spoiled(ROWS, 0, "0"), 1, "found the label 0 in all 300 rows, expected 0 and 1"),
        (respelled({"0": "", "1": "1"}.get, [0]), 1, "found the label 1 in all 75 rows, expected 0 and 1"),
        (respelled({"0": "1", "1": "2"}.get, [0]), 1, "75 of them for the label '2'"),
    ],
    ids=range(11),
)
def test_a_skip_that_would_lose_much_stops_and_the_earlier_log_stays(tmp_path, text, limit, words):
    prepared(T, tmp_path)
    before = {path: path.read_bytes() for path in (tmp_path / "log").iterdir()}
    with pytest.raises(MalformedLogError, match=words):
        prepared(text, tmp_path, on_bad_lines="skip", skip_limit=limit)
    assert {path: path.read_bytes() for path in (tmp_path / "log").iterdir()} == before


@pytest.mark.parametrize(
    ("text", "limit", "skipped"),
    [(spoiled(3, 1, "x"), 0.01, 3), (spoiled(30, 5, "1.5"), 0.1, 30), (spoiled(1, 0, "7"), 0.01, 1)],
    ids=["the limit", "another limit", "a single label"],
)
def test_a_skip_within_the_limit_goes_on(tmp_path, text, limit, skipped):
    found = prepared(text, tmp_path, on_bad_lines="skip", skip_limit=limit)
    assert (found.skipped_lines, found.log.rows, found.lines_read) == (skipped, ROWS - skipped, ROWS)


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("label", ["0", "1"])
def test_a_log_of_one_label_is_refused(tmp_path, name, label):
    lines = TEXTS[name].split(b"\n")
    first = 1 if name == "avazu" else 0
    lines = lines[:first] + [label.encode() + line[1:] for line in lines[first:-1]]
    with pytest.raises(MalformedLogError, match=f"found the label {label} in all 300 rows, expected 0 and 1"):
        prepared(b"\n".join(lines), tmp_path, name)
    assert [path.name for path in tmp_path.iterdir()] == ["raw"]
