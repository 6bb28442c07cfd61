"""How long a reader waits for each command.

    python tests/benchmarks/commands.py --csv commands.csv
    python tests/benchmarks/commands.py --only help,claims

Works in a copy of the project's files, with the environment `.venv` of the project. Of a command that takes seconds the
least of three times is printed, of a longer one the only; beside it the CPU seconds of all its processes: on a machine
that does other work as well they tell more. `test` is `make test` from a made environment.
"""

import argparse
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

PROJECT = Path(__file__).resolve().parents[2]
CHAPTER = "fig02_collapse"


class Command(NamedTuple):
    """words: the program, found in `.venv/bin`, and its arguments. before: changes the copy first."""

    label: str
    words: list[str]
    times: int = 1
    before: Callable[[Path], None] | None = None


def forget_the_book(copy: Path) -> None:
    shutil.rmtree(copy / "_build", ignore_errors=True)


def change_a_chapter(copy: Path) -> None:
    with open(copy / "paper_code" / "chapters" / f"{CHAPTER}.py", "a", encoding="utf-8") as file:
        file.write("\nCHANGED = True\n")


BUILD = ["python", "-m", "paper_code.book", "build"]
COMMANDS = {
    "help": Command("paper-code --help", ["paper-code", "--help"], 3),
    "train_help": Command("paper-code train --help", ["paper-code", "train", "--help"], 3),
    "import": Command("import paper_code.diagnose", ["python", "-c", "import paper_code.diagnose"], 3),
    "diagnose": Command("paper-code diagnose, 100,000 x 32", ["paper-code", "diagnose", "table.npy"], 3),
    "claims": Command("paper-code claims", ["paper-code", "claims"], 3),
    "notebook": Command(f"{CHAPTER}.ipynb", ["papermill", f"book/{CHAPTER}.ipynb", "executed.ipynb"], 3),
    "book": Command("make book, from nothing", BUILD, 1, forget_the_book),
    "unchanged": Command("make book, nothing changed", BUILD),
    "chapter": Command("make book, one chapter changed", BUILD, 1, change_a_chapter),
    "test": Command("make test", ["python", "-m", "paper_code.book", "test"]),
}


def copy_of_project(folder: Path) -> Path:
    """The files that git knows, as they are, with their times: pyproject.toml is then no newer than `.venv`."""
    names = subprocess.run(["git", "ls-files", "-z"], cwd=PROJECT, capture_output=True, text=True, check=True).stdout
    for name in filter(None, names.split("\0")):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(PROJECT / name, folder / name)
    (folder / ".venv").symlink_to(PROJECT / ".venv")
    np.save(folder / "table.npy", np.random.default_rng(0).standard_normal((100_000, 32), np.float32))
    return folder


def timed(command: Command, copy: Path) -> tuple[float, float]:
    """Seconds, of the clock and of processors, of the fastest try; CalledProcessError if it fails."""
    program, *arguments = command.words
    found = []
    for _ in range(command.times):
        if command.before:
            command.before(copy)
        before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
        subprocess.run(
            [copy / ".venv" / "bin" / program, *arguments],
            cwd=copy,
            env=os.environ | {"PYTHONPATH": str(copy)},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            check=True,
        )
        seconds, after = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
        found.append((seconds, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime))
    return min(found)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default=",".join(COMMANDS), help="names, by commas, of: %(default)s")
    parser.add_argument("--csv", type=Path, help="write the table there as well")
    options = parser.parse_args()
    chosen = options.only.split(",")
    if unknown := set(chosen) - set(COMMANDS):
        parser.error(f"--only {','.join(sorted(unknown))}: expected some of {', '.join(COMMANDS)}")
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        copy = copy_of_project(Path(folder))
        for name in chosen:
            seconds, of_processors = timed(COMMANDS[name], copy)
            rows.append({"command": COMMANDS[name].label, "seconds": seconds, "cpu_seconds": of_processors})
            print(f"{rows[-1]['command']:35} {seconds:8.2f} s {of_processors:8.2f} CPU s", flush=True)
    if options.csv:
        pd.DataFrame(rows).round(2).to_csv(options.csv, index=False)


if __name__ == "__main__":
    sys.exit(main())
