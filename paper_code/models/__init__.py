"""The models of the paper by name: `build_model("dcnv2", cardinalities, embedding_size=10, num_sets=4, seed=0)`."""

import inspect
from collections.abc import Sequence

import torch

from paper_code.models.ctr_model import CTRModel
from paper_code.models.embedding import MultiEmbedding
from paper_code.models.interactions import Concatenation, CrossNetwork
from paper_code.models.layers import MeanHead

MODELS = {
    "dnn": Concatenation,
    "dcnv2": CrossNetwork,
}
MODEL_LABELS = {"dnn": "DNN", "dcnv2": "DCNv2"}
COMMON_OPTIONS = {"hidden": (400, 400), "dropout": 0.2}


def model_options(name: str) -> dict:
    """The options of a model with the paper's values: those of every model, then those of its interaction."""
    if name not in MODELS:
        raise ValueError(f"model {name!r} does not exist; the models are {', '.join(MODELS)}")
    parameters = inspect.signature(MODELS[name]).parameters.values()
    return COMMON_OPTIONS | {p.name: p.default for p in parameters if p.kind is p.KEYWORD_ONLY}


def complete_options(name: str, options: dict) -> dict:
    """The options with the paper's values for those not given.

    Raises ValueError, which names those that exist, for a model or an option that does not.
    """
    known = model_options(name)
    if unknown := sorted(options.keys() - known.keys()):
        raise ValueError(f"{name} has no option {', '.join(unknown)}; its options are {', '.join(known)}")
    return known | options


def build_model(
    name: str, cardinalities: Sequence[int], embedding_size: int, num_sets: int = 1, seed: int = 0, **options
) -> CTRModel:
    """A model of the paper, initialised from the seed; the global random state is left as it was.

    name: one of MODELS. cardinalities: D_i of every field. embedding_size: K. num_sets: M; 1 is single embedding.
    options: see `model_options`; the defaults are the paper's (Appendix C.2).
    Raises ValueError for an unknown model or option and for sizes below 1.

    Example: `build_model("dnn", [5, 300], embedding_size=10)(torch.tensor([[4, 299]]))` is one logit.
    """
    options = complete_options(name, options)
    hidden, dropout = tuple(options.pop("hidden")), options.pop("dropout")
    if not hidden:
        raise ValueError("hidden=(): expected the size of at least one hidden layer, e.g. (400, 400)")
    for what, values in {
        "cardinalities": cardinalities,
        "embedding_size": [embedding_size],
        "num_sets": [num_sets],
        "hidden": hidden,
    }.items():
        if not values or min(values) < 1:
            raise ValueError(f"{what}={list(values)}: expected whole numbers of at least 1")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        embedding = MultiEmbedding(cardinalities, embedding_size, num_sets)
        interaction = MODELS[name](num_sets, len(cardinalities), embedding_size, **options)
        return CTRModel(embedding, interaction, MeanHead(num_sets, interaction.out_features, hidden, dropout))
