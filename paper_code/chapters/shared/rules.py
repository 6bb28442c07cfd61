"""How a claim is judged by records: effect, interval over seeds, verdict. The rules are those of the book's page "The
regime", which were written before the runs.

A claim has one or several effects, each measured once per seed, paired by seed where two runs are compared. An effect
holds if its confidence interval (Student's t over seeds) lies wholly on the claimed side of its bound, and is against
the claim if it lies wholly on the other. The level is 95 %, divided among the claim's effects after Bonferroni; that of
a headline claim is what Holm's correction over the headline claims of the log makes of 95 %, see `corrected`.

Verdicts: supported, all effects hold; contradicted, all are against it; mixed, one is on either side, or the sign is
another at the base size's learning rate; inconclusive, none of these. Not testable here: a check of validity failed, or
was not made, see `paper_code.chapters.shared.checks`. Not tested: an effect has fewer than three seeds. Claims of our
own hold, hold in part (some effects do), are contradicted or inconclusive.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from scipy import stats

from paper_code.chapters.shared.tables import Runs
from paper_code.chapters.shared.words import run_label
from paper_code.published import published_gain

MINIMUM_SEEDS = 3
# "A slightly higher AUC at 0.001-level is regarded significant" (the paper's footnote 2)
SIGNIFICANT_AUC = 0.001
# of the paper's base models on Criteo, to which that distance belongs
ANCHOR_AUC = 0.8134
LEVEL = 0.05
EXACT_FLIPS = 2**14  # of more seeds than 14 as many sign patterns are drawn
ANSWERS = ("yes", "undecided", "against")
SUPPORTED, CONTRADICTED, MIXED, INCONCLUSIVE = "supported", "contradicted", "mixed", "inconclusive"
HOLDS, IN_PART = "holds", "in part"
NOT_TESTABLE, NOT_TESTED = "not testable here", "not tested"
VERDICTS = (SUPPORTED, HOLDS, MIXED, IN_PART, INCONCLUSIVE, CONTRADICTED, NOT_TESTABLE, NOT_TESTED)


@dataclass(frozen=True)
class Effect:
    """One measured number of a claim.

    values: one per seed. side: "below" or "above" the bound, or "within" it on both sides of zero, as claimed.
    published: the same number in the paper. in_d_prime: of a bound that is a distance in AUC, that which is the same
    distance in d', see `same_distance`. leaving_one_out: of an average over models the range of the mean without one.
    """

    name: str
    values: Sequence[float]
    side: str
    bound: float
    published: float = math.nan
    in_d_prime: float = math.nan
    leaving_one_out: tuple[float, float] | None = None

    @property
    def tested(self) -> bool:
        return len(self.values) >= MINIMUM_SEEDS and bool(np.isfinite(self.values).all())

    @property
    def mean(self) -> float:
        """Over seeds; NaN if there is none."""
        return float(np.mean(self.values)) if len(self.values) else math.nan

    @property
    def nearest_bound(self) -> float:
        """The bound; for "within" the one on the side of the mean."""
        return math.copysign(self.bound, self.mean) if self.side == "within" else self.bound

    @property
    def standard_error(self) -> float:
        return float(np.std(self.values, ddof=1) / math.sqrt(len(self.values)))

    def half_width(self, confidence: float) -> float:
        """Half the width of `interval`."""
        return float(stats.t.ppf((1 + confidence) / 2, len(self.values) - 1) * self.standard_error)

    def interval(self, confidence: float) -> tuple[float, float]:
        """Student's t confidence interval of the mean over seeds."""
        half = self.half_width(confidence)
        return self.mean - half, self.mean + half

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
        """p of Student's t test of the mean against the bound, two-sided: the interval of confidence c has the bound
        within if this is above 1 - c. Of "within" that of the nearest bound."""
        distance = abs(self.mean - self.nearest_bound)
        if self.standard_error == 0:
            return 0.0 if distance > 0 else 1.0
        return float(2 * stats.t.sf(distance / self.standard_error, len(self.values) - 1))

    @property
    def sign_flip_p(self) -> float:
        """As `p_value`, by flipping the signs of the distances to the bound: the share of all 2^n sign patterns whose
        mean is as far from zero."""
        distances = np.asarray(self.values, dtype=float) - self.nearest_bound
        test = stats.permutation_test(
            (distances,),
            lambda values, axis: np.mean(values, axis=axis),
            permutation_type="samples",
            vectorized=True,
            n_resamples=EXACT_FLIPS,
            random_state=0,
        )
        return float(test.pvalue)

    def power(self, confidence: float) -> float:
        """The chance that an effect as large as the published one would have been seen: that the interval of so many
        seeds, which vary as these do, lies on its side of the bound (non-central t). NaN if none is published."""
        if not self.tested or math.isnan(self.published) or self.side == "within":
            return math.nan
        distance = abs(self.published - self.bound)
        if self.standard_error == 0:
            return 1.0 if distance > 0 else 0.0
        freedom = len(self.values) - 1
        # beyond 35 standard errors the distribution cannot be computed, and the chance is one to all digits shown
        shift = min(distance / self.standard_error, 35.0)
        return float(stats.nct.sf(stats.t.ppf((1 + confidence) / 2, freedom), freedom, shift))


