"""Records as tables of numbers: scores, information abundance, sub-embeddings; and as HTML for the book."""

import json
import re
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from html import escape as html_escape
from importlib.metadata import requires
from pathlib import Path

import numpy as np
import pandas as pd
from pandas.api.typing import SeriesGroupBy
from scipy import stats
from sklearn.metrics import roc_auc_score

from paper_code import measurement
from paper_code.data import SYNTHETIC_LOGS, ClickLog
from paper_code.experiments import DECAY_TIMES_ROWS, PROFILES, find, project_path, seeds_of, training_rows
from paper_code.models import MODEL_LABELS, MODELS, base_embedding_size, build_model
from paper_code.models.ctr_model import CTRModel
from paper_code.published import STATISTICS, published_auc, published_dataset
from paper_code.runs import DataConfig, RunRecord, data_config, load_data
from paper_code.spectra import (
    effective_rank_of,
    information_abundance_of,
    random_information_abundance,
    random_spectrum,
    singular_values,
    stable_rank_of,
)

PLAIN = "plain"
RESULT_COLUMNS = [
    *("dataset", "model", "variant", "embedding", "scale", "seed", "test_auc", "best_epoch", "parameters", "seconds"),
    *("embedding_parameters", "interaction_parameters", "head_parameters"),
    *("information_abundance", "abundance_per_set", "auc_drop", "loss_fall"),
]


def measured_seconds(record: RunRecord) -> float:
    """The processor time that the run took; of a record that has none, its seconds."""
    return record.provenance.get("cpu_seconds", record.provenance["seconds"])


def processor_seconds(records: Sequence[RunRecord], references: Sequence[RunRecord] = ()) -> list[float]:
    """Seconds of one CPU core that every run takes, made on a CPU.

    For a run that was made on a GPU they are estimated from the runs that were made on a CPU and differ from it in
    nothing but the seed and where training stops at the latest: its number of epochs times their training seconds per
    epoch, and what they took besides training. NaN if there is none among the records and the references.
    """

    def kind(config: dict) -> str:
        training = config["training"] | {"max_epochs": None}
        return json.dumps(config | {"seed": None, "data": config["data"] | {"seed": None}, "training": training})

    costs = {}  # kind of run -> training seconds per epoch, seconds besides
    for record in [*records, *references]:
        if record.provenance["device"] == "cpu":
            training = min(record.provenance["training_seconds"], measured_seconds(record))
            cost = training / len(record.epochs), measured_seconds(record) - training
            costs.setdefault(kind(record.config), []).append(cost)

    def estimated(record: RunRecord) -> float:
        per_epoch, besides = np.mean(costs.get(kind(record.config), [(np.nan, np.nan)]), axis=0)
        return float(per_epoch * len(record.epochs) + besides)

    return [measured_seconds(r) if r.provenance["device"] == "cpu" else estimated(r) for r in records]


def cost_table(records: Sequence[RunRecord], references: Sequence[RunRecord] = ()) -> pd.DataFrame:
    """Runs by data set and model, with the hours of one CPU core that they take, see `processor_seconds`; the last row
    is their sum."""
    rows = pd.DataFrame(
        {
            "data set": [record.config["data"]["name"] for record in records],
            "model": [MODEL_LABELS[record.config["model"]] for record in records],
            "runs": 1,
            "made on a GPU": [int(record.provenance["device"] != "cpu") for record in records],
            "core hours": np.array(processor_seconds(records, references)) / 3600,
        }
    )
    table = rows.groupby(["data set", "model"], sort=False).sum(skipna=False).reset_index()
    total = pd.DataFrame([{"data set": "all", "model": "", **rows.iloc[:, 2:].sum(skipna=False)}])
    table = pd.concat([table, total], ignore_index=True) if len(table) else total
    text = ["unknown" if np.isnan(hours) else f"{hours:.2f}" for hours in table["core hours"]]
    return table.astype({"runs": int, "made on a GPU": int}).assign(**{"core hours": text})


def commit_name(record: RunRecord) -> str:
    """The commit that made the record, in short, and whether the package differed from it."""
    origin = record.provenance
    return (origin["commit"] or "")[:10] + " (modified)" * bool(origin["modified"]) or "no checkout"


