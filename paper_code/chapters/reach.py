"""How far multi embedding reaches: where it helps, and what else its parameters and its time could buy."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy import stats

from paper_code.chapters.shared.gates import OF_AUC
from paper_code.chapters.shared.html import mean_text
from paper_code.chapters.shared.judged import OURS, judged_runs
from paper_code.chapters.shared.rules import Claim, Effect, ratio
from paper_code.chapters.shared.style import (
    BASE_LINE,
    DIVERGING,
    FIGURE_WIDTH,
    INK,
    ON_PALE,
    SHADES,
    SMALL,
    style,
    wrapped,
)
from paper_code.chapters.shared.tables import Runs, log_label, over_seeds, results_table, share_of_random
from paper_code.chapters.shared.words import gain_text
from paper_code.chapters.synthetic_logs import bayes_auc
from paper_code.runs.config import DataConfig
from paper_code.runs.experiments import MAP_LEVELS
from paper_code.runs.logs import load_data
from paper_code.runs.record import RunRecord
from paper_code.runs.regime import COMPARED

POINT = list(MAP_LEVELS)
FACTOR_LABELS = {
    "noise": "noise of the label",
    "rows": "rows (and by rule the weight decay)",
    "base": "base size K",
    "patterns": "interaction patterns P",
}


def map_table(records: Sequence[RunRecord]) -> pd.DataFrame:
    """A row per log, point of the map and seed: where single and multi embedding of the same size were both trained.

    Columns: dataset; noise, rows, base (K) and patterns (P); seed; scale; single and multi, test AUC; gain, multi less
    single; share and multi_share, information abundance over that of random matrices, mean over the fields, sets side
    by side.
    """
    rows = []
    for record, scale in zip(records, results_table(records)["scale"], strict=True):
        config, data = record.config, record.config["data"]
        sets = config["num_sets"]
        base = config["embedding_size"] if sets > 1 else None
        rows.append(
            {
                "dataset": data["name"],
                "noise": data["noise"],
                "rows": data["rows"],
                "total": config["embedding_size"] * sets,
                "patterns": data["patterns"],
                "seed": config["seed"],
                "scale": scale,
                "base": base,
                "embedding": "multi" if sets > 1 else "single",
                "auc": record.scores["test_auc"],
                "share": share_of_random(record),
            }
        )
    columns = ["dataset", *POINT, "seed", "scale", "single", "multi", "gain", "share", "multi_share"]
    if not rows:
        return pd.DataFrame(columns=columns)
    table = pd.DataFrame(rows)
    keys = ["dataset", "noise", "rows", "total", "patterns", "seed"]
    single, multi = (table[table["embedding"] == name].set_index(keys) for name in ("single", "multi"))
    both = (
        single.drop(columns="base")
        .join(multi[["base", "auc", "share"]], how="inner", suffixes=("", "_multi"))
        .reset_index()
    )
    both = both.rename(columns={"auc": "single", "auc_multi": "multi", "share_multi": "multi_share"})
    order = {name: number for number, name in enumerate(table["dataset"].unique())}
    both = both.assign(gain=both["multi"] - both["single"])[columns]
    by_log = {"key": lambda column: column.map(order) if column.name == "dataset" else column}
    return both.astype({"base": int}).sort_values(["dataset", *POINT, "seed"], ignore_index=True, **by_log)


def complete_seeds(table: pd.DataFrame) -> pd.DataFrame:
    """The rows of one log's `map_table` whose seed has all points that any seed has."""
    points = table[POINT].apply(tuple, axis=1)
    of_seeds = points.groupby(table["seed"]).agg(set)
    complete = [seed for seed, found in of_seeds.items() if found == set(points)]
    return table[table["seed"].isin(complete)]


def map_correlations(table: pd.DataFrame, of: str = "gain", to: str = "share") -> pd.Series:
    """seed -> Spearman's rank correlation over the points of one log's map of two columns of `map_table`."""
    found = {seed: stats.spearmanr(rows[of], rows[to]).statistic for seed, rows in table.groupby("seed")}
    return pd.Series(found, dtype=float)


def map_factors(table: pd.DataFrame, value: str = "gain") -> pd.DataFrame:
    """A row per log, factor and seed: the mean of a column over the points where the factor is high, less that over
    those where it is low."""
    rows = []
    for (dataset, seed), group in table.groupby(["dataset", "seed"], sort=False):
        for factor in POINT:
            low, high = group[factor].min(), group[factor].max()
            of_level = group.groupby(factor)[value].mean()
            rows.append((dataset, factor, low, high, seed, of_level[high] - of_level[low]))
    return pd.DataFrame(rows, columns=["dataset", "factor", "low", "high", "seed", value])


