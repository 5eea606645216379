"""Trackers: TensorBoard by default, wandb only where it is asked for, and neither where none is."""

import errno
import json
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from capsight.artefact import check_replaceable
from capsight.config import FinetuneConfig, PhaseConfig, PretrainConfig
from capsight.config.track import TrainConfig
from capsight.errors import InputError
from capsight.train import tracking as module
from capsight.train.finetune import finetune
from capsight.train.pretrain import pretrain
from capsight.train.track.train import train

#: A package in place of wandb: writes down how it was called.
FAKE = """
import json, pathlib
__version__ = "0.0"
config = {}
class Run:
    def __init__(self, given):
        self.file = pathlib.Path(given["dir"]) / "wandb" / "calls.json"
        self.file.parent.mkdir(parents=True, exist_ok=True)
        self.calls = [given]
    def log(self, values, step=None):
        self.calls.append({"step": step, **values})
    def finish(self):
        self.file.write_text(json.dumps(self.calls))
def init(**given):
    return Run(given)
"""

TINY = PretrainConfig(
    model={"width": 16, "mlp_size": 24, "layers": 1, "heads": 2, "stem_channels": 8, "stem_blocks": 1, "downsample": 4},
    corpus="windows",
    full_rank_phase=PhaseConfig(steps=0), relora_phase=PhaseConfig(steps=3, batch_size=4, warmup_steps=1),
    relora=False, validation_windows=8, evaluate_every=2,
)  # fmt: skip


@pytest.fixture
def wandb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put a package in place of wandb."""
    folder = tmp_path / "packages" / "wandb"
    folder.mkdir(parents=True)
    (folder / "__init__.py").write_text(FAKE)
    monkeypatch.syspath_prepend(folder.parent)
    monkeypatch.delitem(sys.modules, "wandb", raising=False)
    for name in ("WANDB_MODE", "WANDB_API_KEY", "WANDB_PROJECT"):
        monkeypatch.delenv(name, raising=False)


def track(tracking: str, windows: Path, out: Path) -> Path:
    return pretrain(TINY.model_copy(update={"tracking": tracking}), windows, out)


@pytest.mark.parametrize("online", [False, True])
def test_wandb_is_told_and_stays_offline_unless_it_is_set_up(
    online: bool, wandb: None, motif_windows: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if online:
        monkeypatch.setenv("WANDB_API_KEY", "key")
        monkeypatch.setenv("WANDB_PROJECT", "mine")
    out = track("wandb", motif_windows, tmp_path / "out")
    began, *told = json.loads((out / "logs" / "relora_phase" / "wandb" / "calls.json").read_text())
    assert began["project"] == ("mine" if online else "capsight")
    assert began["name"] == "out-relora_phase"
    assert began.get("mode") == (None if online else "offline")
    assert [record["step"] for record in told if "validation/validation_loss" in record] == [2, 3]
    assert not list(out.rglob("events.out*"))
    check_replaceable(out, "pretrain")  # what wandb wrote is not taken for the user's


def test_tensorboard_is_the_default_and_none_writes_nothing(motif_windows: Path, tmp_path: Path) -> None:
    assert TINY.tracking == FinetuneConfig().tracking == TrainConfig().tracking == "tensorboard"
    assert list(track("tensorboard", motif_windows, tmp_path / "board").rglob("events.out*"))
    out = track("none", motif_windows, tmp_path / "none")
    assert [path.name for path in (out / "logs").rglob("*") if path.is_file()] == ["seconds.json"]
    same = [(tmp_path / name / "model.safetensors").read_bytes() for name in ("board", "none")]
    assert same[0] == same[1]


@pytest.mark.parametrize("stage", ["pretrain", "finetune", "train"])
def test_a_missing_package_is_one_line_before_any_work(
    stage: str, motif_windows: Path, pretrained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "find_spec", lambda name: None)
    calls = {
        "pretrain": lambda: pretrain(PretrainConfig(tracking="wandb"), motif_windows, tmp_path / "out"),
        "finetune": lambda: finetune(FinetuneConfig(tracking="wandb"), motif_windows, pretrained, tmp_path / "out"),
        "train": lambda: train(TrainConfig(tracking="wandb"), motif_windows, tmp_path / "out"),
    }
    with pytest.raises(InputError, match=r"^tracking=wandb needs the package wandb, which is not installed \(pip"):
        calls[stage]()
    assert not list(tmp_path.iterdir())


@pytest.mark.pipeline
def test_no_tracker_is_imported_unless_it_is_asked_for() -> None:
    code = (
        "import sys, capsight.train.loop, capsight.train.pretrain, capsight.train.track.train\n"
        "found = {'tensorboard', 'wandb'} & {name.split('.')[0] for name in sys.modules}\n"
        "sys.exit(f'imported {found}' if found else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_fault_of_tensorboards_thread_is_raised_and_not_printed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tensorboard.summary.writer.record_writer import RecordWriter

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    reported: list[threading.ExceptHookArgs] = []
    monkeypatch.setattr(threading, "excepthook", reported.append)
    report = threading.excepthook
    with module.Tracker("tensorboard", tmp_path, "line") as tracker:
        monkeypatch.setattr(RecordWriter, "write", full)
        with pytest.raises(OSError, match="No space left on device"):
            for step in range(1000):
                tracker.show({"loss": 1.0}, step)
                time.sleep(0.01)
        other = threading.Thread(target=lambda: 1 / 0)
        other.start()
        other.join()
    assert [fault.thread for fault in reported] == [other]
    assert threading.excepthook is report
