"""The feature interactions I^(m) of the paper, one class per model, each for all sets at once.

An interaction maps embeddings (batch, sets, fields, size) to combined features (batch, sets, out_features); one with
several parts gives a tuple of these, and a tuple of their sizes. N is the number of fields, K the embedding size, M the
number of sets; `*` is the product of elements. To add a model: write its class here and give it a line in
`paper_code.models.MODELS`.
"""

from itertools import pairwise

import torch
from torch import Tensor, nn

from paper_code.models.layers import (
    Chosen,
    CompressedSum,
    CrossLayer,
    Dropout,
    GatedCrossLayer,
    HiddenBlock,
    MixerBlock,
    SetBatchNorm,
    SetLinear,
    WideProduct,
    rows_linear,
    rows_of_sets,
    zero_and_freeze,
)
from paper_code.models.registry import sub_embedding_size

Matrices = list[list[Tensor]]


class Concatenation(nn.Module):
    """DNN (Evidence IV): h = [e_1, ..., e_N]. No parameters; out_features = N K."""

    def __init__(self, num_sets: int, num_fields: int, embedding_size: int):
        super().__init__()
        self.out_features = num_fields * embedding_size

    def forward(self, embeddings: Tensor) -> Tensor:
        return embeddings.flatten(2)


class InnerProducts(nn.Module):
    """IPNN (Qu et al., 2016): h = [e_1, ..., e_N, (e_i . e_j for all i < j)].

    released_form: as in the authors' code, several sets keep only the products.
    No parameters; out_features = N K + N (N - 1) / 2.
    """

    def __init__(self, num_sets: int, num_fields: int, embedding_size: int, *, released_form: bool = False):
        super().__init__()
        self.off = False
        self.products_only = released_form and num_sets > 1
        rows, columns = torch.triu_indices(num_fields, num_fields, offset=1)
        self.register_buffer("pairs", rows * num_fields + columns, persistent=False)
        self.out_features = len(self.pairs) + (0 if self.products_only else num_fields * embedding_size)

    def forward(self, embeddings: Tensor) -> Tensor:
        products = Chosen.apply((embeddings @ embeddings.transpose(2, 3)).flatten(2), self.pairs)
        if self.off:
            products = torch.zeros_like(products)
        return products if self.products_only else torch.cat([embeddings.flatten(2), products], dim=2)

    def switch_off(self) -> None:
        """Zeros in place of the products."""
        self.off = True


class FieldWeightedProducts(nn.Module):
    """NFwFM: h = dropout(batch_norm(sum over all i, j of w_ij e_i * e_j)), a vector of size K.

    Neural FM (He and Chua, 2017) with the field weights of FwFM (Pan et al., 2018). As in the authors' code the sum
    takes ordered pairs, i = j included, and w is standard normal at the start.
    Parameters: M (N^2 + 2 K); out_features = K.
    """

    def __init__(self, num_sets: int, num_fields: int, embedding_size: int, *, dropout: float = 0.2):
        super().__init__()
        self.out_features = embedding_size
        self.weight = nn.Parameter(torch.randn(num_sets, num_fields, num_fields))
        self.norm = SetBatchNorm(num_sets, embedding_size)
        self.dropout = Dropout(dropout)

    def forward(self, embeddings: Tensor) -> Tensor:
        e = by_coordinate(embeddings)
        products = (WideProduct.apply(self.weight, e) * e).sum(dim=1)
        return self.dropout(self.norm(products.unflatten(1, (-1, self.out_features)).transpose(0, 1)))

    def switch_off(self) -> None:
        """w_ij = 0 for i other than j: what is left of the sum is each field with itself."""
        with torch.no_grad():
            self.weight *= torch.eye(self.weight.shape[1], device=self.weight.device)
        self.weight.requires_grad_(False)


