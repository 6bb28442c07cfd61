"""The house: which room may import which, without circles, and how large a file may be."""

import ast
import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import paper_code
from paper_code.chapters import ARROWS

PACKAGE = Path(paper_code.__file__).parent
# from the first on: a room imports those before it
ROOMS = (
    "spectra",
    "toy_result",
    "published",
    "data",
    "models",
    "toy",
    "training",
    "runs",
    "diagnose",
    "chapters",
    "book",
)
MODULES = {
    ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__"): path
    for path in PACKAGE.rglob("*.py")
}


def imported(name: str) -> set[str]:
    """The modules of the package that the module imports, as it is imported."""
    found = set()
    for node in ast.parse(MODULES[name].read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("paper_code"):
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                found.add(inner if inner in MODULES else node.module)
    return found - {name}


def room(name: str) -> str:
    return name.split(".")[1] if "." in name else ""


def test_no_module_imports_itself_in_a_circle():
    list(TopologicalSorter({name: imported(name) for name in MODULES}).static_order())


@pytest.mark.parametrize("name", [name for name in MODULES if room(name) in ROOMS])
def test_a_module_imports_rooms_that_come_before_its_own(name):
    of_published = {"published": {"models"}}  # their names in the paper
    for other in imported(name):
        if room(other) not in of_published.get(room(name), ()):
            assert ROOMS.index(room(other)) <= ROOMS.index(room(name)), f"{name} imports {other}"


def test_a_command_imports_what_it_needs_when_it_runs():
    """But for configs, which name the options."""
    heavy = {"chapters", "book", "toy"}
    assert not {
        other for name in MODULES if room(name) == "commands" for other in imported(name) if room(other) in heavy
    }


def test_the_core_imports_numpy_and_safetensors_alone():
    """And what NumPy's modules in Cython make, and coverage.py where it measures."""
    code = (
        "import sys; before = {*sys.modules, *sys.stdlib_module_names}\n"
        "import paper_code.cli, paper_code.commands.diagnose, paper_code.diagnose.command, paper_code.data\n"
        "print(*{name.partition('.')[0] for name in sys.modules} - before)"
    )
    found = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.split()
    found = {name for name in found if "cython" not in name and name != "$coverage"}
    assert found == {"paper_code", "numpy", "safetensors"}


def test_the_ledger_starts_without_what_trains_or_makes_charts():
    code = "import sys, paper_code.chapters.claims; print(*{'torch', 'altair', 'sklearn'} & set(sys.modules))"
    found = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.split()
    assert found == []


def test_the_arrows_between_chapters_are_those_that_are_listed():
    def chapter(name: str) -> str | None:
        parts = name.split(".")[1:]
        return parts[1] if len(parts) == 2 and parts[0] == "chapters" and parts[1] != "shared" else None

    arrows = {chapter(name): sorted(filter(None, map(chapter, imported(name)))) for name in MODULES if chapter(name)}
    del arrows["claims"]
    found = {name: tuple(others) for name, others in arrows.items() if others}
    assert found == ARROWS


@pytest.mark.parametrize("name", MODULES)
def test_no_file_is_longer_than_400_lines(name):
    assert len(MODULES[name].read_text(encoding="utf-8").splitlines()) <= 400
