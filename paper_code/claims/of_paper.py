"""The claims of the paper, each a rule on the records of its experiment."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from paper_code.checks import (
    EVIDENCE_III,
    FIGURE_9D,
    LATENT,
    LATENT_LOG,
    LIVE,
    MOST_NORM_CHANGE,
    OF_AUC,
    norm_changes,
)
from paper_code.claims.rules import (
    MINIMUM_SEEDS,
    SIGNIFICANT_AUC,
    Claim,
    Effect,
    auc_effect,
    average_gain,
    difference,
    gain,
    gains_by_seed,
    ratio,
    size_name,
)
from paper_code.experiments import PAPER_MODELS
from paper_code.models import MODEL_LABELS
from paper_code.published import published_auc, published_dataset
from paper_code.runs import RunRecord
from paper_code.tables import (
    PLAIN,
    Runs,
    fishers_z,
    law_correlations,
    law_given_cardinality,
    pattern_measures,
    randomly_projected_abundance,
    set_share,
    set_spread,
    share_of_random,
)
from paper_code.toy import ToyResult

HEADLINE_LOGS = ("criteo_like", "avazu_like", "movielens")
FEW_FIELDS = ("movielens",)
"""Logs on which law and collapse are descriptive: of eight fields, six are functions of two."""
DROPPING = ("dnn", "xdeepfm", "finalmlp")
LARGEST, COMPARED = 10, 4
"""Sizes of the headline claims."""


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


# Of the runs of an experiment, which are told what data set and sizes they are meant to hold if some may be missing.


def on_headline(dataset: str, few_fields: bool = True) -> bool:
    """Does a claim on this log count? few_fields: also where fields are few."""
    return dataset in HEADLINE_LOGS and (few_fields or dataset not in FEW_FIELDS)


def latent_checks(dataset: str) -> tuple[str, ...]:
    """What single embedding has to pass besides where the log is made of latent vectors."""
    return (LATENT,) if dataset == LATENT_LOG else ()


def judged_runs(models: Sequence[str], *sizes: tuple[str, int]) -> tuple[tuple[str, str, int], ...]:
    """Every (model, embedding, scale); the base is single embedding."""
    found = [(model, "SE" if scale == 1 else embedding, scale) for model in models for embedding, scale in sizes]
    return tuple(dict.fromkeys(found))


def collapse_claims(runs: Runs) -> list[Claim]:
    """Figures 1b and 2."""
    ratios = runs.measured(share_of_random, "dcnv2").tolist()
    return [
        Claim(
            "embedding-collapse",
            "Section 3, Figures 1b and 2",
            "The information abundance of learned embedding matrices is far below that of random ones.",
            "Learned over random information abundance, averaged over all fields, is below one half: DCNv2, single "
            "embedding, the largest size.",
            (Effect("IA(learned) / IA(random), mean over fields", ratios, "below", 0.5),),
            runs.dataset,
            "fig02_collapse",
            headline=on_headline(runs.dataset, few_fields=False),
            judged=judged_runs(["dcnv2"], ("SE", runs.largest)),
        )
    ]


def law_effect(runs: Runs, model: str, measure: Callable[[RunRecord], float], name: str) -> Effect:
    """Fisher's z of a rank correlation of single embedding at the largest size, claimed to be above zero."""

    def z(record: RunRecord) -> float:
        return fishers_z(measure(record), len(record.fields))

    words = f"{MODEL_LABELS[model]} {size_name(runs.largest)}, {name}, Fisher's z"
    return Effect(words, runs.measured(z, model).tolist(), "above", 0.0)


def with_own_field(record: RunRecord) -> float:
    return law_correlations(record)[0]


def with_other_field(record: RunRecord) -> float:
    return law_correlations(record)[1]


def of_control(record: RunRecord) -> float:
    """As `with_other_field`, were the sub-embeddings random projections."""
    return law_correlations(record, randomly_projected_abundance(record))[1]


