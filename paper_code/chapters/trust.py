"""What was tried to break the package: the counts of `tests/killing.py`, `tests/fuzz.py` and `make coverage`, kept in
`figures/data`."""

import pandas as pd

from paper_code.runs.profiles import project_path

READERS = {
    ".pt": "checkpoint of PyTorch",
    ".safetensors": "safetensors",
    ".npy": "NumPy array",
    ".npz": "archive of NumPy arrays",
    ".parquet": "Parquet",
    ".criteo": "raw log of Criteo, plain or gzip",
    ".avazu": "raw log of Avazu, plain or gzip",
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


def coverage() -> pd.DataFrame:
    """The counts of `make coverage`: a row per room with its statements, its branches, and how many tests run."""
    return pd.read_csv(project_path("figures/data/coverage.csv"))


def coverage_text() -> pd.DataFrame:
    """`coverage` as text, with rows of sums: the core, which is all but the chapters, and all."""
    table = coverage().set_index("room").drop(columns=["percent", "commit", "modified", "date"])
    core = table.drop(index="chapters")
    sums = {"core": core.sum(), "chapters": table.loc["chapters"], "all": table.sum()}
    table = pd.concat([core, pd.DataFrame(sums).T])
    text = {"room": table.index}
    for what in ("statements", "branches"):
        text[what] = [f"{number:,}" for number in table[what]]
        text[f"{what} run"] = [f"{share:.1%}".replace("%", " %") for share in table[f"covered_{what}"] / table[what]]
    return pd.DataFrame(text)
