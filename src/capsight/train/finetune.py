"""`finetune`: from a pre-trained network to a classifier of windows, by LoRA or by training all weights."""

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import ceil
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import expit
from sklearn.metrics import log_loss, matthews_corrcoef, roc_auc_score
from torch import Tensor, nn
from torch.nn import functional

from capsight import artefact
from capsight.config import FinetuneConfig, ModelConfig, PhaseConfig, SpecialistConfig
from capsight.data import schema
from capsight.data.bases import mutated, reverse_complement
from capsight.data.loader import Shuffled
from capsight.data.profiles import Profiles
from capsight.data.tokenizer import Tokenizer, make_tokenizer
from capsight.data.windows import Windows
from capsight.errors import InputError
from capsight.model.checkpoint import draw_classifier, read_card, save_model, save_specialists, start_classifier
from capsight.model.llama import CapsightForClassification, CapsightPreTrainedModel, Output
from capsight.model.relora import add_adapters, plain_schedule
from capsight.predict.scorer import log_odds
from capsight.predict.trees import with_trees
from capsight.train.base import MOVED, MovedPositives, MovedWindows, taught_profile_loss
from capsight.train.loop import Batch, Plan, fit
from capsight.train.teacher import MARK, MARKED, mark_windows, taught_loss

logger = logging.getLogger(__name__)

#: On a CPU, explicit attention over so few positions takes less time than PyTorch's fused one (15 % of a step at 64).
FEW_POSITIONS = 128


def finetune(config: FinetuneConfig, windows: Path, pretrained: Path, out: Path) -> Path:
    """Train a classifier on the training fold; the validation fold picks the weights.

    Parameters
    ----------
    config
        Adapters, optimiser, augmentation and early stopping; and a head for single bases, where it is wanted.
    windows
        Folder of the `windows` stage.
    pretrained
        Folder of the `pretrain` stage (or an earlier model) with the same window length.
    out
        Model folder to write; with LoRA, the adapter is merged into the weights and also kept in ``adapter/``.

    Raises
    ------
    InputError
        If the folders do not fit each other, or cannot give a head for single bases.
    """
    inputs = {"windows": windows, "pretrained": pretrained}
    if artefact.is_done(out, "finetune", config, inputs):
        logger.info("finetune: %s is done already", out)
        return out
    data, card = Windows.open(windows), read_card(pretrained)
    if card.length != data.length:
        raise InputError(
            f"the network reads {card.length} bases and the windows have {data.length}",
            where=pretrained, remedy="pretrain on windows of the same length",
        )  # fmt: skip
    if card.trees and not config.teacher:
        logger.info("the trees of %s are left out: teacher is not set", pretrained)
    if card.specialists:
        logger.info("the specialists of %s are left out: they are always trained anew", pretrained)
    tokenizer = make_tokenizer(card.tokenizer, pretrained)
    base, kmers = bool(config.base), config.kmers or None
    model = start_classifier(pretrained, config.seed, config.dropout, base=base, kmers=kmers)
    task = make_task(config, data, tokenizer)
    with artefact.building(out, "finetune", config, inputs) as folder:
        specialists = train_specialists(config, windows, pretrained, folder)
        if isinstance(task, JointTask):
            task.bases.teachers = specialists
        log = train_classifier(model, task, folder, "finetune")
        metrics = write_log(log, config.select, folder)
        update = {
            "task": "classification", "base": base, "trees": task.save_trees(folder), "metrics": metrics,
            "specialists": save_specialists(specialists, folder) if config.base and config.base.stay else 0,
        }  # fmt: skip
        save_model(model, card.model_copy(update=update), folder)
        tokenizer.save(folder)
    return out


def train_specialists(
    config: FinetuneConfig, windows: Path, pretrained: Path, folder: Path
) -> list[CapsightForClassification]:
    """Train networks for single bases alone, each with seeds of its own; what is finished is not trained again."""
    base = config.base
    if not base:
        return []
    numbers = range(1, len(base.specialists) + 1)
    if base.processes > 1 and len(numbers) > 1:
        several = joblib.Parallel(n_jobs=min(base.processes, len(numbers)), batch_size=1)
        several(joblib.delayed(_train_alone)(config, number, windows, pretrained, folder) for number in numbers)
    return [train_specialist(config, number, windows, pretrained, folder) for number in numbers]


