"""The interactive form of Figures 8, 10 and 11."""

import json
from collections.abc import Mapping, Sequence

import altair as alt
import matplotlib as mpl
import numpy as np
import pandas as pd

from paper_code.chapters.shared.gains import (
    gains,
    published_gains,
    with_both_bases,
)
from paper_code.chapters.shared.style import (
    COLORS,
    LINE_KEYS,
    seeds_title,
)
from paper_code.chapters.shared.tables import PLAIN, log_label, results_table
from paper_code.chapters.shared.vega import ALL_MODELS, DASHES, PUBLISHED_GREY, TEXT, dropdown, rounded, specification
from paper_code.chapters.shared.words import EMBEDDING_LABELS, size_text
from paper_code.models import MODEL_LABELS
from paper_code.published import published_auc, published_dataset
from paper_code.runs.record import RunRecord

FIRST_SHOWN = MODEL_LABELS["dcnv2"]
"""The model that `gains_chart` begins with: four lines, where all models have 24."""


def gains_chart(
    of_logs: Mapping[str, Sequence[RunRecord]], dataset: str | None = None, embeddings: Sequence[str] = ("SE", "ME")
) -> dict:
    """Tables 1, 3 and 4 and Figures 8, 10 and 11: gain in test AUC over the base by size, of plain models.

    Ours: mean and 95 % confidence interval, as `gains`. Published: the difference of the published means.
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
    first = FIRST_SHOWN if FIRST_SHOWN in labels else choices[0]
    logs, sizes = list(of_logs), sorted({row["size"] for row in rows})
    kinds = {"both": "both", "ours": "ours", "published": "paper"} if published else {"ours": "ours"}
    params = [
        alt.param(name="dataset", value=dataset or logs[0], bind=dropdown("data set", logs, map(log_label, logs))),
        alt.param(name="model", value=first, bind=dropdown("model", choices)),
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
                "size_label": size_text(row.scale),
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
