"""One function per figure: records in, matplotlib Figure out, with the table of the numbers it shows."""

from collections.abc import Sequence
from contextlib import contextmanager
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from scipy import stats

from paper_code.experiments import project_path
from paper_code.models import MODEL_LABELS
from paper_code.published import published_auc, published_dataset
from paper_code.runs import RunRecord
from paper_code.tables import field_measures, random_spectra, results_table
from paper_code.toy import ToyResult

# of the ten colours grey, the paper's, is left out, and yellow goes to FM, of which no curve is drawn
PALETTE = {"dnn": 0, "dcnv2": 1, "ipnn": 2, "finalmlp": 3, "nfwfm": 4, "xdeepfm": 5, "ffm": 6, "fm": 8, "gdcn": 9}
COLORS = {model: sns.color_palette("colorblind")[number] for model, number in PALETTE.items()}
GREY = "0.55"
STYLE = {
    "figure.dpi": 150,
    "savefig.dpi": 160,
    "figure.constrained_layout.use": True,
    "axes.titlesize": "medium",
    "legend.frameon": False,
    "svg.fonttype": "none",
    "svg.hashsalt": "paper-code",
}


@contextmanager
def style():
    """The look of every figure, for the time of the block."""
    with mpl.rc_context(sns.axes_style("ticks") | STYLE):
        yield


def save_figure(figure: Figure, data: pd.DataFrame, name: str, folder: str | Path) -> None:
    """Write `<folder>/<name>.svg` and `.png`, and the numbers behind them to `<folder>/data/<name>.csv`.

    A relative folder is below the project's root.
    """
    folder = project_path(folder)
    (folder / "data").mkdir(parents=True, exist_ok=True)
    with mpl.rc_context(STYLE):
        figure.draw_without_rendering()
        figure.set_layout_engine("none")  # its solution moves a little with every further drawing
        figure.savefig(folder / f"{name}.svg", metadata={"Date": None})
        figure.savefig(folder / f"{name}.png")
    data.to_csv(folder / "data" / f"{name}.csv", index=False, float_format="%.6g")


def toy_figure(small: ToyResult, large: ToyResult) -> tuple[Figure, pd.DataFrame]:
    """Figure 4: IA(E1) over the iterations of the toy experiment, mean and range over seeds."""
    frames = []
    with style():
        figure, axes = plt.subplots(figsize=(6.4, 3.6))
        for label, result, color, line in (("Small", small, "C0", "-"), ("Large", large, "C1", "--")):
            abundance = result.information_abundance
            name = f"{label} ($D_3$ = {result.third_cardinality})"
            axes.fill_between(result.iterations, abundance.min(0), abundance.max(0), color=color, alpha=0.2, lw=0)
            axes.plot(result.iterations, abundance.mean(0), color=color, linestyle=line, label=name)
            frames += [
                pd.DataFrame({"case": label, "seed": s, "iteration": result.iterations, "information_abundance": row})
                for s, row in zip(result.seeds, abundance, strict=True)
            ]
        axes.set(xlabel="iteration", ylabel="information abundance of $E_1$", xlim=(0, result.iterations[-1]))
        axes.set_title(f"Toy experiment, mean and range over {len(small.seeds)} seeds")
        axes.legend()
        sns.despine(figure)
    return figure, pd.concat(frames, ignore_index=True)


def abundance_figure(records: Sequence[RunRecord]) -> tuple[Figure, pd.DataFrame]:
    """Figure 2: information abundance of every field, learned and random, fields sorted by cardinality."""
    data = field_measures(records)
    by_field = data.groupby("field").mean(numeric_only=True).sort_values("cardinality")
    spread = data.groupby("field")["learned"].agg(["min", "max"]).loc[by_field.index]
    position = np.arange(len(by_field))
    with style():
        figure, axes = plt.subplots(figsize=(max(7.0, 0.3 * len(by_field)), 3.8))
        axes.bar(position - 0.2, by_field["random"], 0.4, color="0.8", label="random matrix of the same shape")
        axes.bar(position + 0.2, by_field["learned"], 0.4, color=COLORS["dcnv2"], label="learned")
        errors = [by_field["learned"] - spread["min"], spread["max"] - by_field["learned"]]
        axes.errorbar(position + 0.2, by_field["learned"], yerr=errors, fmt="none", ecolor="0.2", capsize=2, lw=1)
        labels = [f"{name} ({values:,.0f})" for name, values in by_field["cardinality"].items()]
        axes.set_xticks(position, labels, rotation=90, fontsize="small")
        axes.margins(x=0.01)
        axes.set(xlabel="field (its cardinality)", ylabel="information abundance", title=run_title(records))
        axes.legend(loc="upper left")
        sns.despine(figure)
    return figure, data


