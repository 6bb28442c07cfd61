"""Which runs each figure needs, per profile, and the sweep that trains those that are missing."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from functools import lru_cache
from itertools import product
from pathlib import Path

from tqdm import tqdm

from paper_code.data import SYNTHETIC_LOGS
from paper_code.models import base_embedding_size, model_options
from paper_code.regularizers import RegularizerConfig
from paper_code.runs import (
    DATA_FOLDER,
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
from paper_code.sweeps import Claims, outcomes_here, outcomes_on_cluster, places
from paper_code.toy import ToyResult, run_toy
from paper_code.training import TrainingConfig, find_device

# rows * weight decay on Criteo (45.8 million * 1e-6): the precision of the prior that the penalty amounts to
PRIOR_PRECISION = 46
RESULTS_FOLDER = "figures/data/runs"
"""The records that come with the project."""
NEW_RESULTS = DATA_FOLDER / "runs"
"""Where those go that are made on top of them."""


@dataclass(frozen=True)
class Profile:
    """A size at which the whole book can be made.

    rows, test_rows: of the synthetic logs. scales: model sizes as multiples of the base. options: of the models; those
    a model does not have are ignored.
    weight_decay_by_rule: keep rows * weight_decay at what it is on Criteo, whatever the log; else the paper's 1e-6.
    """

    rows: int
    test_rows: int
    scales: tuple[int, ...]
    seeds: tuple[int, ...]
    options: dict
    training: TrainingConfig
    weight_decay_by_rule: bool


LAPTOP_OPTIONS = {"hidden": (64, 64), "cross_layers": 2, "expansion": 1}
LAPTOP = Profile(
    rows=200_000,
    test_rows=200_000,
    scales=(1, 2, 3, 4, 10),
    seeds=(0, 1, 2, 3, 4),
    options=LAPTOP_OPTIONS,
    training=TrainingConfig(batch_size=128, patience=2, max_epochs=20),
    weight_decay_by_rule=True,
)
PROFILES = {
    "smoke": Profile(
        rows=30_000,
        test_rows=15_000,
        scales=(1, 4),
        seeds=(0, 1),
        options=LAPTOP_OPTIONS | {"blocks": 1},
        training=TrainingConfig(batch_size=256, patience=1, max_epochs=1),
        weight_decay_by_rule=True,
    ),
    "laptop": LAPTOP,
    # the rows that the synthetic logs were designed for; too many for the whole book in six hours on two cores
    "desktop": replace(LAPTOP, rows=400_000),
    "paper": Profile(
        rows=400_000,
        test_rows=200_000,
        scales=(1, 2, 3, 4, 10),
        seeds=(0, 1, 2),
        options={},
        training=TrainingConfig(),
        weight_decay_by_rule=False,
    ),
}


@dataclass(frozen=True)
class Variant:
    """A run of an experiment, but for data, seed and protocol.

    scale: embedding size as a multiple of the base size. options: of the model, beside the profile's.
    regularizer: its name, at the weight of the authors' code. training: what differs from the profile's protocol.
    base: embedding size of scale 1; None: the model's in the paper. rows: as a share of the profile's. data: what the
    generator of a synthetic log does otherwise, see `paper_code.data.synthetic.generate`.
    """

    model: str
    scale: int = 1
    num_sets: int = 1
    options: dict = field(default_factory=dict)
    regularizer: str | None = None
    training: dict = field(default_factory=dict)
    base: int | None = None
    rows: float = 1
    data: dict = field(default_factory=dict)


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
    """DCNv2 with single and multi embedding, and FFM, without weight decay, with it coupled, and decoupled.

    FFM, the costliest, has decoupled decay at its largest only, as all do where there are few sizes.
    """
    largest = max(up_to_4(scales))
    decays = WEIGHT_DECAYS[1:] if len(scales) > 2 else WEIGHT_DECAYS[-1:]
    coupled = [{"weight_decay": decay} for decay in (0.0, *decays)]
    decoupled = [{"weight_decay": decay, "decoupled": True} for decay in decays]
    return [
        run
        for training in coupled + decoupled
        for run in (
            *single(["dcnv2"], [largest], training=training),
            *multi(["dcnv2"], [largest], training=training),
            *([Variant("ffm", training=training)] if training in [*coupled, decoupled[-1]] else []),
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
        {"training": {"shuffle": True}},
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


# experiment -> scales -> the runs of a seed
EXPERIMENTS: dict[str, Callable[[Sequence[int]], list[Variant]]] = {
    # Figures 1b and 2
    "collapse": lambda scales: single(["dcnv2"], [max(scales)]),
    # Figure 8, for two of its models
    "scalability": lambda scales: single(["dnn", "dcnv2"], scales) + multi(["dnn", "dcnv2"], scales),
    # Tables 1, 3 and 4, Figures 1a, 8, 10 and 11
    "tables": lambda scales: single(PAPER_MODELS, scales) + multi(PAPER_MODELS, scales),
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
        single(["dcnv2"], scales) + multi(["dcnv2"], scales) + multi(["dcnv2"], scales, regularizer="norm_divergence")
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

# what the book shows of each log, and the sweep trains without an experiment's name: what the paper has of Criteo and
# of Avazu
BOOK = {
    "criteo_like": tuple(name for name in EXPERIMENTS if name != "few_rows"),
    "avazu_like": (
        *("collapse", "tables", "evidence_i", "evidence_ii"),
        *("optimizer", "map", "alternatives"),
    ),
    "criteo_80k": ("few_rows",),
}
# of Part IV, beside the paper
SCRUTINY = ("optimizer", "released", "map", "alternatives", "newer")
# these need a log's generator
OF_GENERATORS = ("released", "map")


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
    configs = []
    for seed in parse_seeds(seeds, settings)[: None if seeds else SEEDS_OF.get((experiment, dataset))]:
        data = data_config(dataset, seed, settings.rows, settings.test_rows, data_folder)
        fields = num_fields(data, data_folder)
        for variant in variants(settings.scales):
            size = variant.scale * (variant.base or base_embedding_size(variant.model, fields))
            options = options_for(settings, variant.model) | variant.options
            regularizer = RegularizerConfig(variant.regularizer) if variant.regularizer else None
            of_run = varied(data, variant, experiment)
            protocol = replace(training_for(settings, of_run.rows), **variant.training)
            config = RunConfig(of_run, variant.model, size, variant.num_sets, seed, options, protocol, regularizer)
            configs.append(config)
    return configs


def varied(data: DataConfig, variant: Variant, experiment: str) -> DataConfig:
    """The log with the variant's rows and generator."""
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
    if data in RECORDED_LOGS:
        return RECORDED_LOGS[data]
    if data.name in SYNTHETIC_LOGS:
        data = replace(data, rows=100, test_rows=0)  # the fields are the same for any number of rows
    return len(load_data.__wrapped__(data, data_folder).fields)


