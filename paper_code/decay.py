"""What weight decay does to the embedding of a value while no batch has the value.

Adam's update is dense, so every row of the table is updated at every step. For a row that is not in the batch the
gradient of the loss is zero, and with coupled decay that of the penalty, wd * w, is all that Adam sees. It divides by
the square root of its own mean square, so what pulls the weight to zero is, once the memory of the last true gradient
has faded, lr * wd|w| / (wd|w| + epsilon): nearly lr, whatever wd is, unless wd|w| is as small as epsilon.
"""

import numpy as np
import pandas as pd
import torch
from torch.nn import functional as F

from paper_code.experiments import WEIGHT_DECAYS
from paper_code.runs import DataConfig, RunRecord, load_data
from paper_code.tables import initial_model
from paper_code.training import TrainingConfig, seeded

LEARNING_RATE, BETAS, EPSILON = TrainingConfig.learning_rate, (0.9, 0.999), 1e-8


def absent_weight(
    weight_decay: float, *, weight: float, gradient: float, steps: int, decoupled: bool = False
) -> np.ndarray:
    """One weight over the steps after the batch that had its value: (steps + 1,), the first as that batch left it.

    weight: before that batch. gradient: of the loss in it. Late in training, so Adam's bias correction is one, and its
    moments are empty before.
    """
    first, second, weights = 0.0, 0.0, []
    for step in range(steps + 1):
        slope = (gradient if step == 0 else 0.0) + (0.0 if decoupled else weight_decay * weight)
        first = BETAS[0] * first + (1 - BETAS[0]) * slope
        second = BETAS[1] * second + (1 - BETAS[1]) * slope**2
        shrunk = weight * (1 - LEARNING_RATE * weight_decay) if decoupled else weight
        weight = shrunk - LEARNING_RATE * first / (np.sqrt(second) + EPSILON)
        weights.append(weight)
    return np.array(weights)


def typical_gradient(record: RunRecord) -> tuple[float, float]:
    """Median magnitude, in the first batch of the record's run, of an embedding weight and of its gradient, over the
    values that the batch has."""
    model, config = initial_model(record), record.config
    log = load_data(DataConfig(**config["data"]))
    rows = log.split(config["data"]["seed"]).train[: config["training"]["batch_size"]]
    ids = torch.from_numpy(log.ids[rows])
    with seeded(torch.device("cpu"), config["seed"]):  # dropout
        F.binary_cross_entropy_with_logits(model(ids), torch.from_numpy(log.labels[rows]).float()).backward()
    table = model.embedding.weight
    seen = table.grad.abs().sum(dim=1) > 0
    return float(table.detach()[seen].abs().median()), float(table.grad[seen].abs().median())


def absent_table(weight: float, gradient: float, steps: int = 1000) -> pd.DataFrame:
    """`absent_weight` for every weight decay, coupled and decoupled: weight_decay, decoupled, step, weight."""
    frames = [
        pd.DataFrame(
            {
                "weight_decay": decay,
                "decoupled": decoupled,
                "step": np.arange(steps + 1),
                "weight": absent_weight(decay, weight=weight, gradient=gradient, steps=steps, decoupled=decoupled),
            }
        )
        for decoupled in (False, True)
        for decay in WEIGHT_DECAYS
        if decay or not decoupled
    ]
    return pd.concat(frames, ignore_index=True)
