"""The tables of the page "The regime": what was wrong, what is kept similar, what was tried and chosen."""

from collections.abc import Callable, Iterable, Sequence
from math import sqrt

import numpy as np
import pandas as pd

from paper_code.chapters.shared.checks import check_table, learner_label
from paper_code.chapters.shared.gates import DESCRIPTIVE, NOT_RUN, OF_AUC, Check
from paper_code.chapters.shared.html import html_table
from paper_code.chapters.shared.judged import OURS, judged_runs
from paper_code.chapters.shared.rules import Claim, Effect, auc_effect
from paper_code.chapters.shared.tables import PLAIN, Runs, field_abundance, log_label, results_table
from paper_code.chapters.shared.words import size_text
from paper_code.data import SYNTHETIC_LOGS
from paper_code.models import MODEL_LABELS, base_embedding_size
from paper_code.published import STATISTICS
from paper_code.runs.choices import KINDS, kinds_of, validation_auc
from paper_code.runs.experiments import BOOK, PLAN, run_configs, up_to_4
from paper_code.runs.logs import load_data
from paper_code.runs.profiles import FIRST, PRIOR_PRECISION, PROFILES, RESULTS_FOLDER, log_of_profile, training_rows
from paper_code.runs.reading import run_store
from paper_code.runs.record import RunRecord
from paper_code.runs.regime import CHOICE_SEEDS, DECAY_TIMES_ROWS, REGIMES, WEIGHT_DECAY, learner


def first_regime_records(experiments: Sequence[str] = ("evidence_ii", "few_rows")) -> list[RunRecord]:
    """The records of the first regime that come with the project, single DCNv2 on each of its logs."""
    store = run_store(RESULTS_FOLDER)
    configs = {
        config.hash: config
        for dataset, of_log in BOOK.items()
        for experiment in experiments
        if experiment in of_log
        for config in run_configs(experiment, dataset, FIRST)
        if config.model == "dcnv2"
    }
    return [record for config in configs.values() if (record := store.get(config)) is not None]


def first_regime_norms(records: Iterable[RunRecord]) -> pd.DataFrame:
    """How the first regime's weight decay shrank the first cross layer: by log and embedding size, as text.

    The mean over i other than j of ||W_{i->j}||_F before training, which is sqrt(K / N) by Xavier's rule, and trained,
    mean over the seeds; the weight decay over the paper's; the range of the best epoch.
    """
    rows = []
    for record in records:
        config, norms = record.config, np.array(record.spectra["interaction_norms"][0])
        rows.append(
            {
                "log": config["data"]["name"],
                "K": config["embedding_size"],
                "before": sqrt(config["embedding_size"] / len(record.fields)),
                "trained": norms[~np.eye(len(norms), dtype=bool)].mean(),
                "decay": config["training"]["weight_decay"] / WEIGHT_DECAY,
                "best": record.scores["best_epoch"],
            }
        )
    groups = pd.DataFrame(rows).groupby(["log", "K"], sort=False)
    table = groups.agg({"before": "first", "trained": "mean", "decay": "first", "best": ["min", "max"]}).reset_index()
    table.columns = ["log", "K", "before", "trained", "decay", "first", "last"]
    return pd.DataFrame(
        {
            "log": table["log"],
            "K": table["K"],
            "norm of a block before training": table["before"].map("{:.2f}".format),
            "trained": table["trained"].map("{:.3f}".format),
            "weight decay over the paper's": table["decay"].map("{:.0f}".format),
            "best epoch": [f"{a} to {b}" for a, b in zip(table["first"], table["last"], strict=True)],
        }
    )


def similarity_table() -> pd.DataFrame:
    """The ratios that a small experiment has to preserve, as text: a row for each ratio, a column for the paper's
    Criteo, for the first regime on `criteo_like`, and for each synthetic log in the regime."""
    criteo, paper = STATISTICS["Criteo"], PROFILES["paper"].training
    first = PROFILES[FIRST]
    rows = criteo["rows"] * 0.8
    of_paper = [
        criteo["rows"] / criteo["sum"],
        rows * paper.weight_decay,
        paper.weight_decay,
        paper.learning_rate * sqrt(rows / paper.batch_size),
        400 / (criteo["fields"] * 10),
    ]
    record = next(r for r in first_regime_records() if r.config["data"]["name"] == "criteo_like")
    fields, of_first = len(record.fields), first.rows * 8 // 9
    decay = PRIOR_PRECISION / first.rows
    columns = {
        "Criteo, the paper": of_paper,
        "criteo_like, first regime": [
            first.rows / sum(field["cardinality"] for field in record.fields),
            of_first * decay,
            decay,
            first.training.learning_rate * sqrt(of_first / first.training.batch_size),
            first.options["hidden"][0] / (fields * 10),
        ],
    }
    for name in SYNTHETIC_LOGS:
        columns[f"{name}, the regime"] = similarity_of(name)
    names = ["rows per value", "embeddings: training rows x decay", "all else: decay"]
    names += ["learning rate x sqrt(steps an epoch), DNN", "hidden width / (N K) at the base"]
    table = pd.DataFrame(columns, index=names).map("{:.3g}".format)
    return table.rename_axis("ratio").reset_index()


