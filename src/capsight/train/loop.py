"""The one training loop: steps, clipping, schedule, checkpoints, validation, averaging.

A task says what a batch is and what it costs; the loop does everything else. Batches are pure functions of
their number and all remaining state is in the checkpoint (weights, optimiser, moving average),
so an interrupted run continues to the same bits. What is drawn at random beside (dropout) is a pure function of the
batch's number, too. Several processes share out the batches of every update, so their number changes no result but by
rounding, and may be another one when a run continues. A training whose loss or weights are no longer finite numbers
stops, and no checkpoint of it is written.
"""

import logging
import math
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from accelerate.utils import set_seed
from torch import Tensor, nn
from torch.optim import Optimizer
from tqdm import tqdm
from tqdm.contrib.logging import logging_redirect_tqdm

from capsight.artefact import write_seconds
from capsight.config import PhaseConfig
from capsight.errors import InputError, KeepsPartial
from capsight.machine import best_device
from capsight.progress import no_bars
from capsight.train import processes
from capsight.train.checkpoint import damaged, optimizer_tensors, read_checkpoint, restore_optimizer, write_checkpoint
from capsight.train.tracking import Tracker, Tracking

logger = logging.getLogger(__name__)

#: Seconds between two measurements of speed.
SHOW_EVERY = 2.0
#: Updates between two checks for finite numbers: on a GPU each waits for all that is still being calculated.
CHECK_EVERY = 20
#: What random numbers are drawn for.
_BATCH, _AFTER, _END = 11, 12, 13
#: NumPy's seeds are below this.
SEEDS = 2**32

Batch = Mapping[str, Tensor]


class Task(Protocol):
    """What the loop needs to know of a training stage."""

    @property
    def tokens_per_batch(self) -> int:
        """Tokens, or bases, that one micro-batch holds, for the speed that the progress bar shows."""

    def batch(self, index: int) -> Batch:
        """Return micro-batch number `index`, a pure function of it."""

    def loss(self, model: nn.Module, batch: Batch) -> Tensor:
        """Return the mean loss of a batch."""

    def validate(self, model: nn.Module, device: torch.device) -> dict[str, float]:
        """Return metrics on the validation fold; the model is in evaluation mode."""


@dataclass(frozen=True)
class Plan:
    """How long to train, how fast, and when to look.

    Attributes
    ----------
    phase
        Steps, batch and optimiser settings.
    schedule
        Learning rate at a step, as a fraction of the peak.
    select
        Rates validation metrics, larger is better; the best rated weights are kept. `None` keeps the last.
    after_step
        Called as ``after_step(model, optimizer, step)`` after every update but the last (ReLoRA merges here).
    optimizer
        Makes the optimiser of a model; `None` is AdamW with the settings of `phase`.
    """

    name: str
    phase: PhaseConfig
    schedule: Callable[[int], float]
    seed: int
    checkpoint_every: int
    evaluate_every: int
    precision: str = "auto"
    tracking: Tracking = "tensorboard"
    select: Callable[[Mapping[str, float]], Sequence[float]] | None = None
    ema_decay: float = 0.0
    after_step: Callable[[nn.Module, Optimizer, int], None] | None = None
    optimizer: Callable[[nn.Module], Optimizer] | None = None


@dataclass
class _State:
    """What a checkpoint remembers beside tensors."""

    step: int = 0
    best: list[float] | None = None
    best_step: int = 0
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    log: list[dict[str, Any]] = field(default_factory=list)


def choose_precision(precision: str) -> str:
    """Return accelerate's name for the arithmetic to use here; ``auto`` is bfloat16 where the GPU has it."""
    if precision == "auto":
        return "bf16" if best_device().type == "cuda" and torch.cuda.is_bf16_supported() else "no"
    return {"fp32": "no"}.get(precision, precision)


@contextmanager
def on_threads(number: int) -> Iterator[None]:
    """Let PyTorch calculate on so many threads, whatever the environment says: the last bits depend on it."""
    before = torch.get_num_threads()
    torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def fit(model: nn.Module, task: Task, plan: Plan, folder: Path) -> list[dict[str, Any]]:
    """Train `model` in place and return the log, one record per look.

    Parameters
    ----------
    model
        Parameters with ``requires_grad`` are trained. At the end it holds the weights that `plan` selects.
    folder
        Progress is kept in ``folder/checkpoint/<plan.name>`` and ``folder/logs``; where a checkpoint of an
        interrupted run lies there, training continues from it. ``folder/logs/<plan.name>/seconds.json`` says what it
        took, by the clock and of the processor; steps that were lost and made again count once.

    Returns
    -------
    log
        Records with ``step``, ``train_loss``, ``learning_rate``, and the validation metrics.

    Raises
    ------
    InputError
        If the loss, its gradient, a weight or a validation metric is not a finite number: nothing is saved then.
    DamagedCheckpoint
        If the checkpoint of an interrupted run cannot be used.
    KeepsPartial
        If there is not enough memory, or a checkpoint cannot be written.
    """
    loop = _Loop(model, task, plan, folder)
    with loop.tracker:
        return loop.run()


