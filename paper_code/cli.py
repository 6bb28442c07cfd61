"""The command line: prepare, train, sweep, toy, claims, diagnose."""

import argparse
import json
import math
import os
import re
import select
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from paper_code.claims import claims_table, ledger, ledger_table
from paper_code.cost import estimate, readable, total_seconds, type_of, wall_seconds
from paper_code.data import (
    SYNTHETIC_LOGS,
    ClickLog,
    load_click_log,
    prepare_avazu,
    prepare_criteo,
    prepare_frappe,
    prepare_movielens,
    prepare_table,
)
from paper_code.data.frappe import SPLITS
from paper_code.data.rows import SKIP_LIMIT
from paper_code.diagnose import command as diagnosis
from paper_code.experiments import (
    EXPERIMENTS,
    NEW_RESULTS,
    PROFILES,
    RESULTS_FOLDER,
    book_experiments,
    describe,
    find,
    log_of_profile,
    missing_runs,
    num_fields,
    parse_seeds,
    project_path,
    run_configs,
    run_store,
    setting,
    sweep,
)
from paper_code.models import MODELS, CTRModel, base_embedding_size, build_model, model_options
from paper_code.published import STATISTICS, published_dataset
from paper_code.regularizers import REGULARIZERS, RegularizerConfig
from paper_code.runs import DATA_FOLDER, RunConfig, RunStore, execute
from paper_code.sweeps import places
from paper_code.toy import run_toy
from paper_code.training import find_device

PREPARE_EXAMPLE = """\
example: paper-code prepare criteo train.txt
         paper-code prepare avazu train.gz --name avazu_2014 --on-bad-lines skip
         paper-code prepare movielens ml-1m.zip
         paper-code prepare frappe Mobile_Frappe.zip
         paper-code prepare table train.csv valid.csv test.csv --label click --name mine

The encoded log goes to DATA_DIR/NAME and is used from then on as `--dataset NAME`, or in a notebook by
`papermill -p dataset NAME`. An earlier log of that name is replaced once the new one is complete; what a killed run
leaves on the disk is removed by the next one of that name. `paper-code prepare FORMAT --help` tells where a log is had
from, its terms and how it is cited."""

RAW_LOG_EXAMPLE = """\
example: paper-code prepare criteo train.txt
         paper-code prepare avazu train.gz --name avazu_2014 --on-bad-lines skip
         zcat day_*.gz | paper-code prepare criteo /dev/stdin --name days

Criteo: train.txt of the Display Advertising Challenge, https://www.kaggle.com/c/criteo-display-ad-challenge; Avazu:
train of the Click-Through Rate Prediction contest, https://www.kaggle.com/c/avazu-ctr-prediction. Both are had from
Kaggle by whoever accepts their terms.

The file may be compressed (gzip, bzip2, xz, zstd, lz4), a zip or tar archive that holds nothing else, or Parquet. What
can mean but one thing is read, as an integer written 1.0 or a missing value written NaN; the report counts it as "read
otherwise". Of malformed lines no more is skipped than --skip-limit says, never all of a label, nor nearly all lines
for one cause: the log is then as it was before.

The report shows the paper's Table 2 beside the log's own numbers. A cardinality counts the id that rare values share,
as the paper's seem to: Criteo's C9 has 3 values, and the smallest cardinality in Table 2 is 4."""

MOVIELENS_EXAMPLE = """\
example: paper-code prepare movielens ml-1m.zip
         paper-code prepare movielens ml-1m.zip --without-ids --name movielens_without_ids

From https://grouplens.org/datasets/movielens/1m/. For research; not to be passed on, nor used commercially, without the
permission of GroupLens. Cite F. M. Harper and J. A. Konstan, The MovieLens Datasets: History and Context, ACM
Transactions on Interactive Intelligent Systems 5 (4), 2015, https://doi.org/10.1145/2827872

A rating of 3 is dropped, 4 and 5 are clicks, 1 and 2 are none. Fields: user, movie, gender, age, occupation, zip_code,
genres (their combination), year: 739,012 rows, 13,559 values. No value is rare, the threshold is 1."""

