"""What weight decay does: to the embedding of a value while no batch has the value, and to collapse, law and gains."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from paper_code.chapters.fig03_interaction_collapse import law_claims, law_correlations
from paper_code.chapters.shared.gates import LIVE, OF_AUC
from paper_code.chapters.shared.html import mean_text
from paper_code.chapters.shared.judged import OURS, judged_runs
from paper_code.chapters.shared.rules import Claim, Effect, gain, ratio
from paper_code.chapters.shared.style import (
    BASE_LINE,
    FIGURE_WIDTH,
    GRADIENT,
    INK,
    MARKERS,
    line_look,
    log_title,
    styled,
    wrapped,
)
from paper_code.chapters.shared.tables import (
    PLAIN,
    Runs,
    embedding_decay,
    initial_model,
    log_label,
    over_seeds,
    results_table,
    share_of_random,
)
from paper_code.chapters.shared.words import EMBEDDING_LABELS, plain_text
from paper_code.models import MODEL_LABELS
from paper_code.runs.config import DataConfig
from paper_code.runs.experiments import WEIGHT_DECAYS
from paper_code.runs.record import RunRecord
from paper_code.training.config import TrainingConfig

LEARNING_RATE, BETAS, EPSILON = TrainingConfig.learning_rate, (0.9, 0.999), 1e-8


def absent_weight(
    weight_decay: float, *, weight: float, gradient: float, steps: int, decoupled: bool = False
) -> np.ndarray:
    """One weight over the steps after the batch that had its value: (steps + 1,), the first as that batch left it.

    weight: before that batch. gradient: of the loss in it. Late in training, so Adam's bias correction is one, and its
    moments are empty before.
    """
    first, second, weights = 0.0, 0.0, []
    for step in range(steps + 1):
        slope = (gradient if step == 0 else 0.0) + (0.0 if decoupled else weight_decay * weight)
        first = BETAS[0] * first + (1 - BETAS[0]) * slope
        second = BETAS[1] * second + (1 - BETAS[1]) * slope**2
        shrunk = weight * (1 - LEARNING_RATE * weight_decay) if decoupled else weight
        weight = shrunk - LEARNING_RATE * first / (np.sqrt(second) + EPSILON)
        weights.append(weight)
    return np.array(weights)


def typical_gradient(record: RunRecord) -> tuple[float, float]:
    """Median magnitude, in the first batch of the record's run, of an embedding weight and of its gradient, over the
    values that the batch has."""
    import torch
    from torch.nn import functional as F

    from paper_code.runs.logs import load_data
    from paper_code.training.process import seeded

    model, config = initial_model(record), record.config
    log = load_data(DataConfig(**config["data"]))
    rows = log.split(config["data"]["seed"]).train[: config["training"]["batch_size"]]
    ids = torch.from_numpy(log.ids[rows])
    with seeded(torch.device("cpu"), config["seed"]):  # dropout
        F.binary_cross_entropy_with_logits(model(ids), torch.from_numpy(log.labels[rows]).float()).backward()
    table = model.embedding.weight
    seen = table.grad.abs().sum(dim=1) > 0
    return float(table.detach()[seen].abs().median()), float(table.grad[seen].abs().median())


def absent_table(weight: float, gradient: float, steps: int = 1000) -> pd.DataFrame:
    """`absent_weight` for every weight decay, coupled and decoupled: weight_decay, decoupled, step, weight."""
    frames = [
        pd.DataFrame(
            {
                "weight_decay": decay,
                "decoupled": decoupled,
                "step": np.arange(steps + 1),
                "weight": absent_weight(decay, weight=weight, gradient=gradient, steps=steps, decoupled=decoupled),
            }
        )
        for decoupled in (False, True)
        for decay in WEIGHT_DECAYS
        if decay or not decoupled
    ]
    return pd.concat(frames, ignore_index=True)


def optimizer_table(records: Sequence[RunRecord]) -> pd.DataFrame:
    """Runs by their weight decay: a row per run.

    Columns: dataset, model, embedding, scale, seed, weight_decay, decoupled, test_auc, best_epoch; share_of_random,
    information abundance over that of random matrices, mean over the fields; own and other, the rank correlations of
    `law_correlations`, NaN without sub-embeddings.
    """
    table = results_table(records)[["dataset", "model", "embedding", "scale", "seed", "test_auc", "best_epoch"]]
    has_law = ["sub_embedding_information_abundance" in record.spectra for record in records]
    laws = [law_correlations(record) if has else (np.nan, np.nan) for record, has in zip(records, has_law, strict=True)]
    training = [record.config["training"] for record in records]
    return table.assign(
        weight_decay=[embedding_decay(protocol) for protocol in training],
        decoupled=[protocol.get("decoupled", False) for protocol in training],
        share_of_random=[share_of_random(record) for record in records],
        own=[own for own, _ in laws],
        other=[other for _, other in laws],
    )


def optimizer_summary(records: Sequence[RunRecord]) -> pd.DataFrame:
    """`optimizer_table` as text: a row per weight decay, means over the seeds with half of their 95 % intervals."""
    table = optimizer_table(records)
    single, multi = (table[(table["model"] == "dcnv2") & (table["embedding"] == e)] for e in ("SE", "ME"))
    of_ffm = table[table["model"] == "ffm"]
    keys = ["weight_decay", "decoupled", "seed"]
    gain = multi.set_index(keys)["test_auc"] - single.set_index(keys)["test_auc"]
    columns = {
        "DCNv2 single, test AUC": (single.set_index(keys)["test_auc"], ".4f"),
        "multi minus single": (gain, "+.4f"),
        "DCNv2 single, share of random": (single.set_index(keys)["share_of_random"], ".2f"),
        "DCNv2, law": (single.set_index(keys)["other"], "+.2f"),
        "FFM, law": (of_ffm.set_index(keys)["other"], "+.2f"),
    }
    text = {name: values.groupby(level=keys[:2]).apply(mean_text, digits) for name, (values, digits) in columns.items()}
    found = pd.DataFrame(text).fillna("").reset_index()
    found["weight_decay"] = found["weight_decay"].map("{:g}".format)
    found["decoupled"] = found["decoupled"].map({True: "decoupled", False: "coupled"})
    return found.rename(columns={"weight_decay": "weight decay", "decoupled": "how"})


def answers_table(of_log: Mapping[str, Sequence[RunRecord]]) -> pd.DataFrame:
    """The answer in short, as text: a row per question and log; a column for runs without weight decay, one with the
    largest coupled, and one with the largest decoupled. Means over the seeds."""
    frames = []
    for log, records in of_log.items():
        table = optimizer_table(records)
        means = table.groupby(["model", "embedding", "weight_decay", "decoupled"]).mean(numeric_only=True)
        largest, columns = table["weight_decay"].max(), {}
        cases = {"no decay": (0.0, False), f"coupled, {largest:g}": (largest, False)}
        for name, key in (cases | {f"decoupled, {largest:g}": (largest, True)}).items():
            single, multi, ffm = (means.loc[(*of, *key)] for of in (("dcnv2", "SE"), ("dcnv2", "ME"), ("ffm", "SE")))
            columns[name] = {
                "DCNv2 single, share of random": f"{single['share_of_random']:.2f}",
                "FFM, law: rank correlation with the other field": f"{ffm['other']:+.2f}",
                "DCNv2 single, law: the same": f"{single['other']:+.2f}",
                "DCNv2, test AUC, multi minus single": f"{multi['test_auc'] - single['test_auc']:+.4f}",
            }
        frames.append(pd.DataFrame(columns).rename_axis("measured").assign(log=log_label(log)).reset_index())
    table = pd.concat(frames)
    order = {name: number for number, name in enumerate(table["measured"].unique())}
    table = table.sort_values("measured", key=lambda names: names.map(order), kind="stable")
    return table[["measured", "log", *columns]]


@styled
def decay_figure(table: pd.DataFrame) -> tuple[Figure, pd.DataFrame]:
    """A weight in the steps after the only batch that had its value, for every weight decay. table: `absent_table`."""
    coupled = table[~table["decoupled"]]
    decays = sorted(coupled["weight_decay"].unique())
    figure, axes = plt.subplots(figsize=(FIGURE_WIDTH, 3.8))
    for number, (decay, rows) in enumerate(coupled.groupby("weight_decay")):
        color = GRADIENT(number / (len(decays) - 1))
        label = f"coupled, {decay:g}" if decay else "no decay"
        axes.plot(rows["step"], rows["weight"], color=color, label=label, lw=1.6)
    strongest = table[table["decoupled"] & (table["weight_decay"] == decays[-1])]
    label = f"decoupled, {decays[-1]:g}"
    axes.plot(strongest["step"], strongest["weight"], color=INK, linestyle=":", label=label)
    axes.axhline(0, **BASE_LINE)
    axes.set(xlabel="steps since the batch that had the value", ylabel="weight", xscale="symlog", xlim=(0, None))
    axes.set_xticks([0, 1, 10, 100, 1000], ["0", "1", "10", "100", "1,000"])
    axes.set_title("A weight with one gradient, then none (computed)")
    figure.legend(ncols=3, loc="outside lower center")
    return figure, table


OPTIMIZER_ROWS = {
    "share_of_random": "information abundance,\nshare of random",
    "other": "rank correlation\nwith the other field",
    "auc_gain": "test AUC, gain over\nsingle without decay",
    "multi_gain": "test AUC,\nmulti minus single",
}


@styled
def optimizer_figure(of_log: Mapping[str, Sequence[RunRecord]]) -> tuple[Figure, pd.DataFrame]:
    """Collapse, interaction-collapse law, test AUC and the gain of multi embedding by weight decay, a column for each
    log: means over the seeds with 95 % intervals, coupled in the models' colours, decoupled in black."""
    data = pd.concat([optimizer_lines(optimizer_table(records)) for records in of_log.values()], ignore_index=True)
    decays = sorted(data["weight_decay"].unique())
    size = (FIGURE_WIDTH, 1.75 * len(OPTIMIZER_ROWS) + 1.3)
    figure, panels = plt.subplots(
        len(OPTIMIZER_ROWS), len(of_log), figsize=size, sharex=True, sharey="row", squeeze=False
    )
    for column, log in zip(panels.T, of_log, strict=True):
        column[0].set_title(wrapped(log_title(of_log[log][0]), 28))
        for axes, value in zip(column, OPTIMIZER_ROWS, strict=True):
            rows = data[(data["dataset"] == log) & (data["measure"] == value)]
            lines = rows.groupby(["decoupled", "model", "embedding"], sort=False)
            for number, ((decoupled, model, embedding), line) in enumerate(lines):
                look = line_look(model, "decoupled" if decoupled else PLAIN, embedding)
                position = np.array([decays.index(decay) for decay in line["weight_decay"]]) + 0.06 * number
                name = f"{MODEL_LABELS[model]} {EMBEDDING_LABELS[embedding]}" + ", decoupled" * decoupled
                if decoupled:
                    look["marker"] = MARKERS[model]
                interval = {"yerr": line["half_interval"], "elinewidth": 1, "capsize": 2, "lw": 1.2}
                axes.errorbar(position, line["mean"], **interval, **look, label=name)
            if value.endswith("gain"):
                axes.axhline(0, **BASE_LINE)
        column[-1].set_xticks(range(len(decays)), [f"{decay:g}" for decay in decays])
        column[-1].set_xlabel("weight decay")
    for axes, label in zip(panels[:, 0], OPTIMIZER_ROWS.values(), strict=True):
        axes.set_ylabel(label, fontsize=9)
    found = dict(zip(*reversed(panels[1, 0].get_legend_handles_labels()), strict=True))
    for axes in panels[:, 0]:
        found |= dict(zip(*reversed(axes.get_legend_handles_labels()), strict=True))
    figure.legend(found.values(), found.keys(), ncols=2, loc="outside lower center")
    return figure, data