def spectra_figure(records: Sequence[RunRecord]) -> tuple[Figure, pd.DataFrame]:
    """Figure 1b: normalised singular values of every field's embedding matrix, learned beside random, first seed."""
    record = records[0]
    spectra = []
    for field, learned, random in zip(
        record.fields, record.spectra["side_by_side"], random_spectra(record), strict=True
    ):
        for kind, values in (("learned", learned), ("random", random)):
            spectra.append((kind, field, np.array(values) / max(values)))
    cardinalities = [field["cardinality"] for field in record.fields]
    norm = mpl.colors.LogNorm(min(cardinalities), max(cardinalities))
    with style():
        figure, panels = plt.subplots(1, 2, figsize=(7.8, 3.5), sharex=True, sharey=True)
        for axes, kind, title in zip(panels, ("learned", "random"), ("learned", "random, same shapes"), strict=True):
            for of_kind, field, values in spectra:
                if of_kind == kind:
                    color = mpl.colormaps["viridis"](norm(field["cardinality"]))
                    axes.plot(np.arange(1, len(values) + 1), values, color=color, lw=1.2)
            axes.set(xlabel="index $k$", title=title, ylim=(0, 1.03))
        panels[0].set_ylabel(r"singular value $\sigma_k / \sigma_1$")
        colors = mpl.cm.ScalarMappable(norm, "viridis")
        figure.colorbar(colors, ax=panels, label="cardinality of the field")
        figure.suptitle(run_title(records[:1]), fontsize="medium")
        sns.despine(figure)
    frames = [
        pd.DataFrame({"matrix": kind, "field": field["name"], "k": np.arange(1, len(v) + 1), "normalised": v})
        for kind, field, v in spectra
    ]
    return figure, pd.concat(frames, ignore_index=True)


def scalability_figure(records: Sequence[RunRecord]) -> tuple[Figure, pd.DataFrame]:
    """Figure 8: gain in test AUC over the base model by size, single and multi embedding; published beside ours.

    Ours: mean and 95 % confidence interval of the gain over the same seed's base. Published: the difference of the
    published means.
    """
    table = results_table(records)
    dataset, models = table["dataset"].iloc[0], list(table["model"].unique())
    ours, published = gains(table), published_gains(dataset, models)
    seeds = table["seed"].nunique()
    scales = sorted({*ours["scale"], *published["scale"]})
    with style():
        figure, panels = plt.subplots(1, 2, figsize=(8.0, 3.7), sharex=True)
        titles = (f"Published: {published_dataset(dataset)}", f"Ours: {log_title(records[0])}, {seeds} seeds")
        for axes, data, title in zip(panels, (published, ours), titles, strict=True):
            for number, ((model, embedding), line) in enumerate(data.groupby(["model", "embedding"], sort=False)):
                axes.errorbar(
                    line["scale"] * 1.02**number,  # side by side, so that no interval hides another
                    line["gain"],
                    yerr=line["half_interval"],
                    color=COLORS[model],
                    linestyle="-" if embedding == "ME" else "--",
                    marker="o" if embedding == "ME" else "s",
                    markersize=4,
                    capsize=2,
                    label=f"{MODEL_LABELS[model]} {'multi' if embedding == 'ME' else 'single'}",
                )
            axes.axhline(0, color=GREY, lw=0.8)
            axes.set_xscale("log")
            axes.set_xticks(scales, [f"{scale}x" for scale in scales])
            axes.minorticks_off()
            axes.set(xlabel="model size", ylabel="test AUC, gain over the base model", title=title)
        panels[0].legend(*panels[1].get_legend_handles_labels(), fontsize="small")
        sns.despine(figure)
    return figure, pd.concat([published.assign(source="published"), ours.assign(source="ours")], ignore_index=True)


def gains(table: pd.DataFrame) -> pd.DataFrame:
    """Mean gain in test AUC over the same seed's base and half its 95 % interval, by model, embedding and scale."""
    base = table[table["scale"] == 1].set_index(["model", "seed"])["test_auc"]
    table = table.assign(
        gain=table["test_auc"] - base.loc[list(zip(table["model"], table["seed"], strict=True))].values
    )
    groups = with_both_bases(table).groupby(["model", "embedding", "scale"], sort=False)
    summary = groups["gain"].agg(["mean", "std", "count"]).reset_index()
    half = stats.t.ppf(0.975, summary["count"].clip(lower=2) - 1) * summary["std"] / np.sqrt(summary["count"])
    summary = summary.assign(gain=summary["mean"], half_interval=half.fillna(0), seeds=summary["count"])
    return sorted_lines(summary[["model", "embedding", "scale", "gain", "half_interval", "seeds"]])


def published_gains(dataset: str, models: Sequence[str]) -> pd.DataFrame:
    """The published means less the published base; the interval is left out, for the paper gives single deviations."""
    table = published_auc(dataset, models)
    base = table[table["scale"] == 1].set_index("model")["auc_mean"]
    table = with_both_bases(table)
    table = table.assign(gain=table["auc_mean"] - table["model"].map(base), half_interval=0.0, seeds=3)
    return sorted_lines(table[["model", "embedding", "scale", "gain", "half_interval", "seeds"]])


def with_both_bases(table: pd.DataFrame) -> pd.DataFrame:
    """The table with its rows of scale 1, which are SE, as ME too: one set is the base of both lines."""
    return pd.concat([table, table[table["scale"] == 1].assign(embedding="ME")])


def sorted_lines(table: pd.DataFrame) -> pd.DataFrame:
    order = [list(MODEL_LABELS).index(model) for model in table["model"]]
    keys = ["order", "embedding", "scale"]
    return table.assign(order=order).sort_values(keys, ascending=[True, False, True]).drop(columns="order")


def log_title(record: RunRecord) -> str:
    """The data set and its rows."""
    data = record.config["data"]
    return f"{data['name']} ({data['rows']:,} rows)"


def run_title(records: Sequence[RunRecord]) -> str:
    """Model, size, data set and seeds of records that differ in the seed alone."""
    config = records[0].config
    sets = f", {config['num_sets']} sets" if config["num_sets"] > 1 else ""
    seeds = [record.config["seed"] for record in records]
    which = f"seed {seeds[0]}" if len(seeds) == 1 else f"mean and range over {len(seeds)} seeds"
    return f"{MODEL_LABELS[config['model']]}, $K$ = {config['embedding_size']}{sets}, {log_title(records[0])}, {which}"
