"""A report or a comparison as one HTML page: the answer first, then the spectra, what to try next, and the limits."""

from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path

import numpy as np

from paper_code.diagnose.arrays import printable
from paper_code.diagnose.comparison import Change, Comparison
from paper_code.diagnose.measures import COLLAPSED_BELOW, TableMeasures
from paper_code.diagnose.report import Report, layer_row, row_of, used_row
from paper_code.diagnose.text import counted, interval_of, rounded

PLOT = {"width": 320, "height": 150, "left": 44, "bottom": 26, "decades": 6}
WORST = 8
"""Tables beside the answer, the most collapsed first."""

MOST_LINES = 12
"""Tables in the chart of a comparison, those whose share changed most."""


def report_page(report: Report) -> str:
    title, head = f"Embedding tables of {printable(report.source)}", f"Taken were {printable(report.found_by)}."
    return page(title, [head], report)


def comparison_page(found: Comparison) -> str:
    """The changes with a chart, then the last checkpoint's tables as `report_page` has them."""
    sources = ", ".join(printable(report.source) for report in found.reports)
    rows = [
        {
            "table": it.title,
            "share of random": " → ".join(map(rounded, ends(it.shares))),
            "effective rank": " → ".join(rounded(table.effective_rank) for table in ends(it.tables)),
            "99 % of the energy": " → ".join(counted(table.energy_dimensions) for table in ends(it.tables)),
            "overlap": rounded(it.overlaps[-1]),
            "overlap by chance": rounded(it.overlap_by_chance),
            "verdict": it.tables[-1].verdict,
        }
        for it in found.changes
    ]
    left = [f"{it.name}: {it.reason}" for it in found.not_looked_into]
    changes = (
        f"<h2>What changed</h2>{paragraphs(found.reading())}{shares_svg(found.changes, len(found.reports))}"
        f"{html_table('The first and the last checkpoint', rows)}{html_list('No checkpoints', left)}"
    )
    return page("Embedding tables of several checkpoints", [f"In order: {sources}."], found.last, changes)


def ends(values: Sequence) -> tuple:
    return values[0], values[-1]


def page(title: str, head: Sequence[str], report: Report, changes: str = "") -> str:
    worst = report.judged()[:WORST]
    of_worst = "the tables" if len(worst) == len(report.judged()) else f"the {WORST} most collapsed tables"
    used = [used_row(table) for table in report.tables if table.as_used]
    body = [
        f"<h1>{escape(title)}</h1>{paragraphs(head)}",
        changes,
        f"<h2>Answer</h2>{paragraphs(report.answer())}",
        html_table(f"Share of random of {of_worst}", [short_row(table) for table in worst]),
        f"<h2>What to try next, and the evidence</h2>{paragraphs(report.next_steps())}" * bool(report.next_steps()),
        f"<h2>Limits</h2>{paragraphs(report.limits())}",
        "<h2>Spectra</h2>" * bool(report.tables),
        '<p class="note">The singular values over the largest, solid; of random matrices of the same shape, dashed.</p>'
        * bool(report.tables),
        f'<div class="tables">{"".join(card(table) for table in report.tables)}</div>',
        html_table("Share of random, as the tables are used", used),
        html_table("What the layers give for the batch", [layer_row(layer) for layer in report.layers]),
        html_table("All tables", [row_of(table) for table in report.tables] if len(report.tables) > WORST else []),
        *(html_list(name, lines) for name, lines in report.lists().items()),
    ]
    return PAGE.format(title=escape(title), style=STYLE, body="\n".join(filter(None, body)))


def paragraphs(lines: Iterable[str]) -> str:
    return "".join(f"<p>{escape(line)}</p>" for line in lines)


def html_list(title: str, lines: Sequence[str]) -> str:
    items = "".join(f"<li>{escape(printable(line))}</li>" for line in lines)
    return f"<h2>{title}</h2><ul>{items}</ul>" if lines else ""


def html_table(caption: str, rows: Sequence[dict[str, str]]) -> str:
    """A table that scrolls by itself, also by the keyboard, where it is wider than the page."""
    if not rows:
        return ""
    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in rows[0])
    lines = []
    for row in rows:
        name, *cells = (escape(printable(cell)) for cell in row.values())
        lines.append(f'<tr><th scope="row">{name}</th>{"".join(f"<td>{cell}</td>" for cell in cells)}</tr>')
    return (
        f'<div class="wide" tabindex="0" role="region" aria-label="{escape(caption)}"><table>'
        f"<caption>{escape(caption)}</caption><thead><tr>{head}</tr></thead><tbody>{''.join(lines)}</tbody></table></div>"
    )


def short_row(table: TableMeasures) -> dict[str, str]:
    return {
        "table": table.title,
        "rows": f"{table.rows:,}",
        "columns": f"{table.columns:,}",
        "share": rounded(table.share_of_random),
        "95 % of random": interval_of(table),
        "99 % energy": counted(table.energy_dimensions),
        "verdict": table.verdict,
    }


