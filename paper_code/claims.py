"""Claims of the paper as rules on records: effect, interval over seeds, verdict.

The rules were fixed before any record of the laptop sweep was looked at, while it was running; trial runs of one epoch
and at the smoke profile had been seen by then, and so had the toy experiment's result. They are not changed after.

A claim has one or several effects, each measured once per seed. An effect holds if its confidence interval (Student's
t over seeds, 95 % divided among the claim's effects after Bonferroni) lies wholly on the claimed side of its bound. All
hold: reproduced; some: partly reproduced; none: not reproduced; fewer than three seeds: not tested.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

import numpy as np
import pandas as pd
from scipy import stats

from paper_code.experiments import field_measures, html_table, results_table
from paper_code.models import MODEL_LABELS
from paper_code.published import published_auc, published_dataset, published_gain
from paper_code.runs import RunRecord
from paper_code.toy import ToyResult

MINIMUM_SEEDS = 3
# "A slightly higher AUC at 0.001-level is regarded significant" (the paper's footnote 2)
SIGNIFICANT_AUC = 0.001


@dataclass(frozen=True)
class Effect:
    """One measured number of a claim. values: one per seed. side: "below" or "above" the bound, as claimed."""

    name: str
    values: Sequence[float]
    side: str
    bound: float
    published: float = float("nan")

    @property
    def mean(self) -> float:
        """Over seeds."""
        return float(np.mean(self.values))

    def interval(self, confidence: float) -> tuple[float, float]:
        """Student's t confidence interval of the mean over seeds."""
        values = np.asarray(self.values, dtype=float)
        half = stats.t.ppf((1 + confidence) / 2, len(values) - 1) * values.std(ddof=1) / np.sqrt(len(values))
        return float(values.mean() - half), float(values.mean() + half)

    def holds(self, confidence: float) -> bool:
        low, high = self.interval(confidence)
        return high < self.bound if self.side == "below" else low > self.bound


@dataclass(frozen=True)
class Claim:
    """A claim of the paper in our words, its section, the rule that decides, and what was measured."""

    name: str
    section: str
    statement: str
    rule: str
    effects: tuple[Effect, ...]

    @property
    def confidence(self) -> float:
        """Of each effect's interval: 95 % for all together."""
        return 1 - 0.05 / len(self.effects)

    @property
    def verdict(self) -> str:
        if min(len(effect.values) for effect in self.effects) < MINIMUM_SEEDS:
            return "not tested"
        held = [effect.holds(self.confidence) for effect in self.effects]
        return "reproduced" if all(held) else "partly reproduced" if any(held) else "not reproduced"


def toy_claim(small: ToyResult, large: ToyResult) -> Claim:
    """Figure 4."""
    if small.seeds != large.seeds:
        raise ValueError(f"the seeds differ, {small.seeds} and {large.seeds}: expected pairs")
    difference = small.information_abundance[:, -1] - large.information_abundance[:, -1]
    return Claim(
        "toy-collapse",
        "Section 4.1, Figure 4",
        "In the toy experiment, interacting with a low-information-abundance matrix collapses the trained one.",
        "IA(E1) after training is lower with the small field 3 than with the large one, paired by seed.",
        (Effect("IA(E1), small minus large", difference, "below", 0.0),),
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
    )


def collapse_claim(records: Sequence[RunRecord]) -> Claim:
    """Figures 1b and 2. records: of one model and size, one per seed."""
    ratios = [float(field_measures([record])["share_of_random"].mean()) for record in records]
    return Claim(
        "embedding-collapse",
        "Section 3, Figures 1b and 2",
        "The information abundance of learned embedding matrices is far below that of random ones.",
        "Learned over random information abundance, averaged over all fields, is below one half.",
        (Effect("IA(learned) / IA(random), mean over fields", ratios, "below", 0.5),),
    )


