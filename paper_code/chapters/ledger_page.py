"""The ledger as it is shown: in short, in detail, badges, the figure."""

import math
import textwrap
from collections.abc import Sequence
from html import escape
from pathlib import Path

import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from paper_code.chapters.claims import claims_table, ledger, ledger_table, logs_beside, of_first_regime
from paper_code.chapters.ledger_lines import CHAPTERS, OURS, PARTS, SUMMARY, Line
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
    Effect,
)
from paper_code.chapters.shared.style import ANSWER_LOOKS, FIGURE_WIDTH, SMALL, style
from paper_code.chapters.shared.tables import log_label
from paper_code.chapters.shared.words import counted, gain_text, listed
from paper_code.published import published_dataset


def summary_table(claims: Sequence[Claim]) -> pd.DataFrame:
    """A row per line of the paper's claims and data set: part, label, dataset, how many effects hold, are undecided and
    are against it, the verdict, or how many claims have which; chapter, of the first of them."""
    rows = []
    for line in SUMMARY:
        for dataset, chosen in line.by_log(claims).items() if line.part != OURS else ():
            answers = [answer for claim in chosen for answer in claim.answers]
            rows.append(
                {
                    **{"part": line.part, "label": line.label, "dataset": dataset},
                    **{answer: answers.count(answer) for answer in ANSWERS},
                    **{"verdict": tally(chosen), "chapter": chosen[0].chapter},
                }
            )
    return pd.DataFrame(rows)


def summary_texts(claims: Sequence[Claim]) -> dict[str, str]:
    """How many claims of the paper there are, with which verdicts, and how many others."""
    of_paper = [claim for claim in claims if claim.of_paper]
    return {
        "verdicts": tally(of_paper),
        "number_of_claims": str(len(of_paper)),
        "number_of_other_claims": str(len(claims) - len(of_paper)),
    }


def tally(claims: Sequence[Claim]) -> str:
    """How many of the claims have which verdict, in words; of a single claim its verdict; "-" if there is none."""
    verdicts = [claim.verdict for claim in claims]
    if len(verdicts) < 2:
        return "".join(verdicts) or "-"
    counts = {verdict: verdicts.count(verdict) for verdict in VERDICTS}
    return ", ".join(f"{count} {verdict}" for verdict, count in counts.items() if count)


def counted_verdicts(told: str) -> list[tuple[str, str]]:
    """What `tally` tells, apart: every verdict and its number, "" of a single one."""
    verdicts = {part: part.lstrip("0123456789 ") for part in told.split(", ")}
    return [(verdict, part.removesuffix(verdict).strip()) for part, verdict in verdicts.items()]


FIRST_RUNS = "†"
"""Marks a verdict of runs of the first regime."""


def ledger_html(claims: Sequence[Claim]) -> str:
    """The ledger as HTML: a row per line, with its verdict and its number on each log."""
    logs = list(dict.fromkeys(claim.dataset for claim in claims if claim.dataset))
    columns = ["claim", *(log_label(log).replace(", ", "<br>") for log in logs)]
    rows, parts = [], set()
    for line in SUMMARY:
        of_log = line.by_log(claims)
        if not of_log:
            continue
        if line.part not in parts:
            parts.add(line.part)
            title = f'<a href="{PARTS[line.part]}.html">{line.part[0].upper()}{line.part[1:]}</a>'
            rows.append(f'<tr><th colspan="{len(columns)}" scope="rowgroup">{title}</th></tr>')
        if "" in of_log:
            cells = f'<td colspan="{max(1, len(logs))}">{verdict_cell(line, of_log[""])}</td>'
        else:
            cells = "".join(f"<td>{verdict_cell(line, of_log[log]) if log in of_log else ''}</td>" for log in logs)
        rows.append(f"<tr><td>{line_cell(line, of_log)}</td>{cells}</tr>")
    head = "".join(f'<th scope="col">{name}</th>' for name in columns)
    notes = [f"{MARKS[NOT_TESTABLE]} A check of validity failed or was not made."]
    notes += [f"{FIRST_RUNS} Of this project's first runs, which are being made anew."] * any(
        map(of_first_regime, claims)
    )
    return (
        '<div class="table-box" role="region" tabindex="0" aria-label="Table of all claims with their verdicts">'
        f'<table class="table ledger"><thead><tr>{head}</tr></thead><tbody>{"".join(rows)}</tbody></table></div>'
        f"<p><small>{' '.join(notes)}</small></p>"
    )


def line_cell(line: Line, of_log: dict[str, list[Claim]]) -> str:
    """The line's words, bold if they count, and below what is measured, in which chapters, and the paper's number."""
    claims = [claim for of_one in of_log.values() for claim in of_one]
    label = f'<a href="{PARTS[line.part]}.html#{line.anchor}">{escape(line.label)}</a>'
    if any(claim.headline for claim in claims):
        label = f"<strong>{label}</strong>"
    chapters = dict.fromkeys(claim.chapter for claim in claims)
    told = [escape(line.measure)] if line.measure else []
    told.append(", ".join(f'<a href="{chapter}.html">{CHAPTERS.get(chapter, chapter)}</a>' for chapter in chapters))
    published = {}
    for log, of_one in of_log.items():
        last = [claim.effects[-1] for claim in of_one] if line.measure else []
        numbers = [(effect, effect.published) for effect in last if not math.isnan(effect.published)]
        published.setdefault(published_dataset(log), numbers)
    known = [f"{log} {between(numbers)}" for log, numbers in published.items() if numbers]
    told += [f"the paper: {', '.join(known)}"] if known else []
    return f"{label}<br><small>{'; '.join(told)}</small>"


