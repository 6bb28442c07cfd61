"""The ledger: every claim from the records that are there, in tables, in a summary and as HTML."""

from collections.abc import Callable, Sequence
from html import escape

import numpy as np
import pandas as pd

from paper_code.appendix_b import appendix_b_table
from paper_code.claims.of_paper import (
    ablation_claims,
    appendix_b_claim,
    collapse_claims,
    evidence_iii_claims,
    evidence_iv_claims,
    figure_9_claims,
    finding_2_claims,
    law_claims,
    scalability_claims,
    table_claims,
    toy_claim,
)
from paper_code.claims.ours import alternatives_claims, map_claims, newer_claims, optimizer_claims, released_claims
from paper_code.claims.rules import ANSWERS, NOT_REPRODUCED, NOT_TESTED, PARTLY, REPRODUCED, Claim, corrected_verdicts
from paper_code.data import SYNTHETIC_LOGS
from paper_code.experiments import (
    EXPERIMENTS,
    OF_GENERATORS,
    PAPER_MODELS,
    PROFILES,
    RESULTS_FOLDER,
    find,
    stored_records,
    toy_results,
    toy_seeds,
    trials,
)
from paper_code.tables import html_table, log_label

# of which experiment, what to claim of it, and whether on both logs or on the one that stands for Criteo, as the paper
OF_RECORDS: tuple[tuple[str, Callable[..., list[Claim]], dict, bool], ...] = (
    ("collapse", collapse_claims, {}, True),
    ("evidence_i", law_claims, {"model": "ffm"}, True),
    ("evidence_ii", law_claims, {"model": "dcnv2"}, True),
    ("evidence_iii", evidence_iii_claims, {}, False),
    ("evidence_iv", evidence_iv_claims, {}, False),
    ("finding_2", finding_2_claims, {}, False),
    ("tables", table_claims, {}, True),
    ("tables", scalability_claims, {"models": PAPER_MODELS}, True),
    ("patterns", figure_9_claims, {}, False),
    ("ablations", ablation_claims, {}, False),
    ("newer", newer_claims, {}, False),
    ("optimizer", optimizer_claims, {}, True),
    ("released", released_claims, {}, False),
    ("map", map_claims, {}, True),
    ("alternatives", alternatives_claims, {}, True),
)


def ledger(
    datasets: Sequence[str],
    profile: str = "laptop",
    seeds: Sequence[int] | str | None = None,
    results_dir: str = RESULTS_FOLDER,
) -> list[Claim]:
    """Every claim, from the records that are there; nothing is trained, and what has no records is "not tested".

    datasets: the log that stands for Criteo and, if wanted, that which stands for Avazu. The toy experiment and
    Appendix B are computed anew.
    """
    settings = find("profile", profile, PROFILES)
    claims = [toy_claim(*toy_results(profile, seeds)), appendix_b_claim(appendix_b_table(toy_seeds(profile, seeds)))]
    prepared = datasets[0] not in SYNTHETIC_LOGS
    for experiment, function, further, on_both in OF_RECORDS:
        if prepared and experiment in OF_GENERATORS:
            continue
        variants = EXPERIMENTS[experiment](settings.scales)
        scales = sorted({variant.scale * variant.num_sets for variant in variants})
        if function is alternatives_claims:
            further = {"references": trials(results_dir)}
        for dataset in datasets if on_both else datasets[:1]:
            records = stored_records(experiment, dataset, profile, seeds, results_dir)
            claims += function(records, dataset, scales, **further)
    return claims


def claims_table(claims: Sequence[Claim]) -> pd.DataFrame:
    """A row per effect, as text with stable digits: claim, effect, ours, interval, claimed, paper, holds, verdict."""
    rows = []
    for claim in claims:
        for effect in claim.effects:
            digits = "+.5f" if "AUC" in effect.name else ".2f"
            low, high = effect.interval(claim.confidence) if effect.tested else (np.nan, np.nan)
            rows.append(
                {
                    "claim": claim.name,
                    "effect": effect.name,
                    "ours": f"{effect.mean:{digits}}" if len(effect.values) else "-",
                    "interval": f"{low:{digits}} to {high:{digits}}" if effect.tested else "fewer than 3 seeds",
                    "claimed": f"{effect.side} {effect.bound:g}",
                    "paper": "-" if np.isnan(effect.published) else f"{effect.published:{digits}}",
                    "seeds": str(len(effect.values)),
                    "holds": effect.answer(claim.confidence),
                    "verdict": claim.verdict,
                }
            )
    return pd.DataFrame(rows)


