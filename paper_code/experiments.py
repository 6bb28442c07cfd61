"""Which runs each figure needs, per profile, and the sweep that trains those that are missing."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from itertools import product, zip_longest
from pathlib import Path

from tqdm import tqdm

from paper_code.data import SYNTHETIC_LOGS
from paper_code.data.click_log import rows_of_share
from paper_code.models import base_embedding_size, model_options
from paper_code.regime import (
    AVERAGING,
    DECAY_TIMES_ROWS,
    HEADLINE_SEEDS,
    LOOKS_PER_EPOCH,
    MEASURED_EPOCH,
    PATIENCE,
    REGIMES,
    WEIGHT_DECAY,
    LogRegime,
    default_regime,
)
from paper_code.regularizers import RegularizerConfig
from paper_code.runs import (
    DATA_FOLDER,
    FIRST_CRITEO_80K,
    PROJECT_FOLDER,
    RECORDED_LOGS,
    DataConfig,
    RunConfig,
    RunRecord,
    RunStore,
    check_text,
    data_config,
    load_data,
)
from paper_code.sweeps import Processes, Reservations, connected, outcomes, places
from paper_code.toy import ToyResult, run_toy
from paper_code.training import TrainingConfig, find_device

PRIOR_PRECISION = 46
"""Rows times weight decay, of all parameters alike, in the records of the first regime."""
RESULTS_FOLDER = "figures/data/runs"
"""The records that come with the project."""
NEW_RESULTS = DATA_FOLDER / "runs"
"""Where those go that are made on top of them."""


@dataclass(frozen=True)
class Profile:
    """A size at which the whole book can be made.

    rows, test_rows: of the synthetic logs. scales: model sizes as multiples of the base. options: of the models; those
    a model does not have are ignored.
    by_regime: batch size, learning rates, hidden width and weight decay are those of `paper_code.regime` for the log,
    in place of those here, and the run's seed decides the split of a real log too; else that is the paper's seed 0.
    checked_seeds: for so many of the seeds, the first, plain runs also measure what their interaction is worth.
    """

    rows: int
    test_rows: int
    scales: tuple[int, ...]
    seeds: tuple[int, ...]
    options: dict
    training: TrainingConfig
    by_regime: bool = False
    checked_seeds: int = 0


FIRST = "first"
"""The profile of the records of the first regime, which `paper_code.regime` replaces. They are only read."""
LAPTOP_OPTIONS = {"hidden": (64, 64), "cross_layers": 2, "expansion": 1}
REGIME_TRAINING = TrainingConfig(
    patience=PATIENCE,
    max_epochs=30,
    weight_decay=WEIGHT_DECAY,
    shuffle=True,
    looks_per_epoch=LOOKS_PER_EPOCH,
    averaging=AVERAGING,
    measured_epoch=MEASURED_EPOCH,
)
PROFILES = {
    "smoke": Profile(
        rows=30_000,
        test_rows=15_000,
        scales=(1, 4),
        seeds=(0, 1),
        options=LAPTOP_OPTIONS | {"blocks": 1},
        training=replace(
            REGIME_TRAINING, batch_size=256, learning_rate=2e-3, patience=1, max_epochs=1, measured_epoch=1
        ),
    ),
    "laptop": Profile(
        rows=200_000,
        test_rows=200_000,
        scales=(1, 4, 10),
        seeds=HEADLINE_SEEDS,
        options=LAPTOP_OPTIONS,
        training=REGIME_TRAINING,
        by_regime=True,
        checked_seeds=3,
    ),
    "paper": Profile(
        rows=400_000,
        test_rows=200_000,
        scales=(1, 2, 3, 4, 10),
        seeds=(0, 1, 2),
        options={},
        training=TrainingConfig(),
    ),
    FIRST: Profile(
        rows=200_000,
        test_rows=200_000,
        scales=(1, 2, 3, 4, 10),
        seeds=(0, 1, 2, 3, 4),
        options=LAPTOP_OPTIONS,
        training=TrainingConfig(batch_size=128, patience=2, max_epochs=20),
    ),
}


@dataclass(frozen=True)
class Variant:
    """A run of an experiment, but for data, seed and protocol.

    scale: embedding size as a multiple of the base size. options: of the model, beside the profile's.
    regularizer: its name, at the weight of the authors' code. training: what differs from the profile's protocol.
    weight: of the regularizer; None: that of the authors' code, or the regime's.
    base: embedding size of scale 1; None: the model's in the paper. rows: as a share of the profile's. data: what the
    generator of a synthetic log does otherwise, see `paper_code.data.synthetic.generate`, or permuted labels.
    seeds: as many of the profile's, the first; None: all of them.
    decay: the embeddings' weight decay, or that of all where it is one; None: the profile's. embedding_decay: a
    multiple of the profile's. width: of the first hidden layers, as
    multiples of the profile's. rate: the learning rate, likewise; base_rate: that of the base size, whatever the size.
    other_order: rows are shuffled in every epoch if the profile does not, and not if it does.
    """

    model: str
    scale: int = 1
    num_sets: int = 1
    options: dict = field(default_factory=dict)
    regularizer: str | None = None
    weight: float | None = None
    training: dict = field(default_factory=dict)
    base: int | None = None
    rows: float = 1
    data: dict = field(default_factory=dict)
    seeds: int | None = None
    decay: float | None = None
    embedding_decay: float = 1
    width: tuple[float, ...] = ()
    rate: float = 1
    base_rate: bool = False
    other_order: bool = False


PAPER_MODELS = ("dnn", "ipnn", "nfwfm", "xdeepfm", "dcnv2", "finalmlp")


def single(models: Sequence[str], scales: Sequence[int], **further) -> list[Variant]:
    """Single embedding at every scale."""
    return [Variant(model, scale, **further) for model in models for scale in scales]


def multi(models: Sequence[str], scales: Sequence[int], **further) -> list[Variant]:
    """Multi embedding at every scale above the base, where it is single embedding."""
    return [Variant(model, 1, scale, **further) for model in models for scale in scales if scale > 1]


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
    decays = WEIGHT_DECAYS[1:] if len(scales) > 2 else WEIGHT_DECAYS[-1:]
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
    chosen = product(*levels) if len(scales) > 2 else zip(*levels, strict=True)
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


def trained_out(scales: Sequence[int]) -> list[Variant]:
    """Half and double the learning rate at the base and, with one seed, at the largest sizes; and double width at the
    base."""
    largest = [max(scales)]
    return [
        run
        for rate in (0.5, 2)
        for run in (
            *single(PAPER_MODELS, [1], rate=rate, seeds=3),
            *single(PAPER_MODELS, largest, rate=rate, seeds=1),
            *multi(PAPER_MODELS, largest, rate=rate, seeds=1),
        )
    ] + single(PAPER_MODELS, [1], width=(2, 2), seeds=3)


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
    "trained_out": trained_out,
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
SEEDS_OF = {("map", "criteo_like"): 3, ("map", "avazu_like"): 3, ("optimizer", "avazu_like"): 3}

# what the regime adds to the chapters of the first
REGIME = ("sizes", "trained_out", "noise", "base_rate", "permuted", "controls", "latent")
# what the book shows of each log, and the sweep trains without an experiment's name: what the paper has of Criteo and
# of Avazu
BOOK = {
    "criteo_like": tuple(name for name in EXPERIMENTS if name not in ("few_rows", *REGIME)),
    "avazu_like": (
        *("collapse", "tables", "evidence_i", "evidence_ii"),
        *("optimizer", "map", "alternatives"),
    ),
    "criteo_80k": ("few_rows",),
}
PLAN = {
    "movielens": ("tables", "trained_out", "base_rate", "noise", "permuted", "controls", "evidence_iii", "patterns"),
    "criteo_like": (*BOOK["criteo_like"], *REGIME),
    "criteo_80k": ("few_rows", "evidence_iii", "evidence_iv"),
    "avazu_like": (*BOOK["avazu_like"], "trained_out", "base_rate"),
    "movielens_without_ids": ("scalability",),
    "frappe": ("tables",),
    "frappe_random": ("scalability",),
}
"""What the regime is to have of each log."""
# experiments and logs that the book still shows by records of the first regime
OF_FIRST_REGIME = {(experiment, dataset) for dataset, experiments in BOOK.items() for experiment in experiments}
# of Part IV, beside the paper
SCRUTINY = ("optimizer", "released", "map", "alternatives", "newer")
# these need a log's generator
OF_GENERATORS = ("released", "map", "latent")


def book_experiments(dataset: str) -> tuple[str, ...]:
    """What the book shows of the log, or would of a prepared one that it does not know."""
    return BOOK.get(dataset, tuple(name for name in BOOK["criteo_like"] if name not in OF_GENERATORS))


def find(what: str, name: str, among: dict):
    """The value of that name. Raises ValueError, which names those that exist, if there is none."""
    if name not in among:
        raise ValueError(f"{what} {name!r} does not exist; expected one of {', '.join(among)}")
    return among[name]


def parse_seeds(seeds: Sequence[int] | int | str | None, profile: Profile) -> list[int]:
    """Seeds as a list: from a list, a number or text as papermill's -p passes it, "0,1,2"; None: the profile's.

    Raises ValueError for anything else, and for no seed, a seed twice or a negative one.
    """
    if seeds is None:
        return list(profile.seeds)
    if isinstance(seeds, str):
        seeds = [part.strip() for part in seeds.strip("[]() ").split(",")]
    try:
        parsed = [int(str(seed)) for seed in ([seeds] if isinstance(seeds, int) else seeds)]
    except (TypeError, ValueError):
        raise ValueError(f"seeds={seeds!r}: expected whole numbers such as [0, 1, 2] or '0,1,2'") from None
    if not parsed or len(set(parsed)) < len(parsed) or min(parsed) < 0:
        raise ValueError(f"seeds={parsed}: expected at least one, none twice and none negative")
    return parsed


def seeds_of(profile: str, seeds: Sequence[int] | str | None = None) -> list[int]:
    """The seeds given, or the profile's. Raises ValueError as `parse_seeds` does, and for an unknown profile."""
    return parse_seeds(seeds, find("profile", profile, PROFILES))