class _Loop:
    """State of one training run."""

    def __init__(self, model: nn.Module, task: Task, plan: Plan, folder: Path) -> None:
        self.task, self.plan = task, plan
        self.folder = folder / "checkpoint" / plan.name
        set_seed(plan.seed % SEEDS)
        AcceleratorState._reset_state()  # an earlier stage of this process may have had another precision
        self.accelerator = Accelerator(
            mixed_precision=choose_precision(plan.precision),
            cpu=processes.size() > 1 and not torch.cuda.is_available(),  # else each would train by itself
        )
        processes.check_shared_out(
            processes.size(),
            gradient_accumulation_steps=(plan.phase.batch_size, plan.phase.gradient_accumulation_steps),
        )
        self.model, self.optimizer = self.accelerator.prepare(model, (plan.optimizer or _adamw(plan.phase))(model))
        self.bare = self.accelerator.unwrap_model(self.model)
        self.state = _State()
        self.average = {k: v.detach().clone() for k, v in self._trained()} if plan.ema_decay else {}
        self.best: dict[str, Tensor] = {}
        self.losses: list[Tensor] = []  # since the last look
        self.bad_step = torch.zeros((), dtype=torch.int64, device=self.accelerator.device)  # the first; 0: none
        self.shown: tuple[float, int] | None = None  # when speed was last measured, and at which step
        self._restore()
        self.measured = (time.monotonic(), time.process_time())  # when `state.seconds` was last brought up to date
        first = self.accelerator.is_main_process
        self.tracker = Tracker(plan.tracking if first else "none", folder, plan.name)

    def run(self) -> list[dict[str, Any]]:
        """Train to the end, or to where it no longer helps."""
        with self._progress() as bar:
            while not self._is_over():
                try:
                    with processes.noticing_loss(self.plan.name):
                        self._advance(bar)
                except (MemoryError, RuntimeError) as error:
                    if not is_out_of_memory(error):
                        raise
                    raise KeepsPartial(
                        f"there is not enough memory for step {self.state.step + 1}", where=self.plan.name,
                        remedy="lower batch_size and raise gradient_accumulation_steps",
                    ) from None  # fmt: skip
        self._finish()
        return self.state.log

    def _advance(self, bar: tqdm) -> None:
        """Make one update, and whatever is due after it."""
        phase, state, plan = self.plan.phase, self.state, self.plan
        rate = phase.learning_rate * plan.schedule(state.step)
        self.losses.append(self._step(rate))
        state.step += 1
        self._show(bar, rate)
        if plan.after_step and state.step < phase.steps:
            self._draw(_AFTER, state.step)
            plan.after_step(self.bare, self.optimizer, state.step)
        looks = state.step % plan.evaluate_every == 0 or state.step == phase.steps
        saves = looks or state.step % plan.checkpoint_every == 0
        if saves or state.step % CHECK_EVERY == 0:
            self._check()
        if looks:
            self._evaluate(torch.stack(self.losses).mean().item(), rate)
            self.losses = []
        if saves:
            self._save()

    def _check(self) -> None:
        """Stop where the loss, its gradient or the weights are no longer finite numbers."""
        if step := int(self.bad_step):
            raise self._diverged("the loss or its gradient", step)
        finite = [torch.isfinite(parameter).all() for parameter in self.bare.parameters()]
        if finite and not torch.stack(finite).all():
            raise self._diverged("a weight", self.state.step)

    def _diverged(self, what: str, step: int) -> InputError:
        """Return the error that says where a training went wrong and what to change."""
        phase = self.plan.phase
        decay = f", or weight_decay ({phase.weight_decay:g})" if phase.weight_decay else ""
        return InputError(
            f"{what} is not a finite number at step {step} of {phase.steps}: training diverged, nothing is saved",
            where=self.plan.name, remedy=f"lower learning_rate ({phase.learning_rate:g}){decay}",
        )  # fmt: skip

    def _is_over(self) -> bool:
        """Tell whether all updates are made."""
        return self.state.step >= self.plan.phase.steps

    @contextmanager
    def _progress(self) -> Iterator[tqdm]:
        """Show a progress bar with the time left; log lines go above it."""
        hidden = not self.accelerator.is_main_process or self._is_over()
        options: dict[str, Any] = {
            "desc": self.plan.name,
            "unit": "step",
            "mininterval": 0.2 if os.isatty(2) else 60.0,  # seldom in a log file
            "disable": hidden or no_bars(),
        }
        with (
            logging_redirect_tqdm([logging.getLogger("capsight")]),
            tqdm(total=self.plan.phase.steps, initial=self.state.step, **options) as bar,
        ):
            yield bar

    def _show(self, bar: tqdm, rate: float) -> None:
        """Move the bar, and every few seconds say loss, rate and speed, there and in TensorBoard."""
        bar.update()
        now = time.monotonic()
        if self.shown is None:
            self.shown = (now, self.state.step)
            return
        then, before = self.shown
        if now - then < SHOW_EVERY:
            return
        speed = (
            (self.state.step - before)
            * self.plan.phase.gradient_accumulation_steps
            * self.task.tokens_per_batch
            / (now - then)
        )
        loss = self.losses[-1].item()
        bar.set_postfix_str(f"loss {loss:.4f}, rate {rate:.1e}, {speed:,.0f} tokens/s", refresh=False)
        self.shown = (now, self.state.step)
        shown = {"train/loss": loss, "train/learning_rate": rate, "train/tokens_per_second": speed}
        self.tracker.show(shown, self.state.step)

    def _step(self, rate: float) -> Tensor:
        """Make one update; return its mean loss."""
        phase = self.plan.phase
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.model.train()
        total = torch.zeros((), device=self.accelerator.device)
        own = range(self.accelerator.process_index, phase.gradient_accumulation_steps, self.accelerator.num_processes)
        for i in own:
            index = self.state.step * phase.gradient_accumulation_steps + i
            batch = {k: v.to(self.accelerator.device) for k, v in self.task.batch(index).items()}
            self._draw(_BATCH, index)
            # gradients are exchanged once in an update
            with nullcontext() if i == own[-1] else self.accelerator.no_sync(self.model):
                with self.accelerator.autocast():
                    loss = self.task.loss(self.model, batch) / len(own)
                self.accelerator.backward(loss)
            total += loss.detach()
        norm = self.accelerator.clip_grad_norm_(
            [p for p in self.model.parameters() if p.requires_grad], phase.max_grad_norm
        )
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self._update_average()
        mean = self.accelerator.reduce(total, reduction="mean")
        bad = ~(torch.isfinite(mean) & torch.isfinite(norm))
        self.bad_step = torch.where(bad & (self.bad_step == 0), self.state.step + 1, self.bad_step)
        return mean

    def _draw(self, what: int, index: int) -> None:
        """Let what is drawn at random depend on the number of a batch or a step alone, not on what was drawn before."""
        seed = np.random.SeedSequence([self.plan.seed, what, index]).generate_state(1, np.uint64)[0]
        torch.manual_seed(int(seed))

    def _trained(self) -> list[tuple[str, nn.Parameter]]:
        return [(k, p) for k, p in self.bare.named_parameters() if p.requires_grad]

    @torch.no_grad()
    def _update_average(self) -> None:
        """Move the average of the weights, faster at first so that the start is soon forgotten."""
        if not self.average:
            return
        decay = min(self.plan.ema_decay, (1 + self.state.step) / (10 + self.state.step))
        for name, parameter in self._trained():
            self.average[name].lerp_(parameter.detach(), 1 - decay)

    @torch.no_grad()
    def _swap_average(self) -> None:
        """Exchange the weights and their moving average."""
        for name, parameter in self._trained() if self.average else []:
            kept = parameter.detach().clone()
            parameter.copy_(self.average[name])
            self.average[name].copy_(kept)

    def _evaluate(self, loss: float, rate: float) -> None:
        """Validate, log, and remember the best weights."""
        self.model.eval()
        self._swap_average()
        with torch.no_grad(), self.accelerator.autocast():
            metrics = processes.first_tells(lambda: self.task.validate(self.bare, self.accelerator.device))
        state = self.state
        for name, value in metrics.items():
            if not math.isfinite(value):
                raise self._diverged(f"{name} of the validation fold", state.step)
        state.log.append({"step": state.step, "train_loss": loss, "learning_rate": rate, **metrics})
        logger.info("%s: %s", self.plan.name, _told(state.log[-1]))
        self.tracker.show({f"validation/{name}": value for name, value in metrics.items()}, state.step)
        score = list(self.plan.select(metrics)) if self.plan.select else None
        if score is not None and (state.best is None or score > state.best):
            state.best, state.best_step = score, state.step
            self.best = {k: v.detach().clone() for k, v in self.bare.state_dict().items()}
        self._swap_average()

    def _measure(self) -> None:
        """Add the time since the last measurement to that of the run."""
        now = (time.monotonic(), time.process_time())
        self.state.seconds += now[0] - self.measured[0]
        self.state.cpu_seconds += now[1] - self.measured[1]
        self.measured = now

    def _finish(self) -> None:
        """Leave the selected weights in the model."""
        self._measure()
        self.tracker.close()
        if self.accelerator.is_main_process:
            write_seconds(self.folder.parents[1], self.plan.name, self.state.seconds, self.state.cpu_seconds)
        if self.best:
            self.bare.load_state_dict(self.best)
            logger.info("%s: kept the weights of step %d", self.plan.name, self.state.best_step)
        elif self.average:
            self._swap_average()
        self.optimizer.zero_grad(set_to_none=True)
        self._draw(_END, 0)  # what the caller draws next is the same in every process
        self.accelerator.wait_for_everyone()

    def _save(self) -> None:
        """Write a checkpoint."""
        if not self.accelerator.is_main_process:
            return
        self._measure()
        tensors = {f"weights/{k}": v for k, v in self.bare.state_dict().items()}
        tensors |= {f"average/{k}": v for k, v in self.average.items()}
        tensors |= {f"best/{k}": v for k, v in self.best.items()}
        tensors |= optimizer_tensors(self.optimizer)
        if self.losses:
            tensors["losses"] = torch.stack(self.losses)
        write_checkpoint(self.folder, tensors, vars(self.state))

    def _restore(self) -> None:
        """Continue from the checkpoint of an interrupted run, where there is one."""
        found = self._read()
        if found is None:
            return
        try:
            self._take(*found)
        except (TypeError, KeyError, ValueError, RuntimeError) as error:
            raise damaged(self.folder, f"it is not of this network: {str(error).splitlines()[0]}") from None
        if not self._is_over():
            logger.info("%s: continuing after step %d of %d", self.plan.name, self.state.step, self.plan.phase.steps)
        elif self.state.log:
            logger.info("%s: trained; %s", self.plan.name, _told(self.state.log[-1]))

    def _read(self) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
        """Return tensors and state of the checkpoint, in all processes."""
        found: list[tuple[dict[str, Tensor], dict[str, Any]] | None] = [None]

        def read() -> dict[str, Any] | None:
            found[0] = read_checkpoint(self.folder)
            return found[0][1] if found[0] else None

        state = processes.first_tells(read)
        return None if state is None else (processes.first_sends(found[0][0] if found[0] else {}), state)

    def _take(self, tensors: Mapping[str, Tensor], state: Mapping[str, Any]) -> None:
        """Put what a checkpoint holds into its places."""
        device = self.accelerator.device

        def group(prefix: str) -> dict[str, Tensor]:
            return {k.removeprefix(prefix): v.to(device) for k, v in tensors.items() if k.startswith(prefix)}

        self.state = _State(**state)
        self.bare.load_state_dict(group("weights/"))
        self.average, self.best = group("average/"), group("best/")
        restore_optimizer(self.optimizer, group("optimizer/"))
        self.losses = list(group("losses").get("", torch.zeros(0)))


def _adamw(phase: PhaseConfig) -> Callable[[nn.Module], Optimizer]:
    """Return what makes AdamW for a model, with weight decay of every parameter."""
    return lambda model: torch.optim.AdamW(
        [parameter for parameter in model.parameters() if parameter.requires_grad],
        lr=phase.learning_rate, betas=phase.betas, weight_decay=phase.weight_decay,
    )  # fmt: skip


def is_out_of_memory(error: BaseException) -> bool:
    """Tell whether memory was asked for that is not there: PyTorch has no error of its own for that of a CPU."""
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or "can't allocate memory" in str(error)


def _told(record: Mapping[str, Any]) -> str:
    """Say in one line what a record of the log holds."""
    validation = {name: value for name, value in record.items() if name not in ("step", "train_loss", "learning_rate")}
    shown = ", ".join(f"{name} {value:.4f}" for name, value in validation.items()) or "none"
    return f"step {record['step']}, training loss {record['train_loss']:.4f}; validation: {shown}"
