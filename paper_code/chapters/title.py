"""The title page: what is asked, what the paper says, and what every log answered."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import pandas as pd

from paper_code.chapters.claims import of_first_regime
from paper_code.chapters.ledger_page import badges, small
from paper_code.chapters.shared.html import html_table
from paper_code.chapters.shared.rules import CONTRADICTED, NOT_TESTABLE, NOT_TESTED, Claim
from paper_code.chapters.shared.tables import log_label
from paper_code.chapters.shared.words import gain_text, listed
from paper_code.published import published_dataset

LOGS = {
    "movielens": "MovieLens-1M",
    "frappe": "Frappe",
    "criteo_80k": "Criteo, first 80,000 rows",
    "criteo_like": log_label("criteo_like"),
    "avazu_like": log_label("avazu_like"),
}
"""The logs of the title page, real ones first, and how they are called there."""
AWAITED = "being measured anew"


def as_share(value: float) -> str:
    return f"{value:.2f}"


def as_correlation(value: float) -> str:
    """From Fisher's z."""
    return f"{math.tanh(value):+.2f}"


@dataclass(frozen=True)
class Question:
    """A question in the reader's words, and the claim whose effect answers it.

    claim: its name. effect: which of its effects. written: a value of it as text. measure: what that is. paper: the
    published number, where the effect does not know it.
    """

    words: str
    claim: str
    effect: int
    written: Callable[[float], str]
    measure: str
    chapter: str
    paper: str = ""


QUESTIONS = (
    Question(
        "Do embedding tables collapse?",
        "embedding-collapse",
        0,
        as_share,
        "share of random: information abundance, learned over random",
        "fig02_collapse",
        "extremely low; a figure without numbers",
    ),
    Question(
        "Does a larger single embedding fail to help?",
        "average-single",
        0,
        gain_text,
        "test AUC, largest size here minus base, mean of six models",
        "fig01_scaling",
    ),
    Question(
        "Does a collapsed field collapse those it meets? In FFM",
        "interaction-collapse-ffm",
        0,
        as_correlation,
        "rank correlation with the other field",
        "fig03_interaction_collapse",
        "an increasing trend; a figure without numbers",
    ),
    Question(
        "In DCNv2",
        "interaction-collapse-dcnv2",
        0,
        as_correlation,
        "rank correlation with the other field",
        "fig03_interaction_collapse",
        "the same",
    ),
    Question(
        "Is less collapse alone of no use?",
        "finding-2",
        1,
        gain_text,
        "gain in test AUC of the largest over the base, with the penalty minus without",
        "fig06_dnn_dcnv2",
        "below zero; a figure without numbers",
    ),
    Question(
        "Do four sets beat one embedding of their size?",
        "average-multi-4x",
        0,
        gain_text,
        "test AUC, multi minus single, mean of six models",
        "table3_fig10",
    ),
    Question(
        "Do four sets beat an ensemble of four base models?",
        "alternatives-ensemble",
        1,
        gain_text,
        "test AUC, DCNv2, four sets minus four models",
        "reach",
        "not asked",
    ),
    Question(
        "And a single embedding that trains as long?",
        "alternatives-time",
        1,
        gain_text,
        "test AUC, DCNv2, four sets minus one embedding",
        "reach",
        "not asked",
    ),
)


Answers = dict[tuple[Question, str], Claim]
"""By question and log the claim that answers; a log of which a question is not asked has none."""


def answers(claims: Sequence[Claim]) -> Answers:
    """Of the ledger's claims those that answer the questions."""
    judged = {(claim.name, claim.dataset): claim for claim in claims}
    logs = sorted({claim.dataset for claim in claims} - {""}, key=lambda log: [*LOGS, log].index(log))
    return {(q, log): judged[q.claim, log] for q in QUESTIONS for log in logs if (q.claim, log) in judged}


def log_name(log: str) -> str:
    return LOGS.get(log, log)


def measured(claim: Claim) -> bool:
    """Are there runs of the regime that answer?"""
    return claim.verdict != NOT_TESTED and not of_first_regime(claim)


def number(question: Question, claim: Claim) -> str:
    """The effect with its interval."""
    effect = claim.effects[question.effect]
    low, high = map(question.written, effect.interval(claim.confidence))
    return f"{question.written(effect.mean)} ({low} to {high})"


