"""`paper-code toy`: the toy experiment of Appendix A."""

import argparse
import sys

from paper_code.commands.options import add_command, add_json, report, whole
from paper_code.runs.profiles import PROFILES, parse_seeds

EXAMPLE = """\
example: paper-code toy --seeds 0,1,2 --json"""


def add(commands, name: str, summary: str) -> None:
    parser = add_command(commands, name, run, summary, EXAMPLE, ("paper_code.toy",))
    parser.add_argument("--seeds", default="0,1,2,3,4,5,6,7,8,9", help="(default: %(default)s)")
    parser.add_argument("--iterations", type=whole(1), default=5000, help="(default: %(default)s, the paper's)")
    add_json(parser)


def run(options: argparse.Namespace) -> None:
    from paper_code.toy import run_toy

    seeds = parse_seeds(options.seeds, PROFILES["laptop"])
    values = {"seeds": seeds, "iterations": options.iterations}
    for name, cardinality in (("small", 3), ("large", 100)):
        result = run_toy(cardinality, seeds, iterations=options.iterations, points=1, progress=sys.stderr.isatty())
        start, end = result.information_abundance.mean(axis=0)
        values[f"mean IA(E1), {name} (D3 = {cardinality})"] = f"{start:.2f} at the start, {end:.2f} at the end"
    report(values, options.json)
