"""Checkpoints are compared, and conditions decide the exit status for continuous integration."""

import json
from xml.etree import ElementTree

import numpy as np
import pytest
import torch

from paper_code import cli
from paper_code.diagnose import DiagnosisError, compare, diagnose
from paper_code.diagnose.conditions import check, fail_below, fail_if, to_junit
from tests.diagnose.test_diagnose import HOSTILE, Elements, gaussian, matrix_of_spectrum

FLAT, FADING = [1.0] * 8, list(np.geomspace(1, 1e-3, 8))


def tables(item=FLAT, seed: int = 0) -> dict[str, np.ndarray]:
    return {"user": gaussian(300, 8, seed), "item": matrix_of_spectrum(item, 400, seed)}


@pytest.fixture
def command(capsys):
    """Runs the command; the status is that of a process."""

    def run(*arguments) -> tuple[int, str, str]:
        try:
            status = cli.main(["diagnose", *map(str, arguments)])
        except SystemExit as error:
            status = error.code
        return status, *capsys.readouterr()

    return run


@pytest.fixture
def files(tmp_path):
    for name, item in (("before.npz", FLAT), ("after.npz", FADING)):
        np.savez(tmp_path / name, **tables(item))
    return tmp_path / "before.npz", tmp_path / "after.npz"


# Comparison


def test_what_changed_between_two_checkpoints():
    found = compare([tables(), tables(FADING)])
    user, item = found.changes
    assert user.shares[0] == user.shares[1]
    assert user.overlaps == pytest.approx((1, 1))
    assert [table.verdict for table in item.tables] == ["not collapsed", "collapsed"]
    text = " ".join(found.reading())
    assert "Collapsed in the mapping, and not in the mapping: item" in text
    assert "lower in the mapping than in the mapping for 1 of 2 tables" in text


def test_overlap_is_of_the_main_directions_whatever_their_scale():
    spectrum = np.array([9, 8, 7, 1e-2, 1e-2, 1e-2, 1e-2, 1e-2])
    before = matrix_of_spectrum(spectrum, 400)
    (same,) = compare([{"a": before}, {"a": 5 * before[::-1]}]).changes
    assert (same.overlap_dimensions, same.overlap_by_chance) == (3, 3 / 8)
    assert same.overlaps[1] == pytest.approx(1)
    _, _, directions = np.linalg.svd(before, full_matrices=False)
    others = gaussian(400, 3) @ directions[3:6]
    (other,) = compare([{"a": before}, {"a": others + 1e-3 * gaussian(400, 8)}]).changes
    assert other.overlaps[1] == pytest.approx(0, abs=1e-3)
    (wider,) = compare([{"a": before}, {"a": gaussian(400, 16)}]).changes
    assert wider.overlaps[1] is None


def test_tables_that_not_all_have_are_named_and_fields_are_compared_by_themselves():
    more = tables() | {"new_emb": gaussian(50, 4)}
    found = compare([tables(), more])
    assert [it.title for it in found.changes] == ["user", "item"]
    assert list(found.only_in) == ["new_emb"]
    assert "Only in the mapping: new_emb." in found.reading()
    by_field = compare([{"a": gaussian(30, 4)}, {"a": gaussian(30, 4, 1)}], fields=[10, 20])
    assert [it.title for it in by_field.changes] == ["a, field 0", "a, field 1"]


def test_a_folder_of_checkpoints_in_the_order_of_their_numbers(tmp_path):
    for number, item in ((2, FLAT), (10, FADING), (1, FLAT)):
        torch.save(
            {"state_dict": {f"{k}_emb": torch.from_numpy(v) for k, v in tables(item).items()}},
            tmp_path / f"epoch_{number}.pt",
        )
    (tmp_path / "log.txt").write_text("hello")
    found = compare([tmp_path])
    assert [report.source.rpartition("/")[2] for report in found.reports] == ["epoch_1.pt", "epoch_2.pt", "epoch_10.pt"]
    assert [it.name for it in found.not_looked_into] == ["log.txt"]
    item = found.changes[1]
    assert item.shares[0] == item.shares[1] > 0.5 > item.shares[2]
    assert "lowest" in str(found)


