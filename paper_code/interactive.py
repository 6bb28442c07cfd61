"""The interactive figures: Vega-Lite specifications of the numbers that the static figures show.

`book/_static/interactive.js` puts a specification into the place of its static figure. Text, axes and rules have the
page's text colour, so that they follow its theme.
"""

import json
from collections.abc import Iterable, Mapping, Sequence

import altair as alt
import matplotlib as mpl
import numpy as np
import pandas as pd
import vl_convert

from paper_code.figures import COLORS, EMBEDDING_LABELS, LINE_KEYS, gains, published_gains, seeds_title, with_both_bases
from paper_code.models import MODEL_LABELS
from paper_code.published import published_auc, published_dataset
from paper_code.runs import RunRecord
from paper_code.tables import PLAIN, field_abundance, log_label, results_table, sub_embedding_abundance
from paper_code.toy import ToyResult

ALL_MODELS = "all models"
PUBLISHED_GREY = "#8a8a8a"  # on white and on the dark theme's ground
CASE_COLORS = {"Small": "currentColor", "Large": mpl.colors.to_hex(COLORS["fm"])}  # those of the static figure
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


def law_chart(of_ffm: Sequence[RunRecord], of_dcnv2: Sequence[RunRecord]) -> dict:
    """Figure 3: information abundance of the sub-embeddings of the first seed, a model at a time.

    Fields sorted by the information abundance of their embeddings, lowest first. The data has a row for each model and
    field i, with a list over the other fields j.
    """
    rows = []
    for record in (of_ffm[0], of_dcnv2[0]):
        pairs, of_fields, names = sub_embedding_abundance(record), field_abundance(record), record.fields
        for i, field in enumerate(names):
            others = [j for j in range(len(names)) if j != i]
            rows.append(
                {
                    "model": MODEL_LABELS[record.config["model"]],
                    "i": field["name"],
                    "cardinality_i": field["cardinality"],
                    "abundance_i": rounded(of_fields[i]),
                    "j": [names[j]["name"] for j in others],
                    "cardinality_j": [names[j]["cardinality"] for j in others],
                    "abundance_j": [rounded(of_fields[j]) for j in others],
                    "abundance": [rounded(pairs[i, j]) for j in others],
                }
            )
    models = list(dict.fromkeys(row["model"] for row in rows))
    model = alt.param(name="model", value=models[0], bind=dropdown("model", models))
    chart = (
        alt.Chart(alt.Data(values=rows), height=max(300, 10 * len(of_ffm[0].fields)))
        .transform_filter("datum.model == model")
        .transform_flatten(["j", "cardinality_j", "abundance_j", "abundance"])
        .mark_rect()
        .encode(
            x=alt.X("j:N", title="j, sorted by IA(Eⱼ)", sort=alt.EncodingSortField("abundance_j", op="min")),
            y=alt.Y(
                "i:N",
                title="i, sorted by IA(Eᵢ)",
                sort=alt.EncodingSortField("abundance_i", op="min", order="descending"),
            ),
            color=alt.Color("abundance:Q", title="IA(Eᵢ→ⱼ)", scale=alt.Scale(scheme="viridis")),
            tooltip=[
                alt.Tooltip("i:N", title="field i"),
                alt.Tooltip("j:N", title="field j"),
                alt.Tooltip("cardinality_i:Q", title="cardinality of i", format=","),
                alt.Tooltip("cardinality_j:Q", title="cardinality of j", format=","),
                alt.Tooltip("abundance:Q", title="IA(Eᵢ→ⱼ)", format=".2f"),
                alt.Tooltip("abundance_i:Q", title="IA(Eᵢ)", format=".2f"),
                alt.Tooltip("abundance_j:Q", title="IA(Eⱼ)", format=".2f"),
            ],
        )
        .add_params(model)
    )
    data = of_ffm[0].config["data"]
    title = f"{log_label(data['name'])} ({data['rows']:,} rows), seed {of_ffm[0].config['seed']}"
    return specification(chart, title, "Heatmap of the information abundance of the sub-embeddings, by fields i and j.")