FRAPPE_EXAMPLE = """\
example: paper-code prepare frappe Mobile_Frappe.zip
         paper-code prepare frappe frappe.csv --split random --name frappe_random

From its authors, https://www.baltrunas.info/context-aware. For research; not to be passed on, nor used commercially,
without their permission; users must not be identified. Cite L. Baltrunas, K. Church, A. Karatzoglou and N. Oliver,
Frappe: Understanding the Usage and Perception of Mobile App Recommendations In-The-Wild, arXiv 1505.03014, 2015

Its 96,203 events are positive. Each gets two negatives in the same context: apps drawn at random among those that the
user never used. 288,609 rows, 5,382 values; no value is rare, the threshold is 1. In a random split nine of ten
positives of the test part repeat a user and an app of the training rows, so a lookup scores well; split by pair."""

TABLE_EXAMPLE = """\
example: paper-code prepare table log.parquet --label click --drop id,time --name mine
         paper-code prepare table train.csv valid.csv test.csv --label click --drop id --threshold 2 --name avazu_x4
         paper-code prepare table train.csv valid.csv test.csv --label Label --name criteo_x4 \\
             --numeric I1,I2,I3,I4,I5,I6,I7,I8,I9,I10,I11,I12,I13

Reads CSV with a comma, tab, semicolon or bar between the columns, plain or gzip, and Parquet. All columns but the label
and those to drop are fields. One file is split 8:1:1; the split of three files is kept.

A number v > 2 of a --numeric column becomes floor(ln(v)^2), v <= 2 becomes v - 2, as in the authors' code for Criteo;
one that is not whole is rounded down first, a missing one is a value of its own.

reczoo's Criteo_x4, Avazu_x4 and Frappe_x1, split copies that need no account, are read as they are:
https://huggingface.co/datasets/reczoo. The terms of the logs themselves remain."""

TRAIN_EXAMPLE = """\
example: paper-code train --dataset criteo --model dcnv2 --embedding-size 10 --num-sets 4
         paper-code train --dataset criteo_like --model dnn --embedding-size 100 --seed 3 --profile paper
         paper-code train --dataset criteo_like --model dcnv2 --embedding-size 40 --regularizer unitary

What is not given comes from the profile. The record is RESULTS_DIR/DATASET/HASH.json; a run whose record is there is
not trained again."""

SWEEP_EXAMPLE = """\
example: paper-code sweep
         paper-code sweep scalability --dataset avazu_like --jobs 2
         paper-code sweep --profile smoke --results-dir _build/smoke
         paper-code sweep tables --profile paper --results-dir _build/paper --dry-run
         paper-code sweep --backend dask --cluster tcp://10.0.0.1:8786 --results-dir _build/runs

Trains what RESULTS_DIR lacks and can be interrupted at any moment: start it again and it goes on. The GPUs of this
machine have one run each; a cluster's workers need the same commit and versions, and no common file system. A dry run
tells what is missing and its cost: steps are timed by the records of RESULTS_DIR and of the book, or else now."""

CLAIMS_EXAMPLE = """\
example: paper-code claims --effects
         paper-code claims --dataset criteo avazu --profile paper

Reads the records in RESULTS_DIR and trains nothing; a claim whose runs are not there is "not tested", one whose check
of validity failed or was not made is "not testable here". The first data set stands for the paper's Criteo. Headline
claims are corrected for each other after Holm, log by log; all others are descriptive. "yes", "undecided", "against":
how many effects of the claim have their interval on the claimed side, across the bound, and on the other side."""

TOY_EXAMPLE = """\
example: paper-code toy --seeds 0,1,2 --json"""

