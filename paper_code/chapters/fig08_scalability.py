"""Figures 1a, 8, 10 and 11, Table 1: test AUC by size, single and multi embedding."""

from collections.abc import Sequence

import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from paper_code.chapters.shared.gains import (
    beside_published,
    draw_published_beside_ours,
    draw_sizes,
    gains,
    published_gains,
)
from paper_code.chapters.shared.gates import OF_AUC
from paper_code.chapters.shared.judged import judged_runs, latent_checks
from paper_code.chapters.shared.rules import (
    SIGNIFICANT_AUC,
    Claim,
    Effect,
    gain,
)
from paper_code.chapters.shared.style import (
    BASE_LINE,
    FIGURE_WIDTH,
    GREY,
    INK,
    LINES,
    label_outer,
    log_title,
    seeds_title,
    small_multiples,
    styled,
    wrapped,
)
from paper_code.chapters.shared.tables import Runs, results_table
from paper_code.chapters.shared.words import EMBEDDING_LABELS, counted
from paper_code.models import MODEL_LABELS
from paper_code.published import published_auc, published_dataset
from paper_code.runs.record import RunRecord


@styled
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
    figure, (left, right) = plt.subplots(1, 2, figsize=(FIGURE_WIDTH, 4.2), sharex=True)
    titles = (f"Published: {published_dataset(dataset)}", f"Ours: {log_title(records[0])}, {seeds_title(ours)}")
    draw_published_beside_ours(left, right, published, ours, *(wrapped(title, 28) for title in titles))
    handles, labels = right.get_legend_handles_labels()
    figure.legend(handles, labels, ncols=3 if len(labels) > 4 else 2, loc="outside lower center")
    return figure, pd.concat([published.assign(source="published"), ours.assign(source="ours")], ignore_index=True)


@styled
def models_figure(records: Sequence[RunRecord]) -> tuple[Figure, pd.DataFrame]:
    """Figures 10 and 11: gain in test AUC over the base by size, a panel for each model, published in grey."""
    table = results_table(records)
    dataset, models = table["dataset"].iloc[0], [m for m in MODEL_LABELS if m in set(table["model"])]
    ours, published = gains(table), published_gains(dataset, models)
    scales = {*ours["scale"], *published["scale"]}
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
    return figure, pd.concat([published.assign(source="published"), ours.assign(source="ours")], ignore_index=True)


def describe_scalability(data: pd.DataFrame) -> str:
    return beside_published(data, "Line charts of published results and of ours", "by model size")


def describe_models(data: pd.DataFrame) -> str:
    panels = counted(data["model"].nunique(), "panel")
    return beside_published(data, f"Line charts in {panels}, one for each model", "by model size, published and ours")


def scalability_claims(runs: Runs, models: Sequence[str] | None = None) -> list[Claim]:
    """Figure 8 and Table 1: three claims for each of the models; None: those that the records hold."""
    models = models or list(runs.table["model"].unique())
    return [claim for model in models for claim in model_scalability_claims(runs, model)]


def model_scalability_claims(runs: Runs, model: str) -> list[Claim]:
    label, largest = MODEL_LABELS[model], runs.largest
    multi = [scale for scale in runs.scales if scale > 1]
    in_paper = len(published_auc(runs.dataset, [model])) > 0
    published = published_dataset(runs.dataset)
    source = f"Section 5.2, Table 1 ({published})" if in_paper else "as Section 5.2; not in the paper"
    of_table = "table4_fig11" if published == "Avazu" else "table3_fig10"

    def claim(name: str, statement: str, rule: str, *effects: Effect, sizes, checks=()) -> Claim:
        return Claim(
            f"{name}-{model}",
            source,
            f"{label}: {statement}",
            rule,
            effects,
            runs.dataset,
            of_table if in_paper else "newer",
            checks=(*OF_AUC, *checks),
            judged=judged_runs([model], *sizes),
        )

    return [
        claim(
            "single-embedding",
            "larger single embeddings do not improve the test AUC satisfactorily.",
            f"The gain of the largest size over the base is below {SIGNIFICANT_AUC}, the paper's significant gain.",
            gain(runs, model, ("SE", largest), ("SE", 1), "below", SIGNIFICANT_AUC),
            sizes=[("SE", 1), ("SE", largest)],
            checks=latent_checks(runs.dataset),
        ),
        claim(
            "multi-embedding-better",
            "multi embedding is better than single embedding at every size.",
            "Multi minus single embedding at the same size is above zero, paired by seed, at every size.",
            *(gain(runs, model, ("ME", scale), ("SE", scale)) for scale in multi),
            sizes=[(embedding, scale) for scale in multi for embedding in ("SE", "ME")],
        ),
        claim(
            "multi-embedding-scales",
            "multi embedding improves with size; the largest is best.",
            "The largest multi embedding is better than the base and than every smaller one, paired by seed.",
            *(
                gain(runs, model, ("ME", largest), over)
                for over in [("SE", 1), *(("ME", scale) for scale in multi if scale < largest)]
            ),
            sizes=[("SE", 1), *(("ME", scale) for scale in multi)],
        ),
    ]


FIGURES = {
    "fig01_single_embedding": (scalability_figure, describe_scalability),
    "fig08_scalability": (scalability_figure, describe_scalability),
    "newer_scalability": (scalability_figure, describe_scalability),
    "fig10_models": (models_figure, describe_models),
    "fig11_models": (models_figure, describe_models),
}
"""By the name of its files: what draws a figure, and what tells its numbers in words."""
