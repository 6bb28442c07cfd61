"""A run is a value: its config says everything that decides the result, its record everything that came of it."""

import ctypes
import errno
import fcntl
import hashlib
import json
import math
import os
import platform
import resource
import subprocess
import tempfile
import time
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from copy import deepcopy
from dataclasses import asdict, dataclass, field, fields, replace
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import get_origin

import numpy as np
import torch

from paper_code.data import SYNTHETIC_LOGS, ClickLog, Split, load_click_log
from paper_code.data.click_log import check_rows
from paper_code.measurement import field_information_abundance, measure, parameters_by_part, summary
from paper_code.models import build_model, complete_options
from paper_code.models.ctr_model import CTRModel
from paper_code.regularizers import Penalty, RegularizerConfig
from paper_code.training import Fit, TrainingConfig, find_device, fit, refitted_auc

PROJECT_FOLDER = Path(__file__).resolve().parent.parent
DATA_FOLDER = Path(os.environ.get("PAPER_CODE_DATA", PROJECT_FOLDER / "data"))
SCHEMA_VERSION = 2
VERSIONS_OF = ("torch", "numpy", "scikit-learn")
GENERATOR = 2
"""The version of the synthetic logs; the first, of larger entities, is in the history of this project."""


@dataclass(frozen=True)
class DataConfig:
    """Which log, exactly.

    name: a synthetic log, or an encoded one in the data folder.
    seed: of a synthetic log's generator, of the split, and of the permutation of labels.
    rows: of the log, without a synthetic log's test_rows.
    fingerprint: of an encoded log, so that one prepared anew is another log.
    generator: of a synthetic log, its version; None: the first, of which there are only records.
    noise, patterns, vocabulary, latent_size: of a synthetic log, see `paper_code.data.synthetic.generate`; None: as
    always.
    permuted: the labels are permuted at random, so that nothing can be learned from the ids.
    """

    name: str
    seed: int
    rows: int | None = None
    test_rows: int | None = None
    fingerprint: str | None = None
    noise: float | None = None
    patterns: int | None = None
    vocabulary: str | None = None
    generator: int | None = GENERATOR
    latent_size: int | None = None
    permuted: bool = False

    def __post_init__(self) -> None:
        if self.name not in SYNTHETIC_LOGS:
            object.__setattr__(self, "generator", None)

    @property
    def variation(self) -> dict:
        """What sets a synthetic log apart from the usual one."""
        found = {name: getattr(self, name) for name in ("noise", "patterns", "vocabulary", "latent_size")}
        return {name: value for name, value in found.items() if value is not None}


RECORDED_LOGS = {
    DataConfig("movielens", 0, 739_012, fingerprint="fda6431bad34e180"): 8,
    DataConfig("movielens_without_ids", 0, 739_012, fingerprint="522b0947cecc8d24"): 6,
    DataConfig("frappe", 0, 288_609, fingerprint="fdfe97a0fd6adbfa"): 10,
    DataConfig("frappe_random", 0, 288_609, fingerprint="27b24bd9d14985ac"): 10,
    DataConfig("criteo_80k", 0, 80_000, fingerprint="4eb085432ce9d31d"): 39,
}
"""Logs that the project makes records of but does not have the rows of, with their number of fields; split by seed 0.
The first 80,000 rows of Criteo's train.txt have their categories hashed to 20 bits."""
FIRST_CRITEO_80K = DataConfig("criteo_80k", 0, 80_000, fingerprint="9dd96af35b6d74ff")
"""The same rows as the first regime had them encoded."""


