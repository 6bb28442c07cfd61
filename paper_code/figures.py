"""One function per figure: records in, matplotlib Figure out, with the table of the numbers it shows."""

from collections.abc import Iterable, Sequence
from contextlib import contextmanager
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
from scipy import stats
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
    initial_patterns,
    initial_set_abundance,
    initial_spectra,
    initial_sub_embedding_abundance,
    interaction_patterns,
    law_means,
    random_spectra,
    randomly_projected_abundance,
    results_table,
    set_abundance,
    sub_embedding_abundance,
    with_references,
)
from paper_code.toy import ToyResult

# of the ten colours grey, the paper's, is left out, and yellow goes to FM, of which no curve is drawn
PALETTE = {"dnn": 0, "dcnv2": 1, "ipnn": 2, "finalmlp": 3, "nfwfm": 4, "xdeepfm": 5, "ffm": 6, "fm": 8, "gdcn": 9}
COLORS = {model: sns.color_palette("colorblind")[number] for model, number in PALETTE.items()}
GREY = "0.55"
LINES, MARKERS = {"SE": "--", "ME": "-"}, {"SE": "s", "ME": "o"}
EMBEDDING_LABELS = {"SE": "single", "ME": "multi"}
VARIANT_LABELS = {
    PLAIN: "",
    "unitary": "regularised",
    "block_scales + unitary": "regularised, authors' form",
    "norm_divergence": "restricted",
    "shared_interaction": "shared interaction",
    "subspace_similarity": "subspace similarity",
    "singular_value_spread": "singular-value spread",
}
VARIANT_COLORS = {
    variant: sns.color_palette("colorblind")[number]
    for variant, number in zip([v for v in VARIANT_LABELS if v != PLAIN], (2, 4, 3, 0, 9, 5), strict=True)
}
LINE_KEYS = ["model", "variant", "embedding", "scale"]
STYLE = {
    "figure.dpi": 150,
    "savefig.dpi": 160,
    "figure.constrained_layout.use": True,
    "axes.titlesize": "medium",
    "legend.frameon": False,
    "svg.fonttype": "none",
    "svg.hashsalt": "paper-code",
}


@contextmanager
def style():
    """The look of every figure, for the time of the block."""
    with mpl.rc_context(sns.axes_style("ticks") | STYLE):
        yield


def save_figure(figure: Figure, data: pd.DataFrame, name: str, folder: str | Path) -> None:
    """Write `<folder>/<name>.svg` and `.png`, and the numbers behind them to `<folder>/data/<name>.csv`.

    A relative folder is below the project's root.
    """
    folder = project_path(folder)
    (folder / "data").mkdir(parents=True, exist_ok=True)
    with mpl.rc_context(STYLE):
        figure.draw_without_rendering()
        figure.set_layout_engine("none")  # its solution moves a little with every further drawing
        figure.savefig(folder / f"{name}.svg", metadata={"Date": None})
        figure.savefig(folder / f"{name}.png")
    data.to_csv(folder / "data" / f"{name}.csv", index=False, float_format="%.6g")


def toy_figure(small: ToyResult, large: ToyResult) -> tuple[Figure, pd.DataFrame]:
    """Figure 4: IA(E1) over the iterations of the toy experiment, mean and range over seeds."""
    frames = []
    with style():
        figure, axes = plt.subplots(figsize=(6.4, 3.6))
        for label, result, color, line in (("Small", small, "C0", "-"), ("Large", large, "C1", "--")):
            abundance = result.information_abundance
            name = f"{label} ($D_3$ = {result.third_cardinality})"
            axes.fill_between(result.iterations, abundance.min(0), abundance.max(0), color=color, alpha=0.2, lw=0)
            axes.plot(result.iterations, abundance.mean(0), color=color, linestyle=line, label=name)
            frames += [
                pd.DataFrame({"case": label, "seed": s, "iteration": result.iterations, "information_abundance": row})
                for s, row in zip(result.seeds, abundance, strict=True)
            ]
        axes.set(xlabel="iteration", ylabel="information abundance of $E_1$", xlim=(0, result.iterations[-1]))
        axes.set_title(f"Toy experiment, mean and range over {len(small.seeds)} seeds")
        axes.legend()
        sns.despine(figure)
    return figure, pd.concat(frames, ignore_index=True)