class CompressedInteraction(nn.Module):
    """xDeepFM's compressed interaction network, CIN (Lian et al., 2018).

    X_0 has the rows e_1, ..., e_N; X_{l+1} has the rows ReLU(sum over i, j of W_{h,i,j} X_{l,i} * X_{0,j} + b_h);
    its features are the row sums of X_1, X_2, .... As in the authors' code, all of a layer goes on to the next.
    Parameters, for layers of H_1, H_2, ... rows: M sum over l of H_l (H_{l-1} N + 1), with H_0 = N;
    out_features = H_1 + H_2 + ....
    """

    def __init__(self, num_sets: int, num_fields: int, embedding_size: int, *, cin_layers: tuple[int, ...] = (16, 16)):
        super().__init__()
        self.embedding_size = embedding_size
        self.out_features = sum(cin_layers)
        sizes = pairwise((num_fields, *cin_layers))
        self.layers = nn.ModuleList(CompressedLayer(num_sets, num_fields, a, b) for a, b in sizes)

    def forward(self, embeddings: Tensor) -> Tensor:
        x0 = x = by_coordinate(embeddings)
        sums = []
        for layer in self.layers:
            x = layer(x0, x)
            sums.append(x.unflatten(2, (-1, self.embedding_size)).sum(dim=3))
        return torch.cat(sums, dim=1).permute(2, 0, 1)

    def switch_off(self) -> None:
        """W = 0 and b = 0: all that is left is the DNN."""
        zero_and_freeze(*self.layers.parameters())


class CompressedLayer(nn.Module):
    """A layer of CIN, on coordinates: x_h = ReLU(sum over i, j of W_{h,i,j} x_i x0_j + b_h) for every coordinate.

    On a GPU the sum over j is one matrix product, that over i of its products with x. weight (sets, out, in, fields),
    bias (sets, out), initialised as `torch.nn.Conv1d`.
    """

    def __init__(self, num_sets: int, num_fields: int, in_rows: int, out_rows: int):
        super().__init__()
        self.weight = nn.Parameter(torch.empty(num_sets, out_rows, in_rows, num_fields))
        self.bias = nn.Parameter(torch.empty(num_sets, out_rows))
        bound = (in_rows * num_fields) ** -0.5
        nn.init.uniform_(self.weight, -bound, bound)
        nn.init.uniform_(self.bias, -bound, bound)

    def forward(self, x0: Tensor, x: Tensor) -> Tensor:
        """(sets, fields, batch * K) and (sets, in, batch * K) -> (sets, out, batch * K)."""
        if x0.is_cuda:
            over_fields = WideProduct.apply(self.weight.flatten(1, 2), x0).unflatten(1, self.weight.shape[1:3])
            sums = (over_fields * x.unsqueeze(1)).sum(dim=2)
        else:
            sums = CompressedSum.apply(self.weight.expand(len(x0), -1, -1, -1), x, x0)
        return torch.relu(sums + self.bias.unsqueeze(2))


class CrossNetwork(nn.Module):
    """DCNv2 (Wang et al., 2021): x_0 = [e_1, ..., e_N], x_{l+1} = x_0 * (W_l x_l + b_l) + x_l.

    block_scales: a learnable factor for every W_{i->j}, as in the authors' code of Evidence III.
    groups: G; every W_{i->j} is block diagonal, of G blocks, so that a single embedding has the cross layers of G sets
    of size K / G, side by side (Appendix B). None: 1.
    Parameters: M L N K (N K / G + 1) for L layers, and M G L N^2 for block_scales; out_features = N K.
    """

    layer = CrossLayer

    def __init__(
        self,
        num_sets: int,
        num_fields: int,
        embedding_size: int,
        *,
        cross_layers: int = 4,
        block_scales: bool = False,
        groups: int | None = None,
    ):
        super().__init__()
        if cross_layers < 1:
            raise ValueError(f"cross_layers is {cross_layers}, expected at least 1")
        self.groups = groups or 1
        if embedding_size % self.groups:
            raise ValueError(f"groups is {groups}, expected a divisor of the embedding size, {embedding_size}")
        self.out_features, self.sub_size = num_fields * embedding_size, embedding_size
        sizes = num_sets * self.groups, num_fields, embedding_size // self.groups
        self.layers = nn.ModuleList(self.layer(*sizes, block_scales) for _ in range(cross_layers))

    def forward(self, embeddings: Tensor) -> Tensor:
        if self.groups == 1:
            return self.crossed(embeddings)
        groups = embeddings.unflatten(3, (self.groups, -1)).transpose(2, 3).flatten(1, 2)
        crossed = self.crossed(groups).unflatten(2, (*embeddings.shape[2:3], -1)).unflatten(1, (-1, self.groups))
        return crossed.transpose(2, 3).flatten(2)

    def crossed(self, embeddings: Tensor) -> Tensor:
        x0 = x = embeddings.flatten(2)
        for layer in self.layers:
            x = layer(x0, x)
        return x

    def switch_off(self) -> None:
        """W = 0 and b = 0: every layer gives what it is given."""
        zero_and_freeze(*self.layers.parameters())

    def projections(self) -> Tensor:
        """W_{i->j} of the first cross layer (Evidence II): (sets, i, j, size, size)."""
        blocks = self.layers[0].projections()
        if self.groups == 1:
            return blocks
        of_groups = blocks.unflatten(0, (-1, self.groups)).permute(0, 2, 3, 1, 4, 5).flatten(0, 2)
        whole = torch.stack([torch.block_diag(*of_pair) for of_pair in of_groups])
        return whole.unflatten(0, (-1, *blocks.shape[1:3]))

    def sub_embeddings(self, matrices: Matrices) -> list[list[list[Tensor]]]:
        """[set][i][j] -> E_i^{->j} = E_i W_{i->j}^T of shape (D_i, K) (Evidence II)."""
        return projected(matrices, self.projections())


