"""Results that need no log, the toy experiment's and Appendix B's, kept in a file: computed once, then read."""

import hashlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from paper_code.runs.profiles import RESULTS_FOLDER, toy_seeds
from paper_code.runs.reading import run_store
from paper_code.runs.store import write
from paper_code.toy_result import ToyResult

DIGITS = 9
"""Significant digits of what is kept: computed in float64, they are the same on every processor with AVX2 (where
PyTorch draws the same random numbers)."""


def computed(
    name: str, parameters: dict, compute: Callable[[], object], results_dir: str | Path = RESULTS_FOLDER
) -> object:
    """What `compute` gives, JSON values, from `<results_dir>/<name>_<hash of the parameters>.json` if it is there."""
    store, file = run_store(results_dir), file_of(name, parameters)
    for folder in store.folders:
        if (path := folder / file).is_file():
            return json.loads(path.read_text())["result"]
    result = compute()
    write(store.folder / file, json.dumps({"parameters": parameters, "result": result}) + "\n")
    return result


def file_of(name: str, parameters: dict) -> str:
    return f"{name}_{hashlib.sha256(json.dumps(parameters, sort_keys=True).encode()).hexdigest()[:16]}.json"


def toy_results(
    profile: str = "laptop",
    seeds: Sequence[int] | str | None = None,
    device: str = "auto",
    results_dir: str | Path = RESULTS_FOLDER,
) -> tuple[ToyResult, ToyResult]:
    """The toy experiment of Appendix A with D_3 = 3 and with D_3 = 100, for `toy_seeds`."""
    chosen = toy_seeds(profile, seeds)
    return tuple(toy_result(cardinality, chosen, device, results_dir) for cardinality in (3, 100))


def toy_result(cardinality: int, seeds: Sequence[int], device: str, results_dir: str | Path) -> ToyResult:
    parameters = {"third_cardinality": cardinality, "seeds": list(seeds), "iterations": 5000, "points": 100}

    found = computed("toy", parameters, lambda: compute_toy(parameters, device), results_dir)
    return ToyResult(cardinality, tuple(seeds), *map(np.array, found.values()))


def compute_toy(parameters: dict, device: str = "cpu") -> dict:
    """What is kept of `run_toy`, of these parameters: singular values to `DIGITS`."""
    from paper_code.runs.measurement import rounded
    from paper_code.toy import run_toy
    from paper_code.training.process import find_device

    result = run_toy(**parameters, device=find_device(device))
    return {
        "iterations": result.iterations.tolist(),
        "singular_values": rounded(result.singular_values, DIGITS),
    }
