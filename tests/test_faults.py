"""Faults of disk, clock and memory: one line each, nothing lost, and never another answer in silence.

`CAPSIGHT_FAULTS=100 pytest tests/test_faults.py` damages each kind of file a hundred times, at random places.
"""

import os
import random
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Generator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file, save_file

from capsight import artefact
from capsight.config import FinetuneConfig, ScanConfig, WindowsConfig
from capsight.data.attributions import Attributions
from capsight.data.windows.stage import windows
from capsight.data.windows.windows import Windows
from capsight.errors import CapsightError
from capsight.model.classifier import start_classifier
from capsight.model.track_folder import load_track
from capsight.predict.scan import scan
from capsight.train.checkpoint import read_checkpoint, write_checkpoint
from capsight.train.finetune import finetune

from .conftest import save_tiny_track

TIMES = int(os.environ.get("CAPSIGHT_FAULTS", "5"))

Read = Callable[[], Any]


def _weights(model: torch.nn.Module) -> bytes:
    return b"".join(p.detach().numpy().tobytes() for p in model.state_dict().values())


def _track(folder: Path, _: Path, __: Path) -> tuple[Path, Read]:
    model = save_tiny_track(folder / "model")
    return model / "model.safetensors", lambda: _weights(load_track(model)[0])


def _card(folder: Path, _: Path, __: Path) -> tuple[Path, Read]:
    model = save_tiny_track(folder / "model")
    return model / "capsight.json", lambda: load_track(model)[1].model_dump_json()


def _window(folder: Path, _: Path, pretrained: Path) -> tuple[Path, Read]:
    copy = Path(shutil.copytree(pretrained, folder / "pretrained"))
    return copy / "model.safetensors", lambda: _weights(start_classifier(copy, 1))


def _parquet(folder: Path, motif_windows: Path, _: Path) -> tuple[Path, Read]:
    copy = Path(shutil.copytree(motif_windows, folder / "windows"))

    def read() -> bytes:
        data = Windows.open(copy).fold("train")
        return data.codes(np.arange(len(data.table))).tobytes() + data.labels.tobytes()

    return copy / "windows.parquet", read


def _checkpoint(folder: Path, _: Path, __: Path) -> tuple[Path, Read]:
    tensors = {"weights/a": torch.arange(500.0)}
    write_checkpoint(folder / "checkpoint", tensors, {"step": 4})
    write_checkpoint(folder / "checkpoint", tensors, {"step": 8})

    def read() -> Any:
        found = read_checkpoint(folder / "checkpoint")
        return None if found is None else (found[0]["weights/a"].tolist(), found[1])

    return folder / "checkpoint" / "tensors.safetensors", read


FILES: dict[str, Callable[[Path, Path, Path], tuple[Path, Read]]] = {
    "weights of the track network": _track,
    "card of the track network": _card,
    "weights of the window network": _window,
    "windows.parquet": _parquet,
    "checkpoint": _checkpoint,
}


def cut(data: bytes, rng: random.Random) -> bytes:
    return data[: rng.randrange(len(data))]


