"""Claims on the mean of the six models, log by log and over the logs: the headline of the book."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from paper_code.chapters.shared.checks import LATENT_LOG
from paper_code.chapters.shared.gates import OF_AUC
from paper_code.chapters.shared.judged import judged_runs, latent_checks, on_headline
from paper_code.chapters.shared.rules import (
    MINIMUM_SEEDS,
    SIGNIFICANT_AUC,
    Claim,
    Effect,
    average_gain,
    gains_by_seed,
)
from paper_code.chapters.shared.tables import Runs
from paper_code.published import published_dataset
from paper_code.runs.experiments import PAPER_MODELS
from paper_code.runs.regime import COMPARED

DROPPING = ("dnn", "xdeepfm", "finalmlp")
TIMES = {4: "four", 10: "ten"}


def averages(largest: int) -> dict[str, tuple]:
    """Averages over the models, up to the largest size: name -> its models, (embedding, scale) compared, side, what it
    says, the embedding of the same at 4x."""
    single, times = (("SE", largest), ("SE", 1), "below"), TIMES.get(largest, str(largest))
    found = {
        "single": (
            PAPER_MODELS,
            *single,
            f"A single embedding {times} times as large has a lower test AUC, on the average of six models",
            "SE",
        ),
        "drops": (
            DROPPING,
            *single,
            f"The test AUC of DNN, xDeepFM and FinalMLP drops when the single embedding is {times} times as large, on "
            "their average",
            "SE",
        ),
    }
    for scale in dict.fromkeys((COMPARED, largest)):
        statement = f"Multi embedding is better than single embedding at {scale}x, on the average of six models"
        found[f"multi-{scale}x"] = PAPER_MODELS, ("ME", scale), ("SE", scale), "above", statement, "ME"
    return found


def average_claims(runs: Runs, at_base_rate: Runs) -> list[Claim]:
    """Section 5.2, Tables 1, 3 and 4, of the models together.

    at_base_rate: of the runs at 4x at the learning rate of the base size.
    """
    published = published_dataset(runs.dataset)
    claims = []
    for name, (models, of, over, side, statement, embedding) in averages(runs.largest).items():
        checks = (*OF_AUC, *latent_checks(runs.dataset)) if name in ("single", "drops") else OF_AUC
        claims.append(
            Claim(
                f"average-{name}",
                f"Section 5.2, Table 1 ({published})",
                f"{statement}.",
                f"The difference in test AUC, averaged over the models within a seed, is {side} zero.",
                (average_gain(runs, models, of, over, side),),
                runs.dataset,
                "table4_fig11" if published == "Avazu" else "table3_fig10",
                headline=on_headline(runs.dataset),
                checks=checks,
                judged=judged_runs(models, of, over),
                averaged=True,
                other_sign=sign_changes(runs, at_base_rate, models, embedding),
            )
        )
    return claims


def sign_changes(runs: Runs, at_base_rate: Runs, models: Sequence[str], embedding: str) -> bool | None:
    """Is the sign of the average at 4x another if single and multi embedding are trained at the base size's rate?

    embedding: SE, of single embedding less the base; ME, of multi less single embedding. None with fewer than three
    seeds.
    """
    of, over = (embedding, COMPARED), ("SE", 1 if embedding == "SE" else COMPARED)
    series = {}
    for kind, source in {"chosen": runs, "base": at_base_rate}.items():
        for model in models:
            base = (runs if over[1] == 1 else source)("test_auc", model, *over)
            series[kind, model] = source("test_auc", model, *of) - base
    table = pd.concat(series, axis=1).dropna()
    if len(table) < MINIMUM_SEEDS:
        return None
    means = table.mean()
    return bool(np.sign(means["chosen"].mean()) != np.sign(means["base"].mean()))


def over_logs_claims(of_logs: Sequence[Runs]) -> list[Claim]:
    """The same averages over the mean of the headline logs that have runs, against what the paper calls significant."""
    of_logs = [runs for runs in of_logs if on_headline(runs.dataset) and runs.records]
    if not of_logs:
        return []
    names = " and ".join(runs.dataset for runs in of_logs)
    claims = []
    for name, (models, of, over, side, statement, _) in averages(min(runs.largest for runs in of_logs)).items():
        of_each = [average_gain(runs, models, of, over, side, SIGNIFICANT_AUC) for runs in of_logs]
        by_seed = [gains_by_seed(runs, models, of, over).mean(axis=1) for runs in of_logs]
        effect = Effect(
            f"{of_each[0].name}, mean over {names}",
            pd.concat(by_seed, axis=1).dropna().mean(axis=1).tolist(),
            side,
            SIGNIFICANT_AUC,
            in_d_prime=float(np.mean([of_log.in_d_prime for of_log in of_each])),
        )
        of_latent = latent_checks(LATENT_LOG) if LATENT_LOG in names and over == ("SE", 1) else ()
        by_how_much = "or gains less than" if side == "below" else "by more than"
        claims.append(
            Claim(
                f"logs-{name}",
                "Section 5.2, Table 1",
                f"{statement} and over the logs, {by_how_much} {SIGNIFICANT_AUC}, the paper's significant gain.",
                f"The difference in test AUC, averaged over the models and over the logs within a seed, is {side} "
                f"{SIGNIFICANT_AUC}.",
                (effect,),
                chapter="table3_fig10",
                checks=(*OF_AUC, *of_latent),
                judged=judged_runs(models, of, over),
                averaged=True,
            )
        )
    return claims
