"""The lock file, environment.yml and what is installed are of one mind, and within the ranges of pyproject.toml."""

import re
import subprocess
import sys
import tomllib
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from paper_code.book import environment

PROJECT = Path(__file__).parents[1]
ENTRY = re.compile(r"([a-z0-9._-]+)(\[[a-z,]+\])?==([^ ;]+)( ; .+?)?( \\\n    --hash=sha256:[0-9a-f]{64})+")


@pytest.fixture(scope="module")
def pyproject() -> dict:
    return tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def conda() -> dict:
    return yaml.safe_load((PROJECT / "environment.yml").read_text(encoding="utf-8"))


def entries(text: str) -> dict[str, Requirement]:
    """The packages of a lock file for this Python, on any system, by name."""
    lines = re.split(r"\n+(?=\w)", re.sub(r"^#.*\n", "", text, flags=re.MULTILINE).strip())
    assert [line for line in lines if not ENTRY.fullmatch(line)] == []
    found = [Requirement(line.partition(" \\\n")[0]) for line in lines]
    found = [it for it in found if any(needed(it, system) for system in ("linux", "darwin", "win32"))]
    assert len({it.name for it in found}) == len(found)
    return {canonicalize_name(it.name): it for it in found}


def needed(requirement: Requirement, system: str = sys.platform) -> bool:
    """With this Python."""
    return requirement.marker is None or requirement.marker.evaluate({"extra": "", "sys_platform": system})


@pytest.fixture(scope="module")
def locked() -> dict[str, Requirement]:
    return entries(environment.LOCK.read_text(encoding="utf-8"))


def pinned(requirement: Requirement) -> str:
    (specifier,) = requirement.specifier
    assert specifier.operator == "=="
    return specifier.version


def named(pyproject: dict, extra: str | None = "test") -> list[Requirement]:
    """What the project names for an extra, and for those that this has in it."""
    project, found = pyproject["project"], []
    for it in map(Requirement, project["optional-dependencies"][extra] if extra else project["dependencies"]):
        found += [it] if it.name != "paper-code" else [more for inner in it.extras for more in named(pyproject, inner)]
    return found + (named(pyproject, None) if extra == "test" else [])


def test_every_package_is_locked_to_one_version_with_hashes_and_no_place(locked):
    assert all(map(pinned, locked.values()))
    assert "://" not in environment.LOCK.read_text(encoding="utf-8")


def test_what_the_project_names_is_locked_within_its_range(locked, pyproject):
    for it in named(pyproject):
        assert it.specifier.contains(pinned(locked[canonicalize_name(it.name)])), it


def test_what_is_installed_is_what_is_locked(locked):
    """But for what pip brings itself, and for CUDA where PyTorch has none."""
    found = {}
    for name, it in locked.items():
        if needed(it):
            try:
                found[name] = version(name).partition("+")[0]
            except PackageNotFoundError:
                assert environment.OF_CUDA.match(f"{name}==") or name == "setuptools", f"{name} is not installed"
    assert {name: installed for name, installed in found.items() if installed != pinned(locked[name])} == {}


def test_what_the_packages_need_is_locked_too(locked):
    for name, it in locked.items():
        if needed(it) and not environment.OF_CUDA.match(f"{name}==") and name != "setuptools":
            for other in filter(needed, map(Requirement, requires(name) or [])):
                other_version = pinned(locked[canonicalize_name(other.name)])
                assert other.specifier.contains(other_version, prereleases=True), f"{name} needs {other}"


def test_without_cuda_the_rest_is_the_same(locked):
    found = entries(environment.requirements("cpu"))
    assert Version(pinned(found.pop("torch"))).public == pinned(locked["torch"])
    left = {name: it for name, it in locked.items() if not re.match(r"torch$|triton$|nvidia-|cuda-", name)}
    assert {name: str(it) for name, it in found.items()} == {name: str(it) for name, it in left.items()}
    with pytest.raises(SystemExit, match="TORCH=gpu: expected cpu"):
        environment.requirements("gpu")


