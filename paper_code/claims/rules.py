"""How a claim is judged by records: effect, interval over seeds, verdict.

A claim has one or several effects, each measured once per seed, paired by seed where two runs are compared. An effect
holds if its confidence interval (Student's t over seeds, 95 % divided among the claim's effects after Bonferroni) lies
wholly on the claimed side of its bound. All hold: reproduced; some: partly reproduced; none: not reproduced; an effect
with fewer than three seeds: not tested. The ledger judges all claims once more together: `corrected_verdicts`.

When the rules were fixed. Those of the toy experiment and of Appendix B: with the outcome known. All others: before
any record of the laptop profile existed. Something was known by then: a first study of the synthetic logs, of about
300 runs with other code; and the records of DNN, DCNv2 and GDCN on criteo_like with twice the rows, the desktop
profile, which came after the rules of `collapse_claims` and `scalability_claims` and before the others. No rule of the
paper's claims was changed after. `paper_code.claims.ours` says when those of our own claims were fixed.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats

from paper_code.published import published_gain
from paper_code.runs import RunRecord
from paper_code.tables import PLAIN, results_table

MINIMUM_SEEDS = 3
# "A slightly higher AUC at 0.001-level is regarded significant" (the paper's footnote 2)
SIGNIFICANT_AUC = 0.001
FALSE_DISCOVERY_RATE = 0.05
ANSWERS = ("yes", "undecided", "against")
NOT_TESTED, REPRODUCED, PARTLY, NOT_REPRODUCED = "not tested", "reproduced", "partly reproduced", "not reproduced"


@dataclass(frozen=True)
class Effect:
    """One measured number of a claim.

    values: one per seed. side: "below" or "above" the bound, or "within" it on both sides of zero, as claimed.
    """

    name: str
    values: Sequence[float]
    side: str
    bound: float
    published: float = float("nan")

    @property
    def tested(self) -> bool:
        return len(self.values) >= MINIMUM_SEEDS and bool(np.isfinite(self.values).all())

    @property
    def mean(self) -> float:
        """Over seeds; NaN if there is none."""
        return float(np.mean(self.values)) if len(self.values) else float("nan")

    def interval(self, confidence: float) -> tuple[float, float]:
        """Student's t confidence interval of the mean over seeds."""
        values = np.asarray(self.values, dtype=float)
        half = stats.t.ppf((1 + confidence) / 2, len(values) - 1) * values.std(ddof=1) / np.sqrt(len(values))
        return float(values.mean() - half), float(values.mean() + half)

    def holds(self, confidence: float) -> bool:
        low, high = self.interval(confidence)
        if self.side == "within":
            return -self.bound < low and high < self.bound
        return high < self.bound if self.side == "below" else low > self.bound

    def answer(self, confidence: float) -> str:
        """Does it hold? "yes"; "against" if its interval lies wholly on the other side of the bound; "undecided" if it
        has the bound, of "within" one of both, within; "-" if it is not tested."""
        if not self.tested:
            return "-"
        if self.holds(confidence):
            return "yes"
        low, high = self.interval(confidence)
        if self.side == "within":
            return "against" if low >= self.bound or high <= -self.bound else "undecided"
        return "undecided" if low <= self.bound <= high else "against"

    @property
    def p_value(self) -> float:
        """Of Student's t test of the mean against the bound, two-sided: the effect holds at confidence c if it lies on
        the claimed side with a p-value below 1 - c. On the other side it is 1."""
        mean = abs(self.mean) if self.side == "within" else self.mean
        distance = (mean - self.bound) * (1 if self.side == "above" else -1)
        error = np.std(self.values, ddof=1) / np.sqrt(len(self.values))
        if distance <= 0:
            return 1.0
        return float(2 * stats.t.sf(distance / error, len(self.values) - 1)) if error > 0 else 0.0


