"""Which runs each figure needs, per profile, and the sweep that trains those that are missing."""

import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path

import joblib
import numpy as np
import pandas as pd
from sklearn.metrics import roc_auc_score
from tqdm import tqdm

from paper_code.data import SYNTHETIC_LOGS
from paper_code.models import MODEL_LABELS, base_embedding_size, model_options
from paper_code.regularizers import RegularizerConfig
from paper_code.runs import (
    DATA_FOLDER,
    PROJECT_FOLDER,
    DataConfig,
    RunConfig,
    RunRecord,
    RunStore,
    data_config,
    execute,
    load_data,
)
from paper_code.spectra import (
    effective_rank_of,
    information_abundance_of,
    random_matrix,
    singular_values,
    stable_rank_of,
)
from paper_code.toy import ToyResult, run_toy
from paper_code.training import TrainingConfig, find_device

# rows * weight decay on Criteo (45.8 million * 1e-6): the precision of the prior that the penalty amounts to
PRIOR_PRECISION = 46
RESULTS_FOLDER = "figures/data/runs"


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


LAPTOP_OPTIONS = {"hidden": (64, 64), "cross_layers": 2}
PROFILES = {
    "smoke": Profile(
        rows=130_000,
        test_rows=50_000,
        scales=(1, 4),
        seeds=(0, 1, 2),
        options=LAPTOP_OPTIONS,
        training=TrainingConfig(batch_size=512, patience=1, max_epochs=2),
        weight_decay_by_rule=True,
    ),
    "laptop": Profile(
        rows=400_000,
        test_rows=200_000,
        scales=(1, 2, 3, 4, 10),
        seeds=(0, 1, 2, 3, 4),
        options=LAPTOP_OPTIONS,
        training=TrainingConfig(batch_size=128, patience=2, max_epochs=20),
        weight_decay_by_rule=True,
    ),
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

    scale: embedding size as a multiple of the model's base size. options: of the model, beside the profile's.
    regularizer: its name, at the weight of the authors' code.
    """

    model: str
    scale: int = 1
    num_sets: int = 1
    options: dict = field(default_factory=dict)
    regularizer: str | None = None


PAPER_MODELS = ("dnn", "ipnn", "nfwfm", "xdeepfm", "dcnv2", "finalmlp")


def single(models: Sequence[str], scales: Sequence[int], **further) -> list[Variant]:
    """Single embedding at every scale."""
    return [Variant(model, scale, **further) for model in models for scale in scales]


def multi(models: Sequence[str], scales: Sequence[int], **further) -> list[Variant]:
    """Multi embedding at every scale above the base, where it is single embedding."""
    return [Variant(model, 1, scale, **further) for model in models for scale in scales if scale > 1]


def up_to_4(scales: Sequence[int]) -> list[int]:
    return [scale for scale in scales if scale <= 4]


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
    # Figure 5; the second form is that of the authors' code
    "evidence_iii": lambda scales: (
        single(["dcnv2"], scales)
        + single(["dcnv2"], scales, regularizer="unitary")
        + single(["dcnv2"], scales, regularizer="unitary", options={"block_scales": True})
    ),
    # Figure 6
    "evidence_iv": lambda scales: single(["dnn", "dcnv2"], scales),
    # Figure 9
    "patterns": lambda scales: (
        single(["dcnv2"], scales) + multi(["dcnv2"], scales) + multi(["dcnv2"], scales, regularizer="norm_divergence")
    ),
    # the further ablations of the paper's later version
    "ablations": lambda scales: (
        multi(["dcnv2"], scales, options={"shared_interaction": True})
        + multi(["dcnv2"], scales, regularizer="subspace_similarity")
        + single(["dcnv2"], scales, regularizer="singular_value_spread")
    ),
    # an interaction that came after the paper, beside DCNv2; up to 4x, for at 10x it takes twice as long as DCNv2
    "gdcn": lambda scales: single(["gdcn", "dcnv2"], up_to_4(scales)) + multi(["gdcn", "dcnv2"], up_to_4(scales)),
}


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

    Raises ValueError for an experiment, profile or seeds that do not exist, FileNotFoundError for such a data set.
    """
    variants = find("experiment", experiment, EXPERIMENTS)
    settings = find("profile", profile, PROFILES)
    configs = []
    for seed in parse_seeds(seeds, settings):
        data = data_config(dataset, seed, settings.rows, settings.test_rows, data_folder)
        training = training_for(settings, data.rows)
        for variant in variants(settings.scales):
            size = variant.scale * base_embedding_size(variant.model, num_fields(data, data_folder))
            options = options_for(settings, variant.model) | variant.options
            regularizer = RegularizerConfig(variant.regularizer) if variant.regularizer else None
            config = RunConfig(data, variant.model, size, variant.num_sets, seed, options, training, regularizer)
            configs.append(config)
    return configs


@lru_cache
def num_fields(data: DataConfig, data_folder: Path) -> int:
    """How many fields the log has."""
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
) -> int:
    """Train the runs that the store lacks, in parallel processes of one thread each, and store each as it ends.

    jobs: how many at once; None: one per core, or one on a GPU. A progress bar shows if there is anything to train.
    Returns how many were trained. Raises RuntimeError at the end if runs failed; the others are stored.
    """
    if jobs is not None and jobs < 1:
        raise ValueError(f"jobs is {jobs}, expected at least 1")
    missing = [config for config in {c.hash: c for c in configs}.values() if store.get(config) is None]
    if not missing:
        return 0
    on_cpu = find_device(device).type == "cpu"
    jobs = min(jobs or (os.cpu_count() if on_cpu else 1), len(missing))
    run = joblib.delayed(try_to_execute)
    parallel = joblib.Parallel(n_jobs=jobs, batch_size=1, pre_dispatch=jobs, return_as="generator_unordered")
    failures = []
    with tqdm(total=len(missing), unit="run", smoothing=0) as bar:
        for config, outcome in parallel(run(config, device, data_folder) for config in missing):
            if isinstance(outcome, RunRecord):
                store.put(config, outcome)
            else:
                failures.append(f"{describe(config)}: {type(outcome).__name__}: {outcome}")
            bar.set_postfix_str(describe(config))
            bar.update()
    if failures:
        raise RuntimeError(f"{len(failures)} of {len(missing)} runs failed:\n" + "\n".join(failures))
    return len(missing)


