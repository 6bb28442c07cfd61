"""What was measured, as text for a terminal, as JSON and as one HTML file, with a reading in plain words."""

import json
from dataclasses import asdict, dataclass
from html import escape
from textwrap import fill

import numpy as np
import pandas as pd

from paper_code.diagnose.arrays import PassedOver, printable

COLLAPSED_BELOW = 0.5
"""Share of random below which a table is called collapsed: the bound of the ledger's claim "embedding-collapse"."""

LONGEST_NAME, MOST_LEFT_OUT = 48, 20
"""What the text for a terminal shows of a name, and of what was left out."""

PLOT = {"width": 320, "height": 150, "left": 44, "bottom": 26, "decades": 6}


@dataclass(frozen=True)
class TableMeasures:
    """The measures of one table, or of one field of a table.

    singular_values: (min(rows, columns),), largest first.
    random_singular_values, random_information_abundance: `random_spectrum` of the same shape, and that of it.
    energy_dimensions: how many dimensions carry 99 % of the energy, the sum of the squared singular values.
    warning: what to look at before believing the measures, a sentence or two, or None.
    The measures are None if all numbers are zero.
    """

    name: str
    field: str | None
    rows: int
    columns: int
    dtype: str
    random_information_abundance: float
    singular_values: tuple[float, ...]
    random_singular_values: tuple[float, ...]
    information_abundance: float | None = None
    share_of_random: float | None = None
    effective_rank: float | None = None
    stable_rank: float | None = None
    energy_dimensions: int | None = None
    warning: str | None = None

    @property
    def verdict(self) -> str:
        """collapsed, not collapsed, too few rows (fewer than columns), or all zeros."""
        if self.share_of_random is None:
            return "all zeros"
        if self.rows < self.columns:
            return "too few rows"
        return "collapsed" if self.share_of_random < COLLAPSED_BELOW else "not collapsed"

    @property
    def title(self) -> str:
        """The name, with the field's if it is one of several, as it can be shown."""
        return printable(self.name if self.field is None else f"{self.name}, {self.field}")

    def reading(self) -> str:
        """What the numbers say, in a sentence or two."""
        if self.share_of_random is None:
            return "All numbers are zero, so there is nothing to measure."
        most = min(self.rows, self.columns)
        sentence = (
            f"{self.energy_dimensions} of {most} dimensions carry 99 % of the energy. The information abundance is "
            f"{self.information_abundance:.2f}, {self.share_of_random:.2f} of that of random matrices of this shape."
        )
        return (
            sentence
            + {
                "collapsed": f" This table is collapsed: the share is below {COLLAPSED_BELOW}.",
                "not collapsed": f" This table is not collapsed: the share is {COLLAPSED_BELOW} or more.",
                "too few rows": " There are fewer rows than columns, too few to tell.",
            }[self.verdict]
            + (f" {printable(self.warning)}" if self.warning else "")
        )


@dataclass(frozen=True)
class LeftOut:
    """A matrix that was not measured, and why."""

    name: str
    shape: tuple[int, ...]
    reason: str


