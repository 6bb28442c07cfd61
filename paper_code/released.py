"""What the authors' code does otherwise than the paper says, or where the paper is silent, measured."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from paper_code.claims import OTHER_CHOICES, Runs
from paper_code.models import MODEL_LABELS
from paper_code.runs import RunRecord
from paper_code.tables import PLAIN, half_interval, mean_text, share_of_random

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
            "run": [f"{MODEL_LABELS[row.model]} {row.embedding} {row.scale}x" for row in table.itertuples()],
            "share of random": [f"{row.share:.2f}, usually {row.usual:.2f}" for row in table.itertuples()],
            "change of test AUC": [f"{row.change:+.5f} ± {row.half_interval:.5f}" for row in table.itertuples()],
        }
    )
