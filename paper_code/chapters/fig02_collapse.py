"""Figures 1b and 2: singular values and information abundance of the embedding matrices."""

from collections.abc import Sequence

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from paper_code.chapters.shared.judged import judged_runs, on_headline
from paper_code.chapters.shared.rules import Claim, Effect
from paper_code.chapters.shared.style import (
    FIGURE_WIDTH,
    GRADIENT,
    INITIAL_MARK,
    RANDOM_BAR,
    WHISKERS,
    bar_ink,
    field_ticks,
    run_title,
    styled,
    whiskers,
    wrapped,
)
from paper_code.chapters.shared.tables import Runs, field_measures, initial_spectra, random_spectra, share_of_random
from paper_code.chapters.shared.words import abundance_text, counted
from paper_code.runs.record import RunRecord


@styled
def abundance_figure(records: Sequence[RunRecord]) -> tuple[Figure, pd.DataFrame]:
    """Figure 2: information abundance of every field, learned, before training and random; sorted by cardinality."""
    data, config = field_measures(records), records[0].config
    by_field = data.groupby("field").mean(numeric_only=True).sort_values("cardinality")
    spread = data.groupby("field")["learned"].agg(["min", "max"]).loc[by_field.index]
    position = np.arange(len(by_field))
    figure, axes = plt.subplots(figsize=(FIGURE_WIDTH, 4.6))
    axes.bar(position - 0.2, by_field["random"], 0.4, label="random matrix of the same shape", **RANDOM_BAR)
    size = 150 / len(by_field)
    axes.plot(position - 0.2, by_field["initial"], label="at initialisation", markersize=size, **INITIAL_MARK)
    of_bars = bar_ink(config["model"], "ME" if config["num_sets"] > 1 else "SE")
    axes.bar(position + 0.2, by_field["learned"], 0.4, label="learned", **of_bars)
    errors = whiskers(by_field["learned"], spread)
    axes.errorbar(position + 0.2, by_field["learned"], yerr=errors, fmt="none", **WHISKERS)
    field_ticks(axes, by_field["cardinality"])
    axes.set(ylabel="information abundance", title=wrapped(run_title(records), 50))
    figure.legend(ncols=2, loc="outside lower center")
    return figure, data


@styled
def spectra_figure(records: Sequence[RunRecord]) -> tuple[Figure, pd.DataFrame]:
    """Figure 1b: normalised singular values of every field's embedding matrix, learned, before training, and random
    ones; first seed."""
    record = records[0]
    spectra = {
        "learned": record.spectra["side_by_side"],
        "at initialisation": initial_spectra(record)["side_by_side"],
        "random, same shapes": random_spectra(record),
    }
    cardinalities = [field["cardinality"] for field in record.fields]
    norm = mpl.colors.LogNorm(min(cardinalities), max(cardinalities))
    frames = []
    figure, panels = plt.subplot_mosaic("LL;IR", figsize=(FIGURE_WIDTH, 5.2), sharex=True, sharey=True)
    for axes, (kind, of_fields) in zip(panels.values(), spectra.items(), strict=True):
        for field, values in zip(record.fields, of_fields, strict=True):
            color = GRADIENT(norm(field["cardinality"]))
            index, normalised = np.arange(1, len(values) + 1), np.array(values) / max(values)
            axes.plot(index, normalised, color=color, lw=1.2)
            part = {"matrix": kind, "field": field["name"], "k": index, "normalised": normalised}
            frames.append(pd.DataFrame(part))
        axes.set(xlabel="index $k$", title=kind, ylim=(0, 1.03))
        axes.tick_params(labelbottom=True)
    panels["R"].tick_params(labelleft=False)
    figure.supylabel(r"singular value $\sigma_k / \sigma_1$")
    colors = mpl.cm.ScalarMappable(norm, GRADIENT)
    figure.colorbar(colors, ax=list(panels.values()), label="cardinality of the field", aspect=40)
    figure.suptitle(wrapped(run_title(records[:1])))
    return figure, pd.concat(frames, ignore_index=True)


