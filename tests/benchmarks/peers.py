"""Every model as one would write it first: a table and an interaction per set, of torch.nn's own layers, in a loop.

An interaction maps one set's embeddings (batch, fields, size) to (batch, features). It trains with PyTorch's fused
Adam, as ours does. This file and those of the two libraries offer the same names:

    build(model, cardinalities, embedding_size, num_sets)   the model, on PyTorch's default device
    prepare(ids)        what it reads, of ids (batch, fields); not timed
    loss(outputs, labels)                                   the mean cross entropy of the batch
    has(model, num_sets)                                    whether there is such a model
    more_parameters(model, fields, embedding_size)          how many more than ours, and why
    FUSED               Adam's option of that name; None: PyTorch's default, which both libraries take
"""

from itertools import combinations

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

from paper_code.models import MODELS

FUSED = True


class InnerProducts(nn.Module):
    """IPNN by the Gram matrix and its upper triangle, as in DLRM."""

    def __init__(self, fields: int):
        super().__init__()
        self.register_buffer("pairs", torch.triu_indices(fields, fields, offset=1))

    def forward(self, e: Tensor) -> Tensor:
        products = torch.bmm(e, e.transpose(1, 2))[:, self.pairs[0], self.pairs[1]]
        return torch.cat([e.flatten(1), products], dim=1)


class WeightedFieldSums(nn.Module):
    """NFwFM: the sum over i of e_i * (sum over j of w_ij e_j)."""

    def __init__(self, fields: int, size: int):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(fields, fields))
        self.norm, self.dropout = nn.BatchNorm1d(size), nn.Dropout(0.2)

    def forward(self, e: Tensor) -> Tensor:
        return self.dropout(self.norm((e * (self.weight @ e)).sum(dim=1)))


class CompressedInteraction(nn.Module):
    """CIN as in its paper: the outer product of the rows, then a 1 x 1 convolution."""

    def __init__(self, fields: int):
        super().__init__()
        self.layers = nn.ModuleList(nn.Conv1d(rows * fields, 16, kernel_size=1) for rows in (fields, 16))

    def forward(self, e: Tensor) -> Tensor:
        x, sums = e, []
        for layer in self.layers:
            x = layer((x.unsqueeze(2) * e.unsqueeze(1)).flatten(1, 2)).relu()
            sums.append(x.sum(dim=2))
        return torch.cat(sums, dim=1)


class CrossNetwork(nn.Module):
    """DCNv2."""

    def __init__(self, width: int):
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(width, width) for _ in range(4))

    def forward(self, e: Tensor) -> Tensor:
        x0 = x = e.flatten(1)
        for layer in self.layers:
            x = x0 * layer(x) + x
        return x


class GatedCrossNetwork(CrossNetwork):
    """GDCN."""

    def __init__(self, width: int):
        super().__init__(width)
        self.gates = nn.ModuleList(nn.Linear(width, width, bias=False) for _ in range(4))

    def forward(self, e: Tensor) -> Tensor:
        x0 = x = e.flatten(1)
        for layer, gate in zip(self.layers, self.gates, strict=True):
            x = x0 * layer(x) * torch.sigmoid(gate(x)) + x
        return x


class TokenMixing(nn.Module):
    """RankMixer: a loop over the tokens."""

    def __init__(self, fields: int, size: int):
        super().__init__()
        width = fields * max(1, size // 5)
        self.tokens = nn.ModuleList(nn.Linear(size, width) for _ in range(fields))
        self.blocks = nn.ModuleList(TokenBlock(fields, width) for _ in range(2))

    def forward(self, e: Tensor) -> Tensor:
        tokens = [layer(of_field) for layer, of_field in zip(self.tokens, e.unbind(dim=1), strict=True)]
        for block in self.blocks:
            tokens = block(tokens)
        return torch.stack(tokens).mean(dim=0)


class TokenBlock(nn.Module):
    def __init__(self, tokens: int, width: int):
        super().__init__()
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(2))
        self.ffns = nn.ModuleList(
            nn.Sequential(nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width)) for _ in range(tokens)
        )

    def forward(self, tokens: list[Tensor]) -> list[Tensor]:
        heads = [token.chunk(len(tokens), dim=1) for token in tokens]
        mixed = [torch.cat(of_head, dim=1) for of_head in zip(*heads, strict=True)]
        normed = [self.norms[0](new + old) for new, old in zip(mixed, tokens, strict=True)]
        return [self.norms[1](ffn(token) + token) for ffn, token in zip(self.ffns, normed, strict=True)]


class AddedLinear(nn.Module):
    """xDeepFM: the logits of the DNN and of the CIN."""

    def __init__(self):
        super().__init__()
        self.mlp, self.linear = mlp(), nn.Linear(32, 1)

    def forward(self, hidden: Tensor, compressed: Tensor) -> Tensor:
        return self.mlp(hidden) + self.linear(compressed)


