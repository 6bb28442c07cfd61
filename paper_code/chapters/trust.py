"""What was tried to break the package: what `make harden`, `make coverage` and `make mutants` found, kept in
`figures/data`."""

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
MUTATED = {
    "paper_code.spectra": "singular values and measures",
    "paper_code.models": "models",
    "paper_code.training": "training",
    "paper_code.chapters.shared": "rules and checks of the verdicts",
    "paper_code.data": "encoders",
}
"""Room -> what it is. A mutant is of the room that its module's name begins with."""

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


def mutants() -> pd.DataFrame:
    """What `tests/mutants.py` found: a row per mutant with its outcome, and a reason if it was not killed."""
    return pd.read_csv(project_path("figures/data/mutants.csv"), keep_default_na=False)


def mutants_by_room() -> pd.DataFrame:
    """`mutants` counted: a row per room and one of all.

    killed: a test fails, or does not end. equivalent: of those that are not killed, what no test could tell from the
    code. share: killed of all. share_of_others: killed of those that are not equivalent.
    """
    found = mutants()
    room = found["module"].map(lambda module: next(name for name in MUTATED if module.startswith(name)))
    outcome = found["outcome"].replace("timeout", "killed")
    counts = pd.crosstab(room, outcome).reindex(list(MUTATED), columns=["killed", "survived", "equivalent"])
    counts = counts.fillna(0).astype(int)
    counts.loc["all"] = counts.sum()
    of_all = counts.sum(axis=1)
    counts.insert(0, "mutants", of_all)
    shares = {"share": of_all, "share_of_others": of_all - counts["equivalent"]}
    return counts.assign(**{name: counts["killed"] / number for name, number in shares.items()})


def mutants_text() -> pd.DataFrame:
    """`mutants_by_room` as text."""
    table = mutants_by_room().rename(index=MUTATED).rename_axis("code").reset_index()
    shares = {name: table[name].map("{:.0%}".format) for name in ("share", "share_of_others")}
    names = {"share": "killed of all", "share_of_others": "killed of those not equivalent"}
    return table.assign(**shares).rename(columns=names)


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
