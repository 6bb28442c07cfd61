"""`paper-code verify`: are the stored records true?"""

import argparse
import json
from collections import Counter
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from paper_code.commands.options import add_command, add_data_dir, add_json, add_profile, add_results_dir, number, whole
from paper_code.data import SYNTHETIC_LOGS
from paper_code.runs.config import RunConfig
from paper_code.runs.experiments import EXPERIMENTS, OF_GENERATORS, run_configs
from paper_code.runs.profiles import describe, find, project_path
from paper_code.runs.reading import is_published
from paper_code.runs.record import RunRecord
from paper_code.runs.store import RunStore

if TYPE_CHECKING:  # it needs PyTorch
    from paper_code.runs.verification import Comparison

SAME, WITHIN, DIFFERS, FAILED = "same bits", "within the spread", "DIFFERS", "FAILED"
PUBLISHED = project_path("figures/data/published_gains.csv")
"""What the book computes from the paper's tables alone."""

EXAMPLE = """\
example: paper-code verify
         paper-code verify --sample 20 --minutes 60 --seed 7
         paper-code verify --experiment tables --dataset criteo_like --all
         paper-code verify --dataset criteo_like --json

Draws records of RESULTS_DIR at random, trains their runs anew and holds stored against new. On the kind of machine that
made a record, with the same versions, all has the same bits. Another one rounds otherwise; then differences are held
against the most that another machine is known to make. Results that need no log (the toy experiment, Appendix B, the
paper's tables) are computed anew too, unless a data set or an experiment is named; they have the same bits on every
processor with AVX2, as x86 processors have it since 2013. Nothing is written. The exit status is 1 if anything differs
by more, or cannot be trained."""


def add(commands, name: str, summary: str) -> None:
    parser = add_command(commands, name, run, summary, EXAMPLE, ("paper_code.runs.verification",))
    parser.add_argument("--sample", type=whole(1), default=20, help="records to draw (default: %(default)s)")
    parser.add_argument(
        "--minutes", type=number(0, exclusive=True), default=10, help="of one core, for all (default: %(default)s)"
    )
    parser.add_argument("--seed", type=whole(0), default=0, help="of the draw (default: %(default)s)")
    parser.add_argument("--all", action="store_true", help="every record, however long it takes")
    parser.add_argument("--dataset", help="records of this log only")
    parser.add_argument("--experiment", help=f"records of this experiment only: {', '.join(EXPERIMENTS)}")
    parser.add_argument("--jobs", type=whole(1), help="runs at once (default: one per core, or one per GPU)")
    parser.add_argument(
        "--device", default="cpu", help="auto, cpu, cuda, cuda:1 (default: cpu, which most records were made on)"
    )
    add_profile(parser)
    add_results_dir(parser)
    add_data_dir(parser)
    add_json(parser)


def run(options: argparse.Namespace) -> None:
    from paper_code.runs.verification import Comparison, draw, is_same_result, split_by_obstacle, verify

    records, left_out = split_by_obstacle(records_asked_for(options), options.data_dir)
    drawn = records
    if not options.all:
        drawn = draw(records, options.sample, 60 * options.minutes, options.seed, options.device, options.data_dir)
        too_many = len(drawn) == options.sample
        left_out["not drawn" if too_many else f"beyond {options.minutes:g} minutes"] += len(records) - len(drawn)
    left_out = {reason: count for reason, count in left_out.items() if count}
    tables = [] if options.dataset or options.experiment else sorted(options.results_dir.glob("[!.]*.json"))
    if not drawn and not tables:
        reasons = "; ".join(f"{count} {reason}" for reason, count in left_out.items()) or "there is none"
        raise ValueError(f"{options.results_dir}: no record to verify: {reasons}")
    say = (lambda text: None) if options.json else (lambda text: print(text, flush=True))
    say(f"{len(drawn)} records of {options.results_dir}" + ("" if options.all else f", seed {options.seed}"))
    for reason, count in left_out.items():
        say(f"left out: {count} {reason}")

    rows, compared = [], []
    for record, outcome in verify(drawn, options.device, options.jobs, options.data_dir):
        rows.append(row_of(record, outcome))
        compared += [outcome] if isinstance(outcome, Comparison) else []
        say(text_of(rows[-1]))
    for path in tables:
        rows.append({"record": path.name, "verdict": SAME if is_same_result(path, computations()) else DIFFERS})
        say(text_of(rows[-1]))
    if tables and is_published(options.results_dir):
        rows.append({"record": PUBLISHED.name, "verdict": SAME if is_published_table() else DIFFERS})
        say(text_of(rows[-1]))

    verdict, wrong = verdict_of(rows, compared)
    say(f"verdict: {verdict}")
    if options.json:
        seed = None if options.all else options.seed
        print(json.dumps({"records": rows, "left_out": left_out, "seed": seed, "verdict": verdict, "holds": not wrong}))
    if wrong:
        raise ValueError(f"{options.results_dir}: not what this code gives: {', '.join(wrong)}")


