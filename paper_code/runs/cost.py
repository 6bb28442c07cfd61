"""What runs cost, told before they are trained: parameters, memory, and time by steps that are measured."""

import json
import math
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from statistics import median

import numpy as np
import pandas as pd
import torch
from tqdm import tqdm

from paper_code.models import build_model, number_of_parameters
from paper_code.runs.config import DATA_FOLDER, RunConfig
from paper_code.runs.execution import cpu_threads
from paper_code.runs.logs import load_data
from paper_code.runs.profiles import describe, training_rows
from paper_code.runs.record import RunRecord
from paper_code.training.fitting import Trainer, make_optimizer
from paper_code.training.process import find_device, seeded, set_up_process
from paper_code.training.regularizers import Penalty
from paper_code.training.weight_average import WeightAverage

BYTES = 4
"""Bytes of a float32."""
TRAINING_COPIES = 4
"""Weight, gradient, and the two moments of Adam, all dense as in the authors' code."""
MEASURED_STEPS = 16
"""Steps of a measurement before it looks at the clock; as many as between two updates of a whole table on a CPU."""
GPU_TIMES = 16
"""As often on a GPU, which records its step first."""
COLUMNS = [
    *("run", "dataset", "model", "embedding_size", "num_sets", "runs", "parameters", "bytes"),
    *("seconds_per_step", "steps_from", "hardware", "steps_per_epoch", "epochs", "epochs_from", "seconds"),
]


def seconds_per_step(
    config: RunConfig, cardinalities: Sequence[int], device: str = "auto", at_least: float = 1.0
) -> float:
    """Seconds of a training step of the run on the device, measured now on random ids, on one CPU thread.

    cardinalities: of the fields. at_least: seconds of steps that are measured, after a few that are not.
    """
    found = find_device(device)
    rows = MEASURED_STEPS * config.training.batch_size
    draw = np.random.default_rng(0)
    ids = torch.from_numpy(np.stack([draw.integers(size, size=rows, dtype=np.int32) for size in cardinalities], axis=1))
    labels = torch.from_numpy(draw.integers(2, size=rows, dtype=np.uint8))
    model = build_model(
        config.model, cardinalities, config.embedding_size, config.num_sets, config.seed, **config.options
    ).to(found)
    penalty = Penalty(config.regularizer, model).to(found) if config.regularizer else None
    optimizer = make_optimizer(model, penalty, config.training)
    batches = torch.arange(rows).split(config.training.batch_size)
    set_up_process(found)
    if found.type == "cuda":
        ids, labels = ids.to(found), labels.to(found)
        batches = tuple(batch.to(found) for batch in batches) * GPU_TIMES

    average = WeightAverage(model, config.training.averaging) if config.training.averaging else None
    trainer = Trainer(model, penalty, optimizer, ids, labels, found, config.training, average)

    def train(batches: Sequence[torch.Tensor]) -> None:
        trainer.train(batches, tqdm(disable=True))

    with seeded(found, 0), cpu_threads(1):
        train(batches[:2])  # the first steps also make the optimizer's moments and choose kernels
        started, steps = time.perf_counter(), 0
        while steps == 0 or time.perf_counter() - started < at_least:
            train(batches)
            steps += len(batches)
        return (time.perf_counter() - started) / steps


def kind_of(config: dict) -> str:
    """The config, as JSON values, without its seeds: that of all runs which differ in nothing else."""
    return json.dumps(config | {"seed": None, "data": config["data"] | {"seed": None}}, sort_keys=True)


