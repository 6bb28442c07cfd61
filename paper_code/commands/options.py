"""Options that several commands have, and what reads their values."""

import argparse
import json
import math
from collections.abc import Callable, Sequence
from pathlib import Path

from paper_code.runs.config import DATA_FOLDER
from paper_code.runs.profiles import NEW_RESULTS, PROFILES, RESULTS_FOLDER, project_path


def add_command(
    commands, name: str, command: Callable, summary: str, example: str, imports: Sequence[str] = ()
) -> argparse.ArgumentParser:
    """imports: modules that take long to import, which the command needs."""
    parser = commands.add_parser(
        name,
        help=summary,
        description=summary[0].upper() + summary[1:] + ".",
        epilog=example,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(command=command, imports=imports)
    return parser


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
