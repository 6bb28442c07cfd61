"""The records that the book shows; what is missing is trained first."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from paper_code.runs.config import RunConfig
from paper_code.runs.experiments import BOOK, OF_FIRST_REGIME, SCRUTINY, run_configs
from paper_code.runs.profiles import FIRST, NEW_RESULTS, PROFILES, RESULTS_FOLDER, parse_seeds, project_path
from paper_code.runs.record import RunRecord
from paper_code.runs.regime import CHOICE_SEEDS
from paper_code.runs.store import RunStore


def records_of(
    experiment: str,
    dataset: str,
    profile: str = "laptop",
    seeds: Sequence[int] | str | None = None,
    device: str = "auto",
    results_dir: str | Path = RESULTS_FOLDER,
) -> list[RunRecord]:
    """The records of an experiment, one per run; what the `run_store` of the folder lacks is trained first."""
    configs = shown_configs(experiment, dataset, profile, seeds, results_dir)
    store = run_store(results_dir)
    records = [store.get(config) for config in configs]
    if None in records or device != "auto":  # a device that is not there is an error, whether it is needed or not
        from paper_code.runs.sweeps import sweep

        sweep(configs, store, device=device)
        records = [store.get(config) for config in configs]
    return records


def shown_configs(
    experiment: str,
    dataset: str,
    profile: str = "laptop",
    seeds: Sequence[int] | str | None = None,
    results_dir: str | Path = RESULTS_FOLDER,
) -> list[RunConfig]:
    """The runs that the book shows: `run_configs`, but of the first regime where the records that come with the project
    are still of it."""
    still = shows_first(profile, results_dir) and (experiment, dataset) in OF_FIRST_REGIME
    if not still or not {*parse_seeds(seeds, PROFILES[FIRST])} <= {*PROFILES[FIRST].seeds}:
        return run_configs(experiment, dataset, profile, seeds)
    store = run_store(results_dir)
    return [config for config in run_configs(experiment, dataset, FIRST, seeds) if store.find(config)]


def shows_first(profile: str, results_dir: str | Path) -> bool:
    """Whether there what is in `OF_FIRST_REGIME` is shown by records of the first regime."""
    return profile == "laptop" and is_published(results_dir)


def of_first_regime(record: RunRecord) -> bool:
    """Is a record of the laptop profile of the first regime? It averaged no weights."""
    return "averaging" not in record.config["training"]


def is_published(results_dir: str | Path) -> bool:
    """Whether it is the folder of the records that come with the project."""
    return project_path(results_dir).resolve() == project_path(RESULTS_FOLDER).resolve()


def run_store(results_dir: str | Path = RESULTS_FOLDER) -> RunStore:
    """The records in a folder. Those that come with the project are only read, and what is made on top of them is kept
    in `NEW_RESULTS`, so that nobody changes the project by using it."""
    folder = project_path(results_dir)
    return RunStore(NEW_RESULTS, published=folder) if is_published(results_dir) else RunStore(folder)


def stored_records(
    experiment: str,
    dataset: str,
    profile: str = "laptop",
    seeds: Sequence[int] | str | None = None,
    results_dir: str | Path = RESULTS_FOLDER,
) -> list[RunRecord]:
    """The records of an experiment that the `run_store` of the folder holds; nothing is trained."""
    return records_there(shown_configs(experiment, dataset, profile, seeds, results_dir), results_dir)


def records_there(configs: Iterable[RunConfig], results_dir: str | Path) -> list[RunRecord]:
    """The records of those of the runs that the `run_store` of the folder holds."""
    store = run_store(results_dir)
    return [record for config in configs if (record := store.get(config)) is not None]


def book_records(
    profile: str = "laptop",
    seeds: Sequence[int] | str | None = None,
    results_dir: str | Path = RESULTS_FOLDER,
    experiments_of: Mapping[str, Sequence[str]] = BOOK,
) -> list[RunRecord]:
    """Every record of the book that `results_dir` holds, each once; nothing is trained.

    experiments_of: those of every data set.
    """
    configs = {
        config.hash: config
        for dataset, experiments in experiments_of.items()
        for experiment in experiments
        for config in shown_configs(experiment, dataset, profile, seeds, results_dir)
    }
    return records_there(configs.values(), results_dir)


def choice_records(results_dir: str | Path = RESULTS_FOLDER) -> list[RunRecord]:
    """The records that `results_dir` holds of runs by which the regime was chosen."""
    records = run_store(results_dir).records(*(f'"seed":{seed}' for seed in CHOICE_SEEDS))
    return [record for record in records if record.config["seed"] in CHOICE_SEEDS]


def trials(results_dir: str | Path) -> list[RunRecord]:
    """The records of one epoch that `results_dir` holds, which tell what a run made on a GPU takes on a CPU."""
    records = run_store(results_dir).records('"max_epochs":1,', '"max_epochs":1}')
    return [record for record in records if record.config["training"]["max_epochs"] == 1]


def scrutiny_records(
    profile: str = "laptop", seeds: Sequence[int] | str | None = None, results_dir: str | Path = RESULTS_FOLDER
) -> list[RunRecord]:
    """The records of `SCRUTINY` that no other experiment has: what it costs to ask beyond the paper."""
    parts = {
        log: ([e for e in names if e in SCRUTINY], [e for e in names if e not in SCRUTINY])
        for log, names in BOOK.items()
    }
    asked, others = (
        book_records(profile, seeds, results_dir, {log: parts[log][number] for log in BOOK}) for number in (0, 1)
    )
    of_others = {record.hash for record in others}
    return [record for record in asked if record.hash not in of_others]
