"""How far multi embedding reaches: where it helps, and what else its parameters and its time could buy."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
from scipy import stats

from paper_code.experiments import MAP_LEVELS
from paper_code.models import MODEL_LABELS
from paper_code.runs import DataConfig, RunRecord, load_data
from paper_code.tables import (
    PLAIN,
    bayes_auc,
    log_label,
    mean_text,
    over_seeds,
    processor_seconds,
    results_table,
    share_of_random,
)

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
    """Those rows of one log's `map_table` whose seed has all points that any seed has."""
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


KINDS = {
    ("SE", PLAIN): "single",
    ("ME", PLAIN): "multi",
    ("ME", "ensemble"): "ensemble",
    ("ME", "shared_interaction"): "shared interaction",
}


def alternatives_table(records: Sequence[RunRecord], references: Sequence[RunRecord] = ()) -> pd.DataFrame:
    """A row per run: dataset, model, kind (see `KINDS`), scale, seed, test_auc, gain over the same seed's base,
    parameters, seconds of one core, and share, information abundance over that of random matrices.

    references: from which the seconds of runs made on a GPU are estimated.
    """
    table = results_table(records)
    kinds = [KINDS[pair] for pair in zip(table["embedding"], table["variant"], strict=True)]
    table = table.assign(
        kind=kinds,
        seconds=processor_seconds(records, references),
        share=[share_of_random(record) for record in records],
    )
    keys = ["dataset", "model", "seed"]
    base = table[table["scale"] == 1].set_index(keys)["test_auc"]
    table = table.assign(gain=table["test_auc"] - base.reindex(pd.MultiIndex.from_frame(table[keys])).to_numpy())
    return table[[*keys[:2], "kind", "scale", "seed", "test_auc", "gain", "parameters", "seconds", "share"]]


def single_at_time(table: pd.DataFrame, model: str, seconds: float) -> pd.Series:
    """seed -> test AUC of the single embedding that takes so many seconds: between two sizes a straight line over the
    logarithm of their mean seconds, beyond the largest that of the largest. table: of one log."""
    single = table[(table["model"] == model) & (table["kind"] == "single")]
    time = np.maximum.accumulate(single.groupby("scale")["seconds"].mean())
    wide = single.pivot(index="seed", columns="scale", values="test_auc").dropna()
    found = [np.interp(np.log(seconds), np.log(time.to_numpy()), row) for row in wide.to_numpy()]
    return pd.Series(found, wide.index, dtype=float)


def alternatives_text(table: pd.DataFrame) -> pd.DataFrame:
    """Means over the seeds as text, of the sizes that multi embedding has and of the base: gain over the base with half
    of its 95 % interval, parameters and seconds over the base's, share of random."""
    compared = [1, *table.loc[table["kind"] == "multi", "scale"].unique()]
    rows = []
    for (dataset, model, kind, scale), group in table.groupby(["dataset", "model", "kind", "scale"], sort=False):
        if scale in compared:
            base = table[(table["dataset"] == dataset) & (table["model"] == model) & (table["scale"] == 1)]
            over = {name: group[name].mean() / base[name].mean() for name in ("parameters", "seconds")}
            rows.append(
                {
                    "data": log_label(dataset),
                    "model": MODEL_LABELS[model],
                    "what": kind if scale > 1 else "base",
                    "test AUC": f"{group['test_auc'].mean():.4f}",
                    "gain": mean_text(group["gain"], "+.4f") if scale > 1 else "",
                    "parameters": f"{over['parameters']:.2f}x",
                    "run time": f"{over['seconds']:.1f}x",
                    "share of random": f"{group['share'].mean():.2f}",
                }
            )
    return pd.DataFrame(rows)