class GatedCrossNetwork(CrossNetwork):
    """GDCN (Wang et al., 2023): c_0 = [e_1, ..., e_N], c_{l+1} = c_0 * (W_l c_l + b_l) * sigmoid(G_l c_l) + c_l.

    Parameters: M L N K (2 N K + 1) for L layers, and M L N^2 for block_scales; out_features = N K.
    """

    layer = GatedCrossLayer


class TokenMixer(nn.Module):
    """RankMixer (Zhu et al., 2025): x_i = W_i e_i + b_i, blocks on these tokens, h = the mean over the last tokens.

    A token per field, where the paper has one per group of features, and the form without mixtures of experts. A token
    has N heads of size k, so it is of size D = N k. The paper sets D freely; k = floor(K / 5), at least 1, is our
    choice, so that D grows in proportion to K. blocks: L, 2 in the paper's models; expansion: r, of the FFNs' hidden
    size r D, our choice too.
    Parameters: M D (N (K + 1) + L (N (2 r D + r + 1) + 4)); out_features = D.
    """

    def __init__(self, num_sets: int, num_fields: int, embedding_size: int, *, blocks: int = 2, expansion: int = 2):
        super().__init__()
        if min(blocks, expansion) < 1:
            raise ValueError(f"blocks is {blocks} and expansion is {expansion}, expected at least 1")
        self.num_fields, self.sub_size = num_fields, sub_embedding_size("rankmixer", num_fields, embedding_size)
        self.out_features = num_fields * self.sub_size
        # every field of every set is a set of the linear layer, in the order of the sets
        self.tokenisation = SetLinear(num_sets * num_fields, embedding_size, self.out_features)
        self.blocks = nn.Sequential(
            *(MixerBlock(num_sets, num_fields, self.out_features, expansion) for _ in range(blocks))
        )

    def switch_off(self) -> None:
        """Every token stays as it is where the blocks would mix them."""
        for block in self.blocks:
            block.off = True

    def forward(self, embeddings: Tensor) -> Tensor:
        # tokens first, (sets, tokens, rows, size), as their linear layers multiply them: no copies in between
        rows = rows_of_sets(embeddings.flatten(1, 2), len(self.tokenisation.weight))
        tokens = rows_linear(rows, self.tokenisation.weight, self.tokenisation.bias)
        mixed = self.blocks(tokens.unflatten(0, (-1, self.num_fields))).mean(dim=1)
        return mixed.transpose(0, 1).reshape(*embeddings.shape[:2], -1)

    def projections(self) -> Tensor:
        """W_{i->j}, the rows of W_i for head j, which the first mixing gives to token j, as a view:
        (sets, i, j, head size, size).
        """
        weight = self.tokenisation.weight.unflatten(0, (-1, self.num_fields))
        return weight.unflatten(3, (-1, self.sub_size)).permute(0, 1, 3, 4, 2)

    def sub_embeddings(self, matrices: Matrices) -> list[list[list[Tensor]]]:
        """[set][i][j] -> E_i^{->j} = E_i W_{i->j}^T of shape (D_i, head size), b_i aside (as Evidence II)."""
        return projected(matrices, self.projections())


