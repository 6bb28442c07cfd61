"""All embedding sets of all fields in one table."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class MultiEmbedding(nn.Module):
    """M sets of embeddings of N fields (Section 5.1) as one table of shape (sum D_i, M * K); M = 1 is the usual table.

    Row `offset_i + x` holds value x of field i, columns m*K to (m+1)*K its embedding in set m. Every set is initialised
    as a table of its own: Xavier-uniform over (sum D_i, K), as in the authors' code, the paper being silent; with
    embedding_std: normal with that standard deviation. Parameters: M K sum D_i.
    """

    def __init__(
        self,
        cardinalities: Sequence[int],
        embedding_size: int,
        num_sets: int,
        *,
        embedding_std: float | None = None,
    ):
        super().__init__()
        self.cardinalities = list(cardinalities)
        self.embedding_size, self.num_sets = embedding_size, num_sets
        rows = sum(cardinalities)
        self.weight = nn.Parameter(torch.empty(rows, num_sets * embedding_size))
        bound = math.sqrt(6 / (rows + embedding_size))
        if embedding_std is None:
            nn.init.uniform_(self.weight, -bound, bound)
        else:
            nn.init.normal_(self.weight, std=embedding_std)
        offsets = torch.tensor([0, *self.cardinalities[:-1]]).cumsum(0)
        self.register_buffer("offsets", offsets.to(torch.int32), persistent=False)

    def forward(self, ids: Tensor) -> Tensor:
        """(batch, fields) ids, int32 or int64, each below its field's cardinality -> (batch, sets, fields, size)."""
        rows = (ids + self.offsets).flatten()
        # on a CPU the gradient of `embedding`, or with indices of 32 bits, takes three to six times as long
        chosen = F.embedding(rows, self.weight) if rows.is_cuda else self.weight.index_select(0, rows.long())
        return chosen.view(*ids.shape, self.num_sets, self.embedding_size).transpose(1, 2)

    def matrices(self) -> list[list[Tensor]]:
        """[set][field] -> E_i^(m), a view of shape (D_i, K)."""
        return [list(columns.split(self.cardinalities)) for columns in self.weight.split(self.embedding_size, dim=1)]


class LinearTerms(MultiEmbedding):
    """w_0 + sum over i of w_{i, x_i}: one weight per value, zero at the start (FM and FFM).

    Parameters: sum D_i + 1.
    """

    def __init__(self, cardinalities: Sequence[int]):
        super().__init__(cardinalities, embedding_size=1, num_sets=1)
        nn.init.zeros_(self.weight)
        self.bias = nn.Parameter(torch.zeros(()))

    def forward(self, ids: Tensor) -> Tensor:
        """(batch, fields) ids -> (batch,)."""
        return super().forward(ids).sum(dim=(1, 2, 3)) + self.bias
