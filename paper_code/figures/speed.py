"""The figure of the chapter on speed."""

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from paper_code.figures.style import BASE_LINE, COLORBLIND, FIGURE_WIDTH, INK, style
from paper_code.speed import MAXIMUM_OVER_FLOOR, PARTICIPANTS, case_name

LOOKS = dict(zip([name for name in PARTICIPANTS if name != "ours"], "ds^o", strict=True))


def speed_figure(table: pd.DataFrame) -> tuple[Figure, pd.DataFrame]:
    """Left: the time of a step of the others over that of ours, median and range over the rounds; right: the time of
    ours over the two floors, on a GPU the dense one. A row per case; table: `training_speed`."""
    ours = table[table["participant"] == "ours"].reset_index(drop=True)
    cases = [case_name(row) for row in ours.itertuples()]
    colors = dict(zip(LOOKS, COLORBLIND, strict=False))
    # on a GPU nothing is deferred
    floors = {"floor": ("floor_seconds", INK)}
    if "dense" in set(table["participant"]):
        floors = {"floor, dense": floors["floor"], "floor, deferred": ("deferred_floor_seconds", "none")}
    with style():
        figure, (left, right) = plt.subplots(
            1, 2, figsize=(FIGURE_WIDTH, 0.3 * len(cases) + 1.7), sharey=True, width_ratios=[3, 2]
        )
        for (name, marker), offset in zip(LOOKS.items(), np.linspace(0.24, -0.24, len(LOOKS)), strict=True):
            for row in table[table["participant"] == name].itertuples():
                place = len(cases) - cases.index(case_name(row)) + offset
                spread = [[row.ratio_median - row.ratio_min], [row.ratio_max - row.ratio_median]]
                look = {"marker": marker, "color": colors[name], "markeredgecolor": INK, "markeredgewidth": 0.5}
                left.errorbar(row.ratio_median, place, xerr=spread, linestyle="none", elinewidth=1, **look)
        left.axvline(1, **BASE_LINE)
        left.axvline(2, color=INK, lw=0.8, linestyle=":")
        left.set(xscale="log", xlabel="time of a step,\nover that of ours", ylim=(0.4, len(cases) + 0.6))
        left.set_yticks(range(len(cases), 0, -1), cases)
        places = range(len(cases), 0, -1)
        for column, face in floors.values():
            right.plot(
                ours["seconds_per_step"] / ours[column], places, "o", color=INK, markerfacecolor=face, linestyle="none"
            )
        right.axvline(1, **BASE_LINE)
        right.axvline(MAXIMUM_OVER_FLOOR, color=INK, lw=0.8, linestyle=":")
        right.set(xscale="log", xlabel="time of ours,\nover the floor")
        for axes in (left, right):
            axes.xaxis.set_major_formatter("{x:g}")
            axes.xaxis.set_minor_formatter("")
        left.set_xticks([tick for tick in (0.5, 1, 2, 5, 10, 20) if tick < 1.3 * table["ratio_max"].max()])
        right.set_xticks([0.5, 1, 2, 5])
        shown = [name for name in LOOKS if name in set(table["participant"])]
        keys = [
            Line2D([], [], marker=LOOKS[n], color=colors[n], linestyle="none", markeredgecolor=INK, markeredgewidth=0.5)
            for n in shown
        ]
        keys += [Line2D([], [], marker="o", color=INK, linestyle="none", markerfacecolor=f) for _, f in floors.values()]
        labels = [*(PARTICIPANTS[name] for name in shown), *floors]
        figure.legend(keys, labels, ncols=3, loc="outside lower center")
        sns.despine(figure)
    return figure, table
