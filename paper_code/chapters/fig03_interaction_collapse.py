"""Figure 3, Evidence I and II: the interaction-collapse law."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from scipy import stats

from paper_code import spectra
from paper_code.chapters.shared.gates import LIVE
from paper_code.chapters.shared.judged import judged_runs, on_headline
from paper_code.chapters.shared.rules import Claim, Effect
from paper_code.chapters.shared.style import (
    BASE_LINE,
    COLORS,
    FIGURE_WIDTH,
    INITIAL_LINE,
    LINES,
    RANDOM_LINE,
    log_title,
    styled,
)
from paper_code.chapters.shared.tables import Runs, field_abundance, initial_model, results_table
from paper_code.chapters.shared.words import counted, listed, size_text
from paper_code.models.registry import MODEL_LABELS, sub_embedding_size
from paper_code.runs.record import RunRecord


def sub_embedding_abundance(record: RunRecord) -> np.ndarray:
    """IA(E_i^{->j}) as an (i, j) array, fields in the log's order; NaN for i = j, where FFM has none (Section 4.1)."""
    found = np.array(record.spectra["sub_embedding_information_abundance"], dtype=float)
    np.fill_diagonal(found, np.nan)
    return found


def randomly_projected_abundance(record: RunRecord, seed: int | None = None) -> np.ndarray:
    """As `sub_embedding_abundance`, were every E_i^{->j} a random projection of E_i that knows nothing of j, to the
    size of its sub-embeddings. Only the singular values of E_i matter then. seed: None: the run's, as the record has
    it, or computed where it does not."""
    name, found = "randomly_projected_information_abundance", None
    if seed is None:
        seed, found = record.config["seed"], record.spectra.get(name)
    if found is None:
        size = sub_embedding_size(record.config["model"], len(record.fields), record.config["embedding_size"])
        found = spectra.randomly_projected(record.spectra["side_by_side"], size, seed)
    return np.array(found, dtype=float)


def initial_sub_embedding_abundance(record: RunRecord) -> np.ndarray:
    """As `sub_embedding_abundance`, before training."""
    from paper_code.runs.measurement import sub_embedding_information_abundance

    found = np.array(sub_embedding_information_abundance(initial_model(record)), dtype=float)
    np.fill_diagonal(found, np.nan)
    return found


