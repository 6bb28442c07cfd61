"""The figures of our own chapters, on what the paper does not draw.

The ledger of claims, published gains with their intervals, other measures of collapse, weight decay and the optimizer,
the released code's differences, the map of where multi embedding helps, and its alternatives.
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
from matplotlib.ticker import LogLocator, StrMethodFormatter

from paper_code.figures.style import (
    ANSWERS,
    BASE_LINE,
    DIVERGING,
    EMBEDDING_LABELS,
    FIGURE_WIDTH,
    GAIN_LABEL,
    GRADIENT,
    GREY,
    INK,
    MARKERS,
    ON_PALE,
    SHADES,
    SMALL,
    line_look,
    log_title,
    style,
    wrapped,
)
from paper_code.models import MODEL_LABELS
from paper_code.runs import RunRecord
from paper_code.tables import PLAIN, log_label, optimizer_table, over_seeds


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
        found = over_seeds(groups).reset_index().sort_values("weight_decay", kind="stable")
        found.insert(found.columns.get_loc("half_interval"), "measure", measure)
        frames.append(found)
    return pd.concat(frames, ignore_index=True)


MAP_PANELS = {"gain": "gain in test AUC, thousandths", "share": "single's share of random"}


def reach_figure(summary: pd.DataFrame) -> tuple[Figure, pd.DataFrame]:
    """The map of where multi embedding helps: a column for each log; above the gain, below the collapse at every point,
    and then one against the other, with 95 % intervals of the gain. summary: `map_summary`."""
    logs = list(summary["dataset"].unique())
    with style():
        size = (FIGURE_WIDTH, 8.6)
        ratios = [1.15, 1.15, 1]
        figure, panels = plt.subplots(3, len(logs), figsize=size, squeeze=False, height_ratios=ratios, sharey="row")
        for column, log in zip(panels.T, logs, strict=True):
            rows = summary[summary["dataset"] == log]
            for axes, value in zip(column, MAP_PANELS, strict=False):
                draw_map(axes, rows, value, summary[value].abs().max())
                axes.set_title(f"{wrapped(log_label(log), 24)}\n{MAP_PANELS[value]}", fontsize=9)
            look = {"color": INK, "marker": "s", "linestyle": "none", "elinewidth": 0.8, "markersize": 3.5}
            column[2].errorbar(rows["share"], rows["gain"], yerr=rows["half_interval"], **look)
            column[2].axhline(0, **BASE_LINE)
            column[2].set_xlabel("single's share of random")
        panels[2, 0].set_ylabel("test AUC,\nmulti minus single")
        for axes in panels[2]:
            sns.despine(ax=axes)
    return figure, summary


def draw_map(axes: Axes, rows: pd.DataFrame, value: str, largest: float) -> None:
    """A value at every point: noise and rows down, K and P across; gains around zero, shares from zero to one."""
    noise_and_rows = sorted(set(zip(rows["noise"], rows["rows"], strict=True)))
    size_and_patterns = sorted(set(zip(rows["base"], rows["patterns"], strict=True)))
    grid = np.full((len(noise_and_rows), len(size_and_patterns)), np.nan)
    for row in rows.itertuples():
        place = noise_and_rows.index((row.noise, row.rows)), size_and_patterns.index((row.base, row.patterns))
        grid[place] = getattr(row, value)
    signed = value == "gain"
    look = {"cmap": DIVERGING, "vmin": -largest, "vmax": largest} if signed else {"cmap": SHADES, "vmin": 0, "vmax": 1}
    axes.imshow(grid, aspect="auto", **look)
    for (i, j), number in np.ndenumerate(grid):
        if np.isfinite(number):
            text = f"{1000 * number:+.1f}" if signed else f"{number:.2f}"
            axes.text(j, i, text, ha="center", va="center", fontsize=SMALL, color=ON_PALE)
    axes.set_xticks(range(grid.shape[1]), [f"$K$={k}\n$P$={p}" for k, p in size_and_patterns], fontsize=SMALL)
    labels = [f"noise {noise:g}\n{count:,.0f} rows" for noise, count in noise_and_rows]
    axes.set_yticks(range(grid.shape[0]), labels, fontsize=SMALL)
    axes.tick_params(length=0)


KIND_LOOKS = {
    "multi": {},
    "ensemble": {"color": INK, "marker": "<"},
    "shared interaction": {"color": INK, "marker": ">", "markerfacecolor": "none"},
}


def alternatives_figure(table: pd.DataFrame) -> tuple[Figure, pd.DataFrame]:
    """Gain over the base against training time: single embedding by size as a line, and what as many sets of the base
    size make, with 95 % intervals; a row for each log, a column for each model. table: `alternatives_table`."""
    groups = table.groupby(["dataset", "model", "kind", "scale"], sort=False)
    data = groups[["gain", "seconds", "parameters", "share"]].mean()
    data = data.join(over_seeds(groups["gain"]).drop(columns="mean")).reset_index()
    logs, models = list(data["dataset"].unique()), list(data["model"].unique())
    handles = {}
    with style():
        figure, panels = plt.subplots(
            len(logs),
            len(models),
            figsize=(FIGURE_WIDTH, 2.3 * len(logs) + 1.1),
            squeeze=False,
            sharex="col",
            sharey=True,
        )
        for line, log in zip(panels, logs, strict=True):
            for axes, model in zip(line, models, strict=True):
                rows = data[(data["dataset"] == log) & (data["model"] == model)]
                for kind, of_kind in rows.groupby("kind", sort=False):
                    look = line_look(model, PLAIN, "SE" if kind == "single" else "ME")
                    look |= {} if kind == "single" else {"linestyle": "none"} | KIND_LOOKS[kind]
                    interval = {"yerr": of_kind["half_interval"], "elinewidth": 0.9, "capsize": 2, "lw": 1.2}
                    handles[kind] = axes.errorbar(of_kind["seconds"], of_kind["gain"], **interval, **look)
                compared = {*rows.loc[rows["kind"] == "multi", "scale"], rows["scale"].max()}
                for row in rows[rows["scale"].isin(compared) & (rows["kind"] == "single")].itertuples():
                    place = {"xytext": (-4, -12), "textcoords": "offset points"}
                    axes.annotate(f"{row.scale}x", (row.seconds, row.gain), size=SMALL, **place)
                axes.axhline(0, **BASE_LINE)
                axes.set_xscale("log")
                axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
                axes.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
                axes.minorticks_off()
                axes.set_title(f"{MODEL_LABELS[model]}, {wrapped(log_label(log), 24)}", fontsize=9)
        for axes in panels[-1]:
            axes.set_xlabel("seconds of one core, log scale")
        figure.supylabel(GAIN_LABEL)
        sizes = sorted(data.loc[data["kind"] == "multi", "scale"].unique())
        of_sets = " and ".join(map(str, sizes))
        labels = {"single": "single, by size", "multi": f"multi, {of_sets} sets"}
        labels |= {"ensemble": f"ensemble of {of_sets}", "shared interaction": f"{of_sets} sets, shared interaction"}
        figure.legend(handles.values(), [labels[kind] for kind in handles], ncols=2, loc="outside lower center")
        sns.despine(figure)
    return figure, data


def changes_figure(table: pd.DataFrame) -> tuple[Figure, pd.DataFrame]:
    """What every choice changes in test AUC, with 95 % intervals; the band is what counts as significant.

    table: `changes_table` of `paper_code.released`.
    """
    choices = list(table["choice"].unique())
    with style():
        figure, axes = plt.subplots(figsize=(FIGURE_WIDTH, 0.62 * len(choices) + 1.5))
        axes.axvspan(-0.001, 0.001, color="0.5", alpha=0.18, lw=0)
        axes.axvline(0, **BASE_LINE)
        for row in table.itertuples():
            look = line_look(row.model, PLAIN, row.embedding) | {"linestyle": "none"}
            place = len(choices) - choices.index(row.choice) + (0.14 if row.embedding == "SE" else -0.14)
            axes.errorbar(row.change, place, xerr=row.half_interval, elinewidth=1, capsize=2, **look)
        axes.set_yticks(range(len(choices), 0, -1), [textwrap.fill(choice, 26) for choice in choices], fontsize=9)
        axes.set_title(", ".join(map(log_label, table["dataset"].unique())))
        axes.set(xlabel="change of test AUC", ylim=(0.4, len(choices) + 0.6))
        keys, labels = [], []
        for model, embedding in dict.fromkeys(zip(table["model"], table["embedding"], strict=True)):
            look = line_look(model, PLAIN, embedding) | {"linestyle": "none"}
            keys.append(Line2D([], [], **look))
            labels.append(f"{MODEL_LABELS[model]} {EMBEDDING_LABELS[embedding]}")
        keys.append(Patch(color="0.5", alpha=0.18, lw=0))
        figure.legend(keys, [*labels, "less than 0.001"], ncols=2, loc="outside lower center")
        sns.despine(figure)
    return figure, table


def ledger_figure(summary: pd.DataFrame) -> tuple[Figure, pd.DataFrame]:
    """What held here: a row for each of the paper's claims in short, a bar for each data set.

    A bar is divided as the claim's judged effects are, with their numbers where they have room. summary: `part`,
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
        axes.legend(handles=handles, title="share of the judged effects, and their number", ncols=3, loc="lower center")
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