@dataclass(frozen=True)
class Claim:
    """A claim of the paper in our words, its section, the rule that decides, and what was measured.

    dataset: the log, "" if it needs none. chapter: the notebook that measures it.
    """

    name: str
    section: str
    statement: str
    rule: str
    effects: tuple[Effect, ...]
    dataset: str = ""
    chapter: str = ""

    @property
    def confidence(self) -> float:
        """Of each effect's interval: 95 % for all together."""
        return 1 - 0.05 / len(self.effects)

    @property
    def verdict(self) -> str:
        if not all(effect.tested for effect in self.effects):
            return NOT_TESTED
        return verdict_of([effect.holds(self.confidence) for effect in self.effects])

    @property
    def of_paper(self) -> bool:
        """Is it a claim of the paper, not one of ours or one asked of a further model?"""
        return "not in the paper" not in self.section

    @property
    def command(self) -> str:
        """That recomputes it, in a shell at the project's root."""
        log = f" -p dataset {self.dataset}" if self.dataset else ""
        return f"mkdir -p _build && papermill{log} book/{self.chapter}.ipynb _build/{self.chapter}.ipynb"


def verdict_of(held: Sequence[bool]) -> str:
    return REPRODUCED if all(held) else PARTLY if any(held) else NOT_REPRODUCED


def corrected_verdicts(claims: Sequence[Claim]) -> list[str]:
    """The verdicts if all effects of all claims are judged together, with a false discovery rate of 5 %.

    An effect then holds if it does in its claim and by Benjamini and Hochberg (1995) on all p-values as well.
    """
    tested = [effect for claim in claims if claim.verdict != NOT_TESTED for effect in claim.effects]
    if not tested:
        return [NOT_TESTED] * len(claims)
    adjusted = iter(stats.false_discovery_control([effect.p_value for effect in tested]))
    return [
        NOT_TESTED
        if claim.verdict == NOT_TESTED
        else verdict_of([(next(adjusted) < FALSE_DISCOVERY_RATE) & e.holds(claim.confidence) for e in claim.effects])
        for claim in claims
    ]


class Runs:
    """The table of some records, and from it one number per seed.

    dataset, scales: what the records are meant to hold; None: what they hold.
    """

    def __init__(self, records: Sequence[RunRecord], dataset: str | None = None, scales: Sequence[int] | None = None):
        self.records = list(records)
        self.table = results_table(self.records).assign(number=range(len(self.records)))
        if len(found := sorted(set(self.table["dataset"]))) > 1:
            raise ValueError(f"records of {', '.join(found)}: expected those of one data set")
        self.dataset = dataset or str(self.table["dataset"].iloc[0])
        self.scales = sorted(scales or self.table["scale"].unique())

    @property
    def largest(self) -> int:
        return self.scales[-1]

    def __call__(
        self, value: str, model: str, embedding: str = "SE", scale: int | None = None, variant: str = PLAIN
    ) -> pd.Series:
        """seed -> the value of the run of that seed, without the seeds that lack it. scale: None is the largest."""
        t, scale = self.table, scale or self.largest
        embedding = "SE" if scale == 1 else embedding
        of_run = (t["model"] == model) & (t["variant"] == variant) & (t["embedding"] == embedding)
        return t[of_run & (t["scale"] == scale)].set_index("seed")[value]

    def records_of(
        self, model: str, embedding: str = "SE", scale: int | None = None, variant: str = PLAIN
    ) -> list[RunRecord]:
        """The model's records at that size."""
        return [self.records[number] for number in self("number", model, embedding, scale, variant)]


def difference(a: pd.Series, b: pd.Series) -> list[float]:
    """a - b of the seeds that both have."""
    return (a - b).dropna().tolist()


def ratio(a: pd.Series, b: pd.Series) -> list[float]:
    """a / b of the seeds that both have."""
    return (a / b).dropna().tolist()


def gain(
    runs: Runs,
    model: str,
    of: tuple[str, int],
    over: tuple[str, int],
    side: str = "above",
    bound: float = 0.0,
    label: str = "",
) -> Effect:
    """The difference in test AUC between two (embedding, scale) of a model, paired by seed."""
    name = " ".join(filter(None, [label, f"test AUC, {of[0]} {of[1]}x minus {over[0]} {over[1]}x"]))
    values = difference(runs("test_auc", model, *of), runs("test_auc", model, *over))
    published = published_gain(runs.dataset, model, of, over)
    return Effect(name.replace("SE 1x", "base"), values, side, bound, published)


def size_name(scale: int) -> str:
    return "base" if scale == 1 else f"{scale}x"
