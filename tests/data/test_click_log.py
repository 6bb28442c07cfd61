"""An encoded log is split as in Appendix C.2, kept whole on the disk and recognised by what it holds."""

import dataclasses
import json
import os
import re
import signal
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from paper_code.data.click_log import ClickLog, Field, load_click_log, replaced_folder, split_rows, write_log


def small_log(**changes) -> ClickLog:
    ids = np.array([[0, 4], [1, 2], [2, 0], [1, 1]], dtype=np.int32)
    values = {
        "name": "small",
        "fields": (Field("site", 3), Field("ad", 5)),
        "ids": ids,
        "labels": np.array([0, 1, 1, 0], dtype=np.uint8),
        "threshold": 2,
        "source": {"file": "train.txt", "sha256": "ab" * 32, "rows": "all"},
    }
    return ClickLog(**values | changes)


def save(log: ClickLog, folder) -> None:
    write_log(folder, log)


def contents(folder) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


# The split


@settings(deadline=None, max_examples=60)
@given(st.integers(10, 3_000), st.integers(0, 2**32 - 1))
def test_the_split_is_8_1_1_and_every_row_is_in_one_part(rows, seed):
    split = split_rows(rows, seed)
    sizes = [len(split.train), len(split.validation), len(split.test)]
    for size, share in zip(sizes, (0.8, 0.1, 0.1), strict=True):
        assert abs(size - share * rows) < 1
    assert sorted([*split.train, *split.validation, *split.test]) == list(range(rows))


@settings(deadline=None, max_examples=60)
@given(st.integers(9, 3_000), st.integers(1, 500), st.integers(0, 2**32 - 1))
def test_with_a_fresh_test_sample_the_others_are_split_8_to_1(rows, test_rows, seed):
    split = split_rows(rows + test_rows, seed, test_rows)
    assert abs(len(split.train) - rows * 8 / 9) < 1
    assert sorted([*split.train, *split.validation]) == list(range(rows))
    assert split.test.tolist() == list(range(rows, rows + test_rows))


