"""How like a real click log a synthetic one is: the numbers that both should share, computed for any encoded log.

`python -m paper_code.chapters.synthetic_logs criteo_80k avazu_6k` computes them for the synthetic logs and for these
prepared logs, and writes `figures/data/likeness.csv` and `likeness_fields.csv`, which the data card shows.
"""

import argparse
import platform
from collections.abc import Iterator, Sequence
from datetime import date
from importlib.metadata import version
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.sparse import csr_matrix
from tqdm import tqdm

from paper_code.data import SYNTHETIC_LOGS, ClickLog, load_click_log
from paper_code.runs.config import DATA_FOLDER
from paper_code.runs.profiles import PROFILES, find, project_path, seeds_of

FOLDS = 5
PRIOR_READS = 10
"""A value's click rate counts so many reads at the log's own rate beside those seen: a rare value tells little."""
PAIR_BUCKETS = 1 << 20
PENALTIES = {False: (0.01, 0.03, 0.1, 0.3), True: (0.001, 0.003, 0.01, 0.03)}
"""C of the logistic regression without and with pairs; the best on the first fold is taken."""
REGIME_ROWS = 200_000
MEASURES = {
    "rows": "rows",
    "fields": "fields",
    "sum_of_cardinalities": "sum of cardinalities",
    "rows_per_value": "rows per value",
    "click_rate": "click rate",
    "shared_id_reads": "reads of the id that rare values share",
    "reads_below_100": "reads of values with fewer than 100 reads",
    "reads_below_1000": "reads of values with fewer than 1,000 reads",
    "most_frequent": "reads of a field's most frequent value, median",
    "evenness": "entropy of a field over log(D), median",
    "entropy": "entropy of a field in bits, median",
    "entropy_largest": "entropy of a field in bits, largest",
    "information_best": "information of the best field on the label",
    "information_median": "information of a field on the label, median",
    "dependence": "dependence of two fields, mean",
    "dependent_pairs": "pairs of fields with a dependence above one half",
    "determined_fields": "fields that another determines",
    "auc_linear": "AUC of a logistic regression",
    "auc_pairs": "AUC of one with pairs of fields",
    "gain_of_pairs": "gain of the pairs",
}
SHARES = ("shared_id_reads", "reads_below_100", "reads_below_1000", "most_frequent", "information_best")
SHARES += ("information_median", "dependent_pairs", "determined_fields")


def likeness(log: ClickLog, seed: int = 0) -> tuple[dict[str, float], pd.DataFrame]:
    """The `MEASURES` of a log, and a row of its own per field; of all rows, in folds and permutations drawn by `seed`.

    Shares of reads are means over fields. Information of a field on the label: how much its click rates, learned on
    four fifths of the rows, shorten the code of the labels of the others, as a share of their entropy. Dependence of
    two fields: their mutual information less that of permuted rows, as a share of what it can be at most, the smaller
    entropy less the same; above .95 the field of smaller entropy is determined by the other. AUC: of labels predicted
    in five folds, one-hot values, pairs hashed.
    """
    fields = field_table(log, seed)
    joint = dependence(np.asarray(log.ids), fields["entropy"].to_numpy(), np.random.default_rng(seed))
    below = {bound: fields[f"reads_below_{bound}"].mean() for bound in (100, 1000)}
    linear, pairs = (predicted_auc(log, with_pairs, seed) for with_pairs in (False, True))
    values = {
        "rows": log.rows,
        "fields": len(fields),
        "sum_of_cardinalities": sum(log.cardinalities),
        "rows_per_value": log.rows / sum(log.cardinalities),
        "click_rate": log.labels.mean(dtype=float),
        "shared_id_reads": fields["shared_id_reads"].mean() if log.threshold > 1 else 0.0,
        "reads_below_100": below[100],
        "reads_below_1000": below[1000],
        "most_frequent": fields["most_frequent"].median(),
        "evenness": (fields["entropy"] / np.log2(fields["cardinality"])).median(),
        "entropy": fields["entropy"].median(),
        "entropy_largest": fields["entropy"].max(),
        "information_best": fields["information"].max(),
        "information_median": fields["information"].median(),
        "dependence": joint["dependence"].mean(),
        "dependent_pairs": (joint["dependence"] > 0.5).mean(),
        "determined_fields": len(set(joint.loc[joint["determined"] >= 0, "determined"])) / len(fields),
        "auc_linear": linear,
        "auc_pairs": pairs,
        "gain_of_pairs": pairs - linear,
    }
    return values, fields


