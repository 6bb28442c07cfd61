"""The heads: from the combined features h^(m) of every set to one logit a row, the mean over the sets and F.

A head takes what its interaction gives: (batch, sets, features), or a tuple of these.
"""

from itertools import pairwise

import torch
from torch import Tensor, nn

from paper_code.models.layers import HiddenBlock, SetLinear, zero_and_freeze


class MeanHead(nn.Module):
    """The paper's F with the non-linear projection of Section 5.1 in front.

    A hidden block per set, the mean over the sets, the other hidden blocks, one linear output. With one set this is the
    MLP of the single-embedding model, so multi embedding has one MLP layer fewer after the mean.

    ensemble: no mean; every set has an MLP of its own and is a model of its own, a member of an ensemble whose members
    are trained side by side.

    Parameters, for F features and hidden (H_1, ..., H_n):
    M H_1 (F + 3) + sum over l > 1 of H_l (H_{l-1} + 3) + H_n + 1, all times M for an ensemble.
    """

    def __init__(
        self,
        num_sets: int,
        in_features: int,
        *,
        hidden: tuple[int, ...] = (400, 400),
        dropout: float = 0.2,
        ensemble: bool = False,
    ):
        super().__init__()
        self.ensemble = ensemble
        self.projection = HiddenBlock(num_sets, in_features, hidden[0], dropout)
        sets = num_sets if ensemble else 1
        blocks = [HiddenBlock(sets, a, b, dropout) for a, b in pairwise(hidden)]
        self.mlp = nn.Sequential(*blocks, SetLinear(sets, hidden[-1], 1))

    def forward(self, combined: Tensor) -> Tensor:
        """(batch, sets, features) h^(m) before the projection -> (batch,) logits, of an ensemble the members' mean."""
        logits = self.member_logits(combined)
        return logits.mean(dim=1) if self.ensemble else logits.squeeze(1)

    def member_logits(self, combined: Tensor) -> Tensor:
        """As `forward`, -> (batch, members): of an ensemble a logit for every set, else one."""
        projected = self.projection(combined)
        return self.mlp(projected if self.ensemble else projected.mean(dim=1, keepdim=True)).squeeze(2)


class ParallelHead(nn.Module):
    """A DNN beside the interaction: its logit plus a linear function of the mean over the sets of h^(m).

    xDeepFM's; DeepFM's, and that of DCNv2 in its parallel form. Takes the embeddings side by side, (batch, sets, N K),
    and h^(m). Parameters: MeanHead's of the embeddings, plus F + 1 for F combined features.
    """

    beside = True

    def __init__(
        self, num_sets: int, in_features: tuple[int, int], *, hidden: tuple[int, ...] = (400, 400), dropout: float = 0.2
    ):
        super().__init__()
        of_embeddings, combined = in_features
        self.dnn = MeanHead(num_sets, of_embeddings, hidden=hidden, dropout=dropout)
        self.linear = nn.Linear(combined, 1)

    def forward(self, inputs: tuple[Tensor, Tensor]) -> Tensor:
        embeddings, combined = inputs
        return self.dnn(embeddings) + self.linear(combined.mean(dim=1)).flatten()


class BilinearFusionHead(nn.Module):
    """FinalMLP (Mao et al., 2023): w_x x + w_y y + b + x^T W y of the means x and y over the sets of the two streams.

    W starts at zero. Parameters, for streams of H features: 2 H + 1 + H^2.
    """

    def __init__(self, num_sets: int, in_features: tuple[int, int]):
        super().__init__()
        self.linear = nn.Linear(sum(in_features), 1)
        self.weight = nn.Parameter(torch.zeros(in_features))

    def forward(self, streams: tuple[Tensor, Tensor]) -> Tensor:
        x, y = (stream.mean(dim=1) for stream in streams)
        return self.linear(torch.cat([x, y], dim=1)).flatten() + (x @ self.weight * y).sum(dim=1)

    def switch_off(self) -> None:
        """W = 0: the streams no longer meet."""
        zero_and_freeze(self.weight)


class LinearHead(nn.Module):
    """No DNN: one linear output of the mean over the sets. Parameters, for F features: F + 1."""

    def __init__(self, num_sets: int, in_features: int):
        super().__init__()
        self.linear = nn.Linear(in_features, 1)

    def forward(self, combined: Tensor) -> Tensor:
        return self.linear(combined.mean(dim=1)).flatten()


class SumHead(nn.Module):
    """FM and FFM: the sum of the interaction's features is the logit. No parameters."""

    def __init__(self, num_sets: int, in_features: int):
        super().__init__()

    def forward(self, combined: Tensor) -> Tensor:
        return combined.sum(dim=(1, 2))
