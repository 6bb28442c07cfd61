"""Figure 9: what several sets do to the embeddings and to the interaction patterns."""

from collections.abc import Callable, Sequence

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from paper_code import spectra
from paper_code.chapters.shared.gains import draw_sizes, gains, gains_text
from paper_code.chapters.shared.gates import FIGURE_9D, LIVE, OF_AUC
from paper_code.chapters.shared.rules import Claim, Effect, auc_effect, difference, ratio
from paper_code.chapters.shared.style import (
    BASE_LINE,
    FIGURE_WIDTH,
    GAIN_LABEL,
    INITIAL_MARK,
    RANDOM_BAR,
    WHISKERS,
    bar_ink,
    field_ticks,
    label_outer,
    line_look,
    log_title,
    run_title,
    seeds_title,
    small_multiples,
    style,
    styled,
    whiskers,
    wrapped,
)
from paper_code.chapters.shared.tables import (
    PLAIN,
    VARIANT_LABELS,
    Runs,
    field_measures,
    initial_model,
    initial_spectra,
    of_sets,
    reference_spectrum,
    results_table,
    share_of_random,
    variant_name,
)
from paper_code.chapters.shared.words import EMBEDDING_LABELS, abundance_text, counted, size_text
from paper_code.models import MODEL_LABELS
from paper_code.runs.record import RunRecord
from paper_code.spectra import information_abundance_of


def set_abundance(record: RunRecord) -> np.ndarray:
    """IA(E_i^(m)) as a (sets, fields) array."""
    return np.array([[information_abundance_of(values) for values in fields] for fields in of_sets(record)])


def relative_spread(of_sets: np.ndarray) -> float:
    """Standard deviation over the first axis, the sets, over the mean; averaged over all else."""
    return float(np.mean(of_sets.std(axis=0) / of_sets.mean(axis=0)))


def set_spread(record: RunRecord) -> float:
    """`relative_spread` of the fields' information abundance over the sets."""
    return relative_spread(set_abundance(record))


def set_share(record: RunRecord, measure: Callable[[Sequence[float]], float] = information_abundance_of) -> float:
    """A measure of each set's singular values over that of random matrices of the same shapes, mean over sets and
    fields."""
    size = record.config["embedding_size"]
    random = [measure(reference_spectrum(field["cardinality"], size)) for field in record.fields]
    return float(np.mean([[measure(values) for values in fields] / np.array(random) for fields in of_sets(record)]))


def initial_set_abundance(record: RunRecord) -> np.ndarray:
    """As `set_abundance`, before training."""
    return np.array([[information_abundance_of(v) for v in fields] for fields in initial_spectra(record)["per_set"]])


def interaction_patterns(record: RunRecord) -> np.ndarray:
    """||W_{i->j}^(m)||_F as a (sets, i, j) array (Section 5.3), NaN for i = j."""
    return off_diagonal(record.spectra["interaction_norms"])


def initial_patterns(record: RunRecord) -> np.ndarray:
    """As `interaction_patterns`, before training."""
    return off_diagonal(initial_model(record).interaction_patterns().detach().numpy())


def off_diagonal(patterns) -> np.ndarray:
    found = np.array(patterns, dtype=float)
    found[:, np.arange(found.shape[1]), np.arange(found.shape[1])] = np.nan
    return found


def pattern_measures(record: RunRecord) -> dict[str, float]:
    """`paper_code.spectra.pattern_measures` of the trained model: correlation and spread."""
    return spectra.pattern_measures(record.spectra["interaction_norms"])


@styled
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
    names = [f"lowest_{number}" for number in range(1, len(of_sets) + 1)]
    sets = pd.DataFrame(of_sets.T, columns=names).assign(panel="b", field=fields, set_initial=initial)
    parts = [table.assign(panel="a", embedding=name) for name, table in tables.items()]
    return figure, pd.concat([*parts, sets], ignore_index=True)


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


@styled
def variants_figure(records: Sequence[RunRecord]) -> tuple[Figure, pd.DataFrame]:
    """Figure 9d, and the ablations: gain in test AUC over the base by size, a panel for every variant, with the plain
    model in each."""
    table = results_table(records)
    ours = gains(table)
    variants = [variant for variant in ours["variant"].unique() if variant != PLAIN]
    columns = min(2, len(variants))
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
    return figure, ours


def describe_sets_abundance(data: pd.DataFrame) -> str:
    whole, sets = data[data["panel"] == "a"], data[data["panel"] == "b"]
    by_embedding = whole.groupby("embedding", sort=False)[["learned", "random"]].mean()
    means = [f"{name} {abundance_text(learned)}" for name, learned in by_embedding["learned"].items()]
    of_sets = sets[[name for name in sets if name.startswith("lowest_")]].dropna(axis=1, how="all").mean()
    low, high, initial = (abundance_text(value) for value in (of_sets.min(), of_sets.max(), sets["set_initial"].mean()))
    return (
        f"Bar chart above, dot chart below: information abundance of each of {counted(len(sets), 'field')}, in order "
        f"of cardinality. Whole embeddings, mean over fields and seeds: {', '.join(means)}, random matrices of the "
        f"latter's shape {abundance_text(by_embedding['random'].iloc[-1])}. Each of {counted(len(of_sets), 'set')}, "
        f"mean over the fields: from {low} for the lowest to {high} for the highest, a set at initialisation {initial}."
    )


