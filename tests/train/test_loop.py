"""The loop: resume is bit for bit, early stopping keeps the best, the average is one."""

from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from capsight.config import PhaseConfig
from capsight.train.loop import Plan, fit


class Line:
    """Fit a line through noise; dropout makes every step depend on the random state."""

    tokens_per_batch = 8

    def __init__(self, die_at: int | None = None) -> None:
        self.die_at = die_at
        self.validations = 0

    def batch(self, index: int) -> Mapping[str, Tensor]:
        if index == self.die_at:
            raise KeyboardInterrupt
        generator = torch.Generator().manual_seed(index)
        x = torch.randn(8, 4, generator=generator)
        return {"x": x, "y": x.sum(dim=1, keepdim=True)}

    def loss(self, model: nn.Module, batch: Mapping[str, Tensor]) -> Tensor:
        return (model(batch["x"]) - batch["y"]).square().mean()

    def validate(self, model: nn.Module, device: torch.device) -> dict[str, float]:
        self.validations += 1
        return {"error": float(self.loss(model, self.batch(10_000)))}


def network() -> nn.Module:
    torch.manual_seed(3)
    return nn.Sequential(nn.Linear(4, 8), nn.Dropout(0.3), nn.Linear(8, 1))


def plan(**changes: object) -> Plan:
    phase = PhaseConfig(steps=23, accumulation=2, learning_rate=1e-2)
    values = {
        "name": "line", "phase": phase, "schedule": lambda t: 1 - t / 30, "seed": 1, "checkpoint_every": 4,
        "evaluate_every": 7, "select": lambda metrics: [-metrics["error"]], "average": 0.9,
    } | changes  # fmt: skip
    return Plan(**values)  # type: ignore[arg-type]


@pytest.mark.parametrize("die_at", [1, 9, 13, 14, 31, 45])
def test_killed_and_resumed_equals_uninterrupted_bit_for_bit(tmp_path: Path, die_at: int) -> None:
    whole, broken = network(), network()
    log = fit(whole, Line(), plan(), tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        fit(broken, Line(die_at), plan(), tmp_path / "broken")
    again = network()
    assert fit(again, Line(), plan(), tmp_path / "broken") == log
    for a, b in zip(whole.state_dict().values(), again.state_dict().values(), strict=True):
        assert torch.equal(a, b)


def test_finished_work_is_not_repeated(tmp_path: Path) -> None:
    first, second, task = network(), network(), Line()
    log = fit(first, Line(), plan(), tmp_path)
    assert fit(second, task, plan(), tmp_path) == log
    assert task.validations == 0
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))


def test_best_weights_are_kept(tmp_path: Path) -> None:
    class Worsening(Line):
        def validate(self, model: nn.Module, device: torch.device) -> dict[str, float]:
            super().validate(model, device)
            self.seen = [*getattr(self, "seen", []), [p.detach().clone() for p in model.parameters()]]
            return {"error": float(self.validations)}

    model, task = network(), Worsening()
    log = fit(model, task, plan(patience=2, average=0.0), tmp_path)
    assert [record["step"] for record in log] == [7, 14, 21]
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), task.seen[0], strict=True))


def test_average_is_a_running_mean(tmp_path: Path) -> None:
    plain, averaged = network(), network()
    fit(plain, Line(), plan(average=0.0, select=None), tmp_path / "plain")
    fit(averaged, Line(), plan(average=0.5, select=None), tmp_path / "averaged")
    gap = [float((a - b).detach().abs().max()) for a, b in zip(plain.parameters(), averaged.parameters(), strict=True)]
    assert 0 < max(gap) < 0.1


def test_frozen_parameters_stay(tmp_path: Path) -> None:
    model = network()
    model[0].requires_grad_(False)
    before = [p.detach().clone() for p in model.parameters()]
    fit(model, Line(), plan(), tmp_path)
    moved = [not torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True)]
    assert moved == [False, False, True, True]


def test_damaged_checkpoint_is_one_line(tmp_path: Path) -> None:
    from capsight.errors import InputError

    with pytest.raises(KeyboardInterrupt):
        fit(network(), Line(30), plan(), tmp_path)
    (tmp_path / "checkpoint" / "line" / "tensors.safetensors").write_bytes(b"nonsense")
    with pytest.raises(InputError, match="checkpoint is damaged"):
        fit(network(), Line(), plan(), tmp_path)