def estimate(
    configs: Iterable[RunConfig],
    records: Sequence[RunRecord] = (),
    device: str = "auto",
    *,
    cardinalities: Mapping[str, Sequence[int]] | None = None,
    data_folder: Path = DATA_FOLDER,
    measure: Callable[[RunConfig, Sequence[int], str], float] = seconds_per_step,
) -> pd.DataFrame:
    """What the runs take: a row per kind, which is the runs that differ in nothing but their seeds.

    records: of earlier runs. cardinalities: of the fields, by name of the data set; of one that is not named they are
    those of a record of the kind, else of the log. measure: gives the seconds per step of a kind that has no record
    made on a device of the same type, if only up to another epoch.
    Columns: run (in a few words), dataset, model, embedding_size, num_sets, runs; parameters; bytes (weights,
    gradients and Adam's two moments, without activations); seconds_per_step, steps_from ("records" or "measured") and
    hardware (of these records); steps_per_epoch; epochs and epochs_from: the median of "records" of the kind, else of
    records of the "model" on the same data by the same protocol, else the "most" that the protocol allows; seconds of
    one run. These are its steps', and in addition, as in the records of the kind or else in all of the device's type,
    those of everything besides: the log, evaluation, spectra.
    """
    of_kind, of_model, timed_of, of_device = defaultdict(list), defaultdict(list), defaultdict(list), []
    for record in records:
        of_kind[kind_of(record.config)].append(record)
        of_model[protocol_of(record.config)].append(record)
        if record.provenance["device"] == type_of(device):
            timed_of[step_of(record.config)].append(record)
            of_device.append(record)
    configs_of = defaultdict(list)
    for config in configs:
        configs_of[kind_of(config.to_json())].append(config)
    rows = []
    for kind, same in configs_of.items():
        config, alike = same[0], of_kind[kind]
        sizes = (cardinalities or {}).get(config.data.name) or cardinalities_of(config, alike, data_folder)
        model = config.model, sizes, config.embedding_size, config.num_sets
        parameters = sum(number_of_parameters(*model, **config.options))
        steps = steps_per_epoch(config)
        timed = timed_of[step_of(config.to_json())]
        per_step = median(map(seconds_per_epoch, timed)) / steps if timed else measure(config, sizes, device)
        sources = {"records": alike, "model": of_model[protocol_of(config.to_json())]}
        epochs_from = next((name for name, found in sources.items() if found), "most")
        most = config.training.max_epochs
        epochs = most if epochs_from == "most" else median(len(r.epochs) for r in sources[epochs_from])
        besides = [r.provenance["seconds"] / r.provenance["training_seconds"] for r in timed or of_device]
        rows.append(
            {
                "run": describe(config).rsplit(" seed ", 1)[0],
                "dataset": config.data.name,
                "model": config.model,
                "embedding_size": config.embedding_size,
                "num_sets": config.num_sets,
                "runs": len(same),
                "parameters": parameters,
                "bytes": TRAINING_COPIES * BYTES * parameters,
                "seconds_per_step": per_step,
                "steps_from": "records" if timed else "measured",
                "hardware": "; ".join(sorted({record.provenance["hardware"] for record in timed})),
                "steps_per_epoch": steps,
                "epochs": epochs,
                "epochs_from": epochs_from,
                "seconds": per_step * steps * epochs * (median(besides) if besides else 1),
            }
        )
    return pd.DataFrame(rows, columns=COLUMNS)


def step_of(config: dict) -> str:
    """The kind of a config as JSON values, but for where training stops at the latest: it does not change a step."""
    return kind_of(config | {"training": config["training"] | {"max_epochs": None}})


def type_of(device: str) -> str:
    """cpu or cuda; of a CUDA device that need not be here."""
    return "cuda" if device.startswith("cuda") else find_device(device).type


def protocol_of(config: dict) -> str:
    """Model, data and training of a config as JSON values, whatever its sizes, options, penalty and seeds."""
    return kind_of({name: config[name] for name in ("model", "data", "training")})


def cardinalities_of(config: RunConfig, alike: Sequence[RunRecord], data_folder: Path) -> Sequence[int]:
    """Cardinalities of the fields of the run's log, from the first of the records, else from the log."""
    if alike:
        return [field["cardinality"] for field in alike[0].fields]
    return load_data(config.data, data_folder).cardinalities


def steps_per_epoch(config: RunConfig) -> int:
    """Batches of the training rows, see `paper_code.data.click_log.split_rows`."""
    return math.ceil(training_rows(config.data) / config.training.batch_size)


def seconds_per_epoch(record: RunRecord) -> float:
    return record.provenance["training_seconds"] / len(record.epochs)


def total_seconds(table: pd.DataFrame) -> float:
    """Seconds of all runs of an `estimate`, one after the other."""
    return float((table["runs"] * table["seconds"]).sum())


def wall_seconds(table: pd.DataFrame, jobs: int) -> float:
    """Seconds of all runs of an `estimate`, so many at once: an equal share each, no less than the longest run."""
    return max(total_seconds(table) / jobs, float(table["seconds"].max())) if len(table) else 0.0


def readable(table: pd.DataFrame) -> pd.DataFrame:
    """An `estimate` as text, in units that fit the numbers, with where they come from."""
    at_most = table["epochs_from"] == "most"
    return pd.DataFrame(
        {
            "run": table["run"],
            "runs": table["runs"].astype(str),
            "parameters": [f"{number:,}" for number in table["parameters"]],
            "memory": [bytes_text(number) for number in table["bytes"]],
            "step": [
                f"{time_text(s)}, {where}"
                for s, where in zip(table["seconds_per_step"], table["steps_from"], strict=True)
            ],
            "steps/epoch": [f"{number:,}" for number in table["steps_per_epoch"]],
            "epochs": [f"{e:g}, {where}" for e, where in zip(table["epochs"], table["epochs_from"], strict=True)],
            "time of a run": [
                "at most " * most + time_text(s) for s, most in zip(table["seconds"], at_most, strict=True)
            ],
        }
    )


def bytes_text(number: float) -> str:
    """Bytes in units of 1000, such as "1.2 GB"."""
    for unit in ("B", "kB", "MB"):
        if number < 999.5:
            return f"{number:.3g} {unit}"
        number /= 1000
    return f"{number:,.1f} GB"


def time_text(seconds: float) -> str:
    """Seconds as milliseconds, seconds, minutes or hours, such as "2.5 h"."""
    for limit, unit, name in ((1, 1e-3, "ms"), (100, 1, "s"), (100 * 60, 60, "min")):
        if seconds < limit:
            return f"{seconds / unit:.3g} {name}"
    return f"{seconds / 3600:,.1f} h"