def abundance_figure(records: Sequence[RunRecord]) -> tuple[Figure, pd.DataFrame]:
    """Figure 2: information abundance of every field, learned, before training and random; sorted by cardinality."""
    data = field_measures(records)
    by_field = data.groupby("field").mean(numeric_only=True).sort_values("cardinality")
    spread = data.groupby("field")["learned"].agg(["min", "max"]).loc[by_field.index]
    position = np.arange(len(by_field))
    with style():
        figure, axes = plt.subplots(figsize=(max(7.0, 0.3 * len(by_field)), 3.8))
        axes.bar(position - 0.2, by_field["random"], 0.4, color="0.8", label="random matrix of the same shape")
        axes.plot(position - 0.2, by_field["initial"], "_", color="0.1", markersize=9, label="at initialisation")
        axes.bar(position + 0.2, by_field["learned"], 0.4, color=COLORS["dcnv2"], label="learned")
        errors = whiskers(by_field["learned"], spread)
        axes.errorbar(position + 0.2, by_field["learned"], yerr=errors, fmt="none", ecolor="0.2", capsize=2, lw=1)
        labels = [f"{name} ({values:,.0f})" for name, values in by_field["cardinality"].items()]
        axes.set_xticks(position, labels, rotation=90, fontsize="small")
        axes.margins(x=0.01)
        axes.set(xlabel="field (its cardinality)", ylabel="information abundance", title=run_title(records))
        axes.legend(loc="upper left")
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
        figure, panels = plt.subplots(1, 3, figsize=(9.0, 3.4), sharex=True, sharey=True)
        for axes, (kind, of_fields) in zip(panels, spectra.items(), strict=True):
            for field, values in zip(record.fields, of_fields, strict=True):
                color = mpl.colormaps["viridis"](norm(field["cardinality"]))
                index, normalised = np.arange(1, len(values) + 1), np.array(values) / max(values)
                axes.plot(index, normalised, color=color, lw=1.2)
                part = {"matrix": kind, "field": field["name"], "k": index, "normalised": normalised}
                frames.append(pd.DataFrame(part))
            axes.set(xlabel="index $k$", title=kind, ylim=(0, 1.03))
        panels[0].set_ylabel(r"singular value $\sigma_k / \sigma_1$")
        colors = mpl.cm.ScalarMappable(norm, "viridis")
        figure.colorbar(colors, ax=panels, label="cardinality of the field")
        figure.suptitle(run_title(records[:1]), fontsize="medium")
        sns.despine(figure)
    return figure, pd.concat(frames, ignore_index=True)


def law_figure(of_ffm: Sequence[RunRecord], of_dcnv2: Sequence[RunRecord]) -> tuple[Figure, pd.DataFrame]:
    """Figure 3: information abundance of the sub-embeddings, first seed, and its means over either axis, all seeds.

    Fields sorted by the information abundance of their embeddings, lowest first. The means are those of `law_means`;
    in grey those of random projections of the same embeddings, and before training, when they are random matrices.
    The table has both: panel "pairs" and, for every case and seed, panel "means".
    """
    frames = []
    with style():
        figure, panels = plt.subplots(2, 3, figsize=(9.4, 6.0), width_ratios=(1.25, 1, 1))
        for row, records in zip(panels, (of_ffm, of_dcnv2), strict=True):
            heat, own, other = row
            first = records[0]
            order = np.argsort(field_abundance(first))
            pairs = sub_embedding_abundance(first)[np.ix_(order, order)]
            config, names = first.config, [first.fields[number]["name"] for number in order]
            edges = (0.5, len(order) + 0.5)
            image = heat.imshow(pairs, cmap="viridis", origin="lower", extent=edges * 2)
            figure.colorbar(image, ax=heat, shrink=0.85, label=r"$IA(E_i^{\rightarrow j})$")
            heat.set(xlabel="$j$, sorted by $IA(E_j)$", ylabel="$i$, sorted by $IA(E_i)$")
            heat.set_title(f"{MODEL_LABELS[config['model']]}, $K$ = {config['embedding_size']}, seed {config['seed']}")
            frames.append(
                pd.DataFrame(pairs, columns=names)
                .assign(model=config["model"], i=names, field_abundance=np.sort(field_abundance(first)))
                .melt(["model", "i", "field_abundance"], var_name="j", value_name="sub_embedding_abundance")
                .dropna()
                .assign(panel="pairs")
            )
            ranks = np.arange(1, len(order) + 1)
            for case, (color, line, label) in LAW_CASES.items():
                means = [[mean[np.argsort(field_abundance(r))] for mean in law_means(case(r))] for r in records]
                frames += [
                    pd.DataFrame({"rank": ranks, "mean_over_j": of_i, "relative_mean_over_i": of_j}).assign(
                        panel="means", model=config["model"], case=label.replace("$", ""), seed=record.config["seed"]
                    )
                    for record, (of_i, of_j) in zip(records, means, strict=True)
                ]
                for axes, values in zip((own, other), np.moveaxis(np.array(means), 1, 0), strict=True):
                    axes.plot(ranks, values.mean(axis=0), line, color=color or COLORS[config["model"]], label=label)
                    if color is None:
                        axes.fill_between(ranks, values.min(0), values.max(0), color=COLORS[config["model"]], alpha=0.2)
            own.set(xlabel="rank of $i$ by $IA(E_i)$", ylabel=r"mean over $j$ of $IA(E_i^{\rightarrow j})$")
            own.set(yscale="log", yticks=[1, 2, 5, 10, 20, 50], yticklabels=["1", "2", "5", "10", "20", "50"])
            own.minorticks_off()
            other.set(xlabel="rank of $j$ by $IA(E_j)$", ylabel="mean over $i$,\nrelative to the row's mean")
            other.axhline(1, color=GREY, lw=0.8)
        handles, labels = panels[1, 1].get_legend_handles_labels()
        handles = [panels[0, 1].get_legend_handles_labels()[0][0], *handles]
        labels = [*(f"{MODEL_LABELS[of[0].config['model']]} {labels[0]}" for of in (of_ffm, of_dcnv2)), *labels[1:]]
        figure.legend(handles, labels, fontsize="small", ncols=len(labels), loc="outside lower center")
        seeds = " and ".join(map(str, dict.fromkeys((len(of_ffm), len(of_dcnv2)))))
        figure.suptitle(f"{log_title(of_ffm[0])}, {seeds} seeds", fontsize="medium")
        sns.despine(figure)
    return figure, pd.concat(frames, ignore_index=True)