def factors_text(table: pd.DataFrame) -> pd.DataFrame:
    """What every factor does to the gain and to the collapse, as text: means over the seeds with half of their 95 %
    intervals."""
    rows = []
    keys = ["dataset", "factor", "low", "high"]
    gains, shares = (map_factors(table, value) for value in ("gain", "share"))
    for (key, of_gain), (_, of_share) in zip(
        gains.groupby(keys, sort=False), shares.groupby(keys, sort=False), strict=True
    ):
        dataset, factor, low, high = key
        rows.append(
            {
                "data": log_label(dataset),
                "from low to high": f"{FACTOR_LABELS[factor]}, {low:,g} to {high:,g}",
                "gain of multi embedding": mean_text(of_gain["gain"], "+.4f"),
                "single embedding's share of random": mean_text(of_share["share"], "+.3f"),
            }
        )
    return pd.DataFrame(rows)


def map_summary(table: pd.DataFrame) -> pd.DataFrame:
    """A row per log and point: means over the seeds and, of the gain, half of its 95 % interval."""
    groups = table.groupby(["dataset", *POINT], sort=False)
    found = groups[["single", "multi", "gain", "share", "multi_share"]].mean()
    return found.join(over_seeds(groups["gain"]).drop(columns="mean")).reset_index()


def bayes_aucs(records: Sequence[RunRecord]) -> dict[float, float]:
    """Noise -> the test AUC of the true click probability, on the first seed's log with the most rows and fewest
    patterns, which no model can exceed."""
    configs = [DataConfig(**record.config["data"]) for record in records]
    first = min(configs, key=lambda data: (data.seed, -data.rows, data.patterns))
    noises = sorted({data.noise for data in configs})
    return {noise: bayes_auc(load_data(replace(first, noise=noise)), first.seed) for noise in noises}


def counts(summary: pd.DataFrame) -> dict[str, int]:
    """How many points of `map_summary` have a gain whose 95 % interval lies above zero, below it, or around it."""
    above = (summary["gain"] > summary["half_interval"]).sum()
    below = (summary["gain"] < -summary["half_interval"]).sum()
    return {"above": int(above), "below": int(below), "around": int(len(summary) - above - below)}


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


def describe_reach(data: pd.DataFrame) -> str:
    """The map in words: how often the gain is positive, its ends, and how it goes with the share of random."""
    parts = []
    for dataset, rows in data.groupby("dataset", sort=False):
        least, most = (rows.loc[getattr(rows["gain"], of)()] for of in ("idxmin", "idxmax"))
        ends = [
            f"{gain_text(row['gain'])} at noise {row['noise']:g}, {row['rows']:,.0f} rows, K {row['base']:.0f}, "
            f"P {row['patterns']:.0f}"
            for row in (least, most)
        ]
        correlation = stats.spearmanr(rows["gain"], rows["share"]).statistic
        shares = f"{rows['share'].min():.2f} to {rows['share'].max():.2f}"
        parts.append(
            f"{dataset}: multi embedding is better at {(rows['gain'] > 0).sum()} of {len(rows)} points, from "
            f"{ends[0]} to {ends[1]}; single embedding's information abundance is {shares} of random; rank correlation "
            f"of both over the points, of their means, {correlation:+.2f}"
        )
    return (
        "Heat maps of the gain of multi over single embedding in test AUC and of single embedding's share of random, "
        f"by noise and rows, K and P, and the one against the other. {'. '.join(parts)}."
    )


def map_claims(runs: Runs) -> list[Claim]:
    """Where multi embedding helps: over noise, rows, K and P of a synthetic log."""
    table = complete_seeds(map_table(runs.records))
    by_seed = table.groupby("seed")[["gain", "share", "multi_share"]].mean()
    judged = judged_runs(["dcnv2"], ("SE", COMPARED), ("ME", COMPARED))

    def claim(name: str, statement: str, rule: str, *effects: Effect, checks=OF_AUC) -> Claim:
        return Claim(f"map-{name}", OURS, statement, rule, effects, runs.dataset, "reach", checks=checks, judged=judged)

    return [
        claim(
            "gain",
            "Multi embedding is better than single embedding of the same size, on the average of the map.",
            "The gain in test AUC, averaged over all points, is above zero.",
            Effect("test AUC, multi minus single, mean over the map", by_seed["gain"].tolist(), "above", 0.0),
        ),
        claim(
            "relief",
            "Multi embedding collapses less than single embedding of the same size, on the average of the map.",
            "Information abundance as a share of random, multi over single embedding, means over all points, is above "
            "one.",
            Effect("share of random, multi over single", ratio(by_seed["multi_share"], by_seed["share"]), "above", 1.0),
            checks=(),
        ),
        claim(
            "where-the-collapse-is",
            "The gain is where the collapse is.",
            "Spearman's rank correlation over the points of the gain with single embedding's share of random is below "
            "zero.",
            Effect("rank correlation of gain and share of random", map_correlations(table).tolist(), "below", 0.0),
        ),
    ]


FIGURES = {
    "reach_map": (reach_figure, describe_reach),
}
"""By the name of its files: what draws a figure, and what tells its numbers in words."""
