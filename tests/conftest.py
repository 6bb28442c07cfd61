"""Fixtures of all tests."""

import os
from pathlib import Path

import pytest


@pytest.fixture
def one_thread():
    """PyTorch on one thread, as a sweep trains; what a run in this process sets is given back."""
    from paper_code.runs.execution import cpu_threads

    with cpu_threads(1):
        yield


@pytest.fixture
def same_threads():
    """A run in this process sets its number of threads; give it back."""
    from paper_code.runs.execution import cpu_threads

    with cpu_threads(None):
        yield


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder with real rows of Criteo and Avazu; a test that needs it is skipped where it is absent."""
    folder = Path(os.environ.get("PAPER_CODE_TEST_DATA", Path(__file__).parents[2] / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no real rows: {folder} is not a folder; set PAPER_CODE_TEST_DATA to one that holds them")
    return folder
