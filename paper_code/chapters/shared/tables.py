"""What chapters read of run records: tables of runs, their variants, spectra against random ones, intervals."""

from collections.abc import Callable, Iterable, Sequence
from functools import cache, lru_cache
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from pandas.api.typing import SeriesGroupBy
from scipy import stats

from paper_code.chapters.shared.words import EMBEDDING_LABELS, size_text
from paper_code.data import SYNTHETIC_LOGS
from paper_code.models import MODEL_LABELS, base_embedding_size
from paper_code.runs.config import DataConfig
from paper_code.runs.profiles import project_path, training_rows
from paper_code.runs.record import RunRecord
from paper_code.runs.regime import DECAY_TIMES_ROWS
from paper_code.spectra import (
    effective_rank_of,
    information_abundance_of,
    random_spectrum,
    singular_values,
    stable_rank_of,
)

if TYPE_CHECKING:  # it needs PyTorch, which tables do without
    from paper_code.models import CTRModel

PLAIN = "plain"
VARIANT_LABELS = {
    PLAIN: "",
    "unitary": "regularised",
    "block_scales + unitary": "regularised, authors' form",
    "norm_divergence": "restricted",
    "shared_interaction": "shared interaction",
    "subspace_similarity": "subspace similarity",
    "singular_value_spread": "singular-value spread",
}
RANDOM_SPECTRA = "figures/data/random_spectra.npz"
"""Random spectra of the shapes in the records that come with the project, see `store_spectra`."""
RESULT_COLUMNS = [
    *("dataset", "model", "variant", "embedding", "scale", "seed", "test_auc", "best_epoch", "parameters", "seconds"),
    *("embedding_parameters", "interaction_parameters", "head_parameters"),
    *("information_abundance", "abundance_per_set", "auc_drop", "loss_fall"),
]


def measured_seconds(record: RunRecord) -> float:
    """The processor time that the run took; of a record that has none, its seconds."""
    return record.provenance.get("cpu_seconds", record.provenance["seconds"])


def commit_name(record: RunRecord) -> str:
    """The commit that made the record, in short, and whether the package differed from it."""
    origin = record.provenance
    return (origin["commit"] or "")[:10] + " (modified)" * bool(origin["modified"]) or "no checkout"


def provenance(records: Sequence[RunRecord]) -> dict[str, str]:
    """Where the records come from: data, training, seeds, runs and their time, commit, versions, hardware, dates."""
    origins = [record.provenance for record in records]
    logs = {}
    for data in (record.config["data"] for record in records):
        logs.setdefault(log_label(data["name"]), set()).add(data["rows"])
    protocols = {
        f"batch size {c['batch_size']}, weight decay {c['weight_decay']:.3g}"
        + f" (embeddings {embedding_decay(c):.3g})" * ("embedding_weight_decay" in c)
        + f", patience {c['patience']}"
        for c in (record.config["training"] for record in records)
    }
    versions = {", ".join(f"{name} {number}" for name, number in origin["versions"].items()) for origin in origins}
    dates = sorted({origin["date"] for origin in origins})
    return {
        "data": "; ".join(f"{name}, {' or '.join(f'{n:,}' for n in sorted(rows))} rows" for name, rows in logs.items()),
        "training": "; ".join(sorted(protocols)),
        "seeds": ", ".join(map(str, sorted({record.config["seed"] for record in records}))),
        "runs": f"{len(records)}, which took {sum(map(measured_seconds, records)):,.0f} seconds added up",
        "commit": ", ".join(sorted({commit_name(record) for record in records})),
        "versions": "; ".join(sorted(versions)),
        "hardware": "; ".join(sorted({origin["hardware"] for origin in origins})),
        "made": " to ".join(dict.fromkeys([dates[0], dates[-1]])),
    }