def law_claim(of_ffm: Runs, of_dcnv2: Runs) -> list[Claim]:
    """Figure 3: the interaction-collapse law, of FFM and of DCNv2 as one claim, each at its largest size."""
    pair = {"ffm": of_ffm, "dcnv2": of_dcnv2}
    words = "rank correlation with the other field"
    return [
        Claim(
            "law",
            "Section 4.1, Finding 1, Figure 3",
            "The information abundance of a sub-embedding grows with that of the field that it interacts with.",
            "Of FFM at the base and DCNv2 at the largest size: Fisher's z of Spearman's rank correlation over the "
            "fields of IA(E_j) with the mean over i of IA(E_i->j) relative to its row's mean, without i = j, is above "
            "zero for both.",
            tuple(law_effect(runs, model, with_other_field, words) for model, runs in pair.items()),
            of_ffm.dataset,
            "fig03_interaction_collapse",
            headline=on_headline(of_ffm.dataset, few_fields=False),
            checks=(LIVE,),
            judged=(("ffm", "SE", of_ffm.largest), ("dcnv2", "SE", of_dcnv2.largest)),
        )
    ]


def law_claims(runs: Runs, model: str) -> list[Claim]:
    """The law of one model at its largest size, and what else its rank correlations could come from."""
    label = MODEL_LABELS[model]
    evidence = {"ffm": "Evidence I", "dcnv2": "Evidence II"}.get(model)
    section = f"Section 4.1, Finding 1, {evidence}, Figure 3" if evidence else "as Finding 1; not in the paper"
    chapter = "fig03_interaction_collapse" if evidence else "newer"
    other = law_effect(runs, model, with_other_field, "rank correlation with the other field")
    control = law_effect(runs, model, of_control, "")

    def claim(name: str, statement: str, rule: str, effect: Effect, section: str = section) -> Claim:
        return Claim(
            f"interaction-collapse-{model}{name}",
            section,
            f"{label}: {statement}",
            rule,
            (effect,),
            runs.dataset,
            chapter,
            checks=(LIVE,),
            judged=judged_runs([model], ("SE", runs.largest)),
        )

    ours = "ours, not in the paper"
    return [
        claim(
            "",
            "the information abundance of a sub-embedding grows with that of the field that it interacts with.",
            "Fisher's z of Spearman's rank correlation over the fields of IA(E_j) with the mean over i of IA(E_i->j) "
            "relative to its row's mean, without i = j, is above zero.",
            other,
        ),
        claim(
            "-own",
            "it grows with that of its own field.",
            "The same of IA(E_i) with the mean of IA(E_i->j) over j. Random projections of the embeddings give it too.",
            law_effect(runs, model, with_own_field, "rank correlation with the own field"),
        ),
        claim(
            "-given-cardinality",
            "the law is not that of fields with many values alone.",
            "The partial rank correlation with the other field, given the logarithm of the cardinality, is above zero.",
            law_effect(runs, model, law_given_cardinality, "partial rank correlation with the other field"),
            ours,
        ),
        claim(
            "-above-control",
            "the law is more than what random projections of the same embeddings show.",
            "Fisher's z of the rank correlation with the other field exceeds that of random projections, by seed.",
            replace(
                other,
                name=f"{other.name}, minus that of random projections",
                values=np.subtract(other.values, control.values).tolist(),
            ),
            ours,
        ),
    ]


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
            f"mean IA, {regularised} over plain, {size_name(scale)}",
            ratio(regularized("information_abundance", scale), plain("information_abundance", scale)),
            "above",
            1.0,
        )
        for scale in runs.scales
    ]
    gains = [of("test_auc") - of("test_auc", 1) for of in (regularized, plain)]
    size = size_name(runs.largest)
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
    """Of AUCs by seed, see `auc_effect`."""
    return auc_effect("", auc, auc, "above", SIGNIFICANT_AUC).in_d_prime


