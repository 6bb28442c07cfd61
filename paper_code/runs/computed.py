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


def computed(
    name: str, parameters: dict, compute: Callable[[], object], results_dir: str | Path = RESULTS_FOLDER
) -> object:
    """What `compute` gives, JSON values, from `<results_dir>/<name>_<hash of the parameters>.json` if it is there."""
    digits = hashlib.sha256(json.dumps(parameters, sort_keys=True).encode()).hexdigest()[:16]
    store = run_store(results_dir)
    for folder in store.folders:
        if (path := folder / f"{name}_{digits}.json").is_file():
            return json.loads(path.read_text())["result"]
    result = compute()
    write(store.folder / f"{name}_{digits}.json", json.dumps({"parameters": parameters, "result": result}) + "\n")
    return result


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

    def compute() -> dict:
        from paper_code.toy import run_toy
        from paper_code.training.process import find_device

        result = run_toy(**parameters, device=find_device(device))
        values = result.singular_values.tolist()
        return {"iterations": result.iterations.tolist(), "singular_values": values}

    found = computed("toy", parameters, compute, results_dir)
    return ToyResult(cardinality, tuple(seeds), *map(np.array, found.values()))
