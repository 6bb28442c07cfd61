"""Which runs each figure needs."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path

from paper_code.data import SYNTHETIC_LOGS
from paper_code.runs.config import DATA_FOLDER, RunConfig
from paper_code.runs.profiles import (
    PROFILES,
    Profile,
    find,
    log_of_profile,
    num_fields,
    parse_seeds,
)
from paper_code.runs.variants import Variant, multi, run_config, single, varied

PAPER_MODELS = ("dnn", "ipnn", "nfwfm", "xdeepfm", "dcnv2", "finalmlp")


def up_to_4(scales: Sequence[int]) -> list[int]:
    return [scale for scale in scales if scale <= 4]


def ends(scales: Sequence[int]) -> list[int]:
    return [min(scales), max(scales)]


WEIGHT_DECAYS = (0.0, 1e-6, 1e-5, 1e-4, 1e-3)


def optimizers(scales: Sequence[int]) -> list[Variant]:
    """DCNv2 with single and multi embedding, and FFM, without weight decay of the embeddings, with it coupled, and
    decoupled.

    FFM, the costliest, has decoupled decay at its largest only, as all do where there are few sizes.
    """
    largest = max(up_to_4(scales))
    decays = WEIGHT_DECAYS[1:] if max(scales) > 2 else WEIGHT_DECAYS[-1:]
    coupled = [{"decay": decay} for decay in (0.0, *decays)]
    decoupled = [{"decay": decay, "training": {"decoupled": True}} for decay in decays]
    return [
        run
        for how in coupled + decoupled
        for run in (
            *single(["dcnv2"], [largest], **how),
            *multi(["dcnv2"], [largest], **how),
            *([Variant("ffm", **how)] if how in [*coupled, decoupled[-1]] else []),
        )
    ]


# the map of where multi embedding helps: noise of the label, share of the profile's rows, base size K and number of
# interaction patterns P, each low and high
MAP_LEVELS = {"noise": (0.0, 2.0), "rows": (0.25, 1.0), "base": (5, 10), "patterns": (1, 9)}


def map_points(scales: Sequence[int]) -> list[dict]:
    """All combinations of the levels; where there are few sizes, all low and all high."""
    levels = MAP_LEVELS.values()
    chosen = product(*levels) if max(scales) > 2 else zip(*levels, strict=True)
    return [dict(zip(MAP_LEVELS, values, strict=True)) for values in chosen]


def map_runs(scales: Sequence[int]) -> list[Variant]:
    """DCNv2 with single and multi embedding of the same size at every point of the map."""
    size = [max(up_to_4(scales))]
    found = []
    for point in map_points(scales):
        data = {"noise": point["noise"], "patterns": point["patterns"]}
        where = {"base": point["base"], "rows": point["rows"], "data": data}
        found += single(["dcnv2"], size, **where) + multi(["dcnv2"], size, **where)
    return found


def released(scales: Sequence[int]) -> list[Variant]:
    """What the paper leaves open or describes otherwise than the authors' code does it, one at a time, beside the
    book's choice, for DNN with single and multi embedding; and IPNN's two forms with several sets."""
    size = [max(up_to_4(scales))]
    choices = [
        {},
        {"options": {"embedding_std": 1.0}},
        {"options": {"embedding_std": 1e-4}},
        {"other_order": True},
        {"data": {"vocabulary": "train"}},
        {"data": {"vocabulary": "all"}},
    ]
    found = [run for choice in choices for run in single(["dnn"], size, **choice) + multi(["dnn"], size, **choice)]
    forms = multi(["ipnn"], size) + multi(["ipnn"], size, options={"released_form": True})
    return found + single(["ipnn"], size) + forms


def alternatives(scales: Sequence[int]) -> list[Variant]:
    """Multi embedding beside what costs the same: a wider single one, as many base models in an ensemble, and sets with
    one shared interaction."""
    models, size = ["dnn", "dcnv2"], [max(up_to_4(scales))]
    return (
        single(models, scales)
        + multi(models, size)
        + multi(models, size, options={"ensemble": True})
        + multi(models, size, options={"shared_interaction": True})
    )


def newer(scales: Sequence[int]) -> list[Variant]:
    """Interactions that came after the paper, beside DCNv2; up to 4x, for at 10x they take twice as long as DCNv2 and
    more, and RankMixer, the costliest, not at 3x."""
    sizes = up_to_4(scales)
    of_mixer = [scale for scale in sizes if scale != 3]
    models = ["gdcn", "dcnv2"]
    return (
        single(models, sizes) + multi(models, sizes) + single(["rankmixer"], of_mixer) + multi(["rankmixer"], of_mixer)
    )


def mixed_precision(scales: Sequence[int]) -> list[Variant]:
    """DNN and DCNv2 with matrices multiplied in float32 and in bfloat16."""
    models, size = ["dnn", "dcnv2"], [max(up_to_4(scales))]
    return [
        run
        for training in ({}, {"mixed_precision": True})
        for run in single(models, size, training=training) + multi(models, size, training=training)
    ]


def controls(scales: Sequence[int]) -> list[Variant]:
    """What multi embedding has besides several sets, given to single embedding of the same size: as many units in the
    first hidden layer; as few parameters in the cross layers (Appendix B)."""
    size = max(up_to_4(scales))
    wider = single(["dnn", "dcnv2"], [size], width=(size,), seeds=5)
    return wider + single(["dcnv2"], [size], options={"groups": size}, seeds=5)


def permuted(scales: Sequence[int]) -> list[Variant]:
    """DCNv2 trained on labels that have nothing to do with the ids, for at least as many epochs as on true ones; and
    with other weight decays of the embeddings on both."""
    labels, long = {"permuted": True}, {"max_epochs": 20, "patience": 20}
    size = [max(up_to_4(scales))]
    decays = [
        run
        for decay in (0.25, 4)
        for run in (
            *single(["dcnv2"], size, data=labels, training=long, embedding_decay=decay, seeds=3),
            *single(["dcnv2"], size, embedding_decay=decay, seeds=3),
        )
    ]
    seeds = [5 if scale <= 4 else 3 for scale in scales]
    of_labels = [
        run
        for scale, most in zip(scales, seeds, strict=True)
        for run in single(["dcnv2"], [scale], data=labels, training=long, seeds=most)
    ]
    return single(["dcnv2"], scales) + of_labels + decays


def noise(scales: Sequence[int]) -> list[Variant]:
    """The same run with other dropout, five times."""
    sizes = up_to_4(scales)
    return [
        run
        for dropout_seed in range(1, 6)
        for training in [{"dropout_seed": dropout_seed}]
        for run in (
            *single(["dnn", "dcnv2"], sizes, training=training, seeds=1),
            *multi(["dnn", "dcnv2"], sizes, training=training, seeds=1),
        )
    ]


def at_base_rate(scales: Sequence[int]) -> list[Variant]:
    """Single and multi embedding at the learning rate of the base size."""
    size = [max(up_to_4(scales))]
    return single(PAPER_MODELS, size, base_rate=True, seeds=3) + multi(PAPER_MODELS, size, base_rate=True, seeds=3)


# experiment -> scales -> the runs of a seed
EXPERIMENTS: dict[str, Callable[[Sequence[int]], list[Variant]]] = {
    # Figures 1b and 2
    "collapse": lambda scales: single(["dcnv2"], [max(scales)]),
    # Figure 8, for two of its models
    "scalability": lambda scales: single(["dnn", "dcnv2"], scales) + multi(["dnn", "dcnv2"], scales),
    # Tables 1, 3 and 4, Figures 1a, 8, 10 and 11
    "tables": lambda scales: single(PAPER_MODELS, scales) + multi(PAPER_MODELS, scales),
    # the sizes in between, of Tables 3 and 4
    "sizes": lambda scales: single(PAPER_MODELS, (2, 3), seeds=5) + multi(PAPER_MODELS, (2, 3), seeds=5),
    # checks and controls of the regime
    "noise": noise,
    "base_rate": at_base_rate,
    "permuted": permuted,
    "controls": controls,
    # a generator that needs larger embeddings
    "latent": lambda scales: single(["dnn", "dcnv2"], scales, data={"latent_size": 24}, seeds=3),
    # Figure 3, left and right
    "evidence_i": lambda scales: [Variant("ffm")],
    "evidence_ii": lambda scales: single(["dcnv2"], scales),
    # Figure 5
    "evidence_iii": lambda scales: single(["dcnv2"], scales) + single(["dcnv2"], scales, regularizer="unitary"),
    # Figure 6
    "evidence_iv": lambda scales: single(["dnn", "dcnv2"], scales),
    # Finding 2, at the largest size
    "finding_2": lambda scales: (
        single(["dnn", "dcnv2"], ends(scales)) + single(["dcnv2"], ends(scales), regularizer="unitary")
    ),
    # Figure 9
    "patterns": lambda scales: (
        single(["dcnv2"], scales)
        + multi(["dcnv2"], scales)
        + multi(["dcnv2"], scales, regularizer="norm_divergence")
        + multi(["dcnv2"], scales, options={"ensemble": True}, seeds=5)
    ),
    # the further ablations of the paper's later version and of the authors' code, whose form of Evidence III it has too
    "ablations": lambda scales: (
        single(["dcnv2"], ends(up_to_4(scales)))
        + multi(["dcnv2"], scales)
        + multi(["dcnv2"], scales, options={"shared_interaction": True})
        + multi(["dcnv2"], ends(up_to_4(scales)), regularizer="subspace_similarity")
        + single(["dcnv2"], ends(up_to_4(scales)), regularizer="singular_value_spread")
        + single(["dcnv2"], ends(up_to_4(scales)), regularizer="unitary", options={"block_scales": True})
    ),
    # the spectra and Evidence I and II on few rows, such as the real ones that this companion's records come from
    "few_rows": lambda scales: [Variant("ffm"), *single(["dcnv2"], up_to_4(scales))],
    # how much of collapse, law and gain is owed to weight decay
    "optimizer": optimizers,
    # how much of what the authors' code does otherwise matters
    "released": released,
    # where multi embedding helps, and where embeddings collapse
    "map": map_runs,
    # what else the same parameters and time could buy
    "alternatives": alternatives,
    # interactions that came after the paper, beside DCNv2
    "newer": newer,
    # what multiplying matrices in bfloat16 does to the scores
    "mixed_precision": mixed_precision,
}
# experiments of so many runs on a log that they are made with the first seeds of the profile only
SEEDS_OF = {
    **{("map", "criteo_like"): 3, ("map", "avazu_like"): 3, ("optimizer", "avazu_like"): 3},
    **{("tables", "frappe"): 5, ("scalability", "frappe_random"): 5, ("scalability", "movielens_without_ids"): 5},
}
LARGEST_OF = dict.fromkeys(
    ("criteo_like", "avazu_like", "movielens", "movielens_without_ids", "frappe", "frappe_random", "criteo_80k"), 4
)
"""The largest size that the regime has of a log: a seed at 10x costs twice what base and 4x do together."""
# what the regime adds to the chapters of the first
REGIME = ("sizes", "noise", "base_rate", "permuted", "controls", "latent")
# what the book shows of each log, and the sweep trains without an experiment's name: what the paper has of Criteo and
# of Avazu
BOOK = {
    "criteo_like": tuple(name for name in EXPERIMENTS if name not in ("few_rows", *REGIME)),
    "avazu_like": (
        *("collapse", "tables", "evidence_i", "evidence_ii"),
        *("optimizer", "map", "alternatives"),
    ),
    "criteo_80k": ("few_rows", "evidence_iv"),
}
PLAN = {
    "criteo_80k": ("few_rows", "evidence_iv", "evidence_iii"),
    "movielens": ("tables", "evidence_iii", "patterns", "base_rate", "permuted", "controls"),
    "criteo_like": (
        *("tables", "collapse", "scalability", "evidence_i", "evidence_ii", "evidence_iii", "evidence_iv", "finding_2"),
        *("patterns", "latent", "base_rate", "permuted", "controls", "ablations", "optimizer", "alternatives"),
        *("released", "map", "newer", "mixed_precision", "noise", "sizes"),
    ),
    "frappe": ("tables",),
    "avazu_like": (*BOOK["avazu_like"], "base_rate"),
    "movielens_without_ids": ("scalability",),
    "frappe_random": ("scalability",),
}
"""What the regime is to have of each log, in this order."""
# experiments and logs that the book still shows by records of the first regime
OF_FIRST_REGIME = {(experiment, dataset) for dataset in SYNTHETIC_LOGS for experiment in BOOK[dataset]}
# what the paper does not ask
SCRUTINY = ("optimizer", "released", "map", "alternatives", "newer")
# these need a log's generator
OF_GENERATORS = ("released", "map", "latent")


def book_experiments(dataset: str) -> tuple[str, ...]:
    """What the book shows of the log, or would of a prepared one that it does not know."""
    return BOOK.get(dataset, tuple(name for name in BOOK["criteo_like"] if name not in OF_GENERATORS))


def sizes_of(profile: Profile, dataset: str) -> tuple[int, ...]:
    """The profile's sizes of the models on the log, as multiples of the base."""
    most = LARGEST_OF.get(dataset) if profile.by_regime else None
    return tuple(scale for scale in profile.scales if scale <= (most or scale))