def toy_seeds(profile: str, seeds: Sequence[int] | str | None = None) -> list[int]:
    """Those given, or the profile's first five, for what needs no log."""
    return seeds_of(profile, seeds)[: None if seeds else 5]


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
        for variant in variants(settings.scales):
            if seeds is None and number >= (variant.seeds or most):
                continue
            config = run_config(settings, varied(data, variant, experiment), fields, variant, seed)
            plain = Variant(variant.model, variant.scale, variant.num_sets)
            is_plain = config == run_config(settings, data, fields, plain, seed)
            checked = is_plain and number < settings.checked_seeds and variant.model != "dnn"
            configs.append(replace(config, interaction_cost=checked))
    return configs


def log_of_profile(profile: Profile, dataset: str, seed: int, data_folder: Path = DATA_FOLDER) -> DataConfig:
    """The log of that name as a run of this seed has it."""
    data = data_config(dataset, seed, profile.rows, profile.test_rows, data_folder)
    if profile is PROFILES[FIRST]:
        return FIRST_CRITEO_80K if dataset == FIRST_CRITEO_80K.name else replace(data, seed=seed, generator=None)
    return data if profile.by_regime or dataset in SYNTHETIC_LOGS else replace(data, seed=0)


def run_config(profile: Profile, data: DataConfig, fields: int, variant: Variant, seed: int) -> RunConfig:
    """The run of a variant on a log of so many fields."""
    model = variant.model
    size = variant.scale * (variant.base or base_embedding_size(model, fields))
    sizes = (1, 1) if variant.base_rate else (variant.scale, variant.num_sets)
    options, training = setting(profile, data, fields, model, *sizes)
    if "hidden" in options:
        options["hidden"] = tuple(round(w * of) for w, of in zip_longest(options["hidden"], variant.width, fillvalue=1))
    regularizer = None
    if variant.regularizer:
        weight = variant.weight
        if weight is None and variant.regularizer == "unitary" and profile.by_regime:
            weight = regime_of(data.name, fields).unitary.get(variant.scale)
        regularizer = RegularizerConfig(variant.regularizer, weight)
    decay = "weight_decay" if training.embedding_weight_decay is None else "embedding_weight_decay"
    changes = {
        "learning_rate": training.learning_rate * variant.rate,
        decay: getattr(training, decay) * variant.embedding_decay if variant.decay is None else variant.decay,
        "shuffle": training.shuffle != variant.other_order,
    }
    training = replace(training, **changes | variant.training)
    return RunConfig(
        data,
        model,
        size,
        variant.num_sets,
        seed,
        options | variant.options,
        training,
        regularizer,
    )


