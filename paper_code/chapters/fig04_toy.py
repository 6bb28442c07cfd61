"""Figure 4: the toy experiment of Appendix A."""

import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from paper_code.chapters.shared.rules import Claim, Effect
from paper_code.chapters.shared.style import FIGURE_WIDTH, INK, LINES, line_look, styled
from paper_code.chapters.shared.tables import PLAIN
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


FIGURES = {
    "fig04_toy": (toy_figure, describe_toy),
}
"""By the name of its files: what draws a figure, and what tells its numbers in words."""
