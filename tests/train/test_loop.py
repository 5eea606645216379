"""The loop: resume is bit for bit, the best weights are kept, the average is one."""

import json
import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from capsight.artefact import sha256
from capsight.config import PhaseConfig
from capsight.errors import DamagedCheckpoint, InputError, KeepsPartial
from capsight.train import checkpoint
from capsight.train.checkpoint import STATE, SUMS, TENSORS, before
from capsight.train.loop import Plan, fit, on_threads


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
    phase = PhaseConfig(steps=23, gradient_accumulation_steps=2, learning_rate=1e-2)
    values = {
        "name": "line", "phase": phase, "schedule": lambda t: 1 - t / 30, "seed": 1, "checkpoint_every": 4,
        "evaluate_every": 7, "select": lambda metrics: [-metrics["error"]], "ema_decay": 0.9,
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
    log = fit(model, task, plan(ema_decay=0.0), tmp_path)
    assert [record["step"] for record in log] == [7, 14, 21, 23]
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), task.seen[0], strict=True))


def test_average_is_a_running_mean(tmp_path: Path) -> None:
    after: list[list[Tensor]] = []

    class Watched(Line):
        """Notes the weights before every update."""

        def loss(self, model: nn.Module, batch: Mapping[str, Tensor]) -> Tensor:
            after.append([p.detach().clone() for p in model.parameters()])
            return super().loss(model, batch)

    plain, averaged = network(), network()
    fit(plain, Watched(), plan(ema_decay=0.0, select=None, evaluate_every=1000), tmp_path / "plain")
    fit(averaged, Line(), plan(ema_decay=0.5, select=None), tmp_path / "averaged")
    steps = [*after[:46:2], [p.detach() for p in plain.parameters()]]  # two batches to each of 23 updates
    expected = steps[0]
    for step, weights in enumerate(steps[1:]):
        decay = min(0.5, (1 + step) / (10 + step))
        expected = [decay * mean + (1 - decay) * new for mean, new in zip(expected, weights, strict=True)]
    for found, mean, last in zip(averaged.parameters(), expected, steps[-1], strict=True):
        torch.testing.assert_close(found.detach(), mean)
        assert not torch.allclose(mean, last, rtol=0, atol=1e-4)


def test_frozen_parameters_stay(tmp_path: Path) -> None:
    model = network()
    model[0].requires_grad_(False)
    before = [p.detach().clone() for p in model.parameters()]
    fit(model, Line(), plan(), tmp_path)
    moved = [not torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True)]
    assert moved == [False, False, True, True]


def interrupted(folder: Path, **changes: object) -> Path:
    """Train until a checkpoint at step 12 has followed one at step 8; return the checkpoint."""
    with pytest.raises(KeyboardInterrupt):
        fit(network(), Line(26), plan(evaluate_every=100, **changes), folder)
    return folder / "checkpoint" / "line"