@dataclass(frozen=True)
class Claim:
    """A claim in our words, its section, the rule that decides, and what was measured.

    dataset: the log, "" if it needs none. chapter: the notebook that measures it.
    headline: one of those that count, corrected for each other; all others are descriptive.
    checks: names of the checks of validity without which it is not testable. judged: the runs that it is about, (model,
    embedding, scale); averaged: it is about their mean.
    other_sign: at the base size's learning rate the sign is another; None: that is not asked, or not known.
    corrections: by what the error probability of its intervals is divided; None: the number of its effects, of a
    headline claim 1. failed: what its checks came to, if not all passed. notes: what else is to be said with it.
    """

    name: str
    section: str
    statement: str
    rule: str
    effects: tuple[Effect, ...]
    dataset: str = ""
    chapter: str = ""
    headline: bool = False
    checks: tuple[str, ...] = ()
    judged: tuple[tuple[str, str, int], ...] = ()
    averaged: bool = False
    other_sign: bool | None = None
    corrections: float | None = None
    failed: str = ""
    notes: tuple[str, ...] = ()

    @property
    def confidence(self) -> float:
        """Confidence of each effect's interval."""
        corrections = self.corrections or (1 if self.headline else len(self.effects))
        return 1 - LEVEL / corrections

    @property
    def tested(self) -> bool:
        return all(effect.tested for effect in self.effects)

    @property
    def answers(self) -> list[str]:
        """The answer of each effect, see `Effect.answer`; "-" if the claim may not be judged."""
        if self.failed or not self.tested:
            return ["-"] * len(self.effects)
        return [effect.answer(self.confidence) for effect in self.effects]

    @property
    def verdict(self) -> str:
        if not self.tested:
            return NOT_TESTED
        if self.failed:
            return NOT_TESTABLE
        found = verdict_of(self.answers, self.of_paper)
        return MIXED if self.other_sign and found in (SUPPORTED, CONTRADICTED) else found

    @property
    def reason(self) -> str:
        """What is to be said with the verdict; "" if nothing."""
        if self.verdict == NOT_TESTABLE:
            return self.failed
        parts = ["depends on the learning rate"] * (self.verdict == MIXED and bool(self.other_sign))
        if self.verdict_in_d_prime not in (None, self.verdict):
            parts.append(f"in d' {self.verdict_in_d_prime}")
        return "; ".join([*parts, *self.notes])

    @property
    def verdict_in_d_prime(self) -> str | None:
        """The verdict if distances in AUC were the same in d'; None if no bound is such a distance."""
        if all(math.isnan(effect.in_d_prime) for effect in self.effects):
            return None
        return replace(self, effects=tuple(map(bounded_in_d_prime, self.effects))).verdict

    @property
    def p_value(self) -> float:
        """p of its effects, the largest if there are several."""
        return max(effect.p_value for effect in self.effects)

    @property
    def of_paper(self) -> bool:
        """Is it a claim of the paper, not one of ours or one asked of a further model?"""
        return "not in the paper" not in self.section

    @property
    def command(self) -> str:
        """The command that recomputes it, in a shell at the project's root."""
        log = f" -p dataset {self.dataset}" if self.dataset else ""
        return f"mkdir -p _build && papermill{log} book/{self.chapter}.ipynb _build/{self.chapter}.ipynb"


def verdict_of(answers: Sequence[str], of_paper: bool = True) -> str:
    """From what the effects answer, all of them tested."""
    found = set(answers)
    if found == {"yes"}:
        return SUPPORTED if of_paper else HOLDS
    if found == {"against"}:
        return CONTRADICTED
    if of_paper:
        return MIXED if {"yes", "against"} <= found else INCONCLUSIVE
    return IN_PART if "yes" in found else INCONCLUSIVE


