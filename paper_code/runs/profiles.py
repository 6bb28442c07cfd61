"""The sizes at which the book can be made, and what a run of each is."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType

from paper_code.data import SYNTHETIC_LOGS
from paper_code.data.click_log import rows_of_share
from paper_code.models import model_options
from paper_code.runs.config import (
    DATA_FOLDER,
    FIRST_CRITEO_80K,
    PROJECT_FOLDER,
    RECORDED_LOGS,
    DataConfig,
    RunConfig,
    check_text,
)
from paper_code.runs.logs import data_config, load_data
from paper_code.runs.regime import (
    AVERAGING,
    DECAY_TIMES_ROWS,
    HEADLINE_SEEDS,
    LOOKS_PER_EPOCH,
    MEASURED_EPOCH,
    PATIENCE,
    REGIMES,
    WEIGHT_DECAY,
    LogRegime,
    default_regime,
    learner,
)
from paper_code.training.config import TrainingConfig

PRIOR_PRECISION = 46
"""Rows times weight decay, of all parameters alike, in the records of the first regime."""
RESULTS_FOLDER = "figures/data/runs"
"""The records that come with the project."""
NEW_RESULTS = DATA_FOLDER / "runs"
"""Where those go that are made on top of them."""


@dataclass(frozen=True)
class Profile:
    """A size at which the whole book can be made.

    rows, test_rows: of the synthetic logs. scales: model sizes as multiples of the base. options: of the models; those
    a model does not have are ignored.
    by_regime: batch size, learning rates, hidden width and weight decay are those of `paper_code.runs.regime` for the
    log, in place of those here, and the run's seed decides the split of a real log too; else that is the paper's, 0.
    checked_seeds: for so many of the seeds, the first, plain runs also measure what their interaction is worth.
    """

    rows: int
    test_rows: int
    scales: tuple[int, ...]
    seeds: tuple[int, ...]
    options: dict
    training: TrainingConfig
    by_regime: bool = False
    checked_seeds: int = 0


FIRST = "first"
"""The profile of the records of the first regime, which `paper_code.runs.regime` replaces. They are only read."""
LAPTOP_OPTIONS = {"hidden": (64, 64), "cross_layers": 2, "expansion": 1}
REGIME_TRAINING = TrainingConfig(
    patience=PATIENCE,
    max_epochs=30,
    weight_decay=WEIGHT_DECAY,
    shuffle=True,
    looks_per_epoch=LOOKS_PER_EPOCH,
    averaging=AVERAGING,
    measured_epoch=MEASURED_EPOCH,
)
PROFILES = {
    "smoke": Profile(
        rows=20_000,
        test_rows=8_000,
        scales=(1, 2),
        seeds=(0, 1),
        options=LAPTOP_OPTIONS | {"blocks": 1},
        training=replace(
            REGIME_TRAINING, batch_size=128, learning_rate=4e-3, patience=1, max_epochs=1, measured_epoch=1
        ),
    ),
    "laptop": Profile(
        rows=200_000,
        test_rows=200_000,
        scales=(1, 4, 10),
        seeds=HEADLINE_SEEDS,
        options=LAPTOP_OPTIONS,
        training=REGIME_TRAINING,
        by_regime=True,
        checked_seeds=3,
    ),
    "paper": Profile(
        rows=400_000,
        test_rows=200_000,
        scales=(1, 2, 3, 4, 10),
        seeds=(0, 1, 2),
        options={},
        training=TrainingConfig(),
    ),
    FIRST: Profile(
        rows=200_000,
        test_rows=200_000,
        scales=(1, 2, 3, 4, 10),
        seeds=(0, 1, 2, 3, 4),
        options=LAPTOP_OPTIONS,
        training=TrainingConfig(batch_size=128, patience=2, max_epochs=20),
    ),
}


def find(what: str, name: str, among: dict):
    """The value of that name. Raises ValueError, which names those that exist, if there is none."""
    if name not in among:
        raise ValueError(f"{what} {name!r} does not exist; expected one of {', '.join(among)}")
    return among[name]


def parse_seeds(seeds: Sequence[int] | int | str | None, profile: Profile) -> list[int]:
    """Seeds as a list: from a list, a number or text as papermill's -p passes it, "0,1,2"; None: the profile's.

    Raises ValueError for anything else, and for no seed, a seed twice or a negative one.
    """
    if seeds is None:
        return list(profile.seeds)
    if isinstance(seeds, str):
        seeds = [part.strip() for part in seeds.strip("[]() ").split(",")]
    try:
        parsed = [int(str(seed)) for seed in ([seeds] if isinstance(seeds, int) else seeds)]
    except (TypeError, ValueError):
        raise ValueError(f"seeds={seeds!r}: expected whole numbers such as [0, 1, 2] or '0,1,2'") from None
    if not parsed or len(set(parsed)) < len(parsed) or min(parsed) < 0:
        raise ValueError(f"seeds={parsed}: expected at least one, none twice and none negative")
    return parsed


def seeds_of(profile: str, seeds: Sequence[int] | str | None = None) -> list[int]:
    """The seeds given, or the profile's. Raises ValueError as `parse_seeds` does, and for an unknown profile."""
    return parse_seeds(seeds, find("profile", profile, PROFILES))