def optimizer_lines(table: pd.DataFrame) -> pd.DataFrame:
    """Mean and half the 95 % interval of every measure of `OPTIMIZER_ROWS` in `optimizer_table`, by dataset, model,
    embedding, weight decay and how it is applied; gains are taken within a seed."""
    keys = ["seed", "weight_decay", "decoupled"]
    of_dcnv2 = table[table["model"] == "dcnv2"]
    single = of_dcnv2[of_dcnv2["embedding"] == "SE"].set_index(keys)["test_auc"]
    without = single.xs((0.0, False), level=("weight_decay", "decoupled"))
    gained = of_dcnv2.assign(auc_gain=of_dcnv2["test_auc"] - of_dcnv2["seed"].map(without))
    beside = of_dcnv2[of_dcnv2["embedding"] == "ME"]
    beside = beside.assign(multi_gain=beside["test_auc"] - single.reindex(beside.set_index(keys).index).to_numpy())
    parts = {
        "share_of_random": of_dcnv2,
        "other": table[table["embedding"] == "SE"],
        "auc_gain": gained,
        "multi_gain": beside,
    }
    frames = []
    for measure, rows in parts.items():
        start = rows[rows["weight_decay"] == 0].assign(decoupled=True)  # without decay both are the same
        lines = pd.concat([rows, start[start["model"] != "ffm"]])
        groups = lines.groupby(["dataset", "model", "embedding", "decoupled", "weight_decay"], sort=False)[measure]
        found = over_seeds(groups).reset_index().sort_values("weight_decay", kind="stable")
        found.insert(found.columns.get_loc("half_interval"), "measure", measure)
        frames.append(found)
    return pd.concat(frames, ignore_index=True)


