"""Figures in words: one function per function of `paper_code.figures`, from the figure's table to its alternative text.

Every number is computed from the table: information abundance with two significant digits, gains in AUC with a sign and
four decimals.
"""

from collections.abc import Iterable

import numpy as np
import pandas as pd
from scipy import stats

from paper_code.figures import ANSWERS, EMBEDDING_LABELS, VARIANT_LABELS
from paper_code.models import MODEL_LABELS
from paper_code.tables import PLAIN


def abundance_text(value: float) -> str:
    """Two significant digits, never with an exponent."""
    return f"{value:.1f}" if abs(value) < 9.95 else f"{float(f'{value:.2g}'):.0f}"


def gain_text(value: float) -> str:
    return f"{round(value, 4) + 0.0:+.4f}"  # no minus before zero


def size_text(scale: float) -> str:
    return "base" if scale == 1 else f"{scale:.0f}x"


def sizes_text(scales: Iterable[float]) -> str:
    return listed([size_text(scale) for scale in sorted(set(scales))])


def listed(parts: Iterable[str]) -> str:
    """a, b and c"""
    *first, last = parts
    return f"{', '.join(first)} and {last}" if first else last


def counted(number: int, noun: str) -> str:
    return f"{number} {noun}{'s' * (number != 1)}"


def toy(data: pd.DataFrame) -> str:
    first, last = data["iteration"].min(), data["iteration"].max()
    parts = []
    for case, rows in data.groupby("case", sort=False):
        at = rows.groupby("iteration")["information_abundance"]
        start, end = (abundance_text(at.mean()[time]) for time in (first, last))
        low, high = (abundance_text(value) for value in (at.min()[last], at.max()[last]))
        parts.append(f"{case}: from {start} to {end}, seeds between {low} and {high}")
    seeds = counted(data["seed"].nunique(), "seed")
    return (
        f"Line chart: information abundance of the embedding E_1 by training iteration, mean and range over "
        f"{seeds}. From iteration {first:,} to {last:,}, {'; '.join(parts)}."
    )


def abundance(data: pd.DataFrame) -> str:
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


def spectra(data: pd.DataFrame) -> str:
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


def law(data: pd.DataFrame) -> str:
    """The rank correlations are means over the seeds, as in the chapter's table."""
    means = data[data["panel"] == "means"]
    sentences = []
    for model, rows in means.groupby("model", sort=False):
        parts = []
        for case, of_case in rows.groupby("case", sort=False):
            of_seeds = [seed for _, seed in of_case.groupby("seed")]
            correlations = [
                np.mean([stats.spearmanr(seed["rank"], seed[name]).statistic for seed in of_seeds])
                for name in ("mean_over_j", "relative_mean_over_i")
            ]
            parts.append(f"{case.split(':')[0]} {correlations[0]:+.2f} and {correlations[1]:+.2f}")
        sentences.append(f"{MODEL_LABELS[model]}: {'; '.join(parts)}")
    return (
        f"For {listed(MODEL_LABELS[model] for model in means['model'].unique())}, a heat map of the information "
        f"abundance of the sub-embeddings of field i for field j, fields sorted by that of their embeddings, and "
        f"line charts of its mean over j by the rank of i and of its relative mean over i by the rank of j. Rank "
        f"correlations with the rank of i and with the rank of j, means over "
        f"{counted(means['seed'].nunique(), 'seed')}: {'. '.join(sentences)}."
    )


def regularized(data: pd.DataFrame) -> str:
    gain, of_abundance, curves = (data[data["panel"] == name] for name in ("gain", "information_abundance", "curve"))
    ends = []
    for variant, rows in curves.groupby("variant", sort=False):
        of_seeds = rows.groupby("seed")
        loss = of_seeds.apply(lambda seed: seed.sort_values("epoch")["training_loss"].iloc[-1]).mean()
        best = of_seeds["validation_auc"].max().mean()
        ends.append(f"{variant_name(variant)} {loss:.3f} and {best:.4f}")
    return (
        f"Four line charts of the plain and the regularised model. Test AUC by model size, gain over the base: "
        f"{gains_text(gain)}. Information abundance, mean over the fields, by model size: {growth_text(of_abundance)}. "
        f"In the course of training at the largest size, training loss at the end and best validation AUC, means over "
        f"{counted(curves['seed'].nunique(), 'seed')}: {', '.join(ends)}."
    )


def dnn_dcnv2(data: pd.DataFrame) -> str:
    of_abundance, published, ours = (
        data[data["panel"] == name] for name in ("information_abundance", "published", "ours")
    )
    return (
        f"Line charts by model size of {listed(MODEL_LABELS[model] for model in ours['model'].unique())} with single "
        f"embedding. Information abundance, mean over the fields: {growth_text(of_abundance)}. Test AUC, gain over the "
        f"base: published {gains_text(published)}; ours {gains_text(ours)}."
    )


