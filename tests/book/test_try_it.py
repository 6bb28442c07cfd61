"""The page "Try it here", opened as a file in a real browser: its numbers and messages are those of the command."""

import re
import shutil
import struct
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from paper_code.book.build import BOOK_FOLDER
from paper_code.diagnose import DiagnosisError, diagnose
from tests.book.test_browser import browser  # noqa: F401, a fixture
from tests.diagnose.test_diagnose import gaussian, matrix_of_spectrum

FADING = np.geomspace(1, 1e-3, 16)
MATRIX = matrix_of_spectrum(FADING, 3000).astype(np.float32)


def saved(**options):
    return lambda path: np.save(path, **options)


def text(separator: str, head: str = "", ids: bool = False):
    def write(path: Path) -> None:
        lines = [separator.join([f"id{i}"] * ids + [repr(float(x)) for x in row]) for i, row in enumerate(MATRIX[:400])]
        path.write_text(head + "\n".join(lines) + "\n")

    return write


def tensors(kind: torch.dtype):
    matrix = torch.from_numpy(MATRIX)
    parts = {"user_emb.weight": matrix.to(kind), "mlp.weight": torch.ones(8, 8), "mlp.bias": torch.ones(8)}
    return lambda path: save_file(parts, path)


GOOD = {
    "flat.npy": saved(arr=matrix_of_spectrum([1] * 8, 500).astype(np.float32)),
    "fading.npy": saved(arr=matrix_of_spectrum(FADING, 5000)),
    "one.npy": saved(arr=matrix_of_spectrum([1] + [0] * 7, 500)),
    "many_rows.npy": saved(arr=gaussian(200_000, 16).astype(np.float32)),
    "wide.npy": saved(arr=gaussian(700, 300)),
    "half.npy": saved(arr=gaussian(3000, 12).astype(np.float16)),
    "big_endian.npy": saved(arr=MATRIX.astype(">f8")),
    "fortran.npy": saved(arr=np.asfortranarray(MATRIX)),
    "few.npy": saved(arr=gaussian(5, 8)),
    "zeros.npy": saved(arr=np.zeros((30, 4))),
    "two.npz": lambda path: np.savez(path, user=MATRIX, item=gaussian(300, 8)),
    "packed.npz": lambda path: np.savez_compressed(path, user=MATRIX, item=gaussian(300, 8)),
    "packed_fortran.npz": lambda path: np.savez_compressed(path, user=np.asfortranarray(MATRIX)),
    "single.safetensors": tensors(torch.float32),
    "brain.safetensors": tensors(torch.bfloat16),
    "half.safetensors": tensors(torch.float16),
}
TEXTS = {
    "plain.csv": text(","),
    "head.csv": text(",", "id," + ",".join(f"d{i}" for i in range(16)) + "\n", ids=True),
    "tabs.tsv": text("\t"),
    "spaces.txt": text(" "),
    "semicolons.csv": text(";", "\ufeff"),
}


def cut(write, size: int):
    def write_part(path: Path) -> None:
        write(path)
        path.write_bytes(path.read_bytes()[:size])

    return write_part


BAD = {
    "empty.npy": lambda path: path.touch(),
    "cut.npy": cut(GOOD["flat.npy"], 1000),
    "cut.npz": cut(GOOD["two.npz"], 1000),
    "cut.safetensors": cut(GOOD["single.safetensors"], 1000),
    "short.safetensors": lambda path: path.write_bytes(struct.pack("<Q", 1 << 20) + b"{}"),
    "nan.npy": saved(arr=np.where(np.arange(60).reshape(20, 3) % 25 == 7, np.nan, 1.0)),
    "whole.npy": saved(arr=np.ones((9, 3), dtype=int)),
    "vector.npz": lambda path: np.savez(path, a=np.ones((9, 1))),
    "packed.gz": lambda path: path.write_bytes(b"\x1f\x8b\x08" + bytes(900)),
    "noise.bin": lambda path: path.write_bytes(bytes(range(1, 200))),
}


