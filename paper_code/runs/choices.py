"""How the regime was chosen: which runs to compare next, and what follows from those that are there.

Run as `python -m paper_code.runs.choices criteo_like`: trains what the choices still lack, and prints what to write
into `paper_code.runs.regime.REGIMES`.
"""

import argparse
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from paper_code.models import model_options
from paper_code.runs.config import DATA_FOLDER, RunConfig
from paper_code.runs.experiments import EXPERIMENTS, PAPER_MODELS, PLAN
from paper_code.runs.profiles import NEW_RESULTS, PROFILES, log_of_profile, num_fields, project_path
from paper_code.runs.reading import run_store
from paper_code.runs.record import RunRecord
from paper_code.runs.regime import (
    CHOICE_SEEDS,
    COMPARED,
    LEAST_PROJECTED,
    MOST_DISTANCE,
    RATE_SEEDS,
    RATES,
    TOLERANCE,
    WIDTHS,
    WORTHWHILE,
    LogRegime,
    default_regime,
    learner,
)
from paper_code.runs.store import RunStore
from paper_code.runs.variants import Variant, run_config

BATCHES = {
    "criteo_like": (256, 512, 1024),
    "avazu_like": (256, 512, 1024),
    "movielens": (512, 1024, 2048),
    "frappe": (256, 512, 1024),
    "criteo_80k": (128, 256, 512),
}
KINDS = {"base": (1, 1), "single": (COMPARED, 1), "multi": (1, COMPARED)}
"""What has a learning rate of its own: scale of the embedding size, and number of sets."""
BY_WIDTH = ("dnn", "dcnv2")
"""The models by which the hidden width is chosen."""
UNITARY_WEIGHTS = (1e-5, 1e-4, 1e-3, 1e-2, 1e-1)


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


def kinds_of(dataset: str) -> list[tuple[str, str]]:
    """(learner, kind) of what is planned on the log, the paper's models first: each has a learning rate of its own, but
    FFM's is one."""
    variants = [variant for name in PLAN[dataset] for variant in EXPERIMENTS[name]((1, COMPARED))]
    planned = {(learner(v.model, v.options), v.scale, v.num_sets) for v in variants}
    learners = dict.fromkeys((*PAPER_MODELS, "ffm", *(learner(v.model, v.options) for v in variants)))
    return [(of, kind) for of in learners for kind, sizes in KINDS.items() if (of, *sizes) in planned]


def width_variants(widths: Iterable[int], batch_size: int, rate: float) -> list[Variant]:
    """DNN and DCNv2 at every width and at twice that, at DNN's rate."""
    widths = sorted({w for width in widths for w in (width, 2 * width)})
    training = {"batch_size": batch_size, "learning_rate": rate}
    return [
        Variant(model, options={"hidden": (width, width)}, training=training) for model in BY_WIDTH for width in widths
    ]


def rate_variants(of: str, kind: str, batch_size: int, width: int, rates: Iterable[float]) -> list[Variant]:
    """of: a `learner`."""
    (model, *dnn), (scale, sets) = of.split(), KINDS[kind]
    options = {"hidden": (width, width)} if "hidden" in model_options(model) else {}
    options |= {"dnn": dnn[0]} if dnn else {}
    training = [{"batch_size": batch_size, "learning_rate": rate} for rate in rates]
    return [Variant(model, scale, sets, options=options, training=of_rate) for of_rate in training]


def chosen_rate(means: pd.Series) -> float:
    """The smallest rate whose mean validation AUC, by rate, is within `TOLERANCE` of the best."""
    return float(means.index[means >= means.max() - TOLERANCE].min())


def further_rates(means: pd.Series) -> list[float]:
    """What to try next: a factor of two beyond an edge at which the best or the chosen rate is."""
    low, high = means.index.min(), means.index.max()
    return ([low / 2] if chosen_rate(means) == low else []) + ([high * 2] if means.idxmax() == high else [])


def means_by(records: Iterable[RunRecord | None], key) -> pd.Series:
    """Mean validation AUC of the records by what `key` gives for a config."""
    rows = [(key(record.config), validation_auc(record)) for record in records if record is not None]
    means = pd.DataFrame(rows, columns=["key", "auc"]).groupby("key")["auc"].mean()
    return means.set_axis(pd.MultiIndex.from_tuples(means.index)) if isinstance(means.index[0], tuple) else means


def learning_rate(config: dict) -> float:
    return config["training"]["learning_rate"]