def architecture(data: pd.DataFrame) -> str:
    parts = []
    for sets, calls in data.groupby("num_sets", sort=False):
        steps = [
            f"{row.module}, {'' if row.sets == 1 else f'{row.sets} times '}{counted(row.size, 'number')}"
            for row in calls.itertuples()
        ]
        parts.append(f"{counted(sets, 'embedding set')}: {'; '.join(steps)}")
    return (
        f"Diagram of {counted(len(parts), 'model')}, boxes joined by arrows from the ids at the bottom to the logit "
        f"at the top. Modules in order, with what they put out. With {'. With '.join(parts)}."
    )


def sets_abundance(data: pd.DataFrame) -> str:
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


def patterns(data: pd.DataFrame) -> str:
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


def variants(data: pd.DataFrame) -> str:
    names = [variant_name(variant) for variant in data["variant"].unique() if variant != PLAIN]
    return (
        f"Line chart in {counted(max(len(names), 1), 'panel')}: test AUC, gain over the base model, by model size, "
        f"of the plain model and of its variants ({', '.join(names) or 'none'}). At the largest sizes: "
        f"{gains_text(data)}."
    )


def scalability(data: pd.DataFrame) -> str:
    return beside_published(data, "Line charts of published results and of ours", "by model size")


def models(data: pd.DataFrame) -> str:
    panels = counted(data["model"].nunique(), "panel")
    return beside_published(data, f"Line charts in {panels}, one for each model", "by model size, published and ours")


def beside_published(data: pd.DataFrame, chart: str, axes: str) -> str:
    ours, published = (data[data["source"] == source] for source in ("ours", "published"))
    gain = f"{chart}: test AUC, gain over the base model, {axes} ({sizes_text(data['scale'])})"
    theirs = f"Published: {gains_text(published)}." if len(published) else "None of it is published."
    return f"{gain}. Ours: {gains_text(ours)}. {theirs}"


def gains_text(table: pd.DataFrame) -> str:
    """The gain of every line at its largest size, with its interval if it has one; a size that all share but once."""
    ends = line_ends(table)
    sizes = {size_text(end["scale"]) for _, end in ends}
    parts = [
        f"{name} {gain_text(end['gain'])}{interval_text(end['half_interval'])}"
        + f" at {size_text(end['scale'])}" * (len(sizes) > 1)
        for name, end in ends
    ]
    return (f"at {sizes.pop()}, " if len(sizes) == 1 else "") + ", ".join(parts)


def growth_text(table: pd.DataFrame) -> str:
    """Information abundance of every line at its smallest and largest size, and that of random matrices."""
    parts, references = [], table.groupby("scale")["random"].mean()
    smallest = table["scale"].min()
    for name, end in line_ends(table):
        line = table[(table[["model", "variant", "embedding"]] == end[["model", "variant", "embedding"]]).all(axis=1)]
        start = line.loc[line["scale"].idxmin()]
        values = [abundance_text(row["information_abundance"]) for row in (start, end)]
        parts.append(f"{name} {values[0]} at {size_text(start['scale'])} and {values[1]} at {size_text(end['scale'])}")
    random = [abundance_text(references[scale]) for scale in (smallest, references.index.max())]
    return f"{', '.join(parts)}, random matrices {random[0]} and {random[1]}"


def line_ends(table: pd.DataFrame) -> list[tuple[str, pd.Series]]:
    """Of every line its name and its row of the largest size."""
    found = []
    for (model, variant, embedding), line in table.groupby(["model", "variant", "embedding"], sort=False):
        name = [MODEL_LABELS[model], VARIANT_LABELS.get(variant, variant), EMBEDDING_LABELS[embedding]]
        found.append((" ".join(filter(None, name)), line.loc[line["scale"].idxmax()]))
    return found


def interval_text(half: float) -> str:
    return f" ± {half:.4f}" if half else ""


def variant_name(variant: str) -> str:
    return VARIANT_LABELS.get(variant, variant) or "plain"


def published(data: pd.DataFrame) -> str:
    parts = []
    for (dataset, embedding), rows in data.groupby(["dataset", "embedding"], sort=False):
        gains = [
            f"{MODEL_LABELS[r.model]} {gain_text(r.gain)}{interval_text(r.half_interval)}" for r in rows.itertuples()
        ]
        parts.append(f"{dataset}, {EMBEDDING_LABELS[embedding]}: {', '.join(gains)}")
    return (
        "Points with intervals: published gain in test AUC over the base model at the largest size, by model, for "
        f"single and multi embedding. {'. '.join(parts)}."
    )


