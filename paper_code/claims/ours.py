"""Claims of our own: what the paper does not ask.

When the rules were fixed: before the runs that decide them, with these exceptions. All runs of `alternatives-time`
existed, and of `alternatives-shared` those of DCNv2 on criteo_like; so did GDCN's, of which the law was asked later. Of
the map eight runs of seed 0, at one noise and one number of patterns, were made before to see what they cost. What lies
"within" a bound was two effects at first, one for either side, of which a clear difference fulfilled one; it became
one effect with the same bounds when `optimizer-decoupled` was known on criteo_like, and before the results of the
released code's runs were looked at.
"""

from collections.abc import Sequence

import pandas as pd

from paper_code.claims.of_paper import law_claims, scalability_claims
from paper_code.claims.rules import SIGNIFICANT_AUC, Claim, Effect, Runs, difference, gain, ratio, size_name
from paper_code.experiments import WEIGHT_DECAYS, newer, up_to_4
from paper_code.models import MODEL_LABELS
from paper_code.reach import alternatives_table, complete_seeds, map_correlations, map_table, single_at_time
from paper_code.runs import RunRecord
from paper_code.tables import PLAIN, share_of_random

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
        shares = [share_of_random(record) for record in single]
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
            Effect(
                f"{label}, share of random, {largest:g} decoupled / 0, less one",
                [value - 1 for value in ratio(shares(decoupled), share)],
                "within",
                0.05,
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


# variants of the released code's chapter
OTHER_CHOICES = {
    "embedding_std 1.0": "embeddings start normal, deviation 1",
    "embedding_std 0.0001": "embeddings start normal, deviation 0.0001",
    "shuffle": "rows shuffled anew in every epoch",
    "vocabulary train": "values counted on the training rows only",
    "vocabulary all": "values counted on the test rows too",
}


def released_claims(records: Sequence[RunRecord], dataset: str | None = None, scales=None) -> list[Claim]:
    """What the differences between the paper and the authors' code, and what the paper leaves open, are worth."""
    runs = Runs(records, dataset, scales)
    size = runs.largest
    claims = []
    for variant, words in OTHER_CHOICES.items():
        effects = []
        for embedding in ("SE", "ME"):
            of = runs("test_auc", "dnn", embedding, size, variant), runs("test_auc", "dnn", embedding, size)
            name = f"test AUC, DNN {embedding} {size_name(size)}, {words}, minus as it is"
            effects.append(Effect(name, difference(*of), "within", SIGNIFICANT_AUC))
        claims.append(
            Claim(
                f"released-{variant.replace(' ', '-').replace('_', '-')}",
                OURS,
                f"It does not matter: {words}.",
                f"Test AUC changes by less than {SIGNIFICANT_AUC}, with single and multi embedding, paired by seed.",
                tuple(effects),
                runs.dataset,
                "released",
            )
        )
    forms = runs("test_auc", "ipnn", "ME", size, "released_form"), runs("test_auc", "ipnn", "ME", size)
    name = f"test AUC, IPNN ME {size_name(size)}, products only minus with the concatenation"
    gains = [
        gain_of(runs, "dnn", size, variant, f"DNN, {words}")
        for variant, words in {PLAIN: "as it is", **OTHER_CHOICES}.items()
    ]
    return [
        *claims,
        Claim(
            "released-ipnn",
            OURS,
            "It does not matter: IPNN with several sets keeps only the inner products, as in the authors' code.",
            f"Test AUC changes by less than {SIGNIFICANT_AUC}, paired by seed.",
            (Effect(name, difference(*forms), "within", SIGNIFICANT_AUC),),
            runs.dataset,
            "released",
        ),
        Claim(
            "released-gain",
            OURS,
            "Multi embedding is better than single embedding under every one of these choices.",
            "ME minus SE of the same size is above zero, paired by seed, for DNN.",
            tuple(gains),
            runs.dataset,
            "released",
        ),
    ]


def gain_of(runs: Runs, model: str, size: int, variant: str, label: str) -> Effect:
    multi, single = (runs("test_auc", model, embedding, size, variant) for embedding in ("ME", "SE"))
    return Effect(
        f"test AUC, ME {size_name(size)} minus SE {size_name(size)}, {label}", difference(multi, single), "above", 0.0
    )


def map_claims(records: Sequence[RunRecord], dataset: str | None = None, scales=None) -> list[Claim]:
    """Where multi embedding helps: over noise, rows, K and P of a synthetic log."""
    table = complete_seeds(map_table(records))
    dataset = dataset or records[0].config["data"]["name"]
    if set(table["dataset"]) - {dataset}:
        raise ValueError(f"records of {', '.join(table['dataset'].unique())}: expected those of {dataset}")
    by_seed = table.groupby("seed")[["gain", "share", "multi_share"]].mean()

    def claim(name: str, statement: str, rule: str, *effects: Effect) -> Claim:
        return Claim(f"map-{name}", OURS, statement, rule, effects, dataset, "reach")

    return [
        claim(
            "gain",
            "Multi embedding is better than single embedding of the same size, on the average of the map.",
            "The gain in test AUC, averaged over all points, is above zero.",
            Effect("test AUC, ME minus SE, mean over the map", by_seed["gain"].tolist(), "above", 0.0),
        ),
        claim(
            "relief",
            "Multi embedding collapses less than single embedding of the same size, on the average of the map.",
            "Information abundance as a share of random, multi over single embedding, means over all points, is above "
            "one.",
            Effect("share of random, ME / SE", ratio(by_seed["multi_share"], by_seed["share"]), "above", 1.0),
        ),
        claim(
            "where-the-collapse-is",
            "The gain is where the collapse is.",
            "Spearman's rank correlation over the points of the gain with single embedding's share of random is below "
            "zero.",
            Effect("rank correlation of gain and share of random", map_correlations(table).tolist(), "below", 0.0),
        ),
    ]


def alternatives_claims(
    records: Sequence[RunRecord], dataset: str | None = None, scales=None, references: Sequence[RunRecord] = ()
) -> list[Claim]:
    """Multi embedding beside what else its parameters and its time could buy.

    references: from which the seconds of runs made on a GPU are estimated.
    """
    runs = Runs(records, dataset, scales)
    size, models = max(up_to_4(runs.scales)), ("dnn", "dcnv2")
    table = alternatives_table(records, references)

    def multi(model: str, variant: str = PLAIN) -> pd.Series:
        return runs("test_auc", model, "ME", size, variant)

    def at_its_time(model: str) -> pd.Series:
        of_multi = table[(table["model"] == model) & (table["kind"] == "multi")]
        return single_at_time(table, model, of_multi["seconds"].mean())

    def claim(name: str, what: str, rule: str, other) -> Claim:
        effects = [
            Effect(
                f"test AUC, {MODEL_LABELS[m]} ME {size_name(size)} minus {what}",
                difference(multi(m), other(m)),
                "above",
                0.0,
            )
            for m in models
        ]
        statement = f"Multi embedding is better than {what}."
        return Claim(f"alternatives-{name}", OURS, statement, rule, tuple(effects), runs.dataset, "reach")

    of_models = "paired by seed, for DNN and for DCNv2"
    return [
        claim(
            "time",
            "a single embedding of the same run time",
            "Its test AUC is above that of the single embedding whose runs take as long, read off between the sizes, "
            f"{of_models}. Seconds of one core for a whole run; of a run made on a GPU they are estimated.",
            at_its_time,
        ),
        claim(
            "ensemble",
            "an ensemble of as many base models",
            f"Its test AUC is above that of the ensemble, {of_models}.",
            lambda model: multi(model, "ensemble"),
        ),
        claim(
            "shared",
            "as many sets with one shared interaction",
            f"Its test AUC is above that with the shared interaction, {of_models}.",
            lambda model: multi(model, "shared_interaction"),
        ),
    ]


def newer_claims(records: Sequence[RunRecord], dataset: str | None = None, scales=None) -> list[Claim]:
    """The paper's claims asked of interactions that came after it: law, and scalability."""
    claims = []
    for model in ("gdcn", "rankmixer"):
        of_model = [record for record in records if record.config["model"] == model]
        sizes = scales and sorted({run.scale * run.num_sets for run in newer(scales) if run.model == model})
        claims += law_claims(of_model, dataset, sizes, model) + scalability_claims(of_model, dataset, sizes, (model,))
    return claims