def toy_chart(small: ToyResult, large: ToyResult) -> dict:
    """Figure 4: the singular values of E_1 at an iteration, and IA(E_1) over all; means and ranges over the seeds.

    The data has a row for each case and iteration, with lists over the index k of the singular values.
    """
    rows = []
    for case, result in (("Small", small), ("Large", large)):
        values, abundance = result.singular_values, result.information_abundance
        for point, iteration in enumerate(result.iterations):
            rows.append(
                {
                    "case": f"{case} (D₃ = {result.third_cardinality})",
                    "iteration": int(iteration),
                    **summary("abundance", abundance[:, point]),
                    "k": list(range(1, values.shape[2] + 1)),
                    **summary("value", values[:, point]),
                }
            )
    cases = list(dict.fromkeys(row["case"] for row in rows))
    legend = alt.Legend(title=None, symbolType="square", symbolOpacity=1)
    color = alt.Color("case:N", legend=legend, scale=alt.Scale(domain=cases, range=list(CASE_COLORS.values())))
    last, step = int(small.iterations[-1]), int(small.iterations[1])
    iteration = alt.param(
        name="iteration", value=last, bind=alt.binding_range(name="iteration", min=0, max=last, step=step)
    )
    highest = float(max(small.singular_values.max(), large.singular_values.max()))
    base = alt.Chart(height=170, width=280)  # the width is that of the page in the end, see specification
    spectrum = (
        base.transform_filter("datum.iteration == iteration")
        .transform_flatten(["k", "value", "value_from", "value_to"])
        .mark_bar()
        .encode(
            x=alt.X("k:O", title="index k", axis=alt.Axis(labelAngle=0)),
            xOffset=alt.XOffset("case:N", sort=cases),
            y=alt.Y("value:Q", title="singular value σₖ of E₁", scale=alt.Scale(domain=[0, highest])),
            color=color,
            tooltip=["case:N", "iteration:Q", "k:O", *summary_tooltip("value", "σₖ")],
        )
    )
    over_time = base.encode(
        x=alt.X("iteration:Q", title="iteration", scale=alt.Scale(domain=[0, last])),
        color=color,
    )
    tooltip = ["case:N", "iteration:Q", *summary_tooltip("abundance", "IA(E₁)")]
    of_abundance = alt.Y("abundance:Q", title="IA(E₁)", scale=alt.Scale(zero=False))
    lines = alt.layer(
        over_time.mark_area(opacity=0.2).encode(y=alt.Y("abundance_from:Q", title="IA(E₁)"), y2="abundance_to:Q"),
        over_time.mark_line().encode(y=of_abundance),
        over_time.mark_point(opacity=0, size=80).encode(y=of_abundance, tooltip=tooltip),
        base.transform_filter("datum.iteration == iteration")
        .mark_rule(color=TEXT, strokeDash=[3, 3])
        .encode(x="iteration:Q"),
    )
    chart = alt.vconcat(spectrum, lines, data=alt.Data(values=rows), spacing=12).add_params(iteration)
    return specification(
        chart,
        f"Mean over {len(small.seeds)} seeds; hover for the range",
        "Bars of the singular values of E1 at an iteration; lines of its information abundance over all iterations.",
    )


