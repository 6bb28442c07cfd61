"""Numbers and tables as text."""

from collections.abc import Sequence

from paper_code.diagnose.measures import Measures

LONGEST_NAME = 48
"""What the text for a terminal shows of a name."""


def aligned(rows: Sequence[dict[str, str]]) -> str:
    """A table of text, with the names of the columns on top; each column ends at the right."""
    lines = [list(rows[0]), *(list(row.values()) for row in rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join("  ".join(cell.rjust(width) for cell, width in zip(line, widths, strict=True)) for line in lines)


def interval_of(measures: Measures) -> str:
    """The shares that 95 % of random matrices have."""
    interval = measures.interval_of_share
    return "-" if interval is None else f"{interval[0]:.2f} to {interval[1]:.2f}"


def counted(value: int | None) -> str:
    return "-" if value is None else str(value)


def shortened(text: str) -> str:
    return text if len(text) <= LONGEST_NAME else "..." + text[3 - LONGEST_NAME :]


def rounded(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"
