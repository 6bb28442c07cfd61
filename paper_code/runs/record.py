"""What came of a run, as it is kept in a file."""

import json
import math
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field, fields
from functools import lru_cache
from pathlib import Path
from typing import get_origin

from paper_code.runs.config import config_hash

SCHEMA_VERSION = 2


@dataclass(frozen=True)
class RunRecord:
    """What came of a run, JSON values only.

    config: of the run, as JSON. What is scored and measured is the average of the weights where the run has one, and
    what is called raw the weights themselves.
    parameters: their number; parameters_by_part: of embedding, interaction and head.
    scores: at the best look: test_auc, test_log_loss, raw_test_auc, best_look and best_epoch (both from 1);
    interaction_cost, see there, if asked for.
    epochs: of every whole epoch the mean training loss of its tenths, validation AUC and log loss at its end, raw too,
    seconds, and every field's information abundance. looks: validation AUC at every look.
    spectra: at the best look; see `paper_code.runs.measurement.measure`, and `representations` of the first 2,048
    validation rows.
    moments: `paper_code.runs.measurement.summary` before training (initial), at the best look (best, raw_best) and at
    the end of the config's measured_epoch (equal, raw_equal: with test_auc).
    provenance: commit, versions, hardware, seconds, peak memory.
    """

    config: dict
    fields: list[dict]
    parameters: int
    scores: dict
    epochs: list[dict]
    spectra: dict
    provenance: dict
    looks: list[float] = field(default_factory=list)
    moments: dict = field(default_factory=dict)
    parameters_by_part: dict = field(default_factory=dict)
    schema: int = SCHEMA_VERSION

    @property
    def hash(self) -> str:
        """The hash of its run's config, by which its file is named."""
        return config_hash(self.config)


def read_record(path: Path) -> RunRecord:
    """The record in the file, read once as long as the file stays as it is; all who read it share the values.

    Raises ValueError, which names the file and what is wrong in it, if it is not a record of this schema or not of the
    run that it is named after.
    """
    stat = path.stat()
    return read_once(path, stat.st_mtime_ns, stat.st_size, stat.st_ino)


@lru_cache(maxsize=10_000)
def read_once(path: Path, *_: int) -> RunRecord:
    try:
        values = of_this_schema(json.loads(path.read_text(encoding="utf-8")))
        check_record(values)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path}: not a run record ({error}); delete it to train the run anew") from error
    record = RunRecord(**values)
    if record.hash != path.stem:
        raise ValueError(f"{path}: its config is not that of the run it is named after; delete it to train it anew")
    return record


def of_this_schema(values: object) -> object:
    """The JSON values of a record of the first regime with what it lacks: it had one look an epoch."""
    if not isinstance(values, dict) or values.get("schema") != 1:
        return values
    try:
        looks = [epoch["validation_auc"] for epoch in values["epochs"]]
        scores = values["scores"] | {"best_look": values["scores"]["best_epoch"]}
    except (KeyError, TypeError):
        return values
    new = {"looks": looks, "moments": {}, "parameters_by_part": {}, "schema": SCHEMA_VERSION}
    return values | {"scores": scores} | new


def check_record(values: object) -> None:
    """Raises ValueError, which says what is wrong and where, if JSON values are not those of a record."""
    if not isinstance(values, dict) or "schema" not in values:
        raise ValueError("it has no schema")
    if values["schema"] != SCHEMA_VERSION:
        raise ValueError(f"schema {values['schema']!r}, expected {SCHEMA_VERSION}")
    kinds = {part.name: get_origin(part.type) or part.type for part in fields(RunRecord)}
    for name in sorted(values.keys() ^ kinds.keys()):
        raise ValueError(f"{name} is {'missing' if name in kinds else 'no part of a record'}")
    check_kinds((name, values[name], kind) for name, kind in kinds.items())
    check_kinds((f"{name}.{i}", v, dict) for name in ("fields", "epochs") for i, v in enumerate(values[name]))
    scores = values["scores"]
    check_kinds((f"scores.{name}", scores.get(name), kind) for name, kind in (("test_auc", float), ("best_epoch", int)))
    check_finite(values)
    if not 0 <= scores["test_auc"] <= 1:
        raise ValueError(f"scores.test_auc is {scores['test_auc']}, expected a number from 0 to 1")


def check_kinds(parts: Iterable[tuple[str, object, type]]) -> None:
    for name, value, kind in parts:
        if type(value) is not kind:
            raise ValueError(f"{name} is {value!r:.40}, expected {kind.__name__}")


def check_finite(values: object, *path: str | int) -> None:
    """Raises ValueError, such as "epochs.2.validation_auc is nan", if one of the JSON values is not a finite number."""
    if isinstance(values, float) and not math.isfinite(values):
        raise ValueError(f"{'.'.join(map(str, path))} is {values}, expected a finite number")
    if isinstance(values, list):
        with suppress(TypeError, OverflowError):  # not all of them numbers
            if all(map(math.isfinite, values)):
                return
    if isinstance(values, (dict, list)):
        for key, value in values.items() if isinstance(values, dict) else enumerate(values):
            check_finite(value, *path, key)