def flip_a_bit(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


DAMAGES = {
    "cut": lambda folder: os.truncate(folder / TENSORS, 500),
    "a flipped bit of a weight": lambda folder: flip_a_bit(folder / TENSORS),
    "another step": lambda folder: (folder / STATE).write_text((folder / STATE).read_text().replace("12", "13")),
    "no tensors": lambda folder: (folder / TENSORS).unlink(),
    "no state": lambda folder: (folder / STATE).unlink(),
    "no checksums": lambda folder: (folder / SUMS).unlink(),
    "empty checksums": lambda folder: (folder / SUMS).write_text(""),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_checkpoint_is_named_and_the_one_before_takes_its_place(
    damage: Callable[[Path], object], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    whole = network()
    log = fit(whole, Line(), plan(evaluate_every=100), tmp_path / "whole")
    last = interrupted(tmp_path / "broken")
    damage(last)
    told = rf"^{last}: the checkpoint is damaged: .*\(delete this folder: .*continues after step 8, from the checkpoint"
    with pytest.raises(DamagedCheckpoint, match=told) as caught:
        fit(network(), Line(), plan(evaluate_every=100), tmp_path / "broken")
    assert "\n" not in str(caught.value)
    assert before(last).is_dir()
    shutil.rmtree(last)  # as the message says
    again = network()
    with caplog.at_level("INFO", logger="capsight"):
        assert fit(again, Line(), plan(evaluate_every=100), tmp_path / "broken") == log
    assert "continuing after step 8 of 23" in caplog.text
    assert all(torch.equal(a, b) for a, b in zip(whole.parameters(), again.parameters(), strict=True))


def test_where_both_checkpoints_are_damaged_both_are_named(tmp_path: Path) -> None:
    last = interrupted(tmp_path)
    flip_a_bit(last / TENSORS)
    flip_a_bit(before(last) / TENSORS)
    with pytest.raises(DamagedCheckpoint, match=r"line: .*delete this folder and line\.previous beside it: .*anew"):
        fit(network(), Line(), plan(), tmp_path)


def test_a_kill_between_the_renames_loses_no_more_than_one_checkpoint(tmp_path: Path) -> None:
    last = interrupted(tmp_path)
    last.rename(last.with_name("line.new"))  # what is left when the new one was not yet renamed
    fit(network(), Line(), plan(evaluate_every=100), tmp_path)
    assert json.loads((last / STATE).read_text())["step"] == 23
    assert json.loads((before(last) / STATE).read_text())["step"] == 20


def test_checksums_are_those_of_sha256sum(tmp_path: Path) -> None:
    last = interrupted(tmp_path)
    assert (last / SUMS).read_text() == "".join(f"{sha256(last / name)}  {name}\n" for name in (TENSORS, STATE))


def test_a_checkpoint_of_another_network_is_refused(tmp_path: Path) -> None:
    interrupted(tmp_path)
    with pytest.raises(DamagedCheckpoint, match="is not of this network"):
        fit(nn.Linear(4, 1), Line(), plan(), tmp_path)


def test_a_checkpoint_that_cannot_be_written_leaves_the_last_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    last = interrupted(tmp_path)

    def full(*_: object) -> None:
        raise SafetensorError("I/O error: No space left on device (os error 28)")

    monkeypatch.setattr(checkpoint, "save_file", full)
    with pytest.raises(KeepsPartial, match=r"line: the checkpoint cannot be written: .*No space left on device"):
        fit(network(), Line(), plan(evaluate_every=100), tmp_path)
    assert json.loads((last / STATE).read_text())["step"] == 12
    assert not last.with_name("line.new").exists()


class Diverging(Line):
    """Lose all sense at one update, counted from 1: in the loss, in its gradient, or in validation alone."""

    def __init__(self, at: int, where: str) -> None:
        super().__init__()
        self.at, self.where = at, where

    def batch(self, index: int) -> Mapping[str, Tensor]:
        return {**super().batch(index), "index": torch.tensor(index)}

    def loss(self, model: nn.Module, batch: Mapping[str, Tensor]) -> Tensor:
        loss = super().loss(model, batch)
        if int(batch["index"]) // 2 + 1 != self.at:  # there are two batches an update
            return loss
        if self.where == "gradient":
            return loss + (model(batch["x"]) * 0).abs().sqrt().sum()  # 0, and its slope is infinite
        return loss * float("inf") if self.where == "loss" else loss

    def validate(self, model: nn.Module, device: torch.device) -> dict[str, float]:
        return {"error": float("nan")} if self.where == "validation" else super().validate(model, device)


@pytest.mark.parametrize("at", [1, 5, 7, 22, 23])
@pytest.mark.parametrize("where", ["loss", "gradient"])
def test_a_loss_that_is_not_finite_stops_with_its_step_and_is_never_saved(where: str, at: int, tmp_path: Path) -> None:
    told = (
        rf"^line: the loss or its gradient is not a finite number at step {at} of 23: .*\(lower learning_rate \(0\.01\)"
    )
    with pytest.raises(InputError, match=told) as caught:
        fit(network(), Diverging(at, where), plan(), tmp_path)
    assert not isinstance(caught.value, KeepsPartial)
    for path in tmp_path.rglob(TENSORS):
        assert all(tensor.isfinite().all() for tensor in load_file(path).values() if tensor.is_floating_point())


def test_a_validation_metric_that_is_not_finite_stops(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="error of the validation fold is not a finite number at step 7 of 23"):
        fit(network(), Diverging(0, "validation"), plan(), tmp_path)


def test_weights_that_are_not_finite_after_the_last_update_stop(tmp_path: Path) -> None:
    phase = PhaseConfig(steps=1, learning_rate=1e6, warmup_steps=0, weight_decay=1e6)
    model = network()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.fill_(1e30)  # times the decay this is beyond single precision
    with pytest.raises(InputError, match=r"at step 1 of 1: .* \(lower learning_rate \(1e\+06\), or weight_decay"):
        fit(model, Line(), plan(phase=phase, schedule=lambda t: 1.0), tmp_path)
    assert not list(tmp_path.rglob(TENSORS))


def test_too_little_memory_is_one_line_and_keeps_what_is_done(tmp_path: Path) -> None:
    class Large(Line):
        def loss(self, model: nn.Module, batch: Mapping[str, Tensor]) -> Tensor:
            torch.empty(2**60)
            return super().loss(model, batch)

    with pytest.raises(KeepsPartial, match=r"^line: there is not enough memory for step 1 \(lower batch_size"):
        fit(network(), Large(), plan(), tmp_path)


def test_threads_are_as_set_inside_and_as_before_outside() -> None:
    outside = torch.get_num_threads()
    with on_threads(outside + 2):
        assert torch.get_num_threads() == outside + 2
    assert torch.get_num_threads() == outside


def test_two_trainings_of_one_process_may_differ_in_precision(tmp_path: Path) -> None:
    weights = []
    for precision in ("fp32", "bf16", "fp32"):
        model = network()
        fit(model, Line(), plan(precision=precision), tmp_path / f"{len(weights)}")
        weights.append(model[0].weight.detach())
    assert torch.equal(weights[0], weights[2])
    assert not torch.equal(weights[0], weights[1])
