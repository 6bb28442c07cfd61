"""`paper-code verify` trains stored records anew and says whether they are true."""

import dataclasses
import json
import os
import shutil
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from paper_code import cli
from paper_code.commands import verify as command
from paper_code.data import ClickLog, Field, load_click_log
from paper_code.data.click_log import write_log
from paper_code.runs import verification
from paper_code.runs.config import FIRST_CRITEO_80K, DataConfig
from paper_code.runs.execution import execute
from paper_code.runs.experiments import run_configs
from paper_code.runs.profiles import PROFILES, Profile
from paper_code.runs.record import RunRecord
from paper_code.runs.store import RunStore, write
from paper_code.training.config import TrainingConfig
from tests.killing import tiny_config

CONFIGS = sorted(map(tiny_config, range(3)), key=lambda config: config.hash)


pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def records() -> list[RunRecord]:
    return [execute(config, "cpu", threads=1) for config in CONFIGS]


@pytest.fixture
def store(records, tmp_path) -> RunStore:
    store = RunStore(tmp_path / "results")
    for config, record in zip(CONFIGS, records, strict=True):
        store.put(config, record)
    return store


@pytest.fixture
def verify(capsys, store, tmp_path):
    """Run the command on the store; give its exit status, its report and its standard error."""

    def run(*options) -> tuple[int, dict, str]:
        folders = ["--results-dir", store.folder, "--data-dir", tmp_path / "data", "--jobs", 1, "--json"]
        status = cli.main([str(part) for part in ("verify", *folders, *options)])
        output, message = capsys.readouterr()
        return status, json.loads(output or "{}"), message

    return run


def change(store: RunStore, number: int, **parts) -> None:
    """Tamper with a stored record: its scores, looks or spectra."""
    config = CONFIGS[number]
    record = store.get(config)
    changed = {name: value(getattr(record, name)) for name, value in parts.items()}
    store.put(config, dataclasses.replace(record, **changed))


def of_another_machine(looks: list[float]) -> list[float]:
    return [value + 1e-7 for value in looks]


def test_records_of_this_machine_have_the_same_bits(verify):
    status, report, message = verify("--all")
    assert (status, message) == (0, "")
    assert report["holds"]
    assert report["verdict"] == "3 same bits"
    assert [row["record"] for row in report["records"]] == [f"criteo_like/{config.hash}.json" for config in CONFIGS]
    for row in report["records"]:
        assert row["test_auc_difference"] == row["information_abundance_difference"] == row["best_look_difference"] == 0


def test_a_verification_writes_nothing(verify, store):
    before = {path: path.stat().st_mtime_ns for path in store.folder.rglob("*")}
    verify("--all")
    assert {path: path.stat().st_mtime_ns for path in store.folder.rglob("*")} == before


@pytest.mark.parametrize(
    "parts",
    [
        {"scores": lambda scores: scores | {"test_auc": scores["test_auc"] + 1e-6}},
        {"scores": lambda scores: scores | {"best_look": scores["best_look"] + 1}},
        {"spectra": lambda spectra: spectra | {"side_by_side": spectra["side_by_side"][::-1]}},
        {"looks": of_another_machine, "scores": lambda scores: scores | {"test_auc": scores["test_auc"] + 0.01}},
        {"looks": of_another_machine, "spectra": lambda spectra: {"side_by_side": [[1.0, 0.1]] * 39}},
    ],
    ids=["AUC", "best look", "spectra", "AUC beyond the spread", "spectra beyond the spread"],
)
def test_a_tampered_record_is_named_and_the_exit_status_is_1(verify, store, parts):
    change(store, 1, **parts)
    status, report, message = verify("--all")
    assert status == 1
    name = f"criteo_like/{CONFIGS[1].hash}.json"
    assert message == f"paper-code: {store.folder}: not what this code gives: {name}\n"
    assert {row["record"]: row["verdict"] for row in report["records"]}[name] == "DIFFERS"
    assert not report["holds"]


def test_a_measure_that_was_not_taken_when_a_record_was_stored_makes_no_difference(verify, store):
    change(store, 1, spectra=lambda spectra: {"side_by_side": spectra["side_by_side"]})
    status, report, _ = verify("--all")
    assert (status, report["verdict"]) == (0, "3 same bits")


def test_a_record_of_a_machine_that_rounds_otherwise_is_held_against_the_known_spread(verify, store):
    change(store, 1, looks=of_another_machine, provenance=lambda of: of | {"hardware": "another"})
    status, report, message = verify("--all")
    assert (status, message) == (0, "")
    assert report["verdict"].startswith("2 same bits, 1 within the spread")
    assert report["holds"]


