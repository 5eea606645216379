"""What two processes do together in `test_processes.py`, started by torchrun: ``together.py JOB FOLDER [WINDOWS]``."""

import json
import os
import signal
import sys
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from capsight.config import FinetuneConfig, LoraConfig, ModelConfig, PhaseConfig, PretrainConfig, ReloraConfig
from capsight.config.track import CropsConfig, TrackConfig, TrackLossConfig, TrainConfig
from capsight.errors import KeepsPartial
from capsight.train import processes
from capsight.train.finetune import finetune
from capsight.train.loop import Plan, fit
from capsight.train.pretrain import pretrain
from capsight.train.track.train import train

#: Windows or crops of an update are those of two batches, whatever the number of processes; dropout is on throughout.
PRETRAIN = PretrainConfig(
    model=ModelConfig(
        width=16, mlp_size=24, layers=1, heads=2, stem_channels=8, stem_blocks=1, downsample=4, dropout=0.1
    ),
    corpus="windows",
    full_rank_phase=PhaseConfig(steps=6, batch_size=4, gradient_accumulation_steps=2, warmup_steps=2),
    relora_phase=PhaseConfig(steps=50, batch_size=4, gradient_accumulation_steps=2, warmup_steps=2),
    relora=ReloraConfig(rank=2, alpha=4, dropout=0.1, merge_every=12, restart_warmup_steps=2),
    validation_windows=8,
    evaluate_every=1,
)
FINETUNE = FinetuneConfig(
    lora=LoraConfig(rank=2), epochs=3.6, batch_size=4, gradient_accumulation_steps=2, warmup_steps=2, max_validation=16,
    evaluate_every=1,
)  # fmt: skip
TRACK = TrainConfig(
    model=TrackConfig(width=8, dilations=(1, 2, 4), average_radius=16, dropout=0.1),
    crops=CropsConfig(length=256, batch_size=2, gradient_accumulation_steps=2),
    loss=TrackLossConfig(strength_weight=0, min_orf_codons=10, block_size=64),
    epochs=0.86, warmup_steps=2, evaluate_every=1,
)  # fmt: skip


def all_stages(windows: Path, folder: Path) -> None:
    """Train the networks of all stages."""
    pretrained = pretrain(PRETRAIN, windows, folder / "pretrained")
    finetune(FINETUNE, windows, pretrained, folder / "model")
    train(TRACK, windows, folder / "track")


class Line:
    """Fit a line through noise, and note which batches were read; dropout makes every step depend on random draws."""

    tokens_per_batch = 8

    def __init__(self, die_at: int | None = None, *, killed: bool = False) -> None:
        self.die_at, self.killed = die_at, killed
        self.read: list[int] = []

    def batch(self, index: int) -> Mapping[str, Tensor]:
        if index == self.die_at:
            if self.killed:
                os.kill(os.getpid(), signal.SIGKILL)
            raise KeyboardInterrupt
        self.read.append(index)
        generator = torch.Generator().manual_seed(index)
        x = torch.randn(8, 4, generator=generator)
        return {"x": x, "y": x.sum(dim=1, keepdim=True)}

    def loss(self, model: nn.Module, batch: Mapping[str, Tensor]) -> Tensor:
        return (model(batch["x"]) - batch["y"]).square().mean()

    def validate(self, model: nn.Module, device: torch.device) -> dict[str, float]:
        """Give no batch that is read: its number is none of theirs."""
        x = torch.ones(1, 4)
        return {"error": float((model(x) - 4).square())}


def fit_line(folder: Path, task: Line) -> nn.Module:
    """Train for 20 steps of two batches each, with a checkpoint after every fourth."""
    torch.manual_seed(3)
    model = nn.Sequential(nn.Linear(4, 8), nn.Dropout(0.3), nn.Linear(8, 1))
    phase = PhaseConfig(steps=20, gradient_accumulation_steps=2, learning_rate=1e-2)
    plan = Plan(
        name="line", phase=phase, schedule=lambda t: 1 - t / 30, seed=1, checkpoint_every=4, evaluate_every=5,
        select=lambda metrics: [-metrics["error"]], ema_decay=0.9,
    )  # fmt: skip
    fit(model, task, plan, folder)
    return model


def line(folder: Path, task: Line) -> None:
    """Train together; say what was read, and how it ended."""
    told = folder / f"process-{processes.number()}.json"
    try:
        model = fit_line(folder, task)
        weights = [float(w) for p in model.parameters() for w in p.detach().flatten()]
        told.write_text(json.dumps({"read": task.read, "weights": weights}))
    except (KeyboardInterrupt, KeepsPartial) as error:
        told.write_text(json.dumps({"read": task.read, "error": f"{type(error).__name__}: {error}"}))


if __name__ == "__main__":
    job, place, rest = sys.argv[1], Path(sys.argv[2]), sys.argv[3:]
    processes.join()
    if job == "stages":
        all_stages(Path(rest[0]), place)
    elif job == "lines":  # one that ends, one of which both are stopped, one of which the second is killed
        line(place / "whole", Line())
        line(place / "continued", Line())
        line(place / "killed", Line(25, killed=True))