def test_checkpoints_may_be_folders_in_a_folder(tmp_path):
    for number in (1, 2):
        (tmp_path / f"step_{number}").mkdir()
        np.savez(tmp_path / f"step_{number}" / "a.npz", **tables())
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "log.txt").write_text("hello")
    found = compare([tmp_path])
    assert len(found.reports) == 2
    assert [it.name for it in found.not_looked_into] == ["logs"]


@pytest.mark.parametrize(
    ("sources", "words"),
    [
        ([{"a": gaussian(9, 3)}], "expected two or more"),
        ([{"a": gaussian(9, 3)}, {"b": gaussian(9, 3)}], "no table is in all"),
    ],
)
def test_what_cannot_be_compared(sources, words):
    with pytest.raises(DiagnosisError, match=words):
        compare(sources)


def test_a_folder_without_checkpoints(tmp_path):
    with pytest.raises(DiagnosisError, match="without a checkpoint"):
        compare([tmp_path])


def test_the_comparison_as_json_and_as_a_page():
    found = compare(
        [{HOSTILE: gaussian(90, 4), "z": np.zeros((9, 4))}, {HOSTILE: gaussian(90, 4) ** 3, "z": np.zeros((9, 4))}]
    )
    values = json.loads(found.to_json(), parse_constant=lambda name: pytest.fail(name))
    assert [len(report["tables"]) for report in values["reports"]] == [2, 2]
    change = values["changes"][0]
    assert change["share_of_random"] == list(found.changes[0].shares)
    assert change["overlaps"] == list(found.changes[0].overlaps)
    assert values["changes"][1]["overlaps"] == [None, None]
    page = found.to_html()
    elements = Elements(page)
    assert elements.open == []
    assert {"script", "link", "img", "a"}.isdisjoint(elements.names)
    assert "<script" not in page
    assert page.encode()


def test_the_command_compares(command, files, tmp_path):
    status, output, message = command(*files)
    assert (status, message) == (0, "")
    assert output == f"{compare(files)}\n"
    assert json.loads(command(*files, "--json")[1])["changes"][1]["name"] == "item"
    assert command("--compare", tmp_path)[0] == 0
    assert command(*files, "--html", tmp_path / "page.html")[0] == 0
    assert "What changed" in (tmp_path / "page.html").read_text()


# Conditions


def test_a_condition_is_read_and_written():
    condition = fail_if("a:b*:centred.share_of_random <= 3e-1")
    assert (condition.pattern, condition.measure, condition.sign, condition.bound) == (
        "a:b*",
        "centred.share_of_random",
        "<=",
        0.3,
    )
    assert str(condition) == "centred.share_of_random <= 0.3"


@pytest.mark.parametrize(
    "text", ["", "a", "a:share<1", "a:effective_rank", "a:effective_rank<x", "a:effective_rank<1e", ":x<1"]
)
def test_what_is_no_condition(text):
    with pytest.raises(ValueError, match="--fail-if"):
        fail_if(text)


def test_which_tables_fail():
    report = diagnose(
        tables(FADING) | {"few": gaussian(3, 8), "zeros": np.zeros((9, 8)), "bad": np.full((9, 8), np.nan)},
        as_used=True,
    )
    outcome = {it.name: (len(it.problems), it.skipped is not None) for it in check(report, [fail_below(0.3)])}
    assert outcome == {"user": (0, False), "item": (1, False), "few": (0, True), "zeros": (1, False), "bad": (1, False)}
    (item,) = check(report, [fail_if("it*:energy_dimensions<8"), fail_if("item:centred.stable_rank>100")])
    assert len(item.problems) == 1
    assert item.problems[0].startswith("energy_dimensions is ")
    with pytest.raises(DiagnosisError, match=r"named like nobody; there are user"):
        check(report, [fail_if("nobody:effective_rank<8")])
    with pytest.raises(DiagnosisError, match="no table was measured weighted; there are centred"):
        check(report, [fail_if("*:weighted.effective_rank<8")])


