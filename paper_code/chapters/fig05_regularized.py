"""Figure 5, Evidence III: less collapse by a penalty, and more overfitting."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from paper_code.chapters.shared.checks import MOST_NORM_CHANGE, norm_changes
from paper_code.chapters.shared.gains import by_size, draw_sizes, gains, gains_text, growth_text
from paper_code.chapters.shared.gates import EVIDENCE_III, LIVE, OF_AUC
from paper_code.chapters.shared.judged import judged_runs
from paper_code.chapters.shared.rules import SIGNIFICANT_AUC, Claim, Effect, auc_effect, difference, ratio
from paper_code.chapters.shared.style import (
    BASE_LINE,
    FIGURE_WIDTH,
    GAIN_LABEL,
    INITIAL_LINE,
    INITIAL_MARK,
    RANDOM_LINE,
    line_look,
    log_title,
    seeds_title,
    styled,
)
from paper_code.chapters.shared.tables import Runs, results_table, variant, variant_name, with_references
from paper_code.chapters.shared.words import counted, size_text
from paper_code.runs.record import RunRecord


def curves_table(records: Sequence[RunRecord]) -> pd.DataFrame:
    """Training curves: a row per tenth of an epoch with the mean training loss; validation AUC at an epoch's end, else
    NaN. epoch: passes over the training rows so far."""
    rows = []
    for record in records:
        for number, epoch in enumerate(record.epochs):
            parts = len(epoch["training_loss"])
            for part, loss in enumerate(epoch["training_loss"], start=1):
                auc = epoch["validation_auc"] if part == parts else np.nan
                rows.append(
                    (
                        *(record.config["model"], variant(record.config), record.config["seed"]),
                        *(number + part / parts, loss, auc),
                    )
                )
    return pd.DataFrame(rows, columns=["model", "variant", "seed", "epoch", "training_loss", "validation_auc"])


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


@styled
def regularized_figure(records: Sequence[RunRecord]) -> tuple[Figure, pd.DataFrame]:
    """Figure 5: DCNv2 plain and regularised. Gain in test AUC and information abundance by size; at the largest size
    training loss and validation AUC in the course of training, a line per seed."""
    table = results_table(records)
    ours = gains(table)
    figure, ((of_gain, of_abundance), (of_loss, of_auc)) = plt.subplots(2, 2, figsize=(FIGURE_WIDTH, 5.6))
    draw_sizes(of_gain, ours, "gain", ours["scale"])
    of_gain.axhline(0, **BASE_LINE)
    of_gain.set_ylabel(GAIN_LABEL)
    abundance = abundance_by_size_lines(of_abundance, records)
    curves = curves_table([records[number] for number in table.index[table["scale"] == table["scale"].max()]])
    for (model, what, _), line in curves.groupby(["model", "variant", "seed"], sort=False):
        look = line_look(model, what, "SE") | {"lw": 1.1}
        of_loss.plot(line["epoch"], line["training_loss"], **look | {"marker": ""})
        whole = line.dropna()
        of_auc.plot(whole["epoch"], whole["validation_auc"], **look | {"markersize": 4})
    of_loss.set(xlabel="epoch", ylabel="training loss", title=f"size {table['scale'].max()}x")
    of_auc.set(xlabel="epoch", ylabel="validation AUC", title=f"size {table['scale'].max()}x")
    handles, labels = of_abundance.get_legend_handles_labels()
    figure.legend(handles, labels, ncols=2, loc="outside lower center")
    figure.suptitle(f"{log_title(records[0])}, {seeds_title(ours)}")
    parts = {"gain": ours, "information_abundance": abundance, "curve": curves}
    return figure, pd.concat([part.assign(panel=name) for name, part in parts.items()], ignore_index=True)


def describe_regularized(data: pd.DataFrame) -> str:
    gain, of_abundance, curves = (data[data["panel"] == name] for name in ("gain", "information_abundance", "curve"))
    ends = []
    for name, rows in curves.groupby("variant", sort=False):
        of_seeds = rows.groupby("seed")
        loss = of_seeds.apply(lambda seed: seed.sort_values("epoch")["training_loss"].iloc[-1]).mean()
        best = of_seeds["validation_auc"].max().mean()
        ends.append(f"{variant_name(name)} {loss:.3f} and {best:.4f}")
    return (
        f"Four line charts of the plain and the regularised model. Test AUC by model size, gain over the base: "
        f"{gains_text(gain)}. Information abundance, mean over the fields, by model size: {growth_text(of_abundance)}. "
        f"In the course of training at the largest size, training loss at the end and best validation AUC, means over "
        f"{counted(curves['seed'].nunique(), 'seed')}: {', '.join(ends)}."
    )


def evidence_iii_claims(runs: Runs) -> list[Claim]:
    """Figure 5: DCNv2 with projections kept near multiples of unitary matrices."""
    section = "Section 4.2, Evidence III, Figure 5"
    regularised = "regularised and smaller" if has_other_norm(runs) else "regularised"

    def regularized(value: str, scale: int | None = None) -> pd.Series:
        return runs(value, "dcnv2", scale=scale, variant="unitary")

    def plain(value: str, scale: int | None = None) -> pd.Series:
        return runs(value, "dcnv2", scale=scale)

    def claim(name: str, statement: str, rule: str, *effects: Effect, of_auc: bool = True, scales=()) -> Claim:
        return Claim(
            f"evidence-iii-{name}",
            section,
            statement,
            rule,
            effects,
            runs.dataset,
            "fig05_regularized",
            checks=(*OF_AUC * of_auc, LIVE, EVIDENCE_III),
            judged=judged_runs(["dcnv2"], *(("SE", scale) for scale in scales)),
        )

    higher = [
        Effect(
            f"mean information abundance, {regularised} over plain, {size_text(scale)}",
            ratio(regularized("information_abundance", scale), plain("information_abundance", scale)),
            "above",
            1.0,
        )
        for scale in runs.scales
    ]
    gains = [of("test_auc") - of("test_auc", 1) for of in (regularized, plain)]
    size = size_text(runs.largest)
    return [
        claim(
            "abundance",
            f"The {regularised} DCNv2 learns embeddings of higher information abundance.",
            f"Mean information abundance over the fields, {regularised} over plain, is above one at every size, paired "
            "by seed.",
            *higher,
            of_auc=False,
            scales=runs.scales,
        ),
        claim(
            "scalability",
            f"The scalability of the {regularised} DCNv2 does not improve for that.",
            f"Its gain of the largest size over the base exceeds that of the plain model by less than "
            f"{SIGNIFICANT_AUC}, paired by seed.",
            Effect(
                f"test AUC gain of {size} over base, {regularised} minus plain",
                difference(*gains),
                "below",
                SIGNIFICANT_AUC,
                in_d_prime=same_as_significant(plain("test_auc", 1)),
            ),
            scales=(1, runs.largest),
        ),
        claim(
            "overfitting",
            f"The {regularised} DCNv2 overfits more in the course of training: the training loss goes on falling while "
            "validation AUC drops.",
            f"At the largest size, from the best look to the last, the fall of the training loss and the drop of "
            f"validation AUC, {regularised} minus plain, are above zero, paired by seed.",
            Effect(
                f"fall of the training loss, {regularised} minus plain",
                difference(regularized("loss_fall"), plain("loss_fall")),
                "above",
                0.0,
            ),
            Effect(
                f"drop of validation AUC, {regularised} minus plain",
                difference(regularized("auc_drop"), plain("auc_drop")),
                "above",
                0.0,
            ),
            scales=(runs.largest,),
        ),
    ]


def has_other_norm(runs: Runs) -> bool:
    """Does Evidence III's penalty change the embeddings' norm by more than its check allows, at any size?"""
    return bool((norm_changes(runs).abs() > MOST_NORM_CHANGE).any())


def same_as_significant(auc: pd.Series) -> float:
    """The effect of AUCs by seed, see `auc_effect`."""
    return auc_effect("", auc, auc, "above", SIGNIFICANT_AUC).in_d_prime


FIGURES = {
    "fig05_regularized": (regularized_figure, describe_regularized),
}
"""By the name of its files: what draws a figure, and what tells its numbers in words."""