def field_table(log: ClickLog, seed: int = 0) -> pd.DataFrame:
    """A row per field: cardinality, entropy in bits, shares of reads by the value's frequency, and information on the
    label as a share of the label's entropy."""
    rows = []
    for column, field in enumerate(log.fields):
        ids = np.asarray(log.ids[:, column])
        counts = np.bincount(ids, minlength=field.cardinality)
        reads = {f"reads_below_{bound}": counts[counts < bound].sum() / log.rows for bound in (100, 1000)}
        rows.append(
            {
                "field": field.name,
                "cardinality": field.cardinality,
                "entropy": entropy(counts),
                "most_frequent": counts.max() / log.rows,
                "shared_id_reads": counts[0] / log.rows,
                **reads,
                "information": information(ids, field.cardinality, log.labels, seed),
            }
        )
    return pd.DataFrame(rows)


def entropy(counts: np.ndarray) -> float:
    """The entropy, in bits, of draws that fell so often into each cell."""
    counts = counts[counts > 0]
    return float(np.log2(counts.sum()) - (counts * np.log2(counts)).sum() / counts.sum())


def information(ids: np.ndarray, cardinality: int, labels: np.ndarray, seed: int = 0) -> float:
    """How much a value (rows,) tells of its label (rows,), in shares of the label's entropy, on rows held out.

    Near zero, or a little below, if it tells nothing; a lower bound, for rates of rare values are not known well.
    """
    loss = entropy_of_labels = 0.0
    for train, test in folds(labels, seed):
        rate = labels[train].mean(dtype=float)
        reads = np.bincount(ids[train], minlength=cardinality)
        clicks = np.bincount(ids[train], labels[train], minlength=cardinality)
        predicted = (clicks + PRIOR_READS * rate) / (reads + PRIOR_READS)
        loss += bits(labels[test], predicted[ids[test]])
        entropy_of_labels += bits(labels[test], np.full(len(test), rate))
    return float(1 - loss / entropy_of_labels)


def bits(labels: np.ndarray, predicted: np.ndarray) -> float:
    """The length in bits of the code of the labels (rows,) by the predicted probabilities of a click (rows,)."""
    return float(-np.log2(np.where(labels == 1, predicted, 1 - predicted)).sum())


