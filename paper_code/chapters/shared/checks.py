"""Checks of validity: was the treatment that a claim speaks of applied? From records only.

The book's page "The regime" has them with their bounds, which were fixed before the runs. A claim whose check fails is
not testable here; so is one whose check was not made.
"""

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd

from paper_code.chapters.shared.gates import (
    DESCRIPTIVE,
    EVIDENCE_III,
    FIGURE_9D,
    LATENT,
    LEAST_SEEDS,
    LIVE,
    NO,
    NOISE,
    NOT_RUN,
    STOPPING,
    TRAINED_OUT,
    YES,
    Check,
)
from paper_code.chapters.shared.tables import PLAIN, Runs, half_interval, log_label
from paper_code.models import MODEL_LABELS, model_options
from paper_code.runs.choices import BY_WIDTH, KINDS, kinds_of
from paper_code.runs.experiments import PAPER_MODELS
from paper_code.runs.record import RunRecord
from paper_code.runs.regime import LEAST_PROJECTED, MOST_DISTANCE, REGIMES, WORTHWHILE, learner

MOST_GAP, MOST_GAP_BETWEEN = 0.001, 0.0005
MOST_NORM_CHANGE = 0.25
MOST_CORRELATION, SPREAD_FACTOR = 0.7, 3
RESTRICTED_WEIGHT, RESTRICTED_CORRELATION, RESTRICTED_NORM_CHANGE = 1.0, 0.95, 0.1
TRIED = "tried"
"""Instead of an experiment's name: the runs by which the regime was chosen."""
LATENT_LOG, LATENT_VARIANT = "criteo_like", "latent_size 24"
COLUMNS = ["model", "embedding", "scale", "measure", "value", "low", "high", "seeds", "bound", "passes"]


def row(
    model: str, embedding: str, scale: int, measure: str, values: Sequence[float], bound: str, passes, least=LEAST_SEEDS
) -> dict:
    """A row of the table, of values by seed.

    passes: mean, low, high -> bool; or an answer. least: fewer seeds are not enough.
    """
    values = np.asarray([value for value in values if np.isfinite(value)], dtype=float)
    found = {"model": model, "embedding": embedding, "scale": scale, "measure": measure, "bound": bound}
    if len(values) == 0:
        nothing = {"value": np.nan, "low": np.nan, "high": np.nan, "seeds": 0}
        return found | nothing | {"passes": NOT_RUN if callable(passes) else passes}
    mean = float(values.mean())
    half = float(half_interval(values.std(ddof=1), len(values))) if len(values) > 1 else np.nan
    low, high = mean - half, mean + half
    if callable(passes):
        passes = NOT_RUN if len(values) < least else YES if passes(mean, low, high) else NO
    return found | {"value": mean, "low": low, "high": high, "seeds": len(values), "passes": passes}


def table_of(rows: list[dict]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=COLUMNS)


def trained_out(tried: Runs) -> pd.DataFrame:
    """Gains in test AUC of half and double the rate, and of double width, over what was chosen.

    tried: the runs by which the regime was chosen. They compare rates for every model at the base, and at 4x for single
    and multi embedding, on validation scores, which are not looked at here.
    """
    regime = REGIMES.get(tried.dataset)
    scores: dict[tuple, dict[int, float]] = {}
    for record, of_run in zip(tried.records, tried.table.itertuples(), strict=True):
        config, training = record.config, record.config["training"]
        if config.get("regularizer"):  # by which the weight of Evidence III was chosen
            continue
        how = training["batch_size"], config["options"].get("hidden", [0])[0], training["learning_rate"]
        place = learner(config["model"], config["options"]), of_run.embedding, of_run.scale
        scores.setdefault((*place, *how), {})[config["seed"]] = record.scores["test_auc"]
    rows = []
    for model, kind in kinds_of(tried.dataset) if regime else ():
        if model not in regime.rates:
            continue
        scale, sets = KINDS[kind]
        rate = regime.learning_rate(model, scale, sets)
        width = regime.hidden if "hidden" in model_options(model.split()[0]) else 0
        place = model, "ME" if sets > 1 else "SE", scale * sets
        usual = scores.get((*place, regime.batch_size, width, rate), {})
        changes = {"half the rate": (width, rate / 2), "double rate": (width, 2 * rate)}
        if kind == "base" and model in BY_WIDTH:
            changes["double width"] = 2 * width, rate
        for what, how in changes.items():
            changed = scores.get((*place, regime.batch_size, *how), {})
            gains = [changed[seed] - usual[seed] for seed in sorted(changed.keys() & usual)]
            rows.append(row(*place, what, gains, f"< {WORTHWHILE}", lambda mean, *_: mean < WORTHWHILE, 1))
    return table_of(rows)