@dataclass(frozen=True)
class Report:
    """The embedding tables of a model, measured; `str` of it is the text for a terminal.

    source: what was given. found_by: the rule by which the tables were taken. left_out: what has two axes or more and
    was not measured. not_looked_into: parts of the source, such as other files of a folder.
    """

    source: str
    found_by: str
    tables: tuple[TableMeasures, ...]
    left_out: tuple[LeftOut, ...]
    not_looked_into: tuple[PassedOver, ...] = ()

    def reading(self) -> list[str]:
        """What the tables say together, and what the paper would suggest, a sentence or more each."""
        judged = [table for table in self.tables if table.verdict in ("collapsed", "not collapsed")]
        collapsed = sorted((t for t in judged if t.verdict == "collapsed"), key=lambda table: table.share_of_random)
        unjudged = len(self.tables) - len(judged)
        lines = [f"Look at {table.title}. {printable(table.warning)}" for table in self.tables if table.warning]
        if judged:
            lines.append(
                f"Collapsed: {len(collapsed)} of {len(judged)}, with an information abundance below {COLLAPSED_BELOW} "
                'of that of random matrices of the same shape, the bound of the claim "embedding-collapse".'
            )
        if unjudged:
            lines.append(
                f"Not judged: {unjudged}, with fewer rows than columns or nothing but zeros. The fewer the rows, the "
                "less a share tells."
            )
        if collapsed:
            few = ", ".join(f"{it.title} ({it.energy_dimensions} of {it.columns})" for it in collapsed[:5])
            more = f" and {len(collapsed) - 5} more" if len(collapsed) > 5 else ""
            lines += [
                f"The most collapsed, with the dimensions that carry 99 % of the energy: {few}{more}.",
                "In the paper's experiments a larger embedding size gained little or nothing, and most dimensions of "
                "the enlarged tables stayed nearly unused (Figures 1 and 2). Further embedding sets gained more, each "
                "with an interaction of its own that has a non-linearity: multi-embedding (Section 5).",
                "By its interaction-collapse law (Finding 1) a table of low information abundance constrains those of "
                "the fields that it interacts with, so the lowest are where to look first.",
            ]
        elif judged:
            lines.append(
                "By this measure nothing keeps the dimensions from being used. That alone does not make a model scale: "
                "the paper's less collapsed models whose interaction was suppressed overfitted (Finding 2)."
            )
        lines.append(
            "These are associations seen in the paper's experiments. They do not say how good this model's predictions "
            "are: only training it at other sizes can."
        )
        return lines

    def __str__(self) -> str:
        rows = [
            {
                "table": shortened(table.title),
                "rows": f"{table.rows:,}",
                "columns": table.columns,
                "abundance": rounded(table.information_abundance),
                "random": rounded(table.random_information_abundance),
                "share": rounded(table.share_of_random),
                "effective rank": rounded(table.effective_rank),
                "99 % energy": "-" if table.energy_dimensions is None else str(table.energy_dimensions),
                "verdict": table.verdict,
            }
            for table in self.tables
        ]
        text = (
            f"{printable(self.source)}: {printable(self.found_by)}\n\n{pd.DataFrame(rows).to_string(index=False)}\n\n"
        )
        text += "\n".join(fill(line, 100) for line in self.reading())
        for title, lines in self.lists().items():
            more = len(lines) - MOST_LEFT_OUT
            shown = lines[:MOST_LEFT_OUT] + [f"and {more} more"] * (more > 0)
            text += f"\n\n{title}:\n" + "\n".join(f"  {line}" for line in shown)
        return text

    def lists(self) -> dict[str, list[str]]:
        """What was not measured and not looked into, a line each, if there is any."""
        lists = {
            "Not measured": [printable(f"{it.name} {it.shape}: {it.reason}") for it in self.left_out],
            "Not looked into": [printable(f"{it.name}: {it.reason}") for it in self.not_looked_into],
        }
        return {title: lines for title, lines in lists.items() if lines}

    def to_json(self) -> str:
        """The report as JSON; all numbers are finite.

        Keys: format (2), source, found_by, collapsed_below, energy_share, reading (a list of sentences), tables,
        left_out and not_looked_into. A table has the attributes of `TableMeasures` (field, warning and the measures may
        be null) with verdict and reading; what was left out has name, shape and reason, what was not looked into name
        and reason.
        """
        values = {
            "format": 2,
            "source": self.source,
            "found_by": self.found_by,
            "collapsed_below": COLLAPSED_BELOW,
            "energy_share": 0.99,
            "reading": self.reading(),
            "tables": [asdict(it) | {"verdict": it.verdict, "reading": it.reading()} for it in self.tables],
            "left_out": [asdict(it) for it in self.left_out],
            "not_looked_into": [asdict(it) for it in self.not_looked_into],
        }
        return json.dumps(values, allow_nan=False)

    def to_html(self) -> str:
        """The report as one page that needs nothing else: no scripts, no other files; light and dark."""
        cards = "\n".join(card(table) for table in self.tables)
        reading = "".join(f"<p>{escape(line)}</p>" for line in self.reading())
        others = "\n".join(
            f"<h2>{title}</h2>\n<ul>{''.join(f'<li>{escape(line)}</li>' for line in lines)}</ul>"
            for title, lines in self.lists().items()
        )
        return PAGE.format(
            title=f"Embedding tables of {escape(printable(self.source))}",
            found_by=escape(printable(self.found_by)),
            style=STYLE,
            reading=reading,
            cards=cards,
            others=others,
        )