def regime_of(dataset: str, fields: int) -> LogRegime:
    return REGIMES.get(dataset) or default_regime(fields)


def setting(
    profile: Profile, data: DataConfig, fields: int, model: str, scale: int = 1, num_sets: int = 1
) -> tuple[dict, TrainingConfig]:
    """The profile's options and protocol for the model on a log of so many fields. scale: of the embedding size."""
    options = options_for(profile, model)
    if profile is PROFILES[FIRST]:
        return options, replace(profile.training, weight_decay=PRIOR_PRECISION / data.rows)
    if not profile.by_regime:
        if profile.training.averaging:
            decay = DECAY_TIMES_ROWS / training_rows(data)
            return options, replace(profile.training, embedding_weight_decay=decay)
        return options, profile.training
    regime = regime_of(data.name, fields)
    if "hidden" in options:
        options["hidden"] = (regime.hidden, regime.hidden)
    return options, replace(
        profile.training,
        batch_size=regime.batch_size,
        learning_rate=regime.learning_rate(model, scale, num_sets),
        embedding_weight_decay=DECAY_TIMES_ROWS / training_rows(data),
    )


def training_rows(data: DataConfig) -> int:
    """See `paper_code.data.click_log.split_rows`."""
    return rows_of_share(data.rows, 8, 9 if data.test_rows else 10)