def evidence_iv_claims(runs: Runs) -> list[Claim]:
    """Figure 6: DNN beside DCNv2."""
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
        grown = f"test AUC, gain of {size_name(runs.largest)} over base, {label} minus DCNv2"
        effects += [
            Effect(f"mean IA, {label} over DCNv2", higher, "above", 1.0),
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


def figure_9_claims(runs: Runs) -> list[Claim]:
    """Figure 9, at the largest size: single and multi embedding DCNv2, independently trained models in place of sets,
    and multi embedding with restricted norms."""
    size, several = size_name(runs.largest), ("dcnv2", "ME", runs.largest)

    def over_independent(measure: Callable[[RunRecord], float]) -> list[float]:
        of_sets, of_models = (runs.measured(measure, *several, variant) for variant in (PLAIN, "ensemble"))
        return difference(of_sets, of_models)

    def of_pattern(record: RunRecord) -> float:
        return pattern_measures(record)["spread"]

    def claim(name: str, letter: str, statement: str, rule: str, *effects: Effect, checks=()) -> Claim:
        section, judged = f"Section 5.3, Figure 9{letter}", (several,)
        return Claim(
            name, section, statement, rule, effects, runs.dataset, "fig09_analysis", checks=checks, judged=judged
        )

    per_set = ratio(runs.measured(set_share, *several), runs.measured(share_of_random, "dcnv2"))
    side_by_side = ratio(runs.measured(share_of_random, *several), runs.measured(share_of_random, "dcnv2"))
    unlike, alike = runs("test_auc", *several), runs("test_auc", *several, "norm_divergence")
    return [
        claim(
            "figure-9a",
            "a",
            "Multi embedding has higher information abundance than single embedding of the same size.",
            "Information abundance over that of random matrices of the same shape, mean over the fields, multi over "
            "single embedding at the largest size, is above one, per set and for the sets side by side, paired by "
            "seed.",
            Effect(f"IA over random, ME per set over SE, {size}", per_set, "above", 1.0),
            Effect(f"IA over random, ME side by side over SE, {size}", side_by_side, "above", 1.0),
        ),
        claim(
            "figure-9b",
            "b",
            "The embedding sets vary in information abundance.",
            "The standard deviation over the sets of a field's information abundance, relative to its mean, averaged "
            "over the fields, exceeds that over as many base models trained independently on the same rows.",
            Effect("spread over the sets minus over models", over_independent(set_spread), "above", 0.0),
        ),
        claim(
            "figure-9c",
            "c",
            "The sets' interactions learn various patterns.",
            "The norms of W_i->j, for i other than j, vary more over the sets, relative to their mean, than over as "
            "many base models trained independently on the same rows.",
            Effect("spread of a norm over the sets minus over models", over_independent(of_pattern), "above", 0.0),
            checks=(LIVE,),
        ),
        claim(
            "figure-9d",
            "d",
            "Multi embedding whose interactions' norms are kept alike does not scale as well.",
            "At the largest size multi embedding has a higher test AUC than with the divergence of the norms "
            "restricted, paired by seed.",
            auc_effect(f"test AUC, ME {size} minus ME {size} restricted", unlike, alike, "above"),
            checks=(*OF_AUC, LIVE, FIGURE_9D),
        ),
    ]


def ablation_claims(runs: Runs) -> list[Claim]:
    """The shared interaction of the paper's later version."""
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
            (auc_effect(name, runs("test_auc", "dcnv2", "ME"), shared, "above"),),
            runs.dataset,
            "ablations",
            checks=OF_AUC,
            judged=judged_runs(["dcnv2"], ("ME", runs.largest)),
        )
    ]


# Averages over the six models: name -> its models, (embedding, scale) compared, side, what it says, the same at 4x
AVERAGES = {
    "single": (
        PAPER_MODELS,
        ("SE", LARGEST),
        ("SE", 1),
        "below",
        "A single embedding ten times as large has a lower test AUC, on the average of six models",
        ("SE", COMPARED),
    ),
    "drops": (
        DROPPING,
        ("SE", LARGEST),
        ("SE", 1),
        "below",
        "The test AUC of DNN, xDeepFM and FinalMLP drops when the single embedding is ten times as large, on their "
        "average",
        ("SE", COMPARED),
    ),
    "multi-4x": (
        PAPER_MODELS,
        ("ME", COMPARED),
        ("SE", COMPARED),
        "above",
        "Multi embedding is better than single embedding at 4x, on the average of six models",
        ("ME", COMPARED),
    ),
    "multi-10x": (
        PAPER_MODELS,
        ("ME", LARGEST),
        ("SE", LARGEST),
        "above",
        "Multi embedding is better than single embedding at 10x, on the average of six models",
        ("ME", COMPARED),
    ),
}