def results_table(records: Iterable[RunRecord]) -> pd.DataFrame:
    """A row per run.

    Columns: dataset, model, variant (see `variant`), embedding (SE or ME; a base run, of scale 1, is both and appears
    once, as SE), scale, seed, test_auc, best_epoch, parameters, seconds; parameters by part, NaN where they were not
    recorded; information_abundance, of all sets side by side, and abundance_per_set, both means over the fields;
    auc_drop, the validation AUC at the best look less that at the last; loss_fall, the mean training loss of the epoch
    of the best look, or if that was not finished of the last whole one, less that of the last whole one.
    """
    rows = []
    for record in records:
        config, spectra = record.config, record.spectra
        size = config["embedding_size"] * config["num_sets"]
        losses = [np.mean(epoch["training_loss"]) for epoch in record.epochs]
        parts = record.parameters_by_part
        rows.append(
            {
                "dataset": config["data"]["name"],
                "model": config["model"],
                "variant": variant(config),
                "embedding": "ME" if config["num_sets"] > 1 else "SE",
                "scale": size // base_embedding_size(config["model"], len(record.fields)),
                "seed": config["seed"],
                "test_auc": record.scores["test_auc"],
                "best_epoch": record.scores["best_epoch"],
                "parameters": record.parameters,
                "seconds": record.provenance["seconds"],
                **{f"{part}_parameters": parts.get(part, np.nan) for part in ("embedding", "interaction", "head")},
                "information_abundance": mean_abundance(spectra["side_by_side"]),
                "abundance_per_set": np.mean([mean_abundance(fields) for fields in of_sets(record)]),
                "auc_drop": max(record.looks) - record.looks[-1],
                "loss_fall": losses[min(record.scores["best_epoch"], len(losses)) - 1] - losses[-1],
            }
        )
    return pd.DataFrame(rows, columns=RESULT_COLUMNS)


class Runs:
    """The table of some records, and from it one number per seed.

    dataset, scales: what the records are meant to hold; None: what they hold. alike: the records were chosen by what
    sets them apart from the plain ones, and count as plain here.
    """

    def __init__(
        self,
        records: Sequence[RunRecord],
        dataset: str | None = None,
        scales: Sequence[int] | None = None,
        alike: bool = False,
    ):
        self.records = list(records)
        self.table = results_table(self.records).assign(number=range(len(self.records)))
        if alike:
            self.table["variant"] = PLAIN
        if len(found := sorted(set(self.table["dataset"]))) > 1:
            raise ValueError(f"records of {', '.join(found)}: expected those of one data set")
        self.dataset = dataset or str(self.table["dataset"].iloc[0])
        self.scales = sorted(scales or self.table["scale"].unique())

    @property
    def largest(self) -> int:
        return self.scales[-1]

    def __call__(
        self, value: str, model: str, embedding: str = "SE", scale: int | None = None, variant: str = PLAIN
    ) -> pd.Series:
        """seed -> the value of the run of that seed, without the seeds that lack it. scale: None is the largest."""
        t, scale = self.table, scale or self.largest
        embedding = "SE" if scale == 1 else embedding
        of_run = (t["model"] == model) & (t["variant"] == variant) & (t["embedding"] == embedding)
        return t[of_run & (t["scale"] == scale)].set_index("seed")[value]

    def records_of(
        self, model: str, embedding: str = "SE", scale: int | None = None, variant: str = PLAIN
    ) -> list[RunRecord]:
        """The model's records at that size."""
        return [self.records[number] for number in self("number", model, embedding, scale, variant)]

    def measured(
        self,
        measure: Callable[[RunRecord], float],
        model: str,
        embedding: str = "SE",
        scale: int | None = None,
        variant: str = PLAIN,
    ) -> pd.Series:
        """As a call, of what `measure` gives for the run's record."""
        numbers = self("number", model, embedding, scale, variant)
        return pd.Series([measure(self.records[n]) for n in numbers], numbers.index, dtype=float)


def variant(config: dict) -> str:
    """What sets a run apart from the paper's plain one in its regime, but for the weight decay of all parameters: its
    options that are on, its regularizer, and what its log and its training do otherwise. Learning rates and widths are
    not told apart, but for layers of different width."""
    options, training, data = config["options"], config["training"], DataConfig(**config["data"])
    hidden = options.get("hidden", [])
    further = {
        "embedding_std": options.get("embedding_std"),
        "groups": options.get("groups"),
        "dnn": options.get("dnn"),
        "hidden": " ".join(map(str, hidden)) if len(set(hidden)) > 1 and hidden[0] > hidden[-1] else None,
        **data.variation,
        "embedding_decay": decay_multiple(config),
        "dropout_seed": training.get("dropout_seed"),
    }
    parts = [name for name, value in options.items() if value is True]
    parts += [f"{name} {value}" for name, value in further.items() if value is not None]
    parts += ["permuted"] * data.permuted + ["mixed_precision"] * training.get("mixed_precision", False)
    averaged = "averaging" in training  # where rows are shuffled unless it is said
    if training.get("shuffle", False) != averaged:
        parts.append("same order" if averaged else "shuffle")
    return " + ".join([*parts, *([config["regularizer"]["name"]] if config.get("regularizer") else [])]) or PLAIN


