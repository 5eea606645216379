"""Artefacts appear whole or not at all, and know when they are stale."""

import json
from pathlib import Path

import pytest
from pydantic import BaseModel

from capsight import artefact
from capsight.artefact import folder as folders
from capsight.config import PretrainConfig, SimulateConfig
from capsight.errors import DamagedCheckpoint, InputError
from capsight.output import folder_name, writing

CONFIG = SimulateConfig()


def make(out: Path, inputs: dict[str, Path], text: str = "x", config: SimulateConfig = CONFIG) -> None:
    with artefact.atomic_dir(out, "stage", config, inputs) as folder:
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
    with pytest.raises(InputError), artefact.atomic_dir(out, "stage", CONFIG, {}) as folder:
        (folder / "half").write_text("half")
        raise InputError("bad")
    assert list(tmp_path.iterdir()) == []


def interrupt(out: Path, config: BaseModel = CONFIG, step: int = 300) -> None:
    """Leave an unfinished training behind."""
    with pytest.raises(KeyboardInterrupt), artefact.atomic_dir(out, "stage", config, {}) as folder:
        (folder / "checkpoint" / "main").mkdir(parents=True, exist_ok=True)
        (folder / "checkpoint" / "main" / "state.json").write_text(json.dumps({"step": step}))
        (folder / "half").write_text("half")
        raise KeyboardInterrupt


def test_an_interrupted_training_continues_from_its_checkpoint_alone(tmp_path: Path) -> None:
    out = tmp_path / "out"
    interrupt(out)
    assert not out.exists()
    with artefact.atomic_dir(out, "stage", CONFIG, {}) as folder:
        assert (folder / "checkpoint" / "main" / "state.json").is_file()
        assert not (folder / "half").exists()
    assert [p.name for p in out.iterdir()] == ["provenance.yaml"]


def test_a_training_of_other_settings_is_given_up_only_if_asked(tmp_path: Path) -> None:
    out, other = tmp_path / "out", SimulateConfig(seed=9)
    interrupt(out)
    with (
        pytest.raises(InputError, match=r"unfinished stage of other settings \(main at step 300\): seed was 1, is 9"),
        artefact.atomic_dir(out, "stage", other, {}),
    ):
        pass
    assert (tmp_path / "out.partial" / "checkpoint" / "main" / "state.json").is_file()
    token = artefact.RESTART.set(True)
    try:
        with artefact.atomic_dir(out, "stage", other, {}) as folder:
            assert not (folder / "checkpoint").exists()
    finally:
        artefact.RESTART.reset(token)


def test_a_setting_that_changes_no_result_neither_restarts_nor_repeats(tmp_path: Path) -> None:
    out = tmp_path / "out"
    first, second = (PretrainConfig(checkpoint_every=every) for every in (100, 60))
    interrupt(out, first)
    with artefact.atomic_dir(out, "stage", second, {}) as folder:
        assert (folder / "checkpoint" / "main").is_dir()
        (folder / "data.txt").write_text("x")
    assert artefact.is_done(out, "stage", first, {})
    assert not artefact.is_done(out, "stage", PretrainConfig(evaluate_every=7), {})


def test_interrupted_work_without_a_checkpoint_leaves_nothing(tmp_path: Path) -> None:
    for error in (KeyboardInterrupt, ValueError("a bug"), OSError(28, "No space left on device")):
        with (
            pytest.raises((KeyboardInterrupt, ValueError, InputError)),
            artefact.atomic_dir(tmp_path / "a" / "out", "stage", CONFIG, {}) as folder,
        ):
            (folder / "half").write_text("half")
            raise error
        assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("error", [
    OSError(28, "No space left on device"), OSError(122, "Disk quota exceeded"),
    RuntimeError("I/O error: No space left on device (os error 28)"),
])  # fmt: skip
def test_a_full_disk_is_one_line_and_keeps_the_checkpoint(error: Exception, tmp_path: Path) -> None:
    with (
        pytest.raises(InputError, match="out: no space is left on the disk"),
        artefact.atomic_dir(tmp_path / "out", "stage", CONFIG, {}) as folder,
    ):
        (folder / "checkpoint").mkdir()
        raise error
    assert (tmp_path / "out.partial" / "checkpoint").is_dir()


