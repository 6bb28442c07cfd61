"""A check of validity, and what it keeps a claim from: one whose check fails is not testable here."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import pandas as pd

from paper_code.models import MODEL_LABELS
from paper_code.runs.regime import WORTHWHILE

TRAINED_OUT = "trained out"
STOPPING = "stopping is fair"
LIVE = "interactions live"
EVIDENCE_III = "Evidence III applied"
FIGURE_9D = "Figure 9d applied"
LATENT = "a larger embedding could help"
NOISE = "noise is known"
OF_AUC = (TRAINED_OUT, STOPPING)
"""Checks of every claim on AUC."""
LEAST_SEEDS = 3
YES, NO, NOT_RUN, DESCRIPTIVE = "yes", "no", "not run", "-"


@dataclass(frozen=True)
class Check:
    """A check on one log.

    measures: what was measured; bound: when it passes; gates: which claims, in words.
    rows: columns model, embedding and scale (empty where it is of all), measure, value, low and high (95 % interval
    over seeds, NaN without), seeds, bound as text, and passes: "yes", "no", "not run", or "-" of what is shown beside.
    """

    name: str
    measures: str
    bound: str
    gates: str
    dataset: str
    rows: pd.DataFrame

    @property
    def outcome(self) -> str:
        """The outcome on the whole log: "passes", "fails in 2 of 8", "not run" or, if nothing depends on it, "-"."""
        return self.outcome_of(self.rows)

    def outcome_of(self, rows: pd.DataFrame) -> str:
        judged = list(rows.loc[rows["passes"] != DESCRIPTIVE, "passes"])
        if not judged:
            return DESCRIPTIVE if len(rows) else NOT_RUN
        if self.name == LATENT:
            return "passes" if YES in judged else NOT_RUN if NOT_RUN in judged else "fails"
        if NO in judged:
            return f"fails in {judged.count(NO)} of {len(judged)}"
        return NOT_RUN if NOT_RUN in judged else "passes"

    def outcome_for(self, claim) -> str:
        """The outcome for what a `paper_code.chapters.shared.rules.Claim` is about."""
        if self.name in (STOPPING, LATENT):
            return self.outcome
        keys, models = set(claim.judged), {model for model, *_ in claim.judged}
        if self.name == TRAINED_OUT:
            embeddings = {embedding for _, embedding, scale in keys if scale > 1}
            judged = (self.rows["scale"] == 1) | self.rows["embedding"].isin(embeddings)
            rows = self.rows[self.rows["model"].isin(models) & judged]
            if models - set(rows["model"]):
                return NOT_RUN
            return self.outcome_of(over_models(rows) if claim.averaged else rows)
        if self.name == LIVE:
            keys = {key for key in keys if key[0] != "dnn"}
        if self.name == FIGURE_9D:
            keys = {key for key in keys if key[1] == "ME"}
        of_row = list(zip(self.rows["model"], self.rows["embedding"], self.rows["scale"], strict=True))
        if keys - set(of_row):
            return NOT_RUN
        return self.outcome_of(self.rows[[key in keys for key in of_row]])


def gate(claim, checks: Sequence[Check]):
    """The claim with what its checks came to: `failed` if one did not pass; in `notes` the models of an average for
    which a check fails.

    checks: of the claim's log those that it names, and LIVE for an average; of a claim on the mean of several logs,
    those of all of them.
    """
    failed, notes = [], list(claim.notes)
    for name in claim.checks:
        found = [check.outcome_for(claim) for check in checks if check.name == name]
        bad = NOT_RUN if not found else next((outcome for outcome in found if outcome != "passes"), "passes")
        if bad != "passes":
            failed.append(f"{name}: {bad}")
    if claim.averaged:
        for check in (check for check in checks if check.name in (TRAINED_OUT, LIVE)):
            names = [label for label, outcome in by_model(check, claim) if outcome.startswith("fails")]
            notes += [f"{check.name} fails for {', '.join(names)}"] if names else []
    return replace(claim, failed="; ".join(failed), notes=tuple(dict.fromkeys(notes)))


def by_model(check: Check, claim) -> Iterable[tuple[str, str]]:
    """(label, outcome) of every model of the claim alone."""
    for model in dict.fromkeys(model for model, *_ in claim.judged):
        judged = tuple(key for key in claim.judged if key[0] == model)
        yield MODEL_LABELS[model], check.outcome_for(replace(claim, judged=judged, averaged=False))


def over_models(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows of `trained_out`, as means over the models."""
    keys = ["embedding", "scale", "measure"]
    means = rows.groupby(keys, sort=False)["value"].mean()
    complete = rows.groupby(keys, sort=False)["passes"].agg(lambda passes: NOT_RUN not in set(passes))
    passes = [(YES if means[key] < WORTHWHILE else NO) if complete[key] else NOT_RUN for key in means.index]
    return means.reset_index().assign(passes=passes)