def describe_decay(data: pd.DataFrame) -> str:
    last = data["step"].max()
    ends = data[data["step"] == last]
    parts = [
        f"{'decoupled ' if row['decoupled'] else ''}{plain_text(row['weight_decay'])}: {row['weight']:+.4f}"
        for _, row in ends.iterrows()
    ]
    return (
        "Line chart: a weight over the steps after the only batch that had its value, for every weight decay. "
        f"After {last:,} steps it is, by weight decay, {', '.join(parts)}."
    )


def describe_optimizer(data: pd.DataFrame) -> str:
    """The ends of every line, without weight decay and at the largest."""
    names = {
        "share_of_random": "information abundance as a share of random",
        "other": "rank correlation of the interaction-collapse law with the other field",
        "auc_gain": "test AUC over single embedding without decay",
        "multi_gain": "test AUC, multi minus single embedding",
    }
    largest, parts = data["weight_decay"].max(), []
    for (dataset, measure), rows in data.groupby(["dataset", "measure"], sort=False):
        digits = "+.4f" if measure.endswith("gain") else ".2f"
        lines = []
        for (model, embedding, decoupled), line in rows.groupby(["model", "embedding", "decoupled"], sort=False):
            means = line.set_index("weight_decay")["mean"]
            ends = " and ".join(f"{means[decay]:{digits}}" for decay in (0.0, largest) if decay in means)
            name = f"{MODEL_LABELS[model]} {EMBEDDING_LABELS[embedding]}"
            lines.append(f"{name}{' decoupled' if decoupled else ''} {ends}")
        parts.append(f"{dataset}, {names[measure]}: {', '.join(lines)}")
    return f"Line charts by weight decay, without and at {plain_text(largest)}. {'. '.join(parts)}."


