"""Both raw formats against a row-by-row encoder, and what is said of files that break them."""

import errno
import functools
import gzip
import hashlib
import itertools
import json
import math
import os
import random
import re
import resource
import subprocess
import sys
import tracemalloc
import zlib
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from paper_code.data import encoding, raw, row_parser, rows
from paper_code.data.avazu import AVAZU, prepare_avazu
from paper_code.data.click_log import load_click_log, split_rows
from paper_code.data.criteo import CRITEO, prepare_criteo
from paper_code.data.raw import MalformedLogError

FORMATS = {"criteo": (CRITEO, prepare_criteo), "avazu": (AVAZU, prepare_avazu)}


# The reference: one row, one value, one dictionary entry at a time.


@functools.lru_cache(maxsize=1)
def tokens_row_by_row(path: Path, name: str) -> tuple[list[int], list[list[str]]]:
    log_format, _ = FORMATS[name]
    stored = path.read_bytes()
    text = (gzip.decompress(stored) if stored.startswith(b"\x1f\x8b") else stored).decode()
    lines = [line.removesuffix("\r") for line in text.removesuffix("\n").split("\n")]
    columns = [log_format.label, *log_format.fields]
    if log_format.has_header:
        columns = lines.pop(0).split(log_format.separator)
    labels, found = [], []
    for line in lines:
        row = dict(zip(columns, line.lstrip("\ufeff").split(log_format.separator), strict=True))
        labels.append(int(row[log_format.label]))
        tokens = []
        for field in log_format.fields:
            token = "" if row[field] in row_parser.MISSING else row[field]
            if name == "criteo" and field.startswith("I") and token:
                value = int(token)
                token = str(math.floor(math.log(value) ** 2) if value > 2 else value - 2)
            tokens.append(token)
        found.append(tokens)
    return labels, found


def encode_row_by_row(path: Path, name: str, threshold: int, vocabulary: str, split_seed: int):
    labels, found = tokens_row_by_row(path, name)
    counted = range(len(found)) if vocabulary == "all" else split_rows(len(found), split_seed).train
    ids, cardinalities = [], []
    for field in range(len(found[0])):
        counts = Counter(found[row][field] for row in counted)
        kept = [token for token, count in counts.items() if count >= threshold]
        kept.sort(key=lambda token: (-counts[token], token))
        id_of_token = {token: i for i, token in enumerate(kept, 1)}
        ids.append([id_of_token.get(row[field], 0) for row in found])
        cardinalities.append(len(kept) + 1)
    return np.array(labels), np.array(ids).T, cardinalities


def assert_encoded_like_reference(path: Path, folder: Path, name: str, threshold, vocabulary="all", split_seed=0):
    log_format, prepare = FORMATS[name]
    prepared = prepare(path, folder, threshold=threshold, vocabulary=vocabulary, split_seed=split_seed)
    labels, ids, cardinalities = encode_row_by_row(path, name, threshold, vocabulary, split_seed)
    log = prepared.log
    assert (prepared.lines_read, prepared.skipped_lines) == (len(labels), 0)
    assert log.ids.dtype == np.int32
    assert log.labels.dtype == np.uint8
    np.testing.assert_array_equal(log.labels, labels)
    np.testing.assert_array_equal(log.ids, ids)
    assert log.cardinalities == cardinalities
    assert [field.name for field in log.fields] == list(log_format.fields)
    return log


# Small logs.


def line(name: str, label="0", **values: str) -> bytes:
    """A line whose columns are empty but for the label and `values`."""
    log_format, _ = FORMATS[name]
    return log_format.separator.join([label, *(values.get(field, "") for field in log_format.fields)]).encode()


def header(name: str) -> bytes:
    return line(name, AVAZU.label, **{field: field for field in AVAZU.fields}) + b"\n" if name == "avazu" else b""


def small_log(name: str) -> bytes:
    return header(name) + line(name, "1", C1="a", C14="é") + b"\n" + line(name, C1="b") + b"\n"