def average_claims(runs: Runs, at_base_rate: Runs) -> list[Claim]:
    """Section 5.2, Tables 1, 3 and 4, of the models together.

    at_base_rate: of the runs at 4x at the learning rate of the base size.
    """
    published = published_dataset(runs.dataset)
    claims = []
    for name, (models, of, over, side, statement, of_4x) in AVERAGES.items():
        checks = (*OF_AUC, *latent_checks(runs.dataset)) if name in ("single", "drops") else OF_AUC
        claims.append(
            Claim(
                f"average-{name}",
                f"Section 5.2, Table 1 ({published})",
                f"{statement}.",
                f"The difference in test AUC, averaged over the models within a seed, is {side} zero.",
                (average_gain(runs, models, of, over, side),),
                runs.dataset,
                "table4_fig11" if published == "Avazu" else "table3_fig10",
                headline=on_headline(runs.dataset),
                checks=checks,
                judged=judged_runs(models, of, over),
                averaged=True,
                other_sign=sign_changes(runs, at_base_rate, models, of_4x[0]),
            )
        )
    return claims


def sign_changes(runs: Runs, at_base_rate: Runs, models: Sequence[str], embedding: str) -> bool | None:
    """Is the sign of the average at 4x another if single and multi embedding are trained at the base size's rate?

    embedding: SE, of single embedding less the base; ME, of multi less single embedding. None with fewer than three
    seeds.
    """
    of, over = (embedding, COMPARED), ("SE", 1 if embedding == "SE" else COMPARED)
    series = {}
    for kind, source in {"chosen": runs, "base": at_base_rate}.items():
        for model in models:
            base = (runs if over[1] == 1 else source)("test_auc", model, *over)
            series[kind, model] = source("test_auc", model, *of) - base
    table = pd.concat(series, axis=1).dropna()
    if len(table) < MINIMUM_SEEDS:
        return None
    means = table.mean()
    return bool(np.sign(means["chosen"].mean()) != np.sign(means["base"].mean()))


def over_logs_claims(of_logs: Sequence[Runs]) -> list[Claim]:
    """The same averages over the mean of the headline logs that have runs, against what the paper calls significant."""
    of_logs = [runs for runs in of_logs if on_headline(runs.dataset) and runs.records]
    if not of_logs:
        return []
    names = " and ".join(runs.dataset for runs in of_logs)
    claims = []
    for name, (models, of, over, side, statement, _) in AVERAGES.items():
        of_each = [average_gain(runs, models, of, over, side, SIGNIFICANT_AUC) for runs in of_logs]
        by_seed = [gains_by_seed(runs, models, of, over).mean(axis=1) for runs in of_logs]
        effect = Effect(
            f"{of_each[0].name}, mean over {names}",
            pd.concat(by_seed, axis=1).dropna().mean(axis=1).tolist(),
            side,
            SIGNIFICANT_AUC,
            in_d_prime=float(np.mean([of_log.in_d_prime for of_log in of_each])),
        )
        of_latent = latent_checks(LATENT_LOG) if LATENT_LOG in names and over == ("SE", 1) else ()
        claims.append(
            Claim(
                f"logs-{name}",
                "Section 5.2, Table 1",
                f"{statement}, over the logs by what the paper calls significant.",
                f"The difference in test AUC, averaged over the models and over the logs within a seed, is {side} "
                f"{SIGNIFICANT_AUC}.",
                (effect,),
                chapter="table3_fig10",
                checks=(*OF_AUC, *of_latent),
                judged=judged_runs(models, of, over),
                averaged=True,
            )
        )
    return claims


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
            "ME minus SE at the same size is above zero, paired by seed, at every size.",
            *(gain(runs, model, ("ME", scale), ("SE", scale)) for scale in multi),
            sizes=[(embedding, scale) for scale in multi for embedding in ("SE", "ME")],
        ),
        claim(
            "multi-embedding-scales",
            "multi embedding improves with size; the largest is best.",
            "The largest ME is better than the base and than every smaller ME, paired by seed.",
            *(
                gain(runs, model, ("ME", largest), over)
                for over in [("SE", 1), *(("ME", scale) for scale in multi if scale < largest)]
            ),
            sizes=[("SE", 1), *(("ME", scale) for scale in multi)],
        ),
    ]
