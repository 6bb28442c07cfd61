"""The interactive form of Figure 4."""

import altair as alt
import matplotlib as mpl

from paper_code.chapters.shared.style import COLORS
from paper_code.chapters.shared.vega import TEXT, specification, summary, summary_tooltip
from paper_code.toy_result import ToyResult

CASE_COLORS = {"Small": "currentColor", "Large": mpl.colors.to_hex(COLORS["fm"])}  # those of the static figure


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