def measures(data: pd.DataFrame) -> str:
    parts = []
    for comparison, rows in data.groupby("comparison", sort=False):
        values = [f"{row.measure} {row.mean:.2f}, {row.answer}" for row in rows.itertuples(name="Row")]
        parts.append(f"{comparison}, claimed {rows['side'].iloc[0]} {rows['bound'].iloc[0]:g}: {'; '.join(values)}")
    return f"Ratios with intervals, by comparison and measure, and whether the claim holds. {'. '.join(parts)}."


def plain_text(value: float) -> str:
    """As one reads it aloud: no e-05."""
    return f"{value:g}" if value == 0 or value >= 1e-4 else f"10^{np.log10(value):.0f}"


def decay(data: pd.DataFrame) -> str:
    last = data["step"].max()
    ends = data[data["step"] == last]
    parts = [
        f"{'decoupled ' if row['decoupled'] else ''}{plain_text(row['weight_decay'])}: {row['weight']:+.4f}"
        for _, row in ends.iterrows()
    ]
    return (
        "Line chart: a weight over the steps after the only batch that had its value, for every weight decay. "
        f"After {last:,} steps it is, by weight decay, {', '.join(parts)}."
    )


def optimizer(data: pd.DataFrame) -> str:
    """Of every line its ends, without weight decay and at the largest."""
    names = {
        "share_of_random": "information abundance as a share of random",
        "other": "rank correlation of the interaction-collapse law with the other field",
        "auc_gain": "test AUC over single embedding without decay",
        "multi_gain": "test AUC, multi minus single embedding",
    }
    largest, parts = data["weight_decay"].max(), []
    for (dataset, measure), rows in data.groupby(["dataset", "measure"], sort=False):
        digits = "+.4f" if measure.endswith("gain") else ".2f"
        lines = []
        for (model, embedding, decoupled), line in rows.groupby(["model", "embedding", "decoupled"], sort=False):
            means = line.set_index("weight_decay")["mean"]
            ends = " and ".join(f"{means[decay]:{digits}}" for decay in (0.0, largest) if decay in means)
            name = f"{MODEL_LABELS[model]} {EMBEDDING_LABELS[embedding]}"
            lines.append(f"{name}{' decoupled' if decoupled else ''} {ends}")
        parts.append(f"{dataset}, {names[measure]}: {', '.join(lines)}")
    return f"Line charts by weight decay, without and at {plain_text(largest)}. {'. '.join(parts)}."


def reach(data: pd.DataFrame) -> str:
    """Of the map: how often the gain is positive, its ends, and how it goes with the share of random."""
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


def alternatives(data: pd.DataFrame) -> str:
    """Of the base and of what is compared with multi embedding at its size."""
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


def changes(data: pd.DataFrame) -> str:
    parts = [
        f"{row.choice}, {MODEL_LABELS[row.model]} {EMBEDDING_LABELS[row.embedding]} {row.change:+.4f} ± "
        f"{row.half_interval:.4f}"
        for row in data.itertuples()
    ]
    return f"Changes of test AUC with 95 % intervals, by choice, model and embedding. {'; '.join(parts)}."


def ledger(data: pd.DataFrame) -> str:
    """The numbers are sums over the rows of a part."""
    names = {answer: name for answer, (name, *_) in ANSWERS.items()}
    parts = []
    for part, rows in data.groupby("part", sort=False):
        counts = rows[list(names)].sum()
        untested = int((rows[list(names)].sum(axis=1) == 0).sum())
        numbers = f"{counts['yes']} hold, {counts['undecided']} undecided, {counts['against']} against"
        parts.append(f"{part}: {numbers}" + f"; not judged: {untested}" * bool(untested))
    datasets = [name for name in data["dataset"].unique() if name]
    claims = data[["part", "label"]].drop_duplicates()
    return (
        f"Bars for {counted(len(claims), 'claim')} of the paper, on {listed(datasets) if datasets else 'no data set'}, "
        f"each divided into the shares of its judged effects that hold, are undecided and are against it. Effects by "
        f"part: {'. '.join(parts)}."
    )


def speed(data: pd.DataFrame) -> str:
    """Medians over the cases."""
    parts = []
    for name, rows in data[data["participant"] != "ours"].groupby("participant", sort=False):
        ratios = rows["ratio_median"]
        cases = counted(len(rows), "case")
        parts.append(f"{name}: {ratios.min():.1f} to {ratios.max():.1f}, median {ratios.median():.1f}, {cases}")
    ours = data[data["participant"] == "ours"]
    over = ours["seconds_per_step"] / ours["floor_seconds"]
    floors = f"{over.min():.1f} to {over.max():.1f}, median {over.median():.1f}"
    return (
        f"Two panels with a row for each of {counted(len(ours), 'case')}, a model and size. Left, time of a training "
        f"step over that of ours: {'; '.join(parts)}. Right, time of ours over the dense floor: {floors}."
    )
