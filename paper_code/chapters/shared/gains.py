"""Test AUC by size and what larger sizes gain, ours beside the published: table, drawing and words."""

from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from paper_code.chapters.shared.style import (
    BASE_LINE,
    GAIN_LABEL,
    GREY,
    LINE_KEYS,
    line_look,
    sorted_lines,
)
from paper_code.chapters.shared.tables import (
    PLAIN,
    VARIANT_LABELS,
    in_words,
    log_label,
    over_seeds,
    results_table,
)
from paper_code.chapters.shared.words import (
    EMBEDDING_LABELS,
    abundance_text,
    gain_text,
    interval_text,
    size_text,
    sizes_text,
)
from paper_code.models import MODEL_LABELS
from paper_code.published import published_auc, published_dataset
from paper_code.runs.record import RunRecord


def gains(table: pd.DataFrame) -> pd.DataFrame:
    """Mean gain in test AUC over the same seed's base and half its 95 % interval, by model, variant, embedding, scale.

    The base is the variant's own single embedding of the base size, or the plain one if the variant has none.
    """
    keys = ["model", "variant", "seed"]
    base = table[table["scale"] == 1].set_index(keys)["test_auc"]
    own, plain = (base.reindex(t.set_index(keys).index).to_numpy() for t in (table, table.assign(variant=PLAIN)))
    table = table.assign(gain=table["test_auc"] - np.where(np.isnan(own), plain, own))
    return by_size(with_both_bases(table), "gain")


def by_size(table: pd.DataFrame, value: str) -> pd.DataFrame:
    """Mean over the seeds of a column and half its 95 % interval, by model, variant, embedding and scale."""
    summary = over_seeds(table.groupby(LINE_KEYS, sort=False)[value])
    return sorted_lines(summary.rename(columns={"mean": value}).reset_index())


def published_gains(dataset: str, models: Sequence[str]) -> pd.DataFrame:
    """The published means less the published base; the interval is left out, for the paper gives single deviations."""
    table = published_auc(dataset, models).assign(variant=PLAIN)
    base = table[table["scale"] == 1].set_index("model")["auc_mean"]
    table = with_both_bases(table)
    gain = table["auc_mean"] - table["model"].map(base)
    table = table.assign(gain=gain, half_interval=0.0, seeds=3)
    return sorted_lines(table[[*LINE_KEYS, "gain", "half_interval", "seeds"]])


def with_both_bases(table: pd.DataFrame) -> pd.DataFrame:
    """The table with the rows of scale 1, which are SE, as ME too: one set is the base of both lines.

    A variant of several sets alone begins at the plain base.
    """
    bases, added = table[table["scale"] == 1], []
    for model, variant in table.loc[table["embedding"] == "ME", ["model", "variant"]].drop_duplicates().to_numpy():
        of_model = bases[bases["model"] == model]
        own = of_model[of_model["variant"] == variant]
        own = of_model[of_model["variant"] == PLAIN] if own.empty else own
        added.append(own.assign(embedding="ME", variant=variant))
    return pd.concat([table, *added])


def auc_table(records: Sequence[RunRecord], spread: bool = False) -> pd.DataFrame:
    """Test AUC by model, variant, embedding and size, published and ours, as text: the mean over the seeds.

    spread: with the standard deviation, as in Tables 3 and 4; else as in Table 1. A model that the paper lacks has ours
    alone.
    """
    ours = results_table(records).groupby(["model", "variant", "embedding", "scale"], sort=False)["test_auc"]
    ours = ours.agg(["mean", "std"]).reset_index().assign(source="ours")
    published = published_auc(records[0].config["data"]["name"], list(ours["model"].unique()))
    published = published.rename(columns={"auc_mean": "mean", "auc_std": "std"})
    both = pd.concat([published.assign(source="published", variant=PLAIN), ours], ignore_index=True)
    digits = both["source"].map({"published": 5, "ours": 4})
    text = [f"{mean:.{number}f}" for mean, number in zip(both["mean"], digits, strict=True)]
    if spread:
        text = [f"{a} ± {b:.{n}f}" for a, b, n in zip(text, both["std"], digits, strict=True)]
    keys = {name: list(dict.fromkeys(both[name])) for name in ("model", "variant")}
    wide = both.assign(text=text).pivot(
        index=["model", "embedding", "variant", "source"], columns="scale", values="text"
    )
    order = sorted(
        wide.index,
        key=lambda row: (keys["model"].index(row[0]), row[1] == "ME", keys["variant"].index(row[2]), row[3] == "ours"),
    )
    wide = wide.reindex(order).fillna("")
    wide.columns = list(map(size_text, wide.columns))
    dataset = records[0].config["data"]["name"]
    sources = {"published": f"published, {published_dataset(dataset)}", "ours": f"ours, {log_label(dataset)}"}
    table = wide.reset_index()
    return in_words(table.assign(source=table["source"].map(sources)))


