"""Layers with a set axis: every set has weights of its own, all sets are computed at once.

Inputs and outputs are (batch, sets, features). A layer built for fewer sets than it is given is shared by them: with
one set's weights, all sets go through the same layer, as if they were further rows of the batch.
"""

import math
from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional as F


def set_linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """x^(m) W^(m) + b^(m) for every set m: (batch, sets, in), (sets, in, out), (sets, out) -> (batch, sets, out)."""
    products = rows_linear(rows_of_sets(x, weight.shape[0]), weight, bias)
    return products.transpose(0, 1).reshape(*x.shape[:2], -1)


def rows_of_sets(x: Tensor, num_sets: int) -> Tensor:
    """(batch, sets, in) -> (num_sets, rows, in); rows is batch, or more where the sets share fewer layers."""
    return x.reshape(-1, num_sets, x.shape[2]).transpose(0, 1)


def rows_linear(rows: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """As `set_linear`, of (sets, rows, in) -> (sets, rows, out)."""
    return torch.bmm(rows, weight) if bias is None else torch.baddbmm(bias.unsqueeze(1), rows, weight)


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
        return set_linear(x, self.weight, self.bias)


class SetBatchNorm(nn.BatchNorm1d):
    """Batch normalisation of every feature of every set."""

    def __init__(self, num_sets: int, features: int):
        super().__init__(num_sets * features)

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.reshape(-1, self.num_features)).view(x.shape)


class SetLayerNorm(nn.Module):
    """Layer normalisation of every token; weight and bias, one and zero at the start, are (sets, features)."""

    def __init__(self, num_sets: int, features: int):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(num_sets, features))
        self.bias = nn.Parameter(torch.zeros(num_sets, features))

    def forward(self, x: Tensor) -> Tensor:
        """(sets, tokens, rows, features) -> the same."""
        weight, bias = (parameter[:, None, None] for parameter in (self.weight, self.bias))
        return torch.addcmul(bias, F.layer_norm(x, x.shape[3:]), weight)


class HiddenBlock(nn.Sequential):
    """Linear, batch normalisation, ReLU, dropout: the hidden layer of every MLP, per set."""

    def __init__(self, num_sets: int, in_features: int, out_features: int, dropout: float):
        super().__init__(
            SetLinear(num_sets, in_features, out_features),
            SetBatchNorm(num_sets, out_features),
            nn.ReLU(),
            Dropout(dropout),
        )


