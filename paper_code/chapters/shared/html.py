"""Tables as HTML and CSV, and means as text."""

import re
from html import escape as html_escape
from pathlib import Path

import pandas as pd

from paper_code.chapters.shared.tables import half_interval
from paper_code.runs.profiles import project_path


def mean_text(values: pd.Series, digits: str) -> str:
    """The mean over the seeds and half of its 95 % confidence interval."""
    half = half_interval(values.std(), len(values))
    return f"{values.mean():{digits}} ± {half:{digits.lstrip('+')}}"


def html_table(table: pd.DataFrame, escape: bool = True) -> str:
    """The table as HTML in the book's style, in a box that scrolls if it is too wide, and can be reached by keyboard.

    A deviation goes below its mean. escape: its texts are no HTML.
    """
    with pd.option_context("display.max_colwidth", None):
        html = table.to_html(index=False, border=0, justify="left", classes="table", escape=escape)
    html = re.sub(r" (± [\d.]+)", r'<br><small class="deviation">\1</small>', html)
    label = html_escape(f"Table of {', '.join(map(str, table.columns))}")
    return f'<div class="table-box" role="region" tabindex="0" aria-label="{label}">{html}</div>'


def save_table(table: pd.DataFrame, name: str, folder: str | Path) -> None:
    """Write the table to `<folder>/data/<name>.csv`; a relative folder is below the project's root."""
    folder = project_path(folder) / "data"
    folder.mkdir(parents=True, exist_ok=True)
    table.to_csv(folder / f"{name}.csv", index=False)