def records_asked_for(options: argparse.Namespace) -> list[RunRecord]:
    """The folder's records of the data set and of the experiment that are named, if any are."""
    records = list(RunStore(options.results_dir).records())
    if options.dataset:
        records = [record for record in records if record.config["data"]["name"] == options.dataset]
    if options.experiment:
        find("experiment", options.experiment, EXPERIMENTS)
        logs = {record.config["data"]["name"] for record in records}
        runs = {
            config.hash
            for log in logs
            if log in SYNTHETIC_LOGS or options.experiment not in OF_GENERATORS
            for config in run_configs(options.experiment, log, options.profile, data_folder=options.data_dir)
        }
        records = [record for record in records if record.hash in runs]
    return records


def row_of(record: RunRecord, outcome: "Comparison | str") -> dict:
    """What is told of a record: its file, the run in a few words, the verdict; stored and new values and their
    differences, or what stopped the run."""
    row = {"record": f"{record.config['data']['name']}/{record.hash}.json"}
    row["run"] = describe(RunConfig.from_json(record.config))
    if isinstance(outcome, str):
        return row | {"verdict": FAILED, "error": outcome}
    verdict = SAME if outcome.same_bits else WITHIN if outcome.holds else DIFFERS
    row |= {"verdict": verdict, "same_machine": outcome.same_machine}
    for name, (stored, new) in outcome.values.items():
        row |= {name: stored, f"new_{name}": new, f"{name}_difference": outcome.differences[name]}
    return row


def text_of(row: dict) -> str:
    text = f"{row['verdict']:<{len(WITHIN)}}  {row['record']}"
    if "error" in row:
        return f"{text}  {row['run']}: {row['error']}"
    if "run" not in row:
        return text
    from paper_code.runs.verification import SPREAD

    parts = []
    for name, digits in (("test_auc", ".6f"), ("information_abundance", ".5g"), ("best_look", "d")):
        part = f"{name.replace('_', ' ').replace('auc', 'AUC')} {row[name]:{digits}}"
        if row["verdict"] != SAME:
            size = ".2%" if name == "information_abundance" else digits
            part += f" -> {row[f'new_{name}']:{digits}} ({row[f'{name}_difference']:+{size}} of {SPREAD[name]:{size}})"
        parts.append(part)
    return f"{text}  {row['run']}: {', '.join(parts)}"


def verdict_of(rows: Sequence[dict], compared: Sequence["Comparison"]) -> tuple[str, list[str]]:
    """The verdict on the whole sample, and what is not as stored."""
    from paper_code.runs.verification import drift

    counts = Counter(row["verdict"] for row in rows)
    text = ", ".join(f"{count} {verdict}" for verdict, count in counts.items())
    wrong = [row["record"] for row in rows if row["verdict"] in (DIFFERS, FAILED)]
    others = [comparison for comparison in compared if comparison.holds and not comparison.same_bits]
    if others:
        mean, most = drift(others)
        text += f"; within the spread, test AUC differs by {mean:+.6f} in the mean, of {most:.6f}"
        wrong += ["the mean of the sample's test AUC"] if abs(mean) > most else []
        if alike := sum(comparison.same_machine for comparison in others):
            text += f"; {alike} of them were made on a machine of this name: the code rounds otherwise, or the machine"
    return text, wrong


def computations() -> dict[str, Callable[[dict], object]]:
    """What needs no log: from the parameters in its file to the result there."""
    from paper_code.chapters.appendix_b_models import compare
    from paper_code.runs.computed import compute_toy

    return {"toy": compute_toy, "appendix_b": lambda parameters: compare(**parameters)}


def is_published_table() -> bool:
    """Whether the numbers that the book shows of the paper's tables are those that follow from the tables."""
    from paper_code.chapters.consistency import published_intervals

    text = published_intervals().to_csv(index=False, float_format="%.6g")
    return text == PUBLISHED.read_text(encoding="utf-8")