class Dropout(nn.Dropout):
    """Dropout that on a CPU draws four values from one number of 64 random bits.

    PyTorch draws a number for every value, which takes as long as the product of the hidden layer before it. The share
    that is dropped is p to within 2**-17.
    """

    def forward(self, x: Tensor) -> Tensor:
        dropped = round(self.p * 2**16)  # of the values that 16 bits have
        if x.is_cuda or not self.training or dropped in (0, 2**16):
            return super().forward(x)
        bits = torch.empty(-(-x.numel() // 4), dtype=torch.int64).random_(-(2**63), None).view(torch.int16)
        kept = bits[: x.numel()].view(x.shape) >= dropped - 2**15
        return x * kept.to(x.dtype).mul_(2**16 / (2**16 - dropped))


class CrossLayer(SetLinear):
    """x_{l+1} = x_0 * (W x_l + b) + x_l per set (DCNv2), with W Xavier-uniform and b zero.

    block_scales: W consists of N x N blocks W_{i->j}, one per pair of fields; multiply each by a learnable s_ij that
    starts at one (the form that Evidence III has in the authors' code).
    """

    def __init__(self, num_sets: int, num_fields: int, embedding_size: int, block_scales: bool):
        features = num_fields * embedding_size
        super().__init__(num_sets, features, features)
        self.num_fields, self.embedding_size = num_fields, embedding_size
        xavier_uniform_(self.weight)
        nn.init.zeros_(self.bias)
        self.scales = nn.Parameter(torch.ones(num_sets, num_fields, num_fields)) if block_scales else None

    def blocks(self) -> Tensor:
        """W_{i->j} without its scale: (sets, i, j, size of j, size of i), a view."""
        blocks = (self.num_fields, self.embedding_size)
        # SetLinear keeps W transposed: its row block i, column block j maps field i to the space of field j
        return self.weight.unflatten(2, blocks).unflatten(1, blocks).permute(0, 1, 3, 4, 2)

    def projections(self) -> Tensor:
        """W_{i->j} as it is applied: (sets, i, j, size of j, size of i)."""
        return self.blocks() if self.scales is None else self.scales[..., None, None] * self.blocks()

    def linear(self, x: Tensor) -> Tensor:
        """W x + b."""
        weight = self.weight
        if self.scales is not None:
            size = self.embedding_size
            weight = weight * self.scales.repeat_interleave(size, dim=1).repeat_interleave(size, dim=2)
        return set_linear(x, weight, self.bias)

    def forward(self, x0: Tensor, x: Tensor) -> Tensor:
        return x0 * self.linear(x) + x


class GatedCrossLayer(CrossLayer):
    """c_{l+1} = c_0 * (W c_l + b) * sigmoid(G c_l) + c_l per set (GDCN), with W and G Xavier-uniform and b zero."""

    def __init__(self, num_sets: int, num_fields: int, embedding_size: int, block_scales: bool):
        super().__init__(num_sets, num_fields, embedding_size, block_scales)
        self.gate = nn.Parameter(torch.empty_like(self.weight))
        xavier_uniform_(self.gate)

    def forward(self, x0: Tensor, x: Tensor) -> Tensor:
        return x0 * self.linear(x) * torch.sigmoid(set_linear(x, self.gate)) + x


class MixerBlock(nn.Module):
    """A block of RankMixer per set: S = LN(mix_tokens(X) + X), X' = LN(PFFN(S) + S).

    PFFN is for every token, of size D, two linear layers of its own with GELU in between; expansion: r, of its hidden
    size r D. Parameters, for T tokens and M sets: M D (T (2 r D + r + 1) + 4).
    """

    def __init__(self, num_sets: int, num_tokens: int, token_size: int, expansion: int):
        super().__init__()
        self.off = False
        # every token of every set is a set of the linear layers, in the order of the sets
        self.inner = SetLinear(num_sets * num_tokens, token_size, expansion * token_size)
        self.outer = SetLinear(num_sets * num_tokens, expansion * token_size, token_size)
        self.mixing_norm, self.ffn_norm = SetLayerNorm(num_sets, token_size), SetLayerNorm(num_sets, token_size)

    def forward(self, x: Tensor) -> Tensor:
        """(sets, tokens, rows, size) -> the same."""
        s = self.mixing_norm((x if self.off else mix_tokens(x)) + x)
        hidden = F.gelu(rows_linear(s.flatten(0, 1), self.inner.weight, self.inner.bias))
        return self.ffn_norm(rows_linear(hidden, self.outer.weight, self.outer.bias).view_as(s) + s)


def mix_tokens(x: Tensor) -> Tensor:
    """RankMixer's multi-head token mixing: (sets, tokens, rows, size) -> the same.

    Every token is split into as many heads as there are tokens; the new token h is head h of all tokens in their order.
    """
    return x.unflatten(3, (x.shape[1], -1)).transpose(1, 3).flatten(3)


class WideProduct(torch.autograd.Function):
    """W X for every set, of a small W and a wide X: (sets, out, in) and (sets, in, columns) -> (sets, out, columns).

    W's gradient has few elements, each a long sum. On a GPU the batched product gives each block of elements to one of
    its many processors, and most have none; here the sums are taken in parts. A single product does so itself.
    """

    PARTS = 16

    @staticmethod
    def forward(ctx, weight: Tensor, x: Tensor) -> Tensor:
        ctx.save_for_backward(weight, x)
        return weight @ x

    @staticmethod
    def backward(ctx, gradient: Tensor) -> tuple[Tensor, Tensor]:
        weight, x = (saved.to(gradient.dtype) for saved in ctx.saved_tensors)  # bfloat16 under autocast
        if gradient.is_cuda and len(weight) > 1 and x.shape[2] % WideProduct.PARTS == 0:
            parts = [t.unflatten(2, (WideProduct.PARTS, -1)).transpose(1, 2) for t in (gradient, x)]
            of_weight = (parts[0] @ parts[1].mT).sum(dim=1)
        else:
            of_weight = gradient @ x.mT
        return of_weight, weight.mT @ gradient


class CompressedSum(torch.autograd.Function):
    """sum over i, j of W_{h,i,j} x_i * x0_j for every set, on a CPU; in the inputs' precision, under autocast too.

    weight (sets, out, in, fields), x (sets, in, columns), x0 (sets, fields, columns) -> (sets, out, columns).

    All products of a layer are tens of megabytes. They are taken in blocks of columns that stay in the processor's
    cache, and none is kept: the gradients are sums of other products, those of the gradient's rows with x0's and x's.
    """

    @staticmethod
    def forward(ctx, weight: Tensor, x: Tensor, x0: Tensor) -> Tensor:
        ctx.save_for_backward(weight, x, x0)
        ctx.first = x is x0  # CIN's first layer: one gradient, of the same products as each of two
        sums = x.new_empty(*weight.shape[:2], x.shape[2])
        for w, *of_set in zip(weight, x, x0, sums, strict=True):
            for a, b, out in column_blocks(w, *of_set):
                torch.mm(w.flatten(1), row_products(a, b), out=out)
        return sums

    @staticmethod
    @once_differentiable
    def backward(ctx, gradient: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
        weight, x, x0 = ctx.saved_tensors
        of_weight, of_x = weight.new_zeros(weight.mT.shape), torch.empty_like(x)
        of_x0 = of_x if ctx.first else torch.empty_like(x0)
        to_x = (weight + weight.mT if ctx.first else weight).transpose(1, 2).flatten(2)
        to_x0 = weight.flatten(1, 2).mT
        for m, w in enumerate(weight):
            for g, a, b, of_a, of_b in column_blocks(w, gradient[m], x[m], x0[m], of_x[m], of_x0[m]):
                products = row_products(g, b)
                of_weight[m].flatten(0, 1).addmm_(products, a.T)
                torch.mm(to_x[m], products, out=of_a)
                if not ctx.first:
                    torch.mm(to_x0[m], row_products(g, a), out=of_b)
        return of_weight.mT, of_x, None if ctx.first else of_x0


def column_blocks(weight: Tensor, *of_set: Tensor) -> Iterator[tuple[Tensor, ...]]:
    """(rows, columns) tensors in blocks of columns: about half a megabyte of products in float32, or 512 columns."""
    columns = 64 * max(8, 2048 // weight[0].numel())
    return zip(*(rows.split(columns, dim=1) for rows in of_set), strict=True)


def row_products(a: Tensor, b: Tensor) -> Tensor:
    """Every row of a times every row of b: (n, columns) and (m, columns) -> (n m, columns)."""
    return (a.unsqueeze(1) * b).flatten(0, 1)


class Chosen(torch.autograd.Function):
    """x at the given places of its dimension 2, each chosen at most once.

    So its gradient needs no sums, which are most of the time of indexing's: on a GPU half of IPNN's step.
    """

    @staticmethod
    def forward(ctx, x: Tensor, places: Tensor) -> Tensor:
        ctx.save_for_backward(places)
        ctx.shape = x.shape
        return x[:, :, places]

    @staticmethod
    def backward(ctx, gradient: Tensor) -> tuple[Tensor, None]:
        (places,) = ctx.saved_tensors
        if not gradient.is_cuda:
            return gradient.new_zeros(ctx.shape).index_copy_(2, places, gradient), None
        # a GPU that has to be deterministic writes to places one after the other, but reads from them at once: from
        # where each was chosen, or else from the last, of zeros
        chosen = torch.full(ctx.shape[2:3], len(places), device=places.device)
        chosen.scatter_(0, places, torch.arange(len(places), device=places.device))
        zeros = gradient.new_zeros(*gradient.shape[:2], 1, *gradient.shape[3:])
        return torch.cat([gradient, zeros], dim=2).index_select(2, chosen), None


def zero_and_freeze(*parameters: nn.Parameter) -> None:
    """For a part of a model that is switched off."""
    for parameter in parameters:
        nn.init.zeros_(parameter).requires_grad_(False)


def xavier_uniform_(weight: Tensor) -> None:
    """Every set's (in, out) matrix of the weight by the Xavier-uniform rule."""
    bound = math.sqrt(6 / (weight.shape[-2] + weight.shape[-1]))
    nn.init.uniform_(weight, -bound, bound)