def verdict_cell(line: Line, claims: Sequence[Claim]) -> str:
    """The verdict of the claims, marked where it is of the first runs, and the line's number: of one claim with half
    its interval, of several the smallest and the largest."""
    mark = FIRST_RUNS * any(claim.tested and of_first_regime(claim) for claim in claims)
    last = [claim.effects[-1] for claim in claims if claim.tested] if line.measure else []
    number = between([(effect, effect.mean) for effect in last])
    if len(claims) == 1 and last:
        number += f" ± {number_text(last[0], last[0].half_width(claims[0].confidence)).lstrip('+')}"
    return badges(tally(claims)) + mark + (f" <small>{number}</small>" if number else "")


def between(numbers: Sequence[tuple[Effect, float]]) -> str:
    """The smallest and the largest value of effects, one if they are the same, "" if there is none."""
    ends = [find(numbers, key=lambda number: number[1]) for find in (min, max)] if numbers else []
    return " to ".join(dict.fromkeys(number_text(*end) for end in ends))


def number_text(effect: Effect, value: float) -> str:
    return gain_text(value) if "AUC" in effect.name else f"{value:.2f}"


def part_html(part: str, dataset: str, profile: str, seeds: Sequence[int] | str | None, results_dir: str | Path) -> str:
    """The details of a part of the ledger as HTML, on the log and those beside it."""
    names = [name for line in SUMMARY if line.part == part for name in line.names.split()]
    return details_html(part, ledger(logs_beside(dataset, results_dir), profile, seeds, results_dir, names))


def details_html(part: str, claims: Sequence[Claim]) -> str:
    """The claims of a part as HTML: under each line of the ledger its claims, of each the words, the rule, the verdict
    on each log, all effects, and the commands that recompute it."""
    sections = []
    for line in SUMMARY:
        same = {}
        for claim in line.of(claims) if line.part == part else ():
            same.setdefault((claim.name, claim.statement, claim.rule), []).append(claim)
        if same:
            told = "\n".join(map(claim_details, same.values()))
            sections.append(f'<h2 id="{line.anchor}">{escape(line.label)}</h2>\n{told}')
    return "\n".join(sections)


def claim_details(claims: Sequence[Claim]) -> str:
    """One claim, as it is judged on one log or several."""
    first = claims[0]
    verdicts, tables = [], []
    for claim, row in zip(claims, ledger_table(claims).to_dict("records"), strict=True):
        counts = "" if claim.failed else ", ".join(f"{row[answer]} {answer}" for answer in ANSWERS)
        p = f"p {row['p']}" if row["p"] != "-" else ""
        told = [row["counts"], p, counts, row["reason"]]
        log = f"{escape(log_label(claim.dataset))}, " * bool(claim.dataset)
        place = f'<a href="{claim.chapter}.html">{escape(claim.section)}</a>'
        verdicts.append(f"<li>{badges(claim.verdict)} {log}{place}{small('; '.join(filter(None, told)))}</li>")
        effects = claims_table([claim]).drop(columns=["claim", "half width", "verdict"])
        effects.insert(0, "log", claim.dataset or "-")
        tables.append(effects)
    effects = pd.concat(tables)
    effects = effects.loc[:, (effects != "-").any() | effects.columns.isin(["ours", "holds"])]
    commands = "\n".join(dict.fromkeys(claim.command for claim in claims))
    return (
        f'<div class="claim"><p><strong>{escape(first.statement)}</strong> <code>{first.name}</code></p>'
        f'<p>{escape(first.rule)}</p><ul class="verdicts">{"".join(verdicts)}</ul>{html_table(effects)}'
        f'<details><summary>Recompute</summary><pre tabindex="0">{escape(commands)}</pre></details></div>'
    )


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
    for verdict, number in counted_verdicts(verdicts):
        kind, mark, text = verdict.replace(" ", "-"), MARKS.get(verdict, ""), f"{number} {verdict}".strip()
        parts.append(f'<span class="verdict {kind}"><span aria-hidden="true">{mark}</span> {text}</span>')
    return "<br>".join(parts)


def in_short(claims: Sequence[Claim]) -> str:
    """The claims as HTML for a reader in haste: of each its verdict, its words and its effects with their intervals, of
    more than two the last. Those that are not tested are left out if others are."""
    rows = []
    for claim in [claim for claim in claims if claim.tested] or claims:
        effects = claims_table([claim])
        shown = effects if len(effects) <= 2 else effects.tail(1)
        found = [f"{row.effect}: {row.ours} ({row.interval})" for row in shown.itertuples()] if claim.tested else []
        found += [claim.reason] * bool(claim.reason)
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
            axes.text(start + number * (width + gap), 0.22, dataset.replace("_", "_\n"), va="center", fontsize=SMALL)
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
        title = "share of the judged effects, and their number"
        unjudged = " and ".join(f"{MARKS[verdict]} {verdict}" for verdict in (NOT_TESTABLE, NOT_TESTED))
        axes.legend(handles=handles, title=f"{title}; {unjudged}", ncols=3, loc="lower center")
        axes.get_legend().get_title().set_fontsize(SMALL)
    return figure, summary


def draw_answers(axes: Axes, left: float, middle: float, width: float, row: dict) -> None:
    """A bar divided as the answers of a row are, or the mark of its verdict where there is none."""
    total = sum(row[answer] for answer in ANSWER_LOOKS)
    if not total:
        text = "  ".join(f"{MARKS[verdict]} {number}" for verdict, number in counted_verdicts(row["verdict"]))
        axes.text(left, middle, text, va="center", fontsize=SMALL)
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
