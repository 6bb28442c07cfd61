"""One function per figure: records in, matplotlib Figure out, with the table of the numbers it shows.

One look for all, to be read at 400 pixels of width, in greyscale and on a dark page: a colour and a marker for every
model; solid lines and filled markers for multi embedding, dashed lines and open markers for single embedding; grey for
what the paper published; near-black for variants of a model and for what values are held against.
"""

import re
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from contextlib import contextmanager
from html import escape
from itertools import chain
from pathlib import Path
from typing import NamedTuple

import matplotlib as mpl
import numpy as np
import pandas as pd
import seaborn as sns
import torch
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from torch import nn

from paper_code.experiments import project_path
from paper_code.models import MODEL_LABELS
from paper_code.models.ctr_model import CTRModel
from paper_code.models.heads import MeanHead
from paper_code.models.layers import HiddenBlock, SetLinear
from paper_code.published import published_auc, published_dataset
from paper_code.runs import RunRecord
from paper_code.tables import (
    PLAIN,
    curves_table,
    field_abundance,
    field_measures,
    half_interval,
    initial_patterns,
    initial_set_abundance,
    initial_spectra,
    initial_sub_embedding_abundance,
    interaction_patterns,
    law_means,
    log_label,
    optimizer_table,
    random_spectra,
    randomly_projected_abundance,
    results_table,
    set_abundance,
    sub_embedding_abundance,
    with_references,
)
from paper_code.toy import ToyResult

FIGURE_WIDTH = 5.4  # inches: on a page of 400 pixels a point is a pixel
INK, GREY = "0.1", "0.55"
COLORBLIND = sns.color_palette("colorblind").as_hex()
COLORS = dict(zip(["dnn", "dcnv2", "ipnn", "finalmlp", "nfwfm", "xdeepfm"], COLORBLIND, strict=False))
COLORS |= {"ffm": "#7f6fc7", "fm": "#56b4e9", "gdcn": "#c2185b"}
MARKERS = {"dnn": "o", "dcnv2": "s", "ipnn": "^", "finalmlp": "D", "nfwfm": "v", "xdeepfm": "P"}
MARKERS |= {"ffm": "X", "fm": "h", "gdcn": "*"}
LINES, EMBEDDING_LABELS = {"SE": "--", "ME": "-"}, {"SE": "single", "ME": "multi"}
VARIANT_LABELS = {
    PLAIN: "",
    "unitary": "regularised",
    "block_scales + unitary": "regularised, authors' form",
    "norm_divergence": "restricted",
    "shared_interaction": "shared interaction",
    "subspace_similarity": "subspace similarity",
    "singular_value_spread": "singular-value spread",
}
VARIANT_MARKERS = dict(
    zip([name for name in VARIANT_LABELS if name != PLAIN], ["d", (4, 1, 0), "<", ">", "p", (6, 1, 0)], strict=True)
)
RANDOM_LINE, INITIAL_LINE = ({"color": INK, "linestyle": line, "lw": 1.2} for line in ("-.", ":"))
RANDOM_BAR = {"color": "0.78", "edgecolor": "0.45", "hatch": "/////", "lw": 0.5}
INITIAL_MARK = {"marker": "_", "linestyle": "none", "color": INK, "markeredgewidth": 1.4}
WHISKERS = {"color": INK, "ecolor": INK, "capsize": 1.5, "elinewidth": 0.9, "capthick": 0.9}
BASE_LINE = {"color": INK, "lw": 0.6}
GAIN_LABEL = "test AUC,\ngain over the base model"
# how an effect's answer is drawn -> its name, the bar and its number; not the colours of a model
ANSWERS = {
    "yes": ("holds", {"facecolor": "#0b5351", "edgecolor": "#0b5351"}, "#fefefe"),
    "undecided": ("undecided", {"facecolor": "#cfcfcf", "edgecolor": "#f8f8f8", "hatch": "/////"}, "#111111"),
    "against": ("against", {"facecolor": "#e8505b", "edgecolor": "#f28d93", "hatch": "xxx"}, "#111111"),
}
LINE_KEYS = ["model", "variant", "embedding", "scale"]
STYLE = {
    "figure.dpi": 150,
    "savefig.dpi": 160,
    "figure.constrained_layout.use": True,
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans", "Verdana"],
    "font.size": 10,
    "axes.titlesize": 10,
    "axes.labelsize": 10,
    "figure.titlesize": 10,
    "figure.labelsize": 10,
    "xtick.labelsize": 9,
    "ytick.labelsize": 9,
    "legend.fontsize": 9,
    "legend.frameon": False,
    "legend.handlelength": 2.6,
    "legend.columnspacing": 1.2,
    "lines.markersize": 5,
    "hatch.linewidth": 0.7,
    "svg.fonttype": "none",
    "svg.hashsalt": "paper-code",
}
SMALL = 8  # points: the smallest text
GRADIENT = mpl.colors.LinearSegmentedColormap.from_list(
    "gradient", mpl.colormaps["viridis"](np.linspace(0.2, 0.88, 64))
)


@contextmanager
def style():
    """The look of every figure, for the time of the block."""
    with mpl.rc_context(sns.axes_style("ticks") | STYLE):
        yield


