"""Figure 6, Evidence IV, and Finding 2: DNN beside DCNv2."""

from collections.abc import Sequence

import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from paper_code.chapters.fig05_regularized import abundance_by_size_lines, has_other_norm
from paper_code.chapters.shared.gains import draw_published_beside_ours, gains, gains_text, growth_text, published_gains
from paper_code.chapters.shared.gates import EVIDENCE_III, LIVE, OF_AUC
from paper_code.chapters.shared.judged import judged_runs, latent_checks
from paper_code.chapters.shared.rules import SIGNIFICANT_AUC, Claim, Effect, difference, gain, ratio
from paper_code.chapters.shared.style import FIGURE_WIDTH, log_title, seeds_title, styled, wrapped
from paper_code.chapters.shared.tables import PLAIN, Runs, results_table
from paper_code.chapters.shared.words import listed, size_text
from paper_code.models import MODEL_LABELS
from paper_code.published import published_dataset
from paper_code.runs.record import RunRecord


@styled
def dnn_dcnv2_figure(records: Sequence[RunRecord]) -> tuple[Figure, pd.DataFrame]:
    """Figure 6: single-embedding DNN and DCNv2. Information abundance by size; gain in test AUC, published and ours."""
    table = results_table(records)
    dataset = table["dataset"].iloc[0]
    ours = gains(table)
    published = published_gains(dataset, list(table["model"].unique()))
    published = published[published["embedding"] == "SE"]
    figure, panels = plt.subplot_mosaic("AA;PO", figsize=(FIGURE_WIDTH, 5.6))
    of_abundance, left, right = panels.values()
    abundance = abundance_by_size_lines(of_abundance, records)
    of_abundance.set_title("Ours")
    draw_published_beside_ours(left, right, published, ours, f"Published: {published_dataset(dataset)}", "Ours")
    handles, labels = of_abundance.get_legend_handles_labels()
    figure.legend(handles, labels, ncols=2, loc="outside lower center")
    figure.suptitle(wrapped(f"Ours: {log_title(records[0])}, {seeds_title(ours)}"))
    parts = {"information_abundance": abundance, "published": published, "ours": ours}
    return figure, pd.concat([part.assign(panel=name) for name, part in parts.items()], ignore_index=True)


def describe_dnn_dcnv2(data: pd.DataFrame) -> str:
    of_abundance, published, ours = (
        data[data["panel"] == name] for name in ("information_abundance", "published", "ours")
    )
    return (
        f"Line charts by model size of {listed(MODEL_LABELS[model] for model in ours['model'].unique())} with single "
        f"embedding. Information abundance, mean over the fields: {growth_text(of_abundance)}. Test AUC, gain over the "
        f"base: published {gains_text(published)}; ours {gains_text(ours)}."
    )


def evidence_iv_claims(runs: Runs) -> list[Claim]:
    """Figure 6: DNN beside DCNv2."""
    section, chapter = "Section 4.2, Evidence IV, Figure 6", "fig06_dnn_dcnv2"
    higher = tuple(
        Effect(
            f"mean information abundance, DNN over DCNv2, {size_text(scale)}",
            ratio(*(runs("information_abundance", model, scale=scale) for model in ("dnn", "dcnv2"))),
            "above",
            1.0,
        )
        for scale in runs.scales
    )
    return [
        Claim(
            "evidence-iv-abundance",
            section,
            "DNN learns embeddings of higher information abundance than DCNv2.",
            "Mean information abundance over the fields, DNN over DCNv2, is above one at every size, paired by seed.",
            higher,
            runs.dataset,
            chapter,
            checks=(LIVE,),
            judged=judged_runs(["dnn", "dcnv2"], *(("SE", scale) for scale in runs.scales)),
        ),
        Claim(
            "evidence-iv-auc",
            section,
            "With larger embeddings the AUC of DNN drops, while DCNv2 sustains its own.",
            f"From the base to the largest size the test AUC of DNN falls, and the change of that of DCNv2 lies above "
            f"-{SIGNIFICANT_AUC}, paired by seed.",
            (
                gain(runs, "dnn", ("SE", runs.largest), ("SE", 1), "below", 0.0, "DNN"),
                gain(runs, "dcnv2", ("SE", runs.largest), ("SE", 1), "above", -SIGNIFICANT_AUC, "DCNv2"),
            ),
            runs.dataset,
            chapter,
            checks=(*OF_AUC, LIVE, *latent_checks(runs.dataset)),
            judged=judged_runs(["dnn", "dcnv2"], ("SE", 1), ("SE", runs.largest)),
        ),
    ]


def finding_2_claims(runs: Runs) -> list[Claim]:
    """Finding 2, of the runs of Evidence III and IV."""
    regularised = "regularised and smaller" if has_other_norm(runs) else "regularised"
    suppressed = {f"{regularised} DCNv2": ("dcnv2", "unitary"), "DNN": ("dnn", PLAIN)}
    effects = []
    for label, (model, variant) in suppressed.items():

        def of(value: str, scale: int | None = None, model=model, variant=variant) -> pd.Series:
            return runs(value, model, scale=scale, variant=variant)

        higher = ratio(of("information_abundance"), runs("information_abundance", "dcnv2"))
        drop = difference(of("auc_drop"), runs("auc_drop", "dcnv2"))
        growth = of("test_auc") - of("test_auc", 1)
        of_plain = runs("test_auc", "dcnv2") - runs("test_auc", "dcnv2", scale=1)
        grown = f"test AUC, gain of {size_text(runs.largest)} over base, {label} minus DCNv2"
        effects += [
            Effect(f"mean information abundance, {label} over DCNv2", higher, "above", 1.0),
            Effect(grown, difference(growth, of_plain), "below", 0.0),
            Effect(f"drop of validation AUC, {label} minus DCNv2", drop, "above", 0.0),
        ]
    return [
        Claim(
            "finding-2",
            "Section 4.2, Finding 2",
            "A less collapsed model whose interaction is suppressed does not scale, for it overfits.",
            f"At the largest size, for {regularised} DCNv2 and for DNN: higher mean information abundance than plain "
            "DCNv2; less gain over the base; a larger drop of validation AUC from the best look to the last.",
            tuple(effects),
            runs.dataset,
            "fig06_dnn_dcnv2",
            checks=(*OF_AUC, LIVE, EVIDENCE_III),
            judged=judged_runs(["dnn", "dcnv2"], ("SE", 1), ("SE", runs.largest)),
        )
    ]


FIGURES = {
    "fig06_dnn_dcnv2": (dnn_dcnv2_figure, describe_dnn_dcnv2),
    "real_rows_dnn_dcnv2": (dnn_dcnv2_figure, describe_dnn_dcnv2),
}
"""By the name of its files: what draws a figure, and what tells its numbers in words."""