# what Figure 3 draws of a record -> its colour (None: the model's), line and name
LAW_CASES = {
    sub_embedding_abundance: (None, "-", "learned: mean and range"),
    randomly_projected_abundance: (GREY, "--", "learned $E_i$, random projections"),
    initial_sub_embedding_abundance: (GREY, ":", "at initialisation"),
}


def abundance_by_size_lines(axes: Axes, records: Sequence[RunRecord]) -> pd.DataFrame:
    """Draw mean information abundance by size, with what it is to be held against; the numbers."""
    table = with_references(records)
    learned = by_size(table, "information_abundance")
    references = table.groupby("scale")[["initial", "random"]].mean().reset_index()
    axes.plot(references["scale"], references["random"], color=GREY, label="random matrices")
    axes.plot(references["scale"], references["initial"], ":", color="0.1", label="at initialisation")
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
        figure, ((of_gain, of_abundance), (of_loss, of_auc)) = plt.subplots(2, 2, figsize=(8.4, 6.6))
        draw_sizes(of_gain, ours, "gain", ours["scale"])
        of_gain.axhline(0, color=GREY, lw=0.8)
        of_gain.set_ylabel("test AUC, gain over the base")
        abundance = abundance_by_size_lines(of_abundance, records)
        curves = curves_table([records[number] for number in table.index[table["scale"] == table["scale"].max()]])
        for (model, variant, _), line in curves.groupby(["model", "variant", "seed"], sort=False):
            look = {"color": VARIANT_COLORS.get(variant) or COLORS[model], "lw": 1.2}
            of_loss.plot(line["epoch"], line["training_loss"], **look)
            whole = line.dropna()
            of_auc.plot(whole["epoch"], whole["validation_auc"], marker=".", **look)
        of_loss.set(xlabel="epoch", ylabel="training loss", title=f"size {table['scale'].max()}x")
        of_auc.set(xlabel="epoch", ylabel="validation AUC", title=f"size {table['scale'].max()}x")
        handles, labels = of_abundance.get_legend_handles_labels()
        figure.legend(handles, labels, fontsize="small", ncols=4, loc="outside lower center")
        figure.suptitle(f"{log_title(records[0])}, {seeds_title(ours)}", fontsize="medium")
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
        figure, (of_abundance, left, right) = plt.subplots(1, 3, figsize=(9.4, 3.7))
        abundance = abundance_by_size_lines(of_abundance, records)
        of_abundance.set_title("Ours")
        right.sharey(left)
        titles = (f"Published: {published_dataset(dataset)}", "Ours")
        for axes, data, title in zip((left, right), (published, ours), titles, strict=True):
            draw_sizes(axes, data, "gain", {*ours["scale"], *published["scale"]})
            axes.axhline(0, color=GREY, lw=0.8)
            axes.set_title(title)
        left.set_ylabel("test AUC, gain over the base")
        handles, labels = of_abundance.get_legend_handles_labels()
        figure.legend(handles, labels, fontsize="small", ncols=4, loc="outside lower center")
        figure.suptitle(f"Ours: {log_title(records[0])}, {seeds_title(ours)}", fontsize="medium")
        sns.despine(figure)
    parts = {"information_abundance": abundance, "published": published, "ours": ours}
    return figure, pd.concat([part.assign(panel=name) for name, part in parts.items()], ignore_index=True)