@dataclass(frozen=True)
class RunConfig:
    """Everything that decides a run's result.

    options: the model's; those not given have the paper's values. regularizer: a penalty beside the loss, if any.
    interaction_cost: also measure what the interaction is worth, see `interaction_cost`.
    """

    data: DataConfig
    model: str
    embedding_size: int
    num_sets: int
    seed: int
    options: dict = field(default_factory=dict)
    training: TrainingConfig = field(default_factory=TrainingConfig)
    regularizer: RegularizerConfig | None = None
    interaction_cost: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "options", complete_options(self.model, self.options))

    def to_json(self) -> dict:
        """The config as JSON values. Whatever is None or False is left out, so that an option added later, off by
        default, leaves the hashes of earlier records as they are."""
        return json.loads(json.dumps(without_unset(asdict(self))))

    @property
    def hash(self) -> str:
        """16 hexadecimal digits that name the record."""
        return config_hash(self.to_json())


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
    spectra: at the best look; see `paper_code.measurement.measure`.
    moments: `paper_code.measurement.summary` before training (initial), at the best look (best, raw_best) and at the
    end of the config's measured_epoch (equal, raw_equal: with test_auc).
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
        """That of its run's config, by which its file is named."""
        return config_hash(self.config)


def config_hash(config: dict) -> str:
    """16 hexadecimal digits of a config as JSON values."""
    return hashlib.sha256(json.dumps(config, sort_keys=True).encode()).hexdigest()[:16]