def card(table: TableMeasures) -> str:
    """A table's part of the page: name, verdict, numbers, spectrum and reading."""
    facts = {
        "shape": f"{table.rows:,} &times; {table.columns:,}, {escape(table.dtype)}",
        "information abundance": rounded(table.information_abundance),
        "random, same shape": rounded(table.random_information_abundance),
        "share of random": rounded(table.share_of_random),
        "95 % of random": interval_of(table),
        "effective rank": rounded(table.effective_rank),
        "stable rank": rounded(table.stable_rank),
        "dimensions with 99 % of the energy": counted(table.energy_dimensions),
        "dimensions above noise": counted(table.above_noise),
        "exponent alpha": rounded(table.alpha),
    }
    listed = "".join(f"<div><dt>{name}</dt><dd>{value}</dd></div>" for name, value in facts.items())
    kind = table.verdict.replace(" ", "-")
    return (
        f'<section class="{kind}"><h3>{escape(table.title)}</h3><p class="verdict">{table.verdict}</p>'
        f"<dl>{listed}</dl>{spectrum_svg(table)}<p>{escape(table.reading())}</p></section>"
    )


def spectrum_svg(table: TableMeasures) -> str:
    """The singular values over the largest, on a logarithmic scale, beside those of random matrices."""
    if not table.singular_values[0]:
        return ""
    width, height, left, bottom, decades = PLOT.values()
    most = len(table.singular_values)
    kept = np.unique(np.linspace(0, most - 1, min(most, 200)).astype(int))

    def line(values: np.ndarray, kind: str) -> str:
        logs = np.log10(np.maximum(values[kept] / values[0], 10.0**-decades))
        x = left + (width - left - 8) * kept / max(most - 1, 1)
        y = 8 + (height - bottom - 8) * -logs / decades
        return polyline(x, y, kind)

    ticks = "".join(
        f'<text x="{left - 6}" y="{12 + (height - bottom - 8) * decade / decades:.1f}" text-anchor="end">'
        f"{1 if not decade else f'1e-{decade}'}</text>"
        for decade in range(0, decades + 1, 2)
    )
    smallest, random = table.singular_values[-1] / table.singular_values[0], table.random_singular_values[-1]
    label = f"Singular values over the largest, from 1 to {smallest:.1e}; of random matrices from 1 to {random:.1e}."
    lines = line(np.array(table.random_singular_values), "random") + line(np.array(table.singular_values), "learned")
    return figure(label, f'{ticks}<text x="{left}" y="{height - 8}">1</text>', "singular value", str(most), lines)


def shares_svg(changes: Sequence[Change], count: int) -> str:
    """The share of random of each table over the checkpoints, with the bound of collapse."""
    width, height, left, bottom, _ = PLOT.values()
    known = [it for it in changes if None not in it.shares]
    shown = sorted(known, key=lambda it: -abs(it.shares[-1] - it.shares[0]))[:MOST_LINES]
    if not shown:
        return ""
    most = max(1.0, *(max(it.shares) for it in shown))

    def at(share: float) -> float:
        return 8 + (height - bottom - 8) * (1 - share / most)

    x = left + (width - left - 8) * np.arange(count) / (count - 1)
    lines = [
        polyline(x, np.array([at(share) for share in it.shares]), "learned", f"{it.title}: {shares_of(it)}")
        for it in shown
    ]
    bound = polyline(x[[0, -1]], np.full(2, at(COLLAPSED_BELOW)), "random", f"collapsed below {COLLAPSED_BELOW}")
    ticks = "".join(
        f'<text x="{left - 6}" y="{at(share) + 4:.1f}" text-anchor="end">{share:g}</text>'
        for share in (0, COLLAPSED_BELOW, 1)
    )
    label = (
        f"Share of random over {count} checkpoints of the {len(shown)} tables that changed most, with the bound of "
        f"{COLLAPSED_BELOW} dashed; the numbers are in the table below."
    )
    return (
        f'<div class="chart">{figure(label, ticks, "checkpoint", str(count), bound + "".join(lines))}</div>'
        f'<p class="note">{label}</p>'
    )


def shares_of(change: Change) -> str:
    return ", ".join(rounded(share) for share in change.shares)


def polyline(x: np.ndarray, y: np.ndarray, kind: str, title: str | None = None) -> str:
    points = " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(x, y, strict=True))
    named = "" if title is None else f"<title>{escape(title)}</title>"
    return f'<polyline class="{kind}" points="{points}">{named}</polyline>'


def figure(label: str, ticks: str, axis: str, last: str, lines: str) -> str:
    width, height, left, bottom, _ = PLOT.values()
    base, right = height - 8, width - 8
    return (
        f'<svg viewBox="0 0 {width} {height}" role="img" aria-label="{escape(label)}"><title>{escape(label)}</title>'
        f'<path class="axis" d="M{left},8V{height - bottom}H{right}"/>{ticks}'
        f'<text x="{(left + width) // 2}" y="{base}" text-anchor="middle">{axis}</text>'
        f'<text x="{right}" y="{base}" text-anchor="end">{last}</text>{lines}</svg>'
    )


STYLE = (Path(__file__).parent / "page.css").read_text(encoding="utf-8")

PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>{title}</title>
<style>{style}</style>
</head>
<body>
<main>
{body}
</main>
</body>
</html>
"""