@pytest.fixture(params=FORMATS)
def name(request) -> str:
    return request.param


def files_of(folder: Path) -> dict[str, bytes | None]:
    return {str(path): path.read_bytes() if path.is_file() else None for path in folder.rglob("*")}


def assert_refused(path: Path, name: str, line_number: int, found: str, expected: str, **options):
    """The message says where and what; nothing new lies in the folder of `path`, also not a folder above the output."""
    before = files_of(path.parent)
    with pytest.raises(MalformedLogError) as error:
        FORMATS[name][1](path, path.parent / "new" / "encoded", **options)
    message = str(error.value)
    assert message.startswith(f"{path}: line {line_number}: found ")
    assert re.search(f"found .*{re.escape(found)}.*, expected .*{re.escape(expected)}", message)
    assert files_of(path.parent) == before


# What is encoded.


@pytest.mark.parametrize("vocabulary", ["all", "train"])
@pytest.mark.parametrize(
    ("name", "file", "threshold"),
    [
        ("criteo", "criteo/train_10k.txt", 10),
        ("criteo", "criteo/train_80k_hashed.txt.gz", 10),
        ("avazu", "avazu/train_6k.csv", 4),
    ],
    indirect=["name"],
)
def test_real_rows_are_encoded_as_row_by_row(real_data, tmp_path, name, file, threshold, vocabulary):
    log = assert_encoded_like_reference(real_data / file, tmp_path / "log", name, threshold, vocabulary, split_seed=3)
    counted = np.arange(log.rows) if vocabulary == "all" else log.split(3).train
    for field in range(len(log.fields)):
        counts = np.bincount(log.ids[counted, field], minlength=log.cardinalities[field])[1:]
        assert (counts >= threshold).all()
        assert (np.diff(counts) <= 0).all()


def values_of(separator: str) -> st.SearchStrategy[str]:
    return st.text(st.characters(exclude_characters='\0\r\n\x1a"' + separator, exclude_categories=["Cs"]), max_size=15)


@given(data=st.data())
@settings(deadline=None, max_examples=80)
def test_any_log_is_encoded_as_row_by_row_whatever_the_chunks(tmp_path_factory, data):
    name = data.draw(st.sampled_from(sorted(FORMATS)))
    log_format, _ = FORMATS[name]
    texts = data.draw(st.lists(values_of(log_format.separator), min_size=1, max_size=4))
    integers = data.draw(st.lists(st.integers(-(10**17), 10**18 - 1), min_size=1, max_size=4))
    draw = random.Random(data.draw(st.integers(0, 2**32)))
    columns = [log_format.label, *log_format.fields]
    if log_format.has_header:
        columns += ["id", "", ""]
        draw.shuffle(columns)

    def value(column: str) -> str:
        if column == log_format.label:
            return draw.choice("01")
        if column in log_format.integer_fields:
            return draw.choice(["", "-0", "007", str(draw.choice(integers)), str(draw.randint(-3, 20))])
        return draw.choice(["", *texts, "\ufeff", '"', "a"])

    drawn = [[value(column) for column in columns] for _ in range(data.draw(st.integers(2, 12)))]
    for row, label in zip(drawn, "01", strict=False):
        row[columns.index(log_format.label)] = label
    lines = [log_format.separator.join(row) for row in ([columns, *drawn] if log_format.has_header else drawn)]
    text = "".join(line + draw.choice(["\n", "\r\n"]) for line in lines)
    if draw.random() < 0.3:
        text = text.removesuffix("\n")
    stored = text.encode()
    folder = tmp_path_factory.mktemp("any")
    (folder / "raw").write_bytes(gzip.compress(stored) if draw.random() < 0.3 else stored)
    tokens_row_by_row.cache_clear()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rows, "CHUNK_BYTES", data.draw(st.integers(1, 1000)))
        assert_encoded_like_reference(
            folder / "raw", folder / "log", name, draw.randint(1, 4), draw.choice(["all", "train"]), draw.randint(0, 9)
        )


