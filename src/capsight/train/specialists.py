"""Specialists: networks that learn single bases alone, and whose mean with the classifier is the model's answer.

A deep ensemble (Lakshminarayanan et al. 2017, arXiv:1612.01474) of networks that may differ in more than their seed.
"""

import os
import threading
import time
from pathlib import Path
from typing import Any

import joblib

from capsight.config import FinetuneConfig, ModelConfig, SpecialistConfig
from capsight.data import schema
from capsight.data.tokenizer import make_tokenizer
from capsight.data.windows import Windows
from capsight.model.checkpoint import draw_classifier, read_card, start_classifier
from capsight.model.llama import CapsightForClassification
from capsight.train.classifier import train_classifier
from capsight.train.launch import check_launch
from capsight.train.loop import on_threads
from capsight.train.tasks import BaseTask


def train_specialists(
    config: FinetuneConfig, windows: Path, pretrained: Path, folder: Path
) -> list[CapsightForClassification]:
    """Train networks for single bases alone, each with seeds of its own; what is finished is not trained again."""
    base = config.base
    if not base:
        return []
    numbers = range(1, len(base.specialists) + 1)
    under_torchrun = check_launch() > 1  # whose processes train each specialist together
    if base.processes > 1 and len(numbers) > 1 and not under_torchrun:
        several = joblib.Parallel(n_jobs=min(base.processes, len(numbers)), batch_size=1)
        given = config, windows, pretrained, folder, os.getpid()
        several(joblib.delayed(_train_alone)(number, *given) for number in numbers)
    return [train_specialist(config, number, windows, pretrained, folder) for number in numbers]


def _train_alone(
    number: int, config: FinetuneConfig, windows: Path, pretrained: Path, folder: Path, parent: int
) -> None:
    """Train specialist `number` in a process of its own; it is left in its checkpoint."""
    threading.Thread(target=end_with, args=(parent,), daemon=True).start()
    with on_threads(config.threads):
        train_specialist(config, number, windows, pretrained, folder, line=number - 1)


def end_with(parent: int, every: float = 1.0) -> None:
    """End this process when `parent` has ended: killed, it tells nobody, and another run may use the same folder.

    Checked so often, in seconds. A checkpoint that is being written stays as it was before.
    """
    while os.getppid() == parent:
        time.sleep(every)
    os._exit(1)


def train_specialist(
    config: FinetuneConfig, number: int, windows: Path, pretrained: Path, folder: Path, *, line: int = 0
) -> CapsightForClassification:
    """Train specialist `number`, counted from 1, or take it from its checkpoint; `line` has its progress bar."""
    assert config.base
    own = config.base.specialists[number - 1]
    tokenizer = make_tokenizer(read_card(pretrained).tokenizer, pretrained)
    task = BaseTask(specialist_config(config, number, own), Windows.open(windows), tokenizer, base_folds(config))
    model = start_specialist(task.config, own.model, pretrained)
    train_classifier(model, task, folder, f"specialist-{number}", line=line)
    return model.eval().requires_grad_(False)


def base_folds(config: FinetuneConfig) -> tuple[str, ...]:
    """Return the folds that single bases are learned from, by any network."""
    if not config.base:
        return ()
    both = config.base.specialists and config.base.validation_too
    return (schema.TRAIN, schema.VALIDATION) if both else (schema.TRAIN,)


def start_specialist(config: FinetuneConfig, shape: ModelConfig | None, pretrained: Path) -> CapsightForClassification:
    """Make a network for single bases: the pre-trained one with a head, or one of another shape, drawn at random."""
    if shape:
        return draw_classifier(pretrained, shape, config.seed, config.dropout, config.stem_dropout)
    return start_classifier(pretrained, config.seed, config.dropout, config.stem_dropout, base=True)


def specialist_config(config: FinetuneConfig, number: int, own: SpecialistConfig) -> FinetuneConfig:
    """Return the settings of specialist `number`: those of the classifier but for what it has of its own.

    There is no early stopping: the last weights are kept.
    """
    given = own.model_dump(exclude_none=True, exclude={"model"})
    of_base: dict[str, Any] = {name: given.pop(name) for name in ("positives", "power", "smooth") if name in given}
    assert config.base
    base = config.base.model_copy(update=of_base)
    return config.model_copy(update={"seed": config.seed + 10 * number, "select": "last", "base": base, **given})
