"""`paper-code prepare`: encode a raw click log."""

import argparse
import time
from pathlib import Path

from paper_code.commands.options import add_command, add_data_dir, add_json, names, number, report, whole
from paper_code.data import ClickLog
from paper_code.data.frappe import SPLITS
from paper_code.data.rows import SKIP_LIMIT

EXAMPLE = """\
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
RAW_LOGS = ("criteo", "avazu")


def add(commands, name: str, summary: str) -> None:
    parser = add_command(commands, name, run, summary, EXAMPLE)
    formats = parser.add_subparsers(title="formats", required=True, metavar="FORMAT", dest="format")
    for raw in RAW_LOGS:
        prepare = add_format(formats, raw, f"{raw.capitalize()}'s raw log", RAW_LOG_EXAMPLE)
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
    movielens = add_format(formats, "movielens", "MovieLens-1M", MOVIELENS_EXAMPLE)
    movielens.add_argument("file", type=Path, help="ml-1m.zip or the folder that it gives")
    movielens.add_argument("--without-ids", action="store_true", help="leave out the fields user and movie")
    frappe = add_format(formats, "frappe", "Frappe, a log of app usage", FRAPPE_EXAMPLE)
    frappe.add_argument("file", type=Path, help="Mobile_Frappe.zip, the folder that it gives, or frappe.csv")
    frappe.add_argument(
        "--split",
        choices=SPLITS,
        default="pair",
        help="keep all rows of a user and an app in one part, or split the rows at random (default: pair)",
    )
    frappe.add_argument("--seed", type=whole(0), default=0, help="of the negatives drawn (default: 0)")
    of_table = "any table with a header and a label of 0 and 1, CSV or Parquet"
    table = add_format(formats, "table", of_table, TABLE_EXAMPLE)
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


def add_format(formats, name: str, summary: str, example: str) -> argparse.ArgumentParser:
    parser = add_command(formats, name, run, summary, example)
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


# Options of any command, which are none of what reads a log
COMMON_OPTIONS = ("command", "imports", "format", "file", "name", "data_dir", "json")


def run(options: argparse.Namespace) -> None:
    from paper_code import data, published

    started = time.perf_counter()
    name = options.name or options.format
    if Path(name).name != name or name.startswith("."):
        raise ValueError(f"--name {name!r}: expected the name of a folder in {options.data_dir}")
    if name in data.SYNTHETIC_LOGS:
        raise ValueError(f"--name {name!r}: is the name of a synthetic log, choose another")
    settings = {key: value for key, value in vars(options).items() if key not in COMMON_OPTIONS and value is not None}
    prepare = getattr(data, f"prepare_{options.format}")
    prepared = prepare(options.file, options.data_dir / name, name=name, **settings)
    seconds = time.perf_counter() - started
    log = prepared if isinstance(prepared, data.ClickLog) else prepared.log
    numbers, reading = numbers_of(log), {}
    if options.format in RAW_LOGS:
        numbers = beside_table_2(log, published.published_dataset(options.format))
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
    from paper_code.published import STATISTICS

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