def variant_name(variant: str) -> str:
    """The variant in words."""
    return VARIANT_LABELS.get(variant, variant) or "plain"


def in_words(table: pd.DataFrame) -> pd.DataFrame:
    """The table with its models, embeddings and variants by their names, without a column of variants if all are
    plain."""
    table = table.assign(model=table["model"].map(MODEL_LABELS), embedding=table["embedding"].map(EMBEDDING_LABELS))
    if set(table["variant"]) == {PLAIN}:
        return table.drop(columns="variant")
    return table.assign(variant=table["variant"].map(variant_name))


def embedding_decay(training: dict) -> float:
    """The embeddings' weight decay, which may be that of all."""
    return training.get("embedding_weight_decay", training["weight_decay"])


def decay_multiple(config: dict) -> str | None:
    """The embeddings' weight decay as a multiple of the regime's; None if it is that, or that of all."""
    decay = config["training"].get("embedding_weight_decay")
    if decay is None:
        return None
    multiple = f"{decay * training_rows(DataConfig(**config['data'])) / DECAY_TIMES_ROWS:g}"
    return None if multiple == "1" else multiple


def mean_abundance(spectra: Sequence[Sequence[float]]) -> float:
    """Information abundance from each field's singular values, averaged over the fields."""
    return float(np.mean([information_abundance_of(values) for values in spectra]))


def of_sets(record: RunRecord) -> list[list[list[float]]]:
    """[set][field] -> singular values; of a single embedding those of its one set."""
    return record.spectra.get("per_set", [record.spectra["side_by_side"]])


def random_spectra(record: RunRecord, row_normalised: bool = False) -> list[np.ndarray]:
    """[field] -> `random_spectrum` of the shape of the field's matrix, all sets side by side."""
    size = record.config["embedding_size"] * record.config["num_sets"]
    return [reference_spectrum(field["cardinality"], size, row_normalised) for field in record.fields]


def reference_spectrum(rows: int, columns: int, row_normalised: bool = False) -> np.ndarray:
    """`random_spectrum`, from the file that comes with the project where it has the shape."""
    stored = None if row_normalised else stored_spectra().get(f"{rows}x{columns}")
    return random_spectrum(rows, columns, row_normalised) if stored is None else stored


@cache
def stored_spectra() -> dict[str, np.ndarray]:
    path = project_path(RANDOM_SPECTRA)
    return dict(np.load(path)) if path.is_file() else {}


def store_spectra(records: Iterable[RunRecord]) -> None:
    """Write the file of random spectra anew: of the shapes in the records."""
    shapes = set()
    for record in records:
        columns = record.config["embedding_size"] * record.config["num_sets"]
        shapes |= {(field["cardinality"], columns) for field in record.fields}
    spectra = {f"{rows}x{columns}": random_spectrum(rows, columns) for rows, columns in sorted(shapes)}
    np.savez_compressed(project_path(RANDOM_SPECTRA), **spectra)


@lru_cache(maxsize=256)
def initial_spectra_of(
    model: str, cardinalities: tuple[int, ...], size: int, sets: int, seed: int, std: float | None
) -> dict:
    from paper_code.models import build_model

    built = build_model(model, cardinalities, size, sets, seed, embedding_std=std)
    return {
        "side_by_side": [singular_values(matrix) for matrix in built.side_by_side_matrices()],
        "per_set": [[singular_values(matrix) for matrix in of_set] for of_set in built.embedding_matrices()],
    }


def initial_spectra(record: RunRecord) -> dict:
    """The run's singular values before training: side_by_side [field] and per_set [set][field], as in its record.

    The embeddings are made before all else from the run's seed, so they are those of the plain model.
    """
    config, cardinalities = record.config, tuple(field["cardinality"] for field in record.fields)
    sizes = config["embedding_size"], config["num_sets"]
    std = config["options"].get("embedding_std")
    return initial_spectra_of(config["model"], cardinalities, *sizes, config["seed"], std)


