"""How fast models are trained: the benchmark's tables in `figures/data`, what they say of the goals set for it, and
what the paper's tables cost by them.

The goals were set before anything was measured: twice the speed of other libraries, multi embedding no slower than a
loop over the sets on a CPU and three times as fast on a GPU, and DNN and DCNv2 within 1.5 times the floor, which is
what the products and the memory traffic of a dense step take at the rates of the machine.
"""

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from paper_code.chapters.shared.rules import SIGNIFICANT_AUC
from paper_code.chapters.shared.style import BASE_LINE, COLORBLIND, FIGURE_WIDTH, INK, styled
from paper_code.chapters.shared.tables import PLAIN, Runs, half_interval
from paper_code.chapters.shared.words import EMBEDDING_LABELS, counted, run_label, size_text
from paper_code.data.click_log import rows_of_share
from paper_code.models import MODEL_LABELS
from paper_code.published import STATISTICS, published_auc
from paper_code.runs.cost import time_text
from paper_code.runs.experiments import PAPER_MODELS
from paper_code.runs.profiles import PROFILES, project_path
from paper_code.runs.record import RunRecord
from paper_code.training.config import TrainingConfig

LIBRARIES = {"deepctr-torch": "DeepCTR-Torch", "fuxictr": "FuxiCTR"}
PARTICIPANTS = {"ours": "ours", "dense": "ours, nothing deferred", "loop": "loop over sets"} | LIBRARIES
MINIMUM_RATIO = {"library": 2.0, "loop, cpu": 1.0, "loop, cuda": 3.0}
MAXIMUM_OVER_FLOOR = 1.5
COMPARED = (1, 10)  # times the base size: where the goals are asked
TABLES = {"Criteo": 3, "Avazu": 4}
SCALES = PROFILES["paper"].scales
RUNS_OF_A_CELL = len(PROFILES["paper"].seeds)  # by different random initialisation (Appendix C.2)
LEAST_EPOCHS = TrainingConfig.patience + 1  # that the protocol allows: the first is the best


def times_as(ratio: float) -> str:
    return "as" if ratio == 1 else f"{ratio:g} times as"


def measured_steps(device: str) -> pd.DataFrame:
    """The benchmark's rows of the device, cpu or cuda: one per case and participant.

    Seconds per step and samples per second, the time of the participant's step over that of ours (median, least and
    most over the rounds), peak memory, and the case's floors.
    """
    table = pd.read_csv(project_path("figures/data/benchmark_training.csv"))
    return table[table["device"] == device].reset_index(drop=True)


def training_speed(device: str = "cpu") -> pd.DataFrame:
    """The rows of `make bench`: all participants, with Criteo's fields, at the base size and ten times that."""
    table = measured_steps(device)
    return table[(table["dataset"] == "Criteo") & table["scale"].isin(COMPARED)].reset_index(drop=True)


def case_name(row) -> str:
    """A row's model and size."""
    return f"{MODEL_LABELS[row.model]}, {run_label(row.embedding, row.scale)}"


def speed_text(table: pd.DataFrame) -> pd.DataFrame:
    """A row per case: samples a second of ours, times over ours of the others, time over the floor, peak memory."""
    rows = []
    for _, of_case in table.groupby(["model", "embedding", "scale"], sort=False):
        ours = of_case.set_index("participant").loc["ours"]
        others = {
            f"{label}, time over ours": f"{row.ratio_median:.1f} ({row.ratio_min:.1f} to {row.ratio_max:.1f})"
            for name, label in PARTICIPANTS.items()
            for row in of_case[of_case["participant"] == name].itertuples()
            if name != "ours"
        }
        rows.append(
            {"case": case_name(ours), "samples/s": f"{ours['samples_per_second']:,.0f}"}
            | others
            | {
                "time over floor": f"{ours['seconds_per_step'] / ours['floor_seconds']:.2f}",
                "peak MiB": f"{ours['peak_mib']:,.0f}",
            }
        )
    found = pd.DataFrame(rows).fillna("-")
    last = ["time over floor", "peak MiB"]
    return found[[name for name in found if name not in last] + last]


