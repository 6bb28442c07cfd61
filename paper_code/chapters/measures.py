"""The paper's claims on information abundance, asked with other measures of the same spectra."""

import textwrap
from collections.abc import Callable, Iterable, Sequence
from functools import partial

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from paper_code.chapters.fig09_analysis import set_share
from paper_code.chapters.optimizer import with_training
from paper_code.chapters.shared.rules import Effect
from paper_code.chapters.shared.style import FIGURE_WIDTH, INK, styled
from paper_code.chapters.shared.tables import Runs, embedding_decay, share_of_random
from paper_code.runs.profiles import PRIOR_PRECISION
from paper_code.runs.record import RunRecord
from paper_code.spectra import effective_rank_of, information_abundance_of, stable_rank_of

CONFIDENCE = 0.95
MEASURES: dict[str, Callable[[Sequence[float]], float]] = {
    "information abundance": information_abundance_of,
    "effective rank": effective_rank_of,
    "stable rank": stable_rank_of,
}
OF_ROWS = "rows normalised"
COLUMNS = ["comparison", "measure", "mean", "low", "high", "side", "bound", "answer", "seeds"]


def mean_over_fields(record: RunRecord, measure: Callable) -> float:
    """The measure's mean over the matrices of all sets side by side."""
    return float(np.mean([measure(values) for values in record.spectra["side_by_side"]]))


def nearest_decay(records: Sequence[RunRecord]) -> float:
    """The embeddings' weight decay that is nearest to that of the book's other runs."""
    usual = PRIOR_PRECISION / records[0].config["data"]["rows"]
    decays = {embedding_decay(record.config["training"]) for record in records} - {0.0}
    return min(decays, key=lambda decay: abs(np.log(decay / usual)))


def measures_table(
    evidence_iii: Sequence[RunRecord],
    evidence_iv: Sequence[RunRecord],
    patterns: Sequence[RunRecord],
    optimizer: Sequence[RunRecord],
) -> pd.DataFrame:
    """A row per comparison and measure: the mean over the seeds with its 95 % interval, the side and bound that are
    claimed, and the answer (see `Effect.answer`).

    The comparisons are those of the paper's claims at the largest size, of Figure 9a as shares of random. Rows are
    normalised for the runs of the optimiser's chapter alone, at `nearest_decay`: earlier records lack those spectra.
    """
    largest = Runs(patterns)
    single, multi = largest.records_of("dcnv2", "SE"), largest.records_of("dcnv2", "ME")
    iii, iv = Runs(evidence_iii), Runs(evidence_iv)
    regularised = iii.records_of("dcnv2", variant="unitary")
    plain, of_dnn, of_dcnv2 = iii.records_of("dcnv2"), iv.records_of("dnn"), iv.records_of("dcnv2")
    of_decay = with_training(optimizer, nearest_decay(optimizer))
    normalised = Runs([record for record in of_decay if record.config["model"] == "dcnv2"], alike=True)
    rows = []

    def add(comparison: str, measure: str, values: Iterable[float], side: str, bound: float) -> None:
        effect = Effect(comparison, list(values), side, bound)
        low, high = effect.interval(CONFIDENCE) if effect.tested else (np.nan, np.nan)
        answer = effect.answer(CONFIDENCE)
        rows.append((comparison, measure, effect.mean, low, high, side, bound, answer, len(effect.values)))

    def ratios(
        a: Sequence[RunRecord], b: Sequence[RunRecord], of_a: Callable, of_b: Callable | None = None
    ) -> list[float]:
        below = {record.config["seed"]: (of_b or of_a)(record) for record in b}
        return [of_a(record) / below[record.config["seed"]] for record in a if record.config["seed"] in below]

    for name, measure in MEASURES.items():
        mean, share = partial(mean_over_fields, measure=measure), partial(share_of_random, measure=measure)
        per_set = partial(set_share, measure=measure)
        add("learned over random", name, map(share, single), "below", 0.5)
        add("regularised over plain (III)", name, ratios(regularised, plain, mean), "above", 1.0)
        add("DNN over DCNv2 (IV)", name, ratios(of_dnn, of_dcnv2, mean), "above", 1.0)
        add("multi over single, side by side (9a)", name, ratios(multi, single, share), "above", 1.0)
        add("multi over single, per set (9a)", name, ratios(multi, single, per_set, share), "above", 1.0)
    for embedding, label in (("SE", "single"), ("ME", "multi")):
        records = normalised.records_of("dcnv2", embedding)
        for name, measure in MEASURES.items():
            for of_rows in (False, True):
                title = f"{label} {normalised.largest}x, learned over random"
                add(
                    title,
                    name + f", {OF_ROWS}" * of_rows,
                    [share_of_random(record, measure, of_rows) for record in records],
                    "below",
                    0.5,
                )
    table = pd.DataFrame(rows, columns=COLUMNS)
    order = {comparison: number for number, comparison in enumerate(dict.fromkeys(table["comparison"]))}
    return table.sort_values("comparison", key=lambda names: names.map(order), kind="stable").reset_index(drop=True)


def measures_text(table: pd.DataFrame) -> pd.DataFrame:
    """The table as text with two digits."""
    return pd.DataFrame(
        {
            "comparison": table["comparison"],
            "measure": table["measure"],
            "ours": [f"{row.mean:.2f} ({row.low:.2f} to {row.high:.2f})" for row in table.itertuples(name="Row")],
            "claimed": [f"{row.side} {row.bound:g}" for row in table.itertuples()],
            "holds": table["answer"],
        }
    )


MEASURE_MARKERS = {"information abundance": "o", "effective rank": "^", "stable rank": "s"}


@styled
def measures_figure(table: pd.DataFrame) -> tuple[Figure, pd.DataFrame]:
    """Ratios by comparison and measure, with their intervals and the claimed bound. table: `measures_table`."""
    comparisons = list(table["comparison"].unique())
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
    figure.legend(handles, [*MEASURE_MARKERS, "rows normalised", "claimed bound"], ncols=2, loc="outside lower center")
    return figure, table


def describe_measures(data: pd.DataFrame) -> str:
    parts = []
    for comparison, rows in data.groupby("comparison", sort=False):
        values = [f"{row.measure} {row.mean:.2f}, {row.answer}" for row in rows.itertuples(name="Row")]
        parts.append(f"{comparison}, claimed {rows['side'].iloc[0]} {rows['bound'].iloc[0]:g}: {'; '.join(values)}")
    return f"Ratios with intervals, by comparison and measure, and whether the claim holds. {'. '.join(parts)}."


FIGURES = {
    "measures": (measures_figure, describe_measures),
}
"""By the name of its files: what draws a figure, and what tells its numbers in words."""