def test_the_papers_sizes():
    """Table 2's logs: 45.8 and 40.4 million rows."""
    for rows in (45_840_617, 40_428_967):
        split = split_rows(rows // 100, 0)
        assert len(split.train) == rows // 100 * 8 // 10


def test_the_seed_decides_the_split():
    first, again, other = split_rows(1_000, 0), split_rows(1_000, 0), split_rows(1_000, 1)
    for part in ("train", "validation", "test"):
        assert np.array_equal(getattr(first, part), getattr(again, part))
        assert not np.array_equal(getattr(first, part), getattr(other, part))


def test_the_split_is_one_random_permutation():
    """Not the order of the file: neither within the training part nor between the parts."""
    split = split_rows(10_000, 0)
    for part in (split.train, split.validation, split.test):
        assert part.dtype == np.int64
        # means and orders of a random sample; four standard errors
        assert abs(part.mean() - 5_000) < 4 * 10_000 / 12**0.5 / len(part) ** 0.5
        assert abs(np.corrcoef(part, np.arange(len(part)))[0, 1]) < 4 / len(part) ** 0.5


def test_a_log_splits_by_its_own_rows():
    log = small_log(test_rows=2)
    assert log.rows == 4
    assert log.cardinalities == [3, 5]
    assert log.split(0).test.tolist() == [2, 3]
    assert np.array_equal(log.split(3).train, split_rows(4, 3, 2).train)


def test_a_given_split_is_kept_for_every_seed():
    """Only the order of the training rows is the seed's."""
    log = small_log(parts=(300, 60, 40), ids=np.zeros((400, 2), np.int32), labels=np.zeros(400, np.uint8))
    orders = [log.split(seed) for seed in (0, 0, 1)]
    for split in orders:
        assert sorted(split.train) == list(range(300))
        assert split.validation.tolist() == list(range(300, 360))
        assert split.test.tolist() == list(range(360, 400))
    assert np.array_equal(orders[0].train, orders[1].train)
    assert not np.array_equal(orders[0].train, orders[2].train)


@settings(deadline=None, max_examples=60)
@given(st.integers(1, 400), st.integers(1, 30), st.integers(1, 30), st.integers(0, 2**32 - 1))
def test_rows_with_the_same_ids_in_split_by_stay_together(rows, users, items, seed):
    rng = np.random.default_rng(seed)
    ids = np.stack([rng.integers(users, size=rows), rng.integers(9, size=rows), rng.integers(items, size=rows)], axis=1)
    fields = (Field("user", users), Field("other", 9), Field("item", items))
    log = small_log(fields=fields, ids=ids.astype(np.int32), labels=np.zeros(rows, np.uint8), split_by=("user", "item"))
    split = log.split(seed)
    assert sorted([*split.train, *split.validation, *split.test]) == list(range(rows))
    parts = (split.train, split.validation, split.test)
    pairs = [{tuple(pair) for pair in ids[part][:, [0, 2]].tolist()} for part in parts]
    number = len(set.union(*pairs))
    assert sum(map(len, pairs)) == number
    train, validation = number * 8 // 10, number * 9 // 10 - number * 8 // 10
    assert [len(part) for part in pairs] == [train, validation, number - train - validation]


def test_groups_and_their_rows_are_drawn_by_the_seed():
    ids = np.repeat(np.arange(500, dtype=np.int32), 4)[:, None]
    log = small_log(fields=(Field("pair", 500),), ids=ids, labels=np.zeros(2_000, np.uint8), split_by=("pair",))
    first, again, other = (log.split(seed) for seed in (0, 0, 1))
    assert np.array_equal(first.train, again.train)
    assert not np.array_equal(first.test, other.test)
    assert abs(np.corrcoef(first.train, np.arange(len(first.train)))[0, 1]) < 4 / len(first.train) ** 0.5
    assert abs(first.test.mean() - 1_000) < 4 * 2_000 / 12**0.5 / 50**0.5  # 50 groups


# The folder


def test_a_log_comes_back_as_it_was_written(tmp_path):
    log = small_log(test_rows=1)
    save(log, tmp_path / "log")
    loaded = load_click_log(tmp_path / "log")
    for field in dataclasses.fields(ClickLog):
        assert np.array_equal(getattr(loaded, field.name), getattr(log, field.name)), field.name
    assert loaded.fingerprint == log.fingerprint
    assert load_click_log(str(tmp_path / "log")).description == log.description


def test_loading_maps_the_arrays_and_writes_nothing(tmp_path):
    """The rows stay on the disk until they are read; changing them changes the copy in memory only."""
    save(small_log(), tmp_path / "log")
    before = contents(tmp_path)
    loaded = load_click_log(tmp_path / "log")
    for array in (loaded.ids, loaded.labels):
        assert isinstance(array, np.memmap)
        array[:] = 0
    del loaded, array
    assert contents(tmp_path) == before


def test_a_new_log_takes_the_place_of_the_old_one(tmp_path):
    folder = tmp_path / "deep" / "log"
    save(small_log(), folder)
    save(small_log(name="other"), folder)
    assert load_click_log(folder).name == "other"
    assert os.listdir(folder.parent) == ["log"]
    assert sorted(os.listdir(folder)) == ["ids.npy", "labels.npy", "log.json"]


def test_files_of_the_old_log_do_not_stay_in_the_new_one(tmp_path):
    save(small_log(), tmp_path / "log")
    (tmp_path / "log" / "extra.npy").write_bytes(b"old")
    save(small_log(), tmp_path / "log")
    assert "extra.npy" not in os.listdir(tmp_path / "log")


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_what_stops_the_writer_leaves_the_old_log_and_nothing_else(tmp_path, error):
    save(small_log(), tmp_path / "log")
    before = contents(tmp_path)

    def stopped():
        with replaced_folder(tmp_path / "log") as new:
            (new / "ids.npy").write_bytes(b"half")
            assert contents(tmp_path / "log") == {key.removeprefix("log/"): value for key, value in before.items()}
            raise error("stopped")

    with pytest.raises(error, match="stopped"):
        stopped()
    assert contents(tmp_path) == before
    assert os.listdir(tmp_path) == ["log"]


def test_what_stops_the_first_writer_leaves_nothing_at_all(tmp_path):
    def stopped():
        with replaced_folder(tmp_path / "a" / "b" / "log"):
            raise RuntimeError("stopped")

    with pytest.raises(RuntimeError, match="stopped"):
        stopped()
    assert os.listdir(tmp_path) == []


# Killed writers

WRITER = """
import os, sys, time
from paper_code.data import click_log

def wait(*arguments):
    print("ready", flush=True)
    time.sleep(600)

with click_log.replaced_folder(sys.argv[1]) as new:
    (new / "log.json").write_text("half")
    if sys.argv[2] == "filling":
        wait()
    replace = os.replace
    click_log.os.replace = lambda old, new: wait() if str(new) == sys.argv[1] else replace(old, new)
"""


@pytest.fixture
def writer():
    """Start a process that fills a folder and stops there, or between setting the old log aside and the replacement."""
    started = []

    def start(folder, stops="filling") -> subprocess.Popen:
        process = subprocess.Popen([sys.executable, "-c", WRITER, folder, stops], stdout=subprocess.PIPE, text=True)
        started.append(process)
        assert process.stdout.readline() == "ready\n"
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("stops", ["filling", "replacing"])
def test_what_a_killed_writer_leaves_is_removed_by_the_next_and_no_log_is_lost(tmp_path, writer, stops):
    save(small_log(), tmp_path / "log")
    before = contents(tmp_path)
    process = writer(tmp_path / "log", stops)
    process.kill()
    assert process.wait() == -signal.SIGKILL
    assert len(os.listdir(tmp_path)) == (2 if stops == "filling" else 1)
    with pytest.raises(RuntimeError, match="stopped"), replaced_folder(tmp_path / "log"):
        raise RuntimeError("stopped")
    assert contents(tmp_path) == before
    assert os.listdir(tmp_path) == ["log"]


def test_a_living_writer_is_not_disturbed_by_the_next(tmp_path, writer):
    writer(tmp_path / "log")
    (hidden,) = tmp_path.iterdir()
    before = contents(hidden)
    save(small_log(), tmp_path / "log")
    assert contents(hidden) == before
    assert load_click_log(tmp_path / "log").name == "small"


@pytest.mark.parametrize("name", [".log-12345678", ".log-backup", ".other-abcdefgh", "log-abcdefgh"])
@pytest.mark.parametrize("inside", ["lock", "new", "other"])
def test_other_hidden_folders_are_left_alone(tmp_path, name, inside):
    (tmp_path / name / inside).mkdir(parents=True)
    save(small_log(), tmp_path / "log")
    assert (tmp_path / name / inside).is_dir()


@pytest.mark.parametrize("failing_call", [1, 2])
def test_a_failing_replacement_leaves_the_old_log(tmp_path, monkeypatch, failing_call):
    """Also when the old log is already out of the way: the last copy is never the one thrown away."""
    save(small_log(), tmp_path / "log")
    before = contents(tmp_path)
    calls, replace, rename = [], os.replace, os.rename

    def failing(function):
        def replacement(*arguments, **options):
            calls.append(arguments)
            if len(calls) == failing_call:
                raise OSError("no space left")
            return function(*arguments, **options)

        return replacement

    monkeypatch.setattr(os, "replace", failing(replace))
    monkeypatch.setattr(os, "rename", failing(rename))
    with pytest.raises(OSError, match="no space left"):
        save(small_log(name="other"), tmp_path / "log")
    assert contents(tmp_path) == before


@pytest.mark.parametrize("what", ["folder", "file"])
def test_what_is_not_a_log_is_not_replaced(tmp_path, what):
    target = tmp_path / "thesis"
    if what == "folder":
        target.mkdir()
        (target / "chapter.txt").write_text("precious")
    else:
        target.write_text("precious")
    with pytest.raises(FileExistsError, match=re.escape(str(target))), replaced_folder(target):
        pytest.fail("the block must not start")
    assert (target / "chapter.txt" if what == "folder" else target).read_text() == "precious"
    assert os.listdir(tmp_path) == ["thesis"]


# What is not a log


def test_a_missing_log_says_how_to_make_one(tmp_path):
    with pytest.raises(FileNotFoundError, match=f"{re.escape(str(tmp_path / 'none'))}.*paper-code prepare"):
        load_click_log(tmp_path / "none")


@pytest.mark.parametrize("array", ["ids.npy", "labels.npy"])
def test_a_missing_array_is_named(tmp_path, array):
    save(small_log(), tmp_path / "log")
    (tmp_path / "log" / array).unlink()
    with pytest.raises(FileNotFoundError, match=array):
        load_click_log(tmp_path / "log")


@pytest.mark.parametrize("text", ["", "{", '{"format": 1', "\xff", "[]", "null", "{}", '{"format": 1}'])
def test_a_broken_description_is_named(tmp_path, text):
    save(small_log(), tmp_path / "log")
    (tmp_path / "log" / "log.json").write_text(text, encoding="latin-1")
    with pytest.raises(ValueError, match=r"log\.json.*prepare the log again"):
        load_click_log(tmp_path / "log")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"parts": [1, 2]}, r"parts is \[1, 2\], expected the rows of training, validation and test, 4"),
        ({"parts": [1, 1, 1]}, "parts is"),
        ({"parts": [5, -1, 0]}, "parts is"),
        ({"parts": "411"}, "parts is"),
        ({"split_by": ["user"]}, "split_by is .*'user'.*, expected names of fields: site, ad"),
        ({"split_by": "ad"}, "split_by is"),
        ({"split_by": ["ad"], "parts": [2, 1, 1]}, "more than one of"),
        ({"split_by": ["ad"], "test_rows": 1}, "more than one of"),
    ],
)
def test_an_impossible_split_is_named(tmp_path, changes, words):
    save(small_log(), tmp_path / "log")
    path = tmp_path / "log" / "log.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    with pytest.raises(ValueError, match=rf"log\.json: {words}.*prepare the log again"):
        load_click_log(tmp_path / "log")


