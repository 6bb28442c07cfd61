"""The interactive Figure 3: the interaction-collapse law as a trend, and the sub-embeddings that it is seen in."""

import json
from collections.abc import Sequence

import altair as alt
import numpy as np
from scipy import stats

from paper_code.chapters.fig03_interaction_collapse import (
    law_means,
    randomly_projected_abundance,
    sub_embedding_abundance,
)
from paper_code.chapters.shared.tables import field_abundance, log_label
from paper_code.chapters.shared.vega import (
    PUBLISHED_GREY,
    TEXT,
    dropdown,
    rounded,
    specification,
    summary,
    summary_tooltip,
)
from paper_code.chapters.shared.words import counted
from paper_code.models.registry import MODEL_LABELS
from paper_code.runs.record import RunRecord

TREND_CASES = {"learned": sub_embedding_abundance, "random projections": randomly_projected_abundance}
"""The lines of `law_chart`'s trend: of what sub-embeddings."""


def law_chart(of_ffm: Sequence[RunRecord], of_dcnv2: Sequence[RunRecord]) -> dict:
    """Figure 3, a model at a time: above the law, the trend along j over all seeds; below the sub-embeddings of the
    first seed, from which it is taken.

    Fields stand in the order of the information abundance of their embeddings, lowest first. The trend has a row for
    each model, case and rank; the pairs have one for each model and field i, with a list over the other fields j.
    """
    by_model = {MODEL_LABELS[of_seeds[0].config["model"]]: of_seeds for of_seeds in (of_ffm, of_dcnv2)}
    trend, pairs, titles = [], [], {}
    for label, of_seeds in by_model.items():
        found = []
        for case, measure in TREND_CASES.items():
            means = [law_means(measure(record))[1][np.argsort(field_abundance(record))] for record in of_seeds]
            mean = np.mean([stats.spearmanr(np.arange(len(of_j)), of_j).statistic for of_j in means])
            found.append(f"{mean:+.2f} {case}")
            trend += [
                {"model": label, "case": case, "rank": rank, **summary("relative", of_rank)}
                for rank, of_rank in enumerate(np.array(means).T, start=1)
            ]
        titles[label] = [f"Rank correlation, mean over {counted(len(of_seeds), 'seed')}:", ", ".join(found)]
        pairs += pair_rows(label, of_seeds[0])
    model = alt.param(name="model", value=next(iter(by_model)), bind=dropdown("model", by_model))
    base = alt.Chart(width=280).transform_filter("datum.model == model")  # the page decides the width in the end
    title = alt.Title(text=alt.ExprRef(f"{json.dumps(titles)}[model]"))
    data = of_ffm[0].config["data"]
    heat = heat_map(base.properties(data=alt.Data(values=pairs), height=max(300, 10 * len(of_ffm[0].fields))))
    heat = heat.properties(title=f"Every pair, seed {of_ffm[0].config['seed']}")
    lines = trend_lines(base.properties(data=alt.Data(values=trend), height=190)).properties(title=title)
    chart = alt.vconcat(lines, heat)
    return specification(
        chart.resolve_scale(color="independent").add_params(model),
        f"{log_label(data['name'])} ({data['rows']:,} rows)",
        "Lines of the relative mean information abundance of the sub-embeddings for field j by the rank of j, and a "
        "heatmap of that of every pair of fields i and j.",
    )


def pair_rows(label: str, record: RunRecord) -> list[dict]:
    """The rows of `heat_map` for the model so labelled, from its record."""
    pairs, of_fields, names = sub_embedding_abundance(record), field_abundance(record), record.fields
    rows = []
    for i, field in enumerate(names):
        others = [j for j in range(len(names)) if j != i]
        rows.append(
            {
                "model": label,
                "i": field["name"],
                "cardinality_i": field["cardinality"],
                "abundance_i": rounded(of_fields[i]),
                "j": [names[j]["name"] for j in others],
                "cardinality_j": [names[j]["cardinality"] for j in others],
                "abundance_j": [rounded(of_fields[j]) for j in others],
                "abundance": [rounded(pairs[i, j]) for j in others],
            }
        )
    return rows


def trend_lines(base: alt.Chart) -> alt.LayerChart:
    """Mean over the seeds and their range, by the rank of j; one is the mean of a row."""
    color = alt.Color(
        "case:N",
        legend=alt.Legend(title=None, symbolType="stroke", symbolStrokeWidth=3, symbolOpacity=1),
        scale=alt.Scale(domain=list(TREND_CASES), range=[TEXT, PUBLISHED_GREY]),
    )
    over_ranks = base.encode(x=alt.X("rank:O", title="rank of j by IA(Eⱼ)", axis=alt.Axis(labelAngle=0)), color=color)
    relative = alt.Y("relative:Q", title="IA(Eᵢ→ⱼ) over the row's mean", scale=alt.Scale(zero=False))
    return alt.layer(
        over_ranks.mark_area(opacity=0.2).encode(y=alt.Y("relative_from:Q").title(""), y2="relative_to:Q"),
        over_ranks.mark_line(strokeWidth=2).encode(y=relative),
        over_ranks.mark_point(opacity=0, size=80).encode(
            y=relative, tooltip=["case:N", "rank:O", *summary_tooltip("relative", "over the row's mean")]
        ),
        alt.Chart(alt.Data(values=[{}])).mark_rule(color=TEXT, opacity=0.5).encode(y=alt.datum(1)),
    )


def heat_map(base: alt.Chart) -> alt.Chart:
    return (
        base.transform_flatten(["j", "cardinality_j", "abundance_j", "abundance"])
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
    )