def origins_table(records: Sequence[RunRecord]) -> pd.DataFrame:
    """Where the runs were made: a row per hardware, versions and commit, with the number of runs and the dates."""
    columns = ["hardware", "versions", "commit", "date"]
    rows = [
        (
            record.provenance["hardware"],
            ", ".join(f"{name} {number}" for name, number in record.provenance["versions"].items()),
            commit_name(record),
            record.provenance["date"],
        )
        for record in records
    ]
    origins = pd.DataFrame(rows, columns=columns)
    groups = origins.groupby(columns[:-1], sort=False)["date"]
    return groups.agg(runs="count", first="min", last="max").reset_index()


def environment_table() -> pd.DataFrame:
    """The packages that this project pins, with their versions, as they are installed with it."""
    pins = [line.split("==") for line in requires("paper-code") if "extra" not in line]
    return pd.DataFrame(sorted(pins), columns=["package", "version"])


def runs_table(records: Sequence[RunRecord]) -> pd.DataFrame:
    """A row per run: its record's file in the folder of records, what was trained, its score, and where it was made."""
    scores = results_table(records)[["model", "variant", "embedding", "scale", "seed", "test_auc", "best_epoch"]]
    origins = [record.provenance for record in records]
    return scores.assign(
        record=[f"{record.config['data']['name']}/{record.hash}.json" for record in records],
        rows=[record.config["data"]["rows"] for record in records],
        weight_decay=[record.config["training"]["weight_decay"] for record in records],
        most_epochs=[record.config["training"]["max_epochs"] for record in records],
        commit=[commit_name(record) for record in records],
        hardware=[origin["hardware"] for origin in origins],
        torch=[origin["versions"]["torch"] for origin in origins],
        date=[origin["date"] for origin in origins],
        seconds=[origin["seconds"] for origin in origins],
    )


