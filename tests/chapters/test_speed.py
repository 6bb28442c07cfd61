"""The benchmark's table: what it says of the goals and of the cost of the paper's tables, on numbers made by hand."""

import math

import pandas as pd
import pytest
from matplotlib import pyplot as plt

from paper_code.chapters import speed
from paper_code.chapters.speed import (
    cells,
    cost_summary,
    days_text,
    goals_table,
    precision_table,
    run_seconds,
    run_text,
    speed_text,
    training_speed,
)
from paper_code.published import published_auc
from paper_code.runs.experiments import PAPER_MODELS
from paper_code.runs.reading import records_of

ROW = {"dataset": "Criteo", "device": "cpu", "hardware": "a processor", "floor_seconds": 0.1, "peak_mib": 1000}
ROW |= {"deferred_floor_seconds": 0.05, "samples_per_second": 20480.0}


def row(
    model: str, embedding: str, scale: int, participant: str, seconds: float, ratio: float = 1.0, **further
) -> dict:
    of_case = {"model": model, "embedding": embedding, "scale": scale, "participant": participant}
    ratios = {"ratio_median": ratio, "ratio_min": 0.9 * ratio, "ratio_max": 1.1 * ratio}
    return ROW | of_case | {"seconds_per_step": seconds} | ratios | further


TABLE = pd.DataFrame(
    [
        row("dnn", "SE", 1, "ours", 0.1),
        row("dnn", "SE", 1, "fuxictr", 0.25, 2.5),
        row("dnn", "SE", 1, "loop", 0.15, 1.5),
        row("dnn", "ME", 10, "ours", 0.16),
        row("dnn", "ME", 10, "loop", 0.12, 0.75),
        row("ipnn", "SE", 1, "ours", 0.9),
        row("ipnn", "SE", 1, "fuxictr", 1.35, 1.5),
        row("ipnn", "ME", 10, "ours", 0.9),
        row("ipnn", "ME", 10, "loop", 1.8, 2.0),
    ]
)


def test_every_goal_counts_its_own_cases():
    """Libraries: every case they have; the loop: multi embedding; the floor: DNN and DCNv2."""
    table = goals_table(TABLE).set_index("goal")
    assert dict(table["met"]) == {
        "at least 2 times as fast as FuxiCTR": "1 of 2 cases",
        "multi embedding at least as fast as a loop over the sets": "1 of 2 cases",
        "DNN and DCNv2 in at most 1.5 times the floor": "1 of 2 cases",
    }
    assert list(table["measured"]) == ["1.50 to 2.50", "0.75 to 2.00", "1.00 to 1.60"]


def test_on_a_gpu_the_loop_is_to_be_three_times_as_slow():
    table = goals_table(TABLE.assign(device="cuda")).set_index("goal")
    assert table["met"]["multi embedding at least 3 times as fast as a loop over the sets"] == "0 of 2 cases"


def test_the_text_has_a_row_for_every_case():
    text = speed_text(TABLE)
    assert list(text["case"]) == ["DNN, base", "DNN, multi 10x", "IPNN, base", "IPNN, multi 10x"]
    assert list(text["FuxiCTR, time over ours"]) == ["2.5 (2.2 to 2.8)", "-", "1.5 (1.4 to 1.7)", "-"]
    assert list(text["time over floor"]) == ["1.00", "1.60", "9.00", "9.00"]
    assert text.columns[-1] == "peak MiB"


def test_the_figure_has_a_mark_for_every_ratio():
    figure, data = speed.speed_figure(TABLE)
    left, right = figure.axes
    assert len(left.containers) == (TABLE["participant"] != "ours").sum()
    assert [label.get_text() for label in left.get_yticklabels()] == list(speed_text(TABLE)["case"])
    assert right.lines[0].get_xdata().tolist() == pytest.approx([1, 1.6, 9, 9])
    assert data is TABLE
    plt.close(figure)


def test_with_a_deferring_participant_the_figure_has_both_floors():
    dense = pd.DataFrame([row("dnn", "ME", 10, "dense", 0.2, 1.25)])
    figure, _ = speed.speed_figure(pd.concat([TABLE, dense]))
    lines = figure.axes[1].lines
    assert lines[1].get_xdata().tolist() == pytest.approx([2, 3.2, 18, 18])
    assert [text.get_text() for text in figure.legends[0].get_texts()][-2:] == ["floor, dense", "floor, deferred"]
    plt.close(figure)


