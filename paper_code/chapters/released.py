"""What the authors' code does otherwise than the paper says, or where the paper is silent, measured."""

import textwrap
from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from paper_code.chapters.shared.gates import OF_AUC
from paper_code.chapters.shared.html import mean_text
from paper_code.chapters.shared.judged import OURS, judged_runs
from paper_code.chapters.shared.rules import NOT_TESTABLE, NOT_TESTED, SIGNIFICANT_AUC, Claim, Effect, auc_effect
from paper_code.chapters.shared.style import BASE_LINE, FIGURE_WIDTH, line_look, styled
from paper_code.chapters.shared.tables import PLAIN, Runs, half_interval, log_label, share_of_random
from paper_code.chapters.shared.words import EMBEDDING_LABELS, run_label
from paper_code.models import MODEL_LABELS
from paper_code.runs.record import RunRecord

COLUMNS = [
    "dataset",
    "choice",
    "variant",
    "model",
    "embedding",
    "scale",
    "change",
    "half_interval",
    "seeds",
    "share",
    "usual",
]


def changes_table(records: Sequence[RunRecord]) -> pd.DataFrame:
    """A row per choice, with the variant's name, model and embedding: the change of test AUC against the book's choice,
    mean over the seeds, and half of its 95 % interval, paired by seed; share, information abundance over that of
    random matrices, mean over fields and seeds, and usual, the same with the book's choice."""
    runs = Runs(records)
    cases = [(choice, "dnn", embedding) for choice in OTHER_CHOICES for embedding in ("SE", "ME")]
    rows = []
    for choice, model, embedding in [*cases, ("released_form", "ipnn", "ME")]:
        changed, usual = (runs("test_auc", model, embedding, variant=variant) for variant in (choice, PLAIN))
        values = (changed - usual).dropna()
        half = half_interval(values.std(), len(values)) if len(values) > 1 else 0.0
        label = OTHER_CHOICES.get(choice, "IPNN, inner products only")
        shares = (
            np.mean([share_of_random(record) for record in runs.records_of(model, embedding, variant=variant)])
            for variant in (choice, PLAIN)
        )
        of_run = runs.dataset, label, choice, model, embedding, runs.largest
        rows.append((*of_run, values.mean(), half, len(values), *shares))
    return pd.DataFrame(rows, columns=COLUMNS)


def ipnn_gains(records: Sequence[RunRecord]) -> dict[str, str]:
    """Multi less single embedding of IPNN as text, where several sets keep the concatenation, and where they do not."""
    runs = Runs(records)
    found = {}
    for name, variant in {"concatenated": PLAIN, "products": "released_form"}.items():
        values = runs("test_auc", "ipnn", "ME", variant=variant) - runs("test_auc", "ipnn")
        found[name] = mean_text(values.dropna(), "+.4f")
    return found


def changes_text(table: pd.DataFrame) -> pd.DataFrame:
    """The table as text."""
    return pd.DataFrame(
        {
            "choice": table["choice"],
            "run": [f"{MODEL_LABELS[row.model]} {run_label(row.embedding, row.scale)}" for row in table.itertuples()],
            "share of random": [f"{row.share:.2f}, usually {row.usual:.2f}" for row in table.itertuples()],
            "change of test AUC": [f"{row.change:+.5f} ± {row.half_interval:.5f}" for row in table.itertuples()],
        }
    )


@styled
def changes_figure(table: pd.DataFrame) -> tuple[Figure, pd.DataFrame]:
    """What every choice changes in test AUC, with 95 % intervals; the band is what counts as significant.

    table: `changes_table` of `paper_code.chapters.released`.
    """
    choices = list(table["choice"].unique())
    figure, axes = plt.subplots(figsize=(FIGURE_WIDTH, 0.62 * len(choices) + 1.5))
    axes.axvspan(-0.001, 0.001, color="0.5", alpha=0.18, lw=0)
    axes.axvline(0, **BASE_LINE)
    for row in table.itertuples():
        look = line_look(row.model, PLAIN, row.embedding) | {"linestyle": "none"}
        place = len(choices) - choices.index(row.choice) + (0.14 if row.embedding == "SE" else -0.14)
        axes.errorbar(row.change, place, xerr=row.half_interval, elinewidth=1, capsize=2, **look)
    axes.set_yticks(range(len(choices), 0, -1), [textwrap.fill(choice, 26) for choice in choices], fontsize=9)
    axes.set_title(", ".join(map(log_label, table["dataset"].unique())))
    axes.set(xlabel="change of test AUC", ylim=(0.4, len(choices) + 0.6))
    keys, labels = [], []
    for model, embedding in dict.fromkeys(zip(table["model"], table["embedding"], strict=True)):
        look = line_look(model, PLAIN, embedding) | {"linestyle": "none"}
        keys.append(Line2D([], [], **look))
        labels.append(f"{MODEL_LABELS[model]} {EMBEDDING_LABELS[embedding]}")
    keys.append(Patch(color="0.5", alpha=0.18, lw=0))
    figure.legend(keys, [*labels, "less than 0.001"], ncols=2, loc="outside lower center")
    return figure, table