def field_measures(records: Sequence[RunRecord]) -> pd.DataFrame:
    """A row per seed and field, the matrices of all sets side by side.

    Columns: cardinality; learned, the information abundance at the best epoch; initial, before training; first_epoch,
    after one epoch; random, that of a random matrix of the same shape; share_of_random, learned / random;
    effective_rank and stable_rank at the best epoch, and both of the random matrix.
    """
    rows = []
    for record in records:
        first_epoch = record.epochs[0]["measurements"]["information_abundance"]
        before = initial_spectra(record)["side_by_side"]
        learned_spectra = record.spectra["side_by_side"]
        of_field = zip(record.fields, before, first_epoch, learned_spectra, random_spectra(record), strict=True)
        for of_log, initial, after_one, learned, random in of_field:
            rows.append(
                {
                    "seed": record.config["seed"],
                    "field": of_log["name"],
                    "cardinality": of_log["cardinality"],
                    "learned": information_abundance_of(learned),
                    "initial": information_abundance_of(initial),
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


def share_of_random(
    record: RunRecord,
    measure: Callable[[Sequence[float]], float] = information_abundance_of,
    row_normalised: bool = False,
) -> float:
    """A measure of the singular values over that of random matrices of the same shapes, mean over the fields, all sets
    side by side. row_normalised: of the matrices with every row divided by its norm, learned and random."""
    learned = record.spectra["row_normalised" if row_normalised else "side_by_side"]
    of_fields = zip(learned, random_spectra(record, row_normalised), strict=True)
    return float(np.mean([measure(a) / measure(b) for a, b in of_fields]))


def with_references(records: Sequence[RunRecord]) -> pd.DataFrame:
    """`results_table` with what information abundance is to be held against, side by side and as means over the fields:
    initial, of the run's embeddings before training, and random, of random matrices of their shape."""
    return results_table(records).assign(
        initial=[mean_abundance(initial_spectra(record)["side_by_side"]) for record in records],
        random=[mean_abundance(random_spectra(record)) for record in records],
    )


def abundance_table(records: Sequence[RunRecord]) -> pd.DataFrame:
    """Information abundance by model, variant, embedding and scale, means over fields and seeds, with two digits.

    Of several sets both per set, of the (D_i, K) matrices, and side by side, of the (D_i, M K) matrices of all sets.
    random: of random matrices of the shape of the latter; and the share of random, the mean of `share_of_random`.
    """
    rows = with_references(records).assign(share=[share_of_random(record) for record in records])
    whole = "side by side" if set(rows["embedding"]) != {"SE"} else "information abundance"
    names = {"abundance_per_set": "per set", "information_abundance": whole, "random": "random"}
    if whole != "side by side":
        del names["abundance_per_set"]  # the same
    names["share"] = "share of random"
    groups = rows.groupby(["model", "variant", "embedding", "scale"], sort=False)
    table = groups[list(names)].mean().rename(columns=names).reset_index()
    numbers = list(names.values())
    table[numbers] = table[numbers].map(lambda value: f"{value:.2f}")
    table["scale"] = list(map(size_text, table["scale"]))
    return in_words(table)


def field_abundance(record: RunRecord) -> np.ndarray:
    """IA(E_i) of every field, all sets side by side."""
    return np.array([information_abundance_of(values) for values in record.spectra["side_by_side"]])


def initial_model(record: RunRecord) -> "CTRModel":
    """The run's model before training."""
    from paper_code.models import build_model

    config, cardinalities = record.config, [field["cardinality"] for field in record.fields]
    options = {name: tuple(v) if isinstance(v, list) else v for name, v in config["options"].items()}
    sizes = config["embedding_size"], config["num_sets"]
    return build_model(config["model"], cardinalities, *sizes, config["seed"], **options)


def half_interval(deviation, count):
    """Half of Student's t 95 % interval of a mean, from the standard deviation and the number of values; NaN of one."""
    return stats.t.ppf(0.975, np.maximum(count, 2) - 1) * deviation / np.sqrt(count)


def over_seeds(values: SeriesGroupBy) -> pd.DataFrame:
    """Every group's mean, half_interval, half of the 95 % interval (0 of one seed), and seeds, how many there are."""
    found = values.agg(["mean", "std", "count"])
    half = half_interval(found["std"], found["count"]).fillna(0)
    return pd.DataFrame({"mean": found["mean"], "half_interval": half, "seeds": found["count"]})


def log_label(dataset: str) -> str:
    """The log's name, and that it is synthetic if it is."""
    return dataset + ", synthetic" * (dataset in SYNTHETIC_LOGS)
