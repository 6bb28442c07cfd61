"""The models of the paper by name: `build_model("dcnv2", cardinalities, embedding_size=10, num_sets=4, seed=0)`.

What needs PyTorch is imported when it is first asked for.
"""

from importlib import import_module

from paper_code.models.registry import MODEL_LABELS, MODELS, base_embedding_size, complete_options, model_options

LATER = {
    "build_model": "building",
    "check_model": "check",
    "number_of_parameters": "building",
    "CTRModel": "ctr_model",
    "MultiEmbedding": "embedding",
}

__all__ = [
    "MODELS",
    "MODEL_LABELS",
    "CTRModel",
    "MultiEmbedding",
    "base_embedding_size",
    "build_model",
    "check_model",
    "complete_options",
    "model_options",
    "number_of_parameters",
]


def __getattr__(name: str) -> object:
    if name not in LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{LATER[name]}"), name)
