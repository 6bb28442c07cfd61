"""The figures of our own chapters, on what the paper does not draw.

The ledger of claims, published gains with their intervals, other measures of collapse, weight decay and the optimizer.
"""

import textwrap
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from paper_code.figures.style import (
    ANSWERS,
    BASE_LINE,
    EMBEDDING_LABELS,
    FIGURE_WIDTH,
    GRADIENT,
    GREY,
    INK,
    MARKERS,
    SMALL,
    line_look,
    log_title,
    style,
    wrapped,
)
from paper_code.models import MODEL_LABELS
from paper_code.runs import RunRecord
from paper_code.tables import PLAIN, half_interval, optimizer_table


def published_figure(table: pd.DataFrame) -> tuple[Figure, pd.DataFrame]:
    """Published gains over the base at the largest size, with their intervals. table: `published_intervals`."""
    logs, models = list(table["dataset"].unique()), list(table["model"].unique())
    with style():
        figure, panels = plt.subplots(1, len(logs), figsize=(FIGURE_WIDTH, 4.0), sharex=True, sharey=True)
        for axes, log in zip(np.atleast_1d(panels), logs, strict=True):
            for embedding, offset in (("SE", 0.16), ("ME", -0.16)):
                rows = table[(table["dataset"] == log) & (table["embedding"] == embedding)]
                for row in rows.itertuples():
                    look = line_look(row.model, PLAIN, embedding) | {"color": GREY, "linestyle": "none"}
                    look |= {"markeredgecolor": GREY, "markerfacecolor": GREY if embedding == "ME" else "none"}
                    place = len(models) - models.index(row.model) + offset
                    axes.errorbar(row.gain, place, xerr=row.half_interval, capsize=2, **look)
            axes.axvline(0, **BASE_LINE)
            axes.axvline(0.001, color=INK, lw=0.8, linestyle=":")
            axes.set(title=f"Published: {log}", xlabel="test AUC,\ngain over the base model")
            axes.set_xticks([-0.001, 0, 0.001, 0.002, 0.003])
            axes.tick_params(axis="x", labelrotation=45)
        labels = [MODEL_LABELS[model] for model in models]
        np.atleast_1d(panels)[0].set_yticks(range(len(models), 0, -1), labels)
        keys = [
            Line2D([], [], color=GREY, marker="o", linestyle="none", markerfacecolor=face) for face in ("none", GREY)
        ]
        threshold = Line2D([], [], color=INK, lw=0.8, linestyle=":")
        figure.legend([*keys, threshold], ["single", "multi", "0.001"], ncols=3, loc="outside lower center")
        sns.despine(figure)
    return figure, table


def decay_figure(table: pd.DataFrame) -> tuple[Figure, pd.DataFrame]:
    """A weight in the steps after the only batch that had its value, for every weight decay. table: `absent_table`."""
    coupled = table[~table["decoupled"]]
    decays = sorted(coupled["weight_decay"].unique())
    with style():
        figure, axes = plt.subplots(figsize=(FIGURE_WIDTH, 3.8))
        for number, (decay, rows) in enumerate(coupled.groupby("weight_decay")):
            color = GRADIENT(number / (len(decays) - 1))
            label = f"coupled, {decay:g}" if decay else "no decay"
            axes.plot(rows["step"], rows["weight"], color=color, label=label, lw=1.6)
        strongest = table[table["decoupled"] & (table["weight_decay"] == decays[-1])]
        label = f"decoupled, {decays[-1]:g}"
        axes.plot(strongest["step"], strongest["weight"], color=INK, linestyle=":", label=label)
        axes.axhline(0, **BASE_LINE)
        axes.set(xlabel="steps since the batch that had the value", ylabel="weight", xscale="symlog", xlim=(0, None))
        axes.set_xticks([0, 1, 10, 100, 1000], ["0", "1", "10", "100", "1,000"])
        axes.set_title("A weight with one gradient, then none (computed)")
        figure.legend(ncols=3, loc="outside lower center")
        sns.despine(figure)
    return figure, table


MEASURE_MARKERS = {"information abundance": "o", "effective rank": "^", "stable rank": "s"}