def beside_published(data: pd.DataFrame, chart: str, axes: str) -> str:
    ours, published = (data[data["source"] == source] for source in ("ours", "published"))
    gain = f"{chart}: test AUC, gain over the base model, {axes} ({sizes_text(data['scale'])})"
    theirs = f"Published: {gains_text(published)}." if len(published) else "None of it is published."
    return f"{gain}. Ours: {gains_text(ours)}. {theirs}"


def gains_text(table: pd.DataFrame) -> str:
    """The gain of every line at its largest size, with its interval if it has one; a size that all share but once."""
    ends = line_ends(table)
    sizes = {size_text(end["scale"]) for _, end in ends}
    parts = [
        f"{name} {gain_text(end['gain'])}{interval_text(end['half_interval'])}"
        + f" at {size_text(end['scale'])}" * (len(sizes) > 1)
        for name, end in ends
    ]
    return (f"at {sizes.pop()}, " if len(sizes) == 1 else "") + ", ".join(parts)


def growth_text(table: pd.DataFrame) -> str:
    """Information abundance of every line at its smallest and largest size, and that of random matrices."""
    parts, references = [], table.groupby("scale")["random"].mean()
    smallest = table["scale"].min()
    for name, end in line_ends(table):
        line = table[(table[["model", "variant", "embedding"]] == end[["model", "variant", "embedding"]]).all(axis=1)]
        start = line.loc[line["scale"].idxmin()]
        values = [abundance_text(row["information_abundance"]) for row in (start, end)]
        parts.append(f"{name} {values[0]} at {size_text(start['scale'])} and {values[1]} at {size_text(end['scale'])}")
    random = [abundance_text(references[scale]) for scale in (smallest, references.index.max())]
    return f"{', '.join(parts)}, random matrices {random[0]} and {random[1]}"


def line_ends(table: pd.DataFrame) -> list[tuple[str, pd.Series]]:
    """Every line's name and its row of the largest size."""
    found = []
    for (model, variant, embedding), line in table.groupby(["model", "variant", "embedding"], sort=False):
        name = [MODEL_LABELS[model], VARIANT_LABELS.get(variant, variant), EMBEDDING_LABELS[embedding]]
        found.append((" ".join(filter(None, name)), line.loc[line["scale"].idxmax()]))
    return found


def draw_published_beside_ours(
    left: Axes, right: Axes, published: pd.DataFrame, ours: pd.DataFrame, *titles: str
) -> None:
    """Gains by size on the same axes: the published ones in grey lines, with the models' markers."""
    right.sharey(left)
    scales = {*ours["scale"], *published["scale"]}
    for axes, data, line, title in zip((left, right), (published, ours), (GREY, None), titles, strict=True):
        draw_sizes(axes, data, "gain", scales, line=line)
        axes.axhline(0, **BASE_LINE)
        axes.set_title(title)
    left.set_ylabel(GAIN_LABEL)
    right.tick_params(labelleft=False)


def draw_sizes(
    axes: Axes,
    data: pd.DataFrame,
    value: str,
    scales: Iterable[int],
    line: str | None = None,
    marker: str | None = None,
    prefix: str = "",
) -> None:
    """A line over the model sizes, with its intervals, for every model, variant and embedding of the data.

    line, marker: colours in place of the models' own.
    """
    lines = list(data.groupby(["model", "variant", "embedding"], sort=False))
    for number, ((model, variant, embedding), rows) in enumerate(lines):
        name = " ".join(filter(None, [VARIANT_LABELS.get(variant, variant), EMBEDDING_LABELS[embedding]]))
        look = line_look(model, variant, embedding)
        if line:
            look["color"] = line
        if marker:
            look |= {"markeredgecolor": marker, "markerfacecolor": marker if embedding == "ME" else "none"}
        axes.errorbar(
            rows["scale"] * 1.02**number,  # side by side, so that no interval hides another
            rows[value],
            yerr=rows["half_interval"] if rows["half_interval"].any() else None,
            **look,
            lw=1.4,
            elinewidth=1,
            capsize=2,
            label=f"{prefix} {name}" if prefix else f"{MODEL_LABELS[model]} {name}",
        )
    scales = sorted(set(scales))
    axes.set_xscale("log")
    axes.set_xticks(scales, list(map(size_text, scales)))
    axes.minorticks_off()
    axes.set_xlabel("model size")
