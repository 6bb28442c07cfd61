"""A sweep left alone for days: killed, interrupted, doubled, out of disk or on damaged files, it loses no record, does
no run twice and says what is wrong and where."""

import dataclasses
import errno
import fcntl
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from paper_code import cli
from paper_code.commands import sweep as sweep_command
from paper_code.data import ClickLog, Field, click_log, load_click_log
from paper_code.data.click_log import check_rows, replaced_folder, write_description
from paper_code.runs import execution, logs, sweeps
from paper_code.runs.config import DataConfig, RunConfig
from paper_code.runs.execution import execute
from paper_code.runs.experiments import run_configs
from paper_code.runs.logs import data_config, load_data
from paper_code.runs.record import RunRecord, read_record
from paper_code.runs.store import RunStore
from paper_code.runs.sweeps import sweep
from tests.killing import tiny_config

ENVIRONMENT = os.environ | {"OMP_NUM_THREADS": "1"}


def record_of(config: RunConfig) -> RunRecord:
    scores = {"test_auc": 0.75, "test_log_loss": 0.5, "best_epoch": 1}
    epoch = {"training_loss": [0.5], "validation_auc": 0.7, "measurements": {"information_abundance": [1.0]}}
    return RunRecord(config.to_json(), [{"name": "ad", "cardinality": 3}], 10, scores, [epoch], {}, {"commit": None})