def varied(data: DataConfig, variant: Variant, experiment: str) -> DataConfig:
    """The log with the variant's rows and generator."""
    if variant.data == {"permuted": True}:
        return replace(data, permuted=True)
    if variant.rows == 1 and not variant.data:
        return data
    if data.name not in SYNTHETIC_LOGS:
        logs = ", ".join(SYNTHETIC_LOGS)
        raise ValueError(
            f"experiment {experiment!r} varies the generator of a log, expected one of {logs}: {data.name}"
        )
    return replace(data, rows=round(data.rows * variant.rows), **variant.data)


def logs_beside(dataset: str) -> tuple[str, ...]:
    """The logs that the book shows beside each other: both synthetic ones, or the given one alone."""
    return tuple(SYNTHETIC_LOGS) if dataset in SYNTHETIC_LOGS else (dataset,)


@lru_cache
def num_fields(data: DataConfig, data_folder: Path) -> int:
    """How many fields the log has."""
    recorded = {log.name: fields for log, fields in RECORDED_LOGS.items()}
    if data.name in recorded and not (data_folder / data.name).exists():
        return recorded[data.name]
    if data.name in SYNTHETIC_LOGS:
        data = DataConfig(data.name, 0, rows=100, test_rows=0)  # the fields are the same
    return len(load_data.__wrapped__(data, data_folder).fields)


def options_for(profile: Profile, model: str) -> dict:
    """Those of the profile's options that the model has."""
    return {name: value for name, value in profile.options.items() if name in model_options(model)}