def try_to_execute(config: RunConfig, device: str, data_folder: Path) -> tuple[RunConfig, RunRecord | Exception]:
    """The run's record, or what stopped it, so that one run that fails does not end the others."""
    try:
        return config, execute(config, device, threads=1, data_folder=data_folder)
    except Exception as error:
        return config, error


def describe(config: RunConfig) -> str:
    """The run in a few words."""
    parts = [config.data.name, config.model, f"K={config.embedding_size}"]
    if config.num_sets > 1:
        parts.append(f"x {config.num_sets} sets")
    parts += [option for option, value in config.options.items() if value is True]
    if config.regularizer:
        parts.append(f"{config.regularizer.weight:g} {config.regularizer.name}")
    return " ".join([*parts, f"seed {config.seed}"])


def records_of(
    experiment: str,
    dataset: str,
    profile: str = "laptop",
    seeds: Sequence[int] | str | None = None,
    device: str = "auto",
    results_dir: str | Path = RESULTS_FOLDER,
) -> list[RunRecord]:
    """The records of an experiment, one per run; what `results_dir` lacks is trained first and stored there."""
    configs = run_configs(experiment, dataset, profile, seeds)
    store = RunStore(project_path(results_dir))
    sweep(configs, store, device=device)
    return [store.get(config) for config in configs]


def toy_results(
    profile: str = "laptop", seeds: Sequence[int] | str | None = None, device: str = "auto"
) -> tuple[ToyResult, ToyResult]:
    """The toy experiment of Appendix A with D_3 = 3 and with D_3 = 100, for the profile's seeds or those given."""
    chosen = seeds_of(profile, seeds)
    small, large = (run_toy(cardinality, chosen, device=find_device(device)) for cardinality in (3, 100))
    return small, large


def hours(records: Sequence[RunRecord]) -> str:
    """The time that the runs took, added up."""
    return f"{sum(record.provenance['seconds'] for record in records) / 3600:.1f}"


