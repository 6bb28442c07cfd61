"""Conditions under which a report fails, for continuous integration, and their outcome as JUnit's XML."""

import operator
import re
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from xml.etree import ElementTree

from paper_code.diagnose.arrays import DiagnosisError, printable
from paper_code.diagnose.measures import NAMES, Measures, TableMeasures
from paper_code.diagnose.report import Report

COMPARE = {"<=": operator.le, ">=": operator.ge, "<": operator.lt, ">": operator.gt}
FORM = re.compile(r"(?P<pattern>.+):(?P<measure>[\w.]+)\s*(?P<sign><=|>=|<|>)\s*(?P<bound>[-+.\deE]+)", re.DOTALL)
EXPECTED = 'expected "TABLE:MEASURE<NUMBER" such as "item*:effective_rank<8"'


@dataclass(frozen=True)
class Condition:
    """A table of that name fails if its measure is on that side of the bound.

    pattern: of names of tables, or of layers whose output was measured. measure: one of `measures.NAMES`, with the name
    of a view and a dot before it for a table as it is used, such as "centred.share_of_random".
    judged: tables with fewer rows than columns pass.
    """

    pattern: str
    measure: str
    sign: str
    bound: float
    judged: bool = False

    def __str__(self) -> str:
        return f"{self.measure} {self.sign} {self.bound:g}"

    @property
    def view(self) -> str:
        """The name of the view, or nothing."""
        return self.measure.rpartition(".")[0]

    def why_skipped(self, measures: Measures) -> str | None:
        """Why measures of this name are not judged, or None."""
        if self.judged and measures.rows < measures.columns:
            return f"{measures.rows} rows are fewer than {measures.columns} columns, too few to tell"
        if self.judged and not isinstance(measures, TableMeasures):
            return "no table"
        if self.view and self.view not in getattr(measures, "as_used", {}):
            return f"it was not measured {self.view}"
        return None

    def problem(self, measures: Measures) -> str | None:
        """Why measures of this name fail, or None. A measure that there is not, as of a table of zeros, fails."""
        part = measures.as_used[self.view] if self.view else measures
        value = getattr(part, self.measure.rpartition(".")[2])
        if value is None:
            return f"has no {self.measure}, expected one to hold against {self.bound:g}"
        return f"{self.measure} is {value:.4g}, {self.sign} {self.bound:g}" if self.holds(value) else None

    def holds(self, value: float) -> bool:
        return COMPARE[self.sign](value, self.bound)


def fail_if(text: str) -> Condition:
    """The condition that text such as "item*:effective_rank<8" says; raises ValueError."""
    found = FORM.fullmatch(text.strip())
    if not found:
        raise ValueError(f"--fail-if {text!r}: {EXPECTED}")
    try:
        bound = float(found["bound"])
    except ValueError:
        raise ValueError(f"--fail-if {text!r}: {found['bound']!r} is no number; {EXPECTED}") from None
    if found["measure"].rpartition(".")[2] not in NAMES:
        raise ValueError(f"--fail-if {text!r}: no measure {found['measure']!r}; there are {', '.join(NAMES)}")
    return Condition(found["pattern"], found["measure"], found["sign"], bound)


def fail_below(bound: float) -> Condition:
    """Any table fails whose share of random is below the bound, unless it has fewer rows than columns."""
    return Condition("*", "share_of_random", "<", bound, judged=True)


@dataclass(frozen=True)
class Check:
    """What the conditions say of one table or layer; problems: why it fails; skipped: why it was not judged."""

    name: str
    problems: tuple[str, ...] = ()
    skipped: str | None = None


def check(report: Report, conditions: Sequence[Condition]) -> list[Check]:
    """Hold every condition against the tables and layers whose names match it.

    A table that could not be measured, as one with a number that is not finite, fails. Raises DiagnosisError if a
    condition's pattern matches nothing, or a view was not measured.
    """
    measured = [*report.tables, *report.layers]
    faulty = [it for it in report.left_out if it.faulty]
    views = dict.fromkeys(view for table in report.tables for view in table.as_used)
    for condition in conditions:
        if condition.view and condition.view not in views:
            raise DiagnosisError(
                f"--fail-if {condition.pattern}:{condition}: no table was measured {condition.view}; there are "
                f"{', '.join(views) or 'no such measures: ask for them with --as-used or --counts'}"
            )
    unused = {condition.pattern for condition in conditions}
    checks = []
    for it in measured:
        matching = [one for one in conditions if matches(one, it.name, it.title)]
        unused -= {condition.pattern for condition in matching}
        skipped = [reason for one in matching if (reason := one.why_skipped(it))]
        judging = [one for one in matching if not one.why_skipped(it)]
        problems = tuple(problem for one in judging if (problem := one.problem(it)))
        if judging or (skipped and isinstance(it, TableMeasures)):
            checks.append(Check(it.title, problems, None if judging else skipped[0]))
    for it in faulty:
        matching = [one for one in conditions if matches(one, it.name, it.name)]
        unused -= {condition.pattern for condition in matching}
        if matching:
            checks.append(Check(printable(it.name), (f"cannot be measured: {printable(it.reason)}",)))
    if unused:
        names = ", ".join(it.title for it in measured[:20])
        raise DiagnosisError(
            f"--fail-if: no table or layer is named like {', '.join(sorted(unused))}; there are {names}"
        )
    return checks


def matches(condition: Condition, *names: str) -> bool:
    return any(fnmatchcase(name, condition.pattern) for name in names)


def to_junit(source: str, checks: Sequence[Check]) -> str:
    """The checks as JUnit's XML, which services of continuous integration show: a test case for each table."""
    failures = sum(bool(it.problems) for it in checks)
    skipped = sum(it.skipped is not None for it in checks)
    counts = {"tests": str(len(checks)), "failures": str(failures), "skipped": str(skipped), "errors": "0"}
    suites = ElementTree.Element("testsuites", counts)
    suite = ElementTree.SubElement(suites, "testsuite", {"name": "paper-code diagnose", **counts})
    for it in checks:
        case = ElementTree.SubElement(suite, "testcase", {"classname": printable(source), "name": it.name})
        if it.problems:
            failure = ElementTree.SubElement(case, "failure", {"message": "; ".join(map(printable, it.problems))})
            failure.text = "\n".join(map(printable, it.problems))
        elif it.skipped:
            ElementTree.SubElement(case, "skipped", {"message": it.skipped})
    ElementTree.indent(suites)
    return '<?xml version="1.0" encoding="utf-8"?>\n' + ElementTree.tostring(suites, encoding="unicode") + "\n"
