"""pip and conda install the same versions of everything that the project names."""

import re
import tomllib
from pathlib import Path

import pytest
import yaml

PROJECT = Path(__file__).parents[1]
PIN = re.compile(r"[A-Za-z0-9._-]+(\[[a-z,]+\])?==[0-9][A-Za-z0-9.+]*")


@pytest.fixture(scope="module")
def pyproject() -> dict:
    return tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def environment() -> dict:
    return yaml.safe_load((PROJECT / "environment.yml").read_text(encoding="utf-8"))


def pip_lines(environment: dict) -> list[str]:
    (pip,) = (entry["pip"] for entry in environment["dependencies"] if isinstance(entry, dict))
    return pip


def requirements(pyproject: dict) -> list[str]:
    project = pyproject["project"]
    return project["dependencies"] + project["optional-dependencies"]["test"]


def test_every_dependency_is_pinned_to_one_version(pyproject):
    named = requirements(pyproject) + pyproject["build-system"]["requires"]
    assert [line for line in named if not PIN.fullmatch(line)] == []


def test_the_conda_environment_has_exactly_the_pins_of_pyproject(environment, pyproject):
    lines = pip_lines(environment)
    assert sorted(lines[:-1]) == sorted(requirements(pyproject))
    assert len(set(lines)) == len(lines)


def test_the_conda_environment_installs_this_project_last(environment):
    assert pip_lines(environment)[-1] == "-e ."


def test_the_conda_environment_has_a_name_channels_and_pip(environment):
    assert environment["name"] == "paper-code"
    assert environment["channels"]
    assert "pip" in environment["dependencies"]  # else conda warns and picks one itself


def test_the_versions_of_python_agree(environment, pyproject):
    (python,) = (
        entry for entry in environment["dependencies"] if isinstance(entry, str) and entry.startswith("python=")
    )
    major, minor = map(int, python.removeprefix("python=").split(".")[:2])
    assert pyproject["project"]["requires-python"] == f">={major}.{minor},<{major}.{minor + 1}"
    assert pyproject["tool"]["ruff"]["target-version"] == f"py{major}{minor}"
    assert f"python{major}.{minor}" in (PROJECT / "Makefile").read_text(encoding="utf-8")
