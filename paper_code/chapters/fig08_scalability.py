"""Figures 1a, 8, 10 and 11, Table 1: test AUC by size, single and multi embedding."""

import json
from collections.abc import Mapping, Sequence

import altair as alt
import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from paper_code.chapters.shared.gains import (
    beside_published,
    draw_published_beside_ours,
    draw_sizes,
    gains,
    published_gains,
    with_both_bases,
)
from paper_code.chapters.shared.gates import OF_AUC
from paper_code.chapters.shared.judged import judged_runs, latent_checks
from paper_code.chapters.shared.rules import (
    SIGNIFICANT_AUC,
    Claim,
    Effect,
    gain,
)
from paper_code.chapters.shared.style import (
    BASE_LINE,
    COLORS,
    FIGURE_WIDTH,
    GREY,
    INK,
    LINE_KEYS,
    LINES,
    label_outer,
    log_title,
    seeds_title,
    small_multiples,
    styled,
    wrapped,
)
from paper_code.chapters.shared.tables import PLAIN, Runs, log_label, results_table
from paper_code.chapters.shared.vega import ALL_MODELS, DASHES, PUBLISHED_GREY, TEXT, dropdown, rounded, specification
from paper_code.chapters.shared.words import EMBEDDING_LABELS, counted, size_text
from paper_code.models import MODEL_LABELS
from paper_code.published import published_auc, published_dataset
from paper_code.runs.record import RunRecord


@styled
def scalability_figure(
    records: Sequence[RunRecord], embeddings: Sequence[str] = ("SE", "ME")
) -> tuple[Figure, pd.DataFrame]:
    """Figures 1a and 8: gain in test AUC over the base model by size; published beside ours, on the same axes.

    Ours: mean and 95 % confidence interval of the gain over the same seed's base. Published: the difference of the
    published means. embeddings: single (SE), multi (ME) or both.
    """
    table = results_table(records)
    dataset, models = table["dataset"].iloc[0], list(table["model"].unique())
    ours, published = gains(table), published_gains(dataset, models)
    ours, published = (data[data["embedding"].isin(embeddings)] for data in (ours, published))
    figure, (left, right) = plt.subplots(1, 2, figsize=(FIGURE_WIDTH, 4.2), sharex=True)
    titles = (f"Published: {published_dataset(dataset)}", f"Ours: {log_title(records[0])}, {seeds_title(ours)}")
    draw_published_beside_ours(left, right, published, ours, *(wrapped(title, 28) for title in titles))
    handles, labels = right.get_legend_handles_labels()
    figure.legend(handles, labels, ncols=3 if len(labels) > 4 else 2, loc="outside lower center")
    return figure, pd.concat([published.assign(source="published"), ours.assign(source="ours")], ignore_index=True)


@styled
def models_figure(records: Sequence[RunRecord]) -> tuple[Figure, pd.DataFrame]:
    """Figures 10 and 11: gain in test AUC over the base by size, a panel for each model, published in grey."""
    table = results_table(records)
    dataset, models = table["dataset"].iloc[0], [m for m in MODEL_LABELS if m in set(table["model"])]
    ours, published = gains(table), published_gains(dataset, models)
    scales = {*ours["scale"], *published["scale"]}
    figure, panels = small_multiples(len(models), 2.0)
    for axes, model in zip(panels, models, strict=True):
        of_paper, of_runs = (data[data["model"] == model] for data in (published, ours))
        draw_sizes(axes, of_paper, "gain", scales, line=GREY, marker=GREY, prefix="published")
        draw_sizes(axes, of_runs, "gain", scales, prefix="ours")
        axes.axhline(0, **BASE_LINE)
        axes.set_title(MODEL_LABELS[model])
    label_outer(panels)
    figure.supylabel("test AUC, gain over the base model")
    looks = {
        f"{source} {EMBEDDING_LABELS[embedding]}": {
            **{"color": color, "linestyle": LINES[embedding], "marker": "o"},
            **{"markerfacecolor": color if embedding == "ME" else "none"},
        }
        for source, color in (("published", GREY), ("ours (coloured)", INK))
        for embedding in LINES
    }
    figure.legend([Line2D([], [], **look) for look in looks.values()], looks, ncols=2, loc="outside lower center")
    title = f"Published: {published_dataset(dataset)}. Ours: {log_title(records[0])}, {seeds_title(ours)}"
    figure.suptitle(wrapped(title))
    return figure, pd.concat([published.assign(source="published"), ours.assign(source="ours")], ignore_index=True)