def test_differences_that_all_have_one_side_are_a_drift(verify, store):
    """Each within the spread of another machine, but not their mean."""
    shift = 0.9 * verification.SPREAD["test_auc"]
    for number in range(3):
        change(
            store,
            number,
            looks=of_another_machine,
            scores=lambda scores: scores | {"test_auc": scores["test_auc"] + shift},
        )
    status, report, message = verify("--all")
    assert status == 1
    assert [row["verdict"] for row in report["records"]] == ["within the spread"] * 3
    assert "the mean of the sample's test AUC" in message


def test_bits_that_differ_on_a_machine_of_the_same_name_are_told(verify, store):
    change(store, 1, looks=of_another_machine)
    assert "1 of them were made on a machine of this name" in verify("--all")[1]["verdict"]


def test_the_seed_decides_which_records_are_drawn(verify):
    drawn = {seed: [row["record"] for row in verify("--sample", 1, "--seed", seed)[1]["records"]] for seed in range(8)}
    assert {len(records) for records in drawn.values()} == {1}
    assert len({tuple(records) for records in drawn.values()}) > 1
    assert [row["record"] for row in verify("--sample", 1, "--seed", 5)[1]["records"]] == drawn[5]


def test_the_others_are_counted_with_the_reason(verify):
    _, report, _ = verify("--sample", 2)
    assert len(report["records"]) == 2
    assert report["left_out"] == {"not drawn": 1}


def test_no_more_is_drawn_than_the_minutes_allow(verify, store):
    """Runs of 60 seconds, as their records tell."""
    times = {"seconds": 60.0, "training_seconds": 60.0}
    for number in range(3):
        change(store, number, provenance=lambda of: of | times)
    _, report, _ = verify("--minutes", 2.5)
    assert len(report["records"]) == 2
    assert report["left_out"] == {"beyond 2.5 minutes": 1}


def test_records_of_the_first_regime_are_left_out_and_counted(verify, store, records):
    for config in (
        dataclasses.replace(CONFIGS[0], data=dataclasses.replace(CONFIGS[0].data, generator=None)),
        dataclasses.replace(CONFIGS[0], data=FIRST_CRITEO_80K),
    ):
        store.put(config, dataclasses.replace(records[0], config=config.to_json()))
    _, report, _ = verify("--sample", 3)
    assert report["left_out"] == {"of the first regime, whose logs this code no longer makes": 2}


def save_log(folder, seed: int = 0) -> None:
    rng = np.random.default_rng(seed)
    ids = rng.integers(5, size=(400, 3)).astype(np.int32)
    folder.parent.mkdir(exist_ok=True)
    fields = tuple(Field(name, 5) for name in "abc")
    write_log(folder, ClickLog(folder.name, fields, ids, rng.integers(2, size=400), 2, {"seed": seed}))


@pytest.fixture
def real_log(store, tmp_path):
    """A record of a run on an encoded log, and the log's folder."""
    folder = tmp_path / "data" / "mini"
    save_log(folder)
    data = DataConfig("mini", 0, 400, fingerprint=load_click_log(folder).fingerprint)
    config = dataclasses.replace(CONFIGS[0], data=data)
    store.put(config, execute(config, "cpu", threads=1, data_folder=folder.parent))
    return folder


def test_a_record_of_an_encoded_log_is_verified_where_the_log_is(verify, real_log):
    _, report, _ = verify("--dataset", "mini", "--all")
    assert [row["verdict"] for row in report["records"]] == ["same bits"]


def test_a_log_that_is_absent_is_left_out_with_a_word(verify, real_log):
    real_log.rename(real_log.with_name("elsewhere"))
    status, report, _ = verify("--all")
    assert status == 0
    assert len(report["records"]) == 3
    (reason,) = report["left_out"]
    assert reason.startswith(f"on mini, which is not in {real_log.parent}")


def test_so_is_one_that_was_encoded_otherwise(verify, real_log):
    shutil.rmtree(real_log)
    save_log(real_log, seed=1)
    (reason,) = verify("--all")[1]["left_out"]
    assert reason == f"on mini as it was encoded otherwise than the one in {real_log}"


def test_only_the_experiment_that_is_named_is_verified(verify, store, monkeypatch):
    training = TrainingConfig(batch_size=64, max_epochs=1)
    tiny = Profile(1_000, 500, (1, 2), (0, 1), {"hidden": (4,), "cross_layers": 1}, training)
    monkeypatch.setitem(PROFILES, "tiny", tiny)
    configs = run_configs("collapse", "criteo_like", "tiny")
    for config in configs:
        store.put(config, execute(config, "cpu", threads=1))
    _, report, _ = verify("--all", "--experiment", "collapse", "--profile", "tiny")
    assert {row["record"] for row in report["records"]} == {f"criteo_like/{config.hash}.json" for config in configs}
    assert len(configs) == 2


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--dataset", "avazu_like"], "no record to verify: there is none"),
        (["--minutes", "0.0001"], "no record to verify: 3 beyond 0.0001 minutes"),
        (["--experiment", "figure_1"], "experiment 'figure_1' does not exist; expected one of collapse, "),
        (["--device", "cuda:99"], "device 'cuda:99'"),
    ],
)
def test_nothing_to_verify_is_an_error(verify, options, words):
    status, report, message = verify(*options)
    assert (status, report) == (1, {})
    assert words in message