def sweep(
    configs: Iterable[RunConfig],
    store: RunStore,
    *,
    device: str = "auto",
    jobs: int | None = None,
    data_folder: Path = DATA_FOLDER,
    cluster: str | None = None,
) -> int:
    """Train the runs that the store lacks, in parallel processes of one thread each, and store each as it ends.

    jobs: how many at once; None: one per core, or one per GPU, see `paper_code.sweeps.places`; one alone is trained in
    this process. cluster: address of a Dask scheduler, whose workers then train the runs, one at a time each, see
    `paper_code.sweeps.Cluster`; this process alone reads and writes the store. A progress bar shows if there is
    anything to train.
    A run that another sweep on the same store is training is left to it, and waited for at the end; if it leaves no
    record, the run is trained here.
    Returns how many were trained here. Raises RuntimeError at the end if runs failed; the others are stored. Raises
    OSError, which names the file, if a record cannot be written: the runs that go on then are given up.
    """
    if jobs is not None and jobs < 1:
        raise ValueError(f"jobs is {jobs}, expected at least 1")
    if jobs is not None and cluster is not None:
        raise ValueError(f"jobs is {jobs}, expected none with a cluster: there every worker has one run at a time")
    if cluster is None:
        find_device(device)  # also where nothing is missing
    missing = missing_runs(configs, store)
    if not missing:
        return 0
    number, trained, failures = len(missing), 0, []
    place = connected(cluster, device) if cluster else Processes(places(device, jobs)[:number], data_folder)
    with tqdm(total=number, unit="run", smoothing=0) as bar, Reservations(store) as reservations, place as pool:
        for runs in reservations.rounds(missing):
            for config, outcome in outcomes(runs, pool):
                if isinstance(outcome, RunRecord):
                    store.put(config, outcome)
                    trained += 1
                else:
                    failures.append(f"{describe(config)}: {outcome}")
                reservations.release(config)
                bar.set_postfix_str(describe(config))
                bar.update()
        bar.update(number - bar.n)  # those of other sweeps
    if failures:
        raise RuntimeError(f"{len(failures)} of {number} runs failed:\n" + "\n".join(failures))
    return trained


def missing_runs(configs: Iterable[RunConfig], store: RunStore) -> list[RunConfig]:
    """Those of the runs that the store lacks, each once."""
    return [config for config in {c.hash: c for c in configs}.values() if store.get(config) is None]


def describe(config: RunConfig) -> str:
    """The run in a few words."""
    parts = [config.data.name, config.model, f"K={config.embedding_size}"]
    if config.num_sets > 1:
        parts.append(f"x {config.num_sets} sets")
    further = config.data.variation
    if config.data.noise is not None:
        parts.append(f"{config.data.rows:,} rows")
    if config.options["embedding_std"] is not None:
        further["embedding std"] = config.options["embedding_std"]
    parts += [f"{name} {value}" for name, value in further.items()]
    parts += [option for option, value in config.options.items() if value is True]
    if config.options.get("groups"):
        parts.append(f"{config.options['groups']} groups")
    training, widths = config.training, config.options.get("hidden", ())
    parts += ["permuted labels"] * config.data.permuted + ["bfloat16"] * training.mixed_precision
    if config.regularizer:
        parts.append(f"{config.regularizer.weight:g} {config.regularizer.name}")
    usual = WEIGHT_DECAY if training.batch_size == TrainingConfig().batch_size else PRIOR_PRECISION / config.data.rows
    if training.averaging:
        parts += [f"hidden {' '.join(map(str, dict.fromkeys(widths)))}"] if widths else []
        parts.append(f"batch {training.batch_size} rate {training.learning_rate:g}")
        decay = (training.embedding_weight_decay or 0) / (DECAY_TIMES_ROWS / training_rows(config.data))
        parts += [f"embedding decay x {decay:g}"] if round(decay, 3) != 1 else []
        parts += [] if training.dropout_seed is None else [f"dropout seed {training.dropout_seed}"]
        usual = WEIGHT_DECAY
    if training.shuffle != bool(training.averaging):
        parts.append("shuffled" if training.shuffle else "in one order")
    if training.weight_decay != usual or training.decoupled:
        parts.append(f"weight decay {training.weight_decay:g}" + " decoupled" * training.decoupled)
    return " ".join([*parts, f"seed {config.seed}"])


def records_of(
    experiment: str,
    dataset: str,
    profile: str = "laptop",
    seeds: Sequence[int] | str | None = None,
    device: str = "auto",
    results_dir: str | Path = RESULTS_FOLDER,
) -> list[RunRecord]:
    """The records of an experiment, one per run; what the `run_store` of the folder lacks is trained first."""
    configs = shown_configs(experiment, dataset, profile, seeds, results_dir)
    store = run_store(results_dir)
    sweep(configs, store, device=device)
    return [store.get(config) for config in configs]


