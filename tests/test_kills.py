"""A run that is killed at random moments ends as one that nobody killed: the short form of `kills.py`."""

from pathlib import Path

import pytest

from .conftest import TINY
from .kills import main


@pytest.mark.pipeline
def test_killed_at_random_moments(tmp_path: Path) -> None:
    assert main(2, 7, TINY, tmp_path, report=False) == 1