def toy_seeds(profile: str, seeds: Sequence[int] | str | None = None) -> list[int]:
    """The seeds given, or the profile's first five, for what needs no log."""
    return seeds_of(profile, seeds)[: None if seeds else 5]


def log_of_profile(profile: Profile, dataset: str, seed: int, data_folder: Path = DATA_FOLDER) -> DataConfig:
    """The log of that name as a run of this seed has it."""
    data = data_config(dataset, seed, profile.rows, profile.test_rows, data_folder)
    if profile is PROFILES[FIRST]:
        return FIRST_CRITEO_80K if dataset == FIRST_CRITEO_80K.name else replace(data, seed=seed, generator=None)
    return data if profile.by_regime or dataset in SYNTHETIC_LOGS else replace(data, seed=0)


def regime_of(dataset: str, fields: int) -> LogRegime:
    return REGIMES.get(dataset) or default_regime(fields)


def setting(
    profile: Profile,
    data: DataConfig,
    fields: int,
    model: str,
    scale: int = 1,
    num_sets: int = 1,
    further: Mapping[str, object] = MappingProxyType({}),
) -> tuple[dict, TrainingConfig]:
    """The profile's options and protocol for the model on a log of so many fields. scale: of the embedding size.
    further: options beside the profile's, which may have a learning rate of their own."""
    options = options_for(profile, model)
    if profile is PROFILES[FIRST]:
        return options, replace(profile.training, weight_decay=PRIOR_PRECISION / data.rows)
    if not profile.by_regime:
        if profile.training.averaging:
            decay = DECAY_TIMES_ROWS / training_rows(data)
            return options, replace(profile.training, embedding_weight_decay=decay)
        return options, profile.training
    regime = regime_of(data.name, fields)
    if "hidden" in options:
        options["hidden"] = (regime.hidden, regime.hidden)
    return options, replace(
        profile.training,
        batch_size=regime.batch_size,
        learning_rate=regime.learning_rate(learner(model, further), scale, num_sets),
        embedding_weight_decay=DECAY_TIMES_ROWS / training_rows(data),
    )


def training_rows(data: DataConfig) -> int:
    """See `paper_code.data.click_log.split_rows`."""
    return rows_of_share(data.rows, 8, 9 if data.test_rows else 10)


@lru_cache
def num_fields(data: DataConfig, data_folder: Path) -> int:
    """How many fields the log has."""
    recorded = {log.name: fields for log, fields in RECORDED_LOGS.items()}
    if data.name in recorded and not (data_folder / data.name).exists():
        return recorded[data.name]
    if data.name in SYNTHETIC_LOGS:
        data = DataConfig(data.name, 0, rows=100, test_rows=0)  # the fields are the same
    return len(load_data.__wrapped__(data, data_folder).fields)


def options_for(profile: Profile, model: str) -> dict:
    """The profile's options that the model has."""
    return {name: value for name, value in profile.options.items() if name in model_options(model)}


def describe(config: RunConfig) -> str:
    """The run in a few words."""
    parts = [config.data.name, config.model, f"K={config.embedding_size}"]
    if config.num_sets > 1:
        parts.append(f"x {config.num_sets} sets")
    further = config.data.variation
    if config.data.noise is not None:
        parts.append(f"{config.data.rows:,} rows")
    if config.options["embedding_std"] is not None:
        further["embedding std"] = config.options["embedding_std"]
    parts += [f"{name} {value}" for name, value in further.items()]
    parts += [option for option, value in config.options.items() if value is True]
    if config.options.get("groups"):
        parts.append(f"{config.options['groups']} groups")
    training, widths = config.training, config.options.get("hidden", ())
    parts += ["permuted labels"] * config.data.permuted + ["bfloat16"] * training.mixed_precision
    if config.regularizer:
        parts.append(f"{config.regularizer.weight:g} {config.regularizer.name}")
    usual = WEIGHT_DECAY if training.batch_size == TrainingConfig().batch_size else PRIOR_PRECISION / config.data.rows
    if training.averaging:
        parts += [f"hidden {' '.join(map(str, dict.fromkeys(widths)))}"] if widths else []
        parts.append(f"batch {training.batch_size} rate {training.learning_rate:g}")
        decay = (training.embedding_weight_decay or 0) / (DECAY_TIMES_ROWS / training_rows(config.data))
        parts += [f"embedding decay x {decay:g}"] if round(decay, 3) != 1 else []
        parts += [] if training.dropout_seed is None else [f"dropout seed {training.dropout_seed}"]
        usual = WEIGHT_DECAY
    if training.shuffle != bool(training.averaging):
        parts.append("shuffled" if training.shuffle else "in one order")
    if training.weight_decay != usual or training.decoupled:
        parts.append(f"weight decay {training.weight_decay:g}" + " decoupled" * training.decoupled)
    return " ".join([*parts, f"seed {config.seed}"])


def project_path(path: str | Path) -> Path:
    """The path as it is if absolute, else below the project's root, wherever a notebook is executed."""
    check_text("folder", path)
    return PROJECT_FOLDER / path