def optimizer_claims(every: Runs) -> list[Claim]:
    """What collapse, the interaction-collapse law and the gain of multi embedding owe to weight decay.

    The rules are those of the paper's claims, asked of runs without weight decay; and two on what the decay does.
    """
    strongest = max(WEIGHT_DECAYS)

    def trained(weight_decay: float, decoupled: bool = False, scales: Sequence[int] = every.scales) -> Runs:
        chosen = with_training(every.records, weight_decay, decoupled)
        return Runs(chosen, every.dataset, scales, alike=True)

    def shares(*training) -> pd.Series:
        return trained(*training).measured(share_of_random, "dcnv2")

    runs, size = trained(0.0), every.largest
    share, coupled, decoupled = shares(0.0), shares(strongest), shares(strongest, True)

    def claim(name: str, statement: str, rule: str, *effects: Effect, model="dcnv2", checks=(), multi=False) -> Claim:
        sizes = [("SE", 1 if model == "ffm" else size), *[("ME", size)] * multi]
        return Claim(
            f"optimizer-{name}",
            OURS,
            statement,
            rule,
            effects,
            every.dataset,
            "optimizer",
            checks=checks,
            judged=judged_runs([model], *sizes),
        )

    label = f"DCNv2 {size}x"
    laws = [
        claim(
            f"law-{model}",
            f"The interaction-collapse law of {MODEL_LABELS[model]} is there without weight decay.",
            "As for the paper's claim, on runs without weight decay.",
            *law_claims(trained(0.0, scales=[scale]), model)[0].effects,
            model=model,
            checks=(LIVE,),
        )
        for model, scale in (("ffm", 1), ("dcnv2", size))
    ]
    return [
        claim(
            "collapse",
            "Embeddings collapse without weight decay.",
            "As for the paper's claim, on runs without weight decay.",
            Effect(f"{label}, share of random, mean over the fields", share.tolist(), "below", 0.5),
        ),
        *laws,
        claim(
            "gain",
            "Multi embedding is better than single embedding without weight decay.",
            "Multi minus single embedding of the same size is above zero, paired by seed, on runs without decay.",
            gain(runs, "dcnv2", ("ME", size), ("SE", size)),
            checks=OF_AUC,
            multi=True,
        ),
        claim(
            "coupled",
            "Coupled weight decay deepens the collapse.",
            f"At {strongest:g} information abundance is below that without, as shares of random, paired by seed.",
            Effect(f"{label}, share of random, {strongest:g} / 0", ratio(coupled, share), "below", 1.0),
        ),
        claim(
            "decoupled",
            "Decoupled weight decay of the same size does not.",
            f"At {strongest:g} decoupled, information abundance is within 5 % of that without, paired by seed.",
            Effect(
                f"{label}, share of random, {strongest:g} decoupled / 0, less one",
                [value - 1 for value in ratio(decoupled, share)],
                "within",
                0.05,
            ),
        ),
    ]


def with_training(records: Sequence[RunRecord], weight_decay: float, decoupled: bool = False) -> list[RunRecord]:
    """The records trained with this weight decay of the embeddings, coupled or decoupled."""
    wanted = weight_decay, decoupled
    trainings = [record.config["training"] for record in records]
    found = [(embedding_decay(training), training.get("decoupled", False)) for training in trainings]
    return [record for record, how in zip(records, found, strict=True) if how == wanted]


FIGURES = {
    "optimizer_absent": (decay_figure, describe_decay),
    "optimizer": (optimizer_figure, describe_optimizer),
}
"""By the name of its files: what draws a figure, and what tells its numbers in words."""
