"""Penalties that the paper adds to the loss: Evidence III, Figure 9d, and two ablations of its later version.

A regularizer is a module made for one model, and called with it and a batch of ids in every training step; what it
gives, times its weight, is added to the loss. Its own parameters are trained with the model's.
"""

import torch
from torch import Tensor, nn

from paper_code.models.ctr_model import CTRModel
from paper_code.models.interactions import CrossNetwork
from paper_code.training.config import RegularizerConfig


class UnitaryProjections(nn.Module):
    """Evidence III: the sum over cross layers, sets, i and j of || W_{i->j}^T W_{i->j} - lambda_ij I ||_F^2.

    It keeps every projection near a multiple of a unitary matrix, so that the sub-embeddings keep the information
    abundance of the embeddings. lambda_ij is learnable, one per block, and starts at its best value for the initial
    block, |W_{i->j}|_F^2 / K, so that the penalty does not change the blocks' norms to begin with. If the model has
    block_scales, the form of the authors' code is taken: the penalty is on the blocks without their scales s_ij, with
    lambda_ij = 1.
    """

    waits = False

    def __init__(self, model: CTRModel):
        super().__init__()
        layers = cross_layers(model, "unitary")
        self.size = layers[0].embedding_size
        squared_norms = torch.stack([layer.blocks().detach().square().sum(dim=(3, 4)) for layer in layers])
        self.scales = None if layers[0].scales is not None else nn.Parameter(squared_norms / self.size)

    def forward(self, model: CTRModel, ids: Tensor) -> Tensor:
        blocks = torch.stack([layer.blocks() for layer in model.interaction.layers])
        scales = blocks.new_ones(blocks.shape[:-2]) if self.scales is None else self.scales
        return SquaredDistanceToUnitary.apply(blocks, scales)


class SquaredDistanceToUnitary(torch.autograd.Function):
    """The sum over blocks (..., K, K) of || W^T W - s I ||_F^2, s of shape (...).

    Its gradient by hand, 4 W (W^T W - s I), takes one product of matrices less than the derivative of the formula.
    """

    @staticmethod
    def forward(ctx, blocks: Tensor, scales: Tensor) -> Tensor:
        distance = blocks.transpose(-1, -2) @ blocks
        distance.diagonal(dim1=-2, dim2=-1).sub_(scales.unsqueeze(-1))
        ctx.save_for_backward(blocks, distance)
        return torch.linalg.vector_norm(distance).square()

    @staticmethod
    def backward(ctx, gradient: Tensor) -> tuple[Tensor, Tensor]:
        blocks, distance = ctx.saved_tensors
        of_scales = -2 * gradient * distance.diagonal(dim1=-2, dim2=-1).sum(dim=-1)
        return (blocks @ distance).mul_(4 * gradient), of_scales


class NormDivergence(nn.Module):
    """Figure 9d: the mean over cross layers, i and j of the variance across the sets of || W_{i->j}^(m) ||_F^2.

    The paper restricts the divergence of the norms without a formula; the squares, and the variance with divisor M,
    are the authors' code's.
    """

    waits = False

    def __init__(self, model: CTRModel):
        super().__init__()
        if len(cross_layers(model, "norm_divergence")[0].weight) < 2:
            raise ValueError(
                "regularizer norm_divergence compares the interactions of several sets; "
                "expected num_sets > 1 and no shared_interaction"
            )

    def forward(self, model: CTRModel, ids: Tensor) -> Tensor:
        layers = [layer.projections().square().sum(dim=(3, 4)) for layer in model.interaction.layers]
        return torch.stack(layers).var(dim=1, correction=0).mean()


class SubspaceSimilarity(nn.Module):
    """Are the sets' embeddings of a batch alike? With s the mean over the fields of the K singular values of
    (E_i^(a))^T E_i^(b), E_i^(m) the (batch, K) embeddings of field i in set m: the mean of s^2 over its K entries and
    all pairs of sets a < b. (An ablation in the authors' code.)
    """

    waits = True

    def __init__(self, model: CTRModel):
        super().__init__()
        sets = model.embedding.num_sets
        if sets < 2:
            raise ValueError("regularizer subspace_similarity compares several sets; expected num_sets > 1")
        self.register_buffer("pairs", torch.triu_indices(sets, sets, offset=1), persistent=False)

    def forward(self, model: CTRModel, ids: Tensor) -> Tensor:
        a, b = model.embedding(ids).permute(1, 2, 0, 3)[self.pairs]  # (pairs, fields, batch, size) each
        return torch.linalg.svdvals(a.transpose(2, 3) @ b).mean(dim=1).square().mean()


class SingularValueSpread(nn.Module):
    """How uneven are the singular values of a batch's embeddings? The mean over sets and fields of the variance
    (divisor K - 1) of s / mean(s), s the singular values of the field's (batch, K) embeddings. (An ablation in the
    authors' code, there for one set.)
    """

    waits = True

    def __init__(self, model: CTRModel):
        super().__init__()
        if model.embedding.embedding_size < 2:
            raise ValueError(
                "regularizer singular_value_spread needs several singular values; expected embedding_size > 1"
            )

    def forward(self, model: CTRModel, ids: Tensor) -> Tensor:
        values = torch.linalg.svdvals(model.embedding(ids).permute(1, 2, 0, 3))
        return (values / values.mean(dim=2, keepdim=True)).var(dim=2).mean()


REGULARIZERS = {
    "unitary": UnitaryProjections,
    "norm_divergence": NormDivergence,
    "subspace_similarity": SubspaceSimilarity,
    "singular_value_spread": SingularValueSpread,
}


class Penalty(nn.Module):
    """weight * regularizer(model, ids), for the model that it is made for."""

    def __init__(self, config: RegularizerConfig, model: CTRModel):
        super().__init__()
        self.weight, self.regularizer = config.weight, REGULARIZERS[config.name](model)

    @property
    def waits(self) -> bool:
        """Whether the processor waits for a GPU in it, as for singular values."""
        return self.regularizer.waits

    def forward(self, model: CTRModel, ids: Tensor) -> Tensor:
        return self.weight * self.regularizer(model, ids)


def cross_layers(model: CTRModel, regularizer: str) -> nn.ModuleList:
    """The model's cross layers. Raises ValueError if it has none."""
    if not isinstance(model.interaction, CrossNetwork):
        raise ValueError(f"regularizer {regularizer} is on the cross layers' projections W_i->j, of dcnv2 and gdcn")
    return model.interaction.layers
