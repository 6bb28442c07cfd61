"""What was tried to break the package: the counts of `tests/killing.py` and `tests/fuzz.py`, kept in `figures/data`."""

import pandas as pd

from paper_code.runs.profiles import project_path

RUNS = 20
"""Runs of the sweeps that are tried."""
READERS = {
    ".pt": "checkpoint of PyTorch",
    ".safetensors": "safetensors",
    ".npy": "NumPy array",
    ".npz": "archive of NumPy arrays",
    ".parquet": "Parquet",
    ".criteo": "raw log of Criteo, plain or gzip",
    ".avazu": "raw log of Avazu, plain or gzip",
}

TRIALS = {
    "disk": "the file system is full; space is made",
    "memory": "a control group has too little memory; the limit is lifted",
    "worker": "a process of the sweep is killed, again and again",
    "clock": "the time of day jumps by days, forwards and back",
    "machines": "two machines start the sweep at once on one folder",
    "sleep": "all processes are stopped for a second, as when a laptop sleeps",
}


def killing() -> pd.Series:
    """The counts of `tests/killing.py`."""
    return pd.read_csv(project_path("figures/data/faults_killing.csv")).iloc[0]


def fuzz() -> pd.DataFrame:
    """The counts of `tests/fuzz.py`: a row per reader with how many inputs were read, refused, or a finding."""
    return pd.read_csv(project_path("figures/data/faults_fuzz.csv"))


def fuzz_text() -> pd.DataFrame:
    """`fuzz` as text, with a row of the sums."""
    table = fuzz()
    counts = table[["read", "refused", "finding"]]
    total = pd.DataFrame([{"reader": "all", **counts.sum()}])
    table = pd.concat([table.assign(reader=table["reader"].map(READERS)), total], ignore_index=True)
    numbers = {"inputs": table[[*counts]].sum(axis=1)} | {name: table[name] for name in counts}
    numbers["neither"] = numbers.pop("finding")
    return pd.DataFrame({"file": table["reader"]} | {name: [f"{n:,}" for n in of] for name, of in numbers.items()})


def long_runs_text() -> pd.DataFrame:
    """The counts of `tests/long_runs.py` as text: a row per trial."""
    table = pd.read_csv(project_path("figures/data/faults_long.csv"), keep_default_na=False)
    return pd.DataFrame(
        {
            "what happens": table["trial"].map(TRIALS),
            "times": table["times"],
            "the sweep ended early": table["ended_early"],
            "records equal in the end": [f"{equal} of {RUNS}" for equal in table["equal"]],
            "other files": table["others"],
            "what it said": table["message"],
        }
    )
