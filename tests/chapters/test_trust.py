"""The counts on the page "What we tried to break"."""

from paper_code.chapters.trust import fuzz, fuzz_text, killing, long_runs_text
from tests import fuzz as fuzz_run
from tests import killing as killing_run
from tests import long_runs


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
