"""What changed between checkpoints of a model: the measures of every table, and how far its main directions turned."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from textwrap import fill

import numpy as np

from paper_code.diagnose.arrays import DiagnosisError, PassedOver, printable
from paper_code.diagnose.measurement import diagnose
from paper_code.diagnose.measures import NAMES, TableMeasures, subspace_overlap
from paper_code.diagnose.readers import is_readable
from paper_code.diagnose.report import Report
from paper_code.diagnose.text import aligned, counted, rounded, shortened
from paper_code.spectra import energy_dimensions_of


@dataclass(frozen=True)
class Change:
    """One table, or field of one, in all checkpoints.

    tables: its measures in each. overlaps: of each the overlap of the directions that carry most of the energy with as
    many of the first checkpoint's (`subspace_overlap`), None where the number of columns is another, or all are zero.
    overlap_dimensions: how many directions: those with 90 % of the energy in the first, at most half of the columns.
    """

    tables: tuple[TableMeasures, ...]
    overlaps: tuple[float | None, ...]
    overlap_dimensions: int | None

    @property
    def title(self) -> str:
        return self.tables[0].title

    @property
    def overlap_by_chance(self) -> float | None:
        """The mean overlap with random directions."""
        return self.overlap_dimensions and self.overlap_dimensions / self.tables[0].columns

    @property
    def shares(self) -> tuple[float | None, ...]:
        return tuple(table.share_of_random for table in self.tables)


@dataclass(frozen=True)
class Comparison:
    """Reports of two checkpoints or more, in order, and what changed; `str` of it is the text for a terminal.

    changes: of the tables that all have. only_in: the names of other tables, with those that have them.
    not_looked_into: files of the folder that are no checkpoints.
    """

    reports: tuple[Report, ...]
    changes: tuple[Change, ...]
    only_in: Mapping[str, tuple[str, ...]]
    not_looked_into: tuple[PassedOver, ...] = ()

    @property
    def last(self) -> Report:
        return self.reports[-1]

    def reading(self) -> list[str]:
        """What changed, a sentence or more each."""
        first, last = (printable(self.reports[i].source) for i in (0, -1))
        lines = []
        for before, after, words in (
            ("not collapsed", "collapsed", f"Collapsed in {last}, and not in {first}"),
            ("collapsed", "not collapsed", f"No longer collapsed in {last}, as in {first}"),
        ):
            names = [
                it.title for it in self.changes if (it.tables[0].verdict, it.tables[-1].verdict) == (before, after)
            ]
            if names:
                lines.append(f"{words}: {', '.join(names[:8])}{f' and {len(names) - 8} more' * (len(names) > 8)}.")
        known = [it for it in self.changes if None not in (it.shares[0], it.shares[-1])]
        down = sum(it.shares[-1] < it.shares[0] for it in known)
        lines.append(f"The share of random is lower in {last} than in {first} for {down} of {len(known)} tables.")
        lines.append(
            "Overlap: how much of the directions that carry 90 % of the energy in the first, at most half of the "
            "columns, is in as many of the last; 1 if they are the same. Of models that were trained from different "
            "starts it is that of chance, whatever they learned: their columns have nothing in common."
        )
        lines += [f"Only in {', '.join(map(printable, there))}: {printable(it)}." for it, there in self.only_in.items()]
        return lines

    def __str__(self) -> str:
        rows = []
        for it in self.changes:
            shares, (first, last) = it.shares, (it.tables[0], it.tables[-1])
            row = {"table": shortened(it.title), "rows": f"{last.rows:,}", "columns": str(last.columns)}
            row |= {"share before": rounded(shares[0]), "after": rounded(shares[-1])}
            if len(shares) > 2:
                row["lowest"] = rounded(min((share for share in shares if share is not None), default=None))
            row |= {
                "99 % energy before": counted(first.energy_dimensions),
                "after ": counted(last.energy_dimensions),
                "overlap": rounded(it.overlaps[-1]),
                "by chance": rounded(it.overlap_by_chance),
                "verdict": last.verdict,
            }
            rows.append(row)
        sources = " -> ".join(printable(report.source) for report in self.reports)
        text = f"{sources}\n\n{aligned(rows)}\n\n" + "\n".join(fill(line, 100) for line in self.reading())
        left = [printable(f"{it.name}: {it.reason}") for it in self.not_looked_into]
        return text + ("\n\nNot looked into:\n" + "\n".join(f"  {line}" for line in left) if left else "")

    def to_html(self) -> str:
        """The comparison as one page, with the last checkpoint's tables; see `Report.to_html`."""
        from paper_code.diagnose.page import comparison_page

        return comparison_page(self)

    def to_json(self) -> str:
        """`values` as JSON; all numbers are finite."""
        return json.dumps(self.values(), allow_nan=False)

    def values(self) -> dict[str, object]:
        """The comparison as plain mappings and lists.

        Keys: format (3), reading, reports (those of `Report.values`, in order), changes, only_in, not_looked_into. A
        change has name, field, of every measure a list with its value in each checkpoint, overlaps,
        overlap_dimensions and overlap_by_chance.
        """
        return {
            "format": 3,
            "reading": self.reading(),
            "reports": [report.values() for report in self.reports],
            "changes": [
                {"name": it.tables[0].name, "field": it.tables[0].field}
                | {name: [getattr(table, name) for table in it.tables] for name in NAMES}
                | {"overlaps": list(it.overlaps), "overlap_dimensions": it.overlap_dimensions}
                | {"overlap_by_chance": it.overlap_by_chance}
                for it in self.changes
            ],
            "only_in": {name: list(there) for name, there in self.only_in.items()},
            "not_looked_into": [{"name": it.name, "reason": it.reason} for it in self.not_looked_into],
        }


