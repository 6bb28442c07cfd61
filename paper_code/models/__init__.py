"""The models of the paper by name: `build_model("dcnv2", cardinalities, embedding_size=10, num_sets=4, seed=0)`."""

import inspect
from collections.abc import Sequence
from functools import cache
from types import MappingProxyType
from typing import NamedTuple

import torch
from torch import nn

from paper_code.models.check import check_model as check_model
from paper_code.models.ctr_model import CTRModel
from paper_code.models.embedding import LinearTerms, MultiEmbedding
from paper_code.models.heads import BilinearFusionHead, CompressedHead, MeanHead, SumHead
from paper_code.models.interactions import (
    CompressedInteraction,
    Concatenation,
    CrossNetwork,
    FieldAwareProducts,
    FieldWeightedProducts,
    GatedCrossNetwork,
    InnerProducts,
    PairwiseProducts,
    TokenMixer,
    TwoStreams,
)


class Architecture(NamedTuple):
    """A model. The keyword-only arguments of its interaction and its head are its options.

    label: its name in the paper. base_size: the paper's smallest embedding size; FFM's, which the paper does not name,
    is the authors' code's, of a sub-embedding.
    factorization_machine: every value has a linear term besides its embedding; and since the interaction is linear in
    a set's embeddings of any one field, several sets would be a larger single one (Appendix B), so it has but one.
    """

    label: str
    interaction: type[nn.Module]
    head: type[nn.Module] = MeanHead
    base_size: int = 10
    factorization_machine: bool = False


MODELS = {
    "dnn": Architecture("DNN", Concatenation),
    "ipnn": Architecture("IPNN", InnerProducts),
    "nfwfm": Architecture("NFwFM", FieldWeightedProducts, base_size=50),
    "xdeepfm": Architecture("xDeepFM", CompressedInteraction, CompressedHead),
    "dcnv2": Architecture("DCNv2", CrossNetwork),
    "finalmlp": Architecture("FinalMLP", TwoStreams, BilinearFusionHead),
    "ffm": Architecture("FFM", FieldAwareProducts, SumHead, base_size=8, factorization_machine=True),
    "fm": Architecture("FM", PairwiseProducts, SumHead, factorization_machine=True),
    "gdcn": Architecture("GDCN", GatedCrossNetwork),
    "rankmixer": Architecture("RankMixer", TokenMixer),
}
MODEL_LABELS = {name: architecture.label for name, architecture in MODELS.items()}


def base_embedding_size(name: str, num_fields: int) -> int:
    """K of the model at the paper's base size; of FFM with a sub-embedding for each of the other fields."""
    return MODELS[name].base_size * (num_fields - 1 if name == "ffm" else 1)


@cache
def keyword_options(part: type[nn.Module]) -> MappingProxyType:
    """The keyword-only arguments of a class with their defaults."""
    parameters = inspect.signature(part).parameters.values()
    return MappingProxyType({p.name: p.default for p in parameters if p.kind is p.KEYWORD_ONLY})


def model_options(name: str) -> dict:
    """The options of a model with the paper's values: those of its head and its interaction, embedding_std, and
    shared_interaction if it can have several sets."""
    if name not in MODELS:
        raise ValueError(f"model {name!r} does not exist; the models are {', '.join(MODELS)}")
    architecture = MODELS[name]
    shared = {} if architecture.factorization_machine else {"shared_interaction": False}
    further = keyword_options(MultiEmbedding) | shared
    return keyword_options(architecture.head) | keyword_options(architecture.interaction) | further


def complete_options(name: str, options: dict) -> dict:
    """The options with the paper's values for those not given.

    Raises ValueError, which names those that exist, for a model or an option that does not.
    """
    known = model_options(name)
    if unknown := sorted(options.keys() - known.keys()):
        raise ValueError(f"{name} has no option {', '.join(unknown)}; its options are {', '.join(known) or 'none'}")
    return known | options


def build_model(
    name: str, cardinalities: Sequence[int], embedding_size: int, num_sets: int = 1, seed: int = 0, **options
) -> CTRModel:
    """A model of the paper, initialised from the seed; the global random state is left as it was.

    name: one of MODELS. cardinalities: D_i of every field. embedding_size: K. num_sets: M; 1 is single embedding.
    options: see `model_options`; the defaults are the paper's (Appendix C.2). shared_interaction: one interaction and
    one projection for all sets, instead of one per set (the ablation of the paper's later version). embedding_std: see
    `MultiEmbedding`.
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
    own_sets = 1 if options.get("shared_interaction") else num_sets

    def options_of(part: type[nn.Module]) -> dict:
        return {option: options[option] for option in keyword_options(part)}

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        embedding = MultiEmbedding(cardinalities, embedding_size, num_sets, **options_of(MultiEmbedding))
        interaction = architecture.interaction(
            own_sets, len(cardinalities), embedding_size, **options_of(architecture.interaction)
        )
        head = architecture.head(own_sets, interaction.out_features, **options_of(architecture.head))
        linear_terms = LinearTerms(cardinalities) if architecture.factorization_machine else None
        return CTRModel(embedding, interaction, head, linear_terms)
