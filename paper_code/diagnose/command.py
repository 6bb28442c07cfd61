"""The run of the command `diagnose`."""

import argparse
import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from paper_code.diagnose.arrays import DiagnosisError
from paper_code.diagnose.comparison import Comparison, compare
from paper_code.diagnose.conditions import Check, check, fail_below, fail_if, to_junit
from paper_code.diagnose.measurement import diagnose


def run(
    options: argparse.Namespace,
    field_sizes: Callable[[str, Path], object],
    load_model: Callable[[Path, str, Sequence[int], int], object],
) -> None:
    """Measure, print and write what the options say; raises SystemExit with 2 if a table fails a condition.

    field_sizes: the sizes of fields from the text of the option and the folder of the encoded logs. load_model: one of
    the book's models from the file of its state dict, its name, the sizes of its fields and its number of sets.
    """
    conditions = [fail_if(text) for text in options.fail_if]
    if options.fail_below is not None:
        conditions.append(fail_below(options.fail_below))
    if options.junit and not conditions:
        raise ValueError(f"--junit {options.junit}: nothing could fail; add --fail-below or --fail-if")
    for option, target in (("--html", options.html), ("--junit", options.junit)):
        if target:
            check_target(option, target, options.file)
    if hasattr(sys.stdout, "reconfigure"):  # what the terminal cannot show is spelled out
        sys.stdout.reconfigure(errors="backslashreplace")
    arguments = {
        "tables": options.tables,
        "exclude": options.exclude,
        "key": options.key,
        "columns": options.columns and [part.strip() for part in options.columns.split(",")],
        "fields": options.fields and field_sizes(options.fields, options.data_dir),
        "counts": options.counts and read_arrays(options.counts, "--counts"),
        "as_used": options.as_used,
        "progress": True,
    }
    several = options.compare or len(options.file) > 1
    if options.data or options.model:
        if several or not (options.data and options.model and options.fields):
            raise ValueError(
                "--data, --model and --fields go together, with one file: the state dict of one of this book's models"
            )
        sizes = arguments.pop("fields")
        sizes = list(sizes.values()) if isinstance(sizes, Mapping) else list(sizes)
        arguments["batch"] = batch_of(options.data)
        options.file = [load_model(options.file[0], options.model, sizes, options.num_sets)]
    found = compare(options.file, **arguments) if several else diagnose(options.file[0], **arguments)
    last = found.last if isinstance(found, Comparison) else found
    with shown_at_the_end(found, options.json, checks := []):
        checks += check(last, conditions) if conditions else []
        if options.html:
            options.html.write_text(found.to_html(), encoding="utf-8")
        if options.junit:
            options.junit.write_text(to_junit(last.source, checks), encoding="utf-8")
    failed = [it for it in checks if it.problems]
    for it in failed:
        print(f"paper-code: {it.name} fails: {'; '.join(it.problems)}", file=sys.stderr)
    if failed:
        raise SystemExit(2)


@contextmanager
def shown_at_the_end(found: object, as_json: bool, checks: Sequence[Check]):
    """What took minutes is shown even if the disk is full, or a condition has a wrong name."""
    try:
        yield
    finally:
        if as_json:
            listed = [{"name": it.name, "problems": it.problems, "skipped": it.skipped} for it in checks]
            print(json.dumps(found.values() | ({"checks": listed} if checks else {}), allow_nan=False))
        else:
            print(found)


def batch_of(path: Path) -> np.ndarray:
    """The one array of an .npy or .npz file."""
    found = read_arrays(path, "--data")
    if isinstance(found, Mapping):
        if len(found) != 1:
            raise ValueError(f"--data {path}: expected one array, found {', '.join(found) or 'none'}")
        (found,) = found.values()
    return np.array(found)


def read_arrays(path: Path, option: str) -> "np.ndarray | Mapping[str, np.ndarray]":
    """The array of an .npy file, mapped, or those of an .npz file by name; raises ValueError for another file."""
    try:
        found = np.load(path, mmap_mode="r", allow_pickle=False)
        return found if isinstance(found, np.ndarray) else {name: found[name] for name in found.files}
    except OSError as error:
        if error.filename is not None:
            raise
        raise DiagnosisError(f"{option} {path}: cannot be read ({error})") from error
    except Exception as error:  # NumPy's parser raises nearly everything
        raise DiagnosisError(f"{option} {path}: expected an .npy or .npz file of numbers ({error})") from error


def check_target(option: str, target: Path, sources: Sequence[Path]) -> None:
    """Raise ValueError if the file could not be written there, before minutes are spent on it."""
    if target.is_dir():
        raise ValueError(f"{option} {target}: is a folder, expected the name of a file")
    if not target.parent.is_dir():
        raise ValueError(f"{option} {target}: there is no folder {target.parent}; make it first")
    if not os.access(target if target.exists() else target.parent, os.W_OK):
        raise ValueError(f"{option} {target}: cannot be written there; choose another place")
    if target.exists() and any(source.exists() and target.samefile(source) for source in sources):
        raise ValueError(f"{option} {target}: is the file that is to be measured; choose another name")
