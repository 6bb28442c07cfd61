"""The counts on the page "What we tried to break"."""

import pandas as pd
import pytest

from paper_code.chapters import trust
from paper_code.chapters.trust import (
    MUTATED,
    coverage,
    coverage_text,
    fuzz,
    fuzz_text,
    killing,
    long_runs_text,
    mutants_by_room,
    mutants_text,
)
from tests import fuzz as fuzz_run
from tests import killing as killing_run
from tests import long_runs
from tests import mutants as mutants_run
from tests.covered import by_room


def test_the_fuzz_run_was_as_large_as_promised_and_found_nothing():
    table = fuzz()
    assert list(table["reader"]) == list(fuzz_run.valid_files())
    assert table[["read", "refused", "finding"]].to_numpy().sum() >= 100_000
    assert (table["finding"] == 0).all()
    assert (table[["read", "refused"]] > 0).all(axis=None)


def test_its_text_has_the_sums():
    table, text = fuzz(), fuzz_text()
    assert list(text.columns) == ["file", "inputs", "read", "refused", "neither"]
    assert text.iloc[-1].tolist()[:3] == [
        "all",
        f"{table[['read', 'refused', 'finding']].to_numpy().sum():,}",
        f"{table['read'].sum():,}",
    ]


def test_the_killed_sweep_lost_nothing():
    counts = killing()
    assert counts["kills"] >= 100
    assert counts["equal"] == killing_run.RUNS
    assert counts["others"] == 0
    assert counts["kills_while_writing"] > 0


def test_nothing_was_lost_in_any_trial_of_a_long_run():
    text = long_runs_text()
    assert len(text) == len(long_runs.TRIALS)
    assert set(text["records equal in the end"]) == {f"{killing_run.RUNS} of {killing_run.RUNS}"}
    assert (text["other files"] == 0).all()
    assert (text["what it said"].str.len() > 0).equals(text["the sweep ended early"] > 0)


def test_mutants_are_counted_by_room(monkeypatch):
    outcomes = ["killed", "timeout", "survived", "equivalent", "killed"]
    modules = [*["paper_code.models.layers"] * 4, "paper_code.data.table"]
    monkeypatch.setattr(trust, "mutants", lambda: pd.DataFrame({"module": modules, "outcome": outcomes}))
    table = mutants_by_room()
    assert list(table.index) == [*MUTATED, "all"]
    assert table.loc["paper_code.models"].tolist() == [4, 2, 1, 1, 2 / 4, 2 / 3]
    assert table.loc["all"].tolist() == [5, 3, 1, 1, 3 / 5, 3 / 4]
    text = mutants_text()
    assert text.iloc[-1].tolist() == ["all", 5, 3, 1, 1, "60%", "75%"]


def test_a_reason_belongs_to_its_mutant_and_says_whether_it_is_equivalent():
    found = pd.DataFrame(
        [
            ["m", "f", 1, "a -> b", "survived"],
            ["m", "f", 2, "a -> c", "survived"],
            ["m", "f", 3, "a -> d", "killed"],
            ["m", "g", 4, "a -> b", "survived"],
        ],
        columns=["module", "function", "line", "mutation", "outcome"],
    )
    reasons = pd.DataFrame(
        [
            ["m", "f", "a -> b", "equivalent", "one"],
            ["m", "f", "a -> c", "survived", "two"],
            ["m", "f", "a -> d", "survived", "three"],
        ],
        columns=["module", "function", "mutation", "outcome", "reason"],
    )
    table = mutants_run.with_reasons(found, reasons)
    assert table["outcome"].tolist() == ["equivalent", "survived", "killed", "survived"]
    assert table["reason"].tolist() == ["one", "two", "", ""]


MEASURED = {
    "files": {
        path: {
            "summary": {
                "num_statements": statements,
                "covered_lines": run,
                "num_branches": branches,
                "covered_branches": taken,
            }
        }
        for path, statements, run, branches, taken in [
            ("paper_code/data/rows.py", 50, 50, 20, 19),
            ("paper_code/data/__init__.py", 50, 40, 0, 0),
            ("paper_code/spectra.py", 100, 90, 10, 9),
            ("paper_code/cli.py", 0, 0, 0, 0),
            ("paper_code/chapters/shared/rules.py", 1_000, 1_000, 30, 15),
        ]
    }
}


def test_statements_and_branches_are_counted_by_room():
    table = by_room(MEASURED)
    assert table.drop(columns="percent").to_numpy().tolist() == [
        ["chapters", 1_000, 1_000, 30, 15],
        ["data", 100, 90, 20, 19],
        ["single modules", 100, 90, 10, 9],
    ]
    assert table["percent"].tolist() == pytest.approx([100 * 1_015 / 1_030, 100 * 109 / 120, 90], abs=0.005)


def test_the_core_is_all_but_the_chapters(monkeypatch):
    table = by_room(MEASURED).assign(commit="a", modified=False, date="2026-01-01")
    monkeypatch.setattr(trust, "coverage", lambda: table)
    assert coverage_text().to_numpy().tolist() == [
        ["data", "100", "90.0 %", "20", "95.0 %"],
        ["single modules", "100", "90.0 %", "10", "90.0 %"],
        ["core", "200", "90.0 %", "30", "93.3 %"],
        ["chapters", "1,000", "100.0 %", "30", "50.0 %"],
        ["all", "1,200", "98.3 %", "60", "71.7 %"],
    ]


def test_nineteen_of_twenty_branches_of_the_core_are_run_by_a_test():
    table = coverage()
    core = table[table["room"] != "chapters"]
    assert core["covered_branches"].sum() >= 0.95 * core["branches"].sum()
    assert core["covered_statements"].sum() >= 0.95 * core["statements"].sum()