def save_figure(figure: Figure, data: pd.DataFrame, name: str, folder: str | Path, alt: str) -> str:
    """Write `<folder>/<name>.svg` and `.png`, and the numbers behind them to `<folder>/data/<name>.csv`.

    The PNG is on white, the SVG transparent, to stand in a page of any colour; its text. A relative folder is below the
    project's root. alt: the figure in words, the SVG's label.
    """
    folder = project_path(folder)
    (folder / "data").mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.svg"
    with mpl.rc_context(STYLE):
        figure.draw_without_rendering()
        figure.set_layout_engine("none")  # its solution moves a little with every further drawing
        figure.savefig(path, metadata={"Date": None}, transparent=True)
        figure.savefig(folder / f"{name}.png", facecolor="white")
    svg = labelled_svg(path.read_text(encoding="utf-8"), name, alt)
    path.write_text(svg, encoding="utf-8")
    data.to_csv(folder / "data" / f"{name}.csv", index=False, float_format="%.6g")
    return svg


def labelled_svg(svg: str, name: str, alt: str) -> str:
    """Matplotlib's SVG made fit to stand in a page beside others: named, its ids its own, and no rule for the page."""
    svg = re.sub(r'( id="|url\(#|href="#)', rf"\g<1>{name}-", svg)
    rules = re.search(r'\s*<defs>\s*<style type="text/css">\*\{(.*?)\}</style>\s*</defs>', svg)
    root = f'<svg role="img" aria-label="{escape(alt)}" style="{rules[1]}"'
    return svg.replace(rules[0], "", 1).replace("<svg", root, 1)


def wrapped(text: str, width: int = 58) -> str:
    """A title in lines of at most so many characters, broken after a comma or before a parenthesis."""
    kept = re.sub(r"(?<![,.:]) (?!\()", "\0", text)
    return textwrap.fill(kept, width, break_long_words=False, break_on_hyphens=False).replace("\0", " ")