@given(data=st.data())
@settings(deadline=None, max_examples=60)
def test_skipping_bad_lines_equals_their_absence(tmp_path_factory, data):
    name = data.draw(st.sampled_from(sorted(FORMATS)))
    bad = data.draw(st.lists(st.sampled_from([*BAD_LINES[name]]), max_size=8, unique=True))
    drawn = ["good", *data.draw(st.permutations(["good", *bad])), "good", "good"]
    labels = itertools.cycle("01")
    lines = [
        line(name, next(labels), C1=str(i % 3)) if kind == "good" else BAD_LINES[name][kind][0]
        for i, kind in enumerate(drawn)
    ]
    good = [line for line, kind in zip(lines, drawn, strict=True) if kind == "good"]
    folder = tmp_path_factory.mktemp("skip")
    (folder / "raw").write_bytes(header(name) + b"\n".join(lines) + b"\n")
    (folder / "good").write_bytes(header(name) + b"\n".join(good) + b"\n")
    prepare = FORMATS[name][1]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rows, "CHUNK_BYTES", data.draw(st.integers(1, 1000)))
        skipping = prepare(folder / "raw", folder / "log", threshold=1, on_bad_lines="skip", skip_limit=1)
    expected = prepare(folder / "good", folder / "expected", threshold=1)
    assert (skipping.lines_read, skipping.skipped_lines) == (len(lines), len(bad))
    assert skipping.log.source["skipped_lines"] == len(bad)
    np.testing.assert_array_equal(skipping.log.ids, expected.log.ids)
    np.testing.assert_array_equal(skipping.log.labels, expected.log.labels)


def test_ids_follow_counts_then_text_and_rare_values_share_id_0(tmp_path, name):
    values = ["b"] * 2 + ["a"] * 2 + ["rare"] + ["c"] * 3 + [""] * 2
    (tmp_path / "raw").write_bytes(
        header(name) + b"\n".join(line(name, str(i % 2), C14=value) for i, value in enumerate(values))
    )
    log = FORMATS[name][1](tmp_path / "raw", tmp_path / "log", threshold=2).log
    position = [field.name for field in log.fields].index("C14")
    id_of_value = dict(zip(values, log.ids[:, position].tolist(), strict=True))
    assert id_of_value == {"c": 1, "": 2, "a": 3, "b": 4, "rare": 0}
    assert log.cardinalities[position] == 5


def test_id_0_exists_even_if_nothing_is_rare(tmp_path, name):
    (tmp_path / "raw").write_bytes(header(name) + line(name) + b"\n" + line(name, "1"))
    log = FORMATS[name][1](tmp_path / "raw", tmp_path / "log", threshold=1).log
    assert set(log.cardinalities) == {2}
    assert (np.asarray(log.ids) == 1).all()


def test_values_absent_from_the_training_rows_have_id_0(tmp_path, name):
    split = split_rows(20, 5)
    values = np.full(20, "train")
    values[split.validation] = "later"
    values[split.test] = "later"
    lines = (line(name, str(i % 2), C1=str(value)) for i, value in enumerate(values))
    (tmp_path / "raw").write_bytes(header(name) + b"\n".join(lines))
    log = FORMATS[name][1](tmp_path / "raw", tmp_path / "log", threshold=1, vocabulary="train", split_seed=5).log
    position = [field.name for field in log.fields].index("C1")
    assert log.ids[:, position].tolist() == (values == "train").astype(int).tolist()
    assert log.source["split_seed"] == 5