def _train_alone(config: FinetuneConfig, number: int, windows: Path, pretrained: Path, folder: Path) -> None:
    """Train specialist `number` in a process of its own, with one thread; it is left in its checkpoint."""
    torch.set_num_threads(1)
    train_specialist(config, number, windows, pretrained, folder, line=number - 1)


def train_specialist(
    config: FinetuneConfig, number: int, windows: Path, pretrained: Path, folder: Path, *, line: int = 0
) -> CapsightForClassification:
    """Train specialist `number`, counted from 1, or take it from its checkpoint; `line` has its progress bar."""
    assert config.base
    own = config.base.specialists[number - 1]
    tokenizer = make_tokenizer(read_card(pretrained).tokenizer, pretrained)
    task = BaseTask(specialist_config(config, number, own), Windows.open(windows), tokenizer)
    model = start_specialist(task.config, own.model, pretrained)
    train_classifier(model, task, folder, f"specialist-{number}", line=line)
    return model.eval().requires_grad_(False)


def start_specialist(config: FinetuneConfig, shape: ModelConfig | None, pretrained: Path) -> CapsightForClassification:
    """Make a network for single bases: the pre-trained one with a head, or one of another shape, drawn at random."""
    if shape:
        return draw_classifier(pretrained, shape, config.seed, config.dropout)
    return start_classifier(pretrained, config.seed, config.dropout, base=True)


def specialist_config(config: FinetuneConfig, number: int, own: SpecialistConfig) -> FinetuneConfig:
    """Return the settings of specialist `number`: those of the classifier but for what it has of its own.

    There is no early stopping: the last weights are kept.
    """
    given = own.model_dump(exclude_none=True, exclude={"model"})
    of_base: dict[str, Any] = {name: given.pop(name) for name in ("positives", "power", "smooth") if name in given}
    assert config.base
    base = config.base.model_copy(update=of_base)
    return config.model_copy(update={"seed": config.seed + 10 * number, "select": "last", "base": base, **given})


def train_classifier(
    model: nn.Module, task: "ClassificationTask | BaseTask", folder: Path, name: str, *, line: int = 0
) -> list[dict[str, Any]]:
    """Train `model` in place as the task's settings say, adapters merged at the end; return the log.

    Parameters
    ----------
    model
        Maps ``input_ids`` to ``logits`` ``(n_windows, 2)``; with LoRA, a network of `capsight.model.llama`.
    folder
        Artefact that is being built; checkpoints go into it, and with LoRA the adapter.
    name
        What the training is called in checkpoints and messages.
    line
        Line of the terminal that its progress bar is on, from 0, where several trainings share one.
    """
    plan, lora = replace(_plan(task, name), line=line), task.config.lora
    if isinstance(model, CapsightPreTrainedModel):
        _choose_attention(model)
    if not lora:
        return fit(model, task, plan, folder)
    adapted = add_adapters(model, lora)
    log = fit(adapted, task, plan, folder)
    adapter = folder / ("adapter" if isinstance(task, ClassificationTask) else f"adapter-{name}")
    adapted.save_pretrained(adapter)
    (adapter / "README.md").unlink(missing_ok=True)  # peft's template, with nothing filled in
    adapted.merge_and_unload()
    return log


def _choose_attention(model: CapsightPreTrainedModel) -> None:
    """Let attention be explicit where that is faster; what it says is the same."""
    if not torch.cuda.is_available() and model.config.max_position_embeddings <= FEW_POSITIONS:
        model.set_attn_implementation("eager")


def _plan(task: "ClassificationTask | BaseTask", name: str) -> Plan:
    """Say how long to train, how fast, and when to look."""
    config = task.config
    steps_per_epoch = task.n / (config.batch_size * config.accumulation)
    steps = max(1, ceil(config.epochs * steps_per_epoch))
    phase = PhaseConfig(
        steps=steps,
        batch_size=config.batch_size,
        accumulation=config.accumulation,
        learning_rate=config.learning_rate,
        warmup_steps=min(config.warmup_steps, steps - 1),
        min_ratio=0.0,
        betas=config.betas,
        weight_decay=config.weight_decay,
        clip=config.clip,
    )
    return Plan(
        name=name,
        phase=phase,
        schedule=lambda t: schedule(t, phase, config.schedule),
        seed=config.seed,
        checkpoint_every=config.checkpoint_every,
        evaluate_every=config.evaluate_every or ceil(steps_per_epoch),
        precision=config.precision,
        patience=config.patience,
        select=None if config.select == "last" else lambda metrics: rating(metrics, config.select),
        average=config.average,
    )


