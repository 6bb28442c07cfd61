"""How a model is trained, as values."""

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class TrainingConfig:
    """The paper's protocol: Adam with coupled weight decay, early stopping on validation AUC.

    embedding_weight_decay: that of embedding tables and of linear terms per value; None: as all else.
    patience: epochs without a new best validation AUC.
    looks_per_epoch: how often validation AUC is looked at, at equal distances; None: once, at the end.
    averaging: score the exponential average of the weights in place of the weights, see `WeightAverage`; its decay per
    step; None: the weights.
    measured_epoch: an epoch at whose end every run is measured, so that runs can be compared at equal epochs; training
    goes on at least to it. None: no such epoch.
    decoupled: AdamW, whose decay is apart from the gradient and its normalisation.
    shuffle: read the training rows in a new order in every epoch; the authors' code reads them in the same.
    dropout_seed: of the dropout; None: the run's.
    mixed_precision: multiply matrices in bfloat16 while training; weights, loss and evaluation stay in float32.
    """

    batch_size: int = 2048
    learning_rate: float = 1e-3
    weight_decay: float = 1e-6
    patience: int = 3
    max_epochs: int = 100
    decoupled: bool = False
    shuffle: bool = False
    mixed_precision: bool = False
    embedding_weight_decay: float | None = None
    looks_per_epoch: int | None = None
    averaging: float | None = None
    measured_epoch: int | None = None
    dropout_seed: int | None = None

    def __post_init__(self) -> None:
        for name in ("batch_size", "patience", "max_epochs", "looks_per_epoch", "measured_epoch"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"{name} is {value}, expected at least 1")
        if not 0 < self.learning_rate < math.inf:
            raise ValueError(f"learning_rate is {self.learning_rate}, expected a positive number")
        for name in ("weight_decay", "embedding_weight_decay"):
            value = getattr(self, name)
            if value is not None and not 0 <= value < math.inf:
                raise ValueError(f"{name} is {value}, expected a number that is not negative")
        if self.averaging is not None and not 0 < self.averaging < 1:
            raise ValueError(f"averaging is {self.averaging}, expected a number between 0 and 1, such as 0.999")

    @property
    def looks(self) -> int:
        """At the validation rows, per epoch."""
        return self.looks_per_epoch or 1


AUTHORS_WEIGHTS = {
    "unitary": 1e-5,
    "norm_divergence": 1.0,
    "subspace_similarity": 1e-4,
    "singular_value_spread": 1e-4,
}
"""Weights of the penalties in `paper_code.training.regularizers`, in the loss of the authors' code."""


@dataclass(frozen=True)
class RegularizerConfig:
    """Which regularizer, by its name in AUTHORS_WEIGHTS, and its weight; None: that of the authors' code."""

    name: str
    weight: float | None = None

    def __post_init__(self) -> None:
        if self.name not in AUTHORS_WEIGHTS:
            raise ValueError(f"regularizer {self.name!r} does not exist; expected one of {', '.join(AUTHORS_WEIGHTS)}")
        if self.weight is None:
            object.__setattr__(self, "weight", AUTHORS_WEIGHTS[self.name])
        if not 0 < self.weight < float("inf"):
            raise ValueError(f"the weight of regularizer {self.name} is {self.weight}, expected a positive number")