def corrected(claims: Sequence[Claim]) -> list[Claim]:
    """The claims, with Holm's correction over the headline claims of every log.

    Those that are not judged take part with a p-value of one: what is not testable makes nothing else easier.
    """
    found = list(claims)
    for dataset in dict.fromkeys(claim.dataset for claim in claims if claim.headline):
        places = [n for n, claim in enumerate(claims) if claim.headline and claim.dataset == dataset]
        judged = [claims[n].p_value if claims[n].tested and not claims[n].failed else 1.0 for n in places]
        for place, factor in zip(places, holm_factors(judged), strict=True):
            found[place] = replace(claims[place], corrections=factor)
    return found


def holm_factors(p_values: Sequence[float]) -> list[float]:
    """By what every p-value is multiplied to be corrected for all of them, before the product is cut at one (Holm,
    1979)."""
    p = np.asarray(p_values, dtype=float)
    order = np.argsort(p, kind="stable")
    left = np.arange(len(p), 0, -1)  # hypotheses not yet rejected
    adjusted = np.maximum.accumulate(left * p[order])
    factors = np.empty(len(p))
    factors[order] = np.divide(adjusted, p[order], out=left.astype(float), where=p[order] > 0)
    return factors.tolist()


def same_distance(auc: float, distance: float = SIGNIFICANT_AUC) -> float:
    """The distance in AUC at `auc` that is, in d' = sqrt(2) Phi^-1(AUC), what `distance` is at the paper's AUC."""
    at_anchor = stats.norm.ppf(ANCHOR_AUC + distance) - stats.norm.ppf(ANCHOR_AUC)
    return float(stats.norm.cdf(stats.norm.ppf(auc) + at_anchor) - auc)


def bounded_in_d_prime(effect: Effect) -> Effect:
    if math.isnan(effect.in_d_prime):
        return effect
    return replace(effect, bound=math.copysign(effect.in_d_prime, effect.bound))


def difference(a: pd.Series, b: pd.Series) -> list[float]:
    """a - b of the seeds that both have."""
    return (a - b).dropna().tolist()


def ratio(a: pd.Series, b: pd.Series) -> list[float]:
    """a / b of the seeds that both have."""
    return (a / b).dropna().tolist()


def auc_effect(name: str, a: pd.Series, b: pd.Series, side: str, bound: float = 0.0, **further) -> Effect:
    """The difference in AUC a - b, paired by seed; of a bound other than zero with the same distance in d'."""
    paired = pd.concat([a, b], axis=1, keys=["a", "b"]).dropna()
    same = same_distance(paired["b"].mean(), abs(bound)) if bound and len(paired) else math.nan
    return Effect(name, (paired["a"] - paired["b"]).tolist(), side, bound, in_d_prime=same, **further)


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
    name = " ".join(filter(None, [label, f"test AUC, {run_label(*of)} minus {run_label(*over)}"]))
    pair = runs("test_auc", model, *of), runs("test_auc", model, *over)
    published = published_gain(runs.dataset, model, of, over)
    return auc_effect(name, *pair, side, bound, published=published)


def gains_by_seed(runs: Runs, models: Sequence[str], of: tuple[str, int], over: tuple[str, int]) -> pd.DataFrame:
    """The differences in test AUC of `gain`, seed by model, of the seeds that have all."""
    return pd.concat(
        [runs("test_auc", m, *of) - runs("test_auc", m, *over) for m in models], axis=1, keys=models
    ).dropna()


def average_gain(
    runs: Runs, models: Sequence[str], of: tuple[str, int], over: tuple[str, int], side: str, bound: float = 0.0
) -> Effect:
    """As `gain`, of the mean over the models within a seed; published: over those that the paper has."""
    gains = gains_by_seed(runs, models, of, over)
    base = pd.concat([runs("test_auc", model, *over) for model in models], axis=1).loc[gains.index].mean(axis=1)
    known = [value for model in models if not math.isnan(value := published_gain(runs.dataset, model, of, over))]
    without = [float(gains.drop(columns=model).mean(axis=1).mean()) for model in models] if len(gains) else []
    name = f"test AUC, {run_label(*of)} minus {run_label(*over)}, mean of {len(models)} models"
    return auc_effect(
        name,
        base + gains.mean(axis=1),
        base,
        side,
        bound,
        published=float(np.mean(known)) if known else math.nan,
        leaving_one_out=(min(without), max(without)) if without else None,
    )
