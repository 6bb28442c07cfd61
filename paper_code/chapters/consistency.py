"""Every number and every "all" of the paper's text that its own tables decide, recomputed from them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from scipy import stats

from paper_code.chapters.averages import averages as claimed_averages
from paper_code.chapters.models import nfwfm_on_avazu
from paper_code.chapters.shared.rules import LEVEL, SIGNIFICANT_AUC, holm_factors, verdict_of
from paper_code.chapters.shared.style import BASE_LINE, FIGURE_WIDTH, GREY, INK, line_look, styled
from paper_code.chapters.shared.tables import PLAIN
from paper_code.chapters.shared.words import EMBEDDING_LABELS, gain_text, interval_text, p_text, run_label
from paper_code.models import MODEL_LABELS
from paper_code.published import NFWFM_AVAZU_10X_GB, PUBLISHED_AVERAGE_GAIN, published_auc, published_gain
from paper_code.runs.experiments import PAPER_MODELS

RUNS = 3  # of every published value (Appendix C.2)
PAPERS_LARGEST = 10  # times the base size
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
        gains = gain_of_largest(log, embedding)[list(models)]
        mean, over_two = float(gains.mean()), float(gains.sum() / 2)
        agrees = equal(mean, value)
        told = f"; {over_two:+.6f} is their sum over two" * (not agrees and equal(over_two, value))
        found.append(Statement(section, f"{words}, {log}", f"{value:+.5f}", f"{mean:+.5f}{told}", agrees))
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


@dataclass(frozen=True)
class Welch:
    """A mean of published differences, its standard error, and its degrees of freedom after Welch and Satterthwaite, as
    if all runs were independent."""

    mean: float
    error: float
    freedom: float

    def p_value(self, bound: float = 0.0) -> float:
        """p of the two-sided test against the bound."""
        return float(2 * stats.t.sf(abs(self.mean - bound) / self.error, self.freedom))

    @property
    def half_interval(self) -> float:
        """Half of the 95 % interval."""
        return float(stats.t.ppf(0.975, self.freedom) * self.error)


def published_difference(
    logs: Sequence[str], models: Sequence[str], of: tuple[str, int], over: tuple[str, int]
) -> Welch:
    """The difference in test AUC between two (embedding, scale), averaged over the models that the table of a log has
    at both, and over the logs."""
    gains, parts = [], []
    for log in logs:
        table = published_auc(log.lower(), models).set_index(["model", "embedding", "scale"])
        both = [model for model in models if {(model, *of), (model, *over)} <= set(table.index)]
        pairs = [(table.loc[(model, *of)], table.loc[(model, *over)]) for model in both]
        gains.append(np.mean([a["auc_mean"] - b["auc_mean"] for a, b in pairs]))
        weight = 1 / (len(both) * len(logs))
        parts += [(weight * run["auc_std"]) ** 2 / RUNS for pair in pairs for run in pair]
    variances = np.array(parts)
    freedom = variances.sum() ** 2 / (variances**2 / (RUNS - 1)).sum()
    return Welch(float(np.mean(gains)), float(np.sqrt(variances.sum())), float(freedom))


def calibration_table() -> pd.DataFrame:
    """The rules of our headline claims on test AUC, applied to the paper's own tables: what they would find there.

    A row per claim: log ("both": the mean over both, against 0.001), claim, effect with half of its 95 % interval,
    claimed, p, of the claims of a log after Holm, and verdict; then the same, uncorrected, of every model.
    """
    rows, claimed = [], claimed_averages(PAPERS_LARGEST)
    for log in (*LOGS, "both"):
        bound = SIGNIFICANT_AUC if log == "both" else 0.0
        of_log = []
        for models, of, over, side, *_ in claimed.values():
            found = published_difference(LOGS if log == "both" else [log], models, of, over)
            of_log.append(
                (
                    f"mean of {len(models)} models, {run_label(*of)} minus {run_label(*over)}",
                    found,
                    side,
                    found.p_value(bound),
                )
            )
        factors = holm_factors([p for *_, p in of_log]) if log != "both" else [1.0] * len(of_log)
        rows += [calibrated(log, *row, factor, bound) for row, factor in zip(of_log, factors, strict=True)]
    for log in LOGS:
        for model in PAPER_MODELS:
            for name in ("single", "multi-4x", "multi-10x"):
                _, of, over, side, *_ = claimed[name]
                if not np.isnan(published_gain(log.lower(), model, of, over)):
                    found = published_difference([log], [model], of, over)
                    rows.append(
                        calibrated(
                            log,
                            f"{MODEL_LABELS[model]}, {run_label(*of)} minus {run_label(*over)}",
                            found,
                            side,
                            found.p_value(),
                            1.0,
                            0.0,
                        )
                    )
    return pd.DataFrame(rows)


def calibrated(log: str, claim: str, found: Welch, side: str, p: float, factor: float, bound: float) -> dict:
    p = min(1.0, p * factor)
    on_side = (found.mean > bound) == (side == "above")
    answer = "undecided" if p >= LEVEL else "yes" if on_side else "against"
    return {
        "log": log,
        "claim": claim,
        "effect": f"{found.mean:+.5f} ± {found.half_interval:.5f}",
        "claimed": f"{side} {bound:g}",
        "p": p_text(p),
        "verdict": verdict_of([answer]),
    }


def published_intervals() -> pd.DataFrame:
    """Published gains over the base at the largest size, with 95 % intervals from the published standard deviations.

    Columns: dataset, model, embedding, scale, gain; half_interval, of the difference of two means of three runs each,
    by Welch's t, as if all runs were independent; and significant, whether the gain reaches the paper's 0.001.
    """
    rows = []
    for log in LOGS:
        table = published_auc(log.lower(), PAPER_MODELS)
        for (model, embedding), sizes in table.groupby(["model", "embedding"], sort=False):
            scale = sizes["scale"].iloc[-1]
            found = published_difference([log], [model], (embedding, scale), ("SE", 1))
            rows.append((log, model, embedding, scale, found.mean, found.half_interval))
    table = pd.DataFrame(rows, columns=["dataset", "model", "embedding", "scale", "gain", "half_interval"])
    return table.assign(significant=table["gain"] >= SIGNIFICANT_AUC)


@styled
def published_figure(table: pd.DataFrame) -> tuple[Figure, pd.DataFrame]:
    """Published gains over the base at the largest size, with their intervals. table: `published_intervals`."""
    logs, models = list(table["dataset"].unique()), list(table["model"].unique())
    figure, panels = plt.subplots(1, len(logs), figsize=(FIGURE_WIDTH, 4.0), sharex=True, sharey=True)
    for axes, log in zip(np.atleast_1d(panels), logs, strict=True):
        for embedding, offset in (("SE", 0.16), ("ME", -0.16)):
            rows = table[(table["dataset"] == log) & (table["embedding"] == embedding)]
            for row in rows.itertuples():
                look = line_look(row.model, PLAIN, embedding) | {"color": GREY, "linestyle": "none"}
                look |= {"markeredgecolor": GREY, "markerfacecolor": GREY if embedding == "ME" else "none"}
                place = len(models) - models.index(row.model) + offset
                axes.errorbar(row.gain, place, xerr=row.half_interval, capsize=2, **look)
        axes.axvline(0, **BASE_LINE)
        axes.axvline(0.001, color=INK, lw=0.8, linestyle=":")
        axes.set(title=f"Published: {log}", xlabel="test AUC,\ngain over the base model")
        axes.set_xticks([-0.001, 0, 0.001, 0.002, 0.003])
        axes.tick_params(axis="x", labelrotation=45)
    labels = [MODEL_LABELS[model] for model in models]
    np.atleast_1d(panels)[0].set_yticks(range(len(models), 0, -1), labels)
    keys = [Line2D([], [], color=GREY, marker="o", linestyle="none", markerfacecolor=face) for face in ("none", GREY)]
    threshold = Line2D([], [], color=INK, lw=0.8, linestyle=":")
    figure.legend([*keys, threshold], ["single", "multi", "0.001"], ncols=3, loc="outside lower center")
    return figure, table


def describe_published(data: pd.DataFrame) -> str:
    parts = []
    for (dataset, embedding), rows in data.groupby(["dataset", "embedding"], sort=False):
        gains = [
            f"{MODEL_LABELS[r.model]} {gain_text(r.gain)}{interval_text(r.half_interval)}" for r in rows.itertuples()
        ]
        parts.append(f"{dataset}, {EMBEDDING_LABELS[embedding]}: {', '.join(gains)}")
    return (
        "Points with intervals: published gain in test AUC over the base model at the largest size, by model, for "
        f"single and multi embedding. {'. '.join(parts)}."
    )


FIGURES = {
    "published_gains": (published_figure, describe_published),
}
"""By the name of its files: what draws a figure, and what tells its numbers in words."""
