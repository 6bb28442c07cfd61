"""The claims of the paper, each a rule on the records of its experiment."""

from collections.abc import Sequence

import pandas as pd

from paper_code.claims.rules import SIGNIFICANT_AUC, Claim, Effect, Runs, difference, gain, ratio, size_name
from paper_code.experiments import PAPER_MODELS
from paper_code.models import MODEL_LABELS
from paper_code.published import PUBLISHED_AVERAGE_GAIN, published_auc, published_dataset
from paper_code.runs import RunRecord
from paper_code.tables import PLAIN, law_correlations, pattern_measures, set_spread, share_of_random
from paper_code.toy import ToyResult


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
    ratios = [share_of_random(record) for record in runs.records_of("dcnv2")]
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
    evidence = {"ffm": "Evidence I", "dcnv2": "Evidence II"}.get(model)
    return [
        Claim(
            f"interaction-collapse-{model}",
            f"Section 4.1, Finding 1, {evidence}, Figure 3" if evidence else "as Finding 1; not in the paper",
            f"{MODEL_LABELS[model]}: the information abundance of a sub-embedding grows with that of its own field and "
            "with that of the field it interacts with.",
            "Spearman's rank correlation over the fields is above zero in both directions: of IA(E_i) with the mean of "
            "IA(E_i->j) over j; of IA(E_j) with the mean over i of IA(E_i->j) relative to its row's mean. Without "
            "i = j.",
            (
                Effect("rank correlation with the own field, i", [own for own, _ in found], "above", 0.0),
                Effect("rank correlation with the other field, j", [other for _, other in found], "above", 0.0),
            ),
            runs.dataset,
            "fig03_interaction_collapse" if evidence else "newer",
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
    chapter = of_table if in_paper else "newer"
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