def provenance(records: Sequence[RunRecord]) -> dict[str, str]:
    """Where the records come from: data, training, seeds, runs and their time, commit, versions, hardware, dates."""
    origins = [record.provenance for record in records]
    logs = {}
    for data in (record.config["data"] for record in records):
        logs.setdefault(log_label(data["name"]), set()).add(data["rows"])
    protocols = {
        f"batch size {c['batch_size']}, weight decay {c['weight_decay']:.3g}, patience {c['patience']}"
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
    return [random_spectrum(field["cardinality"], size, row_normalised) for field in record.fields]


@lru_cache(maxsize=256)
def initial_spectra_of(
    model: str, cardinalities: tuple[int, ...], size: int, sets: int, seed: int, std: float | None
) -> dict:
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

    per set: of the (D_i, K) matrices; side by side: of the (D_i, M K) matrices of all sets; at initialisation: those
    before training; random: of random matrices of that shape; and side by side over random.
    """
    rows = with_references(records)
    names = {
        "abundance_per_set": "per set",
        "information_abundance": "side by side",
        "initial": "at initialisation",
        "random": "random",
    }
    groups = rows.groupby(["model", "variant", "embedding", "scale"], sort=False)
    table = groups[list(names)].mean().rename(columns=names).reset_index()
    table["side by side / random"] = table["side by side"] / table["random"]
    numbers = table.columns[4:]
    table[numbers] = table[numbers].map(lambda value: f"{value:.2f}")
    table["scale"] = ["base" if scale == 1 else f"{scale}x" for scale in table["scale"]]
    table["model"] = table["model"].map(MODEL_LABELS)
    return table.drop(columns="variant") if set(table["variant"]) == {PLAIN} else table


def sub_embedding_abundance(record: RunRecord) -> np.ndarray:
    """IA(E_i^{->j}) as an (i, j) array, fields in the log's order; NaN for i = j, where FFM has none (Section 4.1)."""
    found = np.array(record.spectra["sub_embedding_information_abundance"], dtype=float)
    np.fill_diagonal(found, np.nan)
    return found


def randomly_projected_abundance(record: RunRecord, seed: int | None = None) -> np.ndarray:
    """As `sub_embedding_abundance`, were every E_i^{->j} a random projection of E_i that knows nothing of j.

    The projections are Gaussian, of E_i to the size of its sub-embeddings. Only the singular values of E_i matter then:
    with E_i = U S V^T, E_i W^T has those of S G, G as random as W. seed: None: the run's.
    """
    generator = np.random.default_rng(record.config["seed"] if seed is None else seed)
    fields = len(record.fields)
    interaction = MODELS[record.config["model"]].interaction
    size = interaction.sub_embedding_size(fields, record.config["embedding_size"])
    found = np.full((fields, fields), np.nan)
    for i, values in enumerate(record.spectra["side_by_side"]):
        for j in range(fields):
            if i != j:
                projection = generator.standard_normal((len(values), size))
                found[i, j] = information_abundance_of(singular_values(np.array(values)[:, None] * projection))
    return found


def initial_sub_embedding_abundance(record: RunRecord) -> np.ndarray:
    """As `sub_embedding_abundance`, before training."""
    found = np.array(measurement.sub_embedding_information_abundance(initial_model(record)), dtype=float)
    np.fill_diagonal(found, np.nan)
    return found


def field_abundance(record: RunRecord) -> np.ndarray:
    """IA(E_i) of every field, all sets side by side."""
    return np.array([information_abundance_of(values) for values in record.spectra["side_by_side"]])


def law_means(of_pairs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """From IA(E_i^{->j}): its mean over j, by i; and by j the mean over i of IA(E_i^{->j}) over its row's mean.

    Both without i = j. The rows are made relative first: a column lacks the row of its own field, so the bare mean of a
    field with large values would leave out large values, and fall where nothing else is at work.
    """
    of_rows = np.nanmean(of_pairs, axis=1)
    return of_rows, np.nanmean(of_pairs / of_rows[:, None], axis=0)


def law_correlations(record: RunRecord, of_pairs: np.ndarray | None = None) -> tuple[float, float]:
    """Spearman's rank correlation over the fields of IA(E_i) with each of `law_means`.

    of_pairs: in place of the record's own.
    """
    of_fields = field_abundance(record)
    means = law_means(sub_embedding_abundance(record) if of_pairs is None else of_pairs)
    return tuple(float(stats.spearmanr(of_fields, mean).statistic) for mean in means)


def law_given_cardinality(record: RunRecord) -> float:
    """The second of `law_correlations`, partial: given the fields' cardinalities, or as ranks go their logarithms.

    NaN if one of both is in the order of the cardinalities, so that nothing is left.
    """
    _, other = law_means(sub_embedding_abundance(record))
    columns = [field_abundance(record), other, [field["cardinality"] for field in record.fields]]
    (_, ab, ac), (_, _, bc), _ = stats.spearmanr(np.column_stack(columns)).statistic
    left = (1 - ac**2) * (1 - bc**2)
    return float((ab - ac * bc) / np.sqrt(left)) if left > 1e-12 else float("nan")


def fishers_z(correlation: float, fields: int) -> float:
    """arctanh of a rank correlation over so many fields; of one of 1 as of one halfway to the next below."""
    most = 1 - 6 / (fields**3 - fields)
    return float(np.arctanh(np.clip(correlation, -most, most)))


def law_table(records: Sequence[RunRecord]) -> pd.DataFrame:
    """Rank correlations of the interaction-collapse law by model and size, as text: mean and range over the seeds,
    of the record's sub-embeddings and, as a control, of random projections of its embeddings."""
    rows = []
    for (model, scale), group in results_table(records).groupby(["model", "scale"], sort=False):
        of_group = [records[number] for number in group.index]
        cases = {
            "learned": [law_correlations(record) for record in of_group],
            "control": [law_correlations(r, randomly_projected_abundance(r)) for r in of_group],
        }
        row = {"model": MODEL_LABELS[model], "size": "base" if scale == 1 else f"{scale}x"}
        for number, field_name in enumerate(("own field", "other field")):
            for case, found in cases.items():
                values = [pair[number] for pair in found]
                row[f"{field_name}, {case}"] = f"{np.mean(values):+.2f} ({min(values):+.2f} to {max(values):+.2f})"
        rows.append(row)
    return pd.DataFrame(rows)


def set_abundance(record: RunRecord) -> np.ndarray:
    """IA(E_i^(m)) as a (sets, fields) array."""
    return np.array([[information_abundance_of(values) for values in fields] for fields in of_sets(record)])


def relative_spread(of_sets: np.ndarray) -> float:
    """Standard deviation over the first axis, the sets, over the mean; averaged over all else."""
    return float(np.mean(of_sets.std(axis=0) / of_sets.mean(axis=0)))


def set_spread(record: RunRecord) -> float:
    """`relative_spread` of the fields' information abundance over the sets."""
    return relative_spread(set_abundance(record))


def set_share(record: RunRecord) -> float:
    """Information abundance per set over that of a random matrix of the same shape, mean over sets and fields."""
    cardinalities = [field["cardinality"] for field in record.fields]
    random = [random_information_abundance(rows, record.config["embedding_size"]) for rows in cardinalities]
    return float(np.mean(set_abundance(record) / random))


def initial_set_abundance(record: RunRecord) -> np.ndarray:
    """As `set_abundance`, before training."""
    return np.array([[information_abundance_of(v) for v in fields] for fields in initial_spectra(record)["per_set"]])


def interaction_patterns(record: RunRecord) -> np.ndarray:
    """||W_{i->j}^(m)||_F as a (sets, i, j) array (Section 5.3), NaN for i = j."""
    return off_diagonal(record.spectra["interaction_norms"])


def initial_patterns(record: RunRecord) -> np.ndarray:
    """As `interaction_patterns`, before training."""
    return off_diagonal(initial_model(record).interaction_patterns().detach().numpy())


def initial_model(record: RunRecord) -> CTRModel:
    """The run's model before training."""
    config, cardinalities = record.config, [field["cardinality"] for field in record.fields]
    options = {name: tuple(v) if isinstance(v, list) else v for name, v in config["options"].items()}
    sizes = config["embedding_size"], config["num_sets"]
    return build_model(config["model"], cardinalities, *sizes, config["seed"], **options)


def curves_table(records: Sequence[RunRecord]) -> pd.DataFrame:
    """Training curves: a row per tenth of an epoch with the mean training loss; validation AUC at an epoch's end, else
    NaN. epoch: passes over the training rows so far."""
    rows = []
    for record in records:
        for number, epoch in enumerate(record.epochs):
            parts = len(epoch["training_loss"])
            for part, loss in enumerate(epoch["training_loss"], start=1):
                auc = epoch["validation_auc"] if part == parts else np.nan
                rows.append(
                    (
                        *(record.config["model"], variant(record.config), record.config["seed"]),
                        *(number + part / parts, loss, auc),
                    )
                )
    return pd.DataFrame(rows, columns=["model", "variant", "seed", "epoch", "training_loss", "validation_auc"])


def optimizer_table(records: Sequence[RunRecord]) -> pd.DataFrame:
    """Runs by their weight decay: a row per run.

    Columns: dataset, model, embedding, scale, seed, weight_decay, decoupled, test_auc, best_epoch; share_of_random,
    information abundance over that of random matrices, mean over the fields; own and other, the rank correlations of
    `law_correlations`, NaN without sub-embeddings.
    """
    table = results_table(records)[["dataset", "model", "embedding", "scale", "seed", "test_auc", "best_epoch"]]
    has_law = ["sub_embedding_information_abundance" in record.spectra for record in records]
    laws = [law_correlations(record) if has else (np.nan, np.nan) for record, has in zip(records, has_law, strict=True)]
    training = [record.config["training"] for record in records]
    return table.assign(
        weight_decay=[embedding_decay(protocol) for protocol in training],
        decoupled=[protocol.get("decoupled", False) for protocol in training],
        share_of_random=[share_of_random(record) for record in records],
        own=[own for own, _ in laws],
        other=[other for _, other in laws],
    )


def optimizer_summary(records: Sequence[RunRecord]) -> pd.DataFrame:
    """`optimizer_table` as text: a row per weight decay, means over the seeds with half of their 95 % intervals."""
    table = optimizer_table(records)
    single, multi = (table[(table["model"] == "dcnv2") & (table["embedding"] == e)] for e in ("SE", "ME"))
    of_ffm = table[table["model"] == "ffm"]
    keys = ["weight_decay", "decoupled", "seed"]
    gain = multi.set_index(keys)["test_auc"] - single.set_index(keys)["test_auc"]
    columns = {
        "DCNv2 SE, test AUC": (single.set_index(keys)["test_auc"], ".4f"),
        "ME minus SE": (gain, "+.4f"),
        "SE, share of random": (single.set_index(keys)["share_of_random"], ".2f"),
        "DCNv2, other field": (single.set_index(keys)["other"], "+.2f"),
        "FFM, other field": (of_ffm.set_index(keys)["other"], "+.2f"),
    }
    text = {name: values.groupby(level=keys[:2]).apply(mean_text, digits) for name, (values, digits) in columns.items()}
    found = pd.DataFrame(text).fillna("").reset_index()
    found["weight_decay"] = found["weight_decay"].map("{:g}".format)
    found["decoupled"] = found["decoupled"].map({True: "decoupled", False: "coupled"})
    return found.rename(columns={"weight_decay": "weight decay", "decoupled": "how"})


def optimizer_answers(records: Sequence[RunRecord]) -> pd.DataFrame:
    """One row of text: without weight decay (none), with the largest coupled and decoupled, means over the seeds of
    DCNv2's share of random, of the rank correlation with the other field of DCNv2 and FFM, and of the gain of multi
    over single embedding."""
    table = optimizer_table(records)
    means = table.groupby(["model", "embedding", "weight_decay", "decoupled"]).mean(numeric_only=True)
    largest, found = table["weight_decay"].max(), {}
    for name, key in {"none": (0.0, False), "coupled": (largest, False), "decoupled": (largest, True)}.items():
        single, multi, ffm = (means.loc[(*of, *key)] for of in (("dcnv2", "SE"), ("dcnv2", "ME"), ("ffm", "SE")))
        found[f"share_{name}"] = f"{single['share_of_random']:.2f}"
        found[f"other_{name}"] = f"{single['other']:+.2f}"
        found[f"ffm_{name}"] = f"{ffm['other']:+.2f}"
        found[f"gain_{name}"] = f"{multi['test_auc'] - single['test_auc']:+.4f}"
    return pd.DataFrame([found])


def half_interval(deviation, count):
    """Half of Student's t 95 % interval of a mean, from the standard deviation and the number of values; NaN of one."""
    return stats.t.ppf(0.975, np.maximum(count, 2) - 1) * deviation / np.sqrt(count)


def over_seeds(values: SeriesGroupBy) -> pd.DataFrame:
    """Of every group: mean, half_interval, half of the 95 % interval (0 of one seed), and seeds, how many there are."""
    found = values.agg(["mean", "std", "count"])
    half = half_interval(found["std"], found["count"]).fillna(0)
    return pd.DataFrame({"mean": found["mean"], "half_interval": half, "seeds": found["count"]})


def mean_text(values: pd.Series, digits: str) -> str:
    """The mean over the seeds and half of its 95 % confidence interval."""
    half = half_interval(values.std(), len(values))
    return f"{values.mean():{digits}} ± {half:{digits.lstrip('+')}}"


def off_diagonal(patterns) -> np.ndarray:
    found = np.array(patterns, dtype=float)
    found[:, np.arange(found.shape[1]), np.arange(found.shape[1])] = np.nan
    return found


def pattern_measures(record: RunRecord) -> dict[str, float]:
    """`paper_code.measurement.pattern_measures` of the trained model: correlation and spread."""
    return measurement.pattern_measures(record.spectra["interaction_norms"])


def log_label(dataset: str) -> str:
    """The log's name, and that it is synthetic if it is."""
    return dataset + ", synthetic" * (dataset in SYNTHETIC_LOGS)


def html_table(table: pd.DataFrame, escape: bool = True) -> str:
    """The table as HTML in the book's style, in a box that scrolls if it is too wide, and can be reached by keyboard.

    A deviation goes below its mean. escape: its texts are no HTML.
    """
    with pd.option_context("display.max_colwidth", None):
        html = table.to_html(index=False, border=0, justify="left", classes="table", escape=escape)
    html = re.sub(r" (± [\d.]+)", r'<br><small class="deviation">\1</small>', html)
    label = html_escape(f"Table of {', '.join(map(str, table.columns))}")
    return f'<div class="table-box" role="region" tabindex="0" aria-label="{label}">{html}</div>'


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


def auc_table(records: Sequence[RunRecord], spread: bool = False) -> pd.DataFrame:
    """Test AUC by model, variant, embedding and size, published and ours, as text: the mean over the seeds.

    spread: with the standard deviation, as in Tables 3 and 4; else as in Table 1. A model that the paper lacks has ours
    alone.
    """
    ours = results_table(records).groupby(["model", "variant", "embedding", "scale"], sort=False)["test_auc"]
    ours = ours.agg(["mean", "std"]).reset_index().assign(source="ours")
    published = published_auc(records[0].config["data"]["name"], list(ours["model"].unique()))
    published = published.rename(columns={"auc_mean": "mean", "auc_std": "std"})
    both = pd.concat([published.assign(source="published", variant=PLAIN), ours], ignore_index=True)
    digits = both["source"].map({"published": 5, "ours": 4})
    text = [f"{mean:.{number}f}" for mean, number in zip(both["mean"], digits, strict=True)]
    if spread:
        text = [f"{a} ± {b:.{n}f}" for a, b, n in zip(text, both["std"], digits, strict=True)]
    keys = {name: list(dict.fromkeys(both[name])) for name in ("model", "variant")}
    wide = both.assign(text=text).pivot(
        index=["model", "embedding", "variant", "source"], columns="scale", values="text"
    )
    order = sorted(
        wide.index,
        key=lambda row: (keys["model"].index(row[0]), row[1] == "ME", keys["variant"].index(row[2]), row[3] == "ours"),
    )
    wide = wide.reindex(order).fillna("")
    wide.columns = ["base" if scale == 1 else f"{scale}x" for scale in wide.columns]
    dataset = records[0].config["data"]["name"]
    sources = {"published": f"published, {published_dataset(dataset)}", "ours": f"ours, {log_label(dataset)}"}
    table = wide.reset_index()
    table = table.assign(model=table["model"].map(MODEL_LABELS), source=table["source"].map(sources))
    return table.drop(columns="variant") if set(table["variant"]) == {PLAIN} else table


def parts_table(records: Sequence[RunRecord]) -> pd.DataFrame:
    """Parameters of embedding, interaction and head in thousands, and seconds of a run, as text: means over the seeds
    by model, variant, embedding and size."""
    columns = {f"{part}_parameters": f"{part}, thousands" for part in ("embedding", "interaction", "head")}
    keys = ["model", "variant", "embedding", "scale"]
    means = results_table(records).groupby(keys, sort=False)[[*columns, "seconds"]].mean().reset_index()
    for name in columns:
        means[name] = ["-" if np.isnan(value) else f"{value / 1000:,.1f}" for value in means[name]]
    means["seconds"] = means["seconds"].map("{:.0f}".format)
    means["scale"] = ["base" if scale == 1 else f"{scale}x" for scale in means["scale"]]
    means["model"] = means["model"].map(MODEL_LABELS)
    return means.rename(columns=columns)


def save_table(table: pd.DataFrame, name: str, folder: str | Path) -> None:
    """Write the table to `<folder>/data/<name>.csv`; a relative folder is below the project's root."""
    folder = project_path(folder) / "data"
    folder.mkdir(parents=True, exist_ok=True)
    table.to_csv(folder / f"{name}.csv", index=False)


def statistics_table(
    profile: str, seeds: Sequence[int] | str | None = None, datasets: Sequence[str] = ()
) -> pd.DataFrame:
    """Table 2: the paper's data sets, the synthetic logs (the profile's, of the first seed) and prepared logs."""
    settings, rows = find("profile", profile, PROFILES), []
    for name, known in STATISTICS.items():
        rows.append((name, "published", *(known[key] for key in ("rows", "fields", "sum", "largest", "smallest"))))
    for name in [*SYNTHETIC_LOGS, *(name for name in datasets if name not in SYNTHETIC_LOGS)]:
        config = data_config(name, seeds_of(profile, seeds)[0], settings.rows, settings.test_rows)
        log, synthetic = load_data(config), name in SYNTHETIC_LOGS
        sizes = log.cardinalities
        kind = "synthetic" if synthetic else "prepared"
        rows.append((name, kind, log.rows - log.test_rows, len(sizes), sum(sizes), max(sizes), min(sizes)))
    table = pd.DataFrame(rows, columns=["data set", "what", "#Instances", "#Fields", "sum D_i", "max D_i", "min D_i"])
    numbers = table.columns[2:]
    table[numbers] = table[numbers].map(lambda value: f"{value:,.0f}")
    return table


def bayes_auc(log: ClickLog, seed: int) -> float:
    """The AUC of a synthetic log's true click probability on the test rows of the split by that seed."""
    test = log.split(seed).test
    return float(roc_auc_score(log.labels[test], log.click_probability[test]))


def logs_table(profile: str = "laptop", seeds: Sequence[int] | str | None = None) -> pd.DataFrame:
    """The synthetic logs: a row per log and seed, with their sizes, click rate and Bayes AUC on the test rows."""
    settings = find("profile", profile, PROFILES)
    rows = []
    for name, generate in SYNTHETIC_LOGS.items():
        for seed in seeds_of(profile, seeds):
            log = generate(seed, settings.rows, settings.test_rows)
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
                    "Bayes AUC": f"{bayes_auc(log, seed):.3f}",
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
