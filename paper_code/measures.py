"""The paper's claims on information abundance, asked with other measures of the same spectra."""

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd

from paper_code.claims import Effect, Runs, with_training
from paper_code.experiments import PRIOR_PRECISION
from paper_code.runs import RunRecord
from paper_code.spectra import effective_rank_of, information_abundance_of, stable_rank_of
from paper_code.tables import embedding_decay, of_sets, share_of_random

CONFIDENCE = 0.95
MEASURES: dict[str, Callable[[Sequence[float]], float]] = {
    "information abundance": information_abundance_of,
    "effective rank": effective_rank_of,
    "stable rank": stable_rank_of,
}
OF_ROWS = "rows normalised"
COLUMNS = ["comparison", "measure", "mean", "low", "high", "side", "bound", "answer", "seeds"]


def mean_over_fields(record: RunRecord, measure: Callable, per_set: bool = False) -> float:
    """Of the matrices of all sets side by side, or of each set's."""
    spectra = of_sets(record) if per_set else [record.spectra["side_by_side"]]
    return float(np.mean([measure(values) for fields in spectra for values in fields]))


def nearest_decay(records: Sequence[RunRecord]) -> float:
    """Of the embeddings' weight decays the one nearest to that of the book's other runs."""
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

    The comparisons are those of the paper's claims at the largest size. Rows are normalised for the runs of the
    optimiser's chapter alone, at `nearest_decay`: earlier records lack those spectra.
    """
    largest = Runs(patterns)
    single, multi = largest.records_of("dcnv2", "SE"), largest.records_of("dcnv2", "ME")
    iii, iv = Runs(evidence_iii), Runs(evidence_iv)
    regularised = iii.records_of("dcnv2", variant="unitary")
    plain, of_dnn, of_dcnv2 = iii.records_of("dcnv2"), iv.records_of("dnn"), iv.records_of("dcnv2")
    of_decay = with_training(optimizer, nearest_decay(optimizer))
    normalised = Runs([record for record in of_decay if record.config["model"] == "dcnv2"], alike=True)
    rows = []

    def add(comparison: str, measure: str, values: Sequence[float], side: str, bound: float) -> None:
        effect = Effect(comparison, list(values), side, bound)
        low, high = effect.interval(CONFIDENCE) if effect.tested else (np.nan, np.nan)
        answer = effect.answer(CONFIDENCE)
        rows.append((comparison, measure, effect.mean, low, high, side, bound, answer, len(effect.values)))

    def ratios(a: Sequence[RunRecord], b: Sequence[RunRecord], measure: Callable, per_set: bool = False) -> list[float]:
        of_b = {record.config["seed"]: mean_over_fields(record, measure) for record in b}
        return [mean_over_fields(r, measure, per_set) / of_b[r.config["seed"]] for r in a if r.config["seed"] in of_b]

    for name, measure in MEASURES.items():
        add("learned over random", name, [share_of_random(record, measure) for record in single], "below", 0.5)
        add("regularised over plain (III)", name, ratios(regularised, plain, measure), "above", 1.0)
        add("DNN over DCNv2 (IV)", name, ratios(of_dnn, of_dcnv2, measure), "above", 1.0)
        add("multi over single, side by side (9a)", name, ratios(multi, single, measure), "above", 1.0)
        add("multi over single, per set (9a)", name, ratios(multi, single, measure, per_set=True), "above", 1.0)
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
