"""The wheel and the source distribution are whole, and the core runs from them where nothing else is installed.

It runs with the oldest and the newest versions of its ranges, on every Python that is found here.
"""

import email
import json
import os
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from packaging.metadata import Metadata
from packaging.requirements import Requirement

PROJECT = Path(__file__).parents[1]


def pythons() -> Iterator[str]:
    """Of each version that the core is for the one on PATH, or else the newest of pyenv."""
    for name in (f"python3.{minor}" for minor in range(10, 15)):
        paths = [name] if shutil.which(name) else []
        if shutil.which("pyenv"):
            root, there = (output("pyenv", *words) for words in (["root"], ["whence", name]))
            paths += [f"{root.strip()}/versions/{version}/bin/{name}" for version in reversed(there.split())]
        yield from [path for path in paths if output(path, "--version").startswith("Python")][:1]


def output(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True).stdout


NEWEST = ["--upgrade", "--upgrade-strategy", "eager"]
OLDEST_WHEEL = {"numpy": {(3, 13): "2.1.0", (3, 14): "2.3.2"}}
"""Of a package the oldest version with a wheel for a Python, if it is newer than the oldest of the range."""


def run(*command: object, where: Path, **variables: str) -> subprocess.CompletedProcess:
    """A command outside of the project's folder."""
    outside = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"} | variables
    return subprocess.run(list(map(str, command)), cwd=where, env=outside, capture_output=True, text=True)


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> dict[str, Path]:
    """The source distribution of a copy of the project, and the wheel that is built from it."""
    folder = tmp_path_factory.mktemp("built")
    for name in ("pyproject.toml", "README.md"):
        shutil.copy(PROJECT / name, folder)
    shutil.copytree(PROJECT / "paper_code", folder / "paper_code", ignore=shutil.ignore_patterns("__pycache__"))
    found = {}
    for kind, start in (("sdist", folder), ("wheel", None)):
        if start is None:
            with tarfile.open(found["sdist"]) as archive:
                archive.extractall(folder / "unpacked", filter="data")
            (start,) = (folder / "unpacked").iterdir()
        code = f"from setuptools import build_meta; print(build_meta.build_{kind}({str(folder)!r}))"
        done = run(sys.executable, "-c", code, where=start)
        assert done.returncode == 0, done.stderr
        found[kind] = folder / done.stdout.splitlines()[-1]
    return found


def test_both_have_all_of_the_package_and_valid_metadata(built):
    files = {
        path.relative_to(PROJECT).as_posix()
        for path in (PROJECT / "paper_code").rglob("*.*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    with zipfile.ZipFile(built["wheel"]) as archive:
        inside = {name for name in archive.namelist() if ".dist-info/" not in name}
        (name,) = (name for name in archive.namelist() if name.endswith("/METADATA"))
        metadata = archive.read(name)
    assert inside == files
    with tarfile.open(built["sdist"]) as archive:
        assert files <= {name.partition("/")[2] for name in archive.getnames()}
    found = Metadata.from_email(metadata)
    assert found.description == (PROJECT / "README.md").read_text(encoding="utf-8")
    required = [it for it in found.requires_dist if it.marker is None]
    assert {it.name for it in required} == {"numpy", "safetensors"}
    assert email.message_from_bytes(metadata)["Requires-Python"] == "<3.15,>=3.10"


@pytest.fixture(scope="module", params=pythons(), ids=os.path.basename)
def python(request, tmp_path_factory) -> Path:
    """The Python of a fresh environment; pip installs into it from outside."""
    folder = tmp_path_factory.mktemp("fresh")
    done = run(request.param, "-m", "venv", "--without-pip", folder / "fresh", where=folder)
    assert done.returncode == 0, done.stderr
    return folder / "fresh" / "bin" / "python"


@pytest.mark.parametrize("versions", ["oldest", "newest"])
def test_the_core_alone_diagnoses(built, python, tmp_path, versions):
    """From the wheel; the oldest versions come first."""
    install(python, built["wheel"], tmp_path, oldest(python, tmp_path) if versions == "oldest" else NEWEST)
    diagnoses(python, tmp_path)


def test_the_source_distribution_installs_the_same(built, python, tmp_path):
    if "3.11" not in python.resolve().name:
        pytest.skip("the wheel that the other Pythons had was built from it")
    install(python, built["sdist"], tmp_path, ["--no-deps", "--force-reinstall"])
    diagnoses(python, tmp_path)


def diagnoses(python: Path, where: Path) -> None:
    np.save(where / "table.npy", np.diag([2.0, 1, 1, 1]))
    done = run(python.parent / "paper-code", "diagnose", "table.npy", "--json", where=where)
    assert (done.returncode, done.stderr) == (0, "")
    (table,) = json.loads(done.stdout)["tables"]
    assert table["information_abundance"] == pytest.approx(2.5)
    (where / "model.pt").write_bytes(b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.")
    done = run(python.parent / "paper-code", "diagnose", "model.pt", where=where)
    assert "pip install 'paper-code[torch]'" in done.stderr
    code = "import paper_code, sys; print(paper_code.__file__, *sys.path)"
    assert str(PROJECT) not in run(python, "-c", code, where=where).stdout


def oldest(python: Path, where: Path) -> list[str]:
    """The oldest versions that the core allows for that Python, as pip's arguments."""
    code = "import sys; print(*sys.version_info[:2])"
    number = tuple(map(int, run(python, "-c", code, where=where).stdout.split()))
    named = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["dependencies"]
    found = []
    for it in map(Requirement, named):
        (least,) = (specifier.version for specifier in it.specifier if specifier.operator == ">=")
        found.append(f"{it.name}=={OLDEST_WHEEL.get(it.name, {}).get(number, least)}")
    return found


def install(python: Path, what: Path, where: Path, more: list[str]) -> None:
    """Skips without a package index, which continuous integration has."""
    command = ["--python", python, "install", "--quiet", "--disable-pip-version-check"]
    done = run(sys.executable, "-m", "pip", *command, what, *more, where=where)
    if "CI" not in os.environ and ("connection" in done.stderr or "Temporary failure" in done.stderr):
        pytest.skip("no package index is reached from here")
    assert done.returncode == 0, done.stderr
