"""Records that no run made, for the tests of what is computed from records.

A run is written as model, embedding, scale and, if it is not plain, variant: "dcnv2 SE 10 unitary".
"""

from dataclasses import replace

import numpy as np

from paper_code.models import base_embedding_size
from paper_code.runs.config import DataConfig, RunConfig
from paper_code.runs.record import RunRecord
from paper_code.training.config import RegularizerConfig, TrainingConfig

CARDINALITIES = [9, 4, 40, 300, 120]  # their order is nearly that of the fields' information abundance
OFFSETS = np.array([-0.4, -0.2, 0.0, 0.2, 0.4])  # of the fields' information abundance from their mean
NOISE = np.array([0.9, 0.95, 1.0, 1.05, 1.1])  # by seed: gains, drops and falls are multiplied by it
RISING, FALLING = (1, 2, 3, 4, 5), (5, 4, 3, 2, 1)
OPTIONS = ("shared_interaction", "block_scales", "ensemble", "released_form")


def singular_values_of(abundance: float) -> list[float]:
    """Twenty singular values of that information abundance."""
    return [1.0] + [(abundance - 1) / 19] * 19


def unlike(seed: int) -> np.ndarray:
    """Two sets' interaction patterns that have nothing to do with each other."""
    return np.random.default_rng(seed).uniform(1, 2, (2, 5, 5))


def one_pattern(seed: int, first: float = 1.0, second: float = 1.0) -> np.ndarray:
    """The same pattern in both sets, but for a factor."""
    return unlike(seed)[[0, 0]] * np.array([first, second])[:, None, None]


def make_spectra(
    seed: int, sets: int, abundance=3.0, per_set=(4.0, 8.0), patterns=unlike, own=RISING, other=RISING
) -> dict:
    """abundance, per_set: mean information abundance over the fields, less the seed. patterns: seed -> the norms as an
    array (sets, i, j). own, other: the ranks of the fields that IA(E_i->j) grows with, by i and by j. What is of i = j
    is to be left out."""
    spectra = {"side_by_side": [singular_values_of(abundance + seed + offset) for offset in OFFSETS]}
    if sets == 1:
        pairs = np.exp(np.add.outer(np.array(own), np.array(other) / 5))
        np.fill_diagonal(pairs, 1000.0 * np.arange(5, 0, -1))
        return spectra | {"sub_embedding_information_abundance": pairs.tolist()}
    norms = np.array(patterns(seed))
    norms[:, range(5), range(5)] = 1000 * np.arange(1, 6)
    of_sets = [[singular_values_of(mean + seed + offset) for offset in OFFSETS] for mean in per_set]
    return spectra | {"per_set": of_sets, "interaction_norms": norms.tolist()}


def make_record(
    seed: int,
    run: str,
    dataset: str = "criteo_like",
    auc: float = 0.0,
    drop: float = 0.0,
    fall: float = 0.0,
    looks: list[float] | None = None,
    moments: dict | None = None,
    cost: float | None = None,
    data: dict | None = None,
    options: dict | None = None,
    training: dict | None = None,
    weight: float | None = None,
    **spectra,
) -> RunRecord:
    """A record that no run made.

    auc: above 0.7, and above that a thousandth for every seed: only pairs can tell. drop, fall: of validation AUC and
    training loss after the best epoch. looks: in place of one an epoch. cost: of the interaction. data, options,
    training: what is otherwise in the config; weight: of the regularizer. spectra: see `make_spectra`.
    """
    model, embedding, scale, *variant = run.split(maxsplit=3)
    parts, sets = "".join(variant).split(" + "), int(scale) if embedding == "ME" else 1
    size = base_embedding_size(model, len(CARDINALITIES)) * int(scale) // sets
    of_variant = {part: True for part in parts if part in OPTIONS}
    regularizer = next((RegularizerConfig(part, weight) for part in parts if part not in ("", *of_variant)), None)
    config = RunConfig(
        replace(DataConfig(dataset, seed, 1_000, 500), **data or {}),
        model,
        size,
        sets,
        seed,
        of_variant | (options or {}),
        replace(TrainingConfig(), **training or {}),
        regularizer,
    )
    noise = NOISE[seed % len(NOISE)]
    epochs = [(0.6, 0.6), (0.5, 0.7), (0.5 - fall * noise, 0.7 - drop * noise)]
    looks = [of_epoch for _, of_epoch in epochs] if looks is None else looks
    every = config.training.looks
    best_look = int(np.argmax(looks)) + 1
    scores = {
        "test_auc": 0.7 + seed % 100 / 1000 + auc * noise,
        "test_log_loss": 0.5,
        "best_look": best_look,
        "best_epoch": -(-best_look // every),
    }
    return RunRecord(
        config=config.to_json(),
        fields=[{"name": f"f{d}", "cardinality": d} for d in CARDINALITIES],
        parameters=1,
        scores=scores | ({} if cost is None else {"interaction_cost": cost * noise}),
        epochs=[
            {
                "training_loss": [loss + 0.01, loss - 0.01],
                "validation_auc": of_epoch,
                "measurements": {"information_abundance": [2.0 * number] * 5},
            }
            for number, (loss, of_epoch) in enumerate(epochs, start=1)
        ],
        spectra=make_spectra(seed % 10, sets, **spectra),
        provenance={"seconds": 1.0},
        looks=looks,
        moments=moments or {},
        parameters_by_part={"embedding": 4730, "interaction": 20, "head": 10},
    )
