"""One look for all figures, and what several of them share."""

import re
import textwrap
from collections.abc import Callable, Sequence
from contextlib import contextmanager
from functools import wraps
from html import escape
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from paper_code.chapters.shared.tables import PLAIN, VARIANT_LABELS, log_label
from paper_code.models import MODEL_LABELS
from paper_code.runs.profiles import project_path
from paper_code.runs.record import RunRecord

FIGURE_WIDTH = 5.4  # inches: on a page of 400 pixels a point is a pixel
INK, GREY = "0.1", "0.55"
COLORBLIND = sns.color_palette("colorblind").as_hex()
COLORS = dict(zip(["dnn", "dcnv2", "ipnn", "finalmlp", "nfwfm", "xdeepfm"], COLORBLIND, strict=False))
COLORS |= {"ffm": "#7f6fc7", "fm": "#56b4e9", "gdcn": "#c2185b", "rankmixer": "#6b8e23"}


MARKERS = {"dnn": "o", "dcnv2": "s", "ipnn": "^", "finalmlp": "D", "nfwfm": "v", "xdeepfm": "P"}
MARKERS |= {"ffm": "X", "fm": "h", "gdcn": "*", "rankmixer": (8, 1, 0)}


LINES = {"SE": "--", "ME": "-"}
VARIANT_MARKERS = dict(
    zip([name for name in VARIANT_LABELS if name != PLAIN], ["d", (4, 1, 0), "<", ">", "p", (6, 1, 0)], strict=True)
)
RANDOM_LINE, INITIAL_LINE = ({"color": INK, "linestyle": line, "lw": 1.2} for line in ("-.", ":"))
RANDOM_BAR = {"color": "0.78", "edgecolor": "0.45", "hatch": "/////", "lw": 0.5}
INITIAL_MARK = {"marker": "_", "linestyle": "none", "color": INK, "markeredgewidth": 1.4}
WHISKERS = {"color": INK, "ecolor": INK, "capsize": 1.5, "elinewidth": 0.9, "capthick": 0.9}
BASE_LINE = {"color": INK, "lw": 0.6}
GAIN_LABEL = "test AUC,\ngain over the base model"
# how an effect's answer is drawn -> its name, the bar and its number; not the colours of a model
ANSWER_LOOKS = {
    "yes": ("holds", {"facecolor": "#0b5351", "edgecolor": "#0b5351"}, "#fefefe"),
    "undecided": ("undecided", {"facecolor": "#cfcfcf", "edgecolor": "#f8f8f8", "hatch": "/////"}, "#111111"),
    "against": ("against", {"facecolor": "#e8505b", "edgecolor": "#f28d93", "hatch": "xxx"}, "#111111"),
}
LINE_KEYS = ["model", "variant", "embedding", "scale"]
STYLE = {
    "figure.dpi": 150,
    "savefig.dpi": 160,
    "figure.constrained_layout.use": True,
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans", "Verdana"],
    "font.size": 10,
    "axes.titlesize": 10,
    "axes.labelsize": 10,
    "figure.titlesize": 10,
    "figure.labelsize": 10,
    "xtick.labelsize": 9,
    "ytick.labelsize": 9,
    "legend.fontsize": 9,
    "legend.frameon": False,
    "legend.handlelength": 2.6,
    "legend.columnspacing": 1.2,
    "lines.markersize": 5,
    "hatch.linewidth": 0.7,
    "svg.fonttype": "none",
    "svg.hashsalt": "paper-code",
}
SMALL = 8  # points: the smallest text
GRADIENT = mpl.colors.LinearSegmentedColormap.from_list(
    "gradient", mpl.colormaps["viridis"](np.linspace(0.2, 0.88, 64))
)
# pale, for numbers upon them that stay dark on a dark page
ON_PALE = "#111111"
DIVERGING = mpl.colors.LinearSegmentedColormap.from_list("diverging", ["#e0a080", "#f2f0ec", "#7fb8a4"])
SHADES = mpl.colors.LinearSegmentedColormap.from_list("shades", ["#d98cb3", "#f2f0ec"])


@contextmanager
def style():
    """The look of every figure, for the time of the block."""
    with mpl.rc_context(sns.axes_style("ticks") | STYLE):
        yield


def styled(draw: Callable[..., tuple[Figure, pd.DataFrame]]) -> Callable[..., tuple[Figure, pd.DataFrame]]:
    """A function that draws a figure, in the look of the book and with two axes instead of frames."""

    @wraps(draw)
    def drawn(*arguments, **options) -> tuple[Figure, pd.DataFrame]:
        with style():
            figure, data = draw(*arguments, **options)
            sns.despine(figure)
        return figure, data

    return drawn


def save_figure(figure: Figure, data: pd.DataFrame, name: str, folder: str | Path, alt: str) -> str:
    """Write `<folder>/<name>.svg` and `.png`, and the numbers behind them to `<folder>/data/<name>.csv`.

    The PNG is on white, the SVG transparent, to stand in a page of any colour; its text. A relative folder is below the
    project's root. alt: the figure in words, the SVG's label.
    """
    folder = project_path(folder)
    (folder / "data").mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.svg"
    with mpl.rc_context(STYLE):
        figure.draw_without_rendering()
        figure.set_layout_engine("none")  # its solution moves a little with every further drawing
        figure.savefig(path, metadata={"Date": None}, transparent=True)
        figure.savefig(folder / f"{name}.png", facecolor="white")
    svg = labelled_svg(path.read_text(encoding="utf-8"), name, alt)
    path.write_text(svg, encoding="utf-8")
    data.to_csv(folder / "data" / f"{name}.csv", index=False, float_format="%.6g")
    return svg


