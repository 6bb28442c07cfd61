"""How much of every room of the package do the unit tests run?

    coverage json -o measured.json
    python -m tests.covered measured.json --csv covered.csv

The statements and branches of every room, of what coverage.py has measured; `make coverage` does all of it.
"""

import argparse
import json
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd

from paper_code.runs.machine import commit

COUNTS = {
    "statements": "num_statements",
    "covered_statements": "covered_lines",
    "branches": "num_branches",
    "covered_branches": "covered_branches",
}


def by_room(measured: dict) -> pd.DataFrame:
    """A row per room: the COUNTS, and the percentage of statements and branches together that are covered.

    measured: what `coverage json` writes. The modules that lie beside the rooms are one of their own.
    """
    rows = []
    for path, file in measured["files"].items():
        _, *room, _ = Path(path).parts
        counts = {name: file["summary"][key] for name, key in COUNTS.items()}
        rows.append({"room": room[0] if room else "single modules"} | counts)
    table = pd.DataFrame(rows).groupby("room").sum()
    covered = table["covered_statements"] + table["covered_branches"]
    table["percent"] = (100 * covered / (table["statements"] + table["branches"])).round(2)
    return table.reset_index()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("measured", type=Path, help="what `coverage json` has written")
    parser.add_argument("--csv", type=Path, help="write the counts to this file too")
    options = parser.parse_args()
    table = by_room(json.loads(options.measured.read_text(encoding="utf-8")))
    print(table.to_string(index=False))
    if options.csv:
        table.assign(**commit(), date=datetime.now(UTC).date().isoformat()).to_csv(options.csv, index=False)


if __name__ == "__main__":
    main()
