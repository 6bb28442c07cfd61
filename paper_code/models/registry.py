"""The models by name, and their options with the paper's values. Nothing here needs PyTorch."""

from types import MappingProxyType
from typing import NamedTuple

MLP = {"hidden": (400, 400), "dropout": 0.2}
HEADS = MappingProxyType(
    {
        "MeanHead": MLP | {"ensemble": False},
        "ParallelHead": MLP,
        "BilinearFusionHead": {},
        "LinearHead": {},
        "SumHead": {},
    }
)
"""The heads of `paper_code.models.heads` with their options."""
CROSS = {"cross_layers": 4, "block_scales": False, "groups": None}


class Architecture(NamedTuple):
    """A model.

    label: its name in the paper. interaction, head: classes of `paper_code.models.interactions` and `heads`.
    dnn: the heads that the option dnn chooses from, see `DNN`; the model has that option if there are any.
    options: of the interaction, its keyword-only arguments, with the paper's values. base_size: the paper's smallest
    embedding size; FFM's, which the paper does not name, is the authors' code's, of a sub-embedding.
    factorization_machine: every value has a linear term besides its embedding; and since the interaction is linear in
    a set's embeddings of any one field, several sets would be a larger single one (Appendix B), so it has but one.
    """

    label: str
    interaction: str
    head: str = "MeanHead"
    options: dict = MappingProxyType({})
    base_size: int = 10
    factorization_machine: bool = False
    dnn: MappingProxyType = MappingProxyType({})


DNN = ("alone", "parallel", "stacked")
"""Where the MLP stands (Wang et al., 2026): nowhere, beside the interaction, behind it."""


def by_dnn(*heads: str) -> MappingProxyType:
    return MappingProxyType(dict(zip(DNN, heads, strict=True)))


MODELS = {
    "dnn": Architecture("DNN", "Concatenation"),
    "ipnn": Architecture("IPNN", "InnerProducts", options={"released_form": False}),
    "nfwfm": Architecture("NFwFM", "FieldWeightedProducts", options={"dropout": 0.2}, base_size=50),
    "xdeepfm": Architecture("xDeepFM", "CompressedInteraction", "ParallelHead", {"cin_layers": (16, 16)}),
    "dcnv2": Architecture(
        "DCNv2",
        "CrossNetwork",
        options=CROSS,
        dnn=by_dnn("LinearHead", "ParallelHead", "MeanHead"),
    ),
    "finalmlp": Architecture("FinalMLP", "TwoStreams", "BilinearFusionHead", MLP),
    "ffm": Architecture("FFM", "FieldAwareProducts", "SumHead", base_size=8, factorization_machine=True),
    "fm": Architecture(
        "FM",
        "PairwiseProducts",
        "SumHead",
        factorization_machine=True,
        dnn=by_dnn("SumHead", "ParallelHead", "MeanHead"),
    ),
    "gdcn": Architecture("GDCN", "GatedCrossNetwork", options=CROSS),
    "rankmixer": Architecture("RankMixer", "TokenMixer", options={"blocks": 2, "expansion": 2}),
}
MODEL_LABELS = {name: architecture.label for name, architecture in MODELS.items()}


def base_embedding_size(name: str, num_fields: int) -> int:
    """K of the model at the paper's base size; of FFM with a sub-embedding for each of the other fields."""
    return MODELS[name].base_size * (num_fields - 1 if name == "ffm" else 1)


def sub_embedding_size(name: str, num_fields: int, embedding_size: int) -> int:
    """Columns of E_i^{->j}, in a model that has them: FFM's K is one for each other field, RankMixer's is a head."""
    if name == "ffm":
        return embedding_size // (num_fields - 1)
    return max(1, embedding_size // 5) if name == "rankmixer" else embedding_size


def model_options(name: str) -> dict:
    """The options of a model with the paper's values: those of its heads and its interaction, embedding_std,
    shared_interaction if it can have several sets, and dnn, one of `DNN`, if there is a choice (None: as published).

    Raises ValueError, which names those that exist, for a model that does not.
    """
    if name not in MODELS:
        raise ValueError(f"model {name!r} does not exist; the models are {', '.join(MODELS)}")
    architecture = MODELS[name]
    shared = {} if architecture.factorization_machine else {"shared_interaction": False}
    choice = {"dnn": None} if architecture.dnn else {}
    of_heads = {option: value for head in architecture.dnn.values() for option, value in HEADS[head].items()}
    return HEADS[architecture.head] | of_heads | architecture.options | {"embedding_std": None} | shared | choice


def complete_options(name: str, options: dict) -> dict:
    """The options with the paper's values for those not given.

    Raises ValueError, which names those that exist, for a model or an option that does not.
    """
    known = model_options(name)
    if unknown := sorted(options.keys() - known.keys()):
        raise ValueError(f"{name} has no option {', '.join(unknown)}; its options are {', '.join(known) or 'none'}")
    return known | options