@pytest.mark.parametrize("changes", [{"parts": (2, 1, 1)}, {"split_by": ("ad", "site")}])
def test_a_log_comes_back_with_its_split(tmp_path, changes):
    log = small_log(**changes)
    loaded = write_log(tmp_path / "log", log)
    assert loaded.description == log.description
    assert (loaded.parts, loaded.split_by) == (log.parts, log.split_by)
    assert set(log.description) - set(small_log().description) == set(changes)


@pytest.mark.parametrize("version", [0, 3, "2", None])
def test_another_format_is_named(tmp_path, version):
    save(small_log(), tmp_path / "log")
    path = tmp_path / "log" / "log.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"format": version}))
    with pytest.raises(ValueError, match=rf"format {version!r}, expected 2; prepare the log again"):
        load_click_log(tmp_path / "log")


def test_a_log_of_the_earlier_encoding_of_criteos_integers_is_refused_with_what_to_do(tmp_path):
    save(small_log(), tmp_path / "log")
    path = tmp_path / "log" / "log.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"format": 1}))
    with pytest.raises(ValueError, match=r"format 1, .*Criteo's integers was wrong .* again from the raw file"):
        load_click_log(tmp_path / "log")


def test_a_symbolic_link_where_the_log_goes_is_followed(tmp_path):
    (tmp_path / "far").mkdir()
    save(small_log(), tmp_path / "far" / "log")
    for link, target in (("to_log", "far/log"), ("to_nothing", "far/other")):
        (tmp_path / link).symlink_to(target)
        save(small_log(), tmp_path / link)
        assert (tmp_path / link).is_symlink()
        assert load_click_log(tmp_path / target).rows == small_log().rows
    assert sorted(path.name for path in (tmp_path / "far").iterdir()) == ["log", "other"]


