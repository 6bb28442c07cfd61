"""The models of Appendix B: interactions of the package in float64, the single embedding's made from the sets'."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from paper_code.chapters.appendix_b import (
    CARDINALITIES,
    CROSS_LAYERS,
    EMBEDDING_SIZE,
    MOST_DIGITS,
    NUM_SETS,
    OUT_FEATURES,
    ROWS,
)
from paper_code.models import build_model
from paper_code.runs.computed import DIGITS


def compare(seeds: Sequence[int]) -> list[tuple]:
    """The rows of `appendix_b_table`; unexplained is None where nothing was projected."""
    rows = []
    for seed in seeds:
        for model, label in (("dnn", "DNN"), ("dcnv2", "DCNv2")):
            sets, single = interactions(model, seed)
            generator = torch.Generator().manual_seed(seed)
            weight = torch.randn(NUM_SETS, sets.shape[2], OUT_FEATURES, generator=generator, dtype=torch.float64)
            of_sets = torch.einsum("bmf,mfo->bmo", sets, weight)
            of_single = single @ by_field(weight.permute(2, 0, 1)).T / NUM_SETS
            linear, relu = of_sets.mean(dim=1), of_sets.relu().mean(dim=1)
            rows += [
                (seed, label, "nothing", agreeing_digits(by_field(sets), single), None),
                (seed, label, "linear", agreeing_digits(linear, of_single), unexplained(single, linear, relu=False)),
                (seed, label, "ReLU", agreeing_digits(relu, of_single.relu()), unexplained(single, relu, relu=True)),
            ]
    return rows


@torch.no_grad()
def interactions(model: str, seed: int) -> tuple[Tensor, Tensor]:
    """What the sets' interactions give for random rows, (rows, sets, N K), and the single embedding's, (rows, N M K).

    For DCNv2 the single embedding's W has the sets' W^(m) as W^(m,m), and zeros between different sets.
    """
    options = {"cross_layers": CROSS_LAYERS} if model == "dcnv2" else {}
    sets = build_model(model, CARDINALITIES, EMBEDDING_SIZE, NUM_SETS, seed, **options).double()
    single = build_model(model, CARDINALITIES, NUM_SETS * EMBEDDING_SIZE, 1, seed, **options).double()
    generator = torch.Generator().manual_seed(seed)
    sets.embedding.weight.normal_(generator=generator)
    single.embedding.weight.copy_(sets.embedding.weight)
    if model == "dcnv2":
        for of_sets, of_single in zip(sets.interaction.layers, single.interaction.layers, strict=True):
            of_sets.bias.normal_(generator=generator)
            of_single.bias[0] = by_field(of_sets.bias)
            of_single.weight[0] = block_diagonal(of_sets.weight)
    ids = torch.stack([torch.randint(d, (ROWS,), generator=generator) for d in CARDINALITIES], dim=1)
    return sets.interaction(sets.embedding(ids)), single.interaction(single.embedding(ids)).squeeze(1)


def by_field(x: Tensor) -> Tensor:
    """The permutation of the appendix: features by set, (..., sets, N K), to features by field, (..., N M K)."""
    return x.unflatten(-1, (len(CARDINALITIES), EMBEDDING_SIZE)).transpose(-3, -2).flatten(-3)


def block_diagonal(weight: Tensor) -> Tensor:
    """The sets' (sets, in, out) matrices as one (sets * in, sets * out), both sides by field, zero between sets."""
    between_sets = torch.diag_embed(weight.permute(1, 2, 0))  # (in, out, set of in, set of out)
    columns_done = by_field(between_sets.permute(0, 2, 3, 1))  # (in, set of in, all out)
    return by_field(columns_done.permute(2, 1, 0)).T


def agreeing_digits(a: Tensor, b: Tensor) -> int:
    """Decimal digits in which all entries agree, relative to the largest entry: from 0 to MOST_DIGITS."""
    difference = float((a - b).abs().max() / a.abs().max())
    return MOST_DIGITS if difference == 0 else int(min(MOST_DIGITS, max(0.0, -math.log10(difference))))


def unexplained(features: Tensor, target: Tensor, relu: bool) -> float:
    """Share of the variance of target (rows, out) that the best projection of features (rows, in), linear or with a
    ReLU after it, leaves unexplained: least squares; with ReLU by L-BFGS from the linear solution."""
    ones = torch.ones(len(features), 1, dtype=features.dtype)
    inputs = torch.cat([features / features.std(), ones], dim=1)
    weight = torch.linalg.lstsq(inputs, target, driver="gelsd").solution  # features can be of low rank
    if relu:
        weight = fit_relu(inputs, target, weight)
        residual = target - (inputs @ weight).relu()
    else:
        residual = target - inputs @ weight
    share = float(residual.square().sum() / (target - target.mean(dim=0)).square().sum())
    return round(share, DIGITS)  # so that it is the same on every processor


def fit_relu(inputs: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    """The weight (in, out) with the least sum of squares of target - ReLU(inputs weight), from the one given on."""
    weight = weight.contiguous().clone().requires_grad_()
    optimizer = torch.optim.LBFGS([weight], max_iter=500, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        optimizer.zero_grad()
        value = (target - (inputs @ weight).relu()).square().mean() / target.var()
        value.backward()
        return value

    optimizer.step(loss)
    return weight.detach()
