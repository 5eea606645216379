"""Training a network on a task of fine-tuning: its plan, its adapters, its log."""

import json
from collections.abc import Mapping
from math import ceil
from pathlib import Path
from typing import Any

from torch import nn

from capsight.config import PhaseConfig
from capsight.model.llama import CapsightPreTrainedModel
from capsight.model.relora import add_adapters, plain_schedule
from capsight.train.attention import choose_attention
from capsight.train.loop import Plan, fit
from capsight.train.tasks import ClassificationTask


def train_classifier(model: nn.Module, task: ClassificationTask, folder: Path, name: str) -> list[dict[str, Any]]:
    """Train `model` in place as the task's settings say, adapters merged at the end; return the log.

    Parameters
    ----------
    model
        Maps ``input_ids`` to ``logits`` ``(n_windows, 2)``; with LoRA, a network of `capsight.model.llama`.
    folder
        Artefact that is being built; checkpoints go into it, and with LoRA the adapter.
    name
        What the training is called in checkpoints and messages.
    """
    plan, lora = _plan(task, name), task.config.lora
    if isinstance(model, CapsightPreTrainedModel):
        choose_attention(model, task.config.attention)
    if not lora:
        return fit(model, task, plan, folder)
    adapted = add_adapters(model, lora)
    log = fit(adapted, task, plan, folder)
    adapter = folder / "adapter"
    adapted.save_pretrained(adapter)
    (adapter / "README.md").unlink(missing_ok=True)  # peft's template, with nothing filled in
    settings = adapter / "adapter_config.json"
    values = json.loads(settings.read_text(encoding="utf-8"))
    values["target_modules"] = sorted(values["target_modules"])  # of a set, whose order is another in every process
    settings.write_text(json.dumps(values, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    adapted.merge_and_unload()
    return log


def _plan(task: ClassificationTask, name: str) -> Plan:
    """Say how long to train, how fast, and when to look."""
    config = task.config
    steps_per_epoch = task.n / (config.batch_size * config.gradient_accumulation_steps)
    steps = max(1, ceil(config.epochs * steps_per_epoch))
    phase = config.phase(steps, config.batch_size, config.gradient_accumulation_steps)
    return Plan(
        name=name,
        phase=phase,
        schedule=lambda t: schedule(t, phase, config.schedule),
        seed=config.seed,
        checkpoint_every=config.checkpoint_every,
        evaluate_every=config.evaluate_every or ceil(steps_per_epoch),
        precision=config.precision,
        tracking=config.tracking,
        select=None if config.select == "last" else lambda metrics: selection_score(metrics, config.select),
        ema_decay=config.ema_decay,
    )


def write_log(log: list[dict[str, Any]], select: str, folder: Path) -> dict[str, dict[str, float]]:
    """Write ``metrics.jsonl``; return the validation metrics of the weights that `select` kept."""
    text = "".join(json.dumps(record) + "\n" for record in log)
    (folder / "metrics.jsonl").write_text(text, encoding="utf-8")
    best = log[-1] if select == "last" else max(log, key=lambda record: selection_score(record, select))
    return {"validation": {key: best[key] for key in best if key not in ("train_loss", "learning_rate")}}


def selection_score(metrics: Mapping[str, Any], select: str) -> tuple[float, float]:
    """Rate validation metrics, larger is better; ties go to the lower loss, because AUROC saturates early."""
    return (-metrics["loss"] if select == "loss" else metrics[select], -metrics["loss"])


def schedule(step: int, phase: PhaseConfig, kind: str) -> float:
    """Rate at update `step` as a fraction of its peak: a linear rise, then a linear or cosine fall to zero."""
    if kind == "cosine" or step < phase.warmup_steps:
        return plain_schedule(step, phase)
    return (phase.steps - step) / max(1, phase.steps - phase.warmup_steps)
