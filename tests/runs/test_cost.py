"""What runs cost is told from records and measured steps, and nothing is trained for it."""

import json
from dataclasses import replace

import pytest

from paper_code import cli
from paper_code.commands import options
from paper_code.models import build_model
from paper_code.runs import cost, sweeps
from paper_code.runs.config import DataConfig, RunConfig
from paper_code.runs.cost import (
    bytes_text,
    estimate,
    readable,
    seconds_per_step,
    time_text,
    total_seconds,
    wall_seconds,
)
from paper_code.runs.experiments import run_configs
from paper_code.runs.profiles import PROFILES, Profile
from paper_code.runs.record import RunRecord
from paper_code.runs.store import RunStore
from paper_code.training.config import RegularizerConfig, TrainingConfig

CARDINALITIES = [5, 300, 20]


def config_of(seed=0, size=4, sets=1, most=20, model="dnn") -> RunConfig:
    training = TrainingConfig(batch_size=100, max_epochs=most)
    return RunConfig(DataConfig("criteo_like", seed, 9_000, 500), model, size, sets, seed, {"hidden": (4,)}, training)


def record_of(config: RunConfig, epochs=4, training_seconds=8.0, seconds=10.0, device="cpu") -> RunRecord:
    fields = [{"name": "f", "cardinality": cardinality} for cardinality in CARDINALITIES]
    origin = {"device": device, "training_seconds": training_seconds, "seconds": seconds, "hardware": f"a {device}"}
    return RunRecord(config.to_json(), fields, 10, {"best_epoch": 1, "test_auc": 0.7}, [{}] * epochs, {}, origin)


def measured(config, cardinalities, device) -> float:
    return 0.5


def one_row(*arguments, **options) -> dict:
    (row,) = estimate(*arguments, **options, measure=measured).to_dict("records")
    return row


def test_runs_that_differ_in_their_seeds_are_one_row_timed_by_the_median_record():
    """8,000 training rows are 80 steps; epochs of 2, 1 and 3 s; 4, 6 and 5 epochs; a fourth of it all is besides."""
    records = [
        record_of(config_of(10), 4, training_seconds=8, seconds=10),
        record_of(config_of(11), 6, training_seconds=6, seconds=7.5),
        record_of(config_of(12), 5, training_seconds=15, seconds=18.75),
    ]
    row = one_row([config_of(seed) for seed in range(3)], records, "cpu")
    assert row["run"] == "criteo_like dnn K=4 weight decay 1e-06"
    assert (row["runs"], row["steps_per_epoch"], row["epochs"], row["epochs_from"]) == (3, 80, 5, "records")
    assert (row["seconds_per_step"], row["steps_from"], row["hardware"]) == (2 / 80, "records", "a cpu")
    assert row["seconds"] == pytest.approx(2 * 5 * 1.25)


def test_memory_is_weights_gradients_and_two_moments():
    row = one_row([config_of(size=8, sets=2)], cardinalities={"criteo_like": CARDINALITIES}, device="cpu")
    model = build_model("dnn", CARDINALITIES, 8, 2, hidden=(4,))
    assert row["parameters"] == sum(parameter.numel() for parameter in model.parameters())
    assert row["bytes"] == 4 * 4 * row["parameters"]


def test_without_a_record_on_the_device_steps_are_measured():
    row = one_row([config_of()], [record_of(config_of(5), device="cuda")], "cpu")
    assert (row["seconds_per_step"], row["steps_from"], row["hardware"]) == (0.5, "measured", "")
    assert (row["epochs"], row["epochs_from"]) == (4, "records")
    assert row["seconds"] == 0.5 * 80 * 4


def test_a_record_of_a_gpu_tells_of_gpus_where_there_is_none():
    row = one_row([config_of()], [record_of(config_of(5), device="cuda")], "cuda")
    assert (row["seconds_per_step"], row["steps_from"], row["hardware"]) == (2 / 80, "records", "a cuda")


def test_a_trial_of_one_epoch_tells_the_time_of_a_step_not_the_number_of_epochs():
    row = one_row([config_of()], [record_of(config_of(most=1), 1, training_seconds=2, seconds=2)], "cpu")
    assert (row["seconds_per_step"], row["steps_from"]) == (2 / 80, "records")
    assert (row["epochs"], row["epochs_from"]) == (20, "most")


def test_epochs_are_those_of_the_model_at_other_sizes_before_they_are_the_most():
    records = [record_of(config_of(size=size), epochs) for size, epochs in ((8, 3), (16, 4))]
    rows = estimate([config_of(), config_of(model="dcnv2")], records, "cpu", measure=measured)
    assert rows["epochs"].tolist() == [3.5, 20]
    assert rows["epochs_from"].tolist() == ["model", "most"]


def test_a_prepared_log_is_split_8_1_1():
    config = replace(config_of(), data=DataConfig("mine", 0, 1_009, fingerprint="a"))
    row = one_row([config], cardinalities={"mine": CARDINALITIES}, device="cpu")
    assert row["steps_per_epoch"] == 9  # 807 rows