def write_log(log: list[dict[str, Any]], select: str, folder: Path) -> dict[str, dict[str, float]]:
    """Write ``metrics.jsonl``; return the validation metrics of the weights that `select` kept."""
    text = "".join(json.dumps(record) + "\n" for record in log)
    (folder / "metrics.jsonl").write_text(text, encoding="utf-8")
    best = log[-1] if select == "last" else max(log, key=lambda record: rating(record, select))
    return {"validation": {key: best[key] for key in best if key not in ("train_loss", "learning_rate")}}


def rating(metrics: Mapping[str, Any], select: str) -> tuple[float, float]:
    """Rate validation metrics, larger is better; ties go to the lower loss, because AUROC saturates early."""
    return (-metrics["loss"] if select == "loss" else metrics[select], -metrics["loss"])


def schedule(step: int, phase: PhaseConfig, kind: str) -> float:
    """Rate at update `step` as a fraction of its peak: a linear rise, then a linear or cosine fall to zero."""
    if kind == "cosine" or step < phase.warmup_steps:
        return plain_schedule(step, phase)
    return (phase.steps - step) / max(1, phase.steps - phase.warmup_steps)


@dataclass
class ClassificationTask:
    """Tell windows with a cap site in the middle from windows without."""

    config: FinetuneConfig
    data: Windows
    tokenizer: Tokenizer

    def __post_init__(self) -> None:
        config = self.config
        self.training = self.data.fold(schema.TRAIN)
        self.validation = self.data.fold(schema.VALIDATION)
        self.rows = _sample(len(self.training.table), config.max_train, config.seed)
        self.order = Shuffled(self.n, config.seed)
        self.held = _sample(len(self.validation.table), config.max_validation, config.seed)
        self.validation_labels = self.validation.labels[self.held]
        if len(np.unique(self.validation_labels)) < 2:
            raise InputError("the validation fold needs both positives and negatives", where=self.data.folder)
        self.validation_codes = self.validation.codes(self.held)
        self.validation_tokens = torch.from_numpy(self.tokenizer.encode(self.validation_codes))
        self.tokens_per_batch = config.batch_size * self.tokenizer.n_tokens(self.data.length)
        self.marked = self.trees = None
        if teacher := config.teacher:
            self.marked = mark_windows(teacher, self.data, self.rows, self.tokenizer, config.mutate, config.seed)
            self.tokens_per_batch += teacher.batch_size * self.tokenizer.n_tokens(self.data.length)
            if teacher.stays:
                self.trees = self.marked.trees

    @property
    def n(self) -> int:
        """Number of training windows."""
        return len(self.rows)

    def batch(self, index: int) -> Batch:
        """Return micro-batch `index`: tokens ``(batch_size, n_tokens)`` and labels ``(batch_size,)``."""
        config = self.config
        rng = np.random.default_rng([config.seed, 3, index])
        rows = self.rows[self.order.rows(index, config.batch_size)]
        shift = rng.integers(-config.shift, config.shift + 1, len(rows)) if config.shift else None
        codes = self.training.codes(rows, shift)
        if config.reverse_complement:
            flipped = rng.random(len(codes)) < 0.5
            codes[flipped] = reverse_complement(codes[flipped])
        if config.mutate:
            codes = mutated(codes, config.mutate, rng)
        labels = torch.from_numpy(self.training.labels[rows].astype(np.int64))
        batch = {"tokens": torch.from_numpy(self.tokenizer.encode(codes)), "labels": labels}
        return batch | dict(self.marked.batch(index)) if self.marked else batch

    def loss(self, model: nn.Module, batch: Batch) -> Tensor:
        """Return the mean cross-entropy in nats per window and, where there are two heads that answer, head.

        With a teacher, that between its marks and what the heads say of them is added.
        """
        opinions, smoothing = _opinions(model(input_ids=batch["tokens"])), self.config.label_smoothing
        loss = functional.cross_entropy(
            opinions.flatten(0, 1), batch["labels"].repeat(len(opinions)), label_smoothing=smoothing
        )
        if not self.config.teacher:
            return loss
        return loss + self.config.teacher.weight * taught_loss(_opinions(model(input_ids=batch[MARKED])), batch[MARK])

    def validate(self, model: nn.Module, device: torch.device) -> dict[str, float]:
        """Return AUROC, Matthews correlation and loss on the validation fold, of all that answers in the model."""
        odds, truth = log_odds(model, self.validation_tokens, device), self.validation_labels
        score = expit(with_trees(odds, self.trees, self.validation_codes))
        return {
            "auroc": float(roc_auc_score(truth, score)),
            "mcc": float(matthews_corrcoef(truth, score >= 0.5)),
            "loss": float(log_loss(truth, score)),
        }

    def save_trees(self, folder: Path) -> int:
        """Write the trees that stay in the model into its folder; return how many there are."""
        if self.trees is None:
            return 0
        self.trees.save(folder)
        return len(self.trees.boosters)