def scalability_claims(records: Sequence[RunRecord]) -> list[Claim]:
    """Figure 8 and Table 1: three claims for each model that the records hold."""
    table = results_table(records)
    dataset = table["dataset"].iloc[0]
    return [claim for model in table["model"].unique() for claim in model_scalability_claims(table, dataset, model)]


def model_scalability_claims(table: pd.DataFrame, dataset: str, model: str) -> list[Claim]:
    runs = table[table["model"] == model]
    auc = runs.pivot(index="seed", columns=["embedding", "scale"], values="test_auc").dropna()
    label, multi = MODEL_LABELS[model], sorted(scale for embedding, scale in auc.columns if embedding == "ME")
    largest = max(multi)

    def gain(of: tuple[str, int], over: tuple[str, int], bound: float = 0.0, side: str = "above") -> Effect:
        name = f"test AUC, {of[0]} {of[1]}x minus {over[0]} {over[1]}x".replace("SE 1x", "base")
        return Effect(name, auc[of] - auc[over], side, bound, published_gain(dataset, model, of, over))

    in_paper = len(published_auc(dataset, [model])) > 0
    source = f"Section 5.2, Table 1 ({published_dataset(dataset)})" if in_paper else "as Section 5.2; not in the paper"
    return [
        Claim(
            f"single-embedding-{model}",
            source,
            f"{label}: larger single embeddings do not improve the test AUC satisfactorily.",
            f"The gain of the largest size over the base is below {SIGNIFICANT_AUC}, the paper's significant gain.",
            (gain(("SE", largest), ("SE", 1), SIGNIFICANT_AUC, "below"),),
        ),
        Claim(
            f"multi-embedding-better-{model}",
            source,
            f"{label}: multi embedding is better than single embedding at every size.",
            "ME minus SE at the same size is above zero, paired by seed, at every size.",
            tuple(gain(("ME", scale), ("SE", scale)) for scale in multi),
        ),
        Claim(
            f"multi-embedding-scales-{model}",
            source,
            f"{label}: multi embedding improves with size; the largest is best.",
            "The largest ME is better than the base and than every smaller ME, paired by seed.",
            tuple(gain(("ME", largest), over) for over in [("SE", 1), *(("ME", s) for s in multi if s < largest)]),
        ),
    ]


def claims_table(claims: Sequence[Claim]) -> pd.DataFrame:
    """A row per effect, as text with stable digits: claim, effect, ours, interval, claimed, paper, holds, verdict."""
    rows = []
    for claim in claims:
        for effect in claim.effects:
            tested = len(effect.values) >= MINIMUM_SEEDS
            digits, published_digits = ("+.4f", "+.5f") if "AUC" in effect.name else (".2f", ".2f")
            low, high = effect.interval(claim.confidence) if tested else (np.nan, np.nan)
            rows.append(
                {
                    "claim": claim.name,
                    "effect": effect.name,
                    "ours": f"{effect.mean:{digits}}",
                    "interval": f"{low:{digits}} to {high:{digits}}" if tested else "fewer than 3 seeds",
                    "claimed": f"{effect.side} {effect.bound:g}",
                    "paper": "-" if np.isnan(effect.published) else f"{effect.published:{published_digits}}",
                    "holds": ("yes" if effect.holds(claim.confidence) else "no") if tested else "-",
                    "verdict": claim.verdict,
                }
            )
    return pd.DataFrame(rows)


def claims_html(claims: Sequence[Claim]) -> str:
    """The claims as HTML: of each its words, its rule, its verdict and its effects as a table."""
    parts = []
    for claim in claims:
        effects = claims_table([claim]).drop(columns=["claim", "verdict"])
        parts.append(
            f"<p><strong>{escape(claim.statement)}</strong> ({escape(claim.section)})<br>"
            f"Rule: {escape(claim.rule)} Verdict: <strong>{claim.verdict}</strong>.</p>\n{html_table(effects)}"
        )
    return "\n".join(parts)