def architecture_figure(models: Sequence[CTRModel]) -> tuple[Figure, pd.DataFrame]:
    """Figure 7: what each model does to one row of ids, as its modules were called, from the ids at the bottom up.

    models: of models whose head takes the mean of the sets' projections (`MeanHead`).
    """
    frames, calls_of = [], [trace(model) for model in models]
    with style():
        widths = [2 + model.embedding.num_sets * len(model.embedding.cardinalities) for model in models]
        figure, panels = plt.subplots(1, len(models), figsize=(9.4, 5.4), width_ratios=widths, sharey=True)
        for axes, model, calls in zip(np.atleast_1d(panels), models, calls_of, strict=True):
            fields, sets = len(model.embedding.cardinalities), model.embedding.num_sets
            centers = (np.arange(sets * fields) - (sets * fields - 1) / 2) * 1.0
            of_sets = centers.reshape(sets, fields).mean(axis=1)
            for field in range(fields):
                ids = centers.reshape(sets, fields)[:, field].mean()
                draw_box(axes, ids, 0, f"$x_{field + 1}$", 0.5, "white")
                for center in centers.reshape(sets, fields)[:, field]:
                    draw_arrow(axes, (ids, 0), (center, 1))
            for number, (center, matrix) in enumerate(
                zip(centers, chain.from_iterable(model.embedding_matrices()), strict=True)
            ):
                m, i = divmod(number, fields)
                label = f"$E_{i + 1}^{{({m + 1})}}$\n{matrix.shape[0]}$\\times${matrix.shape[1]}"
                draw_box(axes, center, 1, label, 0.9, "C0")
                draw_arrow(axes, (center, 1), (of_sets[m], 2))
            level, places = 1, of_sets
            for number, call in enumerate(calls[1:]):
                color = "C1" if number < 2 else "C3"  # interaction and projection, or what comes after the mean
                if call.sets < len(places):
                    level += 1
                    draw_box(axes, 0, level, "mean over the sets", 1.7, "C2")
                    for place in places:
                        draw_arrow(axes, (place, level - 1), (0, level))
                    places = of_sets.mean(keepdims=True)
                level += 1
                for place in places:
                    draw_box(axes, place, level, f"{call.module}\n{call.size}", 1.7, color)
                    if level > 2:
                        draw_arrow(axes, (place, level - 1), (place, level))
            draw_arrow(axes, (0, level), (0, level + 1))
            axes.text(0, level + 0.85, "logit", ha="center", va="center")
            name = "single embedding" if sets == 1 else f"multi embedding, $M$ = {sets}"
            axes.set(title=f"{name}, $N$ = {fields}", xlim=(centers[0] - 1.1, centers[-1] + 1.1))
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


def draw_box(axes: Axes, x: float, y: float, label: str, width: float, color: str) -> None:
    face = mpl.colors.to_rgba(color, 0.25)
    box = mpl.patches.FancyBboxPatch(
        *((x - width / 2, y - 0.27), width, 0.54), boxstyle="round,pad=0.03", facecolor=face, edgecolor="0.3", zorder=2
    )
    axes.add_patch(box)
    axes.text(x, y, label, ha="center", va="center", fontsize="small", zorder=3)


