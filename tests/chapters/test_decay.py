"""What weight decay does to a value that no batch has, against PyTorch's own optimisers."""

import numpy as np
import pytest
import torch

from paper_code.chapters.optimizer import LEARNING_RATE, absent_table, absent_weight, typical_gradient
from paper_code.runs.experiments import WEIGHT_DECAYS
from paper_code.runs.reading import records_of


def by_pytorch(algorithm, weight_decay: float, weight: float, gradient: float, steps: int) -> list[float]:
    """The same weight in PyTorch, after so many steps before that Adam's bias correction is one."""
    parameter = torch.nn.Parameter(torch.tensor([weight], dtype=torch.float64))
    optimizer = algorithm([parameter], lr=LEARNING_RATE, weight_decay=weight_decay)
    state = {"step": torch.tensor(1e6), "exp_avg": torch.zeros(1).double(), "exp_avg_sq": torch.zeros(1).double()}
    optimizer.state[parameter] = state
    found = []
    for step in range(steps + 1):
        parameter.grad = torch.tensor([gradient if step == 0 else 0.0], dtype=torch.float64)
        optimizer.step()
        found.append(parameter.item())
    return found


@pytest.mark.parametrize("weight_decay", WEIGHT_DECAYS)
@pytest.mark.parametrize("decoupled", [False, True])
def test_it_is_the_weight_that_pytorch_computes(weight_decay, decoupled):
    algorithm = torch.optim.AdamW if decoupled else torch.optim.Adam
    known = {"weight": 0.017, "gradient": 0.0015, "steps": 300}
    expected = by_pytorch(algorithm, weight_decay, **known)
    np.testing.assert_allclose(
        absent_weight(weight_decay, decoupled=decoupled, **known), expected, rtol=1e-9, atol=1e-12
    )


def test_coupled_decay_pulls_alike_whatever_its_size_and_decoupled_in_proportion_to_it():
    """A weight that no gradient ever moved: ten times the decay takes it hardly faster to zero; AdamW's, ten times."""

    def moved(weight_decay, decoupled):
        return 0.01 - absent_weight(weight_decay, weight=0.01, gradient=0.0, steps=4, decoupled=decoupled)[-1]

    assert moved(1e-2, False) / moved(1e-3, False) == pytest.approx(1, abs=0.05)
    assert moved(1e-2, True) / moved(1e-3, True) == pytest.approx(10, rel=1e-3)
    assert moved(1e-3, False) > 1000 * moved(1e-3, True)


def test_the_typical_gradient_is_the_same_each_time_and_of_the_embeddings():
    record = records_of("optimizer", "criteo_like", seeds="0")[0]
    weight, gradient = typical_gradient(record)
    assert (weight, gradient) == typical_gradient(record)
    bound = np.sqrt(6 / (sum(field["cardinality"] for field in record.fields) + record.config["embedding_size"]))
    assert weight == pytest.approx(bound / 2, rel=0.05)  # the median of |w|, uniform up to the bound
    assert 0 < gradient < 0.1


def test_the_table_has_no_decay_once_and_every_other_twice():
    table = absent_table(0.01, 0.001, steps=5)
    assert table.groupby(["weight_decay", "decoupled"]).size().tolist() == [6] * 9
    assert not table.loc[table["weight_decay"] == 0, "decoupled"].any()
    assert len(table["weight_decay"].unique()) == len(WEIGHT_DECAYS)