def similarity_of(name: str) -> list[float]:
    data = log_of_profile(PROFILES["laptop"], name, CHOICE_SEEDS[0])
    log, regime = load_data(data), REGIMES[name]
    rows = training_rows(data)
    return [
        data.rows / sum(log.cardinalities),
        DECAY_TIMES_ROWS,
        WEIGHT_DECAY,
        regime.learning_rate("dnn", 1, 1) * sqrt(rows / regime.batch_size),
        regime.hidden / (10 * len(log.fields)),
    ]


def tried_table(records: Iterable[RunRecord]) -> pd.DataFrame:
    """What was tried, as text: a row for each log, model, size, batch size and width, a column for each learning rate
    with the validation AUC of the first seed, by which rates are compared, and where all three are there their mean."""
    rows = []
    for record in records:
        config = record.config
        if config.get("regularizer"):
            continue
        scale = config["embedding_size"] // base_embedding_size(config["model"], len(record.fields))
        size = f"{config['num_sets']} sets" if config["num_sets"] > 1 else size_text(scale)
        hidden = config["options"].get("hidden", [""])
        rows.append(
            {
                "log": config["data"]["name"],
                "model": learner_label(learner(config["model"], config["options"])),
                "size": size,
                "batch": config["training"]["batch_size"],
                "width": hidden[0],
                "rate": config["training"]["learning_rate"],
                "seed": config["seed"],
                "auc": validation_auc(record),
            }
        )
    if not rows:
        return pd.DataFrame(columns=["log", "model", "size", "batch", "width"])
    keys = ["log", "model", "size", "batch", "width", "rate"]
    by_seed = pd.DataFrame(rows).pivot_table("auc", keys, "seed").reindex(columns=CHOICE_SEEDS)
    text = [tried_text(found) for found in by_seed.to_numpy()]
    table = pd.Series(text, by_seed.index).unstack(fill_value="")
    table.columns = [f"rate {rate:g}" for rate in table.columns]
    return table.reset_index()


def tried_text(of_seeds: np.ndarray) -> str:
    """Validation AUC of the first seed, and the mean of all if all are there; NaN where there is no run."""
    first, complete = of_seeds[0], not np.isnan(of_seeds).any()
    told = [f"{first:.4f}"] * bool(np.isfinite(first)) + [f"mean {of_seeds.mean():.4f}"] * complete
    return ", ".join(told)


def regime_table() -> pd.DataFrame:
    """What each log has in the regime, as text: a row for each log and model; a rate that was not chosen yet is the
    usual one, in brackets."""
    rows = []
    for name, regime in REGIMES.items():
        for of in dict.fromkeys(of for of, _ in kinds_of(name)):
            usual = of not in regime.rates
            rates = [f"{regime.learning_rate(of, *kind):g}" for kind in KINDS.values()]
            rows.append(
                [name, learner_label(of), regime.batch_size, regime.hidden]
                + [f"({rate})" if usual else rate for rate in rates]
            )
    return pd.DataFrame(rows, columns=["log", "model", "batch", "width", "rate, base", "single", "multi"])


def planned_runs() -> pd.DataFrame:
    """Every experiment of the regime on each log: how many runs it has beyond those of the experiments above it, and
    how many of these are there."""
    store, rows, counted = run_store(RESULTS_FOLDER), [], set()
    for dataset, experiments in PLAN.items():
        for experiment in experiments:
            configs = {config.hash: config for config in run_configs(experiment, dataset)}
            new = [config for key, config in configs.items() if key not in counted]
            counted |= configs.keys()
            rows.append((dataset, experiment, len(new), sum(store.find(config) is not None for config in new)))
    return pd.DataFrame(rows, columns=["log", "experiment", "further runs", "there"])


def numbers_html(found: Iterable[Check]) -> str:
    """The numbers of the checks that were made as HTML, a table each, which unfolds."""
    return "\n".join(
        f"<details><summary>{check.name}, {log_label(check.dataset)}: {check.outcome}</summary>"
        f"<p>{check.measures[0].upper()}{check.measures[1:]}. Passes if: {check.bound}.</p>"
        f"{html_table(check_table(check))}</details>"
        for check in found
        if check.outcome not in (NOT_RUN, DESCRIPTIVE)
    )


def parts_table(records: Sequence[RunRecord]) -> pd.DataFrame:
    """Parameters of embedding, interaction and head in thousands, and seconds of a run, as text: means over the seeds
    by model, variant, embedding and size."""
    columns = {f"{part}_parameters": f"{part}, thousands" for part in ("embedding", "interaction", "head")}
    keys = ["model", "variant", "embedding", "scale"]
    means = results_table(records).groupby(keys, sort=False)[[*columns, "seconds"]].mean().reset_index()
    for name in columns:
        means[name] = ["-" if np.isnan(value) else f"{value / 1000:,.1f}" for value in means[name]]
    means["seconds"] = means["seconds"].map("{:.0f}".format)
    means["scale"] = list(map(size_text, means["scale"]))
    means["model"] = means["model"].map(MODEL_LABELS)
    return means.rename(columns=columns)


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
            f"information abundance, true over permuted labels, {size_text(scale)}{words}",
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
            "The same holds when the embeddings' weight decay is a quarter or four times as large.",
            f"The same at {size_text(size)}.",
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
            words = f"test AUC, {MODEL_LABELS[model]} multi {size_text(size)} minus single {size_text(size)} {what}"
            effects.append(auc_effect(words, runs("test_auc", model, "ME", size), other, "above"))
        return Claim(
            f"control-{name}",
            OURS,
            f"Multi embedding is better than single embedding of the same size {what}.",
            f"Its test AUC at {size_text(size)} is above that, paired by seed.",
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
