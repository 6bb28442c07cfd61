"""How the regime was chosen: which runs to compare next, and what follows from those that are there.

Run as `python -m paper_code.choices criteo_like`: trains what the choices still lack, and prints what to write into
`paper_code.regime.REGIMES`.
"""

import argparse
from collections.abc import Iterable, Sequence
from pathlib import Path

import pandas as pd

from paper_code.experiments import (
    NEW_RESULTS,
    PAPER_MODELS,
    PROFILES,
    Variant,
    log_of_profile,
    num_fields,
    project_path,
    run_config,
    run_store,
    sweep,
)
from paper_code.regime import CHOICE_SEEDS, RATES, TOLERANCE, WIDTHS, WORTHWHILE
from paper_code.runs import DATA_FOLDER, RunConfig, RunRecord, RunStore

FIRST_RATES = RATES[1:4]
BATCHES = {"criteo_like": (128, 256, 512), "avazu_like": (128, 256, 512), "movielens": (256, 512, 1024)}
KINDS = {"base": (1, 1), "single": (4, 1), "multi": (1, 4)}
"""What has a learning rate of its own: scale of the embedding size, and number of sets."""
UNITARY_WEIGHTS = (1e-5, 1e-4, 1e-3, 1e-2, 1e-1)
MOST_DISTANCE, LEAST_PROJECTED = 0.5, 0.8
"""When Evidence III's penalty is applied: the distance to a multiple of a unitary matrix over that without the penalty,
and IA(E_i W^T) / IA(E_i)."""


def configs_of(dataset: str, variants: Iterable[Variant], seeds: Sequence[int] = CHOICE_SEEDS) -> list[RunConfig]:
    """The runs of the variants in the regime as it is chosen so far."""
    profile, configs = PROFILES["laptop"], []
    for seed in seeds:
        data = log_of_profile(profile, dataset, seed)
        fields = num_fields(data, DATA_FOLDER)
        configs += [run_config(profile, data, fields, variant, seed) for variant in variants]
    return configs


def validation_auc(record: RunRecord) -> float:
    """At the best look."""
    return max(record.looks)


def batch_variants(dataset: str) -> list[Variant]:
    return [
        Variant("dnn", training={"batch_size": batch, "learning_rate": rate})
        for batch in BATCHES[dataset]
        for rate in FIRST_RATES
    ]


def width_variants(dataset: str, fields: int) -> list[Variant]:
    """DNN and DCNv2 at every width that is wide enough, and at twice that."""
    widths = sorted({w for width in WIDTHS if width >= 10 * fields for w in (width, 2 * width)})
    return [Variant(model, options={"hidden": (width, width)}) for model in ("dnn", "dcnv2") for width in widths]


def rate_variants(model: str, kind: str, rates: Iterable[float]) -> list[Variant]:
    scale, sets = KINDS[kind]
    return [Variant(model, scale, sets, training={"learning_rate": rate}) for rate in rates]


def chosen_rate(means: pd.Series) -> float:
    """The smallest rate whose mean validation AUC, by rate, is within `TOLERANCE` of the best."""
    return float(means.index[means >= means.max() - TOLERANCE].min())


def further_rates(means: pd.Series) -> list[float]:
    """What to try next: a factor of two beyond an edge at which the best or the chosen rate is."""
    low, high = means.index.min(), means.index.max()
    return [low / 2] * (chosen_rate(means) == low) + [high * 2] * (means.idxmax() == high)


def means_by(records: Iterable[RunRecord | None], key) -> pd.Series:
    """Mean validation AUC of the records by what `key` gives for a config."""
    rows = [(key(record.config), validation_auc(record)) for record in records if record is not None]
    return pd.DataFrame(rows, columns=["key", "auc"]).groupby("key")["auc"].mean()


def learning_rate(config: dict) -> float:
    return config["training"]["learning_rate"]


