"""The ledger: every claim from the records that are there, in tables, in a summary and as HTML."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from html import escape

import pandas as pd

from paper_code.appendix_b import appendix_b_table
from paper_code.checks import LIVE, Check, check_of, gate, names_for
from paper_code.claims.of_paper import (
    HEADLINE_LOGS,
    ablation_claims,
    appendix_b_claim,
    average_claims,
    collapse_claims,
    evidence_iii_claims,
    evidence_iv_claims,
    figure_9_claims,
    finding_2_claims,
    law_claim,
    law_claims,
    over_logs_claims,
    scalability_claims,
    toy_claim,
)
from paper_code.claims.ours import (
    alternatives_claims,
    control_claims,
    learned_claims,
    map_claims,
    newer_claims,
    optimizer_claims,
    released_claims,
)
from paper_code.claims.rules import (
    ANSWERS,
    CONTRADICTED,
    HOLDS,
    IN_PART,
    INCONCLUSIVE,
    LEVEL,
    MIXED,
    NOT_TESTABLE,
    NOT_TESTED,
    SUPPORTED,
    VERDICTS,
    Claim,
    corrected,
)
from paper_code.data import SYNTHETIC_LOGS
from paper_code.experiments import (
    BOOK,
    EXPERIMENTS,
    OF_GENERATORS,
    PAPER_MODELS,
    PROFILES,
    RESULTS_FOLDER,
    find,
    stored_records,
    toy_results,
    toy_seeds,
    trials,
)
from paper_code.runs import RunRecord
from paper_code.tables import Runs, html_table, log_label


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


NEWER = tuple(
    f"{name}-{model}"
    for model in ("gdcn", "rankmixer")
    for name in ("interaction-collapse", "single-embedding", "multi-embedding-better", "multi-embedding-scales")
)
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
        self.scales = find("profile", profile, PROFILES).scales
        self.found: dict[tuple[str, str], Runs | Check] = {}  # by name and log

    def records(self, experiment: str, dataset: str) -> list[RunRecord]:
        if experiment in OF_GENERATORS and dataset not in SYNTHETIC_LOGS:
            return []
        return stored_records(experiment, dataset, self.profile, self.seeds, self.results_dir)

    def runs(self, experiment: str, dataset: str) -> Runs:
        """Those of an experiment on a log, which know what sizes they should have."""
        if (experiment, dataset) not in self.found:
            variants = EXPERIMENTS[experiment](self.scales)
            scales = {variant.scale * variant.num_sets for variant in variants}
            self.found[experiment, dataset] = Runs(self.records(experiment, dataset), dataset, scales)
        return self.found[experiment, dataset]

    @cached_property
    def trials(self) -> list[RunRecord]:
        return trials(self.results_dir)

    def checks(self, dataset: str, names: Sequence[str] | None = None) -> list[Check]:
        """The checks of a log; names: which, None: all."""
        chosen = [name for name in names_for(dataset) if names is None or name in names]
        for name in chosen:
            if (name, dataset) not in self.found:
                self.found[name, dataset] = check_of(name, partial(self.runs, dataset=dataset), dataset)
        return [self.found[name, dataset] for name in chosen]

    def gated(self, claim: Claim) -> Claim:
        """By the checks of its log, or if it is over the logs of all that it is over."""
        names = (*claim.checks, LIVE) if claim.averaged else claim.checks
        over = [
            dataset for dataset in self.datasets if dataset in HEADLINE_LOGS and self.runs("tables", dataset).records
        ]
        logs = [claim.dataset] if claim.dataset else over
        return gate(claim, [check for dataset in logs for check in self.checks(dataset, names)])

    def of_log(self, dataset: str, names: Sequence[str] = ("",)) -> list[Claim]:
        """The claims on a log, gated by its checks: those whose names begin so, and the headline claims, by which they
        are corrected."""
        if BOOK.get(dataset) == ("few_rows",):
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
        """Figures 1b to 3 of a log with few rows."""
        runs = self.runs("few_rows", dataset)
        of_model = {
            model: Runs([r for r in runs.records if r.config["model"] == model], dataset, scales)
            for model, scales in {"ffm": [1], "dcnv2": runs.scales}.items()
        }
        claims = collapse_claims(of_model["dcnv2"]) + law_claim(of_model["ffm"], of_model["dcnv2"])
        return claims + [claim for model, of_one in of_model.items() for claim in law_claims(of_one, model)]

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
) -> list[Claim]:
    """Every claim, gated and corrected; see `Ledger`. The toy experiment and Appendix B are computed anew."""
    of_no_log = [
        toy_claim(*toy_results(profile, seeds)),
        appendix_b_claim(appendix_b_table(toy_seeds(profile, seeds))),
    ]
    return of_no_log + Ledger(datasets, profile, seeds, results_dir).claims()


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
            digits = "+.5f" if "AUC" in effect.name else ".2f"
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


def p_text(p: float) -> str:
    return "< 0.0001" if p < 1e-4 else f"{p:.4f}"


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


# part of the book, a claim in short, and the beginning of the names of those that it sums up
SUMMARY = (
    ("the phenomenon", "Learned embeddings collapse", "embedding-collapse"),
    ("the phenomenon", "Single 10x is worse than the base: six models", "average-single"),
    ("the phenomenon", "DNN, xDeepFM, FinalMLP get worse at 10x", "average-drops"),
    ("the phenomenon", "Larger single embeddings gain too little: each", "single-embedding"),
    ("why it happens", "Toy: a collapsed matrix makes another collapse", "toy-collapse"),
    ("why it happens", "Fields collapse those they interact with", "law"),
    ("why it happens", "The same, of FFM and of DCNv2 by itself", "interaction-collapse"),
    ("why it happens", "Regularised DCNv2: less collapse, overfitting", "evidence-iii"),
    ("why it happens", "DNN: less collapse, yet its AUC drops", "evidence-iv"),
    ("why it happens", "Less collapse alone does not help (Finding 2)", "finding-2"),
    ("the cure", "Multi beats single embedding at 4x: six models", "average-multi-4x"),
    ("the cure", "Multi beats single embedding at 10x: six models", "average-multi-10x"),
    ("the cure", "The averages over the logs, by 0.001", "logs-"),
    ("the cure", "Multi beats single at every size: each model", "multi-embedding-better"),
    ("the cure", "Multi embedding improves with size: each model", "multi-embedding-scales"),
    ("the cure", "Multi embedding collapses less (9a)", "figure-9a"),
    ("the cure", "Embedding sets vary in collapse (9b)", "figure-9b"),
    ("the cure", "Embedding sets learn different patterns (9c)", "figure-9c"),
    ("the cure", "Multi embedding with like patterns scales worse (9d)", "figure-9d"),
    ("the cure", "Embedding sets need interactions of their own", "own-interactions"),
    ("the cure", "Linear multi embedding is single (Appendix B)", "linear-multi-embedding-is-single"),
)


def summary_table(claims: Sequence[Claim]) -> pd.DataFrame:
    """A row per claim in short and data set: part, label, dataset, how many effects hold, are undecided and are against
    it, the verdict, or how many claims have which; chapter, of the first of them."""
    rows = []
    for part, label, name in SUMMARY:
        of_name = [claim for claim in claims if claim.of_paper and claim.name.startswith(name)]
        for dataset in dict.fromkeys(claim.dataset for claim in of_name):
            chosen = [claim for claim in of_name if claim.dataset == dataset]
            answers = [answer for claim in chosen for answer in claim.answers]
            rows.append(
                {
                    **{"part": part, "label": label, "dataset": dataset},
                    **{answer: answers.count(answer) for answer in ANSWERS},
                    **{"verdict": tally(chosen), "chapter": chosen[0].chapter},
                }
            )
    return pd.DataFrame(rows)


def summary_texts(claims: Sequence[Claim]) -> dict[str, str]:
    """What the title page says of the paper's claims, by name: how many claims and effects there are, with which
    verdicts and answers; by verdict the claims in short that have it wherever they were asked, and as differing those
    that have several."""
    kinds = (SUPPORTED, CONTRADICTED, MIXED, INCONCLUSIVE, NOT_TESTABLE, NOT_TESTED)
    lists = {kind: [] for kind in (*kinds, "differing")}
    for _, label, name in SUMMARY:
        verdicts = {claim.verdict for claim in claims if claim.of_paper and claim.name.startswith(name)}
        if len(verdicts) == 1:
            lists[verdicts.pop()].append(label)
        elif verdicts:
            lists["differing"].append(f"{label} ({tally(claims, name)})")
    of_paper = [claim for claim in claims if claim.of_paper]
    answers = [answer for claim in of_paper for answer in claim.answers]
    return {
        "verdicts": tally(claims),
        "number_of_claims": str(len(of_paper)),
        "number_of_headline_claims": str(sum(claim.headline for claim in of_paper)),
        "number_of_other_claims": str(len(claims) - len(of_paper)),
        "number_of_effects": str(len(answers)),
        **{f"number_{name}": str(answers.count(name)) for name in ANSWERS},
        **{kind.replace(" ", "_"): "; ".join(labels) or "none" for kind, labels in lists.items()},
    }


def summary_html(claims: Sequence[Claim]) -> str:
    """`summary_table` as HTML: a row per claim in short, with the verdict on each data set, and its chapter."""
    table = summary_table(claims)
    logs = [dataset for dataset in dict.fromkeys(table["dataset"]) if dataset]
    rows, parts = [], set()
    for (part, label), group in table.groupby(["part", "label"], sort=False):
        verdicts = {
            row["dataset"]: f'<a href="{row["chapter"]}.html">{badges(row["verdict"])}</a>'
            for row in group.to_dict("records")
        }
        row = {
            "part": "" if part in parts else part,
            "the paper claims": escape(label),
        }
        verdicts = {logs[0]: verdicts[""]} | dict.fromkeys(logs[1:], "of no one log") if "" in verdicts else verdicts
        rows.append(row | {log_label(log): verdicts.get(log, "-") for log in logs})
        parts.add(part)
    return html_table(pd.DataFrame(rows), escape=False)


def tally(claims: Sequence[Claim], name: str = "", dataset: str | None = None) -> str:
    """How many of the paper's claims have which verdict, in words: of those whose name begins so, of that data set.

    Of a single claim its verdict; "-" if there is none.
    """
    chosen = [c for c in claims if c.of_paper and c.name.startswith(name) and dataset in (None, c.dataset)]
    verdicts = [claim.verdict for claim in chosen]
    if len(verdicts) < 2:
        return "".join(verdicts) or "-"
    counts = {verdict: verdicts.count(verdict) for verdict in VERDICTS}
    return ", ".join(f"{count} {verdict}" for verdict, count in counts.items() if count)


def ledger_html(claims: Sequence[Claim]) -> str:
    """The ledger as HTML: a row per claim, with the last of its effects, which is that of the largest size."""
    rows = []
    for claim, row in zip(claims, ledger_table(claims).to_dict("records"), strict=True):
        shown = claims_table([claim]).iloc[-1]
        counts = ", ".join(f"{row[answer]} {answer}" for answer in ANSWERS)
        said = f"{row['reason']}; {row['counts']}; {counts}" if row["reason"] else f"{row['counts']}; {counts}"
        origin = "; ".join(filter(None, [claim.section, log_label(claim.dataset)]))
        tested = claim.verdict != NOT_TESTED
        rows.append(
            {
                "claim": f'<a href="{claim.chapter}.html">{escape(claim.statement)}</a>{small(origin)}',
                "verdict": f"{badges(claim.verdict)}{small(said)}",
                "ours": f"{shown['ours']} ({shown['interval']})" * tested + "-" * (not tested) + small(shown["effect"]),
                "p": f"{row['p']}{small('sign flips ' + shown['sign-flip p'])}" if row["p"] != "-" else "-",
                "paper": shown["paper"] + (small(f"seen: {shown['power']}") if shown["power"] != "-" else ""),
            }
        )
    return html_table(pd.DataFrame(rows), escape=False)


def small(text: str) -> str:
    """A second line of a table's cell."""
    return f"<br><small>{escape(text)}</small>"


