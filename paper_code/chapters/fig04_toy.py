"""Figure 4: the toy experiment of Appendix A."""

import altair as alt
import matplotlib as mpl
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from paper_code.chapters.shared.rules import Claim, Effect
from paper_code.chapters.shared.style import COLORS, FIGURE_WIDTH, INK, LINES, line_look, styled
from paper_code.chapters.shared.tables import PLAIN
from paper_code.chapters.shared.vega import TEXT, specification, summary, summary_tooltip
from paper_code.chapters.shared.words import abundance_text, counted
from paper_code.toy_result import ToyResult


@styled
def toy_figure(small: ToyResult, large: ToyResult) -> tuple[Figure, pd.DataFrame]:
    """Figure 4: IA(E1) over the iterations of the toy experiment, mean and range over seeds."""
    frames = []
    figure, axes = plt.subplots(figsize=(FIGURE_WIDTH, 3.6))
    of_large = line_look("fm", PLAIN, "SE") | {"markevery": 0.1}
    looks = {"color": INK, "linestyle": LINES["SE"]}, of_large
    for label, result, look in zip(("Small", "Large"), (small, large), looks, strict=True):
        abundance = result.information_abundance
        name = f"{label} ($D_3$ = {result.third_cardinality})"
        band = {"color": look["color"], "alpha": 0.25, "lw": 0}
        axes.fill_between(result.iterations, abundance.min(0), abundance.max(0), **band)
        axes.plot(result.iterations, abundance.mean(0), label=name, **look)
        frames += [
            pd.DataFrame({"case": label, "seed": s, "iteration": result.iterations, "information_abundance": row})
            for s, row in zip(result.seeds, abundance, strict=True)
        ]
    axes.set(xlabel="iteration", ylabel="information abundance of $E_1$", xlim=(0, result.iterations[-1]))
    axes.set_title(f"Toy experiment, mean and range over {len(small.seeds)} seeds")
    figure.legend(ncols=2, loc="outside lower center")
    return figure, pd.concat(frames, ignore_index=True)


def describe_toy(data: pd.DataFrame) -> str:
    first, last = data["iteration"].min(), data["iteration"].max()
    parts = []
    for case, rows in data.groupby("case", sort=False):
        at = rows.groupby("iteration")["information_abundance"]
        start, end = (abundance_text(at.mean()[time]) for time in (first, last))
        low, high = (abundance_text(value) for value in (at.min()[last], at.max()[last]))
        parts.append(f"{case}: from {start} to {end}, seeds between {low} and {high}")
    seeds = counted(data["seed"].nunique(), "seed")
    return (
        f"Line chart: information abundance of the embedding E_1 by training iteration, mean and range over "
        f"{seeds}. From iteration {first:,} to {last:,}, {'; '.join(parts)}."
    )


def toy_claim(small: ToyResult, large: ToyResult) -> Claim:
    """Figure 4."""
    if small.seeds != large.seeds:
        raise ValueError(f"the seeds differ, {small.seeds} and {large.seeds}: expected pairs")
    fall = small.information_abundance[:, -1] - large.information_abundance[:, -1]
    return Claim(
        "toy-collapse",
        "Section 4.1, Figure 4",
        "In the toy experiment, interacting with a low-information-abundance matrix collapses the trained one.",
        "IA(E1) after training is lower with the small field 3 than with the large one, paired by seed.",
        (Effect("information abundance of E1, small field 3 minus large", fall, "below", 0.0),),
        chapter="fig04_toy",
    )


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


FIGURES = {
    "fig04_toy": (toy_figure, describe_toy),
}
"""By the name of its files: what draws a figure, and what tells its numbers in words."""