RAW_LOGS = {"criteo": prepare_criteo, "avazu": prepare_avazu}


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; the exit status is 0, 1 after an error with its message, 130 after Ctrl-C.

    Who reads the output may stop at any line, as `head -1` does: the rest is then written to nobody.
    """
    try:
        options = build_parser().parse_args(arguments)
        options.command(options)
        print(end="", flush=True)
    except SystemExit:  # after --help
        with suppress(BrokenPipeError):
            print(end="", flush=True)
        output_is_read()
        raise
    except (OSError, ValueError, RuntimeError, ArithmeticError, ImportError) as error:
        if isinstance(error, BrokenPipeError) and not output_is_read():
            return 0
        print(f"paper-code: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("paper-code: interrupted; records already written are kept", file=sys.stderr)
        return 130
    return 0


def output_is_read() -> bool:
    """Whether somebody still reads the standard output; if not, what is written to it from now on is dropped."""
    try:
        output = sys.stdout.fileno()
    except (AttributeError, OSError):  # there is none, or one in memory
        return True
    poll = select.poll()
    poll.register(output, 0)
    if not any(events & (select.POLLERR | select.POLLHUP) for _, events in poll.poll(0)):
        return True
    os.dup2(os.open(os.devnull, os.O_WRONLY), output)
    return False


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="paper-code",
        description="Companion to 'On the Embedding Collapse When Scaling Up Recommendation Models': prepare logs, "
        "train its models, make the records behind its figures.",
        epilog="example: paper-code train --dataset criteo_like --model dcnv2\n\n"
        "`paper-code COMMAND --help` explains a command.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")

    prepare_parser = commands.add_parser(
        "prepare",
        help="encode a raw click log",
        description="Encode a raw click log.",
        epilog=PREPARE_EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    formats = prepare_parser.add_subparsers(title="formats", required=True, metavar="FORMAT", dest="format")
    for name, prepare_raw in RAW_LOGS.items():
        prepare = add_format(formats, name, prepare_raw, f"{name.capitalize()}'s raw log", RAW_LOG_EXAMPLE)
        prepare.add_argument("file", type=Path, help="the raw log")
        prepare.add_argument(
            "--threshold", type=whole(1), help="rarer values share one id (default: 10 Criteo, 4 Avazu)"
        )
        add_vocabulary(prepare)
        prepare.add_argument(
            "--on-bad-lines",
            choices=("error", "skip"),
            default="error",
            help="stop at the first malformed line, or leave malformed lines out and count them (default: error)",
        )
        prepare.add_argument(
            "--skip-limit",
            type=number(0, 1),
            default=SKIP_LIMIT,
            metavar="SHARE",
            help="of the lines that may be skipped (default: %(default)s)",
        )
    movielens = add_format(formats, "movielens", prepare_movielens, "MovieLens-1M", MOVIELENS_EXAMPLE)
    movielens.add_argument("file", type=Path, help="ml-1m.zip or the folder that it gives")
    movielens.add_argument("--without-ids", action="store_true", help="leave out the fields user and movie")
    frappe = add_format(formats, "frappe", prepare_frappe, "Frappe, a log of app usage", FRAPPE_EXAMPLE)
    frappe.add_argument("file", type=Path, help="Mobile_Frappe.zip, the folder that it gives, or frappe.csv")
    frappe.add_argument(
        "--split",
        choices=SPLITS,
        default="pair",
        help="keep all rows of a user and an app in one part, or split the rows at random (default: pair)",
    )
    frappe.add_argument("--seed", type=whole(0), default=0, help="of the negatives drawn (default: 0)")
    summary = "any table with a header and a label of 0 and 1, CSV or Parquet"
    table = add_format(formats, "table", prepare_table, summary, TABLE_EXAMPLE)
    table.add_argument(
        "file", type=Path, nargs="+", help="the log, or three files: training, validation and test, a split to keep"
    )
    table.add_argument("--label", required=True, metavar="COLUMN", help="the column of the label, 0 or 1")
    table.add_argument(
        "--drop", type=names, default=(), metavar="COLUMNS", help="columns that are no fields, as id,time"
    )
    table.add_argument(
        "--numeric", type=names, default=(), metavar="COLUMNS", help="columns of numbers, bucketed by Criteo's rule"
    )
    table.add_argument("--threshold", type=whole(1), help="rarer values share one id (default: 10)")
    add_vocabulary(table)

    train = add_command(commands, "train", train_command, "train one model and store its record", TRAIN_EXAMPLE)
    train.add_argument("--dataset", required=True, help="criteo_like, avazu_like or the name of a prepared log")
    train.add_argument("--model", required=True, help=", ".join(MODELS))
    train.add_argument(
        "--embedding-size",
        type=whole(1),
        metavar="K",
        help="of every set (default: the paper's base size for the model)",
    )
    train.add_argument("--num-sets", type=whole(1), default=1, metavar="M", help="embedding sets (default: 1, single)")
    train.add_argument("--seed", type=whole(0), default=0, help="of the weights and a synthetic log (default: 0)")
    for option, (default, models) in MODEL_OPTIONS.items():
        add_model_option(train, option, default, models)
    train.add_argument("--regularizer", metavar="NAME", help=f"a penalty beside the loss: {', '.join(REGULARIZERS)}")
    train.add_argument(
        "--regularizer-weight", type=number(0, exclusive=True), help="(default: that of the authors' code)"
    )
    train.add_argument("--batch-size", type=whole(1), help="rows of a training step")
    train.add_argument("--learning-rate", type=number(0, exclusive=True), help="of Adam")
    train.add_argument("--weight-decay", type=number(0), help="of Adam, coupled (default: the profile's)")
    train.add_argument(
        "--embedding-weight-decay", type=number(0), help="of embeddings alone (default: by the profile's rule)"
    )
    train.add_argument("--looks-per-epoch", type=whole(1), help="times an epoch that validation AUC is looked at")
    train.add_argument(
        "--averaging",
        type=number(0, 1, exclusive=True),
        metavar="DECAY",
        help="score the exponential average of the weights",
    )
    train.add_argument("--patience", type=whole(1), help="epochs without a better validation AUC before it stops")
    train.add_argument("--max-epochs", type=whole(1), help="it stops then at the latest")
    train.add_argument(
        "--mixed-precision", action="store_const", const=True, help="multiply matrices in bfloat16 while training"
    )
    train.add_argument("--threads", type=whole(1), help="CPU threads (default: as many as PyTorch takes)")
    add_profile(train)
    add_run_places(train)
    add_json(train)

    sweep_parser = add_command(commands, "sweep", sweep_command, "train all runs that figures need", SWEEP_EXAMPLE)
    sweep_parser.add_argument(
        "experiments", nargs="*", metavar="EXPERIMENT", help=f"{', '.join(EXPERIMENTS)} (default: the book's)"
    )
    sweep_parser.add_argument("--dataset", help="(default: both synthetic logs)")
    sweep_parser.add_argument("--seeds", help="such as 0,1,2 (default: the profile's)")
    sweep_parser.add_argument("--jobs", type=whole(1), help="runs at once (default: one per core, or one per GPU)")
    sweep_parser.add_argument(
        "--backend", choices=("local", "dask"), default="local", help="this machine or a cluster (default: local)"
    )
    sweep_parser.add_argument("--cluster", metavar="ADDRESS", help="of the scheduler, with --backend dask")
    sweep_parser.add_argument("--dry-run", action="store_true", help="tell what is missing and its cost; train nothing")
    add_profile(sweep_parser)
    add_run_places(sweep_parser)
    add_json(sweep_parser)

    claims_parser = add_command(commands, "claims", claims_command, "print the verdict on every claim", CLAIMS_EXAMPLE)
    claims_parser.add_argument(
        "--dataset", nargs="+", default=list(SYNTHETIC_LOGS), help="(default: both synthetic logs)"
    )
    claims_parser.add_argument("--seeds", help="such as 0,1,2 (default: the profile's)")
    claims_parser.add_argument("--effects", action="store_true", help="of every claim its rule and effects as well")
    add_profile(claims_parser)
    add_results_dir(claims_parser)
    add_json(claims_parser)

    toy = add_command(commands, "toy", toy_command, "the toy experiment of Appendix A", TOY_EXAMPLE)
    toy.add_argument("--seeds", default="0,1,2,3,4,5,6,7,8,9", help="(default: %(default)s)")
    toy.add_argument("--iterations", type=whole(1), default=5000, help="(default: %(default)s, the paper's)")
    add_json(toy)

    summary = "measure how collapsed the embedding tables of a file are"
    diagnose_parser = add_command(commands, "diagnose", diagnose_command, summary, diagnosis.EXAMPLE)
    diagnosis.add_arguments(diagnose_parser)
    add_data_dir(diagnose_parser)
    add_json(diagnose_parser)
    return parser


def add_format(formats, name: str, prepare, summary: str, example: str) -> argparse.ArgumentParser:
    parser = add_command(formats, name, prepare_command, summary, example)
    parser.set_defaults(prepare=prepare)
    parser.add_argument("--name", help="of the encoded log (default: the format's)")
    add_data_dir(parser)
    add_json(parser)
    return parser


def add_vocabulary(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--vocabulary",
        choices=("all", "train"),
        default="all",
        help="count values on all rows, as the authors do, or on the training rows only (default: all)",
    )


def add_command(commands, name: str, command, summary: str, example: str) -> argparse.ArgumentParser:
    parser = commands.add_parser(
        name,
        help=summary,
        description=summary[0].upper() + summary[1:] + ".",
        epilog=example,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(command=command)
    return parser


def options_of_models() -> dict[str, tuple[object, list[str]]]:
    """Every option of a model -> its default, the paper's value, and the models that have it."""
    found = {}
    for model in MODELS:
        for option, default in model_options(model).items():
            found.setdefault(option, (default, []))[1].append(model)
    return found