def law_means(of_pairs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """From IA(E_i^{->j}): its mean over j, by i; and by j the mean over i of IA(E_i^{->j}) over its row's mean.

    Both without i = j. The rows are made relative first: a column lacks the row of its own field, so the bare mean of a
    field with large values would leave out large values, and fall where nothing else is at work.
    """
    of_rows = np.nanmean(of_pairs, axis=1)
    return of_rows, np.nanmean(of_pairs / of_rows[:, None], axis=0)


def law_correlations(record: RunRecord, of_pairs: np.ndarray | None = None) -> tuple[float, float]:
    """Spearman's rank correlation over the fields of IA(E_i) with each of `law_means`.

    of_pairs: in place of the record's own.
    """
    of_fields = field_abundance(record)
    means = law_means(sub_embedding_abundance(record) if of_pairs is None else of_pairs)
    return tuple(float(stats.spearmanr(of_fields, mean).statistic) for mean in means)


def law_given_cardinality(record: RunRecord) -> float:
    """The second of `law_correlations`, partial: given the fields' cardinalities, or as ranks go their logarithms.

    NaN if one of both is in the order of the cardinalities, so that nothing is left.
    """
    _, other = law_means(sub_embedding_abundance(record))
    columns = [field_abundance(record), other, [field["cardinality"] for field in record.fields]]
    (_, ab, ac), (_, _, bc), _ = stats.spearmanr(np.column_stack(columns)).statistic
    left = (1 - ac**2) * (1 - bc**2)
    return float((ab - ac * bc) / np.sqrt(left)) if left > 1e-12 else float("nan")


def fishers_z(correlation: float, fields: int) -> float:
    """arctanh of a rank correlation over so many fields; of one of 1 as of one halfway to the next below."""
    most = 1 - 6 / (fields**3 - fields)
    return float(np.arctanh(np.clip(correlation, -most, most)))


def law_table(records: Sequence[RunRecord]) -> pd.DataFrame:
    """Rank correlations of the interaction-collapse law by model and size, as text: mean and range over the seeds,
    of the record's sub-embeddings and, as a control, of random projections of its embeddings."""
    rows = []
    for (model, scale), group in results_table(records).groupby(["model", "scale"], sort=False):
        of_group = [records[number] for number in group.index]
        cases = {
            "learned": [law_correlations(record) for record in of_group],
            "control": [law_correlations(r, randomly_projected_abundance(r)) for r in of_group],
        }
        row = {"model": MODEL_LABELS[model], "size": size_text(scale)}
        for number, field_name in enumerate(("own field", "other field")):
            for case, found in cases.items():
                values = [pair[number] for pair in found]
                row[f"{field_name}, {case}"] = f"{np.mean(values):+.2f} ({min(values):+.2f} to {max(values):+.2f})"
        rows.append(row)
    return pd.DataFrame(rows)


@styled
def law_figure(of_ffm: Sequence[RunRecord], of_dcnv2: Sequence[RunRecord]) -> tuple[Figure, pd.DataFrame]:
    """Figure 3: information abundance of the sub-embeddings, first seed, and its means over either axis, all seeds.

    A column for each model. Fields sorted by the information abundance of their embeddings, lowest first. The means are
    those of `law_means`; beside them those of random projections of the same embeddings, and before training, when they
    are random matrices. The table has both: panel "pairs" and, for every case and seed, panel "means".
    """
    frames = []
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
    return figure, pd.concat(frames, ignore_index=True)


# what Figure 3 draws of a record -> its line, in the model's colour unless it has its own, and its name
LAW_CASES = {
    sub_embedding_abundance: ({"linestyle": LINES["SE"]}, "learned: mean and range"),
    randomly_projected_abundance: (RANDOM_LINE, "learned $E_i$, random projections"),
    initial_sub_embedding_abundance: (INITIAL_LINE, "at initialisation"),
}


def describe_law(data: pd.DataFrame) -> str:
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


def law_effect(runs: Runs, model: str, measure: Callable[[RunRecord], float], name: str) -> Effect:
    """Fisher's z of a rank correlation of single embedding at the largest size, claimed to be above zero."""

    def z(record: RunRecord) -> float:
        return fishers_z(measure(record), len(record.fields))

    words = f"{MODEL_LABELS[model]} {size_text(runs.largest)}, {name}, Fisher's z"
    return Effect(words, runs.measured(z, model).tolist(), "above", 0.0)


def with_own_field(record: RunRecord) -> float:
    return law_correlations(record)[0]


def with_other_field(record: RunRecord) -> float:
    return law_correlations(record)[1]


def of_control(record: RunRecord) -> float:
    """As `with_other_field`, were the sub-embeddings random projections."""
    return law_correlations(record, randomly_projected_abundance(record))[1]


def law_claim(of_ffm: Runs, of_dcnv2: Runs) -> list[Claim]:
    """Figure 3: the interaction-collapse law, of FFM and of DCNv2 as one claim, each at its largest size."""
    pair = {"ffm": of_ffm, "dcnv2": of_dcnv2}
    words = "rank correlation with the other field"
    return [
        Claim(
            "law",
            "Section 4.1, Finding 1, Figure 3",
            "The information abundance of a sub-embedding grows with that of the field that it interacts with.",
            "Of FFM at the base and DCNv2 at the largest size: Fisher's z of Spearman's rank correlation over the "
            "fields of IA(E_j) with the mean over i of IA(E_i->j) relative to its row's mean, without i = j, is above "
            "zero for both.",
            tuple(law_effect(runs, model, with_other_field, words) for model, runs in pair.items()),
            of_ffm.dataset,
            "fig03_interaction_collapse",
            headline=on_headline(of_ffm.dataset, few_fields=False),
            checks=(LIVE,),
            judged=(("ffm", "SE", of_ffm.largest), ("dcnv2", "SE", of_dcnv2.largest)),
        )
    ]


def law_claims(runs: Runs, model: str) -> list[Claim]:
    """The law of one model at its largest size, and what else its rank correlations could come from."""
    label = MODEL_LABELS[model]
    evidence = {"ffm": "Evidence I", "dcnv2": "Evidence II"}.get(model)
    section = f"Section 4.1, Finding 1, {evidence}, Figure 3" if evidence else "as Finding 1; not in the paper"
    chapter = "fig03_interaction_collapse" if evidence else "newer"
    other = law_effect(runs, model, with_other_field, "rank correlation with the other field")
    control = law_effect(runs, model, of_control, "")

    def claim(name: str, statement: str, rule: str, effect: Effect, section: str = section) -> Claim:
        return Claim(
            f"interaction-collapse-{model}{name}",
            section,
            f"{label}: {statement}",
            rule,
            (effect,),
            runs.dataset,
            chapter,
            checks=(LIVE,),
            judged=judged_runs([model], ("SE", runs.largest)),
        )

    ours = "ours, not in the paper"
    return [
        claim(
            "",
            "the information abundance of a sub-embedding grows with that of the field that it interacts with.",
            "Fisher's z of Spearman's rank correlation over the fields of IA(E_j) with the mean over i of IA(E_i->j) "
            "relative to its row's mean, without i = j, is above zero.",
            other,
        ),
        claim(
            "-own",
            "it grows with that of its own field.",
            "The same of IA(E_i) with the mean of IA(E_i->j) over j. Random projections of the embeddings give it too.",
            law_effect(runs, model, with_own_field, "rank correlation with the own field"),
        ),
        claim(
            "-given-cardinality",
            "the law is not that of fields with many values alone.",
            "The partial rank correlation with the other field, given the logarithm of the cardinality, is above zero.",
            law_effect(runs, model, law_given_cardinality, "partial rank correlation with the other field"),
            ours,
        ),
        claim(
            "-above-control",
            "the law is more than what random projections of the same embeddings show.",
            "Fisher's z of the rank correlation with the other field exceeds that of random projections, by seed.",
            replace(
                other,
                name=f"{other.name}, minus that of random projections",
                values=np.subtract(other.values, control.values).tolist(),
            ),
            ours,
        ),
    ]


FIGURES = {
    "fig03_interaction_collapse": (law_figure, describe_law),
    "newer_law": (law_figure, describe_law),
    "real_rows_law": (law_figure, describe_law),
}
"""By the name of its files: what draws a figure, and what tells its numbers in words."""