@pytest.fixture(scope="module")
def page(browser, tmp_path_factory):  # noqa: F811
    """The box of the page with its scripts, in a page without the book's theme."""
    folder = tmp_path_factory.mktemp("page")
    shutil.copytree(BOOK_FOLDER / "_static", folder / "_static")
    (box,) = re.findall(
        r"^```\{raw\} html\n(.+?)^```$", (BOOK_FOLDER / "try_it.md").read_text(), re.DOTALL | re.MULTILINE
    )
    (folder / "page.html").write_text(f'<!DOCTYPE html><html lang="en"><title>Try it</title><body>{box}</body></html>')
    with browser.new_context(offline=True) as context:
        opened = context.new_page()
        opened.goto((folder / "page.html").as_uri())
        yield opened


def tried(page, path: Path) -> tuple[str, dict | None]:
    """The line that the page shows once it has read the file, and what it measured."""
    page.set_input_files("#try-it input", path)
    page.wait_for_function(
        "!document.querySelector('#try-it .status').textContent.startsWith('Reading')", timeout=60_000
    )
    failed = page.evaluate("document.getElementById('try-it').classList.contains('failed')")
    return page.inner_text("#try-it .status"), None if failed else page.evaluate(
        "document.getElementById('try-it').report"
    )


@pytest.mark.parametrize("name", [*GOOD, *TEXTS])
def test_its_numbers_are_those_of_the_command(page, tmp_path, name):
    path = tmp_path / name
    (GOOD | TEXTS)[name](path)
    source = {path.stem: MATRIX[:400].astype(np.float64)} if name in TEXTS else path
    expected = {table.name: table for table in diagnose(source).tables}
    _, report = tried(page, path)
    assert [table["name"] for table in report["tables"]] == list(expected)
    for found in report["tables"]:
        table = expected[found["name"]]
        assert (found["rows"], found["columns"], found["verdict"]) == (table.rows, table.columns, table.verdict)
        largest = table.singular_values[0] or 1
        np.testing.assert_allclose(found["singular_values"], table.singular_values, rtol=1e-6, atol=1e-6 * largest)
        for measure in ("information_abundance", "effective_rank", "stable_rank", "alpha", "noise_edge"):
            assert found.get(measure) == (
                getattr(table, measure) and pytest.approx(getattr(table, measure), rel=1e-6, abs=1e-9)
            )
        for measure in ("energy_dimensions", "above_noise"):
            assert found.get(measure) == getattr(table, measure)
        random = table.random_information_abundance
        assert found["random_information_abundance"] == pytest.approx(random, rel=0.02)


@pytest.mark.parametrize("name", BAD)
def test_a_bad_file_gets_the_message_of_the_command(page, tmp_path, name):
    BAD[name](tmp_path / name)
    with pytest.raises(DiagnosisError) as error_info:
        diagnose(tmp_path / name)
    message, report = tried(page, tmp_path / name)
    assert report is None
    assert part(message) == part(str(error_info.value).replace(f"{tmp_path}/", ""))


def part(message: str) -> str:
    """Of a message what does not depend on the parser, nor on what else can be read."""
    message = re.sub(r"(cannot be read as [\w ]+) \(.*\)", r"\1", message)
    return re.split(r"; expected a|\. Choose others", message)[0]


def test_a_line_that_differs_is_named(page, tmp_path):
    (tmp_path / "a.csv").write_text("1,2,3\n4,5\n")
    assert tried(page, tmp_path / "a.csv")[0] == "a.csv: line 2: expected 3 values, found 2"
    (tmp_path / "b.csv").write_text("1,2,3\n4,5,x\n")
    assert tried(page, tmp_path / "b.csv")[0] == 'b.csv: line 2: expected a number in column 3, found "x"'


def test_what_it_shows_can_be_read_and_another_file_takes_its_place(page, tmp_path):
    GOOD["two.npz"](tmp_path / "two.npz")
    message, _ = tried(page, tmp_path / "two.npz")
    assert message == "two.npz: collapsed are 1 of 2 tables."
    assert page.locator("#try-it section h2").all_inner_texts() == ["user", "item"]
    assert page.locator("#try-it section.collapsed .verdict").inner_text() == "collapsed"
    label = page.locator("#try-it svg[role=img]").first.get_attribute("aria-label")
    assert label.startswith("Singular values over the largest, from 1 to 1.0e-3")
    GOOD["zeros.npy"](tmp_path / "zeros.npy")
    assert tried(page, tmp_path / "zeros.npy")[0] == "zeros.npy: collapsed are 0 of 0 tables. Not judged: 1."
    assert page.locator("#try-it section").count() == 1
