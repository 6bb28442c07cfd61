"""Train and measure one run."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import asdict, replace
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch

from paper_code.data import SYNTHETIC_LOGS, ClickLog, Split, load_click_log
from paper_code.data.click_log import check_rows
from paper_code.models import build_model
from paper_code.models.ctr_model import CTRModel
from paper_code.runs.config import DATA_FOLDER, GENERATOR, DataConfig, RunConfig, without_unset
from paper_code.runs.machine import commit, provenance, reset_peak_memory
from paper_code.runs.measurement import field_information_abundance, measure, parameters_by_part, summary
from paper_code.runs.record import RunRecord, check_finite
from paper_code.training.fitting import fit, refitted_auc
from paper_code.training.regularizers import Penalty


@lru_cache(maxsize=1)
def load_data(config: DataConfig, data_folder: Path = DATA_FOLDER) -> ClickLog:
    """The click log of the config; the last one stays in memory.

    All rows of an encoded log are read once per process, to check them: the 7 GB of Criteo take one or two seconds from
    memory, and from the disk as long as it takes to read them.
    Raises ValueError if the encoded log has changed since the config was made, or has an id out of range or a label
    that is not 0 or 1.
    """
    if config.permuted:
        log = load_data.__wrapped__(replace(config, permuted=False), data_folder)
        return replace(log, labels=np.random.default_rng(config.seed).permutation(log.labels))
    if config.name in SYNTHETIC_LOGS:
        if config.generator != GENERATOR:
            raise ValueError(
                f"{config.name} of generator {config.generator or 1}: expected {GENERATOR}; of the earlier one there "
                "are only records, check out the commit that they name to train more"
            )
        return SYNTHETIC_LOGS[config.name](config.seed, config.rows, config.test_rows, **config.variation)
    log = load_click_log(data_folder / config.name)
    if log.fingerprint != config.fingerprint:
        raise ValueError(
            f"{data_folder / config.name}: the log's fingerprint is {log.fingerprint}, the run expects "
            f"{config.fingerprint}; it was prepared anew, start again"
        )
    check_once(data_folder / config.name, log.fingerprint)
    return log


@lru_cache(maxsize=1)
def check_once(folder: Path, fingerprint: str) -> None:
    """`check_rows` of the encoded log in the folder, the last one not again."""
    check_rows(load_click_log(folder), folder)


def execute(
    config: RunConfig,
    device: str = "auto",
    threads: int | None = None,
    data_folder: Path = DATA_FOLDER,
    progress: bool = False,
) -> RunRecord:
    """Train and measure one run, on `threads` CPU threads (None: as PyTorch is set).

    Raises what `load_data` and `fit` raise, and ValueError if something measured is not a finite number.
    """
    started = time.perf_counter(), time.process_time()
    commit()  # as it is now, not when the run ends
    reset_peak_memory()
    log = load_data(config.data, data_folder)
    split = log.split(config.data.seed)
    model = build_model(
        config.model, log.cardinalities, config.embedding_size, config.num_sets, config.seed, **config.options
    )
    moments = {"initial": summary(model)}
    with cpu_threads(threads):
        result = fit(
            model,
            log,
            split,
            config.training,
            seed=config.seed,
            device=device,
            penalty=Penalty(config.regularizer, model) if config.regularizer else None,
            after_epoch=lambda scored: field_information_abundance(on_cpu(scored)),
            measure=lambda trained: summary(on_cpu(trained)),
            progress=progress,
        )
        scores = {
            "test_auc": result.test_auc,
            "test_log_loss": result.test_log_loss,
            "raw_test_auc": result.raw_test_auc,
            "best_look": result.best_look,
            "best_epoch": result.best_epoch,
        }
        if config.interaction_cost:
            scores["interaction_cost"] = interaction_cost(model, log, split, config, device)
        model = on_cpu(model)
        spectra, moments["best"] = measure(model), summary(model)
        if result.measured:
            moments["equal"] = result.measured
            if "raw" in result.measured:
                moments["raw_equal"] = moments["equal"].pop("raw")
        if result.raw_weights:
            model.load_state_dict(result.raw_weights)
            moments["raw_best"] = summary(model)
        seconds, of_processor = time.perf_counter() - started[0], time.process_time() - started[1]
        origin = provenance(device, seconds, of_processor, result)
    record = RunRecord(
        config=config.to_json(),
        fields=log.description["fields"],
        parameters=sum(p.numel() for p in model.parameters()),
        scores={name: value for name, value in scores.items() if value is not None},
        epochs=[without_unset(asdict(epoch)) for epoch in result.epochs],
        spectra=spectra,
        provenance=origin,
        looks=result.looks,
        moments=moments,
        parameters_by_part=parameters_by_part(model),
    )
    check_finite(asdict(record))
    return record


def on_cpu(model: CTRModel) -> CTRModel:
    """The model, or a copy of it where its small matrices are decomposed faster than on a GPU."""
    return deepcopy(model).cpu() if next(model.parameters()).is_cuda else model


def interaction_cost(model: CTRModel, log: ClickLog, split: Split, config: RunConfig, device: str) -> float:
    """What a trained model loses in test AUC when its interaction is set to the identity and frozen, and all else is
    trained for one more epoch; the intact model is trained for as long."""
    intact, without = deepcopy(model), deepcopy(model)
    without.switch_off_interaction()
    intact, without = (
        refitted_auc(one, log, split, config.training, seed=config.seed, device=device) for one in (intact, without)
    )
    return intact - without


@contextmanager
def cpu_threads(number: int | None) -> Iterator[None]:
    """PyTorch on so many CPU threads for the time of the block; None: as it is set."""
    before = torch.get_num_threads()
    torch.set_num_threads(number or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)