def test_the_folder_describes_the_log(tmp_path, name):
    path = tmp_path / "raw.txt"
    path.write_bytes(gzip.compress(small_log(name)))
    prepared = FORMATS[name][1](str(path), str(tmp_path / "a" / "log"), threshold=1, name="mine")
    log = load_click_log(tmp_path / "a" / "log")
    assert sorted(p.name for p in (tmp_path / "a" / "log").iterdir()) == ["ids.npy", "labels.npy", "log.json"]
    assert [p.name for p in (tmp_path / "a").iterdir()] == ["log"]
    assert log.description == prepared.log.description == json.loads((tmp_path / "a/log/log.json").read_text())
    assert (log.name, log.threshold, log.rows) == ("mine", 1, 2)
    assert log.source == {
        "file": "raw.txt",
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        "vocabulary": "all",
        "skipped_lines": 0,
        "read_otherwise": {},
    }


def test_a_gzip_file_of_several_members_is_read_whole(tmp_path, name):
    text = small_log(name)
    (tmp_path / "raw").write_bytes(gzip.compress(text[:50]) + gzip.compress(text[50:]))
    assert FORMATS[name][1](tmp_path / "raw", tmp_path / "log").lines_read == 2


def test_a_second_run_replaces_the_log(tmp_path, name):
    path, prepare = tmp_path / "raw", FORMATS[name][1]
    path.write_bytes(small_log(name))
    prepare(path, tmp_path / "log")
    path.write_bytes(small_log(name) + line(name))
    assert prepare(path, tmp_path / "log").log.rows == 3


# What is refused.

CRITEO_COLUMNS = "40 columns separated by '\\t'"
AVAZU_COLUMNS = "23 columns separated by ','"
BAD_LINES = {
    "criteo": {
        "column missing": (line("criteo")[:-1], "39 columns", CRITEO_COLUMNS),
        "column too many": (line("criteo") + b"\t", "41 columns", CRITEO_COLUMNS),
        "blank": (b"", "a blank line", CRITEO_COLUMNS),
        "spaces": (b"  ", "1 columns", CRITEO_COLUMNS),
        "label 2": (line("criteo", "2"), "the label '2'", "0 or 1"),
        "label empty": (line("criteo", ""), "the label ''", "0 or 1"),
        "label quoted": (line("criteo", '"1"'), "the label '\"1\"'", "0 or 1"),
        "fraction": (line("criteo", I3="1.5"), "'1.5' in column I3", "an integer"),
        "word": (line("criteo", I13="x" * 99), f"'{'x' * 40}'... in column I13", "an integer"),
        "too many digits": (line("criteo", I1="1" * 19), "1' in column I1", "an integer of at most 18 digits"),
        "other digits": (line("criteo", I1="٣"), "'٣' in column I1", "an integer"),
        "not UTF-8": (line("criteo", C1="a") + b"\xff", "not text", "UTF-8"),
        "NUL": (line("criteo", C1="a\0"), "not text", "UTF-8 without NUL"),
        "carriage return": (line("criteo", C1="a\r"), "not text", "without NUL and stray carriage returns"),
    },
    "avazu": {
        "column missing": (line("avazu")[:-1], "22 columns", AVAZU_COLUMNS),
        "column too many": (line("avazu") + b",", "24 columns", AVAZU_COLUMNS),
        "blank": (b"", "a blank line", AVAZU_COLUMNS),
        "quoted separator": (line("avazu", hour='"1,2"'), "24 columns", AVAZU_COLUMNS),
        "label 2": (line("avazu", "2"), "the label '2'", "0 or 1"),
        "label yes": (line("avazu", "yes"), "the label 'yes'", "0 or 1"),
        "not UTF-8": (line("avazu", C1="a") + b"\xff", "not text", "UTF-8"),
        "NUL": (line("avazu", C1="a\0"), "not text", "UTF-8 without NUL"),
        "carriage return": (line("avazu", C1="a\r"), "not text", "without NUL and stray carriage returns"),
    },
}


