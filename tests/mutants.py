"""Would a test fail if the code were wrong?

    python -m tests.mutants --csv figures/data/mutants.csv
    python -m tests.mutants --survivors

mutmut makes mutants of the modules that `[tool.mutmut]` in pyproject.toml lists: the code with one change in one
function. So many are drawn by the seed, and each is given to those of the tests listed there that reach its function.
It is killed if one of them fails. `tests/mutants_survived.csv` has a reason for those that survive, and says which are
equivalent: no test could tell them from the code. --survivors runs only those again that survived, as after a new test.
The work is done in `_build/mutants`.
"""

import argparse
import ast
import json
import os
import random
import subprocess
import sys
from contextlib import chdir
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd

PROJECT = Path(__file__).parents[1]
FOLDER = PROJECT / "_build" / "mutants"
SURVIVED = Path(__file__).with_name("mutants_survived.csv")
LINKED = (".github", "paper_code", "tests", "book", "figures", "pyproject.toml", "README.md", "_config.yml")
MAKE = "from mutmut.__main__ import *; copy_src_dir(); copy_also_copy_files(); create_mutants(1)"
RUN = "from mutmut.__main__ import cli; cli()"
KEY = ["module", "function", "mutation"]
OUTCOMES = {"killed": "killed", "segfault": "killed", "timeout": "timeout", "survived": "survived"}
OUTCOMES |= {"no tests": "survived"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--number", type=int, default=400, help="of mutants; default: %(default)s")
    parser.add_argument("--seed", type=int, default=0, help="of the draw; default: %(default)s")
    parser.add_argument("--survivors", action="store_true", help="run only those again that survived")
    parser.add_argument("--csv", type=Path, help="write a row per mutant to this file")
    options = parser.parse_args()
    for name in LINKED:
        (FOLDER / "mutants").mkdir(parents=True, exist_ok=True)
        (FOLDER / name).unlink(missing_ok=True)
        (FOLDER / name).symlink_to(PROJECT / name)
    mutmut("-c", MAKE)
    names = sorted(exit_codes())
    drawn = random.Random(options.seed).sample(names, options.number)
    before = exit_codes()
    mutmut("-c", RUN, "run", "--max-children=1", *(n for n in drawn if not options.survivors or before[n] in (0, 33)))

    table = with_reasons(outcomes(drawn), pd.read_csv(SURVIVED, dtype=str))
    print(table[table["outcome"] == "survived"].drop(columns="outcome").to_string(index=False))
    print(table["outcome"].value_counts().to_string())
    if options.csv:
        from paper_code.runs.machine import commit

        draw = {"seed": options.seed, "drawn_from": len(names), "date": datetime.now(UTC).date().isoformat()}
        table.assign(**draw, **commit()).to_csv(options.csv, index=False)


def mutmut(*arguments: str) -> None:
    """Python in the folder of the mutants, in a process of its own: there `paper_code` is the one with the mutants."""
    threads = {"OMP_NUM_THREADS": "1", "POLARS_MAX_THREADS": "1"}
    subprocess.run([sys.executable, *arguments], cwd=FOLDER, env=os.environ | threads, check=True)


def exit_codes() -> dict[str, int | None]:
    """Name of a mutant -> how its tests ended, as mutmut stores it."""
    files = sorted((FOLDER / "mutants").rglob("*.meta"))
    return {name: code for file in files for name, code in json.loads(file.read_text())["exit_code_by_key"].items()}


def outcomes(names: list[str]) -> pd.DataFrame:
    """A row per mutant in the order of the code: module, function, line, mutation, outcome."""
    from mutmut.mutation.diff_apply import get_diff_for_mutant
    from mutmut.stats import status_by_exit_code

    codes, rows = exit_codes(), []
    for name in names:
        status = status_by_exit_code[codes[name]]
        if status not in OUTCOMES:
            raise RuntimeError(f"{name}: mutmut ended with {status!r}, expected {', '.join(OUTCOMES)}; run it again")
        module, _, mangled = name.rpartition(".")
        function = mangled.partition("__mutmut_")[0].removeprefix("x_").removeprefix("xǁ").replace("ǁ", ".")
        path = Path(module.replace(".", "/"))
        path = path / "__init__.py" if (PROJECT / path).is_dir() else path.with_suffix(".py")
        with chdir(FOLDER):
            changed = [line for line in get_diff_for_mutant(name, path=path).splitlines()[2:] if line[0] in "+-"]
        removed, added = ([line[1:].strip() for line in changed if line[0] == sign] for sign in "-+")
        line = line_of(removed, function, PROJECT / path)
        mutation = f"{' '.join(removed)} -> {' '.join(added)}"
        rows.append([module, function, line, mutation, OUTCOMES[status]])
    return pd.DataFrame(rows, columns=["module", "function", "line", "mutation", "outcome"]).sort_values(
        ["module", "line"], kind="stable", ignore_index=True
    )


def line_of(removed: list[str], function: str, path: Path) -> int:
    """Where the first of these lines is in the function."""
    source = path.read_text()
    body = ast.parse(source).body
    for name in function.split("."):
        (node,) = (it for it in body if isinstance(it, ast.FunctionDef | ast.ClassDef) and it.name == name)
        body = node.body
    lines = [line.strip() for line in source.splitlines()]
    return 1 + lines.index(removed[0], node.lineno - 1, node.end_lineno)


def with_reasons(table: pd.DataFrame, survived: pd.DataFrame) -> pd.DataFrame:
    """The mutants with the reasons for those that survive; "equivalent" becomes their outcome if it is said there."""
    table = table.merge(survived, on=KEY, how="left", suffixes=("", "_said"), validate="many_to_one")
    lives = table["outcome"] == "survived"
    table.loc[lives & (table["outcome_said"] == "equivalent"), "outcome"] = "equivalent"
    return table.assign(reason=table["reason"].where(lives).fillna("")).drop(columns="outcome_said")


if __name__ == "__main__":
    main()
