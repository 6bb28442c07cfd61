"""The figures of Part IV show the numbers of their tables, and the released code's table is one of paired changes."""

from dataclasses import replace
from itertools import product

import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot as plt

from paper_code.chapters.alternatives import alternatives_figure
from paper_code.chapters.reach import reach_figure
from paper_code.chapters.released import changes_figure, changes_table, changes_text, in_short
from paper_code.chapters.shared.rules import Claim, Effect
from paper_code.chapters.shared.words import by_log
from paper_code.runs.config import DataConfig, RunConfig
from paper_code.runs.record import RunRecord
from paper_code.training.config import TrainingConfig


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


def summary(points) -> pd.DataFrame:
    rows = [
        (log, noise, rows, base, patterns, 0.7, 0.7 + gain, gain, share, 0.6, 0.0005, 3)
        for log, (noise, rows, base, patterns), gain, share in points
    ]
    columns = ["dataset", "noise", "rows", "base", "patterns", "single", "multi", "gain", "share", "multi_share"]
    return pd.DataFrame(rows, columns=[*columns, "half_interval", "seeds"])


def texts(axes) -> dict[tuple[float, float], str]:
    return {text.get_position(): text.get_text() for text in axes.texts}


def test_the_map_shows_every_point_in_its_place():
    """Noise and rows go down, K and P across, the low level first."""
    levels = list(product((0.0, 2.0), (50, 200), (5, 10), (1, 9)))
    points = [(log, p, 1e-4 * n, 0.01 * n) for log in ("criteo_like", "avazu_like") for n, p in enumerate(levels, 1)]
    figure, data = reach_figure(summary(points))
    panels = np.array(figure.axes).reshape(3, 2)
    for column in panels.T:
        gains, shares = texts(column[0]), texts(column[1])
        assert len(gains) == len(shares) == 16
        for number, _ in enumerate(levels):
            place = number % 4, number // 4
            assert gains[place] == f"{0.1 * (number + 1):+.1f}"
            assert shares[place] == f"{0.01 * (number + 1):.2f}"
        x, y = column[2].lines[0].get_data()
        assert np.allclose(x, data["share"][:16])
        assert np.allclose(y, data["gain"][:16])
    assert [label.get_text() for label in panels[0, 0].get_xticklabels()][1] == "$K$=5\n$P$=9"
    assert [label.get_text() for label in panels[0, 0].get_yticklabels()][2] == "noise 2\n50 rows"


def test_a_map_of_two_points_leaves_the_other_places_empty():
    figure, _ = reach_figure(summary([("mine", (0.0, 50, 5, 1), -0.001, 0.5), ("mine", (2.0, 200, 10, 9), 0.003, 0.2)]))
    assert texts(figure.axes[0]) == {(0, 0): "-1.0", (1, 1): "+3.0"}


def alternatives() -> pd.DataFrame:
    rows = [
        (log, model, kind, scale, seed, 0.7, 0.001 * scale + 0.0001 * seed, 100 * scale, 10.0 * scale, 0.5)
        for log, model in product(("criteo_like", "avazu_like"), ("dnn", "dcnv2"))
        for kind, scale in (("single", 1), ("single", 4), ("single", 10), ("multi", 4), ("ensemble", 4))
        for seed in (0, 1, 2)
    ]
    columns = ["dataset", "model", "kind", "scale", "seed", "test_auc", "gain", "parameters", "seconds", "share"]
    return pd.DataFrame(rows, columns=columns)


def test_alternatives_stand_at_their_time_and_gain():
    figure, data = alternatives_figure(alternatives())
    assert len(data) == 4 * 5
    deviation = 0.0001  # of 0, 1 and 2 ten-thousandths; Student's t for two degrees of freedom
    assert np.allclose(data["half_interval"], 4.302653 * deviation / 3**0.5)
    for axes in figure.axes:
        marks = [line.get_xydata() for line in axes.lines if line.get_marker() not in ("None", "|", "_", None, "")]
        assert np.allclose(marks[0], [(10, 0.0011), (40, 0.0041), (100, 0.0101)])
        assert [tuple(np.round(mark[0], 4)) for mark in marks[1:]] == [(40, 0.0041)] * 2
        assert {text.get_text() for text in axes.texts} == {"4x", "10x"}