def describe_scalability(data: pd.DataFrame) -> str:
    return beside_published(data, "Line charts of published results and of ours", "by model size")


def describe_models(data: pd.DataFrame) -> str:
    panels = counted(data["model"].nunique(), "panel")
    return beside_published(data, f"Line charts in {panels}, one for each model", "by model size, published and ours")


def scalability_claims(runs: Runs, models: Sequence[str] | None = None) -> list[Claim]:
    """Figure 8 and Table 1: three claims for each of the models; None: those that the records hold."""
    models = models or list(runs.table["model"].unique())
    return [claim for model in models for claim in model_scalability_claims(runs, model)]


def model_scalability_claims(runs: Runs, model: str) -> list[Claim]:
    label, largest = MODEL_LABELS[model], runs.largest
    multi = [scale for scale in runs.scales if scale > 1]
    in_paper = len(published_auc(runs.dataset, [model])) > 0
    published = published_dataset(runs.dataset)
    source = f"Section 5.2, Table 1 ({published})" if in_paper else "as Section 5.2; not in the paper"
    of_table = "table4_fig11" if published == "Avazu" else "table3_fig10"

    def claim(name: str, statement: str, rule: str, *effects: Effect, sizes, checks=()) -> Claim:
        return Claim(
            f"{name}-{model}",
            source,
            f"{label}: {statement}",
            rule,
            effects,
            runs.dataset,
            of_table if in_paper else "newer",
            checks=(*OF_AUC, *checks),
            judged=judged_runs([model], *sizes),
        )

    return [
        claim(
            "single-embedding",
            "larger single embeddings do not improve the test AUC satisfactorily.",
            f"The gain of the largest size over the base is below {SIGNIFICANT_AUC}, the paper's significant gain.",
            gain(runs, model, ("SE", largest), ("SE", 1), "below", SIGNIFICANT_AUC),
            sizes=[("SE", 1), ("SE", largest)],
            checks=latent_checks(runs.dataset),
        ),
        claim(
            "multi-embedding-better",
            "multi embedding is better than single embedding at every size.",
            "Multi minus single embedding at the same size is above zero, paired by seed, at every size.",
            *(gain(runs, model, ("ME", scale), ("SE", scale)) for scale in multi),
            sizes=[(embedding, scale) for scale in multi for embedding in ("SE", "ME")],
        ),
        claim(
            "multi-embedding-scales",
            "multi embedding improves with size; the largest is best.",
            "The largest multi embedding is better than the base and than every smaller one, paired by seed.",
            *(
                gain(runs, model, ("ME", largest), over)
                for over in [("SE", 1), *(("ME", scale) for scale in multi if scale < largest)]
            ),
            sizes=[("SE", 1), *(("ME", scale) for scale in multi)],
        ),
    ]


FIRST_SHOWN = MODEL_LABELS["dcnv2"]
"""The model that `gains_chart` begins with: four lines, where all models have 24."""


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


FIGURES = {
    "fig01_single_embedding": (scalability_figure, describe_scalability),
    "fig08_scalability": (scalability_figure, describe_scalability),
    "newer_scalability": (scalability_figure, describe_scalability),
    "fig10_models": (models_figure, describe_models),
    "fig11_models": (models_figure, describe_models),
}
"""By the name of its files: what draws a figure, and what tells its numbers in words."""
