"""Artefacts appear whole or not at all, and know when they are stale."""

from pathlib import Path

import pytest

from capsight import artefact
from capsight.config import SimulateConfig
from capsight.errors import InputError

CONFIG = SimulateConfig()


def make(out: Path, inputs: dict[str, Path], text: str = "x", config: SimulateConfig = CONFIG) -> None:
    with artefact.building(out, "stage", config, inputs) as folder:
        (folder / "data.txt").write_text(text)


def test_done_only_with_same_settings_inputs_and_bytes(tmp_path: Path) -> None:
    source, out = tmp_path / "in.txt", tmp_path / "out"
    source.write_text("1")
    assert not artefact.is_done(out, "stage", CONFIG, {"source": source})
    make(out, {"source": source})
    assert artefact.is_done(out, "stage", CONFIG, {"source": source})
    assert not artefact.is_done(out, "other", CONFIG, {"source": source})
    assert not artefact.is_done(out, "stage", SimulateConfig(seed=2), {"source": source})
    (out / "data.txt").write_text("tampered")
    assert not artefact.is_done(out, "stage", CONFIG, {"source": source})
    (out / "data.txt").write_text("x")
    source.write_text("2")
    assert not artefact.is_done(out, "stage", CONFIG, {"source": source})


def test_moved_inputs_are_still_the_same(tmp_path: Path) -> None:
    source, moved, out = tmp_path / "in.txt", tmp_path / "moved.txt", tmp_path / "out"
    source.write_text("1")
    make(out, {"source": source})
    source.rename(moved)
    assert artefact.is_done(out, "stage", CONFIG, {"source": moved})


def test_bad_input_leaves_nothing(tmp_path: Path) -> None:
    out = tmp_path / "out"
    with pytest.raises(InputError), artefact.building(out, "stage", CONFIG, {}) as folder:
        (folder / "half").write_text("half")
        raise InputError("bad")
    assert list(tmp_path.iterdir()) == []


def test_interruption_keeps_the_checkpoint_for_the_same_settings_only(tmp_path: Path) -> None:
    out = tmp_path / "out"
    with pytest.raises(KeyboardInterrupt), artefact.building(out, "stage", CONFIG, {}) as folder:
        (folder / "checkpoint").mkdir()
        raise KeyboardInterrupt
    assert not out.exists()
    with artefact.building(out, "stage", CONFIG, {}) as folder:
        assert (folder / "checkpoint").is_dir()
    assert not (out / "checkpoint").exists()
    with pytest.raises(KeyboardInterrupt), artefact.building(out, "stage", CONFIG, {}) as folder:
        (folder / "checkpoint").mkdir()
        raise KeyboardInterrupt
    with artefact.building(out, "stage", SimulateConfig(seed=9), {}) as folder:
        assert not (folder / "checkpoint").exists()


def test_foreign_folders_are_never_replaced(tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "thesis.tex").write_text("years of work")
    with pytest.raises(InputError, match="was not made by capsight"):
        make(out, {})
    assert (out / "thesis.tex").read_text() == "years of work"


def test_folder_checksum_covers_its_files(tmp_path: Path) -> None:
    make(tmp_path / "a", {})
    make(tmp_path / "b", {})
    make(tmp_path / "c", {}, text="other")
    a, b, c = (artefact.sha256(tmp_path / name) for name in "abc")
    assert a == b != c


def test_unfinished_folder_is_no_input(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="not a finished capsight artefact"):
        artefact.sha256(tmp_path)


def test_writing_renames_or_removes(tmp_path: Path) -> None:
    target = tmp_path / "out.tsv"
    with pytest.raises(ValueError, match="broken"), artefact.writing(target) as partial:
        partial.write_text("half")
        raise ValueError("broken")
    assert list(tmp_path.iterdir()) == []
    with artefact.writing(target) as partial:
        partial.write_text("whole")
    assert [p.name for p in tmp_path.iterdir()] == ["out.tsv"]


def test_writing_into_a_missing_folder_says_so(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such folder"), artefact.writing(tmp_path / "no" / "out.tsv"):
        pass
