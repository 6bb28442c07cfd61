"""The ledger: every claim of the book, judged by its runs."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path

import pandas as pd

from paper_code.chapters.ablations import ablation_claims
from paper_code.chapters.alternatives import alternatives_claims
from paper_code.chapters.appendix_b import appendix_b_claim, appendix_b_table
from paper_code.chapters.averages import average_claims, over_logs_claims
from paper_code.chapters.fig02_collapse import collapse_claims
from paper_code.chapters.fig03_interaction_collapse import law_claim, law_claims
from paper_code.chapters.fig04_toy import toy_claim
from paper_code.chapters.fig05_regularized import evidence_iii_claims
from paper_code.chapters.fig06_dnn_dcnv2 import evidence_iv_claims, finding_2_claims
from paper_code.chapters.fig08_scalability import scalability_claims
from paper_code.chapters.fig09_analysis import figure_9_claims
from paper_code.chapters.newer import NEWER, newer_claims
from paper_code.chapters.optimizer import optimizer_claims
from paper_code.chapters.reach import map_claims
from paper_code.chapters.regime import control_claims, learned_claims
from paper_code.chapters.released import released_claims
from paper_code.chapters.shared.checks import TRIED, check_of, names_for
from paper_code.chapters.shared.gates import LIVE, Check, gate
from paper_code.chapters.shared.judged import HEADLINE_LOGS
from paper_code.chapters.shared.rules import ANSWERS, LEVEL, Claim, corrected
from paper_code.chapters.shared.tables import Runs
from paper_code.chapters.shared.words import p_text
from paper_code.data import SYNTHETIC_LOGS
from paper_code.runs.computed import toy_results
from paper_code.runs.experiments import (
    BOOK,
    EXPERIMENTS,
    OF_FIRST_REGIME,
    OF_GENERATORS,
    PAPER_MODELS,
    PLAN,
    run_configs,
    sizes_of,
)
from paper_code.runs.profiles import PROFILES, RESULTS_FOLDER, find, toy_seeds
from paper_code.runs.reading import choice_records, run_store, shows_first, stored_records, trials
from paper_code.runs.record import RunRecord


@dataclass(frozen=True)
class Judged:
    """Claims of a log: how their names begin, of the runs of which experiments they are, what makes them, and whether
    on every log or only on the one that stands for Criteo, as in the paper."""

    names: tuple[str, ...]
    experiments: tuple[str, ...]
    claims: Callable[..., list[Claim]]
    on_all: bool = True

    @property
    def headline(self) -> bool:
        return self.claims in (collapse_claims, law_claim, average_claims)


OF_RECORDS = (
    Judged(("embedding-collapse",), ("collapse",), collapse_claims),
    Judged(("law",), ("evidence_i", "evidence_ii"), law_claim),
    Judged(("average",), ("tables", "base_rate"), average_claims),
    Judged(("interaction-collapse-ffm",), ("evidence_i",), partial(law_claims, model="ffm")),
    Judged(("interaction-collapse-dcnv2",), ("evidence_ii",), partial(law_claims, model="dcnv2")),
    Judged(("evidence-iii",), ("evidence_iii",), evidence_iii_claims, on_all=False),
    Judged(("evidence-iv",), ("evidence_iv",), evidence_iv_claims, on_all=False),
    Judged(("finding-2",), ("finding_2",), finding_2_claims, on_all=False),
    Judged(("single-embedding", "multi-embedding"), ("tables",), partial(scalability_claims, models=PAPER_MODELS)),
    Judged(("figure-9",), ("patterns",), figure_9_claims, on_all=False),
    Judged(("own-interactions",), ("ablations",), ablation_claims, on_all=False),
    Judged(("collapse-is-learned",), ("permuted",), learned_claims),
    Judged(("control",), ("tables", "controls"), control_claims),
    Judged(NEWER, ("newer",), newer_claims, on_all=False),
    Judged(("optimizer",), ("optimizer",), optimizer_claims),
    Judged(("released",), ("released",), released_claims, on_all=False),
    Judged(("map",), ("map",), map_claims),
    Judged(("alternatives",), ("alternatives",), alternatives_claims),
)


REAL_LOGS = ("movielens", "frappe", "criteo_80k")
"""Real logs of the ledger, whose records come with the project and whose rows do not."""


def logs_beside(dataset: str, results_dir: str | Path = RESULTS_FOLDER) -> tuple[str, ...]:
    """The logs of the ledger, the one that stands for Criteo first: the synthetic ones and the real ones that have
    runs of the plan, which those that chose the regime are not; or the given log alone."""
    if dataset not in SYNTHETIC_LOGS:
        return (dataset,)
    store = run_store(results_dir)

    def has_runs(log: str) -> bool:
        return any(store.find(config) for name in PLAN[log] for config in run_configs(name, log))

    return (*SYNTHETIC_LOGS, *filter(has_runs, REAL_LOGS))


def has_few_rows(dataset: str) -> bool:
    """Is the log one of few rows, which the book asks for Figures 1b to 3?"""
    return "few_rows" in BOOK.get(dataset, ())


def of_first_regime(claim: Claim) -> bool:
    """Are some of the runs that the claim is judged by still of the first regime?"""
    if claim.name.startswith("logs-"):  # of all of them
        return any(("tables", log) in OF_FIRST_REGIME for log in HEADLINE_LOGS)
    if has_few_rows(claim.dataset):
        experiments = BOOK[claim.dataset]
    else:
        judged = (judged for judged in OF_RECORDS if claim.name.startswith(judged.names))
        experiments = next((of_name.experiments for of_name in judged), ())
    return any((experiment, claim.dataset) in OF_FIRST_REGIME for experiment in experiments)


OF_FIRST_RUNS = "of this project's first runs"
"""Why a claim on them is not testable."""


class Ledger:
    """What the claims and the checks of some logs are computed from: the records that are there.

    Nothing is trained, and what has no records is "not tested". datasets: the log that stands for Criteo first.
    """

    def __init__(
        self,
        datasets: Sequence[str],
        profile: str = "laptop",
        seeds: Sequence[int] | str | None = None,
        results_dir: str = RESULTS_FOLDER,
    ):
        self.datasets, self.profile, self.seeds, self.results_dir = datasets, profile, seeds, results_dir
        self.found: dict[tuple[str, str], Runs | Check] = {}  # by name and log

    def records(self, experiment: str, dataset: str) -> list[RunRecord]:
        if experiment in OF_GENERATORS and dataset not in SYNTHETIC_LOGS:
            return []
        return stored_records(experiment, dataset, self.profile, self.seeds, self.results_dir)

    def runs(self, experiment: str, dataset: str) -> Runs:
        """The runs of an experiment on a log, which know what sizes they should have; or those of `TRIED`."""
        if experiment == TRIED:
            return Runs([record for record in self.tried if record.config["data"]["name"] == dataset], dataset)
        if (experiment, dataset) not in self.found:
            variants = EXPERIMENTS[experiment](sizes_of(find("profile", self.profile, PROFILES), dataset))
            scales = {variant.scale * variant.num_sets for variant in variants}
            self.found[experiment, dataset] = Runs(self.records(experiment, dataset), dataset, scales)
        return self.found[experiment, dataset]

    @cached_property
    def tried(self) -> list[RunRecord]:
        return choice_records(self.results_dir)

    @cached_property
    def trials(self) -> list[RunRecord]:
        return trials(self.results_dir)

    def runs_of_regime(self, experiment: str, dataset: str) -> Runs:
        """As `runs`, without those of the first regime, of which no check is made."""
        runs = self.runs(experiment, dataset)
        still = shows_first(self.profile, self.results_dir) and (experiment, dataset) in OF_FIRST_REGIME
        return Runs([], dataset, runs.scales) if still else runs

    def checks(self, dataset: str, names: Sequence[str] | None = None) -> list[Check]:
        """The checks of a log; names: which, None: all."""
        chosen = [name for name in names_for(dataset) if names is None or name in names]
        for name in chosen:
            if (name, dataset) not in self.found:
                self.found[name, dataset] = check_of(name, partial(self.runs_of_regime, dataset=dataset), dataset)
        return [self.found[name, dataset] for name in chosen]

    def gated(self, claim: Claim) -> Claim:
        """By the checks of its log, or if it is over the logs of all that it is over. These are made in the regime: no
        claim on runs of the first is testable."""
        if shows_first(self.profile, self.results_dir) and of_first_regime(claim):
            return replace(claim, failed=OF_FIRST_RUNS)
        names = (*claim.checks, LIVE) if claim.averaged else claim.checks
        over = [
            dataset for dataset in self.datasets if dataset in HEADLINE_LOGS and self.runs("tables", dataset).records
        ]
        logs = [claim.dataset] if claim.dataset else over
        return gate(claim, [check for dataset in logs for check in self.checks(dataset, names)])

    def of_log(self, dataset: str, names: Sequence[str] = ("",)) -> list[Claim]:
        """The claims on a log, gated by its checks: those whose names begin so, and the headline claims, by which they
        are corrected."""
        if has_few_rows(dataset):
            claims = self.of_few_rows(dataset)
        else:
            claims = []
            for judged in OF_RECORDS:
                asked = any(a.startswith(b) or b.startswith(a) for a in judged.names for b in names)
                applies = judged.on_all or dataset == self.datasets[0]
                of_generator = dataset in SYNTHETIC_LOGS or not set(judged.experiments) & set(OF_GENERATORS)
                if applies and of_generator and (asked or judged.headline):
                    runs = [self.runs(experiment, dataset) for experiment in judged.experiments]
                    timed = judged.claims is alternatives_claims
                    claims += judged.claims(*runs, **{"references": self.trials} if timed else {})
        return list(map(self.gated, claims))

    def of_few_rows(self, dataset: str) -> list[Claim]:
        """Figures 1b to 3 of a log with few rows, and Evidence III and IV where they were asked of it."""
        runs = self.runs("few_rows", dataset)
        of_model = {
            model: Runs([r for r in runs.records if r.config["model"] == model], dataset, scales)
            for model, scales in {"ffm": [1], "dcnv2": runs.scales}.items()
        }
        claims = collapse_claims(of_model["dcnv2"]) + law_claim(of_model["ffm"], of_model["dcnv2"])
        claims += [claim for model, of_one in of_model.items() for claim in law_claims(of_one, model)]
        evidence = {"evidence_iii": evidence_iii_claims, "evidence_iv": evidence_iv_claims}
        asked = {name: self.runs(name, dataset) for name in evidence}
        return claims + [claim for name, found in asked.items() if found.records for claim in evidence[name](found)]

    def claims(self, *names: str) -> list[Claim]:
        """The claims on runs whose names begin so; none: all of them."""
        names = names or ("",)
        found = [claim for dataset in self.datasets for claim in self.of_log(dataset, names)]
        if any("logs-".startswith(name) for name in names):
            found += map(self.gated, over_logs_claims([self.runs("tables", dataset) for dataset in self.datasets]))
        return [claim for claim in corrected(found) if claim.name.startswith(names)]


def ledger(
    datasets: Sequence[str],
    profile: str = "laptop",
    seeds: Sequence[int] | str | None = None,
    results_dir: str = RESULTS_FOLDER,
    names: Sequence[str] = ("",),
) -> list[Claim]:
    """The claims whose names begin so, gated and corrected; see `Ledger`."""
    asked, found = tuple(names), []
    if "toy-collapse".startswith(asked):
        found.append(toy_claim(*toy_results(profile, seeds, results_dir=results_dir)))
    if "linear-multi-embedding-is-single".startswith(asked):
        found.append(appendix_b_claim(appendix_b_table(toy_seeds(profile, seeds), results_dir)))
    return found + Ledger(datasets, profile, seeds, results_dir).claims(*names)


def claims_table(claims: Sequence[Claim]) -> pd.DataFrame:
    """A row per effect, as text with stable digits.

    Columns: claim, effect, ours, interval, at what level (what decides, see `Claim.confidence`), half width of that,
    claimed, in d' (a bound in AUC as the same distance in d'), paper, power, the chance that the paper's value would
    have been seen; seeds; p and sign-flip p, see `Effect`; without one, the range leaving one model out; holds;
    verdict.
    """
    rows = []
    for claim in claims:
        for effect, answer in zip(claim.effects, claim.answers, strict=True):
            digits = "+.5f" if "AUC" in effect.name else "+.4f" if "loss" in effect.name else ".2f"
            tested, confidence = effect.tested, claim.confidence
            low, high = effect.interval(confidence) if tested else (math.nan, math.nan)
            power, without = effect.power(confidence), effect.leaving_one_out
            rows.append(
                {
                    "claim": claim.name,
                    "effect": effect.name,
                    "ours": f"{effect.mean:{digits}}" if len(effect.values) else "-",
                    "interval": f"{low:{digits}} to {high:{digits}}" if tested else "fewer than 3 seeds",
                    "level": f"{100 * confidence:.1f} %",
                    "half width": f"{effect.half_width(confidence):{digits.lstrip('+')}}" if tested else "-",
                    "claimed": f"{effect.side} {effect.bound:g}",
                    "in d'": "-" if math.isnan(effect.in_d_prime) else f"{effect.in_d_prime:.5f}",
                    "paper": "-" if math.isnan(effect.published) else f"{effect.published:{digits}}",
                    "power": "-" if math.isnan(power) else f"{power:.2f}",
                    "seeds": str(len(effect.values)),
                    "p": p_text(effect.p_value) if tested else "-",
                    "sign-flip p": p_text(effect.sign_flip_p) if tested else "-",
                    "without one": f"{without[0]:{digits}} to {without[1]:{digits}}" if without else "-",
                    "holds": answer,
                    "verdict": claim.verdict,
                }
            )
    return pd.DataFrame(rows, columns=EFFECT_COLUMNS)


EFFECT_COLUMNS = [
    *("claim", "effect", "ours", "interval", "level", "half width", "claimed", "in d'", "paper", "power", "seeds"),
    *("p", "sign-flip p", "without one", "holds", "verdict"),
]


def ledger_table(claims: Sequence[Claim]) -> pd.DataFrame:
    """A row per claim: claim, statement, section, data; counts, "headline" or "descriptive"; verdict; reason, what is
    to be said with it; p, of a headline claim after Holm, else after Bonferroni within it, "-" if it is not judged;
    how many of its effects hold, are undecided and are against it, see `Effect.answer`; checks that gate it; chapter,
    command."""
    rows = []
    for claim in claims:
        judged = claim.tested and not claim.failed
        rows.append(
            {
                "claim": claim.name,
                "statement": claim.statement,
                "section": claim.section,
                "data": claim.dataset or "-",
                "counts": "headline" if claim.headline else "descriptive",
                "verdict": claim.verdict,
                "reason": claim.reason,
                "p": p_text(min(1.0, claim.p_value * LEVEL / (1 - claim.confidence))) if judged else "-",
                **{name: claim.answers.count(name) for name in ANSWERS},
                "checks": ", ".join(claim.checks),
                "chapter": claim.chapter,
                "command": claim.command,
            }
        )
    return pd.DataFrame(rows)
