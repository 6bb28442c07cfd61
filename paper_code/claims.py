"""Claims of the paper as rules on records: effect, interval over seeds, verdict.

A claim has one or several effects, each measured once per seed, paired by seed where two runs are compared. An effect
holds if its confidence interval (Student's t over seeds, 95 % divided among the claim's effects after Bonferroni) lies
wholly on the claimed side of its bound. All hold: reproduced; some: partly reproduced; none: not reproduced; an effect
with fewer than three seeds: not tested. The ledger judges all claims once more together: `corrected_verdicts`.

When the rules were fixed. Those of the toy experiment and of Appendix B: with the outcome known. All others: before
any record of the laptop profile existed. Something was known by then: a first study of the synthetic logs, of about
300 runs with other code; and the records of DNN, DCNv2 and GDCN on criteo_like with twice the rows, the desktop
profile, which came after the rules of `collapse_claims` and `scalability_claims` and before the others. No rule was
changed after.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape

import numpy as np
import pandas as pd
from scipy import stats

from paper_code.appendix_b import appendix_b_table
from paper_code.experiments import (
    EXPERIMENTS,
    PAPER_MODELS,
    PROFILES,
    RESULTS_FOLDER,
    WEIGHT_DECAYS,
    find,
    seeds_of,
    stored_records,
    toy_results,
)
from paper_code.models import MODEL_LABELS
from paper_code.published import PUBLISHED_AVERAGE_GAIN, published_auc, published_dataset, published_gain
from paper_code.runs import RunRecord
from paper_code.tables import (
    PLAIN,
    field_measures,
    html_table,
    law_correlations,
    log_label,
    pattern_measures,
    results_table,
    set_spread,
)
from paper_code.toy import ToyResult

MINIMUM_SEEDS = 3
# "A slightly higher AUC at 0.001-level is regarded significant" (the paper's footnote 2)
SIGNIFICANT_AUC = 0.001
FALSE_DISCOVERY_RATE = 0.05
ANSWERS = ("yes", "undecided", "against")
NOT_TESTED, REPRODUCED, PARTLY, NOT_REPRODUCED = "not tested", "reproduced", "partly reproduced", "not reproduced"


@dataclass(frozen=True)
class Effect:
    """One measured number of a claim. values: one per seed. side: "below" or "above" the bound, as claimed."""

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
        return high < self.bound if self.side == "below" else low > self.bound

    def answer(self, confidence: float) -> str:
        """Does it hold? "yes"; "against" if its interval lies wholly on the other side of the bound; "undecided" if it
        has the bound within; "-" if it is not tested."""
        if not self.tested:
            return "-"
        if self.holds(confidence):
            return "yes"
        low, high = self.interval(confidence)
        return "undecided" if low <= self.bound <= high else "against"

    @property
    def p_value(self) -> float:
        """Of Student's t test of the mean against the bound, two-sided: the effect holds at confidence c if it lies on
        the claimed side with a p-value below 1 - c. On the other side it is 1."""
        distance = (self.mean - self.bound) * (1 if self.side == "above" else -1)
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

    def records_of(self, model: str, embedding: str = "SE", scale: int | None = None) -> list[RunRecord]:
        """The plain model's records at that size."""
        return [self.records[number] for number in self("number", model, embedding, scale)]


def difference(a: pd.Series, b: pd.Series) -> list[float]:
    """a - b of the seeds that both have."""
    return (a - b).dropna().tolist()


def ratio(a: pd.Series, b: pd.Series) -> list[float]:
    """a / b of the seeds that both have."""
    return (a / b).dropna().tolist()


