"""From a log's name to its config, and from the config to the log."""

from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import numpy as np

from paper_code.data import SYNTHETIC_LOGS, ClickLog, load_click_log
from paper_code.data.click_log import check_rows
from paper_code.runs.config import DATA_FOLDER, GENERATOR, RECORDED_LOGS, DataConfig, check_text


def data_config(name: str, seed: int, rows: int, test_rows: int, data_folder: Path = DATA_FOLDER) -> DataConfig:
    """The log of that name and seed: a synthetic one of these sizes, or an encoded one, split by the seed.

    One that is not prepared here is still known if the project has its records.
    Raises FileNotFoundError, which says which logs there are, if there is none of that name, ValueError for no name.
    """
    check_text("dataset", name)
    if name in SYNTHETIC_LOGS:
        return DataConfig(name, seed, rows, test_rows)
    if Path(name).name != name or not (data_folder / name / "log.json").is_file():
        if recorded := [log for log in RECORDED_LOGS if log.name == name]:
            return replace(recorded[0], seed=seed)
        prepared = sorted(path.parent.name for path in data_folder.glob("*/log.json"))
        raise FileNotFoundError(
            f"no data set {name!r}: expected one of {', '.join([*SYNTHETIC_LOGS, *prepared])}, "
            f"or encode a raw log with `paper-code prepare` (see `paper-code prepare --help`) into {data_folder / name}"
        )
    log = load_click_log(data_folder / name)
    return DataConfig(name, seed, log.rows, fingerprint=log.fingerprint)


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
