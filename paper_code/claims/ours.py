"""Claims of our own: what the paper does not ask.

When the rules were fixed: before the runs that decide them, with these exceptions. All runs of `alternatives-time`
existed, and of `alternatives-shared` those of DCNv2 on criteo_like; so did GDCN's, of which the law was asked later. Of
the map eight runs of seed 0, at one noise and one number of patterns, were made before to see what they cost. What lies
"within" a bound was two effects at first, one for either side, of which a clear difference fulfilled one; it became
one effect with the same bounds when `optimizer-decoupled` was known on criteo_like, and before the results of the
released code's runs were looked at. Those on permuted labels and controls are of the second regime, whose page has
them, and were fixed before its runs.
"""

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd

from paper_code.checks import LIVE, OF_AUC
from paper_code.claims.of_paper import COMPARED, judged_runs, law_claims, scalability_claims
from paper_code.claims.rules import SIGNIFICANT_AUC, Claim, Effect, auc_effect, gain, ratio, size_name
from paper_code.experiments import WEIGHT_DECAYS, newer, up_to_4
from paper_code.models import MODEL_LABELS
from paper_code.reach import alternatives_table, complete_seeds, map_correlations, map_table, single_at_time
from paper_code.runs import RunRecord
from paper_code.tables import PLAIN, Runs, embedding_decay, field_abundance, share_of_random

OURS = "ours, not in the paper"


def optimizer_claims(every: Runs) -> list[Claim]:
    """What collapse, the interaction-collapse law and the gain of multi embedding owe to weight decay.

    The rules are those of the paper's claims, asked of runs without weight decay; and two on what the decay does.
    """
    strongest = max(WEIGHT_DECAYS)

    def trained(weight_decay: float, decoupled: bool = False, scales: Sequence[int] = every.scales) -> Runs:
        chosen = with_training(every.records, weight_decay, decoupled)
        return Runs(chosen, every.dataset, scales, alike=True)

    def shares(*training) -> pd.Series:
        return trained(*training).measured(share_of_random, "dcnv2")

    runs, size = trained(0.0), every.largest
    share, coupled, decoupled = shares(0.0), shares(strongest), shares(strongest, True)

    def claim(name: str, statement: str, rule: str, *effects: Effect, model="dcnv2", checks=(), multi=False) -> Claim:
        sizes = [("SE", 1 if model == "ffm" else size), *[("ME", size)] * multi]
        return Claim(
            f"optimizer-{name}",
            OURS,
            statement,
            rule,
            effects,
            every.dataset,
            "optimizer",
            checks=checks,
            judged=judged_runs([model], *sizes),
        )

    label = f"DCNv2 {size}x"
    laws = [
        claim(
            f"law-{model}",
            f"The interaction-collapse law of {MODEL_LABELS[model]} is there without weight decay.",
            "As for the paper's claim, on runs without weight decay.",
            *law_claims(trained(0.0, scales=[scale]), model)[0].effects,
            model=model,
            checks=(LIVE,),
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
            checks=OF_AUC,
            multi=True,
        ),
        claim(
            "coupled",
            "Coupled weight decay deepens the collapse.",
            f"At {strongest:g} information abundance is below that without, as shares of random, paired by seed.",
            Effect(f"{label}, share of random, {strongest:g} / 0", ratio(coupled, share), "below", 1.0),
        ),
        claim(
            "decoupled",
            "Decoupled weight decay of the same size does not.",
            f"At {strongest:g} decoupled, information abundance is within 5 % of that without, paired by seed.",
            Effect(
                f"{label}, share of random, {strongest:g} decoupled / 0, less one",
                [value - 1 for value in ratio(decoupled, share)],
                "within",
                0.05,
            ),
        ),
    ]


def with_training(records: Sequence[RunRecord], weight_decay: float, decoupled: bool = False) -> list[RunRecord]:
    """The records trained with this weight decay of the embeddings, coupled or decoupled."""
    wanted = weight_decay, decoupled
    trainings = [record.config["training"] for record in records]
    found = [(embedding_decay(training), training.get("decoupled", False)) for training in trainings]
    return [record for record, how in zip(records, found, strict=True) if how == wanted]


# variants of the released code's chapter
OTHER_CHOICES = {
    "embedding_std 1.0": "embeddings start normal, deviation 1",
    "embedding_std 0.0001": "embeddings start normal, deviation 0.0001",
    "shuffle": "rows shuffled anew in every epoch",
    "vocabulary train": "values counted on the training rows only",
    "vocabulary all": "values counted on the test rows too",
}