MODEL_OPTIONS = options_of_models()
OPTION_MEANINGS = {
    "hidden": "sizes of the hidden layers",
    "dropout": "share of hidden values dropped in training",
    "shared_interaction": "one interaction for all sets instead of one each",
    "released_form": "several sets without the concatenated embeddings, as in the authors' code",
    "cin_layers": "rows of the layers of the compressed interaction network",
    "cross_layers": "number of cross layers",
    "block_scales": "a learnable factor per projection W_i->j, as in the authors' code of Evidence III",
    "ensemble": "every set a model of its own, logits averaged",
    "embedding_std": "embeddings normal with this standard deviation at the start, not Xavier-uniform",
    "blocks": "number of RankMixer blocks",
    "expansion": "hidden size of a token's layers over the token's",
    "groups": "cross layers of block-diagonal projections, of so many blocks",
}


def add_model_option(parser: argparse.ArgumentParser, option: str, default: object, models: list[str]) -> None:
    flag = "--" + option.replace("_", "-")
    text = f"{OPTION_MEANINGS.get(option, 'an option')}, for {', '.join(models)}"
    if isinstance(default, bool):
        parser.add_argument(flag, action="store_const", const=True, help=text)
    elif isinstance(default, tuple):
        shown = ",".join(map(str, default))
        parser.add_argument(flag, type=sizes, metavar=shown, help=f"{text} (default: {shown})")
    elif default is None:
        parser.add_argument(flag, type=whole(1) if option == "groups" else number(0), help=text)
    else:
        kind = whole(1) if isinstance(default, int) else number(0, 1)
        parser.add_argument(flag, type=kind, help=f"{text} (default: {default})")