def files(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def executed(monkeypatch) -> list[int]:
    """The seeds of the runs that are executed, by a stand-in that is done at once."""
    done = []

    def fake_execute(config, *arguments, **options):
        done.append(config.seed)
        return record_of(config)

    monkeypatch.setattr(sweeps, "execute", fake_execute)
    monkeypatch.setattr(sweeps, "LOOK_AGAIN", 0.02)
    return done


# Killed


def test_a_sweep_killed_at_random_moments_ends_with_the_records_of_one_that_was_not(tmp_path):
    script = [sys.executable, "-m", "tests.killing", "--kills", "22", "--csv", str(tmp_path / "counts.csv")]
    place = {"cwd": Path(__file__).parents[2], "env": ENVIRONMENT}
    done = subprocess.run(script, capture_output=True, text=True, **place)
    assert done.returncode == 0, done.stdout + done.stderr
    counts = pd.read_csv(tmp_path / "counts.csv").iloc[0]
    assert counts["kills"] >= 20
    assert counts["records_read"] > 0
    assert 0 < counts["records_at_last_kill"] <= 20
    assert (counts["equal"], counts["others"]) == (20, 0)


# Interrupted


def processes_of(session: int) -> dict[int, str]:
    """The command lines of the living processes of a session, by process id."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            state, *_, of = (folder / "stat").read_text().rsplit(")", 1)[1].split()[:4]
            if int(of) == session and state != "Z":
                found[int(folder.name)] = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode()
        except OSError:  # it ended meanwhile
            continue
    return found


# Of its runs the first is done at once and the others never
ENDLESS = """
import sys
from tests.killing import tiny_config
from paper_code import cli
from paper_code.commands import sweep

endless = {"max_epochs": 10**6, "patience": 10**6}
sweep.run_configs = lambda *_: [tiny_config(0), tiny_config(1, **endless), tiny_config(2, **endless)]
sys.exit(cli.main(sys.argv[1:]))
"""


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks for processes in /proc")
@pytest.mark.parametrize(
    ("command", "moment", "sent"),
    [
        ([Path(sys.executable).with_name("paper-code")], "workers start", signal.SIGINT),
        ([sys.executable, "-c", ENDLESS], "a record is there", signal.SIGINT),
        ([sys.executable, "-c", ENDLESS], "a record is there", signal.SIGKILL),
    ],
    ids=["Ctrl-C at the start", "Ctrl-C", "SIGKILL"],
)
def test_what_stops_a_sweep_in_processes_keeps_the_records_and_leaves_no_process(tmp_path, command, moment, sent):
    """Ctrl-C as a terminal does it, the sweep and its workers get the signal, and without traceback; a kill as the
    system does it when memory is short, the sweep alone gets it."""
    command = [*command, "sweep", "scalability", "--dataset", "criteo_like", "--profile", "smoke"]
    command += ["--jobs", "2", "--device", "cpu", "--results-dir", tmp_path]
    place = {"cwd": Path(__file__).parents[2], "env": ENVIRONMENT, "start_new_session": True}
    # as from a terminal, also where the tests run in the background, with interrupts ignored
    place["preexec_fn"] = lambda: signal.signal(signal.SIGINT, signal.SIG_DFL)
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, **place)
    reached = {
        "workers start": lambda: any("LokyProcess" in line for line in processes_of(process.pid).values()),
        "a record is there": lambda: any(tmp_path.glob("*/[!.]*.json")),
    }
    try:
        assert in_time(reached[moment], 120)
        (os.killpg if sent == signal.SIGINT else os.kill)(process.pid, sent)
        _, errors = process.communicate(timeout=60)
        assert in_time(lambda: processes_of(process.pid) == {}, 20)
    finally:
        if processes_of(process.pid):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    assert len(list(RunStore(tmp_path).records())) == (moment == "a record is there")
    if sent == signal.SIGINT:
        assert process.returncode == 130
        assert errors.strip().splitlines()[-1] == "paper-code: interrupted; records already written are kept"
        for word in ("Traceback", "Warning", "KeyboardInterrupt"):
            assert word not in errors
        assert [path for path in files(tmp_path) if path.suffix != ".json"] == []


# Interrupts itself when the command begins to import
IMPORTING = """
import os, signal, sys

class Interrupting:
    def find_spec(self, name, *_):
        if name == "torch":
            os.kill(os.getpid(), signal.SIGINT)

sys.meta_path.insert(0, Interrupting())
from paper_code.__main__ import main
sys.exit(main())
"""


def test_ctrl_c_while_the_command_is_importing_is_one_line():
    done = subprocess.run([sys.executable, "-c", IMPORTING, "sweep"], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (130, "paper-code: interrupted before it began\n")


# Three runs of some seconds
LONGER = """
import sys
from tests.killing import tiny_config
from paper_code import cli
from paper_code.commands import sweep

sweep.run_configs = lambda *_: [tiny_config(0), *(tiny_config(seed, max_epochs=200, patience=200) for seed in (1, 2))]
sys.exit(cli.main(sys.argv[1:]))
"""


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks for processes in /proc")
def test_a_sweep_goes_on_when_one_of_its_processes_is_killed(tmp_path):
    command = [sys.executable, "-c", LONGER, "sweep", "scalability", "--dataset", "criteo_like", "--profile", "smoke"]
    command += ["--jobs", "2", "--device", "cpu", "--results-dir", tmp_path]
    place = {"cwd": Path(__file__).parents[2], "env": ENVIRONMENT, "start_new_session": True}
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, **place)
    try:
        assert in_time(lambda: any(tmp_path.glob("*/[!.]*.json")), 120)
        workers = [pid for pid, line in processes_of(process.pid).items() if "LokyProcess" in line]
        os.kill(workers[0], signal.SIGKILL)
        _, errors = process.communicate(timeout=120)
    finally:
        if processes_of(process.pid):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    assert process.returncode == 0, errors
    assert "a process of the sweep was ended from outside; run begun again: " in errors
    assert len(list(RunStore(tmp_path).records())) == 3
    assert [path for path in files(tmp_path) if path.suffix != ".json" and path.suffix != ".tmp"] == []


def test_a_run_whose_process_is_ended_again_and_again_is_given_up(monkeypatch, capfd):
    """Seed 2 ends every process it is in; seed 0 is beside it once, and done the next time."""
    seen = Counter()

    def submit(function, config, *arguments) -> Future:
        seen[config.seed] += 1
        future = Future()
        if config.seed == 2 or sum(seen.values()) == 1:
            future.set_exception(BrokenProcessPool())
        else:
            future.set_result(record_of(config))
        return future

    executor = SimpleNamespace(submit=submit, shutdown=lambda kill_workers: None)
    monkeypatch.setattr(sweeps, "get_reusable_executor", lambda number, **_: executor)
    configs = [tiny_config(seed) for seed in (0, 2, 3)]
    with sweeps.Processes(["cpu"] * 2, Path()) as pool:
        outcomes = {config.seed: outcome for config, outcome in sweeps.outcomes(configs, pool)}
    assert seen == {0: 2, 2: 3, 3: 1}
    assert (outcomes[0], outcomes[3]) == (record_of(configs[0]), record_of(configs[2]))
    assert outcomes[2].startswith("the process of this run or of one beside it was ended 3 times (was memory short?")
    again = [line for line in capfd.readouterr().err.splitlines() if "ended from outside; run begun again: " in line]
    assert [line.split()[-1] for line in sorted(again)] == sorted([configs[0].hash, *[configs[1].hash] * 2])


def in_time(reached: Callable[[], bool], seconds: float) -> bool:
    end = time.monotonic() + seconds
    while not (found := reached()) and time.monotonic() < end:
        time.sleep(0.02)
    return found


# Two sweeps at once


def test_a_reservation_keeps_others_out_until_it_is_released_and_is_no_record(tmp_path):
    store, other = RunStore(tmp_path), RunStore(tmp_path)
    reservation = store.reserve(tiny_config(0))
    assert other.reserve(tiny_config(0)) is None
    other.release(tiny_config(1), other.reserve(tiny_config(1)))
    assert list(store.records()) == []
    store.release(tiny_config(0), reservation)
    other.release(tiny_config(0), other.reserve(tiny_config(0)))
    assert files(tmp_path) == {}


def test_of_all_who_reserve_a_run_one_has_it_at_a_time(tmp_path):
    """Also when the file that is locked is removed by the one who had it, and made anew."""
    inside, most, reservations = [], [], []

    def reserve_again_and_again():
        store = RunStore(tmp_path)
        while len(reservations) < 300:
            if (reservation := store.reserve(tiny_config())) is not None:
                inside.append(reservation)
                most.append(len(inside))
                time.sleep(0)
                inside.remove(reservation)
                reservations.append(reservation)
                store.release(tiny_config(), reservation)

    threads = [threading.Thread(target=reserve_again_and_again) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(reservations) >= 300
    assert max(most) == 1


def test_two_sweeps_share_the_runs_and_each_ends_with_all_of_them(tmp_path, executed, monkeypatch):
    together = threading.Barrier(2, timeout=20)
    fake_execute = sweeps.execute

    def waits_for_the_other(config, *arguments, **options):
        if len(executed) < 2:
            together.wait()  # both have one
        time.sleep(0.005)
        return fake_execute(config, *arguments, **options)

    monkeypatch.setattr(sweeps, "execute", waits_for_the_other)
    configs = [tiny_config(seed) for seed in range(20)]
    found = []

    def one_sweep():
        trained = sweep(configs, RunStore(tmp_path), device="cpu", jobs=1)
        found.append((trained, len(list(RunStore(tmp_path).records()))))

    both = [threading.Thread(target=one_sweep) for _ in range(2)]
    for thread in both:
        thread.start()
    for thread in both:
        thread.join()
    assert sorted(executed) == list(range(20))
    assert [records for _, records in found] == [20, 20]
    assert sum(trained for trained, _ in found) == 20
    assert min(trained for trained, _ in found) > 0
    assert not list(tmp_path.rglob("*.lock"))


HOLDING = """
import sys, time
from tests.killing import tiny_config
from paper_code.runs import sweeps
from paper_code.runs.store import RunStore
from paper_code.runs.sweeps import sweep

def execute(config, *arguments, **options):
    print("ready", flush=True)
    time.sleep(600)

sweeps.execute = execute
sweep([tiny_config(0), tiny_config(1)], RunStore(sys.argv[1]), device="cpu", jobs=1)
"""


def test_the_run_of_a_sweep_that_is_killed_is_trained_by_the_one_that_waits_for_it(
    tmp_path, executed, monkeypatch, capfd
):
    script = [sys.executable, "-c", HOLDING, str(tmp_path)]
    place = {"cwd": Path(__file__).parents[2], "env": ENVIRONMENT, "stderr": subprocess.DEVNULL}
    process = subprocess.Popen(script, stdout=subprocess.PIPE, text=True, **place)
    done_before = []
    monkeypatch.setattr(
        time, "sleep", lambda seconds: (done_before.append([*executed]), process.kill(), process.wait())
    )
    try:
        assert process.stdout.readline() == "ready\n"
        assert sweep([tiny_config(seed) for seed in range(4)], RunStore(tmp_path), device="cpu", jobs=1) == 4
    finally:
        process.kill()
        process.communicate()
    assert done_before[0] == [1, 2, 3]
    assert executed == [1, 2, 3, 0]
    assert f"waiting for another sweep on {tmp_path}, runs that it has: 1" in capfd.readouterr().err
    assert not list(tmp_path.rglob("*.lock"))


def test_a_run_that_another_sweep_holds_and_stores_is_not_trained(tmp_path, executed, monkeypatch):
    store = RunStore(tmp_path)
    reservation = store.reserve(tiny_config(0))

    def ends(seconds):
        store.put(tiny_config(0), record_of(tiny_config(0)))
        store.release(tiny_config(0), reservation)

    monkeypatch.setattr(time, "sleep", ends)
    assert sweep([tiny_config(0), tiny_config(1)], RunStore(tmp_path), device="cpu", jobs=1) == 1
    assert executed == [1]


def test_without_locks_a_sweep_goes_on_with_a_warning(tmp_path, executed, monkeypatch):
    def no_locks(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", no_locks)
    with pytest.warns(UserWarning, match=rf"{re.escape(str(tmp_path))}.*: no file locks here .*one sweep at a time"):
        assert sweep([tiny_config(0), tiny_config(1)], RunStore(tmp_path), device="cpu", jobs=1) == 2
    assert executed == [0, 1]


# The disk


def test_a_full_disk_stops_the_sweep_with_the_name_of_the_file(tmp_path, executed, monkeypatch, capsys):
    calls, fsync = [], os.fsync

    def full(descriptor):
        calls.append(descriptor)
        if len(calls) == 2:
            raise OSError(errno.ENOSPC, "No space left on device")
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", full)
    store, configs = RunStore(tmp_path), [tiny_config(seed) for seed in range(4)]
    monkeypatch.setattr(sweep_command, "run_configs", lambda *_: configs)
    arguments = ["--dataset", "criteo_like", "--jobs", "1", "--device", "cpu", "--results-dir", str(tmp_path)]
    assert cli.main(["sweep", "scalability", *arguments]) == 1
    message = capsys.readouterr().err.splitlines()[-1]
    assert message.startswith(f"paper-code: {store.path(configs[1])}: cannot be written ([Errno 28] No space left on")
    assert executed == [0, 1]
    assert [*files(tmp_path)] == [store.path(configs[0])]
    assert sweep(configs, store, device="cpu", jobs=1) == 3
    assert executed == [0, 1, 1, 2, 3]


@pytest.mark.parametrize("in_the_way", ["results", "results/criteo_like"])
def test_a_folder_that_cannot_be_written_is_named_before_anything_is_trained(tmp_path, executed, in_the_way):
    """A file in its place, which stops also a user whom permissions do not stop."""
    path = tmp_path / in_the_way
    path.parent.mkdir(exist_ok=True)
    path.write_text("precious")
    with pytest.raises(OSError, match=rf"{re.escape(str(path))}.*: cannot be written .*set the permissions"):
        sweep([tiny_config()], RunStore(tmp_path / "results"), device="cpu", jobs=1)
    assert executed == []
    assert files(tmp_path) == {path: b"precious"}


def test_a_failing_disk_ends_the_runs_that_go_on(tmp_path, monkeypatch):
    """In processes: the second run would take hours."""

    def full(descriptor):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    started = time.monotonic()
    with pytest.raises(OSError, match="No space left"):
        sweep(
            [tiny_config(0), tiny_config(1, max_epochs=10**6, patience=10**6)], RunStore(tmp_path), device="cpu", jobs=2
        )
    assert time.monotonic() - started < 300
    assert files(tmp_path) == {}


# Records that are not as they were written

EDITS = {
    "scores.test_auc": ("0.75", "scores.test_auc is '0.75', expected float"),
    "scores.best_epoch": (1.5, "scores.best_epoch is 1.5, expected int"),
    "scores": ([], "scores is [], expected dict"),
    "epochs": (None, "epochs is None, expected list"),
    "epochs.0": (3, "epochs.0 is 3, expected dict"),
    "epochs.0.validation_auc": (float("nan"), "epochs.0.validation_auc is nan, expected a finite number"),
    "epochs.0.training_loss.0": (float("-inf"), "epochs.0.training_loss.0 is -inf, expected a finite number"),
    "fields.0": ("ad", "fields.0 is 'ad', expected dict"),
    "parameters": (True, "parameters is True, expected int"),
    "spectra": ({"side_by_side": [[float("inf")]]}, "spectra.side_by_side.0.0 is inf, expected a finite number"),
    "schema": (2.0, "schema is 2.0, expected int"),
    "note": ("mine", "note is no part of a record"),
}


def edited(path: Path, place: str, value: object) -> None:
    values = json.loads(path.read_text())
    *parents, last = [int(part) if part.isdigit() else part for part in place.split(".")]
    inner = values
    for part in parents:
        inner = inner[part]
    inner[last] = value
    path.write_text(json.dumps(values))


@pytest.fixture
def stored(tmp_path) -> Path:
    return RunStore(tmp_path).put(tiny_config(), record_of(tiny_config()))


@pytest.mark.parametrize("place", EDITS)
def test_an_edited_record_is_refused_with_its_name_and_the_place(stored, place):
    value, message = EDITS[place]
    edited(stored, place, value)
    with pytest.raises(
        ValueError, match=rf"{re.escape(str(stored))}: not a run record \(.*{re.escape(message)}\); delete"
    ):
        read_record(stored)


@pytest.mark.parametrize("auc", [-0.01, 1.01])
def test_an_auc_is_from_0_to_1(stored, auc):
    edited(stored, "scores.test_auc", auc)
    with pytest.raises(ValueError, match=rf"{re.escape(str(stored))}: .*scores.test_auc is {auc}, expected .* 0 to 1"):
        read_record(stored)


@pytest.mark.parametrize("part", [field.name for field in dataclasses.fields(RunRecord)])
def test_a_record_with_a_part_missing_is_refused_with_its_name(stored, part):
    values = json.loads(stored.read_text())
    del values[part]
    stored.write_text(json.dumps(values))
    message = "it has no schema" if part == "schema" else f"{part} is missing"
    with pytest.raises(ValueError, match=rf"{re.escape(str(stored))}: not a run record \({message}\); delete it"):
        read_record(stored)


def test_a_file_of_nothing_but_brackets_is_no_record(stored):
    stored.write_text("[" * 100_000)
    with pytest.raises(ValueError, match=f"{re.escape(str(stored))}: not a run record"):
        read_record(stored)


def test_an_edited_config_is_found_in_a_list_of_records_too(tmp_path, stored):
    edited(stored, "config.seed", 5)
    with pytest.raises(ValueError, match=rf"{re.escape(str(stored))}: its config is not that of the run"):
        list(RunStore(tmp_path).records())


@pytest.mark.parametrize("damage", ["folder", "schema", "nan"])
def test_a_sweep_names_the_record_it_cannot_read_and_leaves_everything_as_it_is(
    tmp_path, stored, executed, capsys, damage
):
    store = RunStore(tmp_path)
    store.put(tiny_config(1), record_of(tiny_config(1)))
    if damage == "folder":
        stored.unlink()
        stored.mkdir()
    else:
        edited(stored, *(("schema", 3) if damage == "schema" else ("scores.test_log_loss", float("nan"))))
    before = files(tmp_path)
    with pytest.raises((OSError, ValueError), match=re.escape(str(stored))):
        sweep([tiny_config(seed) for seed in range(3)], store, device="cpu", jobs=1)
    assert executed == []
    assert files(tmp_path) == before


# Losses and measurements that are not finite


def test_a_loss_that_is_not_finite_is_reported_with_its_step(tmp_path):
    store = RunStore(tmp_path)
    expected = r"1 of 2 runs failed:\n.*seed 0: FloatingPointError: .* step \d+ of epoch 1; learning_rate=1e\+30 may be"
    with pytest.raises(RuntimeError, match=expected):
        sweep([tiny_config(0, learning_rate=1e30), tiny_config(1)], store, device="cpu", jobs=1)
    assert [record.config["seed"] for record in store.records()] == [1]


def test_a_measurement_that_is_not_finite_is_reported_with_its_place(monkeypatch):
    monkeypatch.setattr(execution, "measure", lambda *_: {"side_by_side": [[1.0], [2.0, float("nan")]]})
    with pytest.raises(ValueError, match=r"^spectra.side_by_side.1.1 is nan, expected a finite number$"):
        execute(tiny_config(), "cpu", threads=1)


# Encoded logs

FIELDS = (Field("site", 3), Field("ad", 5), Field("hour", 24))


def save_log(folder: Path, rows=300) -> None:
    random = np.random.default_rng(0)
    ids = np.stack([random.integers(field.cardinality, size=rows) for field in FIELDS], axis=1).astype(np.int32)
    log = ClickLog(folder.name, FIELDS, ids, random.integers(2, size=rows).astype(np.uint8), 2, {})
    with replaced_folder(folder) as new:
        np.save(new / "ids.npy", log.ids)
        np.save(new / "labels.npy", log.labels)
        write_description(new, log.description)


def damaged(path: Path, place, value: int) -> None:
    array = np.load(path, mmap_mode="r+")
    array[place] = value


@pytest.fixture
def log_folder(tmp_path) -> Path:
    load_data.cache_clear()
    logs.check_once.cache_clear()
    save_log(tmp_path / "mine")
    return tmp_path / "mine"


@pytest.mark.parametrize("rows_at_once", [1, 7, 300, 1_000])
def test_every_id_out_of_range_is_found(log_folder, monkeypatch, rows_at_once):
    """Each kind of wrong id in some rows of each field, among them the first and the last."""
    monkeypatch.setattr(click_log, "ROWS_AT_ONCE", rows_at_once)
    check_rows(load_click_log(log_folder), log_folder)
    for number, field in enumerate(FIELDS):
        for wrong in (-1, -(2**31), field.cardinality, 2**31 - 1):
            for row in (0, 6, 7, 150, 299):
                log = load_click_log(log_folder)
                log.ids[row, number] = wrong
                with pytest.raises(ValueError, match=r"prepare the log again") as error:
                    check_rows(log, log_folder)
                assert str(error.value).startswith(
                    f"{log_folder / 'ids.npy'}: id {wrong} of field {field.name} in row {row} (from 0), "
                    f"expected 0 to {field.cardinality - 1};"
                )


@pytest.mark.parametrize(("row", "label"), [(0, 2), (299, 255)])
def test_a_label_that_is_not_0_or_1_is_found(log_folder, row, label):
    damaged(log_folder / "labels.npy", row, label)
    data = data_config("mine", 0, 10, 10, log_folder.parent)
    expected = rf"{re.escape(str(log_folder / 'labels.npy'))}: label {label} in row {row} \(from 0\), expected 0 or 1"
    with pytest.raises(ValueError, match=expected):
        load_data(data, log_folder.parent)


def test_a_damaged_log_stops_a_sweep_before_anything_is_trained(log_folder, tmp_path, executed, capsys):
    damaged(log_folder / "ids.npy", (17, 1), 5)
    arguments = ["--dataset", "mine", "--data-dir", log_folder.parent, "--results-dir", tmp_path / "results"]
    assert cli.main(["sweep", "collapse", "--jobs", "1", "--device", "cpu", *map(str, arguments)]) == 1
    message = f"paper-code: {log_folder / 'ids.npy'}: id 5 of field ad in row 17 (from 0), expected 0 to 4;"
    assert capsys.readouterr().err.startswith(message)
    assert executed == []
    assert not (tmp_path / "results").exists()


def test_the_rows_are_read_once(log_folder, monkeypatch):
    calls = []
    monkeypatch.setattr(logs, "check_rows", lambda *arguments: calls.append(arguments))
    run_configs("collapse", "mine", data_folder=log_folder.parent)
    for _ in range(2):
        load_data(data_config("mine", 0, 10, 10, log_folder.parent), log_folder.parent)
    load_data(DataConfig("criteo_like", 0, 100, 10))
    load_data(data_config("mine", 0, 10, 10, log_folder.parent), log_folder.parent)
    assert len(calls) == 1


def test_a_log_encoded_by_another_version_stops_a_sweep(log_folder, tmp_path, executed, capsys):
    path = log_folder / "log.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"format": 3}))
    arguments = ["--dataset", "mine", "--data-dir", log_folder.parent, "--results-dir", tmp_path / "results"]
    assert cli.main(["sweep", "collapse", *map(str, arguments)]) == 1
    assert (
        capsys.readouterr().err
        == f"paper-code: {path}: format 3, expected 2; prepare the log again from the raw file\n"
    )
    assert executed == []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"rows": "300"}, "rows is '300', expected int"),
        ({"fields": {}}, "fields is {}, expected list"),
        ({"fields": ["a", "b", "c"]}, "a field without a name or a positive cardinality"),
        ({"fields": [{"name": "a"}] * 3}, "a field without a name or a positive cardinality"),
        ({"fields": [{"name": "a", "cardinality": 0}] * 3}, "a field without a name or a positive cardinality"),
        ({"fields": [{"name": "a", "cardinality": "5"}] * 3}, "a field without a name or a positive cardinality"),
    ],
)
def test_an_edited_description_is_named(log_folder, change, message):
    path = log_folder / "log.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(ValueError, match=f"^{re.escape(f'{path}: {message}')}; prepare the log again$"):
        load_click_log(log_folder)


@pytest.mark.parametrize("name", ["ids.npy", "labels.npy"])
@pytest.mark.parametrize("text", [b"", b"ids", b"\x93NUMPY"])
def test_a_file_that_holds_no_array_is_named(log_folder, name, text):
    (log_folder / name).write_bytes(text)
    with pytest.raises(ValueError, match=f"{re.escape(str(log_folder / name))}: not an array.*prepare the log again"):
        load_click_log(log_folder)
