"""The paper's statements against its own tables, a few of them worked out by hand."""

import numpy as np
import pytest

from paper_code.consistency import gain_of_largest, published_intervals, statements, statements_table


def statement(words: str):
    (found,) = [s for s in statements() if words in s.words]
    return found


def test_gains_are_those_of_tables_3_and_4():
    assert gain_of_largest("Criteo", "SE")["dnn"] == pytest.approx(0.81142 - 0.81228)
    assert gain_of_largest("Avazu", "ME")["nfwfm"] == pytest.approx(0.78932 - 0.78684)  # at 4x


def test_averages_that_agree():
    for log, single, multi in (("Criteo", "+0.00036", "+0.00099"), ("Avazu", "+0.00090", "+0.00202")):
        for embedding, printed in (("single", single), ("multi", multi)):
            found = statement(f"Gain of DCNv2 and NFwFM, {embedding} embedding, {log}")
            assert (found.printed, found.recomputed, found.agrees) == (printed, printed, True)


def test_drops_that_do_not():
    """(0.00086 + 0.00101 + 0.00084) / 3 and (0.00096 + 0.00050 + 0.00089) / 3."""
    for log, printed, recomputed in (("Criteo", "-0.00136", "-0.00090"), ("Avazu", "-0.00118", "-0.00078")):
        found = statement(f"Drop of DNN, xDeepFM and FinalMLP at 10x, {log}")
        assert (found.printed, found.recomputed, found.agrees) == (printed, recomputed, False)


def test_exceptions_to_always():
    assert statement("best at 10x for every model, Criteo").recomputed == "not DNN, FinalMLP"
    assert statement("best at 10x for every model, Avazu").recomputed == "not FinalMLP"
    assert statement("better than single embedding at every size, Criteo").recomputed == "not IPNN 2x, IPNN 3x"
    assert statement("better than single embedding at every size, Avazu").agrees


def test_the_average_gain_has_two_readings_and_is_neither():
    found = statement("Average gain")
    assert found.recomputed == "0.00109 at 10x, 0.00120 with NFwFM at 4x"
    assert not found.agrees


def test_the_table_has_every_statement():
    table = statements_table()
    assert len(table) == len(statements())
    assert set(table["agrees"]) == {"yes", "no"}


def test_intervals_are_welchs():
    """DNN at 10x on Criteo, by hand: deviations 0.00004 and 0.00006 of three runs each, 3.48 degrees of freedom."""
    table = published_intervals().set_index(["dataset", "model", "embedding"])
    row = table.loc[("Criteo", "dnn", "SE")]
    error = np.sqrt(0.00004**2 / 3 + 0.00006**2 / 3)
    assert row["half_interval"] == pytest.approx(2.9490 * error, rel=2e-3)
    assert len(table) == 24
    assert table["significant"].sum() == table["gain"].ge(0.001).sum()
