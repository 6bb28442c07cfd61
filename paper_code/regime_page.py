"""The tables of the page "The regime": what was wrong, what is kept similar, what was tried and chosen."""

from collections.abc import Iterable, Sequence
from math import sqrt

import numpy as np
import pandas as pd

from paper_code.choices import validation_auc
from paper_code.data import SYNTHETIC_LOGS
from paper_code.experiments import (
    BOOK,
    FIRST,
    PLAN,
    PRIOR_PRECISION,
    PROFILES,
    RESULTS_FOLDER,
    log_of_profile,
    run_configs,
    run_store,
    training_rows,
)
from paper_code.models import MODEL_LABELS, base_embedding_size
from paper_code.published import STATISTICS
from paper_code.regime import CHOICE_SEEDS, DECAY_TIMES_ROWS, REGIMES, WEIGHT_DECAY
from paper_code.runs import RunRecord, load_data


def first_regime_records(experiments: Sequence[str] = ("evidence_ii", "few_rows")) -> list[RunRecord]:
    """Those of the first regime that come with the project, single DCNv2 on each of its logs."""
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


def choice_records() -> list[RunRecord]:
    """The records that come with the project of runs by which the regime was chosen."""
    return [record for record in run_store(RESULTS_FOLDER).records() if record.config["seed"] in CHOICE_SEEDS]


def tried_table(records: Iterable[RunRecord]) -> pd.DataFrame:
    """What was tried, as text: a row for each log, model, size, batch size and width, a column for each learning rate
    with the mean validation AUC and, if there are fewer than three, the number of seeds."""
    rows = []
    for record in records:
        config = record.config
        if config.get("regularizer"):
            continue
        scale = config["embedding_size"] // base_embedding_size(config["model"], len(record.fields))
        size = f"{config['num_sets']} sets" if config["num_sets"] > 1 else "base" if scale == 1 else f"{scale}x"
        hidden = config["options"].get("hidden", [""])
        rows.append(
            {
                "log": config["data"]["name"],
                "model": MODEL_LABELS[config["model"]],
                "size": size,
                "batch": config["training"]["batch_size"],
                "width": hidden[0],
                "rate": config["training"]["learning_rate"],
                "auc": validation_auc(record),
            }
        )
    if not rows:
        return pd.DataFrame(columns=["log", "model", "size", "batch", "width"])
    keys = ["log", "model", "size", "batch", "width", "rate"]
    groups = pd.DataFrame(rows).groupby(keys)["auc"].agg(["mean", "count"])
    seeds = len(CHOICE_SEEDS)
    text = [f"{mean:.4f}" + f" ({count})" * (count < seeds) for mean, count in groups.itertuples(index=False)]
    table = pd.Series(text, groups.index).unstack(fill_value="")
    table.columns = [f"rate {rate:g}" for rate in table.columns]
    return table.reset_index()


def regime_table() -> pd.DataFrame:
    """What each log has in the regime, as text: a row for each log and model; a rate that was not chosen yet is the
    usual one, in brackets."""
    rows = []
    for name, regime in REGIMES.items():
        for model in ("dnn", "ipnn", "nfwfm", "xdeepfm", "dcnv2", "finalmlp", "ffm"):
            usual = model not in regime.rates
            rates = [f"{regime.learning_rate(model, *kind):g}" for kind in ((1, 1), (4, 1), (1, 4))]
            rows.append(
                [name, MODEL_LABELS[model], regime.batch_size, regime.hidden]
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