def released_claims(runs: Runs) -> list[Claim]:
    """What the differences between the paper and the authors' code, and what the paper leaves open, are worth."""
    size, name_of_size = runs.largest, size_name(runs.largest)

    def claim(name: str, statement: str, rule: str, *effects: Effect, model="dnn", embeddings=("SE", "ME")) -> Claim:
        return Claim(
            f"released-{name}",
            OURS,
            statement,
            rule,
            effects,
            runs.dataset,
            "released",
            checks=OF_AUC,
            judged=judged_runs([model], *((embedding, size) for embedding in embeddings)),
        )

    def change(model: str, embedding: str, variant: str, name: str) -> Effect:
        pair = (runs("test_auc", model, embedding, size, which) for which in (variant, PLAIN))
        return auc_effect(name, *pair, "within", SIGNIFICANT_AUC)

    def gain_of(variant: str, words: str) -> Effect:
        pair = (runs("test_auc", "dnn", embedding, size, variant) for embedding in ("ME", "SE"))
        return auc_effect(f"test AUC, ME {name_of_size} minus SE {name_of_size}, DNN, {words}", *pair, "above")

    return [
        *(
            claim(
                variant.replace(" ", "-").replace("_", "-"),
                f"It does not matter: {words}.",
                f"Test AUC changes by less than {SIGNIFICANT_AUC}, with single and multi embedding, paired by seed.",
                *(
                    change("dnn", e, variant, f"test AUC, DNN {e} {name_of_size}, {words}, minus as it is")
                    for e in ("SE", "ME")
                ),
            )
            for variant, words in OTHER_CHOICES.items()
        ),
        claim(
            "ipnn",
            "It does not matter: IPNN with several sets keeps only the inner products, as in the authors' code.",
            f"Test AUC changes by less than {SIGNIFICANT_AUC}, paired by seed.",
            change(
                "ipnn",
                "ME",
                "released_form",
                f"test AUC, IPNN ME {name_of_size}, products only minus with the concatenation",
            ),
            model="ipnn",
            embeddings=("ME",),
        ),
        claim(
            "gain",
            "Multi embedding is better than single embedding under every one of these choices.",
            "ME minus SE of the same size is above zero, paired by seed, for DNN.",
            *(gain_of(variant, words) for variant, words in {PLAIN: "as it is", **OTHER_CHOICES}.items()),
        ),
    ]


def map_claims(runs: Runs) -> list[Claim]:
    """Where multi embedding helps: over noise, rows, K and P of a synthetic log."""
    table = complete_seeds(map_table(runs.records))
    by_seed = table.groupby("seed")[["gain", "share", "multi_share"]].mean()
    judged = judged_runs(["dcnv2"], ("SE", COMPARED), ("ME", COMPARED))

    def claim(name: str, statement: str, rule: str, *effects: Effect, checks=OF_AUC) -> Claim:
        return Claim(f"map-{name}", OURS, statement, rule, effects, runs.dataset, "reach", checks=checks, judged=judged)

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
            checks=(),
        ),
        claim(
            "where-the-collapse-is",
            "The gain is where the collapse is.",
            "Spearman's rank correlation over the points of the gain with single embedding's share of random is below "
            "zero.",
            Effect("rank correlation of gain and share of random", map_correlations(table).tolist(), "below", 0.0),
        ),
    ]


def alternatives_claims(runs: Runs, references: Sequence[RunRecord] = ()) -> list[Claim]:
    """Multi embedding beside what else its parameters and its time could buy.

    references: from which the seconds of runs made on a GPU are estimated.
    """
    size, models = max(up_to_4(runs.scales)), ("dnn", "dcnv2")
    table = alternatives_table(runs.records, references)

    def multi(model: str, variant: str = PLAIN) -> pd.Series:
        return runs("test_auc", model, "ME", size, variant)

    def at_its_time(model: str) -> pd.Series:
        of_multi = table[(table["model"] == model) & (table["kind"] == "multi")]
        return single_at_time(table, model, of_multi["seconds"].mean())

    def claim(name: str, what: str, rule: str, other) -> Claim:
        effects = [
            auc_effect(f"test AUC, {MODEL_LABELS[m]} ME {size_name(size)} minus {what}", multi(m), other(m), "above")
            for m in models
        ]
        statement = f"Multi embedding is better than {what}."
        judged = judged_runs(models, ("SE", size), ("ME", size))
        return Claim(
            f"alternatives-{name}",
            OURS,
            statement,
            rule,
            tuple(effects),
            runs.dataset,
            "reach",
            checks=OF_AUC,
            judged=judged,
        )

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


