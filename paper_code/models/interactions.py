"""The feature interactions I^(m) of the paper, one class per model, each for all sets at once.

An interaction maps embeddings (batch, sets, fields, size) to combined features (batch, sets, out_features). To add a
model: write its class here and give it a line in `paper_code.models.MODELS`.
"""

import torch
from torch import Tensor, nn

from paper_code.models.layers import CrossLayer


class Concatenation(nn.Module):
    """DNN (Evidence IV): h = [e_1, ..., e_N]. No parameters; out_features = N * K."""

    def __init__(self, num_sets: int, num_fields: int, embedding_size: int):
        super().__init__()
        self.out_features = num_fields * embedding_size

    def forward(self, embeddings: Tensor) -> Tensor:
        return embeddings.flatten(2)


class CrossNetwork(nn.Module):
    """DCNv2 (Wang et al., 2021): x_0 = [e_1, ..., e_N], x_{l+1} = x_0 * (W_l x_l + b_l) + x_l.

    Parameters: M * cross_layers * (N K) (N K + 1); out_features = N * K.
    """

    def __init__(self, num_sets: int, num_fields: int, embedding_size: int, *, cross_layers: int = 4):
        super().__init__()
        if cross_layers < 1:
            raise ValueError(f"cross_layers is {cross_layers}, expected at least 1")
        self.num_fields, self.embedding_size = num_fields, embedding_size
        self.out_features = num_fields * embedding_size
        self.layers = nn.ModuleList(CrossLayer(num_sets, self.out_features) for _ in range(cross_layers))

    def forward(self, embeddings: Tensor) -> Tensor:
        x0 = x = embeddings.flatten(2)
        for layer in self.layers:
            x = layer(x0, x)
        return x

    def projections(self) -> Tensor:
        """W_{i->j} of the first cross layer (Evidence II): (sets, i, j, size, size), a view."""
        blocks = (self.num_fields, self.embedding_size)
        # SetLinear keeps W transposed: its row block i, column block j maps field i to the space of field j
        return self.layers[0].weight.unflatten(2, blocks).unflatten(1, blocks).permute(0, 1, 3, 4, 2)

    def sub_embeddings(self, matrices: list[list[Tensor]]) -> list[list[list[Tensor]]]:
        """[set][i][j] -> E_i^{->j} = E_i W_{i->j}^T of shape (D_i, K) (Evidence II)."""
        return [
            [list(torch.einsum("dk,jlk->jdl", matrix, w)) for matrix, w in zip(of_set, projections, strict=True)]
            for of_set, projections in zip(matrices, self.projections(), strict=True)
        ]
