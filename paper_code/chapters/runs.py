"""All runs: what they cost and where they were made."""

import json
import re
from collections.abc import Sequence
from importlib.metadata import requires, version

import numpy as np
import pandas as pd

from paper_code.chapters.shared.tables import commit_name, measured_seconds, results_table
from paper_code.models import MODEL_LABELS
from paper_code.runs.record import RunRecord

OF_THE_BOOK = re.compile(r"([\w.-]+)[^;]*(; extra == .(torch|book).)?")
"""A requirement of the package that all have, or of these extras, on every system."""


def processor_seconds(records: Sequence[RunRecord], references: Sequence[RunRecord] = ()) -> list[float]:
    """Seconds of one CPU core that every run takes, made on a CPU.

    For a run that was made on a GPU they are estimated from the runs that were made on a CPU and differ from it in
    nothing but the seed and where training stops at the latest: its number of epochs times their training seconds per
    epoch, and what they took besides training. NaN if there is none among the records and the references.
    """

    def kind(config: dict) -> str:
        training = config["training"] | {"max_epochs": None}
        return json.dumps(config | {"seed": None, "data": config["data"] | {"seed": None}, "training": training})

    costs = {}  # kind of run -> training seconds per epoch, seconds besides
    for record in [*records, *references]:
        if record.provenance["device"] == "cpu":
            training = min(record.provenance["training_seconds"], measured_seconds(record))
            cost = training / len(record.epochs), measured_seconds(record) - training
            costs.setdefault(kind(record.config), []).append(cost)

    def estimated(record: RunRecord) -> float:
        per_epoch, besides = np.mean(costs.get(kind(record.config), [(np.nan, np.nan)]), axis=0)
        return float(per_epoch * len(record.epochs) + besides)

    return [measured_seconds(r) if r.provenance["device"] == "cpu" else estimated(r) for r in records]


def cost_table(records: Sequence[RunRecord], references: Sequence[RunRecord] = ()) -> pd.DataFrame:
    """Runs by data set and model, with the hours of one CPU core that they take, see `processor_seconds`; the last row
    is their sum."""
    rows = pd.DataFrame(
        {
            "data set": [record.config["data"]["name"] for record in records],
            "model": [MODEL_LABELS[record.config["model"]] for record in records],
            "runs": 1,
            "made on a GPU": [int(record.provenance["device"] != "cpu") for record in records],
            "core hours": np.array(processor_seconds(records, references)) / 3600,
        }
    )
    table = rows.groupby(["data set", "model"], sort=False).sum(skipna=False).reset_index()
    total = pd.DataFrame([{"data set": "all", "model": "", **rows.iloc[:, 2:].sum(skipna=False)}])
    table = pd.concat([table, total], ignore_index=True) if len(table) else total
    text = ["unknown" if np.isnan(hours) else f"{hours:.2f}" for hours in table["core hours"]]
    return table.astype({"runs": int, "made on a GPU": int}).assign(**{"core hours": text})


def origins_table(records: Sequence[RunRecord]) -> pd.DataFrame:
    """Where the runs were made: a row per hardware, versions and commit, with the number of runs and the dates."""
    columns = ["hardware", "versions", "commit", "date"]
    rows = [
        (
            record.provenance["hardware"],
            ", ".join(f"{name} {number}" for name, number in record.provenance["versions"].items()),
            commit_name(record),
            record.provenance["date"],
        )
        for record in records
    ]
    origins = pd.DataFrame(rows, columns=columns)
    groups = origins.groupby(columns[:-1], sort=False)["date"]
    return groups.agg(runs="count", first="min", last="max").reset_index()


def environment_table() -> pd.DataFrame:
    """The packages that this project names for the book, in the versions that are installed."""
    named = filter(None, map(OF_THE_BOOK.fullmatch, requires("paper-code")))
    rows = [(name, version(name).partition("+")[0]) for name in sorted({it[1] for it in named} - {"paper-code"})]
    return pd.DataFrame(rows, columns=["package", "version"])


def runs_table(records: Sequence[RunRecord]) -> pd.DataFrame:
    """A row per run: its record's file in the folder of records, what was trained, its score, and where it was made."""
    scores = results_table(records)[["model", "variant", "embedding", "scale", "seed", "test_auc", "best_epoch"]]
    origins = [record.provenance for record in records]
    return scores.assign(
        record=[f"{record.config['data']['name']}/{record.hash}.json" for record in records],
        rows=[record.config["data"]["rows"] for record in records],
        weight_decay=[record.config["training"]["weight_decay"] for record in records],
        most_epochs=[record.config["training"]["max_epochs"] for record in records],
        commit=[commit_name(record) for record in records],
        hardware=[origin["hardware"] for origin in origins],
        torch=[origin["versions"]["torch"] for origin in origins],
        date=[origin["date"] for origin in origins],
        seconds=[origin["seconds"] for origin in origins],
    )
