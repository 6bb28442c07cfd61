"""From a model's name to the model."""

import inspect
from collections.abc import Sequence
from functools import cache

import torch
from torch import nn

from paper_code.models import heads, interactions
from paper_code.models.ctr_model import CTRModel
from paper_code.models.embedding import LinearTerms, MultiEmbedding
from paper_code.models.registry import MODELS, complete_options


def interaction_of(name: str) -> type[nn.Module]:
    """The class of the model's interaction."""
    return getattr(interactions, MODELS[name].interaction)


def head_of(name: str, dnn: str | None = None) -> type[nn.Module]:
    """The class of the model's head. dnn: None, or one of the model's choices; raises ValueError if it is none."""
    architecture = MODELS[name]
    if dnn is not None and dnn not in architecture.dnn:
        raise ValueError(f"dnn is {dnn!r}, expected one of {', '.join(architecture.dnn)}")
    return getattr(heads, architecture.dnn.get(dnn, architecture.head))


def number_of_parameters(
    name: str, cardinalities: Sequence[int], embedding_size: int, num_sets: int = 1, **options
) -> tuple[int, int]:
    """Parameters of the embeddings, and of all else, in a model as `build_model` gives it; no memory is taken."""
    with torch.device("meta"):
        model = build_model(name, cardinalities, embedding_size, num_sets, **options)
    of_embeddings = model.embedding.weight.numel()
    return of_embeddings, sum(parameter.numel() for parameter in model.parameters()) - of_embeddings


@cache
def keyword_options(part: type[nn.Module]) -> dict:
    """The keyword-only arguments of a class with their defaults."""
    parameters = inspect.signature(part).parameters.values()
    return {p.name: p.default for p in parameters if p.kind is p.KEYWORD_ONLY}


def build_model(
    name: str, cardinalities: Sequence[int], embedding_size: int, num_sets: int = 1, seed: int = 0, **options
) -> CTRModel:
    """A model of the paper, initialised from the seed; the global random state is left as it was.

    name: one of MODELS. cardinalities: D_i of every field. embedding_size: K. num_sets: M; 1 is single embedding.
    options: see `model_options`; the defaults are the paper's (Appendix C.2). shared_interaction: one interaction and
    one projection for all sets, instead of one per set (the ablation of the paper's later version). embedding_std: see
    `MultiEmbedding`. dnn: of FM and DCNv2, "alone", without an MLP, which leaves DCNv2's cross network; "parallel", the
    MLP beside it (of FM: DeepFM); "stacked", behind it (of FM: NFM).
    Raises ValueError for an unknown model or option, for sizes below 1, and for sizes that the model cannot have.

    Example: `build_model("dnn", [5, 300], embedding_size=10)(torch.tensor([[4, 299]]))` is one logit.
    """
    options = complete_options(name, options)
    sizes = {"cardinalities": cardinalities, "embedding_size": [embedding_size], "num_sets": [num_sets]}
    sizes |= {option: options[option] for option in ("hidden", "cin_layers") if option in options}
    for what, values in sizes.items():
        if not len(values) or min(values) < 1:
            raise ValueError(f"{what}={list(values)}: expected whole numbers of at least 1, and at least one of them")
    architecture = MODELS[name]
    if architecture.factorization_machine and num_sets > 1:
        raise ValueError(f"num_sets={num_sets}: {name} has no multi-embedding form (Appendix B); expected num_sets=1")
    if options.get("shared_interaction") and options.get("ensemble"):
        raise ValueError("the members of an ensemble share nothing; expected shared_interaction or ensemble, not both")
    of_head = head_of(name, options.get("dnn"))
    if options.get("ensemble") and "ensemble" not in keyword_options(of_head):
        raise ValueError(f"with dnn={options['dnn']!r} {name} has no ensemble; expected dnn='stacked'")
    own_sets = 1 if options.get("shared_interaction") else num_sets

    def options_of(part: type[nn.Module]) -> dict:
        return {option: options[option] for option in keyword_options(part)}

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        embedding = MultiEmbedding(cardinalities, embedding_size, num_sets, **options_of(MultiEmbedding))
        kind = interaction_of(name)
        interaction = kind(own_sets, len(cardinalities), embedding_size, **options_of(kind))
        features = interaction.out_features
        if getattr(of_head, "beside", False):
            features = len(cardinalities) * embedding_size, features
        head = of_head(own_sets, features, **options_of(of_head))
        linear_terms = LinearTerms(cardinalities) if architecture.factorization_machine else None
        return CTRModel(embedding, interaction, head, linear_terms)
