"""The commands run where the system has no `fcntl`, `resource` and `select.poll` and the C library no tuning."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

HIDE = """
import ctypes, pathlib, select, sys, warnings

def no_library(name, *arguments, **keywords):
    raise TypeError("the C library is no file")

def absent(path, *arguments, **keywords):
    if str(path).startswith("/proc"):
        raise FileNotFoundError(path)
    return read_text(path, *arguments, **keywords)

read_text, pathlib.Path.read_text = pathlib.Path.read_text, absent
sys.modules |= {"fcntl": None, "resource": None}
del select.poll
ctypes.CDLL = no_library
warnings.filterwarnings("ignore", "only soft file lock is available")  # of filelock, which Windows has another lock for
from paper_code.cli import main
sys.exit(main(sys.argv[1:]))
"""


def run(*arguments: object, before: str = "") -> str:
    """before: what is imported while nothing is hidden, as it would not need it there."""
    command = [sys.executable, "-c", before + HIDE, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_help_is_shown():
    assert "diagnose" in run("--help")


def test_tables_are_diagnosed(tmp_path):
    np.save(tmp_path / "table.npy", np.eye(4))
    (table,) = json.loads(run("diagnose", tmp_path / "table.npy", "--json"))["tables"]
    assert table["information_abundance"] == pytest.approx(4)


def test_a_log_is_prepared_and_a_model_trained(tmp_path):
    """Where neither /proc nor `resource` tells the peak of memory, psutil does; it has its own ways on Windows."""
    rows = "".join(f"{row % 2},{row % 3},{row % 5}\n" for row in range(400))
    (tmp_path / "log.csv").write_text("label,a,b\n" + rows)
    where = ["--data-dir", tmp_path / "data"]
    run("prepare", "table", tmp_path / "log.csv", "--label", "label", "--name", "mine", *where, before="import polars")
    trained = ["--dataset", "mine", "--model", "dcnv2", "--profile", "smoke", "--results-dir", tmp_path / "runs"]
    found = json.loads(run("train", *trained, "--device", "cpu", "--json", *where, before="import psutil, torch"))
    record = json.loads(Path(found["record"]).read_text())
    assert record["provenance"]["peak_memory_mib"] > 0