def draw_arrow(axes: Axes, start: tuple[float, float], end: tuple[float, float]) -> None:
    """From the upper edge of a box to the lower edge of another."""
    arrow = {"arrowstyle": "->", "color": "0.4", "lw": 0.9}
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
    position = np.arange(len(fields))
    with style():
        figure, (above, below) = plt.subplots(2, 1, figsize=(7.6, 6.8), sharex=True)
        both = by_field["multi, side by side"].loc[fields]
        above.bar(position - 0.27, both["random"], 0.26, color="0.8", label="random matrix of that shape")
        for number, (name, table) in enumerate(by_field.items()):
            values, spread = table.loc[fields, "learned"], tables[name].groupby("field")["learned"].agg(["min", "max"])
            errors = whiskers(values, spread.loc[fields])
            hatch, color = ("//", "white") if name == "single" else (None, COLORS["dcnv2"])
            above.bar(
                *(position + 0.27 * number, values, 0.26),
                **{"color": color, "edgecolor": COLORS["dcnv2"], "hatch": hatch, "label": f"learned, {name}"},
                **{"yerr": errors, "ecolor": "0.2", "error_kw": {"capsize": 1.5, "lw": 0.8}},
            )
        above.plot(position - 0.27, both["initial"], "_", color="0.1", markersize=8, label="at initialisation")
        above.set(ylabel="information abundance", title=f"(a) {run_title(multi)}")
        above.legend(fontsize="small")
        for number, values in enumerate(of_sets):
            below.plot(
                position, values, "o", color=COLORS["dcnv2"], markersize=3.5, alpha=0.7, label="a set" * (not number)
            )
        below.plot(
            position,
            by_field["single"].loc[fields, "learned"],
            "s",
            color="0.1",
            markersize=4,
            mfc="none",
            label="single",
        )
        below.plot(position, initial, "_", color="0.1", markersize=10, label="a set at initialisation")
        below.set(
            ylabel="information abundance", title="(b) of each set, from the lowest to the highest, means over seeds"
        )
        cardinalities = by_field["single"].loc[fields, "cardinality"]
        labels = [f"{name} ({values:,.0f})" for name, values in cardinalities.items()]
        below.set_xticks(position, labels, rotation=90, fontsize="small")
        below.set(
            xlabel="field (its cardinality)", yscale="log", yticks=[1, 2, 5, 10], yticklabels=["1", "2", "5", "10"]
        )
        below.minorticks_off()
        below.legend(fontsize="small")
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
        figure, panels = plt.subplots(1, shown + 1, figsize=(1.2 + 1.75 * (shown + 1), 2.6), sharey=True)
        titles = [f"at initialisation, mean {np.nanmean(initial):.2f}", *(f"set {n + 1}" for n in range(shown))]
        edges = (0.5, learned.shape[1] + 0.5)
        for axes, values, title in zip(panels, [initial[0], *learned[:shown]], titles, strict=True):
            image = axes.imshow(values, cmap="viridis", norm=norm, origin="lower", extent=edges * 2)
            axes.set_title(title, fontsize="small")
            axes.set_xlabel("field $j$")
        panels[0].set_ylabel("field $i$")
        figure.colorbar(image, ax=panels, label=r"$\Vert W_{i\rightarrow j}^{(m)} \Vert_F$", shrink=0.9, extend="max")
        figure.suptitle(run_title([record]), fontsize="medium")
    names = [field["name"] for field in record.fields]
    frames = [
        pd.DataFrame(values, columns=names)
        .assign(i=names, set=str(number) if number else "at initialisation")
        .melt(["set", "i"], var_name="j", value_name="norm")
        for number, values in enumerate([initial[0], *learned])
    ]
    return figure, pd.concat(frames, ignore_index=True).dropna()


def variants_figure(records: Sequence[RunRecord]) -> tuple[Figure, pd.DataFrame]:
    """Figure 9d, and the ablations: gain in test AUC over the base by size, of every variant and embedding."""
    table = results_table(records)
    ours = gains(table)
    with style():
        figure, axes = plt.subplots(figsize=(7.2, 4.2))
        draw_sizes(axes, ours, "gain", ours["scale"])
        axes.axhline(0, color=GREY, lw=0.8)
        axes.set(ylabel="test AUC, gain over the base model", title=f"{log_title(records[0])}, {seeds_title(ours)}")
        figure.legend(fontsize="small", ncols=3, loc="outside lower center")
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
        figure, panels = plt.subplots(1, 2, figsize=(8.0, 3.9), sharex=True, sharey=True)
        titles = (f"Published: {published_dataset(dataset)}", f"Ours: {log_title(records[0])}, {seeds_title(ours)}")
        for axes, data, title in zip(panels, (published, ours), titles, strict=True):
            draw_sizes(axes, data, "gain", {*ours["scale"], *published["scale"]})
            axes.axhline(0, color=GREY, lw=0.8)
            axes.set_title(title)
        panels[0].set_ylabel("test AUC, gain over the base model")
        handles, labels = panels[1].get_legend_handles_labels()
        figure.legend(handles, labels, fontsize="small", ncols=min(len(labels), 6), loc="outside lower center")
        sns.despine(figure)
    return figure, pd.concat([published.assign(source="published"), ours.assign(source="ours")], ignore_index=True)