class RunStore:
    """A folder of run records: `<folder>/<dataset>/<hash>.json`, each written in one piece or not at all.

    published: a second folder of records, which is only read.
    """

    def __init__(self, folder: str | Path, published: str | Path | None = None):
        self.folder = Path(folder)
        self.folders = [Path(published), self.folder] if published else [self.folder]

    def path(self, config: RunConfig) -> Path:
        return record_path(self.folder, config)

    def lock_path(self, config: RunConfig) -> Path:
        return self.path(config).with_name(f".{config.hash}.lock")

    def get(self, config: RunConfig) -> RunRecord | None:
        """The record of the run, None if there is none.

        Raises ValueError if the file is not a record of this run.
        """
        path = self.find(config)
        return None if path is None else read_record(path)

    def find(self, config: RunConfig) -> Path | None:
        """The file of the run's record, None if there is none."""
        paths = (record_path(folder, config) for folder in self.folders)
        return next((path for path in paths if path.exists()), None)

    def put(self, config: RunConfig, record: RunRecord) -> Path:
        """Write the record; a reader sees the whole file or none.

        Raises OSError, which names the file, if it cannot be written; what was there before is still there then.
        """
        path = self.path(config)
        text = json.dumps(asdict(record), separators=(",", ":"), allow_nan=False)
        with errors_of(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".", suffix=".tmp")
            try:
                with os.fdopen(handle, "w", encoding="utf-8") as file:
                    file.write(text + "\n")
                    file.flush()
                    os.fsync(file.fileno())
                os.chmod(temporary, 0o644)
                os.replace(temporary, path)
            except BaseException:
                Path(temporary).unlink(missing_ok=True)
                raise
        return path

    def reserve(self, config: RunConfig) -> int | None:
        """Keep the run from other sweeps until `release`.

        Returns the reservation, a file descriptor; None if another sweep has the run. It is a lock on a hidden file
        beside the record, which the system takes off when the process ends, however it does. Where a file system has no
        locks there is a warning, and no other sweep is kept from the run.
        Raises OSError, which names the file, if it cannot be written.
        """
        path = self.lock_path(config)
        with errors_of(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            while True:
                reservation = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
                if not locked(reservation, path):
                    os.close(reservation)
                    return None
                with suppress(FileNotFoundError):  # released, and so removed, between the opening and the lock
                    if os.path.samestat(os.fstat(reservation), os.stat(path)):
                        return reservation
                os.close(reservation)

    def release(self, config: RunConfig, reservation: int) -> None:
        """Let other sweeps have the run."""
        with suppress(OSError):
            self.lock_path(config).unlink()
        os.close(reservation)

    def records(self) -> Iterator[RunRecord]:
        """Every record, by name."""
        for folder in self.folders:
            for path in sorted(folder.glob("*/[!.]*.json")):
                yield read_record(path)


def record_path(folder: Path, config: RunConfig) -> Path:
    return folder / config.data.name / f"{config.hash}.json"


@contextmanager
def errors_of(path: Path) -> Iterator[None]:
    """What the system refuses in the block is an error that names the file."""
    try:
        yield
    except OSError as error:
        raise OSError(
            f"{path}: cannot be written ({error}); make room or set the permissions and start again, the records that "
            "are there are kept"
        ) from error


def locked(descriptor: int, path: Path) -> bool:
    """Lock the open file against other processes and other openings of it, unless one of them has it locked."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno not in (errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP):
            raise
        warnings.warn(f"{path.parent}: no file locks here ({error}); run one sweep at a time", stacklevel=2)
    return True


def read_record(path: Path) -> RunRecord:
    """Raises ValueError, which names the file and what is wrong in it, if it is not a record of this schema or not of
    the run that it is named after."""
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


def check_text(parameter: str, value: object) -> None:
    """Raises ValueError, which names the notebooks' parameter, for a value that is no text, such as the number 2014."""
    if not isinstance(value, (str, os.PathLike)):
        raise ValueError(
            f"{parameter}={value!r}: is a {type(value).__name__}, expected text; papermill's -p makes a number of "
            f"digits, so give it by `papermill -r {parameter} ...`, which keeps text as it is"
        )


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
        spectra, moments["best"] = measure(model), summary(model)
        if result.measured:
            moments["equal"] = result.measured
            if "raw" in result.measured:
                moments["raw_equal"] = moments["equal"].pop("raw")
        if result.raw_weights:
            model.load_state_dict(result.raw_weights)
            moments["raw_best"] = summary(model)
        seconds, of_processor = time.perf_counter() - started[0], time.process_time() - started[1]
        origin = provenance(device, seconds, of_processor, result)
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


def without_unset(values: dict) -> dict:
    return {
        key: without_unset(value) if isinstance(value, dict) else value
        for key, value in values.items()
        if value is not None and value is not False
    }


def provenance(device: str, seconds: float, cpu_seconds: float, result: Fit) -> dict:
    """Where, with what and at what cost a run was made."""
    found = find_device(device)
    on_cuda = found.type == "cuda"
    return {
        **commit(),
        "versions": {name: version(name) for name in VERSIONS_OF} | {"python": platform.python_version()},
        "hardware": torch.cuda.get_device_name(found) if on_cuda else processor(),
        "device": found.type,
        "threads": torch.get_num_threads(),
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "seconds": round(seconds, 2),
        "cpu_seconds": round(cpu_seconds, 2),
        "training_seconds": round(result.training_seconds, 2),
        "peak_memory_mib": round((torch.cuda.max_memory_allocated(found) if on_cuda else peak_memory()) / 2**20),
    }


@lru_cache(maxsize=1)
def commit() -> dict:
    """The commit of the project's checkout, and whether `paper_code` differs from it; None outside a checkout."""

    def git(*arguments: str) -> str | None:
        command = ["git", "-C", str(PROJECT_FOLDER), *arguments]
        try:
            return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
        except (OSError, subprocess.CalledProcessError):
            return None

    changes = git("status", "--porcelain", "--", "paper_code")
    return {"commit": git("rev-parse", "HEAD"), "modified": None if changes is None else bool(changes)}


def processor() -> str:
    """The processor's name and its number of cores."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        name = next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        name = platform.processor() or platform.machine()
    return f"{name}, {os.cpu_count()} cores"


def reset_peak_memory() -> None:
    """Let the peaks count from now, without what earlier runs left behind, where the system can (Linux, CUDA)."""
    with suppress(AttributeError, OSError, TypeError):
        ctypes.CDLL(None).malloc_trim(0)
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()


def peak_memory() -> int:
    """Bytes of the process's largest resident size, since `reset_peak_memory` where the system can."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))
    except (OSError, StopIteration):
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if platform.system() == "Darwin" else peak * 1024