def folds(labels: np.ndarray, seed: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Rows of training and test, five times, each row in one test part, with the same click rate in all."""
    from sklearn.model_selection import StratifiedKFold

    return StratifiedKFold(FOLDS, shuffle=True, random_state=seed).split(labels[:, None], labels)


def dependence(ids: np.ndarray, entropies: np.ndarray, rng: np.random.Generator) -> pd.DataFrame:
    """A row per pair of the fields of `ids` (rows, fields): their dependence, from 0 (as permuted rows) to 1 (the one
    of smaller entropy is a function of the other), and determined, that one's number if this is above .95, else -1.

    Two fields with so many values that permuted rows tell as much have none.
    """
    permuted = ids[rng.permutation(len(ids))]
    sizes = ids.max(axis=0).astype(np.int64) + 1
    rows = []
    for first, second in combinations(range(ids.shape[1]), 2):
        joint, chance = (
            entropy(np.unique(ids[:, first] * sizes[second] + other[:, second], return_counts=True)[1])
            for other in (ids, permuted)
        )
        smaller = min((first, second), key=lambda field: entropies[field])
        # of the mutual information H(x) + H(y) - H(x, y) the entropies of the fields cancel but for the smaller one
        possible = entropies[smaller] - (entropies[first] + entropies[second] - chance)
        found = (chance - joint) / possible if possible > 0.01 * entropies[smaller] else 0.0
        rows.append((first, second, found, smaller if found > 0.95 else -1))
    return pd.DataFrame(rows, columns=["first", "second", "dependence", "determined"])


def predicted_auc(log: ClickLog, with_pairs: bool, seed: int = 0) -> float:
    """AUC of a logistic regression, each row predicted by one fitted on the other four fifths of the rows."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import roc_auc_score

    features, labels = one_hot(log, with_pairs), np.asarray(log.labels)
    scores, penalty = np.empty(log.rows), None
    for train, test in folds(labels, seed):
        kept = np.asarray(features[train].sum(axis=0)).ravel() > 1  # a value seen once tells nothing of other rows
        of_fold = features[:, kept]

        def fit(c: float, rows=of_fold, train=train, test=test) -> np.ndarray:
            model = LogisticRegression(C=c, max_iter=300, tol=1e-3).fit(rows[train], labels[train])
            return model.decision_function(rows[test])

        if penalty is None:
            fitted = {c: fit(c) for c in PENALTIES[with_pairs]}
            penalty = max(fitted, key=lambda c: roc_auc_score(labels[test], fitted[c]))
            scores[test] = fitted[penalty]
        else:
            scores[test] = fit(penalty)
    return float(roc_auc_score(labels, scores))


def one_hot(log: ClickLog, with_pairs: bool) -> csr_matrix:
    """A column per value of each field, and `PAIR_BUCKETS` that the pairs of values are hashed to; (rows, columns)."""
    ids = np.asarray(log.ids).astype(np.uint64)
    starts = np.cumsum([0, *log.cardinalities]).astype(np.int32)
    columns, width = [np.asarray(log.ids) + starts[:-1]], int(starts[-1])
    if with_pairs:
        for number, (first, second) in enumerate(combinations(range(ids.shape[1]), 2)):
            pair = ids[:, first] * np.uint64(log.cardinalities[second]) + ids[:, second]
            bucket = mixed(pair + np.uint64(number << 40)) % np.uint64(PAIR_BUCKETS)
            columns.append((width + bucket.astype(np.int32))[:, None])
        width += PAIR_BUCKETS
    columns = np.concatenate(columns, axis=1, dtype=np.int32)
    ends = np.arange(0, columns.size + 1, columns.shape[1], dtype=np.int32)
    return csr_matrix((np.ones(columns.size, np.float32), columns.ravel(), ends), (len(columns), width))


def mixed(keys: np.ndarray) -> np.ndarray:
    """A hash of 64 bits, the finaliser of SplitMix64."""
    keys = (keys ^ (keys >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    keys = (keys ^ (keys >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return keys ^ (keys >> np.uint64(31))


def compute(names: list[str], data_folder: Path = DATA_FOLDER) -> tuple[pd.DataFrame, pd.DataFrame]:
    """A row of measures per log, and a row per log and field: each prepared log of `names`, beside it the synthetic log
    that stands for it with as many rows, and with those of the regime."""
    logs = []
    for name in names:
        real = load_click_log(data_folder / name)
        like = "avazu_like" if name.startswith("avazu") else "criteo_like"
        sizes = (real.rows, REGIME_ROWS)
        logs += [(name, f"SHA-256 {real.source['sha256']}", real)]
        logs += [(like, "seed 0", SYNTHETIC_LOGS[like](0, rows, 0)) for rows in sizes]
    made_by = ", ".join(f"{package} {version(package)}" for package in ("scikit-learn", "numpy"))
    provenance = {"versions": f"{made_by}, {platform.machine()}", "date": date.today().isoformat()}
    tables, of_fields = [], []
    for name, source, log in tqdm(logs, unit="log"):
        values, fields = likeness(log)
        tables.append({"log": name, **values, "source": source, **provenance})
        of_fields.append(fields.assign(log=name, rows=log.rows)[["log", "rows", *fields.columns]])
    return pd.DataFrame(tables), pd.concat(of_fields, ignore_index=True)


def committed(name: str = "likeness") -> pd.DataFrame:
    """The committed numbers: "likeness", a row per log, or "likeness_fields", a row per log and field."""
    return pd.read_csv(project_path(f"figures/data/{name}.csv"))


def likeness_table() -> pd.DataFrame:
    """The committed measures as text: a row per measure, a column per log."""
    columns = {"": list(MEASURES.values())}
    for row in committed().to_dict("records"):
        columns[f"{row['log']}, {row['rows']:,} rows"] = [as_text(name, row[name]) for name in MEASURES]
    return pd.DataFrame(columns)


def as_text(name: str, value: float) -> str:
    if name in SHARES:
        return f"{value:.1%}"
    if name in ("rows", "fields", "sum_of_cardinalities"):
        return f"{value:,.0f}"
    return f"{value:.1f}" if name in ("rows_per_value", "entropy", "entropy_largest") else f"{value:.3f}"


def fields_text() -> pd.DataFrame:
    """The committed numbers of the fields as text, those that tell most of the label first."""
    table = committed("likeness_fields").sort_values(["log", "rows", "information"], ascending=[True, True, False])
    shares = ("most_frequent", "shared_id_reads", "reads_below_100", "reads_below_1000", "information")
    return pd.DataFrame(
        {
            "log": [f"{log}, {rows:,} rows" for log, rows in zip(table["log"], table["rows"], strict=True)],
            "field": table["field"],
            "values": [f"{value:,}" for value in table["cardinality"]],
            "entropy, bits": [f"{value:.1f}" for value in table["entropy"]],
            **{name.replace("_", " "): [f"{value:.1%}" for value in table[name]] for name in shares},
        }
    )


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m paper_code.chapters.synthetic_logs", description=__doc__)
    parser.add_argument(
        "logs", nargs="+", help="prepared logs; those that begin with avazu are held against avazu_like"
    )
    parser.add_argument("--data-dir", type=Path, default=DATA_FOLDER, help="encoded logs (default: %(default)s)")
    options = parser.parse_args()
    for name, table in zip(("likeness", "likeness_fields"), compute(options.logs, options.data_dir), strict=True):
        table.to_csv(project_path(f"figures/data/{name}.csv"), index=False, float_format="%.5g")


if __name__ == "__main__":
    main()


def bayes_auc(log: ClickLog, seed: int) -> float:
    """The AUC of a synthetic log's true click probability on the test rows of the split by that seed."""
    from sklearn.metrics import roc_auc_score

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
