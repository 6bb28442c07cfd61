"""Every number and every "all" of the paper's text that its own tables decide, recomputed from them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats

from paper_code.claims import SIGNIFICANT_AUC
from paper_code.experiments import PAPER_MODELS
from paper_code.models import MODEL_LABELS
from paper_code.published import NFWFM_AVAZU_10X_GB, PUBLISHED_AVERAGE_GAIN, published_auc
from paper_code.sizes import nfwfm_on_avazu

RUNS = 3  # of every published value (Appendix C.2)
LOGS = ("Criteo", "Avazu")


@dataclass(frozen=True)
class Statement:
    """A statement of the paper in our words, what it prints, and what its tables give."""

    section: str
    words: str
    printed: str
    recomputed: str
    agrees: bool


def auc(log: str) -> pd.DataFrame:
    """Tables 3 and 4: test AUC by (model, embedding) and size; the base, of one set, is both embeddings'."""
    table = published_auc(log.lower(), PAPER_MODELS).pivot(
        index=["model", "embedding"], columns="scale", values="auc_mean"
    )
    for model in PAPER_MODELS:
        table.loc[(model, "ME"), 1] = table.loc[(model, "SE"), 1]
    return table


def gain_of_largest(log: str, embedding: str) -> pd.Series:
    """By model: test AUC at the largest published size less that of the base (NFwFM on Avazu: 4x, else 10x)."""
    rows = auc(log).xs(embedding, level="embedding")
    return rows.ffill(axis=1).iloc[:, -1] - rows[1]


def statements() -> list[Statement]:
    """All statements, in the order of the paper."""
    found = []
    drop_models, rise_models = ["dnn", "xdeepfm", "finalmlp"], ["dcnv2", "nfwfm"]
    rising = {log: [m for m in PAPER_MODELS if gain_of_largest(log, "SE")[m] > 0] for log in LOGS}
    for log in LOGS:
        others = [MODEL_LABELS[model] for model in rising[log] if model not in rise_models]
        names = ", ".join(MODEL_LABELS[model] for model in rising[log])
        found.append(
            Statement("5.2", f"Of single embedding, only DCNv2 and NFwFM improve, {log}", "2 models", names, not others)
        )
    found += averages("5.2", "Gain of DCNv2 and NFwFM, single embedding", rise_models, "SE", (0.00036, 0.00090))
    found += averages("5.2", "Drop of DNN, xDeepFM and FinalMLP at 10x", drop_models, "SE", (-0.00136, -0.00118))
    found += averages("5.2", "Gain of DCNv2 and NFwFM, multi embedding", rise_models, "ME", (0.00099, 0.00202))
    for log, printed in zip(LOGS, (0.00099, 0.00202), strict=True):
        single = auc(log).xs("SE", level="embedding")
        most = float((single.max(axis=1) - single[1]).max())
        words = f"Single embedding never gains as much, {log}"
        found.append(Statement("5.2", words, f"less than {printed:.5f}", f"at most {most:.5f}", most < printed))
    found += everywhere()
    at_10x = pd.concat([gain_of_largest(log, "ME")[auc(log).xs("ME", level="embedding")[10].notna()] for log in LOGS])
    mean, with_4x = float(at_10x.mean()), float(pd.concat([gain_of_largest(log, "ME") for log in LOGS]).mean())
    words = "Average gain of the largest multi embedding over the base"
    recomputed = f"{mean:.5f} at 10x, {with_4x:.5f} with NFwFM at 4x"
    agrees = any(equal(value, PUBLISHED_AVERAGE_GAIN) for value in (mean, with_4x))
    found.append(Statement("5.2", words, f"{PUBLISHED_AVERAGE_GAIN:.5f}", recomputed, agrees))
    memory = nfwfm_on_avazu()["embeddings"]
    words = "Memory of the embedding of NFwFM at 10x on Avazu, by the rows of Table 2"
    agrees = abs(memory / NFWFM_AVAZU_10X_GB - 1) < 0.05
    found.append(Statement("footnote 1", words, f"{NFWFM_AVAZU_10X_GB} GB", f"{memory:.1f} GiB", agrees))
    return found


def averages(section: str, words: str, models: Sequence[str], embedding: str, printed) -> list[Statement]:
    """The mean over some models of the gain at the largest size, on each log."""
    found = []
    for log, value in zip(LOGS, printed, strict=True):
        mean = float(gain_of_largest(log, embedding)[list(models)].mean())
        text = f"{value:+.5f}", f"{mean:+.5f}"
        found.append(Statement(section, f"{words}, {log}", *text, equal(mean, value)))
    return found


def everywhere() -> list[Statement]:
    """What is said to hold for every model: where it does not, by model and size."""
    found = []
    for log in LOGS:
        table = auc(log)
        single, multi = (table.xs(embedding, level="embedding") for embedding in ("SE", "ME"))
        has_10x = multi[multi[10].notna()]
        best = [MODEL_LABELS[m] for m in has_10x.index if not has_10x.loc[m, 10] > has_10x.loc[m, [1, 2, 3, 4]].max()]
        steps = multi.diff(axis=1)
        falls = [f"{MODEL_LABELS[m]} {s}x" for m in PAPER_MODELS for s in steps.columns[1:] if steps.loc[m, s] <= 0]
        behind = multi - single
        worse = [f"{MODEL_LABELS[m]} {s}x" for m in PAPER_MODELS for s in behind.columns[1:] if behind.loc[m, s] <= 0]
        for words, printed, exceptions in (
            (f"Multi embedding is best at 10x for every model, {log}", "always", best),
            (f"Multi embedding improves with every growth of the size, {log}", "consistent", falls),
            (f"Multi embedding is better than single embedding at every size, {log}", "implied", worse),
        ):
            listed = f"not {', '.join(exceptions)}" if exceptions else "always"
            found.append(Statement("5.2", words, printed, listed, not exceptions))
    return found


def equal(a: float, b: float) -> bool:
    """To the last of five digits, give or take one: the tables are rounded themselves."""
    return abs(a - b) < 1.5e-5


def statements_table() -> pd.DataFrame:
    """A row per statement: where, the statement in our words, printed, from the tables, agrees."""
    rows = [(s.section, s.words, s.printed, s.recomputed, "yes" if s.agrees else "no") for s in statements()]
    return pd.DataFrame(rows, columns=["section", "statement", "printed", "from its tables", "agrees"])


def published_intervals() -> pd.DataFrame:
    """Published gains over the base at the largest size, with 95 % intervals from the published standard deviations.

    Columns: dataset, model, embedding, scale, gain; half_interval, of the difference of two means of three runs each,
    by Welch's t, as if all runs were independent; and significant, whether the gain reaches the paper's 0.001.
    """
    rows = []
    for log in LOGS:
        table = published_auc(log.lower(), PAPER_MODELS).set_index(["model", "embedding", "scale"])
        for (model, embedding), sizes in table.groupby(level=["model", "embedding"], sort=False):
            base, end = table.loc[(model, "SE", 1)], sizes.iloc[-1]
            parts = np.array([base["auc_std"], end["auc_std"]]) ** 2 / RUNS
            freedom = parts.sum() ** 2 / (parts**2 / (RUNS - 1)).sum()
            half = stats.t.ppf(0.975, freedom) * np.sqrt(parts.sum())
            rows.append((log, model, embedding, sizes.index[-1][2], end["auc_mean"] - base["auc_mean"], half))
    table = pd.DataFrame(rows, columns=["dataset", "model", "embedding", "scale", "gain", "half_interval"])
    return table.assign(significant=table["gain"] >= SIGNIFICANT_AUC)