def run_configs(
    experiment: str,
    dataset: str,
    profile: str = "laptop",
    seeds: Sequence[int] | str | None = None,
    data_folder: Path = DATA_FOLDER,
) -> list[RunConfig]:
    """The runs of an experiment, ordered by seed.

    Raises ValueError for an experiment, profile or seeds that do not exist, and for an experiment that varies the
    generator if the data set has none; FileNotFoundError for a data set that does not exist.
    """
    variants = find("experiment", experiment, EXPERIMENTS)
    settings = find("profile", profile, PROFILES)
    chosen = parse_seeds(seeds, settings)
    most = SEEDS_OF.get((experiment, dataset), len(chosen))
    configs = []
    for number, seed in enumerate(chosen):
        data = log_of_profile(settings, dataset, seed, data_folder)
        fields = num_fields(data, data_folder)
        for variant in variants(sizes_of(settings, dataset)):
            if seeds is None and number >= (variant.seeds or most):
                continue
            config = run_config(settings, varied(data, variant, experiment), fields, variant, seed)
            plain = Variant(variant.model, variant.scale, variant.num_sets)
            is_plain = config == run_config(settings, data, fields, plain, seed)
            checked = is_plain and number < settings.checked_seeds and variant.model != "dnn"
            configs.append(replace(config, interaction_cost=checked))
    return configs


def logs_beside(dataset: str) -> tuple[str, ...]:
    """The logs that the book shows beside each other: both synthetic ones, or the given one alone."""
    return tuple(SYNTHETIC_LOGS) if dataset in SYNTHETIC_LOGS else (dataset,)