def published(question: Question, found: Sequence[Claim]) -> str:
    """The paper's number, on the log that ours stands for."""
    if question.paper:
        return question.paper
    effects = {published_dataset(claim.dataset): claim.effects[question.effect] for claim in found}
    return "; ".join(
        f"{log} {question.written(e.published)}" for log, e in effects.items() if not math.isnan(e.published)
    )


def verdict_over(found: Sequence[str]) -> str:
    """One verdict if all logs that could be judged have it."""
    judged = {verdict for verdict in found if verdict not in (NOT_TESTED, NOT_TESTABLE, AWAITED)}
    if len(judged) == 1:
        return judged.pop()
    return "by log" if judged else NOT_TESTABLE if NOT_TESTABLE in found else AWAITED


def answers_table(found: Answers) -> pd.DataFrame:
    """A row per question: question, the paper, the logs, verdict, as HTML."""
    logs = list(dict.fromkeys(log for _, log in found))
    rows = []
    for question in QUESTIONS:
        of_question = {log: found[question, log] for log in logs if (question, log) in found}
        verdicts, cells = [], {}
        for log in logs:
            claim = of_question.get(log)
            if claim is None:
                cells[log_name(log)] = "-"
            elif not measured(claim):
                verdicts.append(AWAITED)
                cells[log_name(log)] = AWAITED
            else:
                verdicts.append(claim.verdict)
                cells[log_name(log)] = f"{number(question, claim)}<br>{badges(claim.verdict)}"
                cells[log_name(log)] += small(claim.reason) if claim.reason else ""
        rows.append(
            {
                "question": f'<a href="{question.chapter}.html">{question.words}</a>{small(question.measure)}',
                "the paper": published(question, list(of_question.values())),
                **cells,
                "verdict": badges(verdict_over(verdicts)),
            }
        )
    return pd.DataFrame(rows)


def answers_html(found: Answers) -> str:
    return html_table(answers_table(found), escape=False)


def findings(found: Answers) -> dict[str, str]:
    """What the title page says, by name."""
    asked = {
        "collapse": ("embedding-collapse", 0),
        "single": ("average-single", 0),
        "multi": ("average-multi-4x", 0),
        "law_ffm": ("interaction-collapse-ffm", 0),
        "law_dcnv2": ("interaction-collapse-dcnv2", 0),
    }
    seeds = {len(c.effects[q.effect].values) for (q, _), c in found.items() if measured(c)}
    return {
        **{name: finding(found, *question) for name, question in asked.items()},
        "seeds": " to ".join(map(str, sorted({min(seeds), max(seeds)}))) if seeds else f"[{AWAITED}]",
        "untestable": untestable(found),
        "contradicted": contradicted(found),
    }


def finding(found: Answers, name: str, effect: int) -> str:
    """What the logs answered by that effect of a claim, real ones first: "0.31 (0.30 to 0.32) on MovieLens-1M and"; of
    what is not testable that it is not."""
    told = [
        f"{number(question, claim)} on {log_name(log)}" + f" ({NOT_TESTABLE})" * (claim.verdict == NOT_TESTABLE)
        for (question, log), claim in found.items()
        if (question.claim, question.effect) == (name, effect) and measured(claim)
    ]
    return listed(told) if told else f"[{AWAITED}]"


def contradicted(found: Answers) -> str:
    """What the runs speak against, and where."""
    return judged_so(found, CONTRADICTED, log_of=lambda claim: log_name(claim.dataset)) or "nothing so far"


def untestable(found: Answers) -> str:
    """What could not be tested where, and which check says so."""
    told = judged_so(found, NOT_TESTABLE, log_of=lambda claim: f"{log_name(claim.dataset)}; {claim.failed}")
    return told or "nothing that has been measured so far"


def judged_so(found: Answers, verdict: str, log_of: Callable[[Claim], str]) -> str:
    """The statements of the claims with that verdict, each with what is said of its log, once each."""
    claims = (claim for claim in found.values() if measured(claim) and claim.verdict == verdict)
    return "; ".join(dict.fromkeys(f"{claim.statement.rstrip('.')} ({log_of(claim)})" for claim in claims))
