"""The models that FuxiCTR has, of the layers in its package, with the hyperparameters of ours and no linear part.

The wheel holds the layers but not the model zoo (only that for long sequences), so the layers are put together here as
the zoo does. Every field has a table of its own, and the input is a tensor for each field. The clipping of gradients in
its `fit` is left out. NFwFM and RankMixer are not in it; the interactions of FFM and GDCN are in the zoo only. For the
names offered here see `peers`.
"""

import torch
from fuxictr.features import FeatureMap
from fuxictr.pytorch import layers
from model_zoo.LongCTR.FinalMLP.FinalMLP import InteractionAggregation
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy

FUSED = None


def mlp(width: int, out: int | None = 1) -> nn.Module:
    return layers.MLP_Block(width, hidden_units=[400, 400], output_dim=out, dropout_rates=0.2, batch_norm=True)


class Dense(nn.Module):
    """DNN: embeddings (batch, fields, size) -> (batch, 1), as all of these."""

    def __init__(self, fields: int, size: int):
        super().__init__()
        self.mlp = mlp(fields * size)

    def forward(self, e: Tensor) -> Tensor:
        return self.mlp(e.flatten(1))


class ProductNetwork(nn.Module):
    """IPNN."""

    def __init__(self, fields: int, size: int):
        super().__init__()
        self.products = layers.InnerProductInteraction(fields, output="inner_product")
        self.mlp = mlp(fields * size + fields * (fields - 1) // 2)

    def forward(self, e: Tensor) -> Tensor:
        return self.mlp(torch.cat([e.flatten(1), self.products(e)], dim=1))


class ExtremeDeep(nn.Module):
    """xDeepFM; this CIN has no ReLU."""

    def __init__(self, fields: int, size: int):
        super().__init__()
        self.compressed, self.mlp = layers.CompressedInteractionNet(fields, [16, 16]), mlp(fields * size)

    def forward(self, e: Tensor) -> Tensor:
        return self.mlp(e.flatten(1)) + self.compressed(e)


class Cross(nn.Module):
    """DCNv2, stacked."""

    def __init__(self, fields: int, size: int):
        super().__init__()
        self.cross, self.mlp = layers.CrossNetV2(fields * size, 4), mlp(fields * size)

    def forward(self, e: Tensor) -> Tensor:
        return self.mlp(self.cross(e.flatten(1)))


class TwoStreams(nn.Module):
    """FinalMLP without feature selection."""

    def __init__(self, fields: int, size: int):
        super().__init__()
        self.streams = nn.ModuleList(mlp(fields * size, out=None) for _ in range(2))
        self.fusion = InteractionAggregation(400, 400)

    def forward(self, e: Tensor) -> Tensor:
        x = e.flatten(1)
        return self.fusion(*(stream(x) for stream in self.streams))


INTERACTIONS = {
    "dnn": Dense,
    "ipnn": ProductNetwork,
    "xdeepfm": ExtremeDeep,
    "dcnv2": Cross,
    "finalmlp": TwoStreams,
}


class Model(nn.Module):
    """{field: (batch,) ids} -> (batch, 1) probabilities."""

    def __init__(self, model: str, cardinalities: list[int], size: int):
        super().__init__()
        fields = FeatureMap("benchmark", "")
        for i, d in enumerate(cardinalities):
            fields.features[str(i)] = {"type": "categorical", "source": "", "vocab_size": d}
        fields.num_fields = fields.get_num_fields()
        self.embedding = layers.FeatureEmbedding(fields, size)
        self.machine = layers.FactorizationMachine(fields) if model == "fm" else None
        self.interaction = None if self.machine else INTERACTIONS[model](fields.num_fields, size)

    def forward(self, ids: dict[str, Tensor]) -> Tensor:
        e = self.embedding(ids)
        return torch.sigmoid(self.machine(ids, e) if self.machine else self.interaction(e))


def build(model: str, cardinalities: list[int], embedding_size: int, num_sets: int) -> nn.Module:
    return Model(model, cardinalities, embedding_size)


def prepare(ids: Tensor) -> dict[str, Tensor]:
    return {str(i): of_field.contiguous() for i, of_field in enumerate(ids.long().unbind(dim=1))}


def loss(outputs: Tensor, labels: Tensor) -> Tensor:
    return binary_cross_entropy(outputs.squeeze(1), labels)


def has(model: str, num_sets: int) -> bool:
    return num_sets == 1 and (model == "fm" or model in INTERACTIONS)


def more_parameters(model: str, fields: int, embedding_size: int) -> tuple[int, str]:
    return (1, "a bias for each stream") if model == "finalmlp" else (0, "")