def training_for(profile: Profile, rows: int) -> TrainingConfig:
    """The profile's protocol for a log of so many rows."""
    if not profile.weight_decay_by_rule:
        return profile.training
    return replace(profile.training, weight_decay=PRIOR_PRECISION / rows)


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

    jobs: how many at once; None: one per core, or one per GPU. cluster: address of a Dask scheduler, whose workers then
    train the runs, one at a time each, see `paper_code.sweeps.outcomes_on_cluster`; this process alone reads and writes
    the store. A progress bar shows if there is anything to train.
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
    devices = places(device, jobs)[: len(missing)] if cluster is None else []
    number, trained, failures = len(missing), 0, []
    with tqdm(total=number, unit="run", smoothing=0) as bar, Claims(store) as claims:
        for runs in claims.rounds(missing):
            if cluster is None:
                outcomes = outcomes_here(runs, devices, data_folder)
            else:
                outcomes = outcomes_on_cluster(runs, cluster, device)
            with closing(outcomes):
                for config, outcome in outcomes:
                    if isinstance(outcome, RunRecord):
                        store.put(config, outcome)
                        trained += 1
                    else:
                        failures.append(f"{describe(config)}: {outcome}")
                    claims.release(config)
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
    parts += ["shuffled"] * config.training.shuffle + ["bfloat16"] * config.training.mixed_precision
    if config.regularizer:
        parts.append(f"{config.regularizer.weight:g} {config.regularizer.name}")
    papers = TrainingConfig()
    as_paper = config.training.batch_size == papers.batch_size
    if config.training.weight_decay != (papers.weight_decay if as_paper else PRIOR_PRECISION / config.data.rows):
        parts.append(f"weight decay {config.training.weight_decay:g}" + " decoupled" * config.training.decoupled)
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
    configs = run_configs(experiment, dataset, profile, seeds)
    store = run_store(results_dir)
    sweep(configs, store, device=device)
    return [store.get(config) for config in configs]


def run_store(results_dir: str | Path = RESULTS_FOLDER) -> RunStore:
    """The records in a folder. Those that come with the project are only read, and what is made on top of them is kept
    in `NEW_RESULTS`, so that nobody changes the project by using it."""
    folder = project_path(results_dir)
    published = folder.resolve() == project_path(RESULTS_FOLDER).resolve()
    return RunStore(NEW_RESULTS, published=folder) if published else RunStore(folder)


def stored_records(
    experiment: str,
    dataset: str,
    profile: str = "laptop",
    seeds: Sequence[int] | str | None = None,
    results_dir: str | Path = RESULTS_FOLDER,
) -> list[RunRecord]:
    """Those records of an experiment that the `run_store` of the folder holds; nothing is trained."""
    return records_there(run_configs(experiment, dataset, profile, seeds), results_dir)


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
        for config in run_configs(experiment, dataset, profile, seeds)
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
    """The toy experiment of Appendix A with D_3 = 3 and with D_3 = 100, for the profile's seeds or those given."""
    chosen = seeds_of(profile, seeds)
    small, large = (run_toy(cardinality, chosen, device=find_device(device)) for cardinality in (3, 100))
    return small, large


def project_path(path: str | Path) -> Path:
    """The path as it is if absolute, else below the project's root, wherever a notebook is executed."""
    check_text("folder", path)
    return PROJECT_FOLDER / path