@pytest.mark.parametrize(
    ("name", "kind"), [(name, kind) for name, kinds in BAD_LINES.items() for kind in kinds], indirect=["name"]
)
@pytest.mark.parametrize("compressed", [False, True])
def test_a_bad_line_is_named_or_skipped_and_counted(tmp_path, name, kind, compressed):
    bad, found, expected = BAD_LINES[name][kind]
    path = tmp_path / "raw"
    stored = small_log(name) + bad + b"\n" + line(name) + b"\n"
    path.write_bytes(gzip.compress(stored) if compressed else stored)
    assert_refused(path, name, 3 + (name == "avazu"), found, expected)
    prepared = FORMATS[name][1](path, tmp_path / "log", on_bad_lines="skip", skip_limit=1)
    assert (prepared.lines_read, prepared.skipped_lines, prepared.log.rows) == (4, 1, 3)


@pytest.mark.parametrize("chunk_bytes", [100, 1 << 24])
@pytest.mark.parametrize("line_end", [b"\n", b"\r\n", b""])
def test_a_line_may_be_long_but_not_endless(tmp_path, name, monkeypatch, chunk_bytes, line_end):
    monkeypatch.setattr(rows, "CHUNK_BYTES", chunk_bytes)
    for module in (rows, row_parser):
        monkeypatch.setattr(module, "LONGEST_LINE", 2000)
    prepare, path = FORMATS[name][1], tmp_path / "raw"
    room = 2000 - len(line(name))
    path.write_bytes(small_log(name) + line(name, C1="x" * room) + line_end)
    assert prepare(path, tmp_path / "log").log.rows == 3
    path.write_bytes(small_log(name) + line(name, C1="x" * (room + 1)) + line_end)
    assert_refused(path, name, 3 + (name == "avazu"), "a line of more than 2000 bytes", "a newline character")
    assert prepare(path, tmp_path / "log", on_bad_lines="skip", skip_limit=1).skipped_lines == 1