def goals_table(table: pd.DataFrame) -> pd.DataFrame:
    """A row per goal: how many of its cases meet it, and the least and the most that was measured."""
    device = table["device"].iloc[0]
    ours = table[table["participant"] == "ours"]
    loops = table[(table["participant"] == "loop") & (table["embedding"] == "ME")]
    least = MINIMUM_RATIO[f"loop, {device}"]
    floors = ours[ours["model"].isin(["dnn", "dcnv2"])]
    over_floor = floors["seconds_per_step"] / floors["floor_seconds"]
    parts = [
        (
            f"at least {times_as(MINIMUM_RATIO['library'])} fast as {label}",
            of["ratio_median"],
            MINIMUM_RATIO["library"],
        )
        for name, label in LIBRARIES.items()
        if len(of := table[table["participant"] == name])
    ]
    parts.append(
        (f"multi embedding at least {times_as(least)} fast as a loop over the sets", loops["ratio_median"], least)
    )
    rows = [(goal, (ratios >= bound).sum(), len(ratios), ratios.min(), ratios.max()) for goal, ratios, bound in parts]
    goal = f"DNN and DCNv2 in at most {MAXIMUM_OVER_FLOOR:g} times the floor"
    rows.append((goal, (over_floor <= MAXIMUM_OVER_FLOOR).sum(), len(over_floor), over_floor.min(), over_floor.max()))
    return pd.DataFrame(
        [
            {"goal": goal, "met": f"{met} of {number} cases", "measured": f"{low:.2f} to {high:.2f}"}
            for goal, met, number, low, high in rows
        ]
    )


def precision_table(records: Sequence[RunRecord]) -> pd.DataFrame:
    """A row per model and embedding: test AUC with products in bfloat16 minus that in float32, mean over the seeds with
    half of its 95 % interval, paired by seed, and whether the interval lies within 0.001."""
    runs = Runs(records)
    rows = []
    for model in ("dnn", "dcnv2"):
        for embedding in ("SE", "ME"):
            mixed, usual = (runs("test_auc", model, embedding, variant=name) for name in ("mixed_precision", PLAIN))
            values = (mixed - usual).dropna()
            half = half_interval(values.std(), len(values)) if len(values) > 1 else float("inf")
            inside = abs(values.mean()) + half < SIGNIFICANT_AUC
            rows.append((MODEL_LABELS[model], embedding, runs.largest, values.mean(), half, len(values), inside))
    columns = ["model", "embedding", "scale", "change", "half_interval", "seeds", "inside"]
    return pd.DataFrame(rows, columns=columns)


def precision_text(table: pd.DataFrame) -> pd.DataFrame:
    """The table as text."""
    return pd.DataFrame(
        {
            "run": [f"{row.model} {run_label(row.embedding, row.scale)}" for row in table.itertuples()],
            "test AUC, bfloat16 minus float32": [
                f"{row.change:+.5f} ± {row.half_interval:.5f}" for row in table.itertuples()
            ],
            "within 0.001": ["yes" if inside else "undecided" for inside in table["inside"]],
        }
    )


def cells(dataset: str) -> list[tuple[str, str, int]]:
    """Model, embedding and scale of every number in Table 3 (Criteo) or 4 (Avazu)."""
    published = published_auc(dataset.lower(), PAPER_MODELS)
    return [(row.model, row.embedding, row.scale) for row in published.itertuples()]


def run_seconds(dataset: str, device: str) -> pd.Series:
    """Seconds of the training steps of a run of `LEAST_EPOCHS` epochs, by model, embedding and scale as in `cells`; NaN
    where no step was measured. Evaluation is not counted."""
    table = measured_steps(device)
    ours = table[(table["dataset"] == dataset) & (table["participant"] == "ours")]
    steps = math.ceil(rows_of_share(int(STATISTICS[dataset]["rows"]), 8, 10) / TrainingConfig.batch_size)
    measured = ours.set_index(["model", "embedding", "scale"])["seconds_per_step"]
    wanted = pd.MultiIndex.from_tuples(cells(dataset), names=measured.index.names)
    return measured.reindex(wanted) * steps * LEAST_EPOCHS


