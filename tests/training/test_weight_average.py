"""The exponential average of weights against the sum that defines it."""

import pytest
import torch
from torch import nn

from paper_code.models import build_model
from paper_code.training.weight_average import WeightAverage


def test_after_one_update_it_is_the_model():
    model = nn.Linear(3, 2)
    average = WeightAverage(model, 0.9)
    average.update()
    assert all(torch.equal(*pair) for pair in zip(average.model.parameters(), model.parameters(), strict=True))


@pytest.mark.parametrize("decay", [0.5, 0.9, 0.999])
def test_it_is_the_weighted_mean_of_all_that_it_saw(decay):
    model, seen = nn.Linear(4, 3).double(), []
    average = WeightAverage(model, decay)
    for step in range(20):
        with torch.no_grad():
            model.weight.copy_(torch.randn(3, 4, generator=torch.Generator().manual_seed(step)))
        average.update()
        seen.append(model.weight.detach().clone())
    weights = torch.tensor([decay**age for age in reversed(range(20))], dtype=torch.float64)
    expected = (torch.stack(seen) * weights[:, None, None]).sum(dim=0) / weights.sum()
    torch.testing.assert_close(average.model.weight, expected, rtol=1e-12, atol=1e-12)


def test_running_statistics_are_averaged_and_the_model_itself_is_left_alone():
    model = build_model("dnn", [5, 7], 4, hidden=(8,))
    average = WeightAverage(model, 0.9)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    average.update()
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name])
    norm = average.model.head.projection[1]
    assert torch.equal(norm.running_var, torch.ones(8))
    model.head.projection[1].running_var.fill_(3.0)
    average.update()
    torch.testing.assert_close(norm.running_var, torch.full((8,), (3 + 0.9 * 1) / 1.9))


def test_its_model_is_scored_not_trained():
    average = WeightAverage(build_model("dcnv2", [5, 7], 4), 0.9)
    assert not average.model.training
    assert not any(parameter.requires_grad for parameter in average.model.parameters())
