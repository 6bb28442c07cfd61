"""What the claims of several chapters share: which logs and runs they are judged by."""

from collections.abc import Sequence

from paper_code.chapters.shared.checks import LATENT_LOG
from paper_code.chapters.shared.gates import LATENT

HEADLINE_LOGS = ("criteo_like", "avazu_like", "movielens")
FEW_FIELDS = ("movielens",)
"""Logs on which law and collapse are descriptive: of eight fields, six are functions of two."""


# Of the runs of an experiment, which are told what data set and sizes they are meant to hold if some may be missing.


def on_headline(dataset: str, few_fields: bool = True) -> bool:
    """Does a claim on this log count? few_fields: also where fields are few."""
    return dataset in HEADLINE_LOGS and (few_fields or dataset not in FEW_FIELDS)


def latent_checks(dataset: str) -> tuple[str, ...]:
    """What single embedding has to pass besides where the log is made of latent vectors."""
    return (LATENT,) if dataset == LATENT_LOG else ()


def judged_runs(models: Sequence[str], *sizes: tuple[str, int]) -> tuple[tuple[str, str, int], ...]:
    """Every (model, embedding, scale); the base is single embedding."""
    found = [(model, "SE" if scale == 1 else embedding, scale) for model in models for embedding, scale in sizes]
    return tuple(dict.fromkeys(found))


OURS = "ours, not in the paper"
