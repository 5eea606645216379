"""Models are found by folder first, then by the name under which they are shipped."""

from pathlib import Path

import pytest

from capsight import shipped
from capsight.errors import InputError


@pytest.fixture
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Ship two models called toy and other."""
    for name in ("toy", "other"):
        (tmp_path / "models" / name).mkdir(parents=True)
    (tmp_path / "models" / "notes.md").touch()
    monkeypatch.setattr(shipped, "_FOLDER", tmp_path / "models")
    return tmp_path / "models"


def test_a_name_finds_the_shipped_model(models: Path) -> None:
    assert shipped.shipped_models() == ["other", "toy"]
    assert shipped.find_model(Path("toy")) == models / "toy"


def test_a_folder_of_that_name_comes_first(models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "work" / "toy").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "work")
    assert shipped.find_model(Path("toy")) == Path("toy")


@pytest.mark.parametrize("given", ["nothing", "sub/toy", "notes.md", "to"])
def test_what_is_neither_is_refused_with_the_names(models: Path, given: str) -> None:
    with pytest.raises(InputError, match="there is no such model folder") as caught:
        shipped.find_model(Path(given))
    assert "other, toy" in str(caught.value)
