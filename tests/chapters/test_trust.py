"""The counts on the page "What we tried to break"."""

import pandas as pd

from paper_code.chapters import trust
from paper_code.chapters.trust import (
    MUTATED,
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