def flip(data: bytes, rng: random.Random) -> bytes:
    changed = bytearray(data)
    changed[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    return bytes(changed)


@pytest.mark.parametrize("damage", [cut, flip])
@pytest.mark.parametrize("file", FILES)
def test_a_damaged_file_is_refused_in_one_line(
    file: str, damage: Callable[[bytes, random.Random], bytes], motif_windows: Path, pretrained: Path, tmp_path: Path
) -> None:
    path, read = FILES[file](tmp_path, motif_windows, pretrained)
    whole, rng = path.read_bytes(), random.Random(f"{file} {damage.__name__}")
    expected = read()
    for _ in range(TIMES):
        path.write_bytes(damage(whole, rng))
        with pytest.raises(CapsightError) as caught:
            read()
        assert "\n" not in str(caught.value)
        assert path.parent.name in str(caught.value)
    path.write_bytes(whole)
    assert read() == expected  # nothing else was touched


def test_a_cut_base_store_is_built_anew(motif_windows: Path, tmp_path: Path) -> None:
    genome = Path(shutil.copy(motif_windows.parent / "genome.fa", tmp_path))
    config = WindowsConfig(genome=genome, peaks=motif_windows.parent / "peaks.bed", length=64, validation=("chr2",),
                           test=("chr3",), exclusion_bp=10)  # fmt: skip
    data = Windows.open(windows(config, tmp_path / "windows")).fold("train")
    expected = data.codes(np.arange(len(data.table)))
    store = next((tmp_path / "genome.fa.capsight").glob("bases.*"))
    whole, rng = store.read_bytes(), random.Random(3)
    for _ in range(TIMES):
        store.write_bytes(cut(whole, rng))
        again = Windows.open(tmp_path / "windows").fold("train")
        np.testing.assert_array_equal(again.codes(np.arange(len(again.table))), expected)
        assert store.read_bytes() == whole


def test_a_bit_that_flips_in_a_base_store_is_reported(motif_windows: Path, tmp_path: Path) -> None:
    genome = Path(shutil.copy(motif_windows.parent / "genome.fa", tmp_path))
    config = WindowsConfig(genome=genome, peaks=motif_windows.parent / "peaks.bed", length=64, validation=("chr2",),
                           test=("chr3",), exclusion_bp=10)  # fmt: skip
    windows(config, tmp_path / "windows")
    store = next((tmp_path / "genome.fa.capsight").glob("bases.*"))
    whole, rng = store.read_bytes(), random.Random(4)
    for _ in range(TIMES):
        store.write_bytes(flip(whole, rng))
        data = Windows.open(tmp_path / "windows").fold("train")
        with pytest.raises(CapsightError, match=r"\.u8: the genome store is damaged \(delete the folder") as caught:
            data.codes(np.arange(len(data.table)))
        assert "\n" not in str(caught.value)
    shutil.rmtree(store.parent)
    data = Windows.open(tmp_path / "windows").fold("train")
    data.codes(np.arange(len(data.table)))
    assert next((tmp_path / "genome.fa.capsight").glob("bases.*")).read_bytes() == whole


def test_an_input_that_was_changed_between_two_stages_is_named(motif_windows: Path, tmp_path: Path) -> None:
    genome = Path(shutil.copy(motif_windows.parent / "genome.fa", tmp_path))
    config = WindowsConfig(genome=genome, peaks=motif_windows.parent / "peaks.bed", length=64, validation=("chr2",),
                           test=("chr3",), exclusion_bp=10)  # fmt: skip
    made = windows(config, tmp_path / "windows")
    text = genome.read_text()
    genome.write_text(text[:5000] + ("A" if text[5000] != "A" else "C") + text[5001:])
    with pytest.raises(CapsightError, match=r"genome\.fa") as caught:
        Windows.open(made).fold("train").codes(np.arange(3))
    assert "\n" not in str(caught.value)


def _other_windows(folder: Path, motif_windows: Path, pretrained: Path) -> tuple[Path, Read]:
    path, _ = _parquet(folder, motif_windows, pretrained)
    table = pd.read_parquet(path)
    table.iloc[:-1].to_parquet(path, index=False)
    return path, lambda: finetune(FinetuneConfig(), path.parent, pretrained, folder / "out")


def _other_pretrained(folder: Path, motif_windows: Path, pretrained: Path) -> tuple[Path, Read]:
    path, _ = _window(folder, motif_windows, pretrained)
    save_file({name: 2 * weights for name, weights in load_file(path).items()}, path, metadata={"format": "pt"})
    return path, lambda: finetune(FinetuneConfig(), motif_windows, path.parent, folder / "out")


def _other_track(folder: Path, motif_windows: Path, _: Path) -> tuple[Path, Read]:
    model, other = save_tiny_track(folder / "model"), save_tiny_track(folder / "other", seed=2)
    shutil.copy(other / "model.safetensors", model)
    genome = motif_windows.parent / "genome.fa"
    return model / "model.safetensors", lambda: scan(ScanConfig(), model, genome, folder / "out")


@pytest.mark.parametrize("change", [_other_windows, _other_pretrained, _other_track])
def test_a_result_that_was_changed_between_two_stages_is_named(
    change: Callable[[Path, Path, Path], tuple[Path, Read]], motif_windows: Path, pretrained: Path, tmp_path: Path
) -> None:
    """Change it into what could be read: of the three, only the checksum knows that it is another."""
    path, read = change(tmp_path, motif_windows, pretrained)
    with pytest.raises(CapsightError, match=r"was changed after it was made \(make it again\)$") as caught:
        read()
    assert str(caught.value).startswith(f"{path}: ")
    assert not list(tmp_path.glob("out*"))


@pytest.mark.parametrize("by", [-10 * 365 * 86_400, 10 * 365 * 86_400], ids=["set back", "set forward"])
def test_the_clock_decides_nothing(by: int, motif_windows: Path, tmp_path: Path) -> None:
    """Give all files another time: work that is done stays done, and the result is the same."""
    folder = motif_windows.parent
    for name in ("genome.fa", "peaks.bed"):
        shutil.copy(folder / name, tmp_path)
    config = WindowsConfig(genome=tmp_path / "genome.fa", peaks=tmp_path / "peaks.bed", length=64,
                           validation=("chr2",), test=("chr3",), exclusion_bp=10)  # fmt: skip
    out = windows(config, tmp_path / "windows")
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    for path in tmp_path.rglob("*"):
        now = path.stat().st_mtime
        os.utime(path, (now + by, now + by))
    stamp = (out / "windows.parquet").stat().st_mtime_ns
    windows(config, tmp_path / "windows")
    assert (out / "windows.parquet").stat().st_mtime_ns == stamp
    artefact.check_unchanged(out)
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before


#: Trains within a limit of memory that its second batch breaks.
GREEDY = """
import resource, sys
from pathlib import Path
import torch
from torch import nn
from capsight.config import PhaseConfig
from capsight.errors import KeepsPartial
from capsight.train.loop import Plan, fit

class Task:
    tokens_per_batch = 1
    def batch(self, index):
        return {"x": torch.zeros(1 if index < 2 else 1 << 30, 1)}
    def loss(self, model, batch):
        return model(batch["x"]).square().mean()
    def validate(self, model, device):
        return {"error": 0.0}

phase = PhaseConfig(steps=5)
plan = Plan(name="greedy", phase=phase, schedule=lambda t: 1.0, seed=1, checkpoint_every=1, evaluate_every=9)
if len(sys.argv) == 2:
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + (1 << 30), used + (1 << 30)))
else:
    Path(sys.argv[2]).write_text("0")  # this process
try:
    fit(nn.Linear(1, 1), Task(), plan, Path(sys.argv[1]))
except KeepsPartial as error:
    print(error)
"""


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs Linux")
@pytest.mark.pipeline
def test_a_limit_of_memory_keeps_the_last_checkpoint(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", GREEDY, str(tmp_path)], capture_output=True, text=True, check=True,
        env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)},
    )  # fmt: skip
    assert done.stdout.startswith("greedy: there is not enough memory for step 3 (lower batch_size and raise ")
    found = read_checkpoint(tmp_path / "checkpoint" / "greedy")
    assert found is not None
    assert found[1]["step"] == 2