def run_text(dataset: str, device: str) -> pd.DataFrame:
    """A row per model and embedding: the time of one run at every scale, and of all runs of the row."""
    seconds = run_seconds(dataset, device)
    rows = []
    for (model, embedding), of_row in seconds.groupby(level=["model", "embedding"], sort=False):
        by_scale = of_row.droplevel(["model", "embedding"])
        row = {"model": MODEL_LABELS[model], "embedding": EMBEDDING_LABELS[embedding]}
        for scale in SCALES:
            value = by_scale.get(scale, math.nan)
            row[size_text(scale)] = "-" if math.isnan(value) else time_text(value)
        total = RUNS_OF_A_CELL * by_scale.sum(skipna=False)
        rows.append(row | {"all runs": "-" if math.isnan(total) else time_text(total)})
    return pd.DataFrame(rows)


def cost_summary(gpus: Sequence[int] = (1, 8)) -> pd.DataFrame:
    """A row per table of the paper: the time of all its runs on the measured CPU, and on so many of the measured GPUs,
    each training one run at a time: an equal share of the runs, but no less than the longest."""
    rows = []
    for dataset, number in TABLES.items():
        row = {"table": f"Table {number}, {dataset}", "runs": RUNS_OF_A_CELL * len(cells(dataset))}
        for device, count in (("cpu", 1), *(("cuda", count) for count in gpus)):
            seconds = run_seconds(dataset, device)
            missing = int(seconds.isna().sum()) * RUNS_OF_A_CELL
            total = max(RUNS_OF_A_CELL * seconds.sum() / count, seconds.max())
            name = "CPU" if device == "cpu" else f"{count} GPU{'s' * (count > 1)}"
            row[name] = days_text(total) + (f", without {missing} runs not measured" if missing else "")
        rows.append(row)
    return pd.DataFrame(rows)


def days_text(seconds: float) -> str:
    """As `paper_code.runs.cost.time_text`, but days from two on."""
    days = seconds / 86400
    return time_text(seconds) if days < 2 else f"{days:.0f} days"


def whole_epoch() -> pd.Series:
    """The benchmark of one epoch at full size in one piece (`tests/benchmarks/epoch.py`)."""
    return pd.read_csv(project_path("figures/data/benchmark_epoch.csv")).iloc[0]


def encoding_text() -> pd.DataFrame:
    """The benchmark of encoding as text: a row for a tenth of the file, for all of it, and for what they project for
    Criteo at full size."""
    table = pd.read_csv(project_path("figures/data/benchmark_encoding.csv"))
    return pd.DataFrame(
        {
            "file": table["what"],
            "rows": [f"{rows:,}" for rows in table["rows"]],
            "time": [
                f"{seconds / 60:.1f} min" if seconds > 100 else f"{seconds:.0f} s" for seconds in table["seconds"]
            ],
            "rows/s": [f"{rate:,.0f}" for rate in table["rows"] / table["seconds"]],
            "peak memory": [f"{memory / 1e9:.1f} GB" for memory in table["memory"]],
            "temporary disk": [f"{disk / 1e9:.1f} GB" for disk in table["disk"]],
            "over row by row": [f"{table['ratio'].iloc[0]:.1f} times as fast", "", ""],
        }
    )


LOOKS = dict(zip([name for name in PARTICIPANTS if name != "ours"], "ds^o", strict=True))


