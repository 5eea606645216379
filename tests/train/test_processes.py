"""Two processes that train together: the same curve as one, the same data, one writer, and either goes on as the other.

They are started by torchrun, on CPUs, and meet through gloo.
"""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from capsight import artefact
from capsight.errors import InputError
from capsight.train import processes
from capsight.train.checkpoint import read_checkpoint

from .together import Line, all_stages, fit_line

pytestmark = pytest.mark.pipeline

SCRIPT = Path(__file__).with_name("together.py")


def torchrun(*arguments: object, n: int = 2) -> subprocess.CompletedProcess[str]:
    """Start processes that train together; a late look lets all of them say what they saw when one has ended."""
    command = [
        sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", str(n), "--master-addr", "127.0.0.1",
        "--master-port", "0", "--rdzv-backend", "c10d", "--rdzv-endpoint", "127.0.0.1:0", "--monitor-interval", "3",
    ]  # fmt: skip
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    return subprocess.run(
        [*command, *map(str, arguments)], capture_output=True, text=True, check=False, env=environment, timeout=900
    )


def records(folder: Path) -> list[dict[str, Any]]:
    """Return the log of a training."""
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


@pytest.fixture(scope="module")
def both(motif_windows: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Return all networks as one process trained them, and as two did."""
    folder = tmp_path_factory.mktemp("together")
    for name in ("one", "two"):
        (folder / name).mkdir()
    all_stages(motif_windows, folder / "one")
    done = torchrun(SCRIPT, "stages", folder / "two", motif_windows)
    assert done.returncode == 0, done.stderr[-3000:]
    return folder / "one", folder / "two"


@pytest.mark.parametrize("name", ["pretrained", "model", "track"])
def test_two_processes_have_the_loss_curve_of_one(name: str, both: tuple[Path, Path]) -> None:
    one, two = (records(folder / name) for folder in both)
    assert len(one) == len(two) >= 50
    for a, b in zip(one, two, strict=True):
        assert a.keys() == b.keys()
        assert a["train_loss"] == pytest.approx(b["train_loss"], abs=1e-5), a
        if "validation_loss" in a:
            assert a["validation_loss"] == pytest.approx(b["validation_loss"], abs=1e-5), a
    losses = [record["train_loss"] for record in one]
    assert len(set(losses)) > 40  # they are no constants


@pytest.mark.parametrize("name", ["pretrained", "model", "track"])
def test_the_first_of_them_writes(name: str, both: tuple[Path, Path]) -> None:
    one, two = (folder / name for folder in both)
    assert artefact.read_record(two / "provenance.yaml")["outputs"].keys() == (
        artefact.read_record(one / "provenance.yaml")["outputs"].keys()
    )
    artefact.check_unchanged(two)
    assert not list(two.parent.glob("*.partial"))
    assert len(list((two / "logs").rglob("events*"))) == len(list((one / "logs").rglob("events*")))


@pytest.fixture(scope="module")
def lines(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Train three lines by two processes; the second continues what one process began."""
    folder = tmp_path_factory.mktemp("lines")
    for name in ("whole", "continued", "killed"):
        (folder / name).mkdir()
    with pytest.raises(KeyboardInterrupt):
        fit_line(folder / "continued", Line(19))
    done = torchrun(SCRIPT, "lines", folder)
    assert done.returncode != 0  # one was killed
    assert (folder / "killed" / "process-0.json").is_file(), done.stderr[-3000:]
    return folder


def told(folder: Path, number: int) -> dict[str, Any]:
    """Return what a process said of itself."""
    return json.loads((folder / f"process-{number}.json").read_text())


def weights_of_one(folder: Path) -> list[float]:
    """Train a line in this process."""
    model = fit_line(folder, Line())
    return [float(w) for p in model.parameters() for w in p.detach().flatten()]


def test_data_are_shared_out_without_overlap_or_loss(lines: Path, tmp_path: Path) -> None:
    first, second = (told(lines / "whole", number) for number in (0, 1))
    assert not set(first["read"]) & set(second["read"])
    assert sorted(first["read"] + second["read"]) == list(range(40))
    assert first["weights"] == second["weights"]
    assert first["weights"] == pytest.approx(weights_of_one(tmp_path), abs=1e-5)


def test_two_continue_what_one_began(lines: Path, tmp_path: Path) -> None:
    first, second = (told(lines / "continued", number) for number in (0, 1))
    assert sorted(first["read"] + second["read"]) == list(range(16, 40))  # of the checkpoint after step 8
    assert first["weights"] == second["weights"] == pytest.approx(weights_of_one(tmp_path), abs=1e-5)


def test_one_continues_where_another_of_two_was_killed(lines: Path, tmp_path: Path) -> None:
    ended = told(lines / "killed", 0)["error"]
    assert ended.startswith("KeepsPartial: line: another of the 2 processes that train together has ended (")
    found = read_checkpoint(lines / "killed" / "checkpoint" / "line")
    assert found is not None
    assert found[1]["step"] == 12
    task = Line()
    model = fit_line(lines / "killed", task)
    assert task.read == list(range(24, 40))
    weights = torch.cat([p.detach().flatten() for p in model.parameters()])
    assert weights.tolist() == pytest.approx(weights_of_one(tmp_path), abs=1e-5)


def test_a_mistake_is_reported_once(motif_windows: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "notes.txt").write_text("mine")

    def each(phase: str) -> tuple[str, str]:
        return "--set", f"{phase}.gradient_accumulation_steps=2"

    common = ("-m", "capsight", "pretrain", motif_windows, "-o", tmp_path / "out")
    done = torchrun(*common, *each("full_rank_phase"), *each("relora_phase"))
    errors = [line for line in done.stderr.splitlines() if "error: " in line]
    assert len(errors) == 1, done.stderr
    assert errors[0].startswith(f"error: {tmp_path / 'out'}: holds files and was not made by capsight")
    assert "capsight/" not in "".join(line for line in done.stderr.splitlines() if line.startswith("  File"))
    assert (tmp_path / "out" / "notes.txt").read_text() == "mine"
    assert not list(tmp_path.glob("out.partial"))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"relora_phase__gradient_accumulation_steps": (64, 1)},
            r"relora_phase.gradient_accumulation_steps is 1, and 2 processes cannot share that out evenly "
            r"\(--set relora_phase.gradient_accumulation_steps=2 "
            r"--set relora_phase.batch_size=32 reads the same in every update\)",
        ),
        (
            {"gradient_accumulation_steps": (5, 3)},
            r"gradient_accumulation_steps is 3, .* evenly \(--set gradient_accumulation_steps=2\)",
        ),
    ],
)
def test_an_update_that_cannot_be_shared_out_is_refused(settings: dict[str, tuple[int, int]], message: str) -> None:
    processes.check_shared_out(1, **settings)
    with pytest.raises(InputError, match=message):
        processes.check_shared_out(2, **settings)


@pytest.mark.parametrize("command", ["run", "crossval", "baseline"])
def test_what_one_process_does_is_refused(
    command: str, recipe: Path, motif_windows: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import capsight
    from capsight.config import BaselineConfig, CrossvalConfig

    given = {"RANK": "1", "WORLD_SIZE": "2", "LOCAL_RANK": "1", "MASTER_ADDR": "localhost", "MASTER_PORT": "29500"}
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    calls: dict[str, Callable[[], object]] = {
        "run": lambda: capsight.run(recipe, tmp_path / "out"),
        "crossval": lambda: capsight.crossval(CrossvalConfig(), recipe, tmp_path / "out"),
        "baseline": lambda: capsight.baseline(BaselineConfig(model="cnn"), motif_windows, tmp_path / "out"),
    }
    with pytest.raises(InputError, match=f"^{command} is the work of one process, .* 2 .*without torchrun"):
        calls[command]()
    assert not list(tmp_path.iterdir())