def describe_patterns(data: pd.DataFrame) -> str:
    """The pairs of sets are all of the model's, the panels the first of them."""
    initial = data[data["set"] == "at initialisation"]["norm"]
    learned = data[data["set"] != "at initialisation"]
    wide = learned.pivot(index=["i", "j"], columns="set", values="norm")
    text = (
        f"Heat maps of the norms of the interaction from field i to field j, of "
        f"{counted(data['i'].nunique(), 'field')}: at initialisation and of the first sets of {wide.shape[1]}. Mean "
        f"norm {initial.mean():.2g} in the first set at initialisation; learned, in all sets, "
        f"{wide.to_numpy().mean():.2g}, the largest {wide.to_numpy().max():.2g}."
    )
    if wide.shape[1] > 1 and len(wide) > 2:
        pairs = np.corrcoef(wide.T.to_numpy())[np.triu_indices(wide.shape[1], k=1)]
        text += f" Correlation of two sets' learned norms, mean over the pairs of sets: {pairs.mean():+.2f}."
    return text


def describe_variants(data: pd.DataFrame) -> str:
    names = [variant_name(variant) for variant in data["variant"].unique() if variant != PLAIN]
    return (
        f"Line chart in {counted(max(len(names), 1), 'panel')}: test AUC, gain over the base model, by model size, "
        f"of the plain model and of its variants ({', '.join(names) or 'none'}). At the largest sizes: "
        f"{gains_text(data)}."
    )


def figure_9_claims(runs: Runs) -> list[Claim]:
    """Figure 9, at the largest size: single and multi embedding DCNv2, independently trained models in place of sets,
    and multi embedding with restricted norms."""
    size, several = size_text(runs.largest), ("dcnv2", "ME", runs.largest)

    def over_independent(measure: Callable[[RunRecord], float]) -> list[float]:
        of_sets, of_models = (runs.measured(measure, *several, variant) for variant in (PLAIN, "ensemble"))
        return difference(of_sets, of_models)

    def of_pattern(record: RunRecord) -> float:
        return pattern_measures(record)["spread"]

    def claim(name: str, letter: str, statement: str, rule: str, *effects: Effect, checks=()) -> Claim:
        section, judged = f"Section 5.3, Figure 9{letter}", (several,)
        return Claim(
            name, section, statement, rule, effects, runs.dataset, "fig09_analysis", checks=checks, judged=judged
        )

    per_set = ratio(runs.measured(set_share, *several), runs.measured(share_of_random, "dcnv2"))
    side_by_side = ratio(runs.measured(share_of_random, *several), runs.measured(share_of_random, "dcnv2"))
    unlike, alike = runs("test_auc", *several), runs("test_auc", *several, "norm_divergence")
    return [
        claim(
            "figure-9a",
            "a",
            "Multi embedding has higher information abundance than single embedding of the same size.",
            "Information abundance over that of random matrices of the same shape, mean over the fields, multi over "
            "single embedding at the largest size, is above one, per set and for the sets side by side, paired by "
            "seed.",
            Effect(f"share of random, multi per set over single, {size}", per_set, "above", 1.0),
            Effect(f"share of random, multi side by side over single, {size}", side_by_side, "above", 1.0),
        ),
        claim(
            "figure-9b",
            "b",
            "The embedding sets vary in information abundance.",
            "The standard deviation over the sets of a field's information abundance, relative to its mean, averaged "
            "over the fields, exceeds that over as many base models trained independently on the same rows.",
            Effect("spread over the sets minus over models", over_independent(set_spread), "above", 0.0),
        ),
        claim(
            "figure-9c",
            "c",
            "The sets' interactions learn various patterns.",
            "The norms of W_i->j, for i other than j, vary more over the sets, relative to their mean, than over as "
            "many base models trained independently on the same rows.",
            Effect("spread of a norm over the sets minus over models", over_independent(of_pattern), "above", 0.0),
            checks=(LIVE,),
        ),
        claim(
            "figure-9d",
            "d",
            "Multi embedding whose interactions' norms are kept alike does not scale as well.",
            "At the largest size multi embedding has a higher test AUC than with the divergence of the norms "
            "restricted, paired by seed.",
            auc_effect(f"test AUC, multi {size} minus multi {size} restricted", unlike, alike, "above"),
            checks=(*OF_AUC, LIVE, FIGURE_9D),
        ),
    ]


FIGURES = {
    "ablations": (variants_figure, describe_variants),
    "fig09_abundance": (sets_abundance_figure, describe_sets_abundance),
    "fig09_patterns": (patterns_figure, describe_patterns),
    "fig09_restricted": (variants_figure, describe_variants),
}
"""By the name of its files: what draws a figure, and what tells its numbers in words."""