@pytest.mark.parametrize(
    ("name", "array"),
    [
        ("ids", np.zeros((3, 2), np.int32)),
        ("ids", np.zeros((4, 3), np.int32)),
        ("ids", np.zeros((4, 2), np.int64)),
        ("ids", np.zeros(8, np.int32)),
        ("labels", np.zeros(5, np.uint8)),
        ("labels", np.zeros((4, 1), np.uint8)),
        ("labels", np.zeros(4, np.float64)),
    ],
)
def test_arrays_that_are_not_as_described_are_named(tmp_path, name, array):
    save(small_log(), tmp_path / "log")
    np.save(tmp_path / "log" / f"{name}.npy", array)
    with pytest.raises(ValueError, match=rf"{name}\.npy.*prepare the log again"):
        load_click_log(tmp_path / "log")


@pytest.mark.parametrize("name", ["ids.npy", "labels.npy"])
def test_a_file_cut_short_is_refused(tmp_path, name):
    save(small_log(), tmp_path / "log")
    path = tmp_path / "log" / name
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(ValueError, match=r".+"):
        load_click_log(tmp_path / "log")


# The fingerprint


def test_the_fingerprint_is_16_hexadecimal_digits():
    assert re.fullmatch("[0-9a-f]{16}", small_log().fingerprint)


@pytest.mark.parametrize(
    "change",
    [
        {"source": {"file": "train.txt", "sha256": "cd" * 32, "rows": "all"}},
        {"source": {"file": "train.txt", "sha256": "ab" * 32, "rows": "train"}},
        {"threshold": 3},
        {"test_rows": 1},
        {"parts": (2, 1, 1)},
        {"split_by": ("ad",)},
        {"split_by": ("site", "ad")},
        {"fields": (Field("site", 3), Field("ad", 6))},
        {"fields": (Field("ad", 3), Field("site", 5))},
        {"labels": np.zeros(5, np.uint8)},
    ],
)
def test_the_fingerprint_changes_with_the_source_the_encoding_and_the_fields(change):
    assert small_log(**change).fingerprint != small_log().fingerprint


@pytest.mark.parametrize(
    "change", [{"name": "other"}, {"source": {"rows": "all", "sha256": "ab" * 32, "file": "/elsewhere/day_0.gz"}}]
)
def test_the_fingerprint_does_not_change_with_names_of_files_and_logs(change):
    assert small_log(**change).fingerprint == small_log().fingerprint
