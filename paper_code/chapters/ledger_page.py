"""The ledger as it is shown: tallies, tables, badges, the figure."""

import textwrap
from collections.abc import Sequence
from html import escape

import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from paper_code.chapters.claims import claims_table, ledger_table, of_first_regime
from paper_code.chapters.shared.html import html_table
from paper_code.chapters.shared.rules import (
    ANSWERS,
    CONTRADICTED,
    HOLDS,
    IN_PART,
    INCONCLUSIVE,
    MIXED,
    NOT_TESTABLE,
    NOT_TESTED,
    SUPPORTED,
    VERDICTS,
    Claim,
)
from paper_code.chapters.shared.style import ANSWER_LOOKS, FIGURE_WIDTH, SMALL, style
from paper_code.chapters.shared.tables import log_label
from paper_code.chapters.shared.words import counted, listed

# part of the book, a claim in short, and the beginning of the names of those that it sums up
SUMMARY = (
    ("the phenomenon", "Learned embeddings collapse", "embedding-collapse"),
    ("the phenomenon", "Single 10x is worse than the base: six models", "average-single"),
    ("the phenomenon", "DNN, xDeepFM, FinalMLP get worse at 10x", "average-drops"),
    ("the phenomenon", "Larger single embeddings gain too little: each", "single-embedding"),
    ("why it happens", "Toy: a collapsed matrix makes another collapse", "toy-collapse"),
    ("why it happens", "Fields collapse those they interact with", "law"),
    ("why it happens", "The same, of FFM and of DCNv2 by itself", "interaction-collapse"),
    ("why it happens", "Regularised DCNv2: less collapse, overfitting", "evidence-iii"),
    ("why it happens", "DNN: less collapse, yet its AUC drops", "evidence-iv"),
    ("why it happens", "Less collapse alone does not help (Finding 2)", "finding-2"),
    ("the cure", "Multi beats single embedding at 4x: six models", "average-multi-4x"),
    ("the cure", "Multi beats single embedding at 10x: six models", "average-multi-10x"),
    ("the cure", "The averages over the logs, by 0.001", "logs-"),
    ("the cure", "Multi beats single at every size: each model", "multi-embedding-better"),
    ("the cure", "Multi embedding improves with size: each model", "multi-embedding-scales"),
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
            answers = [answer for claim in chosen for answer in claim.answers]
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
    verdicts and answers; by verdict the claims in short that have it wherever they were asked, and as differing those
    that have several."""
    kinds = (SUPPORTED, CONTRADICTED, MIXED, INCONCLUSIVE, NOT_TESTABLE, NOT_TESTED)
    lists = {kind: [] for kind in (*kinds, "differing")}
    for _, label, name in SUMMARY:
        verdicts = {claim.verdict for claim in claims if claim.of_paper and claim.name.startswith(name)}
        if len(verdicts) == 1:
            lists[verdicts.pop()].append(label)
        elif verdicts:
            lists["differing"].append(f"{label} ({tally(claims, name)})")
    of_paper = [claim for claim in claims if claim.of_paper]
    answers = [answer for claim in of_paper for answer in claim.answers]
    return {
        "verdicts": tally(claims),
        "number_of_claims": str(len(of_paper)),
        "number_of_headline_claims": str(sum(claim.headline for claim in of_paper)),
        "number_of_other_claims": str(len(claims) - len(of_paper)),
        "number_of_effects": str(len(answers)),
        **{f"number_{name}": str(answers.count(name)) for name in ANSWERS},
        **{kind.replace(" ", "_"): "; ".join(labels) or "none" for kind, labels in lists.items()},
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
        verdicts = {logs[0]: verdicts[""]} | dict.fromkeys(logs[1:], "of no one log") if "" in verdicts else verdicts
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
    counts = {verdict: verdicts.count(verdict) for verdict in VERDICTS}
    return ", ".join(f"{count} {verdict}" for verdict, count in counts.items() if count)


def ledger_html(claims: Sequence[Claim]) -> str:
    """The ledger as HTML: a row per claim, with the last of its effects, which is that of the largest size."""
    rows = []
    for claim, row in zip(claims, ledger_table(claims).to_dict("records"), strict=True):
        shown = claims_table([claim]).iloc[-1]
        counts = ", ".join(f"{row[answer]} {answer}" for answer in ANSWERS)
        said = f"{row['reason']}; {row['counts']}; {counts}" if row["reason"] else f"{row['counts']}; {counts}"
        origin = "; ".join(filter(None, [claim.section, log_label(claim.dataset)]))
        tested = claim.verdict != NOT_TESTED
        rows.append(
            {
                "claim": f'<a href="{claim.chapter}.html">{escape(claim.statement)}</a>{small(origin)}',
                "verdict": f"{badges(claim.verdict)}{small(said)}",
                "ours": f"{shown['ours']} ({shown['interval']})" * tested + "-" * (not tested) + small(shown["effect"]),
                "p": f"{row['p']}{small('sign flips ' + shown['sign-flip p'])}" if row["p"] != "-" else "-",
                "paper": shown["paper"] + (small(f"seen: {shown['power']}") if shown["power"] != "-" else ""),
            }
        )
    return html_table(pd.DataFrame(rows), escape=False)


def small(text: str) -> str:
    """A second line of a table's cell."""
    return f"<br><small>{escape(text)}</small>"


MARKS = {
    **dict.fromkeys((SUPPORTED, HOLDS), "●"),
    **dict.fromkeys((MIXED, IN_PART), "◐"),
    **{INCONCLUSIVE: "○", CONTRADICTED: "✕", NOT_TESTABLE: "□", NOT_TESTED: "-"},
}


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


def in_short(claims: Sequence[Claim]) -> str:
    """The claims as HTML for a reader in haste: of each its verdict, its words and the effect that counts, which is the
    last, with its interval. Those that are not tested are left out if others are."""
    rows = []
    for claim in [claim for claim in claims if claim.tested] or claims:
        shown = claims_table([claim]).iloc[-1]
        found = [f"{shown['effect']}: {shown['ours']} ({shown['interval']})"] * claim.tested
        found += [claim.reason] * bool(claim.reason) + ["of this project's first runs"] * of_first_regime(claim)
        log = f" <small>({escape(log_label(claim.dataset))})</small>" if claim.dataset else ""
        rows.append(
            f"<li>{badges(claim.verdict)} {escape(claim.statement)}{log}{small('; '.join(found)) * bool(found)}</li>"
        )
    return f'<div class="in-short"><p><strong>In short</strong></p><ul>{"".join(rows)}</ul></div>'


def claims_html(claims: Sequence[Claim], opened: bool = True) -> str:
    """The claims as HTML: of each its verdict, its words, its rule and its effects as a table.

    opened: the tables show at once; else they unfold.
    """
    parts = []
    for claim in claims:
        effects = claims_table([claim]).drop(columns=["claim", "verdict"])
        effects = effects.loc[:, (effects != "-").any() | effects.columns.isin(["ours", "holds"])]
        counts = ", ".join(f"{claim.answers.count(name)} {name}" for name in ANSWERS)
        data = f"; {log_label(claim.dataset)}" if claim.dataset else ""
        counted = "headline" if claim.headline else "descriptive"
        reason = f" ({escape(claim.reason)})" if claim.reason else ""
        parts.append(
            f'<div class="claim"><p>{badges(claim.verdict)}{reason} <strong>{escape(claim.statement)}</strong> '
            f"<small>({escape(claim.section)}{escape(data)}; {counted})</small></p>\n"
            f"<details{' open' * opened}><summary>Rule and effects: {counts}</summary>"
            f"<p>{escape(claim.rule)}</p>\n{html_table(effects)}</details></div>"
        )
    return "\n".join(parts)


def ledger_figure(summary: pd.DataFrame) -> tuple[Figure, pd.DataFrame]:
    """What held here: a row for each of the paper's claims in short, a bar for each data set.

    A bar is divided as the claim's judged effects are, with their numbers where they have room. summary: `part`,
    `label`, `dataset` (empty: of none), the numbers of effects `yes`, `undecided` and `against`, and `verdict`.
    """
    datasets = [name for name in summary["dataset"].unique() if name] or [""]
    start, gap, line, heading = 2.42, 0.1, 0.34, 0.36  # inches
    width = (FIGURE_WIDTH - 0.05 - start + gap) / len(datasets) - gap
    claims = summary[["part", "label"]].drop_duplicates()
    height = heading * (1 + claims["part"].nunique()) + line * len(claims) + 0.6
    with style():
        figure = plt.figure(figsize=(FIGURE_WIDTH, height))
        figure.set_layout_engine("none")
        axes = figure.add_axes((0, 0, 1, 1), xlim=(0, FIGURE_WIDTH), ylim=(height, 0))  # in inches
        axes.axis("off")
        for number, dataset in enumerate(datasets):
            axes.text(start + number * (width + gap), 0.22, dataset, va="center", fontsize=9)
        middle = 0.22
        for part, of_part in summary.groupby("part", sort=False):
            middle += heading
            axes.text(0.05, middle, part, va="center", weight="bold")
            for label, rows in of_part.groupby("label", sort=False):
                middle += line
                axes.text(0.05, middle, textwrap.fill(label, 34), va="center", fontsize=SMALL, linespacing=1.05)
                for row in rows.to_dict("records"):
                    column = datasets.index(row["dataset"]) if row["dataset"] in datasets else 0
                    whole = width if row["dataset"] else FIGURE_WIDTH - 0.05 - start
                    draw_answers(axes, start + column * (width + gap), middle, whole, row)
        handles = [Patch(label=name, **look) for name, look, _ in ANSWER_LOOKS.values()]
        axes.legend(handles=handles, title="share of the judged effects, and their number", ncols=3, loc="lower center")
        axes.get_legend().get_title().set_fontsize(9)
    return figure, summary


def draw_answers(axes: Axes, left: float, middle: float, width: float, row: dict) -> None:
    """A bar divided as the answers of a row are, or its verdict where there is none."""
    total = sum(row[answer] for answer in ANSWER_LOOKS)
    if not total:
        axes.text(left, middle, textwrap.shorten(row["verdict"], 22), va="center", fontsize=SMALL, style="italic")
    for answer, (_, look, ink) in ANSWER_LOOKS.items():
        if row[answer]:
            share = width * row[answer] / total
            axes.barh(middle, share, 0.2, left=left, lw=0, **look)
            if share > 0.08 + 0.08 * len(str(row[answer])):
                center = left + share / 2
                axes.text(
                    center, middle, str(row[answer]), ha="center", va="center_baseline", fontsize=SMALL, color=ink
                )
            left += share


def describe_ledger(data: pd.DataFrame) -> str:
    """The numbers are sums over the rows of a part."""
    names = {answer: name for answer, (name, *_) in ANSWER_LOOKS.items()}
    parts = []
    for part, rows in data.groupby("part", sort=False):
        counts = rows[list(names)].sum()
        untested = int((rows[list(names)].sum(axis=1) == 0).sum())
        numbers = f"{counts['yes']} hold, {counts['undecided']} undecided, {counts['against']} against"
        parts.append(f"{part}: {numbers}" + f"; not judged: {untested}" * bool(untested))
    datasets = [name for name in data["dataset"].unique() if name]
    claims = data[["part", "label"]].drop_duplicates()
    return (
        f"Bars for {counted(len(claims), 'claim')} of the paper, on {listed(datasets) if datasets else 'no data set'}, "
        f"each divided into the shares of its judged effects that hold, are undecided and are against it. Effects by "
        f"part: {'. '.join(parts)}."
    )


FIGURES = {
    "claims_ledger": (ledger_figure, describe_ledger),
}
"""By the name of its files: what draws a figure, and what tells its numbers in words."""
