"""The models that DeepCTR-Torch has, by its own classes, with the hyperparameters of ours and no linear part.

Every field has a table of its own, and the input is one matrix of float32 ids. The regularisation that its `fit` adds
to the loss is left out, Adam's weight decay being ours. FinalMLP, NFwFM (its NFM has no field weights), FFM, GDCN and
RankMixer are not in it. For the names offered here see `peers`.
"""

import sys
from types import ModuleType

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy

# on import it would ask PyPI in a thread of its own for a newer version, during the measurement
sys.modules["deepctr_torch.utils"] = ModuleType("deepctr_torch.utils")
sys.modules["deepctr_torch.utils"].check_version = lambda version: None

from deepctr_torch.inputs import SparseFeat  # noqa: E402
from deepctr_torch.layers import DNN  # noqa: E402
from deepctr_torch.models import DCN, PNN, WDL, DeepFM, xDeepFM  # noqa: E402

FUSED = None
HIDDEN = (400, 400)


def build(model: str, cardinalities: list[int], embedding_size: int, num_sets: int) -> nn.Module:
    device = torch.get_default_device()
    fields = [SparseFeat(str(i), d, embedding_dim=embedding_size) for i, d in enumerate(cardinalities)]
    hidden = {"dnn_hidden_units": HIDDEN, "dnn_dropout": 0.2}
    normed = hidden | {"dnn_use_bn": True, "device": device}
    if model == "dnn":
        return WDL([], fields, **normed)
    if model == "ipnn":
        pnn = PNN(fields, use_inner=True, use_outter=False, device=device, **hidden)
        # its own MLP, with batch normalisation, for which PNN has no option
        width = pnn.dnn.linears[0].in_features
        pnn.dnn = DNN(width, HIDDEN, dropout_rate=0.2, use_bn=True, device=device)
        return pnn
    if model == "xdeepfm":
        return xDeepFM([], fields, cin_layer_size=(16, 16), cin_split_half=False, **normed)
    if model == "dcnv2":
        return DCN([], fields, cross_num=4, cross_parameterization="matrix", **normed)
    return DeepFM(fields, fields, dnn_hidden_units=(), device=device)


def prepare(ids: Tensor) -> Tensor:
    return ids.float()


def loss(outputs: Tensor, labels: Tensor) -> Tensor:
    return binary_cross_entropy(outputs.squeeze(1), labels)


def has(model: str, num_sets: int) -> bool:
    return num_sets == 1 and model in ("dnn", "ipnn", "xdeepfm", "dcnv2", "fm")


def more_parameters(model: str, fields: int, embedding_size: int) -> tuple[int, str]:
    if model == "dcnv2":
        return fields * embedding_size, "its MLP reads the embeddings, beside the cross network and not after it"
    return (-1, "one bias for both parts") if model == "xdeepfm" else (0, "")