def shortened(text: str) -> str:
    return text if len(text) <= LONGEST_NAME else "..." + text[3 - LONGEST_NAME :]


def rounded(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def card(table: TableMeasures) -> str:
    """A table's part of the page: name, verdict, numbers, spectrum and reading."""
    facts = {
        "shape": f"{table.rows:,} &times; {table.columns:,}, {escape(table.dtype)}",
        "information abundance": rounded(table.information_abundance),
        "random, same shape": rounded(table.random_information_abundance),
        "share of random": rounded(table.share_of_random),
        "effective rank": rounded(table.effective_rank),
        "dimensions with 99 % of the energy": "-" if table.energy_dimensions is None else table.energy_dimensions,
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
        points = " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(x, y, strict=True))
        return f'<polyline class="{kind}" points="{points}"/>'

    ticks = "".join(
        f'<text x="{left - 6}" y="{12 + (height - bottom - 8) * decade / decades:.1f}" text-anchor="end">'
        f"{1 if not decade else f'1e-{decade}'}</text>"
        for decade in range(0, decades + 1, 2)
    )
    smallest, random = table.singular_values[-1] / table.singular_values[0], table.random_singular_values[-1]
    label = f"Singular values over the largest, from 1 to {smallest:.1e}; of random matrices from 1 to {random:.1e}."
    lines = line(np.array(table.random_singular_values), "random") + line(np.array(table.singular_values), "learned")
    base, right = height - 8, width - 8
    return (
        f'<svg viewBox="0 0 {width} {height}" role="img" aria-label="{label}"><title>{label}</title>'
        f'<path class="axis" d="M{left},8V{height - bottom}H{right}"/>{ticks}<text x="{left}" y="{base}">1</text>'
        f'<text x="{(left + width) // 2}" y="{base}" text-anchor="middle">singular value</text>'
        f'<text x="{right}" y="{base}" text-anchor="end">{most}</text>{lines}</svg>'
    )


STYLE = """
:root { color-scheme: light dark; --back: #fff; --text: #1c1c1c; --soft: #595959; --line: #c9c9c9; --learned: #0b5cad;
  --bad: #a3260b; }
@media (prefers-color-scheme: dark) { :root { --back: #16181b; --text: #e8e8e8; --soft: #b0b0b0; --line: #4a4a4a;
  --learned: #79b8ff; --bad: #ff9d85; } }
body { background: var(--back); color: var(--text); font: 16px/1.5 system-ui, sans-serif; margin: 0 auto; padding: 1rem;
  max-width: 72rem; overflow-wrap: anywhere; }
.tables { display: grid; gap: 1rem; grid-template-columns: repeat(auto-fill, minmax(min(20rem, 100%), 1fr)); }
section { border: 1px solid var(--line); border-radius: .4rem; padding: .8rem; }
h1 { font-size: 1.4rem; } h2 { font-size: 1.15rem; } h3 { font-size: 1rem; margin: 0; }
.verdict { margin: 0; font-weight: 600; } .collapsed .verdict { color: var(--bad); }
dl { margin: .5rem 0; } dl div { display: flex; justify-content: space-between; gap: 1rem; }
dt, .note { color: var(--soft); } dd { margin: 0; font-variant-numeric: tabular-nums; text-align: right; }
svg { width: 100%; height: auto; } svg text { fill: var(--soft); font-size: 11px; }
polyline, .axis { fill: none; stroke: var(--line); } polyline { stroke-width: 2; }
.learned { stroke: var(--learned); } .random { stroke: var(--soft); stroke-dasharray: 4 3; }
"""

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
<h1>{title}</h1>
<p>Taken were {found_by}.</p>
<h2>Reading</h2>
{reading}
<h2>Tables</h2>
<p class="note">Spectra: the singular values over the largest, solid; of random matrices of the same shape, dashed.</p>
<div class="tables">
{cards}
</div>
{others}
</main>
</body>
</html>
"""