def ledger_table(claims: Sequence[Claim]) -> pd.DataFrame:
    """A row per claim: claim, statement, section, data, verdict, verdict corrected for all claims; how many of its
    effects hold, are undecided and are against it, see `Effect.answer`; chapter, command."""
    rows = []
    for claim, corrected in zip(claims, corrected_verdicts(claims), strict=True):
        answers = [effect.answer(claim.confidence) for effect in claim.effects]
        rows.append(
            {
                "claim": claim.name,
                "statement": claim.statement,
                "section": claim.section,
                "data": claim.dataset or "-",
                "verdict": claim.verdict,
                "corrected": corrected,
                **{name: answers.count(name) for name in ANSWERS},
                "chapter": claim.chapter,
                "command": claim.command,
            }
        )
    return pd.DataFrame(rows)


# part of the book, a claim in short, and the beginning of the names of those that it sums up
SUMMARY = (
    ("the phenomenon", "Learned embeddings collapse", "embedding-collapse"),
    ("the phenomenon", "Larger single embeddings do not help enough", "single-embedding"),
    ("the phenomenon", "DNN, xDeepFM, FinalMLP get worse at 10x", "drops-at-largest"),
    ("why it happens", "Toy: a collapsed matrix makes another collapse", "toy-collapse"),
    ("why it happens", "Fields collapse those they interact with: FFM", "interaction-collapse-ffm"),
    ("why it happens", "Fields collapse those they interact with: DCNv2", "interaction-collapse-dcnv2"),
    ("why it happens", "Regularised DCNv2: less collapse, overfitting", "evidence-iii"),
    ("why it happens", "DNN: less collapse, yet its AUC drops", "evidence-iv"),
    ("why it happens", "Less collapse alone does not help (Finding 2)", "finding-2"),
    ("the cure", "Multi beats single embedding at every size", "multi-embedding-better"),
    ("the cure", "Multi embedding improves with size", "multi-embedding-scales"),
    ("the cure", "Multi at 10x gains significantly on average", "average-gain"),
    ("the cure", "Multi embedding collapses less (9a)", "figure-9a"),
    ("the cure", "Embedding sets vary in collapse (9b)", "figure-9b"),
    ("the cure", "Embedding sets learn different patterns (9c)", "figure-9c"),
    ("the cure", "Multi embedding with like patterns scales worse (9d)", "figure-9d"),
    ("the cure", "Embedding sets need interactions of their own", "own-interactions"),
    ("the cure", "Linear multi embedding is single (Appendix B)", "linear-multi-embedding-is-single"),
)


def summary_table(claims: Sequence[Claim]) -> pd.DataFrame:
    """A row per claim in short and data set: part, label, dataset, how many effects hold, are undecided and are against
    it, the verdict, or how many claims have which; chapter, of the first of them."""
    rows = []
    for part, label, name in SUMMARY:
        of_name = [claim for claim in claims if claim.of_paper and claim.name.startswith(name)]
        for dataset in dict.fromkeys(claim.dataset for claim in of_name):
            chosen = [claim for claim in of_name if claim.dataset == dataset]
            answers = [effect.answer(claim.confidence) for claim in chosen for effect in claim.effects]
            rows.append(
                {
                    **{"part": part, "label": label, "dataset": dataset},
                    **{answer: answers.count(answer) for answer in ANSWERS},
                    **{"verdict": tally(chosen), "chapter": chosen[0].chapter},
                }
            )
    return pd.DataFrame(rows)


def summary_texts(claims: Sequence[Claim]) -> dict[str, str]:
    """What the title page says of the paper's claims, by name: how many claims and effects there are, with which
    verdicts and answers; which claims in short are reproduced wherever they were measured (held), which nowhere
    (not_held), and which in between (mixed), with their verdicts."""
    lists = {"held": [], "mixed": [], "not_held": []}
    for _, label, name in SUMMARY:
        verdicts = {claim.verdict for claim in claims if claim.of_paper and claim.name.startswith(name)}
        if verdicts:
            kind = "held" if verdicts == {REPRODUCED} else "not_held" if verdicts == {NOT_REPRODUCED} else "mixed"
            lists[kind].append(label + f" ({tally(claims, name)})" * (kind == "mixed"))
    of_paper = [claim for claim in claims if claim.of_paper]
    answers = [effect.answer(claim.confidence) for claim in of_paper for effect in claim.effects]
    return {
        "verdicts": tally(claims),
        "number_of_claims": str(len(of_paper)),
        "number_of_other_claims": str(len(claims) - len(of_paper)),
        "number_of_effects": str(len(answers)),
        **{f"number_{name}": str(answers.count(name)) for name in ANSWERS},
        **{kind: "; ".join(labels) or "none" for kind, labels in lists.items()},
    }


