"""The figures of the paper, 1 to 11. Those of gains by size and of variants serve chapters of our own as well."""

from collections.abc import Iterable, Sequence
from itertools import chain
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
from torch import nn

from paper_code.figures.style import (
    BASE_LINE,
    COLORS,
    EMBEDDING_LABELS,
    FIGURE_WIDTH,
    GAIN_LABEL,
    GRADIENT,
    GREY,
    INITIAL_LINE,
    INITIAL_MARK,
    INK,
    LINES,
    RANDOM_BAR,
    RANDOM_LINE,
    SMALL,
    VARIANT_LABELS,
    WHISKERS,
    bar_ink,
    by_size,
    field_ticks,
    gains,
    label_outer,
    line_look,
    log_title,
    published_gains,
    run_title,
    seeds_title,
    small_multiples,
    style,
    wrapped,
)
from paper_code.models import MODEL_LABELS
from paper_code.models.ctr_model import CTRModel
from paper_code.models.heads import MeanHead
from paper_code.models.layers import HiddenBlock, SetLinear
from paper_code.published import published_dataset
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