def test_a_condition_of_a_view_is_about_the_tables_that_have_it():
    """A field that is never read has no weighted measures."""
    matrix, counts = gaussian(60, 4), np.r_[np.zeros(20), np.ones(40)]
    report = diagnose({"a": matrix}, fields=[20, 40], counts=counts)
    never, read = check(report, [fail_if("*:weighted.share_of_random<2")])
    assert (never.problems, never.skipped) == ((), "it was not measured weighted")
    assert len(read.problems) == 1
    with pytest.raises(DiagnosisError, match="there are no such measures: ask for them with --as-used or --counts"):
        check(diagnose({"a": matrix}), [fail_if("a:centred.alpha<2")])


def test_the_output_of_a_layer_is_not_held_against_random_matrices():
    layer = torch.nn.Linear(4, 4)
    report = diagnose(layer, batch=gaussian(30, 4).astype(np.float32))
    assert check(report, [fail_below(2.0)]) == []
    assert len(check(report, [fail_if("*:effective_rank<5")])[0].problems) == 1


def test_junit_has_a_case_for_each_table():
    report = diagnose({"item": matrix_of_spectrum(FADING, 400), HOSTILE: gaussian(90, 8), "few": gaussian(3, 8)})
    root = ElementTree.fromstring(to_junit("model.pt", check(report, [fail_below(0.3)])))
    assert {key: root.attrib[key] for key in ("tests", "failures", "skipped")} == {
        "tests": "3",
        "failures": "1",
        "skipped": "1",
    }
    cases = root.findall("testsuite/testcase")
    assert [(case.get("name") == "item", case.find("failure") is not None) for case in cases] == [
        (True, True),
        (False, False),
        (False, False),
    ]
    assert cases[2].find("skipped") is not None


def test_the_exit_status_is_2_if_a_table_of_the_last_checkpoint_fails(command, files, tmp_path):
    before, after = files
    assert command(before, "--fail-below", 0.5)[0] == 0
    status, output, message = command(before, after, "--fail-below", 0.5, "--junit", tmp_path / "a.xml")
    assert status == 2
    assert output == f"{compare(files)}\n"
    assert message.startswith("paper-code: item fails: share_of_random is 0.")
    assert ElementTree.parse(tmp_path / "a.xml").getroot().get("failures") == "1"
    assert command(after, before, "--fail-below", 0.5)[0] == 0
    assert command(after, "--fail-if", "item:energy_dimensions<4")[0] == 2
    values = json.loads(command(after, "--fail-below", 0.5, "--json")[1])
    assert [bool(it["problems"]) for it in values["checks"]] == [False, True]


def test_a_table_that_cannot_be_measured_fails(command, tmp_path):
    np.savez(tmp_path / "a.npz", good=gaussian(90, 4), bad=np.full((90, 4), np.inf))
    status, _, message = command(tmp_path / "a.npz", "--fail-below", 0.1)
    assert status == 2
    assert "bad fails: cannot be measured: 360 of 360 numbers are not finite" in message


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--junit", "a.xml"], "nothing could fail"),
        (["--fail-if", "item<3"], "--fail-if 'item<3'"),
        (["--fail-if", "none:effective_rank<3"], "named like none"),
        (["--fail-below", "0.3", "--junit", "no/a.xml"], "--junit no/a.xml: there is no folder"),
        (["--counts", "none.npy"], "none.npy"),
    ],
)
def test_what_goes_wrong_with_conditions_is_one_line(command, files, options, words):
    status, _, message = command(files[0], *options)
    assert status == 1
    assert message.startswith("paper-code: ")
    assert message.count("\n") == 1
    assert words in message


def test_counts_of_the_command(command, tmp_path):
    matrix, counts = gaussian(200, 4), np.arange(200)
    np.save(tmp_path / "a.npy", matrix)
    np.save(tmp_path / "counts.npy", counts)
    np.savez(tmp_path / "counts.npz", a=counts)
    (tmp_path / "text.npy").write_text("hello")
    for name in ("counts.npy", "counts.npz"):
        (table,) = json.loads(command(tmp_path / "a.npy", "--counts", tmp_path / name, "--as-used", "--json")[1])[
            "tables"
        ]
        assert set(table["as_used"]) == {"centred", "row_normalised", "shuffled", "weighted"}
    status, _, message = command(tmp_path / "a.npy", "--counts", tmp_path / "text.npy")
    assert (status, message.count("\n")) == (1, 1)
    assert "expected an .npy or .npz file of numbers" in message