class Chooser:
    """Trains in a store, and reads from it, what the choices for a log need."""

    def __init__(self, dataset: str, store: RunStore, device: str = "auto", jobs: int | None = None):
        self.dataset, self.store, self.device, self.jobs = dataset, store, device, jobs

    def records(self, variants: Iterable[Variant], seeds: Sequence[int] = CHOICE_SEEDS) -> list[RunRecord]:
        from paper_code.runs.sweeps import sweep

        configs = configs_of(self.dataset, variants, seeds)
        sweep(configs, self.store, device=self.device, jobs=self.jobs)
        return [self.store.get(config) for config in configs]

    @property
    def fields(self) -> int:
        return num_fields(log_of_profile(PROFILES["laptop"], self.dataset, CHOICE_SEEDS[0]), DATA_FOLDER)

    def batch(self) -> pd.Series:
        """Mean validation AUC of DNN, which is the fastest to train, by (batch size, rate)."""
        batches, width = BATCHES[self.dataset], default_regime(self.fields).hidden
        kinds = [("dnn", "base", batch, width) for batch in batches]
        return pd.concat(dict(zip(batches, self.rates(kinds, CHOICE_SEEDS), strict=True)))

    def width(self, batches: pd.Series) -> pd.Series:
        """By (model, width), from what `batch` gave: of every width that is wide enough, but the last, and of the one
        chosen, and of twice that."""
        batch_size = chosen_batch(batches)

        def means(widths: Sequence[int]) -> pd.Series:
            records = self.records(width_variants(widths, batch_size, chosen_rate(batches[batch_size])))
            return means_by(records, lambda c: (c["model"], c["options"]["hidden"][0]))

        wide = [width for width in WIDTHS[:-1] if width >= 10 * self.fields]
        if not wide:
            return means(WIDTHS[-1:])
        found = means(wide)
        chosen = chosen_width(found)
        return found if ("dnn", 2 * chosen) in found.index else pd.concat([found, means([chosen])])

    def rates(self, kinds: Sequence[tuple[str, str, int, int]], seeds: Sequence[int] = RATE_SEEDS) -> list[pd.Series]:
        """Means by rate for each (learner, kind, batch size, width); rates are added until no choice is at an edge."""
        tried = [list(RATES) for _ in kinds]
        while True:
            variants = [rate_variants(*of, rates) for of, rates in zip(kinds, tried, strict=True)]
            self.records([variant for of_kind in variants for variant in of_kind], seeds)
            found = [means_by(self.records(of_kind, seeds), learning_rate) for of_kind in variants]
            further = list(map(further_rates, found))
            if not any(further):
                return found
            tried = [rates + more for rates, more in zip(tried, further, strict=True)]

    def regime(self) -> LogRegime:
        """What follows from all of it, but for Evidence III's penalty."""
        batches = self.batch()
        print(self.dataset, batches.unstack().round(5), sep="\n", flush=True)
        widths = self.width(batches)
        print(self.dataset, widths.unstack().round(5), sep="\n", flush=True)
        sizes = chosen_batch(batches), chosen_width(widths)
        kinds, chosen = kinds_of(self.dataset), {}
        for key, means in zip(kinds, self.rates([(*key, *sizes) for key in kinds]), strict=True):
            print(self.dataset, *key, means.round(5).to_dict(), flush=True)
            chosen[key] = chosen_rate(means)
        # is the width enough at the rates too? The check "trained out" asks
        doubled = [
            variant
            for model in BY_WIDTH
            if (model, "base") in chosen
            for variant in rate_variants(model, "base", sizes[0], 2 * sizes[1], [chosen[model, "base"]])
        ]
        self.records(doubled, RATE_SEEDS)
        learners = dict.fromkeys(of for of, _ in kinds)
        rates = {of: tuple(chosen.get((of, kind), chosen[of, "base"]) for kind in KINDS) for of in learners}
        return LogRegime(*sizes, rates)

    def unitary(self, scale: int) -> pd.DataFrame:
        """By weight, until one applies the penalty: distance, over that without, and projected abundance, means over
        the seeds, of which one is enough: the check of Evidence III asks the runs that count."""
        plain = [record.moments["best"] for record in self.records([Variant("dcnv2", scale)], RATE_SEEDS)]
        rows = []
        for weight in UNITARY_WEIGHTS:
            variant = Variant("dcnv2", scale, regularizer="unitary", weight=weight)
            best = [record.moments["best"] for record in self.records([variant], RATE_SEEDS)]
            pairs = zip(best, plain, strict=True)
            distance = np.mean([a["distance_to_unitary"] / b["distance_to_unitary"] for a, b in pairs])
            projected = np.mean([of_run["projected_abundance"] for of_run in best])
            rows.append({"weight": weight, "distance": distance, "projected": projected})
            if distance <= MOST_DISTANCE and projected >= LEAST_PROJECTED:
                break
        return pd.DataFrame(rows)


def chosen_batch(means: pd.Series) -> int:
    """The largest batch whose best mean validation AUC, over the rates, is within `TOLERANCE` of the best of all."""
    best = means.groupby(level=0).max()
    return int(best.index[best >= best.max() - TOLERANCE].max())


def chosen_width(means: pd.Series) -> int:
    """The smallest width from which doubling gains less than `WORTHWHILE` with both models, else the paper's."""
    for width in WIDTHS[:-1]:
        if ("dnn", width) in means.index:
            gains = [means[model, 2 * width] - means[model, width] for model in BY_WIDTH]
            if max(gains) < WORTHWHILE:
                return width
    return WIDTHS[-1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("dataset", choices=BATCHES)
    parser.add_argument("--unitary", metavar="SCALES", help="choose the weights of Evidence III instead")
    parser.add_argument("--results-dir", type=Path, default=project_path(NEW_RESULTS))
    parser.add_argument("--device", default="auto")
    parser.add_argument("--jobs", type=int)
    options = parser.parse_args()
    chooser = Chooser(options.dataset, run_store(options.results_dir), options.device, options.jobs)
    if not options.unitary:
        print(chooser.regime())
        return
    for scale in map(int, options.unitary.split(",")):
        print(f"{scale}x", chooser.unitary(scale), sep="\n", flush=True)


if __name__ == "__main__":
    main()