BASE = {"hidden": (4,)}
CHOICES = {
    "plain": ({}, {}, {}),
    "embedding_std 1.0": ({"embedding_std": 1.0}, {}, {}),
    "embedding_std 0.0001": ({"embedding_std": 1e-4}, {}, {}),
    "shuffle": ({}, {"shuffle": True}, {}),
    "vocabulary train": ({}, {}, {"vocabulary": "train"}),
    "vocabulary all": ({}, {}, {"vocabulary": "all"}),
}


def record(model: str, sets: int, seed: int, auc: float, choice=({}, {}, {}), **options) -> RunRecord:
    of_model, training, data = choice
    config = RunConfig(
        DataConfig("criteo_like", seed, 100, 50, **data),
        model,
        10 if sets > 1 else 40,
        sets,
        seed,
        BASE | of_model | options,
        TrainingConfig(**training),
    )
    epoch = {"training_loss": [0.5], "validation_auc": auc, "validation_log_loss": 0.5, "training_seconds": 1.0}
    scores = {"test_auc": auc, "test_log_loss": 0.5, "best_epoch": 1}
    spectra = {"side_by_side": [[2.0, 1.0], [1.0, 1.0]]}
    fields = [{"name": name, "cardinality": 9} for name in "ab"]
    return RunRecord(config.to_json(), fields, 10, scores, [epoch], spectra, {"seconds": 1.0}, [0.7])


def records() -> list[RunRecord]:
    """Choice number n changes the AUC of a seed by n times (1 + seed) hundred-thousandths; IPNN's form by -0.002."""
    found = [
        record("dnn", sets, seed, 0.7 + 0.01 * seed + 1e-5 * number * (1 + seed), choice)
        for seed in (0, 1, 2)
        for sets in (1, 4)
        for number, choice in enumerate(CHOICES.values())
    ]
    for seed in (0, 1, 2):
        found += [record("ipnn", 4, seed, 0.71), record("ipnn", 4, seed, 0.708, released_form=True)]
    return found


def test_a_choice_is_measured_against_the_same_seed_s_plain_run():
    table = changes_table(records())
    assert list(table["variant"]) == [*np.repeat([*CHOICES][1:], 2), "released_form"]
    assert list(table["embedding"]) == ["SE", "ME"] * 5 + ["ME"]
    assert set(table["seeds"]) == {3}
    assert set(table["scale"]) == {4}
    for number in range(1, 6):
        rows = table[table["variant"] == [*CHOICES][number]]
        assert np.allclose(rows["change"], 2e-5 * number)
        assert np.allclose(rows["half_interval"], 4.302653 * 1e-5 * number / 3**0.5)
    assert table["change"].iloc[-1] == pytest.approx(-0.002)


def judged(statement: str, values: tuple[float, float, float], failed: str = "") -> Claim:
    effect = Effect("test AUC", values, "within", 0.001)
    return Claim("released", "ours, not in the paper", statement, "", (effect,), failed=failed)


MATTERS = judged("It does not matter: rows shuffled.", (0.005, 0.0051, 0.0049))
IS_LESS = judged("It does not matter: rare values.", (0.0001, 0.0002, 0.0003))


def test_in_short_the_choices_that_matter_are_named():
    text = in_short([MATTERS, IS_LESS, replace(MATTERS, failed="trained out: fails")])
    assert text.startswith("1 of 2 choices change test AUC by 0.001 or more")
    assert "multi embedding: rows shuffled. 1 change it by less." in text
    assert text.endswith("under every choice: not testable here.")


def test_what_holds_for_all_logs_is_said_once():
    assert by_log({"a": "mixed", "b": "mixed"}) == "mixed"
    assert by_log({"a": "mixed", "b": "holds"}) == "mixed on a and holds on b"


def test_in_short_it_is_said_why_no_choice_can_be_judged():
    untestable = replace(MATTERS, failed="trained out: not run")
    assert in_short([untestable] * 3) == "None of the 2 choices can be judged: trained out: not run."


def test_the_changes_are_drawn_and_told_as_they_are():
    table = changes_table(records())
    figure, data = changes_figure(table)
    assert data is table
    (axes,) = figure.axes
    drawn = [
        line.get_xydata()[0] for line in axes.lines if line.get_marker() in ("o", "^") and len(line.get_xdata()) == 1
    ]
    assert np.allclose(sorted(x for x, _ in drawn), sorted(table["change"]))
    assert len(axes.get_yticklabels()) == 6
    assert changes_text(table)["change of test AUC"].iloc[-1] == "-0.00200 ± 0.00000"
    assert changes_text(table)["run"].iloc[0] == "DNN single 4x"