@pytest.fixture
def cgroup() -> Generator[Path]:
    """Make a control group of 2 GiB of memory; the file that takes processes into it."""
    for parent, limit in (("/sys/fs/cgroup/memory", "memory.limit_in_bytes"), ("/sys/fs/cgroup", "memory.max")):
        folder = Path(parent) / f"capsight-{os.getpid()}"
        try:
            folder.mkdir()
            (folder / limit).write_text(str(2 << 30))
        except OSError:
            with suppress(OSError):
                folder.rmdir()
            continue
        yield folder / "cgroup.procs"
        folder.rmdir()
        return
    pytest.skip("control groups of memory need root and Linux")


@pytest.mark.pipeline
def test_a_limit_of_memory_that_the_kernel_keeps_leaves_the_last_checkpoint(cgroup: Path, tmp_path: Path) -> None:
    for _ in range(min(TIMES, 3)):
        shutil.rmtree(tmp_path / "checkpoint", ignore_errors=True)
        done = subprocess.run(
            [sys.executable, "-c", GREEDY, str(tmp_path), str(cgroup)], capture_output=True, text=True, check=False,
            env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)},
        )  # fmt: skip
        assert done.returncode == -signal.SIGKILL, done.stderr
        found = read_checkpoint(tmp_path / "checkpoint" / "greedy")
        assert found is not None
        assert found[1]["step"] == 2


@pytest.mark.parametrize("damage", [cut, flip])
def test_damaged_attributions_are_refused_or_read_as_they_were(
    damage: Callable[[bytes, random.Random], bytes], tmp_path: Path
) -> None:
    """A bit that nobody reads, such as one of a time of day within the NPZ file, may flip."""
    n, length, dna = 20, 64, np.random.default_rng(0)
    path = Attributions(
        codes=dna.integers(0, 4, (n, length)).astype(np.uint8), score=dna.random(n).astype(np.float32),
        label=(np.arange(n) % 2).astype(np.int8), chrom=np.full(n, "chrI"), strand=np.full(n, "+"),
        start=np.arange(n) * 10, end=np.arange(n) * 10 + length,
        methods={"ig": dna.random((n, length)).astype(np.float32)},
        meta={"model_sha256": "m", "windows_sha256": "w", "fold": "test", "faithfulness": {}, "best_method": "ig",
              "window_length": length},
    ).write(tmp_path / "attributions.npz")  # fmt: skip
    whole, expected, rng = path.read_bytes(), Attributions.read(path), random.Random(5)
    refused: list[str] = []
    for _ in range(TIMES):
        path.write_bytes(damage(whole, rng))
        try:
            found = Attributions.read(path)
        except CapsightError as error:
            refused.append(str(error))
        else:
            np.testing.assert_array_equal(found.methods["ig"], expected.methods["ig"])
            for name in ("codes", "score", "label", "chrom", "strand", "start", "end"):
                np.testing.assert_array_equal(getattr(found, name), getattr(expected, name))
    assert len(refused) == TIMES if damage is cut else refused
    assert all(line.startswith(f"{path}: ") and "\n" not in line for line in refused)
