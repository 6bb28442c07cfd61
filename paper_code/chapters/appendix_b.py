"""Appendix B as computation: with a linear interaction, multi embedding is single embedding; a ReLU ends that.

The M sets and the single embedding of size M K share one table, a row of it being e_i = [e_i^(1), ..., e_i^(M)]. The
interactions are the package's own, in float64, with random weights; the single embedding's are made from the sets'.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from paper_code.chapters.shared.rules import Claim, Effect
from paper_code.runs.computed import computed
from paper_code.runs.profiles import RESULTS_FOLDER

CARDINALITIES = (7, 50, 4, 200)
EMBEDDING_SIZE, NUM_SETS, CROSS_LAYERS, OUT_FEATURES, ROWS = 5, 3, 2, 8, 2048
MOST_DIGITS = 12


def appendix_b_table(seeds: Sequence[int], results_dir: str | Path = RESULTS_FOLDER) -> pd.DataFrame:
    """A row per seed, interaction (DNN's, DCNv2's) and what follows it: multi embedding held against single.

    What follows is nothing (the sets' features side by side), a linear projection per set and their mean ("projected
    DNN" in the appendix, there up to the factor 1/M), or a projection with ReLU and the mean, as in Section 5.1.
    digits: in how many decimal digits both agree, of the largest value, counted to 12. unexplained: the share of the
    variance of the multi embedding's features that the single embedding misses with the best projection of its own.
    """
    columns = ["seed", "interaction", "projection", "digits", "unexplained"]

    def compute() -> list[tuple]:
        from paper_code.chapters.appendix_b_models import compare

        return compare(seeds)

    rows = computed("appendix_b", {"seeds": list(seeds)}, compute, results_dir)
    return pd.DataFrame(rows, columns=columns).astype({"unexplained": float})


def summary(table: pd.DataFrame) -> pd.DataFrame:
    """The table over its seeds, as text: the fewest digits that agree, and the mean unexplained share in per cent."""
    groups = table.groupby(["interaction", "projection"], sort=False)
    found = groups.agg(digits=("digits", "min"), unexplained=("unexplained", "mean")).reset_index()
    digits = [f"{least} or more" if least == MOST_DIGITS else f"{least}" for least in found["digits"]]
    shares = ["-" if np.isnan(share) else f"{100 * share:.0f} %" for share in found["unexplained"]]
    return pd.DataFrame(
        {
            "interaction": found["interaction"],
            "projection of the sets": found["projection"],
            "agreeing digits": digits,
            "unexplained by the best single embedding": shares,
        }
    )


def appendix_b_claim(table: pd.DataFrame) -> Claim:
    """Appendix B. table: of `appendix_b_table`."""
    effects = []
    for (interaction, projection), rows in table.groupby(["interaction", "projection"], sort=False):
        name = f"{interaction}, projection: {projection}; agreeing digits"
        side, bound = ("below", 2) if projection == "ReLU" else ("above", 11)
        effects.append(Effect(name, rows["digits"].tolist(), side, bound))
    return Claim(
        "linear-multi-embedding-is-single",
        "Appendix B",
        "Without a non-linearity, multi embedding is single embedding; a non-linear projection ends that.",
        "Without one, both agree in more than 11 decimal digits of the largest value; with ReLU, in fewer than 2.",
        tuple(effects),
        chapter="appendix_b",
    )