def provenance_summary(records: Sequence[RunRecord]) -> str:
    """Where the records come from, in a sentence: how many, the time they took, on what, with which versions."""
    origins = [record.provenance for record in records]
    commits = {
        (origin["commit"] or "no checkout")[:10] + " (modified)" * bool(origin["modified"]) for origin in origins
    }
    hardware = {origin["hardware"] for origin in origins}
    versions = {origin["versions"]["torch"] for origin in origins}
    dates = [origin["date"] for origin in origins]
    return (
        f"{len(records)} runs, {hours(records)} hours added up, on {', '.join(sorted(hardware))}; "
        f"PyTorch {', '.join(sorted(versions))}; commit {', '.join(sorted(commits))}; {min(dates)} to {max(dates)}"
    )


def results_table(records: Iterable[RunRecord]) -> pd.DataFrame:
    """A row per run: dataset, model, embedding (SE or ME), scale, seed, test_auc, best_epoch, parameters, seconds.

    A base run (scale 1) is both SE and ME and appears once, as SE.
    """
    rows = []
    for record in records:
        config = record.config
        size = config["embedding_size"] // base_embedding_size(config["model"], len(record.fields))
        rows.append(
            {
                "dataset": config["data"]["name"],
                "model": config["model"],
                "embedding": "ME" if config["num_sets"] > 1 else "SE",
                "scale": size * config["num_sets"],
                "seed": config["seed"],
                "test_auc": record.scores["test_auc"],
                "best_epoch": record.scores["best_epoch"],
                "parameters": record.parameters,
                "seconds": record.provenance["seconds"],
            }
        )
    return pd.DataFrame(rows)


@lru_cache(maxsize=1024)
def random_spectrum(rows: int, columns: int, seed: int) -> np.ndarray:
    """Singular values of a random (rows, columns) matrix; kept, for a notebook asks for the same ones several times."""
    return singular_values(random_matrix(rows, columns, seed))


def random_spectra(record: RunRecord) -> list[np.ndarray]:
    """[field] -> singular values of a random matrix of the shape of the field's, all sets side by side."""
    size = record.config["embedding_size"] * record.config["num_sets"]
    return [random_spectrum(field["cardinality"], size, number) for number, field in enumerate(record.fields)]


def field_measures(records: Sequence[RunRecord]) -> pd.DataFrame:
    """A row per seed and field, the matrices of all sets side by side.

    Columns: cardinality; learned, the information abundance at the best epoch; first_epoch, after one epoch; random,
    that of a random matrix of the same shape; share_of_random, learned / random; effective_rank and stable_rank at the
    best epoch, and both of the random matrix.
    """
    rows = []
    for record in records:
        first_epoch = record.epochs[0]["measurements"]["information_abundance"]
        of_field = zip(record.fields, first_epoch, record.spectra["side_by_side"], random_spectra(record), strict=True)
        for of_log, after_one, learned, random in of_field:
            rows.append(
                {
                    "seed": record.config["seed"],
                    "field": of_log["name"],
                    "cardinality": of_log["cardinality"],
                    "learned": information_abundance_of(learned),
                    "first_epoch": after_one,
                    "random": information_abundance_of(random),
                    "effective_rank": effective_rank_of(learned),
                    "effective_rank_random": effective_rank_of(random),
                    "stable_rank": stable_rank_of(learned),
                    "stable_rank_random": stable_rank_of(random),
                }
            )
    table = pd.DataFrame(rows)
    return table.assign(share_of_random=table["learned"] / table["random"])


