"""Train and measure one run."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import asdict
from pathlib import Path

import torch

from paper_code.data import ClickLog, Split
from paper_code.models import build_model
from paper_code.models.ctr_model import CTRModel
from paper_code.runs.config import DATA_FOLDER, RunConfig, without_unset
from paper_code.runs.logs import load_data
from paper_code.runs.machine import commit, provenance, reset_peak_memory
from paper_code.runs.measurement import (
    REPRESENTED_ROWS,
    field_information_abundance,
    measure,
    parameters_by_part,
    representations,
    summary,
)
from paper_code.runs.record import RunRecord, check_finite
from paper_code.training.fitting import fit, refitted_auc
from paper_code.training.regularizers import Penalty


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
        spectra, moments["best"] = measure(model, config.seed), summary(model)
        rows = split.validation[:REPRESENTED_ROWS]
        spectra["representations"] = representations(model, torch.from_numpy(log.ids[rows]))
        if result.measured:
            moments["equal"] = result.measured
            if "raw" in result.measured:
                moments["raw_equal"] = moments["equal"].pop("raw")
        if result.raw_weights:
            model.load_state_dict(result.raw_weights)
            moments["raw_best"] = summary(model)
        seconds, of_processor = time.perf_counter() - started[0], time.process_time() - started[1]
        origin = provenance(device, seconds, of_processor, result.training_seconds)
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