def add_profile(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--profile", default="laptop", help=f"{', '.join(PROFILES)} (default: laptop)")


def add_run_places(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1 (default: auto)")
    add_results_dir(parser)
    add_data_dir(parser)


def add_results_dir(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--results-dir",
        type=lambda text: Path(text).resolve(),
        default=project_path(RESULTS_FOLDER),
        help=f"run records (default: %(default)s, which is only read; new ones then go to {NEW_RESULTS})",
    )


def add_data_dir(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--data-dir", type=Path, default=DATA_FOLDER, help="encoded logs (default: %(default)s)")


def add_json(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="report as JSON on the standard output")


def sizes(text: str) -> tuple[int, ...]:
    """Sizes from text such as "400,400". Raises ArgumentTypeError if one is no whole number of at least 1."""
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isascii() and part.isdecimal() and int(part) for part in parts):
        raise argparse.ArgumentTypeError(f"{text!r}: expected whole numbers of at least 1, such as 400,400")
    return tuple(map(int, parts))


def whole(least: int) -> Callable[[str], int]:
    """What reads an option that is a whole number of at least `least`, of 63 bits as PyTorch's seeds."""

    def read(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            value = least - 1
        if not least <= value < 2**63:
            raise argparse.ArgumentTypeError(f"{text!r}: expected a whole number of at least {least}")
        return value

    return read


def number(least: float, most: float = math.inf, *, exclusive: bool = False) -> Callable[[str], float]:
    """What reads an option that is a finite number from `least` to `most`; "exclusive": between them."""
    if exclusive:
        expected = f"a number above {least}" + (f" and below {most}" if math.isfinite(most) else "")
    else:
        expected = f"a number from {least} " + (f"to {most}" if math.isfinite(most) else "on")

    def read(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not (math.isfinite(value) and least <= value <= most) or (exclusive and value in (least, most)):
            raise argparse.ArgumentTypeError(f"{text!r}: expected {expected}")
        return value

    return read


def names(text: str) -> tuple[str, ...]:
    """Names of columns from text such as "id,time"."""
    return tuple(part.strip() for part in text.split(",") if part.strip())


def report(values: dict, as_json: bool) -> None:
    """Print the values as JSON, or one a line."""
    if as_json:
        print(json.dumps(values))
        return
    width = max(map(len, values))
    for name, value in values.items():
        print(f"{name:<{width}}  {value:,}" if isinstance(value, int) else f"{name:<{width}}  {value}")


# Options of any command, which are none of what reads a log
COMMON_OPTIONS = ("command", "format", "prepare", "file", "name", "data_dir", "json")


PROTOCOL = (
    *("batch_size", "learning_rate", "weight_decay", "embedding_weight_decay", "patience", "max_epochs"),
    *("looks_per_epoch", "averaging", "mixed_precision"),
)


def prepare_command(options: argparse.Namespace) -> None:
    started = time.perf_counter()
    name = options.name or options.format
    if Path(name).name != name or name.startswith("."):
        raise ValueError(f"--name {name!r}: expected the name of a folder in {options.data_dir}")
    if name in SYNTHETIC_LOGS:
        raise ValueError(f"--name {name!r}: is the name of a synthetic log, choose another")
    settings = {key: value for key, value in vars(options).items() if key not in COMMON_OPTIONS and value is not None}
    prepared = options.prepare(options.file, options.data_dir / name, name=name, **settings)
    seconds = time.perf_counter() - started
    log = prepared if isinstance(prepared, ClickLog) else prepared.log
    numbers, reading = numbers_of(log), {}
    if options.format in RAW_LOGS:
        numbers = beside_table_2(log, published_dataset(options.format))
        otherwise = "; ".join(f"{what}: {times:,}" for what, times in prepared.read_otherwise.items())
        reading = {"skipped lines": prepared.skipped_lines, "read otherwise": otherwise or "-"}
    report(
        {
            "folder": str(options.data_dir / name),
            **numbers,
            **reading,
            "click rate": round(float(log.labels.mean()), 4),
            "threshold": log.threshold,
            "rows per second": round(log.rows / seconds),
        },
        options.json,
    )


def numbers_of(log: ClickLog) -> dict:
    """The numbers of Table 2 for the log."""
    sizes = log.cardinalities
    return {
        "rows": log.rows,
        "fields": len(sizes),
        "sum of cardinalities": sum(sizes),
        "largest cardinality": max(sizes),
        "smallest cardinality": min(sizes),
    }


def beside_table_2(log: ClickLog, dataset: str) -> dict:
    """Each number of Table 2 for the log, followed by the paper's for its data set; whether the log is all of it."""
    known = STATISTICS[dataset]
    values = {}
    for (name, ours), key in zip(
        numbers_of(log).items(), ("rows", "fields", "sum", "largest", "smallest"), strict=True
    ):
        values |= {name: ours, f"{name} in the paper's Table 2": int(known[key])}
    if round(log.rows, -5) >= known["rows"]:  # as the paper rounds
        return values | {"extent": f"all of {dataset}"}
    share = f"{log.rows / known['rows']:.2%} of its rows"
    return values | {"extent": f"a part of {dataset} ({share}): cardinalities grow with the rows"}


def train_command(options: argparse.Namespace) -> None:
    find_device(options.device)  # also where a stored record needs none
    profile = find("profile", options.profile, PROFILES)
    data = log_of_profile(profile, options.dataset, options.seed, options.data_dir)
    fields = num_fields(data, options.data_dir)
    model_options(options.model)  # an error that names those that exist
    base = base_embedding_size(options.model, fields)
    size = base if options.embedding_size is None else options.embedding_size
    model_settings, training = setting(profile, data, fields, options.model, max(1, size // base), options.num_sets)
    training = replace(training, **given(options, PROTOCOL))
    model_settings |= given(options, tuple(MODEL_OPTIONS))
    if options.regularizer_weight is not None and options.regularizer is None:
        raise ValueError(
            "--regularizer-weight without --regularizer: expected the regularizer that it is the weight of"
        )
    regularizer = options.regularizer and RegularizerConfig(options.regularizer, options.regularizer_weight)
    config = RunConfig(
        data=data,
        model=options.model,
        embedding_size=size,
        num_sets=options.num_sets,
        seed=options.seed,
        options=model_settings,
        training=training,
        regularizer=regularizer,
    )
    store = run_store(options.results_dir)
    record, trained = store.get(config), "now"
    if record is not None:
        trained = f"stored on {record.provenance.get('date', 'an unknown day')}, not trained again"
    else:
        claim = store.claim(config)
        if claim is None:
            raise RuntimeError(f"a sweep on {store.folder} is training this run now; its record will be there")
        try:
            record = execute(config, options.device, options.threads, options.data_dir, progress=sys.stderr.isatty())
            store.put(config, record)
        finally:
            store.release(config, claim)
    report(
        {
            "record": str(store.find(config)),
            "run": describe(config),
            "trained": trained,
            "parameters": record.parameters,
            "epochs": len(record.epochs),
            "best epoch": record.scores["best_epoch"],
            "validation AUC": round(max(record.looks), 5),
            "test AUC": round(record.scores["test_auc"], 5),
            "test log loss": round(record.scores["test_log_loss"], 5),
            "training seconds": record.provenance["training_seconds"],
            "peak memory MiB": record.provenance["peak_memory_mib"],
        },
        options.json,
    )


def given(options: argparse.Namespace, names: tuple[str, ...]) -> dict:
    """Those of the options that the user gave."""
    return {name: getattr(options, name) for name in names if getattr(options, name) is not None}


def sweep_command(options: argparse.Namespace) -> None:
    configs = [
        config
        for dataset in ([options.dataset] if options.dataset else SYNTHETIC_LOGS)
        for experiment in options.experiments or book_experiments(dataset)
        for config in run_configs(experiment, dataset, options.profile, options.seeds, options.data_dir)
    ]
    if (options.backend == "dask") != (options.cluster is not None):
        raise ValueError(
            f"--backend {options.backend} with --cluster {options.cluster}: expected --cluster ADDRESS with "
            "--backend dask, and only with it"
        )
    store = run_store(options.results_dir)
    if options.dry_run:
        dry_run(options, configs, store)
        return
    started = time.perf_counter()
    trained = sweep(
        configs,
        store,
        device=options.device,
        jobs=options.jobs,
        data_folder=options.data_dir,
        cluster=options.cluster,
    )
    report(
        {
            "results": " and ".join(map(str, store.folders)),
            "runs": len({config.hash for config in configs}),
            "trained now": trained,
            "seconds": round(time.perf_counter() - started, 1),
        },
        options.json,
    )


def dry_run(options: argparse.Namespace, configs: list[RunConfig], store: RunStore) -> None:
    """Print what a sweep would train, and its cost."""
    missing = missing_runs(configs, store)
    folders = {*run_store().folders, *store.folders}
    records = [record for folder in sorted(folders) for record in RunStore(folder).records()]
    table = estimate(missing, records, options.device, data_folder=options.data_dir)
    jobs = options.jobs or (1 if options.cluster else len(places(options.device, None)))
    totals = {
        "missing runs": len(missing),
        "stored already": len({config.hash for config in configs}) - len(missing),
        "core hours" if type_of(options.device) == "cpu" else "GPU hours": round(total_seconds(table) / 3600, 3),
        "runs at once": jobs,
        "hours until all are done": round(wall_seconds(table, jobs) / 3600, 3),
    }
    if options.json:
        print(json.dumps({"kinds": table.to_dict("records"), "totals": totals}))
        return
    if len(table):
        print(readable(table).to_string(index=False) + "\n")
    report(totals, as_json=False)


def claims_command(options: argparse.Namespace) -> None:
    claims = ledger(options.dataset, options.profile, options.seeds, options.results_dir)
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


def toy_command(options: argparse.Namespace) -> None:
    seeds = parse_seeds(options.seeds, PROFILES["laptop"])
    values = {"seeds": seeds, "iterations": options.iterations}
    for name, cardinality in (("small", 3), ("large", 100)):
        result = run_toy(cardinality, seeds, iterations=options.iterations, points=1, progress=sys.stderr.isatty())
        start, end = result.information_abundance.mean(axis=0)
        values[f"mean IA(E1), {name} (D3 = {cardinality})"] = f"{start:.2f} at the start, {end:.2f} at the end"
    report(values, options.json)


def diagnose_command(options: argparse.Namespace) -> None:
    diagnosis.run(options, field_sizes, load_model)


def load_model(path: Path, name: str, cardinalities: Sequence[int], num_sets: int) -> CTRModel:
    """A model of this book with the state dict in a file; its embedding size is that of the table there.

    Raises ValueError if the file is of another model.
    """
    import torch
    from safetensors.torch import load_file

    state = load_file(path) if path.suffix == ".safetensors" else torch.load(path, "cpu", weights_only=True)
    try:
        size, rest = divmod(state["embedding.weight"].shape[1], num_sets)
        if rest:
            raise ValueError(f"the table has {size * num_sets + rest} columns, not --num-sets {num_sets} times a size")
        model = build_model(name, cardinalities, size, num_sets)
        model.load_state_dict(state)
    except (KeyError, TypeError, RuntimeError, ValueError) as error:
        raise ValueError(
            f"{path}: is no state dict of --model {name} with {len(cardinalities)} fields of {sum(cardinalities):,} "
            f"values together (--fields) and --num-sets {num_sets}: {' '.join(str(error).split())[:300]}"
        ) from None
    return model


def field_sizes(text: str, data_dir: Path) -> tuple[int, ...] | dict[str, int]:
    """Sizes from text such as "4,1000", or the cardinalities by field of an encoded log, by its name or folder.

    Raises ValueError, which names the option, if the text is neither.
    """
    expected = "sizes of at least 1 such as 4,1000,20, or the name or folder of an encoded log"
    if not re.search(r"[^\W\d_]", text):  # without a letter it is no name
        try:
            return sizes(text)
        except argparse.ArgumentTypeError:
            if not any((folder / "log.json").is_file() for folder in (Path(text), data_dir / text)):
                raise ValueError(f"--fields {text!r}: expected {expected}") from None
    folder = Path(text).parent if Path(text).name == "log.json" else Path(text)
    try:
        log = load_click_log(folder if folder.is_dir() else data_dir / text)
    except FileNotFoundError as error:
        raise FileNotFoundError(f"--fields {text!r}: expected {expected} ({error})") from None
    return {field.name: field.cardinality for field in log.fields}
