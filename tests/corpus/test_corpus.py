"""Every broken or odd file gives the message that it must: the table is expected.yaml, the files are in files/."""

import re
import shutil
from importlib.util import find_spec
from pathlib import Path

import pytest
import yaml

from .conftest import Run, check_refused, listing

HERE = Path(__file__).parent
TABLE = yaml.safe_load((HERE / "expected.yaml").read_text(encoding="utf-8"))
FILES = TABLE["files"]


def test_every_file_is_expected_and_there_are_many() -> None:
    assert {path.name for path in (HERE / "files").iterdir()} == set(FILES)
    assert len(FILES) >= 40


def skip_unless_there(kind: str) -> None:
    module = TABLE["kinds"][kind].get("needs", "capsight")
    if not find_spec(module):
        pytest.skip(f"there is no {module}")


@pytest.mark.parametrize("kind", TABLE["kinds"])
def test_the_good_files_are_good(place: Path, run: Run, kind: str) -> None:
    skip_unless_there(kind)
    if kind == "recipe":
        pytest.skip("running the good recipe trains a network: test_pipeline.py does it")
    outcome = run(TABLE["kinds"][kind]["command"])
    assert outcome.code == 0, outcome.said
    assert list(place.glob("out*"))


@pytest.mark.parametrize("name", FILES)
def test_file(place: Path, run: Run, name: str) -> None:
    skip_unless_there(name.partition("-")[0])
    kind, expected = TABLE["kinds"][name.partition("-")[0]], FILES[name]
    shutil.copyfile(HERE / "files" / name, place / kind["stands_for"])
    before = listing(place)
    outcome = run(kind["command"])
    if expected.get("exit") == 0:
        assert outcome.code == 0, outcome.said
        assert re.search(expected["says"], outcome.said), outcome.said
        assert list(place.glob("out*"))
    else:
        check_refused(outcome, expected["says"], before)
