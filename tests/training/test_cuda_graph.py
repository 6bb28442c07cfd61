"""On a GPU: replayed steps against steps one by one, and gradients with a form of their own there against the usual."""

from dataclasses import replace
from unittest.mock import patch

import pytest
import torch
from torch import Tensor
from tqdm import tqdm

from paper_code.models import MODELS, build_model
from paper_code.models.layers import Chosen, WideProduct
from paper_code.training import fitting
from paper_code.training.config import TrainingConfig
from paper_code.training.fitting import Trainer, make_optimizer
from paper_code.training.process import seeded

CARDINALITIES = [700, 3, 150, 40]
ROWS, BATCH = 40 * 32 + 7, 32  # the last batch is short
needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")
GPU = torch.device("cuda")


def trained(model: str, num_sets: int, config: TrainingConfig, worth: int) -> list[Tensor]:
    """Losses, weights and moments after two epochs, recorded where there are at least so many batches."""
    generator = torch.Generator().manual_seed(1)
    ids = torch.stack([torch.randint(d, (ROWS,), generator=generator) for d in CARDINALITIES], dim=1).int().to(GPU)
    labels = torch.randint(2, (ROWS,), generator=generator).to(GPU)
    built = build_model(model, CARDINALITIES, 12, num_sets, seed=0).to(GPU)
    optimizer = make_optimizer(built, None, config)
    batches = torch.arange(ROWS, device=GPU).split(BATCH)
    with patch.object(fitting, "WORTH", worth), seeded(GPU, 0), tqdm(disable=True) as bar:
        trainer = Trainer(built, None, optimizer, ids, labels, GPU, config)
        losses = [trainer.train(batches, bar) for _ in range(2)]
    moments = [value for state in optimizer.state.values() for value in state.values()]
    return [*map(torch.from_numpy, losses), *built.state_dict().values(), *moments]


@needs_gpu
@pytest.mark.parametrize("changes", [{}, {"mixed_precision": True}, {"decoupled": True}])
@pytest.mark.parametrize("num_sets", [1, 3])
@pytest.mark.parametrize("model", MODELS)
def test_replayed_steps_are_those_one_by_one(model, num_sets, changes):
    if MODELS[model].factorization_machine and num_sets > 1:
        pytest.skip("has one set")
    config = replace(TrainingConfig(batch_size=BATCH), **changes)
    replayed, one_by_one = (trained(model, num_sets, config, worth) for worth in (2, 10**9))
    assert all(torch.equal(a, b) for a, b in zip(replayed, one_by_one, strict=True))


@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=needs_gpu)])
def test_chosen_places_have_the_gradient_of_indexing(device):
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(5, 2, 7, 3, generator=generator).to(device).requires_grad_()
    places = torch.tensor([6, 0, 3, 2], device=device)
    weight = torch.randn(5, 2, 4, 3, generator=generator).to(device)
    chosen, usual = Chosen.apply(x, places), x[:, :, places]
    assert torch.equal(chosen, usual)
    gradients = [torch.autograd.grad((y * weight).sum(), x)[0] for y in (chosen, usual)]
    assert torch.equal(*gradients)


@pytest.mark.parametrize("columns", [64, 65])
@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=needs_gpu)])
def test_a_wide_product_has_the_gradients_of_a_product(device, columns):
    generator = torch.Generator().manual_seed(0)
    shapes = (3, 4, 5), (3, 5, columns), (3, 4, columns)
    weight, x, g = (torch.randn(shape, generator=generator, dtype=torch.float64).to(device) for shape in shapes)
    weight.requires_grad_(), x.requires_grad_()
    wide, usual = WideProduct.apply(weight, x), weight @ x
    assert torch.equal(wide, usual)
    for ours, theirs in zip(*(torch.autograd.grad((y * g).sum(), (weight, x)) for y in (wide, usual)), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-12)