@styled
def speed_figure(table: pd.DataFrame) -> tuple[Figure, pd.DataFrame]:
    """Left: the time of a step of the others over that of ours, median and range over the rounds; right: the time of
    ours over the two floors, on a GPU the dense one. A row per case; table: `training_speed`."""
    ours = table[table["participant"] == "ours"].reset_index(drop=True)
    cases = [case_name(row) for row in ours.itertuples()]
    colors = dict(zip(LOOKS, COLORBLIND, strict=False))
    # on a GPU nothing is deferred
    floors = {"floor": ("floor_seconds", INK)}
    if "dense" in set(table["participant"]):
        floors = {"floor, dense": floors["floor"], "floor, deferred": ("deferred_floor_seconds", "none")}
    figure, (left, right) = plt.subplots(
        1, 2, figsize=(FIGURE_WIDTH, 0.3 * len(cases) + 1.7), sharey=True, width_ratios=[3, 2]
    )
    for (name, marker), offset in zip(LOOKS.items(), np.linspace(0.24, -0.24, len(LOOKS)), strict=True):
        for row in table[table["participant"] == name].itertuples():
            place = len(cases) - cases.index(case_name(row)) + offset
            spread = [[row.ratio_median - row.ratio_min], [row.ratio_max - row.ratio_median]]
            look = {"marker": marker, "color": colors[name], "markeredgecolor": INK, "markeredgewidth": 0.5}
            left.errorbar(row.ratio_median, place, xerr=spread, linestyle="none", elinewidth=1, **look)
    left.axvline(1, **BASE_LINE)
    left.axvline(2, color=INK, lw=0.8, linestyle=":")
    left.set(xscale="log", xlabel="time of a step,\nover that of ours", ylim=(0.4, len(cases) + 0.6))
    left.set_yticks(range(len(cases), 0, -1), cases)
    places = range(len(cases), 0, -1)
    for column, face in floors.values():
        right.plot(
            ours["seconds_per_step"] / ours[column], places, "o", color=INK, markerfacecolor=face, linestyle="none"
        )
    right.axvline(1, **BASE_LINE)
    right.axvline(MAXIMUM_OVER_FLOOR, color=INK, lw=0.8, linestyle=":")
    right.set(xscale="log", xlabel="time of ours,\nover the floor")
    for axes in (left, right):
        axes.xaxis.set_major_formatter("{x:g}")
        axes.xaxis.set_minor_formatter("")
    left.set_xticks([tick for tick in (0.5, 1, 2, 5, 10, 20) if tick < 1.3 * table["ratio_max"].max()])
    right.set_xticks([0.5, 1, 2, 5])
    shown = [name for name in LOOKS if name in set(table["participant"])]
    keys = [
        Line2D([], [], marker=LOOKS[n], color=colors[n], linestyle="none", markeredgecolor=INK, markeredgewidth=0.5)
        for n in shown
    ]
    keys += [Line2D([], [], marker="o", color=INK, linestyle="none", markerfacecolor=f) for _, f in floors.values()]
    labels = [*(PARTICIPANTS[name] for name in shown), *floors]
    figure.legend(keys, labels, ncols=3, loc="outside lower center")
    return figure, table


def describe_speed(data: pd.DataFrame) -> str:
    """Medians over the cases."""
    parts = []
    for name, rows in data[data["participant"] != "ours"].groupby("participant", sort=False):
        ratios = rows["ratio_median"]
        cases = counted(len(rows), "case")
        parts.append(f"{name}: {ratios.min():.1f} to {ratios.max():.1f}, median {ratios.median():.1f}, {cases}")
    ours = data[data["participant"] == "ours"]
    over = ours["seconds_per_step"] / ours["floor_seconds"]
    floors = f"{over.min():.1f} to {over.max():.1f}, median {over.median():.1f}"
    return (
        f"Two panels with a row for each of {counted(len(ours), 'case')}, a model and size. Left, time of a training "
        f"step over that of ours: {'; '.join(parts)}. Right, time of ours over the dense floor: {floors}."
    )


FIGURES = {
    "speed": (speed_figure, describe_speed),
    "speed_gpu": (speed_figure, describe_speed),
}
"""By the name of its files: what draws a figure, and what tells its numbers in words."""
