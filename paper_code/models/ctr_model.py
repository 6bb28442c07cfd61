"""The one model class: embeddings, interaction, head."""

from torch import Tensor, nn

from paper_code.models.embedding import MultiEmbedding


class CTRModel(nn.Module):
    """y = F(mean over m of h^(m)), h^(m) = I^(m)(e_1^(m), ..., e_N^(m)) (Sections 2 and 5.1)."""

    def __init__(self, embedding: MultiEmbedding, interaction: nn.Module, head: nn.Module):
        super().__init__()
        self.embedding, self.interaction, self.head = embedding, interaction, head

    def forward(self, ids: Tensor) -> Tensor:
        """(batch, fields) ids, int32 or int64, each below its field's cardinality -> (batch,) logits."""
        return self.head(self.interaction(self.embedding(ids)))

    def embedding_matrices(self) -> list[list[Tensor]]:
        """[set][field] -> E_i^(m) of shape (D_i, K); views, not copies."""
        return self.embedding.matrices()

    def sub_embeddings(self) -> list[list[list[Tensor]]]:
        """[set][i][j] -> E_i^{->j}, the sub-embedding of field i for field j (Section 4.1).

        Raises TypeError for a model whose interaction has none.
        """
        if not hasattr(self.interaction, "sub_embeddings"):
            raise TypeError(f"{type(self.interaction).__name__} has no sub-embeddings; DCNv2's CrossNetwork has")
        return self.interaction.sub_embeddings(self.embedding_matrices())