def gap_at_best(record: RunRecord) -> float:
    """Validation AUC at the best look less the mean of the epochs' ends around it: of that at which it was taken, or of
    those before and after it as far as there are."""
    looks = record.looks
    best, every = int(np.argmax(looks)) + 1, record.config["training"].get("looks_per_epoch", 1)
    ends = {best // every * every, -(-best // every) * every}
    return looks[best - 1] - float(np.mean([looks[end - 1] for end in ends if 0 < end <= len(looks)] or [np.nan]))


def stopping(runs: Runs) -> pd.DataFrame:
    """`gap_at_best`: the median over all runs, and the difference between the sizes' medians."""
    table = runs.table[runs.table["variant"] == PLAIN]
    gaps = [gap_at_best(runs.records[number]) for number in table["number"]]
    table = table.assign(gap=np.array(gaps, dtype=float))
    below, between = f"< {MOST_GAP}", f"< {MOST_GAP_BETWEEN}"
    medians = table.groupby(["embedding", "scale"])["gap"].median()
    of_sizes = [
        row("", *size, "gap, median over the runs", [median], "", DESCRIPTIVE) for size, median in medians.items()
    ]
    enough = table["seed"].nunique() >= LEAST_SEEDS and len(medians) > 1
    measures = {"gap, median over all runs": (table["gap"].median(), below, MOST_GAP)}
    difference = medians.max() - medians.min() if len(medians) else np.nan
    measures["largest difference of the medians between sizes"] = (difference, between, MOST_GAP_BETWEEN)
    judged = [
        row("", "", 0, measure, [value], bound, (YES if value < most else NO) if enough else NOT_RUN)
        for measure, (value, bound, most) in measures.items()
    ]
    return table_of(judged + of_sizes)


def live(runs: Runs, of_ffm: Runs) -> pd.DataFrame:
    """What the interactions cost to be without, by model and size; beside it DCNv2 less DNN."""
    rows = []
    sizes = [("SE", scale) for scale in runs.scales] + [("ME", scale) for scale in runs.scales if scale > 1]
    expected = [(runs, model, *size) for model in PAPER_MODELS if model != "dnn" for size in sizes]
    for of, model, embedding, scale in [(of_ffm, "ffm", "SE", 1), *expected]:
        cost = of.measured(lambda r: r.scores.get("interaction_cost", np.nan), model, embedding, scale)
        bound = f"interval > {WORTHWHILE}"
        rows.append(
            row(model, embedding, scale, "cost in test AUC", cost, bound, lambda mean, low, high: low > WORTHWHILE)
        )
    for size in sizes:
        difference = (runs("test_auc", "dcnv2", *size) - runs("test_auc", "dnn", *size)).dropna()
        rows.append(row("dcnv2 - dnn", *size, "test AUC, DCNv2 minus DNN", difference, "", DESCRIPTIVE))
    return table_of(rows)


def at_best(name: str) -> Callable[[RunRecord], float]:
    """The record's number of that name at the best look, NaN if it was not measured."""
    return lambda record: record.moments.get("best", {}).get(name, np.nan)


def norm_changes(runs: Runs) -> pd.Series:
    """By size the mean norm of the embeddings of DCNv2 with Evidence III's penalty over that without, less one."""
    found = {}
    for scale in runs.scales:
        pair = (
            runs.measured(at_best("embedding_norm"), "dcnv2", scale=scale, variant=variant)
            for variant in ("unitary", PLAIN)
        )
        penalised, plain = pair
        found[scale] = (penalised / plain).dropna().mean() - 1
    return pd.Series(found, dtype=float)


def evidence_iii(runs: Runs) -> pd.DataFrame:
    """Evidence III's penalty at every size, at the best look."""
    rows, changes = [], norm_changes(runs)
    for scale in runs.scales:

        def of(name: str, variant: str, scale=scale) -> pd.Series:
            return runs.measured(at_best(name), "dcnv2", scale=scale, variant=variant)

        distance = (of("distance_to_unitary", "unitary") / of("distance_to_unitary", PLAIN)).dropna()
        key = "dcnv2", "SE", scale
        rows += [
            row(
                *key,
                "distance to a multiple of a unitary matrix, over that without the penalty",
                distance,
                f"at most {MOST_DISTANCE}",
                lambda mean, *_: mean <= MOST_DISTANCE,
            ),
            row(
                *key,
                "IA(E_i W^T) / IA(E_i)",
                of("projected_abundance", "unitary"),
                f"at least {LEAST_PROJECTED}",
                lambda mean, *_: mean >= LEAST_PROJECTED,
            ),
            row(
                *key,
                "change of the embeddings' norm",
                [changes[scale]],
                f"within {MOST_NORM_CHANGE}, or it reads so",
                DESCRIPTIVE,
            ),
        ]
    return table_of(rows)


def figure_9d(runs: Runs) -> pd.DataFrame:
    """The restriction of the norms at every size of multi embedding, at the best look."""
    rows, restricted = [], "norm_divergence"
    for scale in (scale for scale in runs.scales if scale > 1):
        key = "dcnv2", "ME", scale

        def of(name: str, variant: str = PLAIN, key=key) -> pd.Series:
            return runs.measured(at_best(name), *key, variant)

        initial = runs.measured(lambda r: r.moments.get("initial", {}).get("pattern_spread", np.nan), *key)
        weights = runs.measured(lambda r: r.config["regularizer"]["weight"], *key, restricted)
        correlation, growth = of("pattern_correlation"), (of("pattern_spread") / initial).dropna()
        norm = (of("projection_norm", restricted) / of("projection_norm")).dropna() - 1
        enough = min(correlation.count(), growth.count()) >= LEAST_SEEDS
        differ = correlation.mean() < MOST_CORRELATION or growth.mean() >= SPREAD_FACTOR
        either = f"< {MOST_CORRELATION}, or the spread {SPREAD_FACTOR} times the initial"
        rows += [
            row(
                *key,
                "weight of the restriction",
                weights,
                f"= {RESTRICTED_WEIGHT:g}",
                lambda mean, *_: mean == RESTRICTED_WEIGHT,
            ),
            row(
                *key,
                "correlation of patterns, unrestricted",
                correlation,
                either,
                (YES if differ else NO) if enough else NOT_RUN,
            ),
            row(*key, "spread of the norms over the initial, unrestricted", growth, "see above", DESCRIPTIVE),
            row(
                *key,
                "correlation of patterns, restricted",
                of("pattern_correlation", restricted),
                f"at least {RESTRICTED_CORRELATION}",
                lambda mean, *_: mean >= RESTRICTED_CORRELATION,
            ),
            row(
                *key,
                "change of the mean norm by the restriction",
                norm,
                f"within {RESTRICTED_NORM_CHANGE}",
                lambda mean, *_: abs(mean) <= RESTRICTED_NORM_CHANGE,
            ),
        ]
    return table_of(rows)


def latent(runs: Runs) -> pd.DataFrame:
    """Gains of larger single embeddings on the log with larger latent vectors; one of them is enough."""
    rows = []
    for model in ("dnn", "dcnv2"):
        for scale in (scale for scale in runs.scales if scale > 1):
            larger, base = (runs("test_auc", model, "SE", size, LATENT_VARIANT) for size in (scale, 1))
            gains = (larger - base).dropna()
            name = "test AUC over the base"
            bound = "interval above 0 for one"
            rows.append(row(model, "SE", scale, name, gains, bound, lambda mean, low, high: low > 0))
    return table_of(rows)


def noise(runs: Runs, repeated: Runs) -> pd.DataFrame:
    """Standard deviations of test AUC: of one run with other dropout, and of the runs of the tables over their seeds,
    as values of one."""
    rows, t = [], repeated.table
    for model in ("dnn", "dcnv2"):
        for embedding, scale in [("SE", 1), ("SE", 4), ("ME", 4)]:
            same = t[(t["model"] == model) & (t["embedding"] == embedding) & (t["scale"] == scale)]["test_auc"]
            seeds = runs("test_auc", model, embedding, scale)
            for what, values in {"dropout": same, "seeds": seeds}.items():
                deviation = [values.std()] if len(values) > 1 else []
                found = row(model, embedding, scale, f"deviation over {what}", deviation, "", DESCRIPTIVE)
                rows.append(found | {"seeds": len(values)})
    return table_of(rows)


# name -> what is measured, when it passes, which claims it gates, and from experiment -> runs its rows
CHECKS: dict[str, tuple[str, str, str, Callable]] = {
    TRAINED_OUT: (
        "test AUC with half and with double the learning rate, at the base, at single and at multi 4x, and for DNN and "
        "DCNv2 with hidden layers of double width at the base, less that as it is: of the runs by which rates and "
        "width were chosen, on validation AUC",
        f"gains less than {WORTHWHILE}",
        "every claim on AUC",
        lambda runs: trained_out(runs(TRIED)),
    ),
    STOPPING: (
        "validation AUC at the best look less the mean of the epochs' ends around it, median over the runs",
        f"below {MOST_GAP}; between sizes it differs by less than {MOST_GAP_BETWEEN}",
        "every claim on AUC",
        lambda runs: stopping(runs("tables")),
    ),
    LIVE: (
        "what test AUC loses when the interaction is the identity, frozen, and all else is trained for one more epoch, "
        "against the intact model; three seeds",
        f"the 95 % interval lies above {WORTHWHILE} at every size and number of sets",
        "the law; Evidence III and IV; Finding 2; Figure 9c and 9d",
        lambda runs: live(runs("tables"), runs("evidence_i")),
    ),
    EVIDENCE_III: (
        "distance of the projections to a multiple of a unitary matrix with the penalty over that without, and what "
        "they leave of information abundance; means over the seeds",
        f"at most {MOST_DISTANCE}, and at least {LEAST_PROJECTED}, at every size",
        "Evidence III; Finding 2",
        lambda runs: evidence_iii(runs("evidence_iii")),
    ),
    FIGURE_9D: (
        "interaction patterns of the sets, unrestricted and with the restriction of the authors' weight",
        "unrestricted sets differ, restricted ones do not, and the norms stay",
        "Figure 9d",
        lambda runs: figure_9d(runs("patterns")),
    ),
    LATENT: (
        "on the same log with latent vectors of 24 in place of 6, test AUC of larger single embeddings less the base; "
        "mean over three seeds",
        "the interval of one gain lies above 0, for DNN or DCNv2",
        f"on {LATENT_LOG}: single embedding, drops, Evidence IV's AUC",
        lambda runs: latent(runs("latent")),
    ),
    NOISE: (
        "standard deviation of test AUC of the same run with other dropout, five times",
        "shown beside the effects",
        "none",
        lambda runs: noise(runs("tables"), runs("noise")),
    ),
}


def check_of(name: str, runs: Callable[[str], Runs], dataset: str) -> Check:
    """A check of a log. runs: experiment -> its runs as far as they are there, with the sizes they should have."""
    *words, rows = CHECKS[name]
    return Check(name, *words, dataset, rows(runs))


def names_for(dataset: str) -> list[str]:
    """The checks that a log has."""
    return [name for name in CHECKS if name != LATENT or dataset == LATENT_LOG]


def outcomes_table(checks: Sequence[Check]) -> pd.DataFrame:
    """A row per check, a column for each log with its outcome; "" of a check that the log does not have."""
    outcomes = {(check.name, log_label(check.dataset)): check.outcome for check in checks}
    logs = list(dict.fromkeys(log for _, log in outcomes))
    names = dict.fromkeys(name for name, _ in outcomes)
    return pd.DataFrame([{"check": name} | {log: outcomes.get((name, log), "") for log in logs} for name in names])


def learner_label(name: str) -> str:
    """A `learner` in words, such as "FM, DNN alone"; nothing of what is no model."""
    model, _, dnn = name.partition(" ")
    if model not in MODEL_LABELS or "-" in dnn:
        return ""
    return MODEL_LABELS[model] + (f", DNN {dnn}" if dnn else "")


def check_table(check: Check) -> pd.DataFrame:
    """A row per run and measure of a check as text: model, size, measure, value, interval, seeds, bound, passes."""
    rows = []
    for of_row in check.rows.to_dict("records"):
        digits = "+.5f" if check.name in (TRAINED_OUT, STOPPING, LIVE, LATENT, NOISE) else ".3f"
        size = "base" if of_row["scale"] == 1 else f"{of_row['embedding']} {of_row['scale']}x"
        interval = f"{of_row['low']:{digits}} to {of_row['high']:{digits}}" if np.isfinite(of_row["low"]) else "-"
        rows.append(
            {
                "model": learner_label(of_row["model"]),
                "size": size if of_row["embedding"] else "all",
                "measure": of_row["measure"],
                "value": f"{of_row['value']:{digits}}" if np.isfinite(of_row["value"]) else "-",
                "95 % interval": interval,
                "seeds": of_row["seeds"],
                "bound": of_row["bound"],
                "passes": of_row["passes"],
            }
        )
    return pd.DataFrame(rows)