def summary_html(claims: Sequence[Claim]) -> str:
    """`summary_table` as HTML: a row per claim in short, with the verdict on each data set, and its chapter."""
    table = summary_table(claims)
    logs = [dataset for dataset in dict.fromkeys(table["dataset"]) if dataset]
    rows, parts = [], set()
    for (part, label), group in table.groupby(["part", "label"], sort=False):
        verdicts = {
            row["dataset"]: f'<a href="{row["chapter"]}.html">{badges(row["verdict"])}</a>'
            for row in group.to_dict("records")
        }
        row = {
            "part": "" if part in parts else part,
            "the paper claims": escape(label),
        }
        verdicts = {logs[0]: verdicts[""]} | dict.fromkeys(logs[1:], "needs no log") if "" in verdicts else verdicts
        rows.append(row | {log_label(log): verdicts.get(log, "-") for log in logs})
        parts.add(part)
    return html_table(pd.DataFrame(rows), escape=False)


def tally(claims: Sequence[Claim], name: str = "", dataset: str | None = None) -> str:
    """How many of the paper's claims have which verdict, in words: of those whose name begins so, of that data set.

    Of a single claim its verdict; "-" if there is none.
    """
    chosen = [c for c in claims if c.of_paper and c.name.startswith(name) and dataset in (None, c.dataset)]
    verdicts = [claim.verdict for claim in chosen]
    if len(verdicts) < 2:
        return "".join(verdicts) or "-"
    counts = {verdict: verdicts.count(verdict) for verdict in (REPRODUCED, PARTLY, NOT_REPRODUCED, NOT_TESTED)}
    return ", ".join(f"{count} {verdict}" for verdict, count in counts.items() if count)


def ledger_html(claims: Sequence[Claim]) -> str:
    """The ledger as HTML: a row per claim, with the last of its effects, which is that of the largest size."""
    rows = []
    for claim, row in zip(claims, ledger_table(claims).to_dict("records"), strict=True):
        shown = claims_table([claim]).iloc[-1]
        counts = [f"{row[answer]} {answer}" for answer in ANSWERS]
        if row["corrected"] != claim.verdict:
            counts.append(f"{row['corrected']} if corrected")
        origin = "; ".join(filter(None, [claim.section, log_label(claim.dataset)]))
        ours = f"{shown['ours']} ({shown['interval']})" if claim.verdict != NOT_TESTED else "-"
        rows.append(
            {
                "claim": f'<a href="{claim.chapter}.html">{escape(claim.statement)}</a>{small(origin)}',
                "verdict": f"{badges(claim.verdict)}{small(', '.join(counts))}",
                "ours": f"{ours}{small(shown['effect'])}",
                "paper": shown["paper"],
            }
        )
    return html_table(pd.DataFrame(rows), escape=False)


def small(text: str) -> str:
    """A second line of a table's cell."""
    return f"<br><small>{escape(text)}</small>"


MARKS = {REPRODUCED: "●", PARTLY: "◐", NOT_REPRODUCED: "○", NOT_TESTED: "-"}


def badges(verdicts: str) -> str:
    """A verdict, or several with their numbers as `tally` gives them, as HTML with a mark each."""
    parts = []
    for part in verdicts.split(", "):
        verdict = part.lstrip("0123456789 ")
        kind = verdict.replace(" ", "-")
        parts.append(
            f'<span class="verdict {kind}"><span aria-hidden="true">{MARKS.get(verdict, "")}</span> {part}</span>'
        )
    return "<br>".join(parts)


def claims_html(claims: Sequence[Claim], opened: bool = True) -> str:
    """The claims as HTML: of each its verdict, its words, its rule and its effects as a table.

    opened: the tables show at once; else they unfold.
    """
    parts = []
    for claim in claims:
        effects = claims_table([claim]).drop(columns=["claim", "verdict"])
        answers = list(effects["holds"])
        counts = ", ".join(f"{answers.count(name)} {name}" for name in ANSWERS)
        data = f"; {log_label(claim.dataset)}" if claim.dataset else ""
        parts.append(
            f'<div class="claim"><p>{badges(claim.verdict)} <strong>{escape(claim.statement)}</strong> '
            f"<small>({escape(claim.section)}{escape(data)})</small></p>\n"
            f"<details{' open' * opened}><summary>Rule and effects: {counts}</summary>"
            f"<p>{escape(claim.rule)}</p>\n{html_table(effects)}</details></div>"
        )
    return "\n".join(parts)