def measures_figure(table: pd.DataFrame) -> tuple[Figure, pd.DataFrame]:
    """Ratios by comparison and measure, with their intervals and the claimed bound. table: `measures_table`."""
    comparisons = list(table["comparison"].unique())
    with style():
        figure, axes = plt.subplots(figsize=(FIGURE_WIDTH, 0.75 * len(comparisons) + 1.6))
        for number, (_, rows) in enumerate(table.groupby("comparison", sort=False)):
            middle = len(comparisons) - number
            bound = rows["bound"].iloc[0]
            axes.plot([bound, bound], [middle - 0.42, middle + 0.42], color=INK, lw=1.2)
            arrow = {"above": ">", "below": "<"}[rows["side"].iloc[0]]
            axes.plot(bound * (1.04 if arrow == ">" else 0.96), middle + 0.42, arrow, color=INK, markersize=4)
            for place, row in zip(np.linspace(0.3, -0.3, len(rows)), rows.itertuples(), strict=True):
                measure, _, normalised = row.measure.partition(", ")
                look = {"marker": MEASURE_MARKERS[measure], "color": INK, "linestyle": "none", "markersize": 5}
                look["markerfacecolor"] = "none" if normalised else INK
                spread = [[row.mean - row.low], [row.high - row.mean]]
                axes.errorbar(row.mean, middle + place, xerr=spread, elinewidth=1, capsize=2, **look)
        axes.set_yticks(range(len(comparisons), 0, -1), [textwrap.fill(name, 22) for name in comparisons])
        axes.set(xscale="log", xlabel="ratio", ylim=(0.4, len(comparisons) + 0.6))
        axes.set_xticks([0.2, 0.5, 1, 2], ["0.2", "0.5", "1", "2"])
        axes.minorticks_off()
        ink = {"color": INK, "linestyle": "none"}
        handles = [Line2D([], [], marker=marker, **ink) for marker in MEASURE_MARKERS.values()]
        handles += [Line2D([], [], marker="o", markerfacecolor="none", **ink), Line2D([], [], color=INK)]
        figure.legend(
            handles, [*MEASURE_MARKERS, "rows normalised", "claimed bound"], ncols=2, loc="outside lower center"
        )
        sns.despine(figure)
    return figure, table


OPTIMIZER_ROWS = {
    "share_of_random": "information abundance,\nshare of random",
    "other": "rank correlation\nwith the other field",
    "auc_gain": "test AUC, gain over\nsingle without decay",
    "multi_gain": "test AUC,\nmulti minus single",
}


def optimizer_figure(of_log: Mapping[str, Sequence[RunRecord]]) -> tuple[Figure, pd.DataFrame]:
    """Collapse, interaction-collapse law, test AUC and the gain of multi embedding by weight decay, a column for each
    log: means over the seeds with 95 % intervals, coupled in the models' colours, decoupled in black."""
    data = pd.concat([optimizer_lines(optimizer_table(records)) for records in of_log.values()], ignore_index=True)
    decays = sorted(data["weight_decay"].unique())
    with style():
        size = (FIGURE_WIDTH, 1.75 * len(OPTIMIZER_ROWS) + 1.3)
        figure, panels = plt.subplots(
            len(OPTIMIZER_ROWS), len(of_log), figsize=size, sharex=True, sharey="row", squeeze=False
        )
        for column, log in zip(panels.T, of_log, strict=True):
            column[0].set_title(wrapped(log_title(of_log[log][0]), 28))
            for axes, value in zip(column, OPTIMIZER_ROWS, strict=True):
                rows = data[(data["dataset"] == log) & (data["measure"] == value)]
                lines = rows.groupby(["decoupled", "model", "embedding"], sort=False)
                for number, ((decoupled, model, embedding), line) in enumerate(lines):
                    look = line_look(model, "decoupled" if decoupled else PLAIN, embedding)
                    position = np.array([decays.index(decay) for decay in line["weight_decay"]]) + 0.06 * number
                    name = f"{MODEL_LABELS[model]} {EMBEDDING_LABELS[embedding]}" + ", decoupled" * decoupled
                    if decoupled:
                        look["marker"] = MARKERS[model]
                    interval = {"yerr": line["half_interval"], "elinewidth": 1, "capsize": 2, "lw": 1.2}
                    axes.errorbar(position, line["mean"], **interval, **look, label=name)
                if value.endswith("gain"):
                    axes.axhline(0, **BASE_LINE)
            column[-1].set_xticks(range(len(decays)), [f"{decay:g}" for decay in decays])
            column[-1].set_xlabel("weight decay")
        for axes, label in zip(panels[:, 0], OPTIMIZER_ROWS.values(), strict=True):
            axes.set_ylabel(label, fontsize=9)
        found = dict(zip(*reversed(panels[1, 0].get_legend_handles_labels()), strict=True))
        for axes in panels[:, 0]:
            found |= dict(zip(*reversed(axes.get_legend_handles_labels()), strict=True))
        figure.legend(found.values(), found.keys(), ncols=2, loc="outside lower center")
        sns.despine(figure)
    return figure, data


