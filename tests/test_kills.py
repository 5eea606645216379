"""A run that is killed at random moments ends as one that nobody killed: the short form of `kills.py`."""

from pathlib import Path
from typing import Any

import pytest

from .conftest import TINY, TINY_TRACK
from .kills import main

#: Little DNA, too little to learn from: a track is scanned, compared and scored all the same.
SMALL_TRACK = TINY_TRACK | {"simulate": TINY["simulate"], "train": TINY_TRACK["train"] | {"checkpoint_every": 20}}
#: Without motifs de novo, for which every process compiles: a kill would mostly meet the compiler.
SMALL = TINY | {"motifs": {"k": 4, "de_novo": False}}


@pytest.mark.pipeline
@pytest.mark.parametrize("recipe", [SMALL, SMALL_TRACK], ids=["windows", "track"])
def test_killed_at_random_moments(recipe: dict[str, Any], tmp_path: Path) -> None:
    assert main(2, 7, recipe, tmp_path, report=False) == 1