def test_a_file_without_line_ends_does_not_fill_the_memory(tmp_path, name, monkeypatch):
    monkeypatch.setattr(rows, "CHUNK_BYTES", 1 << 16)
    path = tmp_path / "raw"
    with path.open("wb") as file:
        file.truncate(1 << 25)
    tracemalloc.start()
    try:
        with pytest.raises(MalformedLogError, match="line 1: found a line of more than 1048576 bytes"):
            FORMATS[name][1](path, tmp_path / "log")
        assert tracemalloc.get_traced_memory()[1] < 1 << 23
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("on_bad_lines", ["error", "skip"])
@pytest.mark.parametrize("chunk_bytes", [1 << 14, 1 << 24])
def test_a_broken_gzip_file_stops_at_its_line(tmp_path, name, monkeypatch, chunk_bytes, on_bad_lines):
    monkeypatch.setattr(rows, "CHUNK_BYTES", chunk_bytes)
    draw = random.Random(0)
    text = small_log(name) + b"".join(line(name, C1=str(draw.random())) + b"\n" for _ in range(5000))
    lines, stored, path = text.count(b"\n"), gzip.compress(text), tmp_path / "raw"

    truncated = stored[: len(stored) // 2]
    readable = zlib.decompressobj(wbits=31).decompress(truncated).count(b"\n")
    assert 100 < readable < lines
    path.write_bytes(truncated)
    expected = "a complete gzip file"
    assert_refused(path, name, readable + 1, "a broken gzip stream (Comp", expected, on_bad_lines=on_bad_lines)
    path.write_bytes(stored + b"garbage")
    assert_refused(path, name, lines + 1, "a broken gzip stream (Not a", expected, on_bad_lines=on_bad_lines)
    path.write_bytes(stored[:-8] + bytes(4) + stored[-4:])
    assert_refused(path, name, lines + 1, "a broken gzip stream (CRC", expected, on_bad_lines=on_bad_lines)
    path.write_bytes(stored[:4])
    assert_refused(path, name, 1, "a broken gzip stream (Comp", expected, on_bad_lines=on_bad_lines)
    path.write_bytes(stored[:10] + b"\xff" * 100)
    assert_refused(path, name, 1, "a broken gzip stream (Error -3", expected, on_bad_lines=on_bad_lines)


@pytest.mark.parametrize("on_bad_lines", ["error", "skip"])
def test_a_gzip_file_of_much_more_text_than_a_log_is_refused(tmp_path, name, monkeypatch, on_bad_lines):
    """And nothing is written."""
    monkeypatch.setattr(rows, "CHUNK_BYTES", 1 << 12)
    monkeypatch.setattr(raw, "FREE_EXPANSION", 1 << 20)
    path = tmp_path / "raw"
    path.write_bytes(gzip.compress(header(name) + (line(name) + b"\n") * 200_000))
    assert path.stat().st_size * raw.MOST_EXPANSION < 200_000 * len(line(name))
    with pytest.raises(MalformedLogError, match=r"found more than 100 times as much text as gzip file, expected a log"):
        FORMATS[name][1](path, tmp_path / "log", on_bad_lines=on_bad_lines)
    assert [*tmp_path.iterdir()] == [path]


def test_a_bad_line_before_the_break_is_reported_first(tmp_path, name):
    text = small_log(name) + b"bad\n" + line(name) + b"\n"
    (tmp_path / "raw").write_bytes(gzip.compress(text) + b"garbage")
    assert_refused(tmp_path / "raw", name, 3 + (name == "avazu"), "1 columns", "columns")


@pytest.mark.parametrize("compressed", [False, True])
def test_a_log_without_a_valid_row_is_refused(tmp_path, name, compressed):
    path, first = tmp_path / "raw", 1 + (name == "avazu")

    def store(text: bytes):
        path.write_bytes(gzip.compress(text) if compressed else text)

    store(b"")
    assert_refused(path, name, 1, "the end of the file", "a valid row")
    store(header(name))
    assert_refused(path, name, first, "the end of the file", "a valid row")
    store(header(name) + b"bad\nbad\n")
    with pytest.raises(MalformedLogError, match=f"2 of 2 lines malformed, 2 of them for .*, first in line {first}, "):
        FORMATS[name][1](path, tmp_path / "log", on_bad_lines="skip", skip_limit=1)


def test_a_file_that_is_not_there_is_refused(tmp_path, name):
    prepare = FORMATS[name][1]
    with pytest.raises(FileNotFoundError, match="absent"):
        prepare(tmp_path / "absent", tmp_path / "a" / "log")
    (tmp_path / "directory").mkdir()
    with pytest.raises(IsADirectoryError, match="directory"):
        prepare(tmp_path / "directory", tmp_path / "a" / "log")
    assert files_of(tmp_path).keys() == {str(tmp_path / "directory")}


@pytest.mark.parametrize(
    "options",
    [{"threshold": 0}, {"vocabulary": "test"}, {"on_bad_lines": "warn"}, {"skip_limit": -0.1}, {"skip_limit": 2}],
    ids=lambda options: next(iter(options)),
)
def test_an_unknown_option_is_refused(tmp_path, name, options):
    (tmp_path / "raw").write_bytes(small_log(name))
    with pytest.raises(ValueError, match=f"{next(iter(options))} is .*, expected"):
        FORMATS[name][1](tmp_path / "raw", tmp_path / "log", **options)
    assert files_of(tmp_path).keys() == {str(tmp_path / "raw")}


def test_an_earlier_log_survives_a_failed_run(tmp_path, name):
    path, prepare = tmp_path / "raw", FORMATS[name][1]
    path.write_bytes(small_log(name))
    prepare(path, tmp_path / "log")
    path.write_bytes(small_log(name) + b"bad")
    before = files_of(tmp_path)
    with pytest.raises(MalformedLogError):
        prepare(path, tmp_path / "log")
    assert files_of(tmp_path) == before


def limit_file_size(size: int):
    """What a process calls before it starts, so that it can write no file of more bytes."""
    return functools.partial(resource.setrlimit, resource.RLIMIT_FSIZE, (size, size))


def test_a_full_disk_is_explained_and_leaves_nothing(tmp_path, name):
    """A file that may not grow stands for a disk that is full; both are an error of `write`."""
    path, prepare = tmp_path / "raw", FORMATS[name][1]
    path.write_bytes(small_log(name))
    prepare(path, tmp_path / "log")
    before = files_of(tmp_path)
    program = (
        f"from paper_code.data import {prepare.__name__} as prepare; prepare(*{[str(path), str(tmp_path / 'log')]})"
    )
    ended = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, preexec_fn=limit_file_size(300), check=False
    )
    row_bytes = 4 * len(FORMATS[name][0].fields) + 1
    assert ended.returncode == 1
    assert f"File too large: {tmp_path / 'log'} needs {row_bytes} bytes a row" in ended.stderr
    assert "free some space or choose another folder" in ended.stderr
    assert files_of(tmp_path) == before