def describe_changes(data: pd.DataFrame) -> str:
    parts = [
        f"{row.choice}, {MODEL_LABELS[row.model]} {EMBEDDING_LABELS[row.embedding]} {row.change:+.4f} ± "
        f"{row.half_interval:.4f}"
        for row in data.itertuples()
    ]
    return f"Changes of test AUC with 95 % intervals, by choice, model and embedding. {'; '.join(parts)}."


# variants of the released code's chapter
OTHER_CHOICES = {
    "embedding_std 1.0": "embeddings start normal, deviation 1",
    "embedding_std 0.0001": "embeddings start normal, deviation 0.0001",
    "shuffle": "rows shuffled anew in every epoch",
    "vocabulary train": "values counted on the training rows only",
    "vocabulary all": "values counted on the test rows too",
}


def released_claims(runs: Runs) -> list[Claim]:
    """What the differences between the paper and the authors' code, and what the paper leaves open, are worth."""
    size = runs.largest
    multi, single = run_label("ME", size), run_label("SE", size)

    def claim(name: str, statement: str, rule: str, *effects: Effect, model="dnn", embeddings=("SE", "ME")) -> Claim:
        return Claim(
            f"released-{name}",
            OURS,
            statement,
            rule,
            effects,
            runs.dataset,
            "released",
            checks=OF_AUC,
            judged=judged_runs([model], *((embedding, size) for embedding in embeddings)),
        )

    def change(model: str, embedding: str, variant: str, name: str) -> Effect:
        pair = (runs("test_auc", model, embedding, size, which) for which in (variant, PLAIN))
        return auc_effect(name, *pair, "within", SIGNIFICANT_AUC)

    def gain_of(variant: str, words: str) -> Effect:
        pair = (runs("test_auc", "dnn", embedding, size, variant) for embedding in ("ME", "SE"))
        return auc_effect(f"test AUC, {multi} minus {single}, DNN, {words}", *pair, "above")

    return [
        *(
            claim(
                variant.replace(" ", "-").replace("_", "-"),
                f"It does not matter: {words}.",
                f"Test AUC changes by less than {SIGNIFICANT_AUC}, with single and multi embedding, paired by seed.",
                *(
                    change(
                        "dnn",
                        e,
                        variant,
                        f"test AUC, DNN {run_label(e, size)}, {words}, minus as it is",
                    )
                    for e in ("SE", "ME")
                ),
            )
            for variant, words in OTHER_CHOICES.items()
        ),
        claim(
            "ipnn",
            "It does not matter: IPNN with several sets keeps only the inner products, as in the authors' code.",
            f"Test AUC changes by less than {SIGNIFICANT_AUC}, paired by seed.",
            change(
                "ipnn",
                "ME",
                "released_form",
                f"test AUC, IPNN {multi}, products only minus with the concatenation",
            ),
            model="ipnn",
            embeddings=("ME",),
        ),
        claim(
            "gain",
            "Multi embedding is better than single embedding under every one of these choices.",
            "Multi minus single embedding of the same size is above zero, paired by seed, for DNN.",
            *(gain_of(variant, words) for variant, words in {PLAIN: "as it is", **OTHER_CHOICES}.items()),
        ),
    ]


def in_short(claims: Sequence[Claim]) -> str:
    """What the choices are worth, in words. claims: `released_claims`, judged."""
    *choices, of_gain = claims
    judged = [claim for claim in choices if claim.verdict not in (NOT_TESTABLE, NOT_TESTED)]
    if not judged:
        return f"None of the {len(choices)} choices can be judged: {choices[0].reason or choices[0].verdict}."
    names = [
        claim.statement.removeprefix("It does not matter: ").rstrip(".")
        for claim in judged
        if "against" in claim.answers
    ]
    less = sum(set(claim.answers) == {"yes"} for claim in judged)
    named = f": {'; '.join(names)}" if names else ""
    return (
        f"{len(names)} of {len(judged)} choices change test AUC by 0.001 or more, with single or with multi "
        f"embedding{named}. {less} change it by less. Of the others these seeds cannot tell. Multi embedding is better "
        f"than single embedding under every choice: {of_gain.verdict}."
    )


FIGURES = {
    "released_changes": (changes_figure, describe_changes),
}
"""By the name of its files: what draws a figure, and what tells its numbers in words."""
