"""The benchmark's table: what it says of the goals, on numbers made by hand."""

import pandas as pd
import pytest
from matplotlib import pyplot as plt

from paper_code import figures
from paper_code.experiments import records_of
from paper_code.speed import goals_table, precision_table, speed_text

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
        "multi embedding at least 1 times as fast as a loop over the sets": "1 of 2 cases",
        "DNN and DCNv2 in at most 1.5 times the floor": "1 of 2 cases",
    }
    assert list(table["measured"]) == ["1.50 to 2.50", "0.75 to 2.00", "1.00 to 1.60"]


def test_on_a_gpu_the_loop_is_to_be_three_times_as_slow():
    table = goals_table(TABLE.assign(device="cuda")).set_index("goal")
    assert table["met"]["multi embedding at least 3 times as fast as a loop over the sets"] == "0 of 2 cases"


def test_the_text_has_a_row_for_every_case():
    text = speed_text(TABLE)
    assert list(text["case"]) == ["DNN, base", "DNN, ME 10x", "IPNN, base", "IPNN, ME 10x"]
    assert list(text["FuxiCTR, time over ours"]) == ["2.5 (2.2 to 2.8)", "-", "1.5 (1.4 to 1.7)", "-"]
    assert list(text["time over floor"]) == ["1.00", "1.60", "9.00", "9.00"]
    assert text.columns[-1] == "peak MiB"


def test_the_figure_has_a_mark_for_every_ratio():
    figure, data = figures.speed_figure(TABLE)
    left, right = figure.axes
    assert len(left.containers) == (TABLE["participant"] != "ours").sum()
    assert [label.get_text() for label in left.get_yticklabels()] == list(speed_text(TABLE)["case"])
    assert right.lines[0].get_xdata().tolist() == pytest.approx([1, 1.6, 9, 9])
    assert data is TABLE
    plt.close(figure)


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