def test_conda_has_what_the_project_names_in_the_locked_versions(conda, locked, pyproject):
    *lines, last = conda_pip(conda)
    names = {canonicalize_name(it.name) for it in named(pyproject) if "win32" not in str(it.marker)}
    assert sorted(lines) == sorted(f"{name}=={pinned(locked[name])}" for name in names)
    assert last == "-e ."


def conda_pip(conda: dict) -> list[str]:
    (pip,) = (entry["pip"] for entry in conda["dependencies"] if isinstance(entry, dict))
    return pip


def test_the_conda_environment_has_a_name_channels_and_pip(conda):
    assert conda["name"] == "paper-code"
    assert conda["channels"]
    assert "pip" in conda["dependencies"]  # else conda warns and picks one itself


def test_the_versions_of_python_agree(conda, pyproject):
    python = ".".join(map(str, environment.LOCKED_FOR))
    assert f"python={python}" in conda["dependencies"]
    assert f"command -v python{python}" in (PROJECT / "Makefile").read_text(encoding="utf-8")
    assert f"--python-version {python} " in environment.LOCK.read_text(encoding="utf-8").splitlines()[1]
    assert pyproject["project"]["requires-python"] == ">=3.10,<3.15"


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A project with nothing set up, whose programs are only noted."""
    (tmp_path / "pyproject.toml").write_text("")
    calls = []
    monkeypatch.setattr(environment, "PROJECT", tmp_path)
    monkeypatch.setattr(environment, "VENV", tmp_path / ".venv")
    monkeypatch.setattr(environment.venv, "create", lambda path, **_: path.mkdir(exist_ok=True))
    monkeypatch.setattr(environment, "run", lambda *arguments: calls.append(" ".join(map(str, arguments))))
    monkeypatch.delenv("TORCH", raising=False)
    return calls


def test_what_is_locked_is_installed_once(project, tmp_path):
    environment.set_up()
    of_pip = "python -m pip install --quiet --disable-pip-version-check"
    requirements = tmp_path / ".venv" / "requirements.txt"
    assert project == [
        f"{of_pip} --require-hashes --requirement {requirements}",
        f"{of_pip} --no-deps --no-build-isolation --editable {tmp_path}",
    ]
    assert requirements.read_text(encoding="utf-8") == environment.LOCK.read_text(encoding="utf-8")
    environment.set_up()
    assert len(project) == 2
    (tmp_path / ".venv" / "installed").unlink()
    environment.set_up()
    assert len(project) == 4


def test_another_python_is_refused_before_anything_is_removed(project, tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "version_info", (3, 12, 1, "final", 0))
    (tmp_path / ".venv").mkdir()
    (tmp_path / ".venv" / "mine").touch()
    with pytest.raises(SystemExit, match=r"Python 3\.11 is needed, this is .*: make PYTHON="):
        environment.set_up()
    assert (tmp_path / ".venv" / "mine").exists()
    assert project == []


def test_a_book_with_warnings_is_read_again_the_next_time(project, tmp_path, monkeypatch):
    def fails(program, *_):
        if program == "jupyter-book":
            raise SystemExit(1)

    monkeypatch.setattr(environment, "run", fails)
    (tmp_path / "_build" / ".doctrees").mkdir(parents=True)
    with pytest.raises(SystemExit):
        environment.build()
    assert not (tmp_path / "_build" / ".doctrees").exists()


def test_without_anything_installed_it_says_what_to_do():
    """By Python's own library alone: -S leaves out what is installed."""
    command = [sys.executable, "-S", "-m", "paper_code.book", "pdf"]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, env={"PATH": ""})
    assert done.returncode == 1
    assert re.search(r"No module named '\w+': do `python -m paper_code\.book set-up`, then use .*python", done.stderr)