def models_figure(records: Sequence[RunRecord]) -> tuple[Figure, pd.DataFrame]:
    """Figures 10 and 11: gain in test AUC over the base by size, a panel for each model, published in grey."""
    table = results_table(records)
    dataset, models = table["dataset"].iloc[0], [m for m in MODEL_LABELS if m in set(table["model"])]
    ours, published = gains(table), published_gains(dataset, models)
    scales = {*ours["scale"], *published["scale"]}
    with style():
        columns = min(3, len(models))
        rows = -(-len(models) // columns)
        figure, panels = plt.subplots(
            rows, columns, figsize=(0.8 + 2.5 * columns, 0.7 + 2.4 * rows), sharex=True, sharey=True, squeeze=False
        )
        for axes, model in zip(panels.flat, models, strict=False):
            draw_sizes(axes, published[published["model"] == model], "gain", scales, color=GREY, prefix="published")
            draw_sizes(axes, ours[ours["model"] == model], "gain", scales, prefix="ours")
            axes.axhline(0, color=GREY, lw=0.8)
            axes.set_title(MODEL_LABELS[model])
            axes.label_outer()
        for axes in panels.flat[len(models) :]:
            axes.remove()
        figure.supylabel("test AUC, gain over the base model", fontsize="medium")
        handles = [
            mpl.lines.Line2D([], [], color=color, linestyle=LINES[embedding], marker=MARKERS[embedding], markersize=4)
            for color in (GREY, "0.1")
            for embedding in ("SE", "ME")
        ]
        labels = [f"{source} {name}" for source in ("published", "ours (coloured)") for name in ("single", "multi")]
        figure.legend(handles, labels, fontsize="small", ncols=4, loc="outside lower center")
        title = f"Published: {published_dataset(dataset)}. Ours: {log_title(records[0])}, {seeds_title(ours)}"
        figure.suptitle(title, fontsize="medium")
        sns.despine(figure)
    return figure, pd.concat([published.assign(source="published"), ours.assign(source="ours")], ignore_index=True)


def draw_sizes(
    axes: Axes, data: pd.DataFrame, value: str, scales: Iterable[int], color: str | None = None, prefix: str = ""
) -> None:
    """A line over the model sizes, with its intervals, for every model, variant and embedding of the data.

    color: in place of the models' own.
    """
    lines = list(data.groupby(["model", "variant", "embedding"], sort=False))
    for number, ((model, variant, embedding), line) in enumerate(lines):
        name = " ".join(filter(None, [VARIANT_LABELS.get(variant, variant), EMBEDDING_LABELS[embedding]]))
        axes.errorbar(
            line["scale"] * 1.02**number,  # side by side, so that no interval hides another
            line[value],
            yerr=line["half_interval"] if line["half_interval"].any() else None,
            color=color or VARIANT_COLORS.get(variant) or COLORS[model],
            linestyle=LINES[embedding],
            marker=MARKERS[embedding],
            markersize=4,
            capsize=2,
            label=f"{prefix} {name}" if prefix else f"{MODEL_LABELS[model]} {name}",
        )
    scales = sorted(scales)
    axes.set_xscale("log")
    axes.set_xticks(scales, ["base" if scale == 1 else f"{scale}x" for scale in scales])
    axes.minorticks_off()
    axes.set_xlabel("model size")


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
    half = stats.t.ppf(0.975, summary["count"].clip(lower=2) - 1) * summary["std"] / np.sqrt(summary["count"])
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
    return f"{data['name']} ({data['rows']:,} rows)"


def run_title(records: Sequence[RunRecord]) -> str:
    """Model, size, data set and seeds of records that differ in the seed alone."""
    config = records[0].config
    sets = f", {config['num_sets']} sets" if config["num_sets"] > 1 else ""
    seeds = [record.config["seed"] for record in records]
    which = f"seed {seeds[0]}" if len(seeds) == 1 else f"mean and range over {len(seeds)} seeds"
    return f"{MODEL_LABELS[config['model']]}, $K$ = {config['embedding_size']}{sets}, {log_title(records[0])}, {which}"
