"""The one model class: embeddings, interaction, head."""

import torch
from torch import Tensor, nn

from paper_code.models.embedding import LinearTerms, MultiEmbedding


class CTRModel(nn.Module):
    """y = F(mean over m of h^(m)), h^(m) = I^(m)(e_1^(m), ..., e_N^(m)) (Sections 2 and 5.1).

    FM and FFM add a linear term per value to the logit.
    """

    def __init__(
        self,
        embedding: MultiEmbedding,
        interaction: nn.Module,
        head: nn.Module,
        linear_terms: LinearTerms | None = None,
    ):
        super().__init__()
        self.embedding, self.interaction, self.head, self.linear_terms = embedding, interaction, head, linear_terms

    def forward(self, ids: Tensor) -> Tensor:
        """(batch, fields) ids, int32 or int64, each below its field's cardinality -> (batch,) logits."""
        logits = self.head(self.combined(ids))
        return logits if self.linear_terms is None else logits + self.linear_terms(ids)

    def member_logits(self, ids: Tensor) -> Tensor:
        """As `forward`, -> (batch, members): of an ensemble each member's logits, which it is trained on; else one."""
        if getattr(self.head, "ensemble", False):
            return self.head.member_logits(self.combined(ids))
        return self(ids).unsqueeze(1)

    def combined(self, ids: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        """What the head takes: h^(m), for a DNN beside the interaction with the embeddings side by side in front."""
        embeddings = self.embedding(ids)
        combined = self.interaction(embeddings)
        return (embeddings.flatten(2), combined) if getattr(self.head, "beside", False) else combined

    def embedding_matrices(self) -> list[list[Tensor]]:
        """[set][field] -> E_i^(m) of shape (D_i, K); views, not copies.

        Information abundance "per set" is that of each of these.
        """
        return self.embedding.matrices()

    def side_by_side_matrices(self) -> list[Tensor]:
        """[field] -> [E_i^(1), ..., E_i^(M)] of shape (D_i, M * K); views, not copies.

        Information abundance "side by side" is that of each of these: what a field's value carries in all sets
        together, to be held against a single embedding of size M * K. With one set it is the same as per set.
        """
        return list(self.embedding.weight.split(self.embedding.cardinalities))

    def sub_embeddings(self) -> list[list[list[Tensor | None]]]:
        """[set][i][j] -> E_i^{->j}, the sub-embedding of field i for field j (Section 4.1): (D_i, K) for DCNv2 and
        GDCN, (D_i, head size) for RankMixer, (D_i, K / (N - 1)) for FFM, which has none (None) for i = j.

        Raises TypeError for a model whose interaction has none.
        """
        models = "DCNv2, GDCN, RankMixer and FFM"
        return self.of_interaction("sub_embeddings", "sub-embeddings", models)(self.embedding_matrices())

    def interaction_patterns(self) -> Tensor:
        """(sets, i, j) -> Frobenius norm of W_{i->j}^(m), of the first cross layer (Section 5.3, Figure 9c) or of
        RankMixer's tokens.

        Raises TypeError for a model whose interaction has no such projections.
        """
        models = "DCNv2, GDCN and RankMixer"
        return torch.linalg.matrix_norm(self.of_interaction("projections", "projections W_i->j", models)())

    def switch_off_interaction(self) -> None:
        """Let fields interact in the MLP alone: the interaction, of FinalMLP the fusion, becomes the identity or gives
        zeros, and its parameters are frozen.

        Raises TypeError for DNN, which has no interaction besides its MLP.
        """
        part = self.head if hasattr(self.head, "switch_off") else self.interaction
        if not hasattr(part, "switch_off"):
            raise TypeError(f"{type(self.interaction).__name__} has no interaction besides its MLP to switch off")
        part.switch_off()

    def of_interaction(self, method: str, what: str, models: str):
        if not hasattr(self.interaction, method):
            raise TypeError(f"{type(self.interaction).__name__} has no {what}; {models} have")
        return getattr(self.interaction, method)