@dataclass
class BaseTask:
    """Say which bases of moved windows have 5' ends.

    Attributes
    ----------
    teachers
        Networks that say single bases, in evaluation mode.
    """

    config: FinetuneConfig
    data: Windows
    tokenizer: Tokenizer
    teachers: Sequence[nn.Module] = ()

    def __post_init__(self) -> None:
        config, tokenizer = self.config, self.tokenizer
        assert config.base
        training, validation = (Profiles.open(self.data.fold(name)) for name in (schema.TRAIN, schema.VALIDATION))
        rows = _sample(len(training.windows.table), config.max_train, config.seed)
        held = _sample(len(validation.windows.table), config.max_validation, config.seed)
        self.n = len(rows)
        self.moved = MovedWindows(config.base, training, tokenizer, rows, config.seed)
        self.held = MovedPositives(validation, tokenizer, held, config.seed)
        self.tokens_per_batch = self.moved.size * tokenizer.n_tokens(self.data.length)

    def batch(self, index: int) -> Batch:
        """Return micro-batch `index`: moved windows, their counts and labels."""
        return self.moved.batch(index)

    def loss(self, model: nn.Module, batch: Batch) -> Tensor:
        """Return the loss of the moved windows, and that of what teachers say of them, where there are any."""
        output, config = model(input_ids=batch[MOVED], base=True), self.config.base
        loss = self.moved.loss(output, batch)
        if not (self.teachers and config and config.taught):
            return loss
        tokens = batch[MOVED]
        with torch.no_grad():
            said = [teacher.to(tokens.device)(input_ids=tokens, base=True).profile.float() for teacher in self.teachers]
        return loss + config.taught * taught_profile_loss(output.profile.float(), said)

    def validate(self, model: nn.Module, device: torch.device) -> dict[str, float]:
        """Return how far predicted summits are off."""
        return self.held.validate(model, device)


@dataclass
class JointTask(ClassificationTask):
    """Tell centred windows apart and, in the same update, say which bases of moved ones have 5' ends."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.bases = BaseTask(self.config, self.data, self.tokenizer)
        self.tokens_per_batch += self.bases.tokens_per_batch

    def batch(self, index: int) -> Batch:
        """Return micro-batch `index`: centred windows, and moved ones."""
        return {**super().batch(index), **self.bases.batch(index)}

    def loss(self, model: nn.Module, batch: Batch) -> Tensor:
        """Return the loss of the centred windows plus that of the moved ones."""
        return super().loss(model, batch) + self.bases.loss(model, batch)

    def validate(self, model: nn.Module, device: torch.device) -> dict[str, float]:
        """Return the metrics of classification, and how far predicted summits are off."""
        return super().validate(model, device) | self.bases.validate(model, device)


def make_task(config: FinetuneConfig, data: Windows, tokenizer: Tokenizer) -> ClassificationTask:
    """Return what is to be learned: to classify, and with ``config.base`` single bases too."""
    return JointTask(config, data, tokenizer) if config.base else ClassificationTask(config, data, tokenizer)


def _opinions(output: Output) -> Tensor:
    """Return what each head that answers says, ``(n_heads, n_windows, 2)``."""
    return torch.stack(output.opinions or (output.logits,)).float()


def _sample(n: int, most: int | None, seed: int) -> NDArray[np.int64]:
    """Return at most `most` of `n` rows, drawn at random and in order."""
    if most is None or most >= n:
        return np.arange(n)
    return np.sort(np.random.default_rng([seed, 4]).choice(n, most, replace=False))