def compare(sources: Sequence[object], **options: object) -> Comparison:
    """Measure two checkpoints or more as `diagnose` does, with its options, and say what changed per table.

    sources: in order, each one that `diagnose` takes; or one folder, whose files and folders are the checkpoints in
    the order of their names, numbers counted as such. Tables are the same if their names (and fields) are.

    Raises DiagnosisError as `diagnose` does, and if there are fewer than two checkpoints or they have no table in
    common.

    Example: `print(compare(["before.pt", "after.pt"]))`.
    """
    passed_over = ()
    if len(sources) == 1 and isinstance(sources[0], str | Path) and Path(sources[0]).is_dir():
        sources, passed_over = checkpoints_in(Path(sources[0]))
    if len(sources) < 2:
        raise DiagnosisError(f"found {len(sources)} checkpoint to compare ({sources[0]}), expected two or more")
    reports, overlaps, first = [], [], None
    for source in sources:
        report = diagnose(source, directions=True, **options)
        first = first or {key_of(table): table for table in report.tables}
        overlaps.append({key_of(it): overlap(first[key_of(it)], it) for it in report.tables if key_of(it) in first})
        # directions are large, and those of the first checkpoint suffice
        reports.append(replace(report, tables=tuple(replace(table, directions=None) for table in report.tables)))
    return compared(reports, overlaps, first, passed_over)


def checkpoints_in(folder: Path) -> tuple[list[Path], tuple[PassedOver, ...]]:
    """The checkpoints in a folder, in the order of their names, and what else is there."""

    def order(path: Path) -> list[tuple[bool, int, str]]:
        parts = re.findall(r"\d+|\D+", path.name)
        return [(part.isdecimal(), int(part) if part.isdecimal() else 0, part) for part in parts]

    paths = sorted((path for path in folder.iterdir() if not path.name.startswith(".")), key=order)
    found = [path for path in paths if is_readable(path)]
    if not found:
        raise DiagnosisError(f"{folder}: a folder without a checkpoint that can be read")
    return found, tuple(PassedOver(path.name, "no checkpoint") for path in paths if path not in found)


def key_of(table: TableMeasures) -> tuple[str, str | None]:
    return table.name, table.field


def compared(
    reports: Sequence[Report],
    overlaps: Sequence[Mapping[tuple, float | None]],
    first: Mapping[tuple, TableMeasures],
    passed_over: tuple[PassedOver, ...],
) -> Comparison:
    """What changed between reports. overlaps: of each by table, with those of the first, which has directions."""
    tables = [{key_of(table): table for table in report.tables} for report in reports]
    keys = dict.fromkeys(key for of_report in tables for key in of_report)
    common = [key for key in keys if all(key in of_report for of_report in tables)]
    if not common:
        there = "; ".join(f"{it.source}: {', '.join(t.title for t in it.tables[:5])}" for it in reports[:4])
        raise DiagnosisError(
            f"no table is in all of the {len(reports)} checkpoints, by name. There are: {there}. Choose what is below "
            "a key with key (--key)"
        )
    others = {}
    for name, of_field in (key for key in keys if key not in common):
        there = [it.source for it, of_report in zip(reports, tables, strict=True) if (name, of_field) in of_report]
        others[name if of_field is None else f"{name}, {of_field}"] = tuple(there)
    changes = tuple(
        Change(
            tuple(of_report[key] for of_report in tables),
            tuple(of_report[key] for of_report in overlaps),
            main_dimensions(first[key]),
        )
        for key in common
    )
    return Comparison(tuple(reports), changes, others, passed_over)


def main_dimensions(table: TableMeasures) -> int | None:
    """How many directions carry 90 % of the energy, at most those that were kept; None of a table of zeros."""
    if table.directions is None:
        return None
    return min(energy_dimensions_of(np.array(table.singular_values), 0.9), len(table.directions))


def overlap(first: TableMeasures, other: TableMeasures) -> float | None:
    """The overlap of so many directions of both, if they have them."""
    count, one, two = main_dimensions(first), first.directions, other.directions
    if one is None or two is None or one.shape[1] != two.shape[1] or len(two) < count:
        return None
    return subspace_overlap(one[:count], two[:count])
