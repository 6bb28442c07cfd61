"""Figure 7: single and multi embedding, drawn from the models themselves."""

from collections.abc import Sequence
from itertools import chain
from typing import NamedTuple

import matplotlib as mpl
import numpy as np
import pandas as pd
import torch
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import nn

from paper_code.chapters.shared.style import FIGURE_WIDTH, INK, SMALL, style
from paper_code.chapters.shared.words import counted
from paper_code.models.ctr_model import CTRModel
from paper_code.models.heads import MeanHead
from paper_code.models.layers import HiddenBlock, SetLinear


def architecture_figure(models: Sequence[CTRModel]) -> tuple[Figure, pd.DataFrame]:
    """Figure 7: what each model does to one row of ids, as its modules were called, from the ids at the bottom up.

    models: of models whose head takes the mean of the sets' projections (`MeanHead`).
    """
    frames, calls_of = [], [trace(model) for model in models]
    with style():
        widths = [2 + model.embedding.num_sets * len(model.embedding.cardinalities) for model in models]
        figure, panels = plt.subplots(1, len(models), figsize=(FIGURE_WIDTH, 5.4), width_ratios=widths, sharey=True)
        for axes, model, calls in zip(np.atleast_1d(panels), models, calls_of, strict=True):
            fields, sets = len(model.embedding.cardinalities), model.embedding.num_sets
            centers = (np.arange(sets * fields) - (sets * fields - 1) / 2) * 1.0
            of_sets = centers.reshape(sets, fields).mean(axis=1)
            for field in range(fields):
                ids = centers.reshape(sets, fields)[:, field].mean()
                draw_box(axes, ids, 0, f"$x_{field + 1}$", 0.5)
                for center in centers.reshape(sets, fields)[:, field]:
                    draw_arrow(axes, (ids, 0), (center, 1))
            for number, (center, matrix) in enumerate(
                zip(centers, chain.from_iterable(model.embedding_matrices()), strict=True)
            ):
                m, i = divmod(number, fields)
                label = f"$E_{i + 1}^{{({m + 1})}}$\n{matrix.shape[0]}$\\times${matrix.shape[1]}"
                draw_box(axes, center, 1, label, 0.88)
                draw_arrow(axes, (center, 1), (of_sets[m], 2))
            level, places = 1, of_sets
            for call in calls[1:]:
                if call.sets < len(places):
                    level += 1
                    draw_box(axes, 0, level, "mean over the sets", 2.4)
                    for place in places:
                        draw_arrow(axes, (place, level - 1), (0, level))
                    places = of_sets.mean(keepdims=True)
                level += 1
                for place in places:
                    draw_box(axes, place, level, f"{call.module}\n{call.size}", 1.8)
                    if level > 2:
                        draw_arrow(axes, (place, level - 1), (place, level))
            draw_arrow(axes, (0, level), (0, level + 1))
            axes.text(0, level + 0.85, "logit", ha="center", va="center")
            name = "single embedding" if sets == 1 else f"multi embedding, $M$ = {sets}"
            axes.set(title=f"{name}, $N$ = {fields}", xlim=(centers[0] - 1.0, centers[-1] + 1.0))
            axes.set_ylim(-0.5, max(level + 1.2, axes.get_ylim()[1]))
            axes.axis("off")
            frames.append(pd.DataFrame(calls).assign(num_sets=sets))
    return figure, pd.concat(frames, ignore_index=True)


class Call(NamedTuple):
    """A module that was called, how many sets its output has and how many numbers each."""

    module: str
    sets: int
    size: int


def trace(model: CTRModel) -> list[Call]:
    """The parts of the model in the order in which they are called, found by calling it.

    Raises TypeError for a model with another head than `MeanHead`.
    """
    if not isinstance(model.head, MeanHead):
        raise TypeError(f"expected a model with a MeanHead, found {type(model.head).__name__}")
    parts = [model.embedding, model.interaction, model.head.projection, *model.head.mlp]
    names = {HiddenBlock: "hidden block", SetLinear: "linear"}
    calls = []

    def note(module: nn.Module, inputs: tuple, output: torch.Tensor) -> None:
        name = names.get(type(module), type(module).__name__)
        calls.append(Call(name, output.shape[1], output[0, 0].numel()))

    hooks, training = [part.register_forward_hook(note) for part in parts], model.training
    try:
        model.eval()(torch.zeros(1, len(model.embedding.cardinalities), dtype=torch.int64))
    finally:
        model.train(training)
        for hook in hooks:
            hook.remove()
    return calls


def draw_box(axes: Axes, x: float, y: float, label: str, width: float) -> None:
    box = mpl.patches.FancyBboxPatch(
        *((x - width / 2, y - 0.27), width, 0.54), boxstyle="round,pad=0.03", facecolor="none", edgecolor=INK, zorder=2
    )
    axes.add_patch(box)
    axes.text(x, y, label, ha="center", va="center", fontsize=SMALL, zorder=3)


def draw_arrow(axes: Axes, start: tuple[float, float], end: tuple[float, float]) -> None:
    """From the upper edge of a box to the lower edge of another."""
    arrow = {"arrowstyle": "->", "color": INK, "lw": 0.8}
    axes.annotate("", (end[0], end[1] - 0.3), (start[0], start[1] + 0.3), arrowprops=arrow)


def describe_architecture(data: pd.DataFrame) -> str:
    parts = []
    for sets, calls in data.groupby("num_sets", sort=False):
        steps = [
            f"{row.module}, {'' if row.sets == 1 else f'{row.sets} times '}{counted(row.size, 'number')}"
            for row in calls.itertuples()
        ]
        parts.append(f"{counted(sets, 'embedding set')}: {'; '.join(steps)}")
    return (
        f"Diagram of {counted(len(parts), 'model')}, boxes joined by arrows from the ids at the bottom to the logit "
        f"at the top. Modules in order, with what they put out. With {'. With '.join(parts)}."
    )


IN_WORDS = {
    "num_sets": "sets of the model",
    "module": "module",
    "sets": "how often it is there",
    "size": "values that each gives on",
}
"""Columns of `architecture_figure`'s table as they are shown."""
FIGURES = {
    "fig07_architecture": (architecture_figure, describe_architecture),
}
"""By the name of its files: what draws a figure, and what tells its numbers in words."""
