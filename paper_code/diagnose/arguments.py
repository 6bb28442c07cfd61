"""The arguments of the command `diagnose`."""

import argparse
from collections.abc import Callable
from pathlib import Path

EXAMPLE = """\
example: paper-code diagnose model.pt --html report.html
         paper-code diagnose model.safetensors --tables "*item*" --json
         paper-code diagnose checkpoint.pt --key ema --exclude "*position*"
         paper-code diagnose vectors.parquet --columns "d*"
         paper-code diagnose table.npy --fields criteo
         paper-code diagnose table.npy --counts reads.npy --as-used
         paper-code diagnose dcnv2.pt --model dcnv2 --fields criteo --num-sets 4 --data batch.npz
         paper-code diagnose before.pt after.pt --fail-below 0.3 --junit diagnose.xml
         paper-code diagnose --compare folder_of_checkpoints --fail-if "*item*:effective_rank<8"

Finds the embedding tables in a checkpoint of PyTorch, safetensors (also of many shards, by their index), NumPy or
Parquet and measures how collapsed each is. A file is recognised by its content, and nothing in it is executed; it is
read in blocks, so it may be larger than the memory. The report says what was taken, what was left out and why.

Several files, or with --compare those of a folder, are checkpoints of one model in order: the report says what changed.

The exit status is 0, 1 after an error, and 2 if a table fails a condition of --fail-below or --fail-if, of several
checkpoints in the last."""


def add_arguments(
    parser: argparse.ArgumentParser, whole: Callable[[str], int], positive: Callable[[str], float]
) -> None:
    """whole, positive: what reads an option that is a whole number of at least 1, and one that is above 0."""
    parser.add_argument(
        "file", type=Path, nargs="+", help="a checkpoint or arrays, or a folder of them; several are compared"
    )
    parser.add_argument("--compare", action="store_true", help="the files of the folder are checkpoints to compare")
    parser.add_argument(
        "--tables", metavar="PATTERN", action="append", help="take the matrices named so, such as '*item*'; repeatable"
    )
    parser.add_argument(
        "--exclude", metavar="PATTERN", action="append", default=[], help="leave out those named so; repeatable"
    )
    parser.add_argument("--key", help="look only below this key of a checkpoint, such as ema or model.encoder")
    parser.add_argument(
        "--columns",
        metavar="COLUMNS",
        help="take these columns only: positions such as 0-7, or of Parquet names or patterns; commas between",
    )
    parser.add_argument(
        "--fields",
        metavar="SIZES",
        help="of the fields that lie one below the other in a table, such as 4,1000,20, or the name or folder of an "
        "encoded log that has them",
    )
    parser.add_argument(
        "--as-used",
        action="store_true",
        help="measure the tables centred, with rows of norm one and with shuffled columns as well",
    )
    parser.add_argument(
        "--counts",
        type=Path,
        metavar="PATH",
        help="how often each row is read: an .npy file, for tables with so many rows, or an .npz file by the tables' "
        "names; the rows are then weighted so as well",
    )
    parser.add_argument(
        "--data",
        type=Path,
        metavar="PATH",
        help="a batch of ids (batch, fields), an .npy file or an .npz file with one array: what the layers of --model "
        "give for it is measured too",
    )
    parser.add_argument("--model", metavar="NAME", help="which of this book's models the file is the state dict of")
    parser.add_argument("--num-sets", type=whole, default=1, metavar="M", help="of that model (default: %(default)s)")
    parser.add_argument(
        "--fail-below",
        metavar="SHARE",
        type=positive,
        help="exit with 2 if a table's share of random is below this, such as 0.3",
    )
    parser.add_argument(
        "--fail-if",
        metavar="CONDITION",
        action="append",
        default=[],
        help="exit with 2 if a table's measure is so, such as 'item*:effective_rank<8' or "
        "'*:centred.share_of_random<0.3'; repeatable",
    )
    parser.add_argument("--junit", type=Path, metavar="PATH", help="write there as JUnit's XML which tables fail")
    parser.add_argument("--html", type=Path, metavar="PATH", help="write the report there as one page")