class TwoStreams(nn.Module):
    """FinalMLP (Mao et al., 2023): x and y, each an MLP of hidden blocks on [e_1, ..., e_N]; no feature gating.

    Both streams read the same input, so their first layers are one wide layer; after that they are two sets.
    Parameters, for hidden (H_1, ..., H_n): 2 M (H_1 (N K + 3) + sum over l > 1 of H_l (H_{l-1} + 3));
    out_features = (H_n, H_n).
    """

    def __init__(
        self,
        num_sets: int,
        num_fields: int,
        embedding_size: int,
        *,
        hidden: tuple[int, ...] = (400, 400),
        dropout: float = 0.2,
    ):
        super().__init__()
        self.out_features = (hidden[-1], hidden[-1])
        self.first = HiddenBlock(num_sets, num_fields * embedding_size, 2 * hidden[0], dropout)
        self.others = nn.Sequential(*(HiddenBlock(2 * num_sets, a, b, dropout) for a, b in pairwise(hidden)))

    def forward(self, embeddings: Tensor) -> tuple[Tensor, Tensor]:
        streams = self.first(embeddings.flatten(2)).unflatten(2, (2, -1))
        return self.others(streams.flatten(1, 2)).unflatten(1, (-1, 2)).unbind(dim=2)


class PairwiseProducts(nn.Module):
    """FM (Rendle, 2010): h = sum over i < j of e_i * e_j = ((sum_i e_i)^2 - sum_i e_i^2) / 2, a vector of size K, whose
    sum is FM's. No parameters; out_features = K."""

    def __init__(self, num_sets: int, num_fields: int, embedding_size: int):
        super().__init__()
        self.off, self.out_features = False, embedding_size

    def forward(self, embeddings: Tensor) -> Tensor:
        square_of_sum, sum_of_squares = embeddings.sum(dim=2).square(), embeddings.square().sum(dim=2)
        return (square_of_sum - sum_of_squares) / 2 * (not self.off)

    def switch_off(self) -> None:
        """Zeros in place of the products."""
        self.off = True


class FieldAwareProducts(nn.Module):
    """FFM (Juan et al., 2016; Evidence I): h = sum over i < j of e_i^{->j} . e_j^{->i}.

    The embedding of field i is split into sub-embeddings for the other fields, in their order:
    e_i = [e_i^{->1}, ..., e_i^{->i-1}, e_i^{->i+1}, ..., e_i^{->N}], each of size K / (N - 1). No parameters.
    """

    out_features = 1

    def __init__(self, num_sets: int, num_fields: int, embedding_size: int):
        super().__init__()
        others = num_fields - 1
        if others < 1 or embedding_size % others:
            raise ValueError(
                f"embedding_size is {embedding_size}: FFM splits it evenly among the {others} other fields; "
                f"expected a multiple of {others}, e.g. {8 * others} for the authors' sub-embeddings of size 8"
            )
        self.off = False
        self.sub_size = sub_embedding_size("ffm", num_fields, embedding_size)
        i, j = torch.triu_indices(num_fields, num_fields, offset=1)
        # field i has no sub-embedding for itself: that for a later field j stands at j - 1
        self.register_buffer("there", i * others + j - 1, persistent=False)
        self.register_buffer("back", j * others + i, persistent=False)

    def forward(self, embeddings: Tensor) -> Tensor:
        parts = embeddings.unflatten(3, (-1, self.sub_size)).flatten(2, 3)
        products = Chosen.apply(parts, self.there) * Chosen.apply(parts, self.back)
        return products.sum(dim=(2, 3)).unsqueeze(2) * (not self.off)

    def switch_off(self) -> None:
        """Zero in place of the products."""
        self.off = True

    def sub_embeddings(self, matrices: Matrices) -> list[list[list[Tensor | None]]]:
        """[set][i][j] -> E_i^{->j} of shape (D_i, K / (N - 1)), a view; None for i = j (Evidence I)."""
        split = [[list(matrix.split(self.sub_size, dim=1)) for matrix in of_set] for of_set in matrices]
        return [[[*parts[:i], None, *parts[i:]] for i, parts in enumerate(of_set)] for of_set in split]


def by_coordinate(embeddings: Tensor) -> Tensor:
    """(batch, sets, fields, size) -> (sets, fields, batch * size), for what treats every coordinate alone."""
    return embeddings.permute(1, 2, 0, 3).flatten(2)


def projected(matrices: Matrices, projections: Tensor) -> list[list[list[Tensor]]]:
    """[set][i][j] -> E_i W_{i->j}^T, of projections (sets, i, j, size of j, size of i), or one set's for all."""
    projections = projections.expand(len(matrices), -1, -1, -1, -1)
    return [
        [list(torch.einsum("dk,jlk->jdl", matrix, w)) for matrix, w in zip(of_set, of_projections, strict=True)]
        for of_set, of_projections in zip(matrices, projections, strict=True)
    ]