def shown_configs(
    experiment: str,
    dataset: str,
    profile: str = "laptop",
    seeds: Sequence[int] | str | None = None,
    results_dir: str | Path = RESULTS_FOLDER,
) -> list[RunConfig]:
    """The runs that the book shows: `run_configs`, but of the first regime where the records that come with the project
    are still of it."""
    still = profile == "laptop" and (experiment, dataset) in OF_FIRST_REGIME and is_published(results_dir)
    if not still or not {*parse_seeds(seeds, PROFILES[FIRST])} <= {*PROFILES[FIRST].seeds}:
        return run_configs(experiment, dataset, profile, seeds)
    store = run_store(results_dir)
    return [config for config in run_configs(experiment, dataset, FIRST, seeds) if store.find(config)]


def is_published(results_dir: str | Path) -> bool:
    """Whether it is the folder of the records that come with the project."""
    return project_path(results_dir).resolve() == project_path(RESULTS_FOLDER).resolve()


def run_store(results_dir: str | Path = RESULTS_FOLDER) -> RunStore:
    """The records in a folder. Those that come with the project are only read, and what is made on top of them is kept
    in `NEW_RESULTS`, so that nobody changes the project by using it."""
    folder = project_path(results_dir)
    return RunStore(NEW_RESULTS, published=folder) if is_published(results_dir) else RunStore(folder)


def stored_records(
    experiment: str,
    dataset: str,
    profile: str = "laptop",
    seeds: Sequence[int] | str | None = None,
    results_dir: str | Path = RESULTS_FOLDER,
) -> list[RunRecord]:
    """Those records of an experiment that the `run_store` of the folder holds; nothing is trained."""
    return records_there(shown_configs(experiment, dataset, profile, seeds, results_dir), results_dir)


def records_there(configs: Iterable[RunConfig], results_dir: str | Path) -> list[RunRecord]:
    """The records of those of the runs that the `run_store` of the folder holds."""
    store = run_store(results_dir)
    return [record for config in configs if (record := store.get(config)) is not None]


def book_records(
    profile: str = "laptop",
    seeds: Sequence[int] | str | None = None,
    results_dir: str | Path = RESULTS_FOLDER,
    experiments_of: Mapping[str, Sequence[str]] = BOOK,
) -> list[RunRecord]:
    """Every record of the book that `results_dir` holds, each once; nothing is trained.

    experiments_of: those of every data set.
    """
    configs = {
        config.hash: config
        for dataset, experiments in experiments_of.items()
        for experiment in experiments
        for config in shown_configs(experiment, dataset, profile, seeds, results_dir)
    }
    return records_there(configs.values(), results_dir)


def trials(results_dir: str | Path) -> list[RunRecord]:
    """The records of one epoch that `results_dir` holds, which tell what a run made on a GPU takes on a CPU."""
    records = run_store(results_dir).records()
    return [record for record in records if record.config["training"]["max_epochs"] == 1]


def scrutiny_records(
    profile: str = "laptop", seeds: Sequence[int] | str | None = None, results_dir: str | Path = RESULTS_FOLDER
) -> list[RunRecord]:
    """The records that the chapters of Part IV need and no other: what asking their questions costs."""
    parts = {
        log: ([e for e in names if e in SCRUTINY], [e for e in names if e not in SCRUTINY])
        for log, names in BOOK.items()
    }
    asked, others = (
        book_records(profile, seeds, results_dir, {log: parts[log][number] for log in BOOK}) for number in (0, 1)
    )
    of_others = {record.hash for record in others}
    return [record for record in asked if record.hash not in of_others]


def toy_results(
    profile: str = "laptop", seeds: Sequence[int] | str | None = None, device: str = "auto"
) -> tuple[ToyResult, ToyResult]:
    """The toy experiment of Appendix A with D_3 = 3 and with D_3 = 100, for `toy_seeds`."""
    chosen = toy_seeds(profile, seeds)
    small, large = (run_toy(cardinality, chosen, device=find_device(device)) for cardinality in (3, 100))
    return small, large


def project_path(path: str | Path) -> Path:
    """The path as it is if absolute, else below the project's root, wherever a notebook is executed."""
    check_text("folder", path)
    return PROJECT_FOLDER / path