def test_the_cells_are_those_of_the_published_tables():
    for dataset in ("Criteo", "Avazu"):
        published = published_auc(dataset.lower(), PAPER_MODELS)
        theirs = set(zip(published["model"], published["embedding"], published["scale"], strict=True))
        found = cells(dataset)
        assert set(found) == {(model, "SE" if scale == 1 else e, scale) for model, e, scale in theirs}
        assert len(found) == len(set(found)) == {"Criteo": 54, "Avazu": 52}[dataset]


@pytest.fixture
def measured(monkeypatch):
    """Steps of `TABLE` on a CPU, a tenth of that on a GPU, for both logs."""
    both = pd.concat([TABLE, TABLE.assign(dataset="Avazu")])
    on = {"cpu": both, "cuda": both.assign(seconds_per_step=both["seconds_per_step"] / 10)}
    monkeypatch.setattr(speed, "measured_steps", on.__getitem__)


def test_the_cost_of_a_run_by_hand(measured):
    """45.8 million rows, 8 of 10 for training, batches of 2048, four epochs."""
    steps = 17_891  # 36.64 million rows, rounded up
    found = run_seconds("Criteo", "cpu")
    assert found["dnn", "SE", 1] == pytest.approx(0.1 * steps * 4)
    assert found["ipnn", "ME", 10] == pytest.approx(0.9 * steps * 4)
    assert found.isna().sum() == 54 - 4


def test_a_row_that_is_measured_in_part_has_no_total(measured, monkeypatch):
    text = run_text("Criteo", "cpu").set_index(["model", "embedding"])
    assert list(text.columns) == ["base", "2x", "3x", "4x", "10x", "all runs"]
    assert list(text.loc["DNN", "multi"]) == ["-", "-", "-", "-", "3.2 h", "-"]
    monkeypatch.setattr(speed, "cells", lambda dataset: [("dnn", "SE", 1), ("dnn", "ME", 10)])
    text = run_text("Criteo", "cpu").set_index(["model", "embedding"])
    assert text["all runs"]["DNN", "multi"] == "9.5 h"


def test_gpus_share_the_runs_but_not_a_run(measured, monkeypatch):
    monkeypatch.setattr(speed, "cells", lambda dataset: [("dnn", "SE", 1), ("dnn", "ME", 10), ("dnn", "ME", 4)])
    table = cost_summary(gpus=(1, 2, 100)).set_index("table").loc["Table 3, Criteo"]
    total = 3 * (0.1 + 0.16) * 17_891 * 4
    assert table["runs"] == 9
    note = ", without 3 runs not measured"
    assert table["CPU"] == f"{total / 3600:,.1f} h{note}"
    assert table["2 GPUs"] == f"{total / 20 / 60:.3g} min{note}"
    assert table["100 GPUs"] == f"{0.016 * 17_891 * 4 / 60:.3g} min{note}"


@pytest.mark.parametrize(("seconds", "text"), [(90_000, "25.0 h"), (3 * 86400, "3 days"), (90, "90 s")])
def test_long_times_are_days(seconds, text):
    assert days_text(seconds) == text


@pytest.mark.parametrize("dataset", ["Criteo", "Avazu"])
def test_all_that_the_page_on_costs_adds_up_is_measured_on_a_cpu(dataset):
    assert not run_seconds(dataset, "cpu").isna().any()


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_the_committed_speeds_are_of_the_compared_sizes(device):
    table = training_speed(device)
    assert set(table["scale"]) == {1, 10}
    assert set(table["device"]) == {device}
    assert not table.duplicated(["model", "embedding", "scale", "participant"]).any()


def test_a_whole_epoch_took_what_its_steps_say():
    """Within a quarter, on the machine of the benchmark."""
    epoch = speed.whole_epoch()
    table = training_speed(epoch["device"])
    ours = table[(table["participant"] == "ours") & (table["model"] == epoch["model"]) & (table["scale"] == 1)]
    assert set(ours["hardware"]) == {epoch["hardware"]}
    ratio = epoch["training_seconds"] / (epoch["steps"] * ours["seconds_per_step"].iloc[0])
    assert math.isclose(ratio, 1, abs_tol=0.25)


def test_the_effect_of_lower_precision_is_the_mean_difference_by_seed():
    records = records_of("mixed_precision", "criteo_like")
    table = precision_table(records).set_index(["model", "embedding"])
    scores = {
        (bool(record.config["training"].get("mixed_precision")), record.config["seed"]): record.scores["test_auc"]
        for record in records
        if (record.config["model"], record.config["num_sets"]) == ("dnn", 4)
    }
    differences = [scores[True, seed] - scores[False, seed] for seed in range(5)]
    assert table["change"]["DNN", "ME"] == pytest.approx(sum(differences) / 5)
    assert (table["seeds"] == 5).all()
    assert (table["change"].abs() + table["half_interval"] < 0.001).equals(table["inside"])
