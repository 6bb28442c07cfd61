"""`paper-code diagnose`: how collapsed the tables of a file are."""

import argparse
import os
import re
import sys
from pathlib import Path

from paper_code.commands.options import add_command, add_data_dir, add_json, sizes

EXAMPLE = """\
example: paper-code diagnose model.pt --html report.html
         paper-code diagnose model.safetensors --tables "*item*" --json
         paper-code diagnose checkpoint.pt --key ema --exclude "*position*"
         paper-code diagnose vectors.parquet --columns "d*"
         paper-code diagnose table.npy --fields criteo

Finds the embedding tables in a checkpoint of PyTorch, safetensors (also of many shards, by their index), NumPy or
Parquet file or in a folder of them, recognised by content whatever the name, also one larger than the memory, and
measures how collapsed each is beside random matrices of the same shape. No code in the file is executed. What was not
measured is listed with the reason."""


def add(commands, name: str, summary: str) -> None:
    parser = add_command(commands, name, run, summary, EXAMPLE, ("paper_code.diagnose",))
    parser.add_argument("file", type=Path, help="a checkpoint or arrays, or a folder of them")
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
    parser.add_argument("--html", type=Path, metavar="PATH", help="write the report there as one page")
    add_data_dir(parser)
    add_json(parser)


def run(options: argparse.Namespace) -> None:
    from paper_code.diagnose import diagnose

    if options.html:
        check_page(options.html, options.file)
    if hasattr(sys.stdout, "reconfigure"):  # what the terminal cannot show is spelled out
        sys.stdout.reconfigure(errors="backslashreplace")
    found = diagnose(
        options.file,
        tables=options.tables,
        exclude=options.exclude,
        key=options.key,
        columns=options.columns and [part.strip() for part in options.columns.split(",")],
        fields=options.fields and field_sizes(options.fields, options.data_dir),
        progress=True,
    )
    try:
        if options.html:
            options.html.write_text(found.to_html(), encoding="utf-8")
    finally:  # what took minutes is shown even if the disk is full
        print(found.to_json() if options.json else found)


def check_page(page: Path, source: Path) -> None:
    """Raise ValueError if the report could not be written there, before minutes are spent on it."""
    if page.is_dir():
        raise ValueError(f"--html {page}: is a folder, expected the name of a file")
    if not page.parent.is_dir():
        raise ValueError(f"--html {page}: there is no folder {page.parent}; make it first")
    if not os.access(page if page.exists() else page.parent, os.W_OK):
        raise ValueError(f"--html {page}: cannot be written there; choose another place")
    if page.exists() and source.exists() and page.samefile(source):
        raise ValueError(f"--html {page}: is the file that is to be measured; choose another name")


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
    from paper_code.data import load_click_log

    folder = Path(text).parent if Path(text).name == "log.json" else Path(text)
    try:
        log = load_click_log(folder if folder.is_dir() else data_dir / text)
    except FileNotFoundError as error:
        raise FileNotFoundError(f"--fields {text!r}: expected {expected} ({error})") from None
    return {field.name: field.cardinality for field in log.fields}