class Chooser:
    """Trains in a store, and reads from it, what the choices for a log need."""

    def __init__(self, dataset: str, store: RunStore, device: str = "auto", jobs: int | None = None):
        self.dataset, self.store, self.device, self.jobs = dataset, store, device, jobs

    def records(self, variants: Iterable[Variant]) -> list[RunRecord]:
        configs = configs_of(self.dataset, variants)
        sweep(configs, self.store, device=self.device, jobs=self.jobs)
        return [self.store.get(config) for config in configs]

    def batch(self) -> pd.Series:
        """Mean validation AUC of DNN by (batch size, rate)."""
        records = self.records(batch_variants(self.dataset))
        return means_by(records, lambda c: (c["training"]["batch_size"], c["training"]["learning_rate"]))

    def width(self) -> pd.Series:
        """By (model, width)."""
        data = log_of_profile(PROFILES["laptop"], self.dataset, CHOICE_SEEDS[0])
        records = self.records(width_variants(self.dataset, num_fields(data, DATA_FOLDER)))
        return means_by(records, lambda c: (c["model"], c["options"]["hidden"][0]))

    def rates(self, models: Sequence[str], kinds: Sequence[str] = tuple(KINDS)) -> dict[tuple[str, str], pd.Series]:
        """By (model, kind), with the means by rate; the lists are extended until no choice is at an edge."""
        tried = {(model, kind): list(FIRST_RATES) for model in models for kind in kinds}
        found, open_still = {}, list(tried)
        while open_still:
            self.records([v for key in open_still for v in rate_variants(*key, tried[key])])
            for key in open_still:
                found[key] = means_by(self.records(rate_variants(*key, tried[key])), learning_rate)
                tried[key] += further_rates(found[key])
            open_still = [key for key in open_still if len(found[key]) < len(tried[key])]
        return found

    def unitary(self, scale: int) -> pd.DataFrame:
        """By weight, until one applies the penalty: distance, over that without, and projected abundance, both means
        over the seeds."""
        plain = self.records([Variant("dcnv2", scale)])
        rows = []
        for weight in UNITARY_WEIGHTS:
            records = self.records([Variant("dcnv2", scale, regularizer="unitary", weight=weight)])
            best = [record.moments["best"] for record in records]
            of_plain = [record.moments["best"] for record in plain]
            ratios = [a["distance_to_unitary"] / b["distance_to_unitary"] for a, b in zip(best, of_plain, strict=True)]
            row = {"weight": weight, "distance": pd.Series(ratios).mean()}
            rows.append(row | {"projected": pd.Series([b["projected_abundance"] for b in best]).mean()})
            if row["distance"] <= MOST_DISTANCE and rows[-1]["projected"] >= LEAST_PROJECTED:
                break
        return pd.DataFrame(rows)


def chosen_batch(means: pd.Series) -> int:
    """The largest batch whose best mean validation AUC, over the rates, is within `TOLERANCE` of the best of all."""
    best = means.groupby(level=0).max()
    return int(best.index[best >= best.max() - TOLERANCE].max())


def chosen_width(means: pd.Series) -> int:
    """The smallest width from which doubling gains less than `WORTHWHILE` with both models, else the paper's."""
    for width in WIDTHS:
        if ("dnn", width) in means.index:
            gains = [means[model, 2 * width] - means[model, width] for model in ("dnn", "dcnv2")]
            if max(gains) < WORTHWHILE:
                return width
    return WIDTHS[-1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("dataset")
    parser.add_argument("what", choices=("batch", "width", "rates", "unitary"))
    parser.add_argument("--models", default=",".join(PAPER_MODELS))
    parser.add_argument("--kinds", default=",".join(KINDS))
    parser.add_argument("--scales", default="1,4,10")
    parser.add_argument("--results-dir", type=Path, default=project_path(NEW_RESULTS))
    parser.add_argument("--device", default="auto")
    parser.add_argument("--jobs", type=int)
    options = parser.parse_args()
    chooser = Chooser(options.dataset, run_store(options.results_dir), options.device, options.jobs)
    if options.what == "batch":
        means = chooser.batch()
        print(means.unstack(), f"chosen: {chosen_batch(means)}", sep="\n")
    elif options.what == "width":
        means = chooser.width()
        print(means.unstack(), f"chosen: {chosen_width(means)}", sep="\n")
    elif options.what == "rates":
        for (model, kind), means in chooser.rates(options.models.split(","), options.kinds.split(",")).items():
            print(model, kind, means.round(5).to_dict(), "chosen:", chosen_rate(means), flush=True)
    else:
        for scale in map(int, options.scales.split(",")):
            print(f"{scale}x", chooser.unitary(scale), sep="\n", flush=True)


if __name__ == "__main__":
    main()
