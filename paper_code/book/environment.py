"""Set up the environment of the book in `.venv`, with the versions of the lock file; build the book, and test, there.

Python's own library is all that is imported: it runs where nothing is installed yet, and where there is no make.
"""

import os
import re
import shutil
import subprocess
import sys
import venv
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]
LOCK, WITHOUT_CUDA = PROJECT / ".github" / "requirements.txt", PROJECT / ".github" / "torch-cpu.txt"
VENV = PROJECT / ".venv"
BIN = VENV / ("Scripts" if os.name == "nt" else "bin")
LOCKED_FOR = (3, 11)
"""The Python that the versions of the lock file are for."""

TWO_AT_ONCE = {"LOKY_MAX_CPU_COUNT": "2"} | {f"{name}_NUM_THREADS": "1" for name in ("OMP", "OPENBLAS", "MKL")}
"""Set for the tests, which two processes share: on a machine that shows more cores than it gives, as many threads as it
shows would wait for each other."""

OF_CUDA = re.compile(r"(torch|triton)==|(nvidia|cuda)-")
"""What the lock file has for PyTorch with CUDA, by how its entries begin."""


def set_up() -> None:
    """Make `.venv` anew, unless it has what the lock file and pyproject.toml say.

    SystemExit: this is not the Python that the lock file is for.
    """
    installed, said = VENV / "installed", (LOCK, PROJECT / "pyproject.toml")
    if installed.exists() and installed.stat().st_mtime >= max(path.stat().st_mtime for path in said):
        return
    if sys.version_info[:2] != LOCKED_FOR:
        wanted, found = ".".join(map(str, LOCKED_FOR)), sys.version.split()[0]
        raise SystemExit(
            f"Python {wanted} is needed, this is {found}: make PYTHON=/path/to/python{wanted}, or start "
            "`python -m paper_code.book` with that one"
        )
    chosen = requirements(os.environ.get("TORCH", ""))
    venv.create(VENV, clear=True, with_pip=True)  # what an earlier try has left there would stay beside it
    (VENV / "requirements.txt").write_text(chosen, encoding="utf-8")
    pip = ("python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check")
    run(*pip, "--require-hashes", "--requirement", VENV / "requirements.txt")
    run(*pip, "--no-deps", "--no-build-isolation", "--editable", PROJECT)
    installed.touch()


def requirements(torch: str) -> str:
    """What is installed; torch: "cpu" for PyTorch without CUDA, "" for what the lock file has."""
    if torch not in ("", "cpu"):
        raise SystemExit(f"TORCH={torch}: expected cpu, or nothing for the PyTorch of {LOCK.name}")
    locked = LOCK.read_text(encoding="utf-8")
    if not torch:
        return locked
    entries = [entry for entry in re.split(r"\n(?=\w)", locked) if not OF_CUDA.match(entry)]
    return "\n".join([*entries, WITHOUT_CUDA.read_text(encoding="utf-8")])


def run(program: str, *arguments: object) -> None:
    """Run a program of `.venv` in the project's folder; SystemExit with its status unless that is 0."""
    status = subprocess.run([BIN / program, *map(str, arguments)], cwd=PROJECT).returncode
    if status:
        raise SystemExit(status)


def build() -> None:
    """Execute the notebooks and build the pages that have changed since the last time.

    A page with a warning is kept by Sphinx as read, so that the next try would be silent: then all are read again.
    """
    set_up()
    run("python", "-m", "paper_code.book", "execute")
    try:
        where = ("_build/book", "--config", "_config.yml", "--path-output", ".")
        run("jupyter-book", "build", *where, "-W", "--keep-going", "-q")
    except SystemExit:
        shutil.rmtree(PROJECT / "_build" / ".doctrees", ignore_errors=True)
        raise
    print(f"The book: {PROJECT / '_build' / 'html' / 'index.html'}")


def test() -> None:
    """Lint, unit tests, and the notebooks, which must print what is committed."""
    set_up()
    run("ruff", "check", ".")
    run("ruff", "format", "--check", ".")
    for name, value in TWO_AT_ONCE.items():
        os.environ.setdefault(name, value)
    two = ("--numprocesses", "2", "--dist", "loadfile")
    run("pytest", *two)
    run("pytest", "--nbval", "book", *two)


ACTIONS = {"set-up": set_up, "build": build, "test": test}
