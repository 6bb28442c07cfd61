"""Fixtures of all tests."""

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder with real rows of Criteo and Avazu; a test that needs it is skipped where it is absent."""
    folder = Path(os.environ.get("PAPER_CODE_TEST_DATA", Path(__file__).parents[2] / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no real rows: {folder} is not a folder; set PAPER_CODE_TEST_DATA to one that holds them")
    return folder