def abundance_table(records: Sequence[RunRecord]) -> pd.DataFrame:
    """Information abundance by model, embedding and scale, means over fields and seeds, as text with two digits.

    per set: of the (D_i, K) matrices; side by side: of the (D_i, M K) matrices of all sets; random: of random matrices
    of that shape; and side by side over random.
    """
    rows = results_table(records)[["model", "embedding", "scale"]]
    side_by_side = [record.spectra["side_by_side"] for record in records]
    per_set = [record.spectra.get("per_set", [record.spectra["side_by_side"]]) for record in records]

    def mean(spectra) -> float:
        return np.mean([information_abundance_of(values) for values in spectra])

    rows = rows.assign(
        per_set=[np.mean([mean(of_set) for of_set in sets]) for sets in per_set],
        side_by_side=[mean(fields) for fields in side_by_side],
        random=[mean(random_spectra(record)) for record in records],
    )
    table = rows.groupby(["model", "embedding", "scale"], sort=False).mean().reset_index()
    table = table.assign(ratio=table["side_by_side"] / table["random"], model=table["model"].map(MODEL_LABELS))
    numbers = ["per_set", "side_by_side", "random", "ratio"]
    table[numbers] = table[numbers].map(lambda value: f"{value:.2f}")
    table["scale"] = ["base" if scale == 1 else f"{scale}x" for scale in table["scale"]]
    return table.rename(
        columns={"per_set": "per set", "side_by_side": "side by side", "ratio": "side by side / random"}
    )


def html_table(table: pd.DataFrame) -> str:
    """The table as HTML in the book's style."""
    return table.to_html(index=False, border=0, justify="left", classes="table")


def measures_table(records: Sequence[RunRecord]) -> pd.DataFrame:
    """Means over fields and seeds: information abundance and the two ranks, learned and random."""
    mean = field_measures(records).mean(numeric_only=True)
    rows = [
        ("information abundance, best epoch", mean["learned"], mean["random"]),
        ("information abundance, first epoch", mean["first_epoch"], mean["random"]),
        ("effective rank, best epoch", mean["effective_rank"], mean["effective_rank_random"]),
        ("stable rank, best epoch", mean["stable_rank"], mean["stable_rank_random"]),
    ]
    header = ["mean over fields", "learned", "random, same shape", "ratio of the means"]
    return pd.DataFrame([(name, f"{a:.2f}", f"{b:.2f}", f"{a / b:.2f}") for name, a, b in rows], columns=header)


def auc_table(records: Sequence[RunRecord]) -> pd.DataFrame:
    """Mean test AUC by model, embedding and scale, as Table 1 has it; text with four digits."""
    table = results_table(records)
    wide = table.pivot_table(index=["model", "embedding"], columns="scale", values="test_auc", sort=False)
    wide = wide.map(lambda value: "" if pd.isna(value) else f"{value:.4f}")
    wide.columns = ["base" if scale == 1 else f"{scale}x" for scale in wide.columns]
    return wide.reset_index().assign(model=lambda t: t["model"].map(MODEL_LABELS))


def logs_table(profile: str = "laptop", seeds: Sequence[int] | str | None = None) -> pd.DataFrame:
    """The synthetic logs: a row per log and seed, with their sizes, click rate and Bayes AUC on the test rows."""
    settings = find("profile", profile, PROFILES)
    rows = []
    for name, generate in SYNTHETIC_LOGS.items():
        for seed in seeds_of(profile, seeds):
            log = generate(seed, settings.rows, settings.test_rows)
            test = log.split(seed).test
            rows.append(
                {
                    "log": name,
                    "seed": seed,
                    "rows": log.rows - log.test_rows,
                    "test rows": log.test_rows,
                    "fields": len(log.fields),
                    "sum of cardinalities": sum(log.cardinalities),
                    "largest": max(log.cardinalities),
                    "smallest": min(log.cardinalities),
                    "click rate": f"{log.labels.mean():.3f}",
                    "Bayes AUC": f"{roc_auc_score(log.labels[test], log.click_probability[test]):.3f}",
                }
            )
    return pd.DataFrame(rows)


def fields_table(profile: str = "laptop", seeds: Sequence[int] | str | None = None) -> pd.DataFrame:
    """Fields and cardinalities of the first seed's synthetic logs, side by side."""
    settings = find("profile", profile, PROFILES)
    seed = seeds_of(profile, seeds)[0]
    columns = {}
    for name, generate in SYNTHETIC_LOGS.items():
        fields = generate(seed, settings.rows, settings.test_rows).fields
        columns[name] = pd.Series([field.name for field in fields])
        columns[f"cardinality, {name}"] = pd.Series([f"{field.cardinality:,}" for field in fields])
    return pd.DataFrame(columns).fillna("")


def project_path(path: str | Path) -> Path:
    """The path as it is if absolute, else below the project's root, wherever a notebook is executed."""
    return PROJECT_FOLDER / path