def toy_claim(small: ToyResult, large: ToyResult) -> Claim:
    """Figure 4."""
    if small.seeds != large.seeds:
        raise ValueError(f"the seeds differ, {small.seeds} and {large.seeds}: expected pairs")
    fall = small.information_abundance[:, -1] - large.information_abundance[:, -1]
    return Claim(
        "toy-collapse",
        "Section 4.1, Figure 4",
        "In the toy experiment, interacting with a low-information-abundance matrix collapses the trained one.",
        "IA(E1) after training is lower with the small field 3 than with the large one, paired by seed.",
        (Effect("IA(E1), small minus large", fall, "below", 0.0),),
        chapter="fig04_toy",
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


# Of records: each takes the records of its experiment, and the data set and sizes that they are meant to hold if some
# may be missing.


def collapse_claims(records: Sequence[RunRecord], dataset: str | None = None, scales=None) -> list[Claim]:
    """Figures 1b and 2."""
    runs = Runs(records, dataset, scales)
    ratios = [float(field_measures([record])["share_of_random"].mean()) for record in runs.records_of("dcnv2")]
    return [
        Claim(
            "embedding-collapse",
            "Section 3, Figures 1b and 2",
            "The information abundance of learned embedding matrices is far below that of random ones.",
            "Learned over random information abundance, averaged over all fields, is below one half.",
            (Effect("IA(learned) / IA(random), mean over fields", ratios, "below", 0.5),),
            runs.dataset,
            "fig02_collapse",
        )
    ]


def law_claims(
    records: Sequence[RunRecord], dataset: str | None = None, scales=None, model: str | None = None
) -> list[Claim]:
    """Figure 3: the interaction-collapse law, of one model at its largest size."""
    runs = Runs(records, dataset, scales)
    model = model or records[0].config["model"]
    found = [law_correlations(record) for record in runs.records_of(model)]
    label, evidence = MODEL_LABELS[model], "Evidence I" if model == "ffm" else "Evidence II"
    return [
        Claim(
            f"interaction-collapse-{model}",
            f"Section 4.1, Finding 1, {evidence}, Figure 3",
            f"{label}: the information abundance of a sub-embedding grows with that of its own field and with that of "
            "the field it interacts with.",
            "Spearman's rank correlation over the fields is above zero in both directions: of IA(E_i) with the mean of "
            "IA(E_i->j) over j; of IA(E_j) with the mean over i of IA(E_i->j) relative to its row's mean. Without "
            "i = j.",
            (
                Effect("rank correlation with the own field, i", [own for own, _ in found], "above", 0.0),
                Effect("rank correlation with the other field, j", [other for _, other in found], "above", 0.0),
            ),
            runs.dataset,
            "fig03_interaction_collapse",
        )
    ]


def evidence_iii_claims(records: Sequence[RunRecord], dataset: str | None = None, scales=None) -> list[Claim]:
    """Figure 5: DCNv2 with projections kept near multiples of unitary matrices."""
    runs = Runs(records, dataset, scales)
    section = "Section 4.2, Evidence III, Figure 5"

    def regularized(value: str, scale: int | None = None) -> pd.Series:
        return runs(value, "dcnv2", scale=scale, variant="unitary")

    def plain(value: str, scale: int | None = None) -> pd.Series:
        return runs(value, "dcnv2", scale=scale)

    higher = tuple(
        Effect(
            f"mean IA, regularised over plain, {size_name(scale)}",
            ratio(regularized("information_abundance", scale), plain("information_abundance", scale)),
            "above",
            1.0,
        )
        for scale in runs.scales
    )
    gains = [of("test_auc") - of("test_auc", 1) for of in (regularized, plain)]
    name = f"test AUC gain of {size_name(runs.largest)} over base, regularised minus plain"
    return [
        Claim(
            "evidence-iii-abundance",
            section,
            "The regularised DCNv2 learns embeddings of higher information abundance.",
            "Mean information abundance over the fields, regularised over plain, is above one at every size, paired by "
            "seed.",
            higher,
            runs.dataset,
            "fig05_regularized",
        ),
        Claim(
            "evidence-iii-scalability",
            section,
            "Its scalability does not improve for that.",
            f"Its gain of the largest size over the base exceeds that of the plain model by less than "
            f"{SIGNIFICANT_AUC}, paired by seed.",
            (Effect(name, difference(*gains), "below", SIGNIFICANT_AUC),),
            runs.dataset,
            "fig05_regularized",
        ),
        Claim(
            "evidence-iii-overfitting",
            section,
            "It overfits in the course of training: the training loss goes on falling while validation AUC drops.",
            f"At the largest size, from the best epoch to the last, the training loss falls, and validation AUC drops "
            f"by more than {SIGNIFICANT_AUC}.",
            (
                Effect("fall of the training loss", regularized("loss_fall").tolist(), "above", 0.0),
                Effect("drop of validation AUC", regularized("auc_drop").tolist(), "above", SIGNIFICANT_AUC),
            ),
            runs.dataset,
            "fig05_regularized",
        ),
    ]


def evidence_iv_claims(records: Sequence[RunRecord], dataset: str | None = None, scales=None) -> list[Claim]:
    """Figure 6: DNN beside DCNv2."""
    runs = Runs(records, dataset, scales)
    section, chapter = "Section 4.2, Evidence IV, Figure 6", "fig06_dnn_dcnv2"
    higher = tuple(
        Effect(
            f"mean IA, DNN over DCNv2, {size_name(scale)}",
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
        ),
        Claim(
            "evidence-iv-auc",
            section,
            "With larger embeddings the AUC of DNN drops, while DCNv2 sustains its own.",
            f"From the base to the largest size the test AUC of DNN falls, and that of DCNv2 does not fall by "
            f"{SIGNIFICANT_AUC}, paired by seed.",
            (
                gain(runs, "dnn", ("SE", runs.largest), ("SE", 1), "below", 0.0, "DNN"),
                gain(runs, "dcnv2", ("SE", runs.largest), ("SE", 1), "above", -SIGNIFICANT_AUC, "DCNv2"),
            ),
            runs.dataset,
            chapter,
        ),
    ]


def finding_2_claims(records: Sequence[RunRecord], dataset: str | None = None, scales=None) -> list[Claim]:
    """Finding 2, of the runs of Evidence III and IV."""
    runs = Runs(records, dataset, scales)
    suppressed = {"regularised DCNv2": ("dcnv2", "unitary"), "DNN": ("dnn", PLAIN)}
    effects = []
    for label, (model, variant) in suppressed.items():

        def of(value: str, scale: int | None = None, model=model, variant=variant) -> pd.Series:
            return runs(value, model, scale=scale, variant=variant)

        higher = ratio(of("information_abundance"), runs("information_abundance", "dcnv2"))
        drop = difference(of("auc_drop"), runs("auc_drop", "dcnv2"))
        growth = difference(of("test_auc"), of("test_auc", 1))
        grown = f"test AUC, {label}, {size_name(runs.largest)} minus base"
        effects += [
            Effect(f"mean IA, {label} over DCNv2", higher, "above", 1.0),
            Effect(grown, growth, "below", SIGNIFICANT_AUC),
            Effect(f"drop of validation AUC, {label} minus DCNv2", drop, "above", 0.0),
        ]
    return [
        Claim(
            "finding-2",
            "Section 4.2, Finding 2",
            "A less collapsed model whose interaction is suppressed does not scale, for it overfits.",
            f"At the largest size, for regularised DCNv2 and for DNN: higher mean information abundance than plain "
            f"DCNv2; a gain over the base below {SIGNIFICANT_AUC}; a larger drop of validation AUC after the best "
            "epoch than plain DCNv2.",
            tuple(effects),
            runs.dataset,
            "fig06_dnn_dcnv2",
        )
    ]


def figure_9_claims(records: Sequence[RunRecord], dataset: str | None = None, scales=None) -> list[Claim]:
    """Figure 9: single and multi embedding DCNv2 at the largest size, and multi embedding with restricted norms."""
    runs = Runs(records, dataset, scales)
    single = runs("information_abundance", "dcnv2")
    of_multi = runs.records_of("dcnv2", "ME")
    patterns = [pattern_measures(record) for record in of_multi]
    size = size_name(runs.largest)
    restricted = difference(runs("test_auc", "dcnv2", "ME"), runs("test_auc", "dcnv2", "ME", variant="norm_divergence"))

    def claim(name: str, letter: str, statement: str, rule: str, *effects: Effect) -> Claim:
        section = f"Section 5.3, Figure 9{letter}"
        return Claim(name, section, statement, rule, effects, runs.dataset, "fig09_analysis")

    return [
        claim(
            "figure-9a",
            "a",
            "Multi embedding has higher information abundance than single embedding of the same size.",
            "Mean information abundance over the fields, multi over single embedding at the largest size, is above "
            "one, for the sets side by side and per set, paired by seed.",
            Effect(
                f"mean IA, ME side by side over SE, {size}",
                ratio(runs("information_abundance", "dcnv2", "ME"), single),
                "above",
                1.0,
            ),
            Effect(
                f"mean IA, ME per set over SE, {size}",
                ratio(runs("abundance_per_set", "dcnv2", "ME"), single),
                "above",
                1.0,
            ),
        ),
        claim(
            "figure-9b",
            "b",
            "The embedding sets vary in information abundance.",
            "The standard deviation over the sets of a field's information abundance, relative to its mean, averaged "
            "over the fields, is larger than before training.",
            Effect("spread over the sets, learned minus initial", list(map(set_spread, of_multi)), "above", 0.0),
        ),
        claim(
            "figure-9c",
            "c",
            "The sets' interactions learn various patterns.",
            "Two sets' patterns, the norms of W_i->j for i other than j, have a correlation below 0.7, at which they "
            "would share half of their variance, and the norms vary more over the sets than before training.",
            Effect("correlation of two sets' patterns", [p["correlation"] for p in patterns], "below", 0.7),
            Effect(
                "spread of a norm over the sets, learned minus initial", [p["spread"] for p in patterns], "above", 0
            ),
        ),
        claim(
            "figure-9d",
            "d",
            "Multi embedding whose interactions' norms are kept alike does not scale as well.",
            "At the largest size multi embedding has a higher test AUC than with the divergence of the norms "
            "restricted, paired by seed.",
            Effect(f"test AUC, ME {size} minus ME {size} restricted", restricted, "above", 0.0),
        ),
    ]


def ablation_claims(records: Sequence[RunRecord], dataset: str | None = None, scales=None) -> list[Claim]:
    """The shared interaction of the paper's later version."""
    runs = Runs(records, dataset, scales)
    shared = runs("test_auc", "dcnv2", "ME", variant="shared_interaction")
    size = size_name(runs.largest)
    name = f"test AUC, ME {size} minus ME {size} with one shared interaction"
    return [
        Claim(
            "own-interactions",
            "later version of the paper",
            "Multi embedding needs an interaction of its own for every set.",
            "At the largest size it has a higher test AUC than with one interaction shared by all sets, paired by "
            "seed.",
            (Effect(name, difference(runs("test_auc", "dcnv2", "ME"), shared), "above", 0.0),),
            runs.dataset,
            "ablations",
        )
    ]


OURS = "ours, not in the paper"


def optimizer_claims(records: Sequence[RunRecord], dataset: str | None = None, scales=None) -> list[Claim]:
    """What collapse, the interaction-collapse law and the gain of multi embedding owe to weight decay.

    The rules are those of the paper's claims, asked of runs without weight decay; and two on what the decay does.
    """
    largest = max(WEIGHT_DECAYS)
    without, coupled = with_training(records, 0.0), with_training(records, largest)
    decoupled = with_training(records, largest, decoupled=True)
    runs = Runs(without, dataset, scales)
    dataset, size = runs.dataset, int(runs.largest)

    def shares(chosen: Sequence[RunRecord]) -> pd.Series:
        single = Runs(chosen, dataset, [size]).records_of("dcnv2")
        shares = [float(field_measures([record])["share_of_random"].mean()) for record in single]
        return pd.Series(shares, [record.config["seed"] for record in single], dtype=float)

    def claim(name: str, statement: str, rule: str, *effects: Effect) -> Claim:
        return Claim(f"optimizer-{name}", OURS, statement, rule, effects, dataset, "optimizer")

    share, label = shares(without), f"DCNv2 {size}x"
    laws = [
        claim(
            f"law-{model}",
            f"The interaction-collapse law of {MODEL_LABELS[model]} is there without weight decay.",
            "As for the paper's claim, on runs without weight decay.",
            *law_claims(runs.records, dataset, [scale], model)[0].effects,
        )
        for model, scale in (("ffm", 1), ("dcnv2", size))
    ]
    return [
        claim(
            "collapse",
            "Embeddings collapse without weight decay.",
            "As for the paper's claim, on runs without weight decay.",
            Effect(f"{label}, IA(learned) / IA(random), mean over fields", share.tolist(), "below", 0.5),
        ),
        *laws,
        claim(
            "gain",
            "Multi embedding is better than single embedding without weight decay.",
            "ME minus SE of the same size is above zero, paired by seed, on runs without weight decay.",
            gain(runs, "dcnv2", ("ME", size), ("SE", size)),
        ),
        claim(
            "coupled",
            "Coupled weight decay deepens the collapse.",
            f"At {largest:g} information abundance is below that without, as shares of random, paired by seed.",
            Effect(f"{label}, share of random, {largest:g} / 0", ratio(shares(coupled), share), "below", 1.0),
        ),
        claim(
            "decoupled",
            "Decoupled weight decay of the same size does not.",
            f"At {largest:g} decoupled, information abundance is within 5 % of that without, paired by seed.",
            *(
                Effect(f"{label}, share of random, {largest:g} decoupled / 0", values, side, bound)
                for values in [ratio(shares(decoupled), share)]
                for side, bound in (("above", 0.95), ("below", 1.05))
            ),
        ),
    ]


def with_training(records: Sequence[RunRecord], weight_decay: float, decoupled: bool = False) -> list[RunRecord]:
    """Those of the records that were trained so."""
    return [
        record
        for record in records
        if (record.config["training"]["weight_decay"], record.config["training"].get("decoupled", False))
        == (weight_decay, decoupled)
    ]


def table_claims(records: Sequence[RunRecord], dataset: str | None = None, scales=None) -> list[Claim]:
    """Tables 1, 3 and 4: what the paper says of its models together."""
    runs = Runs(records, dataset, scales)
    section = f"Section 5.2, Table 1 ({published_dataset(runs.dataset)})"
    chapter = "table4_fig11" if published_dataset(runs.dataset) == "Avazu" else "table3_fig10"
    each = [runs("test_auc", model, "ME") - runs("test_auc", model, scale=1) for model in PAPER_MODELS]
    average = pd.concat(each, axis=1).dropna().mean(axis=1)
    drops = ("dnn", "xdeepfm", "finalmlp")
    return [
        Claim(
            "drops-at-largest",
            section,
            "The test AUC of DNN, xDeepFM and FinalMLP even drops when the single embedding is ten times as large.",
            "The gain of the largest size over the base is below zero for each of the three, paired by seed.",
            tuple(
                gain(runs, model, ("SE", runs.largest), ("SE", 1), "below", 0.0, MODEL_LABELS[model]) for model in drops
            ),
            runs.dataset,
            chapter,
        ),
        Claim(
            "average-gain",
            section,
            "Over all models the largest multi embedding gains significantly over the base.",
            f"The gain, averaged over the six models, is above {SIGNIFICANT_AUC}, paired by seed. (The paper's average "
            "is over both of its data sets.)",
            (
                Effect(
                    f"test AUC, ME {size_name(runs.largest)} minus base, mean of the models",
                    average.tolist(),
                    "above",
                    SIGNIFICANT_AUC,
                    PUBLISHED_AVERAGE_GAIN,
                ),
            ),
            runs.dataset,
            chapter,
        ),
    ]


def scalability_claims(
    records: Sequence[RunRecord], dataset: str | None = None, scales=None, models: Sequence[str] | None = None
) -> list[Claim]:
    """Figure 8 and Table 1: three claims for each of the models; None: those that the records hold."""
    runs = Runs(records, dataset, scales)
    models = models or list(runs.table["model"].unique())
    return [claim for model in models for claim in model_scalability_claims(runs, model)]


def model_scalability_claims(runs: Runs, model: str) -> list[Claim]:
    label, largest = MODEL_LABELS[model], runs.largest
    multi = [scale for scale in runs.scales if scale > 1]
    in_paper = len(published_auc(runs.dataset, [model])) > 0
    published = published_dataset(runs.dataset)
    source = f"Section 5.2, Table 1 ({published})" if in_paper else "as Section 5.2; not in the paper"
    of_table = "table4_fig11" if published == "Avazu" else "table3_fig10"
    chapter = of_table if in_paper else model
    return [
        Claim(
            f"single-embedding-{model}",
            source,
            f"{label}: larger single embeddings do not improve the test AUC satisfactorily.",
            f"The gain of the largest size over the base is below {SIGNIFICANT_AUC}, the paper's significant gain.",
            (gain(runs, model, ("SE", largest), ("SE", 1), "below", SIGNIFICANT_AUC),),
            runs.dataset,
            chapter,
        ),
        Claim(
            f"multi-embedding-better-{model}",
            source,
            f"{label}: multi embedding is better than single embedding at every size.",
            "ME minus SE at the same size is above zero, paired by seed, at every size.",
            tuple(gain(runs, model, ("ME", scale), ("SE", scale)) for scale in multi),
            runs.dataset,
            chapter,
        ),
        Claim(
            f"multi-embedding-scales-{model}",
            source,
            f"{label}: multi embedding improves with size; the largest is best.",
            "The largest ME is better than the base and than every smaller ME, paired by seed.",
            tuple(
                gain(runs, model, ("ME", largest), over)
                for over in [("SE", 1), *(("ME", scale) for scale in multi if scale < largest)]
            ),
            runs.dataset,
            chapter,
        ),
    ]


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


# The ledger

# of which experiment, what to claim of it, and whether on both logs or on the one that stands for Criteo, as the paper
OF_RECORDS: tuple[tuple[str, Callable[..., list[Claim]], dict, bool], ...] = (
    ("collapse", collapse_claims, {}, True),
    ("evidence_i", law_claims, {"model": "ffm"}, True),
    ("evidence_ii", law_claims, {"model": "dcnv2"}, True),
    ("evidence_iii", evidence_iii_claims, {}, False),
    ("evidence_iv", evidence_iv_claims, {}, False),
    ("finding_2", finding_2_claims, {}, False),
    ("tables", table_claims, {}, True),
    ("tables", scalability_claims, {"models": PAPER_MODELS}, True),
    ("patterns", figure_9_claims, {}, False),
    ("ablations", ablation_claims, {}, False),
    ("gdcn", scalability_claims, {"models": ("gdcn",)}, False),
    ("optimizer", optimizer_claims, {}, False),
)


def ledger(
    datasets: Sequence[str],
    profile: str = "laptop",
    seeds: Sequence[int] | str | None = None,
    results_dir: str = RESULTS_FOLDER,
) -> list[Claim]:
    """Every claim, from the records that are there; nothing is trained, and what has no records is "not tested".

    datasets: the log that stands for Criteo and, if wanted, that which stands for Avazu. The toy experiment and
    Appendix B are computed anew.
    """
    settings = find("profile", profile, PROFILES)
    claims = [toy_claim(*toy_results(profile, seeds)), appendix_b_claim(appendix_b_table(seeds_of(profile, seeds)))]
    for experiment, function, further, on_both in OF_RECORDS:
        variants = EXPERIMENTS[experiment](settings.scales)
        scales = sorted({variant.scale * variant.num_sets for variant in variants})
        for dataset in datasets if on_both else datasets[:1]:
            records = stored_records(experiment, dataset, profile, seeds, results_dir)
            claims += function(records, dataset, scales, **further)
    return claims


def claims_table(claims: Sequence[Claim]) -> pd.DataFrame:
    """A row per effect, as text with stable digits: claim, effect, ours, interval, claimed, paper, holds, verdict."""
    rows = []
    for claim in claims:
        for effect in claim.effects:
            digits = "+.5f" if "AUC" in effect.name else ".2f"
            low, high = effect.interval(claim.confidence) if effect.tested else (np.nan, np.nan)
            rows.append(
                {
                    "claim": claim.name,
                    "effect": effect.name,
                    "ours": f"{effect.mean:{digits}}" if len(effect.values) else "-",
                    "interval": f"{low:{digits}} to {high:{digits}}" if effect.tested else "fewer than 3 seeds",
                    "claimed": f"{effect.side} {effect.bound:g}",
                    "paper": "-" if np.isnan(effect.published) else f"{effect.published:{digits}}",
                    "seeds": str(len(effect.values)),
                    "holds": effect.answer(claim.confidence),
                    "verdict": claim.verdict,
                }
            )
    return pd.DataFrame(rows)


def ledger_table(claims: Sequence[Claim]) -> pd.DataFrame:
    """A row per claim: claim, statement, section, data, verdict, verdict corrected for all claims; how many of its
    effects hold, are undecided and are against it, see `Effect.answer`; chapter, command."""
    rows = []
    for claim, corrected in zip(claims, corrected_verdicts(claims), strict=True):
        answers = [effect.answer(claim.confidence) for effect in claim.effects]
        rows.append(
            {
                "claim": claim.name,
                "statement": claim.statement,
                "section": claim.section,
                "data": claim.dataset or "-",
                "verdict": claim.verdict,
                "corrected": corrected,
                **{name: answers.count(name) for name in ANSWERS},
                "chapter": claim.chapter,
                "command": claim.command,
            }
        )
    return pd.DataFrame(rows)


# part of the book, a claim in short, and the beginning of the names of those that it sums up
SUMMARY = (
    ("the phenomenon", "Learned embeddings collapse", "embedding-collapse"),
    ("the phenomenon", "Larger single embeddings do not help enough", "single-embedding"),
    ("the phenomenon", "DNN, xDeepFM, FinalMLP get worse at 10x", "drops-at-largest"),
    ("why it happens", "Toy: a collapsed matrix makes another collapse", "toy-collapse"),
    ("why it happens", "Fields collapse those they interact with: FFM", "interaction-collapse-ffm"),
    ("why it happens", "Fields collapse those they interact with: DCNv2", "interaction-collapse-dcnv2"),
    ("why it happens", "Regularised DCNv2: less collapse, overfitting", "evidence-iii"),
    ("why it happens", "DNN: less collapse, yet its AUC drops", "evidence-iv"),
    ("why it happens", "Less collapse alone does not help (Finding 2)", "finding-2"),
    ("the cure", "Multi beats single embedding at every size", "multi-embedding-better"),
    ("the cure", "Multi embedding improves with size", "multi-embedding-scales"),
    ("the cure", "Multi at 10x gains significantly on average", "average-gain"),
    ("the cure", "Multi embedding collapses less (9a)", "figure-9a"),
    ("the cure", "Embedding sets vary in collapse (9b)", "figure-9b"),
    ("the cure", "Embedding sets learn different patterns (9c)", "figure-9c"),
    ("the cure", "Multi embedding with like patterns scales worse (9d)", "figure-9d"),
    ("the cure", "Embedding sets need interactions of their own", "own-interactions"),
    ("the cure", "Linear multi embedding is single (Appendix B)", "linear-multi-embedding-is-single"),
)


def summary_table(claims: Sequence[Claim]) -> pd.DataFrame:
    """A row per claim in short and data set: part, label, dataset, how many effects hold, are undecided and are against
    it, the verdict, or how many claims have which; chapter, of the first of them."""
    rows = []
    for part, label, name in SUMMARY:
        of_name = [claim for claim in claims if claim.of_paper and claim.name.startswith(name)]
        for dataset in dict.fromkeys(claim.dataset for claim in of_name):
            chosen = [claim for claim in of_name if claim.dataset == dataset]
            answers = [effect.answer(claim.confidence) for claim in chosen for effect in claim.effects]
            rows.append(
                {
                    **{"part": part, "label": label, "dataset": dataset},
                    **{answer: answers.count(answer) for answer in ANSWERS},
                    **{"verdict": tally(chosen), "chapter": chosen[0].chapter},
                }
            )
    return pd.DataFrame(rows)


def summary_texts(claims: Sequence[Claim]) -> dict[str, str]:
    """What the title page says of the paper's claims, by name: how many claims and effects there are, with which
    verdicts and answers; which claims in short are reproduced wherever they were measured (held), which nowhere
    (not_held), and which in between (mixed), with their verdicts."""
    lists = {"held": [], "mixed": [], "not_held": []}
    for _, label, name in SUMMARY:
        verdicts = {claim.verdict for claim in claims if claim.of_paper and claim.name.startswith(name)}
        if verdicts:
            kind = "held" if verdicts == {REPRODUCED} else "not_held" if verdicts == {NOT_REPRODUCED} else "mixed"
            lists[kind].append(label + f" ({tally(claims, name)})" * (kind == "mixed"))
    of_paper = [claim for claim in claims if claim.of_paper]
    answers = [effect.answer(claim.confidence) for claim in of_paper for effect in claim.effects]
    return {
        "verdicts": tally(claims),
        "number_of_claims": str(len(of_paper)),
        "number_of_other_claims": str(len(claims) - len(of_paper)),
        "number_of_effects": str(len(answers)),
        **{f"number_{name}": str(answers.count(name)) for name in ANSWERS},
        **{kind: "; ".join(labels) or "none" for kind, labels in lists.items()},
    }


def summary_html(claims: Sequence[Claim]) -> str:
    """`summary_table` as HTML: a row per claim in short, with the verdict on each data set, and its chapter."""
    table = summary_table(claims)
    logs = [dataset for dataset in dict.fromkeys(table["dataset"]) if dataset]
    rows, parts = [], set()
    for (part, label), group in table.groupby(["part", "label"], sort=False):
        verdicts = {
            row["dataset"]: f'<a href="{row["chapter"]}.html">{badges(row["verdict"])}</a>'
            for row in group.to_dict("records")
        }
        row = {
            "part": "" if part in parts else part,
            "the paper claims": escape(label),
        }
        verdicts = {logs[0]: verdicts[""]} | dict.fromkeys(logs[1:], "needs no log") if "" in verdicts else verdicts
        rows.append(row | {log_label(log): verdicts.get(log, "-") for log in logs})
        parts.add(part)
    return html_table(pd.DataFrame(rows), escape=False)


def tally(claims: Sequence[Claim], name: str = "", dataset: str | None = None) -> str:
    """How many of the paper's claims have which verdict, in words: of those whose name begins so, of that data set.

    Of a single claim its verdict; "-" if there is none.
    """
    chosen = [c for c in claims if c.of_paper and c.name.startswith(name) and dataset in (None, c.dataset)]
    verdicts = [claim.verdict for claim in chosen]
    if len(verdicts) < 2:
        return "".join(verdicts) or "-"
    counts = {verdict: verdicts.count(verdict) for verdict in (REPRODUCED, PARTLY, NOT_REPRODUCED, NOT_TESTED)}
    return ", ".join(f"{count} {verdict}" for verdict, count in counts.items() if count)


def ledger_html(claims: Sequence[Claim]) -> str:
    """The ledger as HTML: a row per claim, with the last of its effects, which is that of the largest size."""
    rows = []
    for claim, row in zip(claims, ledger_table(claims).to_dict("records"), strict=True):
        shown = claims_table([claim]).iloc[-1]
        counts = [f"{row[answer]} {answer}" for answer in ANSWERS]
        if row["corrected"] != claim.verdict:
            counts.append(f"{row['corrected']} if corrected")
        origin = "; ".join(filter(None, [claim.section, log_label(claim.dataset)]))
        ours = f"{shown['ours']} ({shown['interval']})" if claim.verdict != NOT_TESTED else "-"
        rows.append(
            {
                "claim": f'<a href="{claim.chapter}.html">{escape(claim.statement)}</a>{small(origin)}',
                "verdict": f"{badges(claim.verdict)}{small(', '.join(counts))}",
                "ours": f"{ours}{small(shown['effect'])}",
                "paper": shown["paper"],
            }
        )
    return html_table(pd.DataFrame(rows), escape=False)


def small(text: str) -> str:
    """A second line of a table's cell."""
    return f"<br><small>{escape(text)}</small>"


MARKS = {REPRODUCED: "●", PARTLY: "◐", NOT_REPRODUCED: "○", NOT_TESTED: "-"}


def badges(verdicts: str) -> str:
    """A verdict, or several with their numbers as `tally` gives them, as HTML with a mark each."""
    parts = []
    for part in verdicts.split(", "):
        verdict = part.lstrip("0123456789 ")
        kind = verdict.replace(" ", "-")
        parts.append(
            f'<span class="verdict {kind}"><span aria-hidden="true">{MARKS.get(verdict, "")}</span> {part}</span>'
        )
    return "<br>".join(parts)


def claims_html(claims: Sequence[Claim], opened: bool = True) -> str:
    """The claims as HTML: of each its verdict, its words, its rule and its effects as a table.

    opened: the tables show at once; else they unfold.
    """
    parts = []
    for claim in claims:
        effects = claims_table([claim]).drop(columns=["claim", "verdict"])
        answers = list(effects["holds"])
        counts = ", ".join(f"{answers.count(name)} {name}" for name in ANSWERS)
        data = f"; {log_label(claim.dataset)}" if claim.dataset else ""
        parts.append(
            f'<div class="claim"><p>{badges(claim.verdict)} <strong>{escape(claim.statement)}</strong> '
            f"<small>({escape(claim.section)}{escape(data)})</small></p>\n"
            f"<details{' open' * opened}><summary>Rule and effects: {counts}</summary>"
            f"<p>{escape(claim.rule)}</p>\n{html_table(effects)}</details></div>"
        )
    return "\n".join(parts)
