"""A run of an experiment as what sets it apart from a plain one, and the run that this makes."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import zip_longest

from paper_code.data import SYNTHETIC_LOGS
from paper_code.models import base_embedding_size
from paper_code.runs.config import DataConfig, RunConfig
from paper_code.runs.profiles import (
    Profile,
    regime_of,
    setting,
)
from paper_code.training.config import RegularizerConfig


@dataclass(frozen=True)
class Variant:
    """A run of an experiment, but for data, seed and protocol.

    scale: embedding size as a multiple of the base size. options: of the model, beside the profile's.
    regularizer: its name, at the weight of the authors' code. training: what differs from the profile's protocol.
    weight: of the regularizer; None: that of the authors' code, or the regime's.
    base: embedding size of scale 1; None: the model's in the paper. rows: as a share of the profile's. data: what the
    generator of a synthetic log does otherwise, see `paper_code.data.synthetic.generate`, or permuted labels.
    seeds: as many of the profile's, the first; None: all of them.
    decay: the embeddings' weight decay, or that of all where it is one; None: the profile's. embedding_decay: a
    multiple of the profile's. width: of the first hidden layers, as
    multiples of the profile's. rate: the learning rate, likewise; base_rate: that of the base size, whatever the size.
    other_order: rows are shuffled in every epoch if the profile does not, and not if it does.
    """

    model: str
    scale: int = 1
    num_sets: int = 1
    options: dict = field(default_factory=dict)
    regularizer: str | None = None
    weight: float | None = None
    training: dict = field(default_factory=dict)
    base: int | None = None
    rows: float = 1
    data: dict = field(default_factory=dict)
    seeds: int | None = None
    decay: float | None = None
    embedding_decay: float = 1
    width: tuple[float, ...] = ()
    rate: float = 1
    base_rate: bool = False
    other_order: bool = False


def single(models: Sequence[str], scales: Sequence[int], **further) -> list[Variant]:
    """Single embedding at every scale."""
    return [Variant(model, scale, **further) for model in models for scale in scales]


def multi(models: Sequence[str], scales: Sequence[int], **further) -> list[Variant]:
    """Multi embedding at every scale above the base, where it is single embedding."""
    return [Variant(model, 1, scale, **further) for model in models for scale in scales if scale > 1]


def run_config(profile: Profile, data: DataConfig, fields: int, variant: Variant, seed: int) -> RunConfig:
    """The run of a variant on a log of so many fields."""
    model = variant.model
    size = variant.scale * (variant.base or base_embedding_size(model, fields))
    sizes = (1, 1) if variant.base_rate else (variant.scale, variant.num_sets)
    options, training = setting(profile, data, fields, model, *sizes, variant.options)
    if "hidden" in options:
        options["hidden"] = tuple(round(w * of) for w, of in zip_longest(options["hidden"], variant.width, fillvalue=1))
    regularizer = None
    if variant.regularizer:
        weight = variant.weight
        if weight is None and variant.regularizer == "unitary" and profile.by_regime:
            weight = regime_of(data.name, fields).unitary.get(variant.scale)
        regularizer = RegularizerConfig(variant.regularizer, weight)
    decay = "weight_decay" if training.embedding_weight_decay is None else "embedding_weight_decay"
    changes = {
        "learning_rate": training.learning_rate * variant.rate,
        decay: getattr(training, decay) * variant.embedding_decay if variant.decay is None else variant.decay,
        "shuffle": training.shuffle != variant.other_order,
    }
    training = replace(training, **changes | variant.training)
    return RunConfig(
        data,
        model,
        size,
        variant.num_sets,
        seed,
        options | variant.options,
        training,
        regularizer,
    )


def varied(data: DataConfig, variant: Variant, experiment: str) -> DataConfig:
    """The log with the variant's rows and generator."""
    if variant.data == {"permuted": True}:
        return replace(data, permuted=True)
    if variant.rows == 1 and not variant.data:
        return data
    if data.name not in SYNTHETIC_LOGS:
        logs = ", ".join(SYNTHETIC_LOGS)
        raise ValueError(
            f"experiment {experiment!r} varies the generator of a log, expected one of {logs}: {data.name}"
        )
    return replace(data, rows=round(data.rows * variant.rows), **variant.data)