def test_a_damaged_checkpoint_keeps_all_of_the_unfinished_work(tmp_path: Path) -> None:
    interrupt(tmp_path / "out")
    with pytest.raises(DamagedCheckpoint), artefact.atomic_dir(tmp_path / "out", "stage", CONFIG, {}):
        raise DamagedCheckpoint("bad")
    assert (tmp_path / "out.partial" / "checkpoint" / "main" / "state.json").is_file()


def test_killed_between_the_end_and_the_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "out"
    make(out, {}, "old", SimulateConfig(seed=2))
    with monkeypatch.context() as patch:
        patch.setattr(folders, "_swap", lambda *_: None)  # as if the process had ended before
        with artefact.atomic_dir(out, "stage", CONFIG, {}) as folder:
            (folder / "checkpoint").mkdir()
            (folder / "checkpoint" / "weights").write_text("days")
            (folder / "data.txt").write_text("new")
    assert (out / "data.txt").read_text() == "old"
    assert not artefact.is_done(out, "stage", SimulateConfig(seed=3), {})
    assert artefact.is_done(out, "stage", CONFIG, {})
    assert (out / "data.txt").read_text() == "new"
    assert [p.name for p in out.iterdir() if p.name != "provenance.yaml"] == ["data.txt"]
    assert [p.name for p in tmp_path.iterdir()] == ["out"]


def test_killed_while_the_old_result_is_replaced(tmp_path: Path) -> None:
    out = tmp_path / "out"
    make(out, {}, "old")
    out.rename(tmp_path / ".out.replaced")  # as a kill between the two renames leaves it
    make(out, {}, "new", SimulateConfig(seed=2))
    assert (out / "data.txt").read_text() == "new"
    assert [p.name for p in tmp_path.iterdir()] == ["out"]


def test_foreign_folders_are_never_replaced(tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "thesis.tex").write_text("years of work")
    with pytest.raises(InputError, match="was not made by capsight"):
        make(out, {})
    assert (out / "thesis.tex").read_text() == "years of work"


def test_a_base_store_in_a_folder_is_no_file_of_the_users(tmp_path: Path) -> None:
    out = tmp_path / "out"
    make(out, {}, "old")
    store = out / "genome.fa.capsight"
    store.mkdir()
    (store / "index.json").write_text("{}")
    make(out, {}, "new", SimulateConfig(seed=2))
    assert (out / "data.txt").read_text() == "new"
    store.mkdir()
    (store / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match=r"would be lost \(genome.fa.capsight/notes.txt\)"):
        make(out, {})


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
    with pytest.raises(ValueError, match="broken"), writing(target) as partial:
        partial.write_text("half")
        raise ValueError("broken")
    assert list(tmp_path.iterdir()) == []
    with writing(target) as partial:
        partial.write_text("whole")
    assert [p.name for p in tmp_path.iterdir()] == ["out.tsv"]


def test_a_fault_of_another_file_is_not_one_of_the_output(tmp_path: Path) -> None:
    for write in (writing(tmp_path / "out.tsv"), artefact.atomic_file(tmp_path / "out.tsv", "stage", CONFIG, {})):
        with pytest.raises(FileNotFoundError, match="input"), write:
            (tmp_path / "input").read_text()
    with (
        pytest.raises(InputError, match=r"n: cannot be written: File name too long"),
        writing(tmp_path / ("n" * 250)) as partial,
    ):
        partial.write_text("x")
    assert list(tmp_path.iterdir()) == []


def test_writing_into_a_missing_folder_says_so(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such folder"), writing(tmp_path / "no" / "out.tsv"):
        pass


def test_names_of_contigs_as_folders() -> None:
    names = ["chr1", "a/b", "a_b", "a%2Fb", ".", "..", "chr[red]", "HLA-A*01:01", "große"]
    folders = [folder_name(name) for name in names]
    assert folders[:3] == ["chr1", "a%2Fb", "a_b"]
    assert len(set(folders)) == len(names)
    assert not {".", "..", ""} & set(folders)
    assert not any("/" in folder for folder in folders)
