"""What a network is fine-tuned to do: tell windows apart, say single bases, or both in the same update."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import expit
from sklearn.metrics import log_loss, matthews_corrcoef, roc_auc_score
from torch import Tensor, nn
from torch.nn import functional

from capsight.config import FinetuneConfig
from capsight.data import schema
from capsight.data.bases import mutated, reverse_complement
from capsight.data.loader import Shuffled
from capsight.data.profiles import Profiles
from capsight.data.tokenizer import Tokenizer
from capsight.data.windows import Windows
from capsight.errors import InputError
from capsight.model.llama import Output
from capsight.predict.scorer import log_odds
from capsight.predict.trees import with_trees
from capsight.train.base import MOVED, MovedPositives, MovedWindows, taught_profile_loss
from capsight.train.loop import Batch
from capsight.train.teacher import MARK, MARKED, mark_windows, taught_loss


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
        self._check_labels(schema.TRAIN, self.training.labels[self.rows], config.max_train)
        self._check_labels(schema.VALIDATION, self.validation_labels, config.max_validation)
        self.validation_codes = self.validation.codes(self.held)
        self.validation_tokens = torch.from_numpy(self.tokenizer.encode(self.validation_codes))
        self.tokens_per_batch = config.batch_size * self.tokenizer.n_tokens(self.data.length)
        self.marked = self.trees = None
        if teacher := config.teacher:
            self.marked = mark_windows(teacher, self.data, self.rows, self.tokenizer, config.mutate, config.seed)
            self.tokens_per_batch += teacher.batch_size * self.tokenizer.n_tokens(self.data.length)
            if teacher.stays:
                self.trees = self.marked.trees

    def _check_labels(self, fold: str, labels: NDArray[np.int64], most: int | None) -> None:
        """Refuse a fold of which only one label is used."""
        if len(np.unique(labels)) < 2:
            among = f" among the {len(labels)} windows drawn" if most else ""
            raise InputError(
                f"the {fold} fold holds only one label{among}: nothing can be learnt", where=self.data.folder
            )

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
        if not np.isfinite(odds).all():
            return dict.fromkeys(("auroc", "mcc", "loss"), math.nan)  # which the loop refuses, with the step
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
    folds
        What is learned from. Where the validation fold is part of it, nothing is validated.
    teachers
        Networks that say single bases, in evaluation mode.
    """

    config: FinetuneConfig
    data: Windows
    tokenizer: Tokenizer
    folds: tuple[str, ...] = (schema.TRAIN,)
    teachers: Sequence[nn.Module] = ()

    def __post_init__(self) -> None:
        config, tokenizer = self.config, self.tokenizer
        assert config.base
        training = Profiles.open(self.data.fold(*self.folds))
        rows = _sample(len(training.windows.table), config.max_train, config.seed)
        self.n = len(rows)
        self.moved = MovedWindows(config.base, training, tokenizer, rows, config.seed)
        self.held = None if schema.VALIDATION in self.folds else self._held()
        self.tokens_per_batch = self.moved.size * tokenizer.n_tokens(self.data.length)

    def _held(self) -> MovedPositives:
        """Lay out the positives of the validation fold."""
        validation, config = Profiles.open(self.data.fold(schema.VALIDATION)), self.config
        rows = _sample(len(validation.windows.table), config.max_validation, config.seed)
        return MovedPositives(validation, self.tokenizer, rows, config.seed)

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
        """Return how far predicted summits are off, where there is something to validate on."""
        return self.held.validate(model, device) if self.held else {}


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
