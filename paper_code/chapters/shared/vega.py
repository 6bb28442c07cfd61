"""What the interactive charts share: Vega-Lite specifications, made with Altair."""

from collections.abc import Iterable

import altair as alt
import numpy as np
import vl_convert

ALL_MODELS = "all models"
PUBLISHED_GREY = "#8a8a8a"  # on white and on the dark theme's ground
DASHES = {"single": [5, 3], "multi": [1, 0]}
TEXT = "currentColor"
CONFIG = {
    "background": "transparent",
    # the chart has one description; its marks would be hundreds
    "aria": False,
    "mark": {"aria": False},
    "view": {"stroke": None},
    "axis": {
        **{f"{part}Color": TEXT for part in ("label", "title", "domain", "tick", "grid")},
        **{"gridOpacity": 0.15, "titleFontWeight": "normal", "labelFontSize": 11, "titleFontSize": 12},
    },
    "legend": {
        **{"labelColor": TEXT, "titleColor": TEXT, "orient": "bottom", "titleFontWeight": "normal"},
        **{"labelFontSize": 12, "titleFontSize": 12, "labelLimit": 260, "symbolStrokeColor": TEXT},
    },
    "title": {
        **{"color": TEXT, "anchor": "start", "frame": "bounds"},
        **{"fontSize": 12, "fontWeight": "normal"},
    },
}


def vega_bundle() -> str:
    """Vega, Vega-Lite and Vega-Embed as one classic script, which defines `vegaEmbed`; it runs from `file://` too."""
    module = vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;")  # no exports, but names of its own
    return f'(() => {{ "use strict";\n{module}\n}})();\n'


def specification(chart: alt.TopLevelMixin, title: str | alt.Title, description: str) -> dict:
    """The chart in the book's look, as wide as its place, as a Vega-Lite specification that Altair has validated."""
    if not isinstance(chart, alt.VConcatChart):  # these `interactive.js` fits to their place
        chart = chart.properties(width="container")
    return chart.properties(title=title, description=description).configure(**CONFIG).to_dict()


def dropdown(name: str, values: Iterable[str], labels: Iterable[str] | None = None) -> alt.Binding:
    """A select element with a visible name."""
    return alt.binding_select(name=name, options=list(values), labels=list(labels or values))


def summary(name: str, values: np.ndarray) -> dict:
    """Mean and range over the seeds, the first axis: <name>, <name>_from and <name>_to."""
    parts = {name: values.mean(0), f"{name}_from": values.min(0), f"{name}_to": values.max(0)}
    return {key: rounded(part) if part.ndim == 0 else [rounded(v) for v in part] for key, part in parts.items()}


def summary_tooltip(name: str, label: str) -> list[alt.Tooltip]:
    titles = {name: f"{label}, mean", f"{name}_from": "lowest seed", f"{name}_to": "highest seed"}
    return [alt.Tooltip(f"{key}:Q", title=title, format=".2f") for key, title in titles.items()]


def rounded(value: float) -> float:
    """To six significant digits, as in the figures' CSV files."""
    return float(f"{value:.6g}")