def describe_abundance(data: pd.DataFrame) -> str:
    by_field = data.groupby("field", sort=False).mean(numeric_only=True)
    seeds = counted(data["seed"].nunique(), "seed")
    return (
        f"Bar chart: information abundance of the learned embedding of each of {counted(len(by_field), 'field')}, in "
        f"order of cardinality, beside that at initialisation and that of a random matrix of the same shape; means "
        f"over {seeds}. {held_against_random(by_field)}"
    )


def held_against_random(by_field: pd.DataFrame) -> str:
    """Means over the fields and the field with the largest gap; columns learned, initial and random."""
    mean, below = by_field.mean(numeric_only=True), int((by_field["learned"] < by_field["random"]).sum())
    field = (by_field["random"] - by_field["learned"]).idxmax()
    learned, initial, random = (abundance_text(mean[name]) for name in ("learned", "initial", "random"))
    gap = [abundance_text(by_field.loc[field, name]) for name in ("learned", "random")]
    return (
        f"Mean over the fields: {learned} learned, {initial} at initialisation, {random} random; learned is below "
        f"random in {below} of {len(by_field)} fields. The largest gap is that of {field}: {gap[0]} against {gap[1]}."
    )


def describe_spectra(data: pd.DataFrame) -> str:
    counts = []
    for matrix, rows in data.groupby("matrix", sort=False):
        of_fields = rows.groupby("field")["normalised"]
        counts.append(f"{matrix} {100 * of_fields.agg(lambda values: (values >= 0.1).mean()).mean():.0f} %")
    fields = counted(data["field"].nunique(), "field")
    return (
        f"Line charts in {counted(len(counts), 'panel')}: singular values over the largest one by their index, a line "
        f"for each of {fields} in the colour of its cardinality. Singular values of at least a tenth of the largest, "
        f"mean share over the fields: {', '.join(counts)}."
    )


def measures_table(records: Sequence[RunRecord]) -> pd.DataFrame:
    """Means over fields and seeds: information abundance and the two ranks, learned, random, and the first over the
    second, field by field."""
    table = field_measures(records)
    measures = {
        "information abundance, best epoch": ("learned", "random"),
        "information abundance, first epoch": ("first_epoch", "random"),
        "effective rank, best epoch": ("effective_rank", "effective_rank_random"),
        "stable rank, best epoch": ("stable_rank", "stable_rank_random"),
    }
    rows = []
    for name, (learned, random) in measures.items():
        found = table[learned].mean(), table[random].mean(), (table[learned] / table[random]).mean()
        rows.append((name, *(f"{value:.2f}" for value in found)))
    return pd.DataFrame(rows, columns=["mean over fields", "learned", "random, same shape", "share of random"])


def collapse_claims(runs: Runs) -> list[Claim]:
    """Figures 1b and 2."""
    ratios = runs.measured(share_of_random, "dcnv2").tolist()
    return [
        Claim(
            "embedding-collapse",
            "Section 3, Figures 1b and 2",
            "The information abundance of learned embedding matrices is far below that of random ones.",
            "Learned over random information abundance, averaged over all fields, is below one half: DCNv2, single "
            "embedding, the largest size.",
            (Effect("share of random, mean over the fields", ratios, "below", 0.5),),
            runs.dataset,
            "fig02_collapse",
            headline=on_headline(runs.dataset, few_fields=False),
            judged=judged_runs(["dcnv2"], ("SE", runs.largest)),
        )
    ]


FIGURES = {
    "fig01_spectra": (spectra_figure, describe_spectra),
    "fig02_information_abundance": (abundance_figure, describe_abundance),
    "real_rows_spectra": (spectra_figure, describe_spectra),
    "real_rows_abundance": (abundance_figure, describe_abundance),
}
"""By the name of its files: what draws a figure, and what tells its numbers in words."""