def optimizer_lines(table: pd.DataFrame) -> pd.DataFrame:
    """Of `optimizer_table` the mean and half the 95 % interval of every measure of `OPTIMIZER_ROWS`, by dataset, model,
    embedding, weight decay and how it is applied; gains are taken within a seed."""
    keys = ["seed", "weight_decay", "decoupled"]
    of_dcnv2 = table[table["model"] == "dcnv2"]
    single = of_dcnv2[of_dcnv2["embedding"] == "SE"].set_index(keys)["test_auc"]
    without = single.xs((0.0, False), level=("weight_decay", "decoupled"))
    gained = of_dcnv2.assign(auc_gain=of_dcnv2["test_auc"] - of_dcnv2["seed"].map(without))
    beside = of_dcnv2[of_dcnv2["embedding"] == "ME"]
    beside = beside.assign(multi_gain=beside["test_auc"] - single.reindex(beside.set_index(keys).index).to_numpy())
    parts = {
        "share_of_random": of_dcnv2,
        "other": table[table["embedding"] == "SE"],
        "auc_gain": gained,
        "multi_gain": beside,
    }
    frames = []
    for measure, rows in parts.items():
        start = rows[rows["weight_decay"] == 0].assign(decoupled=True)  # without decay both are the same
        lines = pd.concat([rows, start[start["model"] != "ffm"]])
        groups = lines.groupby(["dataset", "model", "embedding", "decoupled", "weight_decay"], sort=False)[measure]
        found = groups.agg(["mean", "std", "count"]).reset_index().sort_values("weight_decay", kind="stable")
        half = half_interval(found["std"], found["count"])
        found = found.assign(measure=measure, half_interval=half.fillna(0), seeds=found["count"])
        frames.append(found.drop(columns=["std", "count"]))
    return pd.concat(frames, ignore_index=True)


def ledger_figure(summary: pd.DataFrame) -> tuple[Figure, pd.DataFrame]:
    """What held here: a row for each of the paper's claims in short, a bar for each data set.

    A bar is divided as the claim's tested effects are, with their numbers where they have room. summary: `part`,
    `label`, `dataset` (empty: of none), the numbers of effects `yes`, `undecided` and `against`, and `verdict`.
    """
    datasets = [name for name in summary["dataset"].unique() if name] or [""]
    start, gap, line, heading = 2.42, 0.1, 0.34, 0.36  # inches
    width = (FIGURE_WIDTH - 0.05 - start + gap) / len(datasets) - gap
    claims = summary[["part", "label"]].drop_duplicates()
    height = heading * (1 + claims["part"].nunique()) + line * len(claims) + 0.6
    with style():
        figure = plt.figure(figsize=(FIGURE_WIDTH, height))
        figure.set_layout_engine("none")
        axes = figure.add_axes((0, 0, 1, 1), xlim=(0, FIGURE_WIDTH), ylim=(height, 0))  # in inches
        axes.axis("off")
        for number, dataset in enumerate(datasets):
            axes.text(start + number * (width + gap), 0.22, dataset, va="center", fontsize=9)
        middle = 0.22
        for part, of_part in summary.groupby("part", sort=False):
            middle += heading
            axes.text(0.05, middle, part, va="center", weight="bold")
            for label, rows in of_part.groupby("label", sort=False):
                middle += line
                axes.text(0.05, middle, textwrap.fill(label, 34), va="center", fontsize=SMALL, linespacing=1.05)
                for row in rows.to_dict("records"):
                    column = datasets.index(row["dataset"]) if row["dataset"] in datasets else 0
                    whole = width if row["dataset"] else FIGURE_WIDTH - 0.05 - start
                    draw_answers(axes, start + column * (width + gap), middle, whole, row)
        handles = [Patch(label=name, **look) for name, look, _ in ANSWERS.values()]
        axes.legend(handles=handles, title="share of the tested effects, and their number", ncols=3, loc="lower center")
        axes.get_legend().get_title().set_fontsize(9)
    return figure, summary


def draw_answers(axes: Axes, left: float, middle: float, width: float, row: dict) -> None:
    """A bar divided as the answers of a row are, or its verdict where there is none."""
    total = sum(row[answer] for answer in ANSWERS)
    if not total:
        axes.text(left, middle, textwrap.shorten(row["verdict"], 22), va="center", fontsize=SMALL, style="italic")
    for answer, (_, look, ink) in ANSWERS.items():
        if row[answer]:
            share = width * row[answer] / total
            axes.barh(middle, share, 0.2, left=left, lw=0, **look)
            if share > 0.08 + 0.08 * len(str(row[answer])):
                center = left + share / 2
                axes.text(
                    center, middle, str(row[answer]), ha="center", va="center_baseline", fontsize=SMALL, color=ink
                )
            left += share