def test_a_run_that_fails_is_told_and_the_exit_status_is_1(verify, monkeypatch):
    def fail(*_, **__):
        raise FloatingPointError("the loss is nan")

    monkeypatch.setattr("paper_code.runs.sweeps.execute", fail)
    status, report, message = verify("--sample", 1)
    assert status == 1
    assert report["records"][0]["error"] == "FloatingPointError: the loss is nan"
    assert "not what this code gives" in message


def test_a_record_whose_config_this_code_does_not_know_is_named(verify, store, records):
    config = CONFIGS[0].to_json() | {"flavour": "sour"}
    record = dataclasses.replace(records[0], config=config)
    path = store.folder / "criteo_like" / f"{record.hash}.json"
    write(path, json.dumps(dataclasses.asdict(record)))
    status, _, message = verify("--all")
    assert status == 1
    assert f"criteo_like/{record.hash}.json: the config is not of a run that this code knows" in message


def test_the_text_says_what_the_report_does(store, capsys, records):
    change(store, 1, looks=of_another_machine)
    assert cli.main(["verify", "--all", "--jobs", "1", "--results-dir", str(store.folder)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"3 records of {store.folder}"
    assert len(lines) == 5
    for line, record in zip(lines[1:4], records, strict=True):
        assert record.hash in line
        assert f"test AUC {record.scores['test_auc']:.6f}" in line
    assert "(+0.000000 of 0." in lines[2]
    assert lines[4].startswith("verdict: 2 same bits, 1 within the spread")


def test_the_spread_is_five_times_what_other_instructions_were_measured_to_change():
    measured = pd.read_csv(command.project_path("figures/data/verification_other_instructions.csv"))
    assert len(measured) >= 4
    for name, unit in (("test_auc", 1e-4), ("information_abundance", 1e-2)):
        differences = measured[f"{name}_difference"].to_numpy()
        expected = 5 * np.sqrt(np.mean(differences**2))
        assert verification.SPREAD[name] == pytest.approx(np.ceil(expected / unit) * unit)
    assert measured["best_look_difference"].abs().max() <= verification.SPREAD["best_look"]


# What needs no log


@pytest.fixture
def appendix(store, monkeypatch):
    """A file as `computed` keeps it, of something that is computed at once."""
    monkeypatch.setattr(command, "computations", lambda: {"sums": lambda numbers: sum(numbers)})
    path = store.folder / verification.file_of("sums", [0.1, 0.2])
    write(path, json.dumps({"parameters": [0.1, 0.2], "result": 0.1 + 0.2}))
    return path


def test_what_needs_no_log_is_computed_anew(verify, appendix):
    status, report, _ = verify("--sample", 1)
    assert status == 0
    assert report["records"][-1] == {"record": appendix.name, "verdict": "same bits"}
    assert len(verify("--sample", 1, "--dataset", "criteo_like")[1]["records"]) == 1


def test_another_last_bit_there_is_a_difference(verify, appendix):
    write(appendix, json.dumps({"parameters": [0.1, 0.2], "result": 0.3}))
    status, report, message = verify("--sample", 1)
    assert status == 1
    assert report["records"][-1]["verdict"] == "DIFFERS"
    assert appendix.name in message


@pytest.mark.parametrize("text", ["{}", "[1]", "no JSON", '{"parameters": [1], "result": 1}'])
def test_a_file_that_is_no_result_is_named(verify, appendix, text):
    write(appendix, text)
    status, _, message = verify("--sample", 1)
    assert status == 1
    assert f"{appendix}: not a result of sums" in message


def test_appendix_b_and_the_published_tables_are_as_committed():
    (path,) = command.project_path("figures/data/runs").glob("appendix_b_*.json")
    assert verification.is_same_result(path, command.computations())
    assert command.is_published_table()


def test_the_toy_has_the_same_bits_with_other_instructions_and_threads():
    """What the project's records of it have to have, for they are verified on all machines."""
    code = (
        "import sys, json\n"
        "from paper_code.runs.computed import compute_toy\n"
        "parameters = {'third_cardinality': 3, 'seeds': [0, 1], 'iterations': 200, 'points': 4}\n"
        "print(json.dumps(compute_toy(parameters)))"
    )
    machines = ({"OMP_NUM_THREADS": "1"}, {"OMP_NUM_THREADS": "2", "ATEN_CPU_CAPABILITY": "avx2"})
    printed = [
        subprocess.run([sys.executable, "-c", code], env=os.environ | machine, capture_output=True, check=True).stdout
        for machine in machines
    ]
    assert printed[0] == printed[1]
    assert json.loads(printed[0])["iterations"] == [0, 50, 100, 150, 200]