def small_multiples(count: int, height: float, columns: int = 2, further: float = 1.1) -> tuple[Figure, list[Axes]]:
    """Panels of one scale, in inches each so high; further: of titles and legend."""
    rows = -(-count // columns)
    figure, panels = plt.figure(figsize=(FIGURE_WIDTH, height * rows + further)), []
    for number in range(count):
        shared = panels[0] if panels else None
        panels.append(figure.add_subplot(rows, columns, number + 1, sharex=shared, sharey=shared))
    return figure, panels


def label_outer(panels: Sequence[Axes], columns: int = 2) -> None:
    """Leave the scales to the panels that have none below, or to the left: also above a place that is empty."""
    for number, axes in enumerate(panels):
        below, left = number + columns < len(panels), number % columns > 0
        axes.tick_params(labelbottom=not below, labelleft=not left)
        axes.set(**{"xlabel": ""} if below else {}, **{"ylabel": ""} if left else {})


def field_ticks(axes: Axes, cardinalities: pd.Series) -> None:
    """The fields below their bars, with their cardinalities."""
    labels = [f"{name} ({values:,.0f})" for name, values in cardinalities.items()]
    axes.set_xticks(np.arange(len(labels)), labels, rotation=90, fontsize=SMALL)
    axes.set_xlim(-0.6, len(labels) - 0.4)
    axes.set_xlabel("field (its cardinality)")


def bar_ink(model: str, embedding: str) -> dict:
    """Bars as the lines' markers: full for multi, pale for single embedding."""
    face = mpl.colors.to_rgba(COLORS[model], 1 if embedding == "ME" else 0.25)
    return {"color": face, "edgecolor": COLORS[model], "lw": 1.2}


def line_look(model: str, variant: str, embedding: str) -> dict:
    """Colour and marker of a model, or of its variant; dashed and open for single embedding."""
    plain = variant == PLAIN
    color, marker = (COLORS[model], MARKERS[model]) if plain else (INK, VARIANT_MARKERS.get(variant, "d"))
    face = color if embedding == "ME" else "none"
    look = {"color": color, "marker": marker, "markeredgecolor": color, "markerfacecolor": face}
    return look | {"linestyle": LINES[embedding], "markersize": 5 if plain else 6}


def toy_figure(small: ToyResult, large: ToyResult) -> tuple[Figure, pd.DataFrame]:
    """Figure 4: IA(E1) over the iterations of the toy experiment, mean and range over seeds."""
    frames = []
    with style():
        figure, axes = plt.subplots(figsize=(FIGURE_WIDTH, 3.6))
        of_large = line_look("fm", PLAIN, "SE") | {"markevery": 0.1}
        looks = {"color": INK, "linestyle": LINES["SE"]}, of_large
        for label, result, look in zip(("Small", "Large"), (small, large), looks, strict=True):
            abundance = result.information_abundance
            name = f"{label} ($D_3$ = {result.third_cardinality})"
            band = {"color": look["color"], "alpha": 0.25, "lw": 0}
            axes.fill_between(result.iterations, abundance.min(0), abundance.max(0), **band)
            axes.plot(result.iterations, abundance.mean(0), label=name, **look)
            frames += [
                pd.DataFrame({"case": label, "seed": s, "iteration": result.iterations, "information_abundance": row})
                for s, row in zip(result.seeds, abundance, strict=True)
            ]
        axes.set(xlabel="iteration", ylabel="information abundance of $E_1$", xlim=(0, result.iterations[-1]))
        axes.set_title(f"Toy experiment, mean and range over {len(small.seeds)} seeds")
        figure.legend(ncols=2, loc="outside lower center")
        sns.despine(figure)
    return figure, pd.concat(frames, ignore_index=True)


def abundance_figure(records: Sequence[RunRecord]) -> tuple[Figure, pd.DataFrame]:
    """Figure 2: information abundance of every field, learned, before training and random; sorted by cardinality."""
    data, config = field_measures(records), records[0].config
    by_field = data.groupby("field").mean(numeric_only=True).sort_values("cardinality")
    spread = data.groupby("field")["learned"].agg(["min", "max"]).loc[by_field.index]
    position = np.arange(len(by_field))
    with style():
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
        sns.despine(figure)
    return figure, data


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
    with style():
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
        sns.despine(figure)
    return figure, pd.concat(frames, ignore_index=True)


def law_figure(of_ffm: Sequence[RunRecord], of_dcnv2: Sequence[RunRecord]) -> tuple[Figure, pd.DataFrame]:
    """Figure 3: information abundance of the sub-embeddings, first seed, and its means over either axis, all seeds.

    A column for each model. Fields sorted by the information abundance of their embeddings, lowest first. The means are
    those of `law_means`; beside them those of random projections of the same embeddings, and before training, when they
    are random matrices. The table has both: panel "pairs" and, for every case and seed, panel "means".
    """
    frames = []
    with style():
        figure, panels = plt.subplots(3, 2, figsize=(FIGURE_WIDTH, 8.3), sharey="row", height_ratios=(1.7, 1, 1))
        for column, records in zip(panels.T, (of_ffm, of_dcnv2), strict=True):
            heat, own, other = column
            first = records[0]
            order = np.argsort(field_abundance(first))
            pairs = sub_embedding_abundance(first)[np.ix_(order, order)]
            config, names = first.config, [first.fields[number]["name"] for number in order]
            edges = (0.5, len(order) + 0.5)
            image = heat.imshow(pairs, cmap="viridis", origin="lower", extent=edges * 2)
            bar = figure.colorbar(image, ax=heat, location="bottom", aspect=25)
            bar.set_label(r"$IA(E_i^{\rightarrow j})$")
            heat.set(xlabel="$j$, sorted by $IA(E_j)$", ylabel="$i$, sorted by $IA(E_i)$")
            for axis in (heat.xaxis, heat.yaxis):
                axis.set_major_locator(mpl.ticker.MaxNLocator(4, integer=True))
            heat.set_title(f"{MODEL_LABELS[config['model']]}, $K$ = {config['embedding_size']}, seed {config['seed']}")
            frames.append(
                pd.DataFrame(pairs, columns=names)
                .assign(model=config["model"], i=names, field_abundance=np.sort(field_abundance(first)))
                .melt(["model", "i", "field_abundance"], var_name="j", value_name="sub_embedding_abundance")
                .dropna()
                .assign(panel="pairs")
            )
            ranks = np.arange(1, len(order) + 1)
            color = COLORS[config["model"]]
            for case, (look, label) in LAW_CASES.items():
                means = [[mean[np.argsort(field_abundance(r))] for mean in law_means(case(r))] for r in records]
                frames += [
                    pd.DataFrame({"rank": ranks, "mean_over_j": of_i, "relative_mean_over_i": of_j}).assign(
                        panel="means", model=config["model"], case=label.replace("$", ""), seed=record.config["seed"]
                    )
                    for record, (of_i, of_j) in zip(records, means, strict=True)
                ]
                for axes, values in zip((own, other), np.moveaxis(np.array(means), 1, 0), strict=True):
                    axes.plot(ranks, values.mean(axis=0), label=label, **{"color": color} | look)
                    if case is sub_embedding_abundance:
                        axes.fill_between(ranks, values.min(0), values.max(0), color=color, alpha=0.25, lw=0)
            own.set(xlabel="rank of $i$ by $IA(E_i)$")
            own.set(yscale="log", yticks=[1, 2, 5, 10, 20, 50], yticklabels=["1", "2", "5", "10", "20", "50"])
            own.minorticks_off()
            other.set(xlabel="rank of $j$ by $IA(E_j)$")
            other.axhline(1, **BASE_LINE)
        panels[1, 0].set_ylabel("mean over $j$ of\n" r"$IA(E_i^{\rightarrow j})$")
        panels[2, 0].set_ylabel("mean over $i$, relative\nto the row's mean")
        panels[0, 1].set_ylabel("")
        handles, labels = panels[1, 1].get_legend_handles_labels()
        handles = [panels[1, 0].get_legend_handles_labels()[0][0], *handles]
        labels = [*(f"{MODEL_LABELS[of[0].config['model']]} {labels[0]}" for of in (of_ffm, of_dcnv2)), *labels[1:]]
        figure.legend(handles, labels, ncols=2, loc="outside lower center")
        seeds = " and ".join(map(str, dict.fromkeys((len(of_ffm), len(of_dcnv2)))))
        figure.suptitle(f"{log_title(of_ffm[0])}, {seeds} seeds")
        sns.despine(figure)
    return figure, pd.concat(frames, ignore_index=True)


# what Figure 3 draws of a record -> its line, in the model's colour unless it has its own, and its name
LAW_CASES = {
    sub_embedding_abundance: ({"linestyle": LINES["SE"]}, "learned: mean and range"),
    randomly_projected_abundance: (RANDOM_LINE, "learned $E_i$, random projections"),
    initial_sub_embedding_abundance: (INITIAL_LINE, "at initialisation"),
}


def abundance_by_size_lines(axes: Axes, records: Sequence[RunRecord]) -> pd.DataFrame:
    """Draw mean information abundance by size, with what it is to be held against; the numbers."""
    table = with_references(records)
    learned = by_size(table, "information_abundance")
    references = table.groupby("scale")[["initial", "random"]].mean().reset_index()
    axes.plot(references["scale"], references["random"], label="random matrices", **RANDOM_LINE)
    axes.plot(
        references["scale"], references["initial"], label="at initialisation", **INITIAL_MARK | INITIAL_LINE, ms=9
    )
    draw_sizes(axes, learned, "information_abundance", learned["scale"])
    axes.set_yscale("log")
    axes.set_yticks([2, 5, 10, 20, 50], ["2", "5", "10", "20", "50"])
    axes.minorticks_off()
    axes.set_ylabel("information abundance,\nmean over the fields")
    return learned.merge(references, on="scale")


def regularized_figure(records: Sequence[RunRecord]) -> tuple[Figure, pd.DataFrame]:
    """Figure 5: DCNv2 plain and regularised. Gain in test AUC and information abundance by size; at the largest size
    training loss and validation AUC in the course of training, a line per seed."""
    table = results_table(records)
    ours = gains(table)
    with style():
        figure, ((of_gain, of_abundance), (of_loss, of_auc)) = plt.subplots(2, 2, figsize=(FIGURE_WIDTH, 5.6))
        draw_sizes(of_gain, ours, "gain", ours["scale"])
        of_gain.axhline(0, **BASE_LINE)
        of_gain.set_ylabel(GAIN_LABEL)
        abundance = abundance_by_size_lines(of_abundance, records)
        curves = curves_table([records[number] for number in table.index[table["scale"] == table["scale"].max()]])
        for (model, variant, _), line in curves.groupby(["model", "variant", "seed"], sort=False):
            look = line_look(model, variant, "SE") | {"lw": 1.1}
            of_loss.plot(line["epoch"], line["training_loss"], **look | {"marker": ""})
            whole = line.dropna()
            of_auc.plot(whole["epoch"], whole["validation_auc"], **look | {"markersize": 4})
        of_loss.set(xlabel="epoch", ylabel="training loss", title=f"size {table['scale'].max()}x")
        of_auc.set(xlabel="epoch", ylabel="validation AUC", title=f"size {table['scale'].max()}x")
        handles, labels = of_abundance.get_legend_handles_labels()
        figure.legend(handles, labels, ncols=2, loc="outside lower center")
        figure.suptitle(f"{log_title(records[0])}, {seeds_title(ours)}")
        sns.despine(figure)
    parts = {"gain": ours, "information_abundance": abundance, "curve": curves}
    return figure, pd.concat([part.assign(panel=name) for name, part in parts.items()], ignore_index=True)


def dnn_dcnv2_figure(records: Sequence[RunRecord]) -> tuple[Figure, pd.DataFrame]:
    """Figure 6: single-embedding DNN and DCNv2. Information abundance by size; gain in test AUC, published and ours."""
    table = results_table(records)
    dataset = table["dataset"].iloc[0]
    ours = gains(table)
    published = published_gains(dataset, list(table["model"].unique()))
    published = published[published["embedding"] == "SE"]
    with style():
        figure, panels = plt.subplot_mosaic("AA;PO", figsize=(FIGURE_WIDTH, 5.6))
        of_abundance, left, right = panels.values()
        abundance = abundance_by_size_lines(of_abundance, records)
        of_abundance.set_title("Ours")
        draw_published_beside_ours(left, right, published, ours, f"Published: {published_dataset(dataset)}", "Ours")
        handles, labels = of_abundance.get_legend_handles_labels()
        figure.legend(handles, labels, ncols=2, loc="outside lower center")
        figure.suptitle(wrapped(f"Ours: {log_title(records[0])}, {seeds_title(ours)}"))
        sns.despine(figure)
    parts = {"information_abundance": abundance, "published": published, "ours": ours}
    return figure, pd.concat([part.assign(panel=name) for name, part in parts.items()], ignore_index=True)


def draw_published_beside_ours(
    left: Axes, right: Axes, published: pd.DataFrame, ours: pd.DataFrame, *titles: str
) -> None:
    """Gains by size on the same axes: the published ones in grey lines, with the models' markers."""
    right.sharey(left)
    scales = {*ours["scale"], *published["scale"]}
    for axes, data, line, title in zip((left, right), (published, ours), (GREY, None), titles, strict=True):
        draw_sizes(axes, data, "gain", scales, line=line)
        axes.axhline(0, **BASE_LINE)
        axes.set_title(title)
    left.set_ylabel(GAIN_LABEL)
    right.tick_params(labelleft=False)


def architecture_figure(models: Sequence[CTRModel]) -> tuple[Figure, pd.DataFrame]:
    """Figure 7: what each model does to one row of ids, as its modules were called, from the ids at the bottom up.

    models: of models whose head takes the mean of the sets' projections (`MeanHead`).
    """
    frames, calls_of = [], [trace(model) for model in models]
    with style():
        widths = [2 + model.embedding.num_sets * len(model.embedding.cardinalities) for model in models]
        figure, panels = plt.subplots(1, len(models), figsize=(FIGURE_WIDTH, 5.4), width_ratios=widths, sharey=True)
        for axes, model, calls in zip(np.atleast_1d(panels), models, calls_of, strict=True):
            fields, sets = len(model.embedding.cardinalities), model.embedding.num_sets
            centers = (np.arange(sets * fields) - (sets * fields - 1) / 2) * 1.0
            of_sets = centers.reshape(sets, fields).mean(axis=1)
            for field in range(fields):
                ids = centers.reshape(sets, fields)[:, field].mean()
                draw_box(axes, ids, 0, f"$x_{field + 1}$", 0.5)
                for center in centers.reshape(sets, fields)[:, field]:
                    draw_arrow(axes, (ids, 0), (center, 1))
            for number, (center, matrix) in enumerate(
                zip(centers, chain.from_iterable(model.embedding_matrices()), strict=True)
            ):
                m, i = divmod(number, fields)
                label = f"$E_{i + 1}^{{({m + 1})}}$\n{matrix.shape[0]}$\\times${matrix.shape[1]}"
                draw_box(axes, center, 1, label, 0.88)
                draw_arrow(axes, (center, 1), (of_sets[m], 2))
            level, places = 1, of_sets
            for call in calls[1:]:
                if call.sets < len(places):
                    level += 1
                    draw_box(axes, 0, level, "mean over the sets", 2.4)
                    for place in places:
                        draw_arrow(axes, (place, level - 1), (0, level))
                    places = of_sets.mean(keepdims=True)
                level += 1
                for place in places:
                    draw_box(axes, place, level, f"{call.module}\n{call.size}", 1.8)
                    if level > 2:
                        draw_arrow(axes, (place, level - 1), (place, level))
            draw_arrow(axes, (0, level), (0, level + 1))
            axes.text(0, level + 0.85, "logit", ha="center", va="center")
            name = "single embedding" if sets == 1 else f"multi embedding, $M$ = {sets}"
            axes.set(title=f"{name}, $N$ = {fields}", xlim=(centers[0] - 1.0, centers[-1] + 1.0))
            axes.set_ylim(-0.5, max(level + 1.2, axes.get_ylim()[1]))
            axes.axis("off")
            frames.append(pd.DataFrame(calls).assign(num_sets=sets))
    return figure, pd.concat(frames, ignore_index=True)


class Call(NamedTuple):
    """A module that was called, how many sets its output has and how many numbers each."""

    module: str
    sets: int
    size: int


def trace(model: CTRModel) -> list[Call]:
    """The parts of the model in the order in which they are called, found by calling it.

    Raises TypeError for a model with another head than `MeanHead`.
    """
    if not isinstance(model.head, MeanHead):
        raise TypeError(f"expected a model with a MeanHead, found {type(model.head).__name__}")
    parts = [model.embedding, model.interaction, model.head.projection, *model.head.mlp]
    names = {HiddenBlock: "hidden block", SetLinear: "linear"}
    calls = []

    def note(module: nn.Module, inputs: tuple, output: torch.Tensor) -> None:
        name = names.get(type(module), type(module).__name__)
        calls.append(Call(name, output.shape[1], output[0, 0].numel()))

    hooks, training = [part.register_forward_hook(note) for part in parts], model.training
    try:
        model.eval()(torch.zeros(1, len(model.embedding.cardinalities), dtype=torch.int64))
    finally:
        model.train(training)
        for hook in hooks:
            hook.remove()
    return calls


def draw_box(axes: Axes, x: float, y: float, label: str, width: float) -> None:
    box = mpl.patches.FancyBboxPatch(
        *((x - width / 2, y - 0.27), width, 0.54), boxstyle="round,pad=0.03", facecolor="none", edgecolor=INK, zorder=2
    )
    axes.add_patch(box)
    axes.text(x, y, label, ha="center", va="center", fontsize=SMALL, zorder=3)


def draw_arrow(axes: Axes, start: tuple[float, float], end: tuple[float, float]) -> None:
    """From the upper edge of a box to the lower edge of another."""
    arrow = {"arrowstyle": "->", "color": INK, "lw": 0.8}
    axes.annotate("", (end[0], end[1] - 0.3), (start[0], start[1] + 0.3), arrowprops=arrow)


def sets_abundance_figure(single: Sequence[RunRecord], multi: Sequence[RunRecord]) -> tuple[Figure, pd.DataFrame]:
    """Figures 9a and 9b: information abundance of every field, single and multi embedding of one size, all sets side by
    side and each set; fields sorted by cardinality. single, multi: one record per seed."""
    tables = {"single": field_measures(single), "multi, side by side": field_measures(multi)}
    by_field = {name: table.groupby("field").mean(numeric_only=True) for name, table in tables.items()}
    fields = by_field["single"].sort_values("cardinality").index
    order = [[field["name"] for field in multi[0].fields].index(name) for name in fields]
    of_sets = np.mean([np.sort(set_abundance(record), axis=0) for record in multi], axis=0)[:, order]
    initial = np.mean([initial_set_abundance(record).mean(axis=0) for record in multi], axis=0)[order]
    position, model = np.arange(len(fields)), multi[0].config["model"]
    with style():
        figure, (above, below) = plt.subplots(2, 1, figsize=(FIGURE_WIDTH, 7.6), sharex=True)
        both = by_field["multi, side by side"].loc[fields]
        above.bar(position - 0.27, both["random"], 0.26, label="random matrix of that shape", **RANDOM_BAR)
        for number, (name, embedding) in enumerate(zip(tables, ("SE", "ME"), strict=True)):
            values = by_field[name].loc[fields, "learned"]
            spread = tables[name].groupby("field")["learned"].agg(["min", "max"])
            above.bar(
                *(position + 0.27 * number, values, 0.26),
                **{"label": f"learned, {name}", "yerr": whiskers(values, spread.loc[fields]), "error_kw": WHISKERS},
                **bar_ink(model, embedding),
            )
        above.plot(position - 0.27, both["initial"], label="at initialisation", markersize=8, **INITIAL_MARK)
        above.set(ylabel="information abundance", title=wrapped(f"(a) {run_title(multi)}", 50))
        of_set, of_single = (line_look(model, PLAIN, of) | {"linestyle": "none"} for of in ("ME", "SE"))
        of_set["markersize"] = 3.5
        for number, values in enumerate(of_sets):
            below.plot(position, values, label="a set" * (not number), **of_set, mew=0, alpha=0.8)
        learned = by_field["single"].loc[fields, "learned"]
        below.plot(position, learned, label="single", **of_single)
        below.plot(position, initial, label="a set at initialisation", markersize=10, **INITIAL_MARK)
        below.set(ylabel="information abundance", title="(b) of each set, lowest to highest, means over seeds")
        field_ticks(below, by_field["single"].loc[fields, "cardinality"])
        below.set(yscale="log", yticks=[1, 2, 5, 10], yticklabels=["1", "2", "5", "10"])
        below.minorticks_off()
        above.legend(ncols=2, loc="upper center", bbox_to_anchor=(0.5, -0.02))
        figure.legend(*below.get_legend_handles_labels(), ncols=3, loc="outside lower center")
        sns.despine(figure)
    names = [f"lowest_{number}" for number in range(1, len(of_sets) + 1)]
    sets = pd.DataFrame(of_sets.T, columns=names).assign(panel="b", field=fields, set_initial=initial)
    parts = [table.assign(panel="a", embedding=name) for name, table in tables.items()]
    return figure, pd.concat([*parts, sets], ignore_index=True)


def whiskers(mean: pd.Series, spread: pd.DataFrame) -> list[pd.Series]:
    """How far the smallest and largest values, columns min and max, lie from the mean; not below zero by rounding."""
    return [(mean - spread["min"]).clip(lower=0), (spread["max"] - mean).clip(lower=0)]


def patterns_figure(record: RunRecord, most: int = 4) -> tuple[Figure, pd.DataFrame]:
    """Figure 9c: interaction patterns ||W_{i->j}^(m)||_F of the first sets of a multi-embedding model, i = j left out,
    beside those before training. most: sets drawn."""
    learned, initial = interaction_patterns(record), initial_patterns(record)
    shown = min(most, len(learned))
    norm = mpl.colors.Normalize(np.nanmin(learned), np.nanmax(learned))
    with style():
        figure, panels = small_multiples(shown + 1, 1.7, columns=3)
        titles = [f"at initialisation,\nmean {np.nanmean(initial[0]):.2f}", *(f"set {n + 1}" for n in range(shown))]
        edges = (0.5, learned.shape[1] + 0.5)
        for axes, values, title in zip(panels, [initial[0], *learned[:shown]], titles, strict=True):
            image = axes.imshow(values, cmap="viridis", norm=norm, origin="lower", extent=edges * 2)
            axes.set(title=title, xlabel="field $j$", ylabel="field $i$")
        label_outer(panels, columns=3)
        figure.colorbar(
            image, ax=panels, label=r"$\Vert W_{i\rightarrow j}^{(m)} \Vert_F$", shrink=0.9, aspect=30, extend="max"
        )
        figure.suptitle(wrapped(run_title([record])))
    names = [field["name"] for field in record.fields]
    frames = [
        pd.DataFrame(values, columns=names)
        .assign(i=names, set=str(number) if number else "at initialisation")
        .melt(["set", "i"], var_name="j", value_name="norm")
        for number, values in enumerate([initial[0], *learned])
    ]
    return figure, pd.concat(frames, ignore_index=True).dropna()


def variants_figure(records: Sequence[RunRecord]) -> tuple[Figure, pd.DataFrame]:
    """Figure 9d, and the ablations: gain in test AUC over the base by size, a panel for every variant, with the plain
    model in each."""
    table = results_table(records)
    ours = gains(table)
    variants = [variant for variant in ours["variant"].unique() if variant != PLAIN]
    columns = min(2, len(variants))
    with style():
        figure, panels = small_multiples(len(variants), 2.2 if columns > 1 else 3, columns)
        for axes, variant in zip(panels, variants, strict=True):
            draw_sizes(axes, ours[ours["variant"].isin([PLAIN, variant])], "gain", ours["scale"])
            axes.axhline(0, **BASE_LINE)
            axes.set(title=VARIANT_LABELS.get(variant, variant), ylabel=GAIN_LABEL)
        label_outer(panels, columns)
        plain, of_variants = (ours[(ours["variant"] == PLAIN) == of] for of in (True, False))
        looks = {
            f"{MODEL_LABELS[model]} {EMBEDDING_LABELS[embedding]}": line_look(model, PLAIN, embedding)
            for model, embedding in plain[["model", "embedding"]].drop_duplicates().to_numpy()
        }
        for embedding in of_variants["embedding"].unique():
            name = "variant" if len(variants) > 1 else VARIANT_LABELS.get(variants[0], variants[0])
            label = f"{name} {EMBEDDING_LABELS[embedding]}"
            looks[label] = line_look("", variants[0], embedding) | ({"marker": ""} if len(variants) > 1 else {})
        figure.legend([Line2D([], [], **look) for look in looks.values()], looks, ncols=2, loc="outside lower center")
        figure.suptitle(f"{log_title(records[0])}, {seeds_title(ours)}")
        sns.despine(figure)
    return figure, ours


def scalability_figure(
    records: Sequence[RunRecord], embeddings: Sequence[str] = ("SE", "ME")
) -> tuple[Figure, pd.DataFrame]:
    """Figures 1a and 8: gain in test AUC over the base model by size; published beside ours, on the same axes.

    Ours: mean and 95 % confidence interval of the gain over the same seed's base. Published: the difference of the
    published means. embeddings: single (SE), multi (ME) or both.
    """
    table = results_table(records)
    dataset, models = table["dataset"].iloc[0], list(table["model"].unique())
    ours, published = gains(table), published_gains(dataset, models)
    ours, published = (data[data["embedding"].isin(embeddings)] for data in (ours, published))
    with style():
        figure, (left, right) = plt.subplots(1, 2, figsize=(FIGURE_WIDTH, 4.2), sharex=True)
        titles = (f"Published: {published_dataset(dataset)}", f"Ours: {log_title(records[0])}, {seeds_title(ours)}")
        draw_published_beside_ours(left, right, published, ours, *(wrapped(title, 28) for title in titles))
        handles, labels = right.get_legend_handles_labels()
        figure.legend(handles, labels, ncols=3 if len(labels) > 4 else 2, loc="outside lower center")
        sns.despine(figure)
    return figure, pd.concat([published.assign(source="published"), ours.assign(source="ours")], ignore_index=True)


def models_figure(records: Sequence[RunRecord]) -> tuple[Figure, pd.DataFrame]:
    """Figures 10 and 11: gain in test AUC over the base by size, a panel for each model, published in grey."""
    table = results_table(records)
    dataset, models = table["dataset"].iloc[0], [m for m in MODEL_LABELS if m in set(table["model"])]
    ours, published = gains(table), published_gains(dataset, models)
    scales = {*ours["scale"], *published["scale"]}
    with style():
        figure, panels = small_multiples(len(models), 2.0)
        for axes, model in zip(panels, models, strict=True):
            of_paper, of_runs = (data[data["model"] == model] for data in (published, ours))
            draw_sizes(axes, of_paper, "gain", scales, line=GREY, marker=GREY, prefix="published")
            draw_sizes(axes, of_runs, "gain", scales, prefix="ours")
            axes.axhline(0, **BASE_LINE)
            axes.set_title(MODEL_LABELS[model])
        label_outer(panels)
        figure.supylabel("test AUC, gain over the base model")
        looks = {
            f"{source} {EMBEDDING_LABELS[embedding]}": {
                **{"color": color, "linestyle": LINES[embedding], "marker": "o"},
                **{"markerfacecolor": color if embedding == "ME" else "none"},
            }
            for source, color in (("published", GREY), ("ours (coloured)", INK))
            for embedding in LINES
        }
        figure.legend([Line2D([], [], **look) for look in looks.values()], looks, ncols=2, loc="outside lower center")
        title = f"Published: {published_dataset(dataset)}. Ours: {log_title(records[0])}, {seeds_title(ours)}"
        figure.suptitle(wrapped(title))
        sns.despine(figure)
    return figure, pd.concat([published.assign(source="published"), ours.assign(source="ours")], ignore_index=True)


def draw_sizes(
    axes: Axes,
    data: pd.DataFrame,
    value: str,
    scales: Iterable[int],
    line: str | None = None,
    marker: str | None = None,
    prefix: str = "",
) -> None:
    """A line over the model sizes, with its intervals, for every model, variant and embedding of the data.

    line, marker: colours in place of the models' own.
    """
    lines = list(data.groupby(["model", "variant", "embedding"], sort=False))
    for number, ((model, variant, embedding), rows) in enumerate(lines):
        name = " ".join(filter(None, [VARIANT_LABELS.get(variant, variant), EMBEDDING_LABELS[embedding]]))
        look = line_look(model, variant, embedding)
        if line:
            look["color"] = line
        if marker:
            look |= {"markeredgecolor": marker, "markerfacecolor": marker if embedding == "ME" else "none"}
        axes.errorbar(
            rows["scale"] * 1.02**number,  # side by side, so that no interval hides another
            rows[value],
            yerr=rows["half_interval"] if rows["half_interval"].any() else None,
            **look,
            lw=1.4,
            elinewidth=1,
            capsize=2,
            label=f"{prefix} {name}" if prefix else f"{MODEL_LABELS[model]} {name}",
        )
    scales = sorted(set(scales))
    axes.set_xscale("log")
    axes.set_xticks(scales, ["base" if scale == 1 else f"{scale}x" for scale in scales])
    axes.minorticks_off()
    axes.set_xlabel("model size")


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


def gains(table: pd.DataFrame) -> pd.DataFrame:
    """Mean gain in test AUC over the same seed's base and half its 95 % interval, by model, variant, embedding, scale.

    The base is the variant's own single embedding of the base size, or the plain one if the variant has none.
    """
    keys = ["model", "variant", "seed"]
    base = table[table["scale"] == 1].set_index(keys)["test_auc"]
    own, plain = (base.reindex(t.set_index(keys).index).to_numpy() for t in (table, table.assign(variant=PLAIN)))
    table = table.assign(gain=table["test_auc"] - np.where(np.isnan(own), plain, own))
    return by_size(with_both_bases(table), "gain")


def by_size(table: pd.DataFrame, value: str) -> pd.DataFrame:
    """Mean over the seeds of a column and half its 95 % interval, by model, variant, embedding and scale."""
    summary = table.groupby(LINE_KEYS, sort=False)[value].agg(["mean", "std", "count"]).reset_index()
    half = half_interval(summary["std"], summary["count"])
    summary = summary.assign(**{value: summary["mean"]}, half_interval=half.fillna(0), seeds=summary["count"])
    return sorted_lines(summary[[*LINE_KEYS, value, "half_interval", "seeds"]])


def published_gains(dataset: str, models: Sequence[str]) -> pd.DataFrame:
    """The published means less the published base; the interval is left out, for the paper gives single deviations."""
    table = published_auc(dataset, models).assign(variant=PLAIN)
    base = table[table["scale"] == 1].set_index("model")["auc_mean"]
    table = with_both_bases(table)
    gain = table["auc_mean"] - table["model"].map(base)
    table = table.assign(gain=gain, half_interval=0.0, seeds=3)
    return sorted_lines(table[[*LINE_KEYS, "gain", "half_interval", "seeds"]])


def with_both_bases(table: pd.DataFrame) -> pd.DataFrame:
    """The table with the rows of scale 1, which are SE, as ME too: one set is the base of both lines.

    A variant of several sets alone begins at the plain base.
    """
    bases, added = table[table["scale"] == 1], []
    for model, variant in table.loc[table["embedding"] == "ME", ["model", "variant"]].drop_duplicates().to_numpy():
        of_model = bases[bases["model"] == model]
        own = of_model[of_model["variant"] == variant]
        own = of_model[of_model["variant"] == PLAIN] if own.empty else own
        added.append(own.assign(embedding="ME", variant=variant))
    return pd.concat([table, *added])


def sorted_lines(table: pd.DataFrame) -> pd.DataFrame:
    """By model, variant and size, single embedding first."""
    variants = [PLAIN, *dict.fromkeys(table["variant"][table["variant"] != PLAIN])]
    order = [list(MODEL_LABELS).index(model) for model in table["model"]]
    of_variant = [variants.index(variant) for variant in table["variant"]]
    keys = ["order", "of_variant", "embedding", "scale"]
    table = table.assign(order=order, of_variant=of_variant)
    return table.sort_values(keys, ascending=[True, True, False, True]).drop(columns=["order", "of_variant"])


def seeds_title(summary: pd.DataFrame) -> str:
    """How many seeds a summary's numbers are of."""
    fewest, most = summary["seeds"].min(), summary["seeds"].max()
    return f"{most} seeds" if fewest == most else f"{fewest} to {most} seeds"


def log_title(record: RunRecord) -> str:
    """The data set and its rows."""
    data = record.config["data"]
    return f"{log_label(data['name'])} ({data['rows']:,} rows)"


def run_title(records: Sequence[RunRecord]) -> str:
    """Model, size, data set and seeds of records that differ in the seed alone."""
    config = records[0].config
    sets = f", {config['num_sets']} sets" if config["num_sets"] > 1 else ""
    seeds = [record.config["seed"] for record in records]
    which = f"seed {seeds[0]}" if len(seeds) == 1 else f"mean and range over {len(seeds)} seeds"
    return f"{MODEL_LABELS[config['model']]}, $K$ = {config['embedding_size']}{sets}, {log_title(records[0])}, {which}"