def test_all_runs_take_their_share_but_no_less_than_the_longest():
    table = estimate([config_of(0), config_of(1)], [record_of(config_of(5))], "cpu")
    assert total_seconds(table) == pytest.approx(20)
    assert [wall_seconds(table, jobs) for jobs in (1, 2, 8)] == pytest.approx([20, 10, 10])
    nothing = estimate([], [], "cpu")
    assert (total_seconds(nothing), wall_seconds(nothing, 2)) == (0, 0)


def test_a_table_to_read_says_where_its_numbers_are_from():
    records = [record_of(config_of(5))]
    (known, new) = readable(
        estimate([config_of(), config_of(model="dcnv2")], records, "cpu", measure=measured)
    ).to_dict("records")
    assert (known["step"], known["epochs"], known["time of a run"]) == ("25 ms, records", "4, records", "10 s")
    assert (new["step"], new["epochs"], new["time of a run"]) == ("500 ms, measured", "20, most", "at most 16.7 min")


@pytest.mark.parametrize(
    ("number", "text"),
    [(12, "12 B"), (1_234, "1.23 kB"), (5.6e6, "5.6 MB"), (999.9e6, "1.0 GB"), (1.23e12, "1,230.0 GB")],
)
def test_bytes_in_units_of_1000(number, text):
    assert bytes_text(number) == text


@pytest.mark.parametrize(("seconds", "text"), [(0.0123, "12.3 ms"), (5.2, "5.2 s"), (120, "2 min"), (9_000, "2.5 h")])
def test_times_in_units_that_fit(seconds, text):
    assert time_text(seconds) == text


def test_steps_are_those_of_training(monkeypatch):
    """The run's own batches, optimiser and penalty, for as many steps as the time says."""
    seen = []

    class Watched(cost.Trainer):
        def train(self, batches, bar):
            optimizer, precision = type(self.optimizer).__name__, self.mixed_precision
            averages = self.average is not None
            seen.append((optimizer, self.penalty is not None, precision, averages, [len(batch) for batch in batches]))
            assert all(int(self.ids[:, field].max()) < size for field, size in enumerate(CARDINALITIES))
            return super().train(batches, bar)

    monkeypatch.setattr(cost, "Trainer", Watched)
    config = config_of(model="dcnv2", size=2)
    config = replace(
        config,
        training=replace(config.training, decoupled=True, mixed_precision=True, averaging=0.9),
        regularizer=RegularizerConfig("unitary", 1e-5),
    )
    assert 0 < seconds_per_step(config, CARDINALITIES, "cpu", at_least=0) < 10
    assert seen == [("AdamW", True, True, True, [100] * 2), ("AdamW", True, True, True, [100] * 16)]


# The command


@pytest.fixture
def dry_run(monkeypatch, tmp_path, capsys):
    """`paper-code sweep scalability --dry-run` at a tiny profile, of which one run is stored."""
    training = TrainingConfig(batch_size=100, max_epochs=2)
    monkeypatch.setitem(PROFILES, "tiny", Profile(900, 100, (1,), (0, 1), {"hidden": (4,)}, training))
    monkeypatch.setattr(options, "project_path", lambda path: tmp_path / "book")
    monkeypatch.setattr(sweeps, "sweep", lambda *_, **__: pytest.fail("trains"))
    stored = run_configs("scalability", "criteo_like", "tiny", seeds=[0])[0]
    RunStore(tmp_path / "runs").put(stored, record_of(stored, 2, 0.4, 0.5))
    before = sorted(tmp_path.rglob("*"))

    def run(*more) -> str:
        places = ["--results-dir", str(tmp_path / "runs"), "--device", "cpu"]
        arguments = ["sweep", "scalability", "--dataset", "criteo_like", "--profile", "tiny", *places, "--dry-run"]
        assert cli.main([*arguments, *more]) == 0
        assert sorted(tmp_path.rglob("*")) == before
        return capsys.readouterr().out

    return run


def test_a_dry_run_tells_what_is_missing_and_trains_nothing(dry_run):
    values = json.loads(dry_run("--jobs", "2", "--json"))
    kinds = {kind["model"]: kind for kind in values["kinds"]}
    assert {model: kind["runs"] for model, kind in kinds.items()} == {"dnn": 1, "dcnv2": 2}
    assert (kinds["dnn"]["steps_from"], kinds["dcnv2"]["steps_from"]) == ("records", "measured")
    totals = values["totals"]
    assert (totals["missing runs"], totals["stored already"], totals["runs at once"]) == (3, 1, 2)
    assert totals["core hours"] >= totals["hours until all are done"] >= 0
    text = dry_run("--jobs", "2")
    assert "criteo_like dcnv2 K=10" in text
    assert all(name in text for name in totals)


def test_a_dry_run_for_a_cluster_asks_it_nothing(dry_run):
    cluster = ["--backend", "dask", "--cluster", "tcp://127.0.0.1:1", "--json"]
    assert json.loads(dry_run(*cluster))["totals"]["runs at once"] == 1
    assert json.loads(dry_run(*cluster, "--jobs", "8"))["totals"]["runs at once"] == 8


@pytest.mark.parametrize("options", [["--backend", "dask"], ["--cluster", "tcp://127.0.0.1:1"]])
def test_a_cluster_needs_its_address_and_its_backend(options, capsys, tmp_path):
    assert cli.main(["sweep", "--results-dir", str(tmp_path), *options]) == 1
    assert "expected --cluster ADDRESS with --backend dask" in capsys.readouterr().err