def newer_claims(runs: Runs) -> list[Claim]:
    """The paper's claims asked of interactions that came after it: law, and scalability."""
    claims = []
    for model in ("gdcn", "rankmixer"):
        records = [record for record in runs.records if record.config["model"] == model]
        sizes = sorted({run.scale * run.num_sets for run in newer(runs.scales) if run.model == model})
        of_model = Runs(records, runs.dataset, sizes)
        claims += law_claims(of_model, model)[:1] + scalability_claims(of_model, (model,))
    return claims


def learned_claims(runs: Runs) -> list[Claim]:
    """Is the collapse learned, or do weight decay and rare values make it alone? DCNv2 trained on true and on permuted
    labels, paired by seed."""
    size = max(up_to_4(runs.scales))

    def claim(name: str, statement: str, rule: str, *effects: Effect, scale: int) -> Claim:
        return Claim(
            name,
            OURS,
            statement,
            rule,
            effects,
            runs.dataset,
            "fig02_collapse",
            judged=judged_runs(["dcnv2"], ("SE", scale)),
        )

    def effect(scale: int, decay: str = "") -> Effect:
        words = f", {decay} times the embeddings' decay" * bool(decay)
        return Effect(
            f"IA(true labels) / IA(permuted labels), {size_name(scale)}{words}",
            learned(runs, scale, decay),
            "below",
            1.0,
        )

    at_best = "at the best look of the first; the second after as many epochs; means over the fields, paired by seed"
    return [
        claim(
            "collapse-is-learned",
            "The collapse is learned: on permuted labels embeddings collapse less.",
            f"Information abundance with true labels over that with permuted labels is below one for DCNv2, single "
            f"embedding, at the largest size: {at_best}.",
            effect(runs.largest),
            scale=runs.largest,
        ),
        claim(
            "collapse-is-learned-by-decay",
            "So it is with a quarter and with four times the embeddings' weight decay.",
            f"The same at {size_name(size)}.",
            effect(size, "0.25"),
            effect(size, "4"),
            scale=size,
        ),
    ]


def learned(runs: Runs, scale: int, decay: str = "") -> list[float]:
    """By seed the mean information abundance over the fields at the best look over that of the run on permuted labels
    at the end of the epoch that has the same number."""
    of_decay = f"embedding_decay {decay}" if decay else ""
    permuted = {
        record.config["seed"]: record
        for record in runs.records_of("dcnv2", "SE", scale, " + ".join(filter(None, [of_decay, "permuted"])))
    }
    values = []
    for record in runs.records_of("dcnv2", "SE", scale, of_decay or PLAIN):
        other, epoch = permuted.get(record.config["seed"]), record.scores["best_epoch"]
        if other is not None and epoch <= len(other.epochs):
            of_other = other.epochs[epoch - 1]["measurements"]["information_abundance"]
            values.append(float(field_abundance(record).mean() / np.mean(of_other)))
    return values


def control_claims(runs: Runs, of_controls: Runs) -> list[Claim]:
    """What multi embedding has besides several sets, given to single embedding of the same size.

    runs: of the tables; of_controls: of the experiment "controls".
    """
    size = max(up_to_4(runs.scales))

    def claim(name: str, what: str, models: Sequence[str], variant: Callable[[str], bool]) -> Claim:
        effects = []
        for model in models:
            variants = [v for v in of_controls.table["variant"].unique() if variant(v)]
            other = of_controls("test_auc", model, "SE", size, variants[0] if variants else "")
            words = f"test AUC, {MODEL_LABELS[model]} ME {size_name(size)} minus SE {size_name(size)} {what}"
            effects.append(auc_effect(words, runs("test_auc", model, "ME", size), other, "above"))
        return Claim(
            f"control-{name}",
            OURS,
            f"Multi embedding is better than single embedding of the same size {what}.",
            f"Its test AUC at {size_name(size)} is above that, paired by seed.",
            tuple(effects),
            runs.dataset,
            "table3_fig10",
            checks=OF_AUC,
            judged=judged_runs(models, ("SE", size), ("ME", size)),
        )

    return [
        claim(
            "width",
            "with as many units in the first hidden layer",
            ("dnn", "dcnv2"),
            lambda name: name.startswith("hidden "),
        ),
        claim(
            "blocks",
            "with block-diagonal cross layers, which have the interaction parameters of multi embedding",
            ("dcnv2",),
            lambda name: name == f"groups {size}",
        ),
    ]
