"""`paper-code claims`: the verdict on every claim."""

import argparse
import json

from paper_code.commands.options import add_command, add_json, add_profile, add_results_dir

EXAMPLE = """\
example: paper-code claims --effects
         paper-code claims --dataset criteo avazu --profile paper

Reads the records in RESULTS_DIR and trains nothing; a claim whose runs are not there is "not tested", one whose check
of validity failed or was not made is "not testable here". The first data set stands for the paper's Criteo. Headline
claims are corrected for each other after Holm, log by log; all others are descriptive. "yes", "undecided", "against":
how many effects of the claim have their interval on the claimed side, across the bound, and on the other side."""


def add(commands, name: str, summary: str) -> None:
    parser = add_command(commands, name, run, summary, EXAMPLE, ("paper_code.chapters.claims",))
    parser.add_argument("--dataset", nargs="+", help="(default: the logs of the book)")
    parser.add_argument("--seeds", help="such as 0,1,2 (default: the profile's)")
    parser.add_argument("--effects", action="store_true", help="of every claim its rule and effects as well")
    add_profile(parser)
    add_results_dir(parser)
    add_json(parser)


def run(options: argparse.Namespace) -> None:
    from paper_code.chapters.claims import claims_table, ledger, ledger_table, logs_beside

    datasets = options.dataset or logs_beside("criteo_like", options.results_dir)
    claims = ledger(datasets, options.profile, options.seeds, options.results_dir)
    table = ledger_table(claims)
    if options.json:
        effects = claims_table(claims).drop(columns=["claim", "verdict"]).to_dict("records")
        rows = table.to_dict("records")
        for row, claim in zip(rows, claims, strict=True):
            row["rule"] = claim.rule
            row["effects"] = [effects.pop(0) for _ in claim.effects]
        print(json.dumps(rows))
        return
    if not options.effects:
        columns = ["claim", "data", "counts", "verdict", "p", "yes", "undecided", "against", "reason"]
        print(table[columns].to_string(index=False))
        return
    for claim, row in zip(claims, table.itertuples(), strict=True):
        print(f"{claim.name}  {claim.dataset}  [{claim.section}]\n  {claim.statement}\n  Rule: {claim.rule}")
        reason = f" ({claim.reason})" if claim.reason else ""
        print(f"  Verdict: {claim.verdict}{reason}, {row.counts}, p {row.p}. Recompute: {claim.command}")
        print(f"  Checks: {row.checks or 'none'}")
        effects = claims_table([claim]).drop(columns=["claim", "verdict"])
        print("    " + effects.to_string(index=False).replace("\n", "\n    ") + "\n")
