"""Layers with a set axis: every set has weights of its own, all sets are computed at once.

Inputs and outputs are (batch, sets, features).
"""

import math

import torch
from torch import Tensor, nn


class SetLinear(nn.Module):
    """One linear layer per set: weight (sets, in, out), bias (sets, out), initialised as `torch.nn.Linear`.

    A set's weight is the transpose of `Linear`'s, so that the batched product and its gradients need no copies.
    """

    def __init__(self, num_sets: int, in_features: int, out_features: int):
        super().__init__()
        self.weight = nn.Parameter(torch.empty(num_sets, in_features, out_features))
        self.bias = nn.Parameter(torch.empty(num_sets, out_features))
        bound = 1 / math.sqrt(in_features)
        nn.init.uniform_(self.weight, -bound, bound)
        nn.init.uniform_(self.bias, -bound, bound)

    def forward(self, x: Tensor) -> Tensor:
        return torch.baddbmm(self.bias.unsqueeze(1), x.transpose(0, 1), self.weight).transpose(0, 1)


class SetBatchNorm(nn.BatchNorm1d):
    """Batch normalisation of every feature of every set."""

    def __init__(self, num_sets: int, features: int):
        super().__init__(num_sets * features)

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.flatten(1)).view(x.shape)


class HiddenBlock(nn.Sequential):
    """Linear, batch normalisation, ReLU, dropout: the hidden layer of every MLP, per set."""

    def __init__(self, num_sets: int, in_features: int, out_features: int, dropout: float):
        super().__init__(
            SetLinear(num_sets, in_features, out_features),
            SetBatchNorm(num_sets, out_features),
            nn.ReLU(),
            nn.Dropout(dropout),
        )


class CrossLayer(SetLinear):
    """x_{l+1} = x_0 * (W x_l + b) + x_l per set (DCNv2), with W Xavier-uniform and b zero."""

    def __init__(self, num_sets: int, features: int):
        super().__init__(num_sets, features, features)
        bound = math.sqrt(6 / (features + features))
        nn.init.uniform_(self.weight, -bound, bound)
        nn.init.zeros_(self.bias)

    def forward(self, x0: Tensor, x: Tensor) -> Tensor:
        return torch.addcmul(x, x0, super().forward(x))


class MeanHead(nn.Module):
    """The paper's F with the non-linear projection of Section 5.1 in front.

    A hidden block per set, the mean over the sets, the other hidden blocks, one linear output. With one set this is the
    MLP of the single-embedding model, so multi embedding has one MLP layer fewer after the mean.
    """

    def __init__(self, num_sets: int, in_features: int, hidden: tuple[int, ...], dropout: float):
        super().__init__()
        first, *others = hidden
        self.projection = HiddenBlock(num_sets, in_features, first, dropout)
        sizes = [first, *others]
        blocks = [HiddenBlock(1, a, b, dropout) for a, b in zip(sizes, others, strict=False)]
        self.mlp = nn.Sequential(*blocks, SetLinear(1, sizes[-1], 1))

    def forward(self, combined: Tensor) -> Tensor:
        """(batch, sets, features) h^(m) before the projection -> (batch,) logits."""
        mean = self.projection(combined).mean(dim=1, keepdim=True)
        return self.mlp(mean).flatten()