@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EDQUOT])
def test_every_kind_of_full_disk_is_explained(tmp_path, name, monkeypatch, error):
    def fail(self, block):
        raise OSError(error, os.strerror(error))

    path = tmp_path / "raw"
    path.write_bytes(small_log(name))
    monkeypatch.setattr(encoding.ArrayFile, "append", fail)
    with pytest.raises(OSError, match=f"{os.strerror(error)}: .*log needs .* bytes a row") as raised:
        FORMATS[name][1](path, tmp_path / "log")
    assert raised.value.errno == error
    assert files_of(tmp_path).keys() == {str(path)}


def test_other_errors_of_the_file_system_are_as_they_are(tmp_path, name, monkeypatch):
    def fail(self, block):
        raise OSError(errno.EIO, "broken disk")

    (tmp_path / "raw").write_bytes(small_log(name))
    monkeypatch.setattr(encoding.ArrayFile, "append", fail)
    with pytest.raises(OSError, match=r"^\[Errno 5\] broken disk$"):
        FORMATS[name][1](tmp_path / "raw", tmp_path / "log")


# The files of arrays and the thread


@pytest.mark.parametrize("columns", [(), (3,)])
@pytest.mark.parametrize("block_rows", [1, 4, 100])
def test_an_array_file_is_appended_to_and_overwritten_by_blocks(tmp_path, monkeypatch, columns, block_rows):
    monkeypatch.setattr(encoding, "BLOCK_ROWS", block_rows)
    array = np.random.default_rng(0).integers(1000, size=(11, *columns), dtype=np.int32)
    with encoding.ArrayFile(tmp_path / "array.npy", np.int32, *columns) as file:
        for part in np.split(array, [2, 3, 3]):
            file.append(part)
        for where, block in file.blocks("", progress=False):
            np.testing.assert_array_equal(block, array[where])
            file.overwrite(where.start, block + 1)
    saved = np.load(tmp_path / "array.npy")
    assert saved.dtype == np.int32
    np.testing.assert_array_equal(saved, array + 1)


def test_what_is_made_in_the_background_comes_in_order_with_its_errors():
    def items():
        yield from range(1, 4)
        raise ValueError("broken")

    made = rows.in_background(items())
    assert [next(made) for _ in range(3)] == [1, 2, 3]
    with pytest.raises(ValueError, match="broken"):
        next(made)
    assert list(rows.in_background(iter([1, 2]))) == [1, 2]


def test_other_folders_and_the_raw_file_itself_are_left_alone(tmp_path, name):
    path, prepare = tmp_path / "raw", FORMATS[name][1]
    path.write_bytes(small_log(name))
    (tmp_path / "mine").mkdir()
    with pytest.raises(FileExistsError, match="not an encoded click log"):
        prepare(path, tmp_path / "mine")
    log = prepare(path, tmp_path / "log").log
    inside = path.rename(tmp_path / "log" / "raw")
    with pytest.raises(ValueError, match="choose another folder"):
        prepare(inside, tmp_path / "log")
    assert inside.read_bytes() == small_log(name)
    assert log.rows == 2