def labelled_svg(svg: str, name: str, alt: str) -> str:
    """Matplotlib's SVG made fit to stand in a page beside others: named, its ids its own, and no rule for the page."""
    svg = re.sub(r'( id="|url\(#|href="#)', rf"\g<1>{name}-", svg)
    rules = re.search(r'\s*<defs>\s*<style type="text/css">\*\{(.*?)\}</style>\s*</defs>', svg)
    root = f'<svg role="img" aria-label="{escape(alt)}" style="{rules[1]}"'
    return svg.replace(rules[0], "", 1).replace("<svg", root, 1)


def wrapped(text: str, width: int = 58) -> str:
    """A title in lines of at most so many characters, broken after a comma or before a parenthesis."""
    kept = re.sub(r"(?<![,.:]) (?!\()", "\0", text)
    return textwrap.fill(kept, width, break_long_words=False, break_on_hyphens=False).replace("\0", " ")


def small_multiples(count: int, height: float, columns: int = 2, further: float = 1.1) -> tuple[Figure, list[Axes]]:
    """Panels of one scale, in inches each so high; further: of titles and legend."""
    rows = -(-count // columns)
    figure, panels = plt.figure(figsize=(FIGURE_WIDTH, height * rows + further)), []
    for number in range(count):
        shared = panels[0] if panels else None
        panels.append(figure.add_subplot(rows, columns, number + 1, sharex=shared, sharey=shared))
    return figure, panels


def label_outer(panels: Sequence[Axes], columns: int = 2) -> None:
    """Leave the scales to the panels that have none below, or to the left: also above a place that is empty."""
    for number, axes in enumerate(panels):
        below, left = number + columns < len(panels), number % columns > 0
        axes.tick_params(labelbottom=not below, labelleft=not left)
        axes.set(**{"xlabel": ""} if below else {}, **{"ylabel": ""} if left else {})


def field_ticks(axes: Axes, cardinalities: pd.Series) -> None:
    """The fields below their bars, with their cardinalities."""
    labels = [f"{name} ({values:,.0f})" for name, values in cardinalities.items()]
    axes.set_xticks(np.arange(len(labels)), labels, rotation=90, fontsize=SMALL)
    axes.set_xlim(-0.6, len(labels) - 0.4)
    axes.set_xlabel("field (its cardinality)")


def bar_ink(model: str, embedding: str) -> dict:
    """Bars as the lines' markers: full for multi, pale for single embedding."""
    face = mpl.colors.to_rgba(COLORS[model], 1 if embedding == "ME" else 0.25)
    return {"color": face, "edgecolor": COLORS[model], "lw": 1.2}


def line_look(model: str, variant: str, embedding: str) -> dict:
    """Colour and marker of a model, or of its variant; dashed and open for single embedding."""
    plain = variant == PLAIN
    color, marker = (COLORS[model], MARKERS[model]) if plain else (INK, VARIANT_MARKERS.get(variant, "d"))
    face = color if embedding == "ME" else "none"
    look = {"color": color, "marker": marker, "markeredgecolor": color, "markerfacecolor": face}
    return look | {"linestyle": LINES[embedding], "markersize": 5 if plain else 6}


def sorted_lines(table: pd.DataFrame) -> pd.DataFrame:
    """By model, variant and size, single embedding first."""
    variants = [PLAIN, *dict.fromkeys(table["variant"][table["variant"] != PLAIN])]
    order = [list(MODEL_LABELS).index(model) for model in table["model"]]
    of_variant = [variants.index(variant) for variant in table["variant"]]
    keys = ["order", "of_variant", "embedding", "scale"]
    table = table.assign(order=order, of_variant=of_variant)
    return table.sort_values(keys, ascending=[True, True, False, True]).drop(columns=["order", "of_variant"])


def seeds_title(summary: pd.DataFrame) -> str:
    """How many seeds a summary's numbers are of."""
    fewest, most = summary["seeds"].min(), summary["seeds"].max()
    return f"{most} seeds" if fewest == most else f"{fewest} to {most} seeds"


def log_title(record: RunRecord) -> str:
    """The data set and its rows."""
    data = record.config["data"]
    return f"{log_label(data['name'])} ({data['rows']:,} rows)"


def run_title(records: Sequence[RunRecord]) -> str:
    """Model, size, data set and seeds of records that differ in the seed alone."""
    config = records[0].config
    sets = f", {config['num_sets']} sets" if config["num_sets"] > 1 else ""
    seeds = [record.config["seed"] for record in records]
    which = f"seed {seeds[0]}" if len(seeds) == 1 else f"mean and range over {len(seeds)} seeds"
    return f"{MODEL_LABELS[config['model']]}, $K$ = {config['embedding_size']}{sets}, {log_title(records[0])}, {which}"


def whiskers(mean: pd.Series, spread: pd.DataFrame) -> list[pd.Series]:
    """How far the smallest and largest values, columns min and max, lie from the mean; not below zero by rounding."""
    return [(mean - spread["min"]).clip(lower=0), (spread["max"] - mean).clip(lower=0)]