MARKS = {
    **dict.fromkeys((SUPPORTED, HOLDS), "●"),
    **dict.fromkeys((MIXED, IN_PART), "◐"),
    **{INCONCLUSIVE: "○", CONTRADICTED: "✕", NOT_TESTABLE: "□", NOT_TESTED: "-"},
}


def badges(verdicts: str) -> str:
    """A verdict, or several with their numbers as `tally` gives them, as HTML with a mark each."""
    parts = []
    for part in verdicts.split(", "):
        verdict = part.lstrip("0123456789 ")
        kind = verdict.replace(" ", "-")
        parts.append(
            f'<span class="verdict {kind}"><span aria-hidden="true">{MARKS.get(verdict, "")}</span> {part}</span>'
        )
    return "<br>".join(parts)


def claims_html(claims: Sequence[Claim], opened: bool = True) -> str:
    """The claims as HTML: of each its verdict, its words, its rule and its effects as a table.

    opened: the tables show at once; else they unfold.
    """
    parts = []
    for claim in claims:
        effects = claims_table([claim]).drop(columns=["claim", "verdict"])
        effects = effects.loc[:, (effects != "-").any() | effects.columns.isin(["ours", "holds"])]
        counts = ", ".join(f"{claim.answers.count(name)} {name}" for name in ANSWERS)
        data = f"; {log_label(claim.dataset)}" if claim.dataset else ""
        counted = "headline" if claim.headline else "descriptive"
        reason = f" ({escape(claim.reason)})" if claim.reason else ""
        parts.append(
            f'<div class="claim"><p>{badges(claim.verdict)}{reason} <strong>{escape(claim.statement)}</strong> '
            f"<small>({escape(claim.section)}{escape(data)}; {counted})</small></p>\n"
            f"<details{' open' * opened}><summary>Rule and effects: {counts}</summary>"
            f"<p>{escape(claim.rule)}</p>\n{html_table(effects)}</details></div>"
        )
    return "\n".join(parts)
