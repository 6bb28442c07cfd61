"""What else the parameters and the time of multi embedding could buy."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, StrMethodFormatter

from paper_code.chapters.runs import processor_seconds
from paper_code.chapters.shared.gates import OF_AUC
from paper_code.chapters.shared.html import mean_text
from paper_code.chapters.shared.judged import OURS, judged_runs
from paper_code.chapters.shared.rules import Claim, auc_effect
from paper_code.chapters.shared.style import (
    BASE_LINE,
    FIGURE_WIDTH,
    GAIN_LABEL,
    INK,
    SMALL,
    line_look,
    styled,
    wrapped,
)
from paper_code.chapters.shared.tables import PLAIN, Runs, log_label, over_seeds, results_table, share_of_random
from paper_code.chapters.shared.words import gain_text, size_text, sizes_text
from paper_code.models import MODEL_LABELS
from paper_code.runs.experiments import up_to_4
from paper_code.runs.record import RunRecord

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


KIND_LOOKS = {
    "multi": {},
    "ensemble": {"color": INK, "marker": "<"},
    "shared interaction": {"color": INK, "marker": ">", "markerfacecolor": "none"},
}


@styled
def alternatives_figure(table: pd.DataFrame) -> tuple[Figure, pd.DataFrame]:
    """Gain over the base against training time: single embedding by size as a line, and what as many sets of the base
    size make, with 95 % intervals; a row for each log, a column for each model. table: `alternatives_table`."""
    groups = table.groupby(["dataset", "model", "kind", "scale"], sort=False)
    data = groups[["gain", "seconds", "parameters", "share"]].mean()
    data = data.join(over_seeds(groups["gain"]).drop(columns="mean")).reset_index()
    logs, models = list(data["dataset"].unique()), list(data["model"].unique())
    handles = {}
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
    return figure, data


def describe_alternatives(data: pd.DataFrame) -> str:
    """The drawing in words: the base and what is compared with multi embedding at its size."""
    compared = set(data.loc[data["kind"] == "multi", "scale"])
    parts = []
    for (dataset, model), rows in data.groupby(["dataset", "model"], sort=False):
        rows = rows[rows["scale"].isin(compared)]
        values = [f"{row.kind} {gain_text(row.gain)} in {row.seconds:.0f} seconds" for row in rows.itertuples()]
        parts.append(f"{dataset}, {MODEL_LABELS[model]}: {', '.join(values)}")
    return (
        "Gain in test AUC over the base model against training time, single embedding by size as a line. At "
        f"{sizes_text(compared)}: {'. '.join(parts)}."
    )


def alternatives_claims(runs: Runs, references: Sequence[RunRecord] = ()) -> list[Claim]:
    """Multi embedding beside what else its parameters and its time could buy.

    references: from which the seconds of runs made on a GPU are estimated.
    """
    size, models = max(up_to_4(runs.scales)), ("dnn", "dcnv2")
    table = alternatives_table(runs.records, references)

    def multi(model: str, variant: str = PLAIN) -> pd.Series:
        return runs("test_auc", model, "ME", size, variant)

    def at_its_time(model: str) -> pd.Series:
        of_multi = table[(table["model"] == model) & (table["kind"] == "multi")]
        return single_at_time(table, model, of_multi["seconds"].mean())

    def claim(name: str, what: str, rule: str, other) -> Claim:
        effects = [
            auc_effect(f"test AUC, {MODEL_LABELS[m]} multi {size_text(size)} minus {what}", multi(m), other(m), "above")
            for m in models
        ]
        statement = f"Multi embedding is better than {what}."
        judged = judged_runs(models, ("SE", size), ("ME", size))
        return Claim(
            f"alternatives-{name}",
            OURS,
            statement,
            rule,
            tuple(effects),
            runs.dataset,
            "reach",
            checks=OF_AUC,
            judged=judged,
        )

    of_models = "paired by seed, for DNN and for DCNv2"
    return [
        claim(
            "time",
            "a single embedding of the same run time",
            "Its test AUC is above that of the single embedding whose runs take as long, read off between the sizes, "
            f"{of_models}. Seconds of one core for a whole run; of a run made on a GPU they are estimated.",
            at_its_time,
        ),
        claim(
            "ensemble",
            "an ensemble of as many base models",
            f"Its test AUC is above that of the ensemble, {of_models}.",
            lambda model: multi(model, "ensemble"),
        ),
        claim(
            "shared",
            "as many sets with one shared interaction",
            f"Its test AUC is above that with the shared interaction, {of_models}.",
            lambda model: multi(model, "shared_interaction"),
        ),
    ]


FIGURES = {
    "reach_alternatives": (alternatives_figure, describe_alternatives),
}
"""By the name of its files: what draws a figure, and what tells its numbers in words."""
