"""A run is a value: its config says everything that decides the result."""

import hashlib
import json
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path

from paper_code.data import SYNTHETIC_LOGS
from paper_code.models import complete_options
from paper_code.training.config import RegularizerConfig, TrainingConfig

PROJECT_FOLDER = Path(__file__).resolve().parents[2]
DATA_FOLDER = Path(os.environ.get("PAPER_CODE_DATA", PROJECT_FOLDER / "data"))
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

    @classmethod
    def from_json(cls, config: dict) -> "RunConfig":
        """The run of a config as JSON values. Raises ValueError if they are not those of a run that this code knows."""
        try:
            parts = {
                "data": DataConfig(**{"generator": None} | config["data"]),
                "training": TrainingConfig(**config["training"]),
                "regularizer": RegularizerConfig(**config["regularizer"]) if "regularizer" in config else None,
            }
            found = cls(**config | parts)
        except (KeyError, TypeError) as error:
            raise ValueError(f"the config is not of a run that this code knows ({error})") from None
        if found.hash != config_hash(config):
            raise ValueError("the config is not of a run that this code knows: it would be another run's today")
        return found

    @property
    def hash(self) -> str:
        """16 hexadecimal digits that name the record."""
        return config_hash(self.to_json())


def config_hash(config: dict) -> str:
    """16 hexadecimal digits of a config as JSON values."""
    return hashlib.sha256(json.dumps(config, sort_keys=True).encode()).hexdigest()[:16]


def check_text(parameter: str, value: object) -> None:
    """Raises ValueError, which names the notebooks' parameter, for a value that is no text, such as the number 2014."""
    if not isinstance(value, (str, os.PathLike)):
        raise ValueError(
            f"{parameter}={value!r}: is a {type(value).__name__}, expected text; papermill's -p makes a number of "
            f"digits, so give it by `papermill -r {parameter} ...`, which keeps text as it is"
        )


def without_unset(values: dict) -> dict:
    return {
        key: without_unset(value) if isinstance(value, dict) else value
        for key, value in values.items()
        if value is not None and value is not False
    }