def gains_chart(
    of_logs: Mapping[str, Sequence[RunRecord]], dataset: str | None = None, embeddings: Sequence[str] = ("SE", "ME")
) -> dict:
    """Tables 1, 3 and 4 and Figures 8, 10 and 11: gain in test AUC over the base by size, of plain models.

    Ours: mean and 95 % confidence interval, as `figures.gains`. Published: the difference of the published means.
    of_logs: records by log. dataset: the log shown first; None: the first. embeddings: single (SE), multi (ME) or both.
    The page's tables with columns model and source show what the chart shows.
    """
    rows, titles, shown_embeddings = [], {}, [EMBEDDING_LABELS[embedding] for embedding in embeddings]
    for name, records in of_logs.items():
        points = [row for row in gain_rows(name, records) if row["embedding"] in shown_embeddings]
        rows += points
        seeds = seeds_title(pd.DataFrame([row for row in points if row["kind"] == "ours"]))
        titles[name] = [f"Ours: {log_label(name)} ({records[0].config['data']['rows']:,} rows), {seeds}"]
        if any(row["kind"] == "published" for row in points):
            titles[name].insert(0, f"Published: {published_dataset(name)}")
    present, published = {row["model"] for row in rows}, any(row["kind"] == "published" for row in rows)
    labels = {label: mpl.colors.to_hex(COLORS[name]) for name, label in MODEL_LABELS.items() if label in present}
    choices = [ALL_MODELS, *labels] if len(labels) > 1 else list(labels)
    logs, sizes = list(of_logs), sorted({row["size"] for row in rows})
    kinds = {"both": "both", "ours": "ours", "published": "paper"} if published else {"ours": "ours"}
    params = [
        alt.param(name="dataset", value=dataset or logs[0], bind=dropdown("data set", logs, map(log_label, logs))),
        alt.param(name="model", value=choices[0], bind=dropdown("model", choices)),
        alt.param(name="shown", value=next(iter(kinds)), bind=dropdown("shown", kinds, kinds.values())),
    ]
    hovered = alt.selection_point(
        name="hovered", on="pointerover", clear="pointerout", fields=["model", "embedding", "kind"]
    )
    colors = labels | {"published": PUBLISHED_GREY} if published else labels
    of_lines = alt.Legend(title=None, columns=3, symbolType="circle", symbolStrokeWidth=0, symbolOpacity=1)
    of_embeddings = alt.Legend(title=None, symbolType="stroke", symbolSize=400, orient="top")
    readable = {"or": [f"model != '{ALL_MODELS}'", {"param": "hovered", "empty": False}]}  # few enough intervals
    base = (
        alt.Chart(height=300)
        .transform_filter("datum.dataset == dataset")
        .transform_filter(f"model == '{ALL_MODELS}' || datum.model == model")
        .transform_filter("shown == 'both' || datum.kind == shown")
        .encode(
            x=alt.X(
                "position:Q",
                title="model size",
                scale=alt.Scale(type="log", domain=[0.93, 1.07 * sizes[-1]], nice=False),
                axis=alt.Axis(values=sizes, grid=False, labelExpr="datum.value == 1 ? 'base' : datum.value + 'x'"),
            ),
            color=alt.Color(
                "line:N", legend=of_lines, scale=alt.Scale(domain=list(colors), range=list(colors.values()))
            ),
            opacity=alt.when(hovered).then(alt.value(1)).otherwise(alt.value(0.25)),
        )
    )
    gain = alt.Y("gain:Q", title="test AUC, gain over the base", axis=alt.Axis(format="+.5~f"))
    dashes = alt.Scale(domain=shown_embeddings, range=[DASHES[name] for name in shown_embeddings])
    chart = alt.layer(
        base.mark_rule(strokeWidth=1.5).encode(
            y=alt.Y("low:Q"),
            y2="high:Q",
            opacity=alt.OpacityValue(0, condition={"test": {"and": [{"param": "hovered"}, readable]}, "value": 0.8}),
        ),
        base.mark_line(strokeWidth=2).encode(
            y=gain,
            detail=["model:N", "kind:N"],
            strokeDash=alt.StrokeDash("embedding:N", scale=dashes, legend=of_embeddings),
        ),
        base.mark_point(filled=True, size=45).encode(
            y=gain,
            shape=alt.when("datum.embedding == 'single'").then(alt.value("square")).otherwise(alt.value("circle")),
        ),
        base.mark_circle(size=300)  # what the pointer has to meet
        .encode(
            y=gain,
            opacity=alt.value(0),
            tooltip=[
                *("model:N", "embedding:N", alt.Tooltip("size_label:N", title="size"), "source:N"),
                alt.Tooltip("gain:Q", format="+.5f"),
                alt.Tooltip("interval:N", title="95 % interval"),
                alt.Tooltip("auc:N", title="mean test AUC"),
                alt.Tooltip("deviation:N", title="standard deviation"),
                "seeds:Q",
            ],
        )
        .add_params(hovered),
        alt.Chart(alt.Data(values=[{}])).mark_rule(color=TEXT, opacity=0.5).encode(y=alt.datum(0)),
        data=alt.Data(values=rows),
    ).add_params(*params)
    title = alt.Title(text=alt.ExprRef(f"{json.dumps(titles)}[dataset]"))
    description = "Lines of the gain in test AUC over the base model by model size, single and multi embedding."
    return specification(chart, title, description) | {"usermeta": {"filters_tables": True}}


def gain_rows(dataset: str, records: Sequence[RunRecord]) -> list[dict]:
    """The points of `gains_chart` for a log, ours and published; numbers that are only read as text.

    kind: ours or published. line: whose colour it has. position: the size, moved aside so that no interval hides
    another. low, high: the interval's ends; where there is none, the gain.
    """
    table = results_table(records)
    table = table[table["variant"] == PLAIN]
    models = list(table["model"].unique())
    scores = with_both_bases(table).groupby(LINE_KEYS)["test_auc"].agg(auc_mean="mean", auc_std="std").reset_index()
    ours = gains(table).merge(scores, on=LINE_KEYS).assign(kind="ours", source=f"ours, {log_label(dataset)}")
    points, published = [*ours.itertuples()], published_auc(dataset, models)
    if len(published):
        scores = with_both_bases(published.assign(variant=PLAIN))
        theirs = published_gains(dataset, models).merge(scores, on=LINE_KEYS)
        source = f"published, {published_dataset(dataset)}"
        points += theirs.assign(kind="published", source=source).itertuples()
    rows = []
    for row in points:
        has_interval = row.kind == "ours" and row.seeds > 1 and row.scale > 1
        low, high = row.gain - row.half_interval, row.gain + row.half_interval
        label, digits = MODEL_LABELS[row.model], 4 if row.kind == "ours" else 5
        rows.append(
            {
                "dataset": dataset,
                "model": label,
                "embedding": EMBEDDING_LABELS[row.embedding],
                "kind": row.kind,
                "source": row.source,
                "line": label if row.kind == "ours" else "published",
                "size": row.scale,
                "size_label": "base" if row.scale == 1 else f"{row.scale}x",
                "position": rounded(row.scale * (1.015 if row.embedding == "ME" else 0.985)),
                "gain": rounded(row.gain),
                "low": rounded(low if has_interval else row.gain),
                "high": rounded(high if has_interval else row.gain),
                "interval": f"{low:+.4f} to {high:+.4f}" if has_interval else "none",
                "auc": f"{row.auc_mean:.{digits}f}",
                "deviation": "none" if np.isnan(row.auc_std) else f"{row.auc_std:.{digits}f}",
                "seeds": row.seeds,
            }
        )
    return rows


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