class BilinearFusion(nn.Module):
    """FinalMLP."""

    def __init__(self):
        super().__init__()
        self.linear, self.bilinear = nn.Linear(800, 1), nn.Linear(400, 400, bias=False)

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        return self.linear(torch.cat([x, y], dim=1)) + (self.bilinear(x) * y).sum(dim=1, keepdim=True)


def hidden_block(width: int, out: int = 400) -> nn.Sequential:
    return nn.Sequential(nn.Linear(width, out), nn.BatchNorm1d(out), nn.ReLU(), nn.Dropout(0.2))


def mlp() -> nn.Sequential:
    """What follows the mean over the sets."""
    return nn.Sequential(hidden_block(400), nn.Linear(400, 1))


def branches(model: str, fields: int, size: int) -> nn.ModuleList:
    """One set of a model: what is computed of its embeddings side by side, each then averaged over the sets."""
    width = fields * size
    if model == "finalmlp":
        streams = [nn.Sequential(nn.Flatten(), hidden_block(width), hidden_block(400)) for _ in range(2)]
        return nn.ModuleList(streams)
    interaction, features = {
        "dnn": (nn.Flatten, width),
        "ipnn": (lambda: InnerProducts(fields), width + fields * (fields - 1) // 2),
        "nfwfm": (lambda: WeightedFieldSums(fields, size), size),
        "xdeepfm": (nn.Flatten, width),
        "dcnv2": (lambda: CrossNetwork(width), width),
        "gdcn": (lambda: GatedCrossNetwork(width), width),
        "rankmixer": (lambda: TokenMixing(fields, size), fields * max(1, size // 5)),
    }[model]
    projected = nn.Sequential(interaction(), hidden_block(features))
    return nn.ModuleList([projected, CompressedInteraction(fields)] if model == "xdeepfm" else [projected])


class LoopOverSets(nn.Module):
    """A model with a table and branches of its own for every set."""

    def __init__(self, model: str, cardinalities: list[int], size: int, num_sets: int):
        super().__init__()
        self.register_buffer("offsets", first_rows(cardinalities))
        self.tables = nn.ModuleList(nn.Embedding(sum(cardinalities), size) for _ in range(num_sets))
        self.sets = nn.ModuleList(branches(model, len(cardinalities), size) for _ in range(num_sets))
        self.head = {"xdeepfm": AddedLinear, "finalmlp": BilinearFusion}.get(model, mlp)()

    def forward(self, ids: Tensor) -> Tensor:
        outputs = []
        for table, of_set in zip(self.tables, self.sets, strict=True):
            e = table(ids + self.offsets)
            outputs.append([branch(e) for branch in of_set])
        means = [torch.stack(of_branch).mean(dim=0) for of_branch in zip(*outputs, strict=True)]
        return self.head(*means).flatten()


class FactorizationMachine(nn.Module):
    """FM by the square of the sum; FFM with a table per other field and a loop over the pairs of fields."""

    def __init__(self, model: str, cardinalities: list[int], size: int):
        super().__init__()
        self.register_buffer("offsets", first_rows(cardinalities))
        tables = len(cardinalities) - 1 if model == "ffm" else 1
        self.tables = nn.ModuleList(nn.Embedding(sum(cardinalities), size // tables) for _ in range(tables))
        self.linear = nn.Embedding(sum(cardinalities), 1)
        self.bias = nn.Parameter(torch.zeros(()))
        self.interaction = field_aware_products if model == "ffm" else pairwise_products

    def forward(self, ids: Tensor) -> Tensor:
        ids = ids + self.offsets
        products = self.interaction(*(table(ids) for table in self.tables))
        return products + self.linear(ids).sum(dim=(1, 2)) + self.bias


def pairwise_products(e: Tensor) -> Tensor:
    return (e.sum(dim=1) ** 2 - (e**2).sum(dim=1)).sum(dim=1) / 2


def field_aware_products(*tables: Tensor) -> Tensor:
    e = [table.unbind(dim=1) for table in tables]  # not table[:, i], whose gradient is a table of zeros for every pair
    # field i's table for a later field j is at j - 1, as it has none for itself
    products = [e[j - 1][i] * e[i][j] for i, j in combinations(range(len(tables) + 1), 2)]
    return torch.stack(products, dim=1).sum(dim=(1, 2))


def first_rows(cardinalities: list[int]) -> Tensor:
    return torch.tensor([0, *cardinalities[:-1]]).cumsum(0)


def build(model: str, cardinalities: list[int], embedding_size: int, num_sets: int) -> nn.Module:
    if MODELS[model].factorization_machine:
        return FactorizationMachine(model, cardinalities, embedding_size)
    return LoopOverSets(model, cardinalities, embedding_size, num_sets)


def prepare(ids: Tensor) -> Tensor:
    return ids


def loss(outputs: Tensor, labels: Tensor) -> Tensor:
    return binary_cross_entropy_with_logits(outputs, labels)


def has(model: str, num_sets: int) -> bool:
    return True


def more_parameters(model: str, fields: int, embedding_size: int) -> tuple[int, str]:
    return 0, ""
