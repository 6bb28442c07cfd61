"""The toy experiment of Appendix A (Figure 4) and the gradient of Section 4.1, term by term.

Three fields and a factorisation machine, h = e_1.e_2 + e_1.e_3 + e_2.e_3. Every pair (x_1, x_2) is one row; its x_3 and
its label are drawn uniformly. Only E_1 is trained. What differs is D_3: 3, below the embedding size, or 100.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F
from tqdm import tqdm

from paper_code.toy_result import ToyResult

D1 = D2 = 100


@dataclass(frozen=True)
class ToyWorld:
    """What a seed draws: E_1, E_2 (100, K), E_3 (D_3, K), and the third ids and labels (100, 100) of all pairs."""

    e1: Tensor
    e2: Tensor
    e3: Tensor
    x3: Tensor
    y: Tensor


def draw_world(seed: int, third_cardinality: int, embedding_size: int = 10) -> ToyWorld:
    """The world of a seed: all entries of E_1, E_2, E_3 from N(0, 1).

    E_1, E_2 and the labels are the same for every `third_cardinality`, so that runs compare in pairs. In float64, so
    that training on another processor gives the same but for the last digits.
    """
    generator = torch.Generator().manual_seed(seed)
    e1 = torch.randn(D1, embedding_size, generator=generator)
    e2 = torch.randn(D2, embedding_size, generator=generator)
    y = torch.randint(2, (D1, D2), generator=generator).float()
    e3 = torch.randn(third_cardinality, embedding_size, generator=generator)
    x3 = torch.randint(third_cardinality, (D1, D2), generator=generator)
    return ToyWorld(e1.double(), e2.double(), e3.double(), x3, y.double())


def run_toy(
    third_cardinality: int,
    seeds: Sequence[int] = tuple(range(10)),
    *,
    embedding_size: int = 10,
    iterations: int = 5000,
    learning_rate: float = 1.0,
    points: int = 100,
    device: str = "cpu",
    progress: bool = False,
) -> ToyResult:
    """Train E_1 by full-batch gradient descent on the mean log loss, for all seeds at once (Appendix A).

    points: after how many evenly spaced iterations E_1 is measured, besides the start.
    Raises ValueError for a number below 1 or a `points` that does not divide `iterations`.

    Example: `run_toy(3).information_abundance[:, -1]` is IA(E_1) at the end, where field 3 has only three values.
    """
    for name, value in {
        "third_cardinality": third_cardinality,
        "seeds": len(seeds),
        "iterations": iterations,
        "points": points,
    }.items():
        if value < 1:
            raise ValueError(f"{name}: expected at least 1, found {value}")
    if iterations % points:
        raise ValueError(f"points={points} does not divide iterations={iterations}")
    worlds = [draw_world(seed, third_cardinality, embedding_size) for seed in seeds]
    e1 = torch.stack([world.e1 for world in worlds]).to(device)
    y = torch.stack([world.y for world in worlds]).to(device)
    # what e_1 is multiplied with in every row, e_2 + e_3 (seeds, D1, D2, K), and the term without it, e_2.e_3
    partners = torch.stack([world.e2 + world.e3[world.x3] for world in worlds]).to(device)
    rest = torch.stack([(world.e2 * world.e3[world.x3]).sum(-1) for world in worlds]).to(device)
    spectra = [torch.linalg.svdvals(e1)]
    for iteration in tqdm(range(1, iterations + 1), unit=" iterations", disable=not progress):
        h = (partners @ e1.unsqueeze(3)).squeeze(3) + rest
        slope = (torch.sigmoid(h) - y) / (D1 * D2)  # of the mean log loss in h
        e1 = e1 - learning_rate * (slope.unsqueeze(2) @ partners).squeeze(2)
        if iteration % (iterations // points) == 0:
            spectra.append(torch.linalg.svdvals(e1))
    return ToyResult(
        third_cardinality,
        tuple(seeds),
        np.linspace(0, iterations, points + 1).astype(int),
        torch.stack(spectra, dim=1).cpu().numpy(),
    )


def gradient(world: ToyWorld) -> Tensor:
    """The gradient of the mean log loss in E_1, (100, K), by automatic differentiation."""
    e1 = world.e1.clone().requires_grad_()
    loss = F.binary_cross_entropy_with_logits(combined_feature(e1, world), world.y)
    return torch.autograd.grad(loss, e1)[0]


def gradient_terms(world: ToyWorld) -> dict[int, Tensor]:
    """theta_i = sum over k of alpha_ik sigma_ik v_ik for i = 2, 3 (Section 4.1): (100, K), a row per value of x_1.

    alpha_ik is the mean over the rows of the log loss's slope times u_ik at the row's x_i. The terms sum to `gradient`.
    """
    slope = (torch.sigmoid(combined_feature(world.e1, world)) - world.y) / world.y.numel()
    x2 = torch.arange(D2).expand(D1, D2)
    terms = {}
    for i, (matrix, x) in {2: (world.e2, x2), 3: (world.e3, world.x3)}.items():
        u, sigma, v_transposed = torch.linalg.svd(matrix, full_matrices=False)
        alpha = torch.einsum("ab,abk->ak", slope, u[x])
        terms[i] = (alpha * sigma) @ v_transposed
    return terms


@dataclass(frozen=True)
class GradientCheck:
    """error: of the terms' sum, as a share of the gradient's norm. ranks: of theta_i, by field i."""

    error: float
    ranks: dict[int, int]


def gradient_check(seed: int, third_cardinality: int) -> GradientCheck:
    """Hold the sum of the terms of Section 4.1 against the gradient, at the start of training."""
    world = draw_world(seed, third_cardinality)
    terms, true = gradient_terms(world), gradient(world)
    error = torch.linalg.norm(sum(terms.values()) - true) / torch.linalg.norm(true)
    return GradientCheck(float(error), {i: int(torch.linalg.matrix_rank(term)) for i, term in terms.items()})


def combined_feature(e1: Tensor, world: ToyWorld) -> Tensor:
    """h of every row, (100, 100), as Section 4.1 writes it: the sum of the inner products of all pairs of fields."""
    e1, e2, e3 = e1.unsqueeze(1), world.e2.unsqueeze(0), world.e3[world.x3]
    return (e1 * e2).sum(-1) + (e1 * e3).sum(-1) + (e2 * e3).sum(-1)
