"""How long the networks of a recipe take on this machine, from a few batches of random DNA: for dry runs."""

import time
from collections.abc import Callable
from math import ceil
from typing import Final

import numpy as np
import torch
from torch import nn

from capsight.config import ExplainConfig, ModelConfig, PhaseConfig, TokenizerConfig, TrainConfig
from capsight.model.llama import CapsightForPretraining, architecture
from capsight.model.track import TrackNetwork, one_hot
from capsight.predict.track import TrackScorer, best_device

#: Repeats of what is measured, after one that is not counted; fewer where one takes long.
_REPEATS: Final = 3
_LONGEST: Final = 2.0  # seconds
#: Bases of the piece that is scanned.
_SCANNED: Final = 20_000
#: Forward and backward passes together take so many times as long as a forward pass alone.
_BACKWARD: Final = 3


def _seconds(work: Callable[[], object]) -> float:
    """Return how long something takes, at best."""
    work()
    best, began = float("inf"), time.monotonic()
    for _ in range(_REPEATS):
        start = time.perf_counter()
        work()
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        best = min(best, time.perf_counter() - start)
        if time.monotonic() - began > _LONGEST:
            break
    return best


def _learning(model: nn.Module, loss: Callable[[], torch.Tensor], precision: str, device: torch.device) -> float:
    """Return the seconds of one update."""
    optimiser = torch.optim.AdamW(model.parameters())

    def update() -> None:
        with torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16"):
            value = loss()
        optimiser.zero_grad()
        value.backward()
        optimiser.step()

    return _seconds(update)


def training_seconds(config: TrainConfig, bases: int, tss: int = 0) -> float:
    """Return the seconds in which a track network is trained on so many bases of DNA; on single bases, so many TSSs."""
    device, crops = best_device(), config.crops
    length = 1 if crops.promoters else crops.length
    network = TrackNetwork(config.model).to(device).train()
    rng = np.random.default_rng(1)
    codes = rng.integers(4, size=(crops.batch_size, length + 2 * network.halo), dtype=np.uint8)
    batch = torch.from_numpy(codes).to(device)

    def loss() -> torch.Tensor:
        dtype = torch.bfloat16 if torch.is_autocast_enabled(device.type) else torch.float32
        return torch.stack([each.float().square().mean() for each in network(one_hot(batch, dtype))]).sum()

    per_pass = 2 * bases / (crops.batch_size * length)
    if crops.promoters:
        per_pass = tss / ceil(crops.promoters * crops.batch_size)
    steps = ceil((config.epochs + config.pretrain_epochs) * per_pass) * config.members
    return steps * _learning(network, loss, str(config.precision), device)


def scan_seconds(config: TrainConfig, bases: int, precision: str) -> float:
    """Return the seconds in which a track network scans so many bases, both strands."""
    network = TrackNetwork(config.model).to(best_device()).eval()
    scorer = TrackScorer(network, precision="bf16" if precision == "bf16" else "fp32")
    codes = np.random.default_rng(1).integers(4, size=(1, _SCANNED), dtype=np.uint8)
    return _seconds(lambda: scorer.score(codes)) * config.members * bases / _SCANNED


def explain_seconds(config: ExplainConfig, train: TrainConfig, length: int) -> float:
    """Return the seconds in which windows are explained through a track network."""
    network = TrackNetwork(train.model).to(best_device()).eval()
    read = length + 2 * network.halo
    codes = torch.from_numpy(np.random.default_rng(1).integers(4, size=(8, read), dtype=np.uint8)).to(best_device())

    def answer() -> None:
        with torch.inference_mode():
            network(one_hot(codes))

    one = _seconds(answer) / len(codes)
    passes = 0
    if "ig" in config.method:
        passes += config.n_references * config.n_steps * _BACKWARD
    if "ism" in config.method:
        passes += 3 * length
    return one * passes * (config.max_windows or 1_000) * train.members


def pretraining_seconds(model: ModelConfig, tokens: TokenizerConfig, length: int, phases: list[PhaseConfig]) -> float:
    """Return the seconds of the phases of pre-training a window network."""
    device = best_device()
    vocabulary = 4**tokens.k + 8 if tokens.kind == "kmer" else 50_000
    n_tokens = max((length - tokens.k) // tokens.stride + 1, 1)
    network = CapsightForPretraining(architecture(model, vocabulary, n_tokens)).to(device).train()
    total = 0.0
    for phase in phases:
        batch = torch.randint(vocabulary - 1, (phase.batch_size, n_tokens), device=device)
        update = _learning(network, lambda batch=batch: network(batch).logits.float().square().mean(), "fp32", device)  # type: ignore[misc]
        total += phase.steps * phase.gradient_accumulation_steps * update
    return total
