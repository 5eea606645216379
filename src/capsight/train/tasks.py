"""What a network is fine-tuned to do: tell windows apart."""

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import expit
from sklearn.metrics import log_loss, matthews_corrcoef, roc_auc_score
from torch import Tensor, nn
from torch.nn import functional

from capsight.config import FinetuneConfig
from capsight.data import schema
from capsight.data.genome.alphabet import mutated, substituted
from capsight.data.sequence.sampling import EpochShuffler
from capsight.data.sequence.tokenizer import Tokenizer
from capsight.data.windows.windows import Windows
from capsight.errors import InputError
from capsight.predict.windows import log_odds
from capsight.train.loop import Batch


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
        self.positives = self.rows[self.training.labels[self.rows] == 1]
        self.order = EpochShuffler(self.n, config.seed)
        self.held = _sample(len(self.validation.table), config.max_validation, config.seed)
        self.validation_labels = self.validation.labels[self.held]
        self._check_labels(schema.TRAIN, self.training.labels[self.rows], config.max_train)
        self._check_labels(schema.VALIDATION, self.validation_labels, config.max_validation)
        self.validation_tokens = torch.from_numpy(self.tokenizer.encode(self.validation.codes(self.held)))
        self.tokens_per_batch = config.batch_size * self.tokenizer.n_tokens(self.data.length)

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
        labels = self.training.labels[rows].astype(np.int64)
        made = np.zeros(len(rows), dtype=bool)
        if config.substitute:
            made = (labels == 0) & (rng.random(len(rows)) < config.substitute.share)
            rows[made] = rng.choice(self.positives, np.count_nonzero(made))
        shift = rng.integers(-config.max_jitter, config.max_jitter + 1, len(rows)) if config.max_jitter else None
        codes = self.training.codes(rows, shift)
        if config.substitute:
            how = config.substitute
            codes[made] = substituted(codes[made], how.block, how.offset, how.fraction, rng)
        if config.mutation_rate:
            codes = mutated(codes, config.mutation_rate, rng)
        return {"tokens": torch.from_numpy(self.tokenizer.encode(codes)), "labels": torch.from_numpy(labels)}

    def loss(self, model: nn.Module, batch: Batch) -> Tensor:
        """Return the mean cross-entropy in nats per window."""
        logits = model(input_ids=batch["tokens"]).logits.float()
        return functional.cross_entropy(logits, batch["labels"])

    def validate(self, model: nn.Module, device: torch.device) -> dict[str, float]:
        """Return AUROC, Matthews correlation and loss on the validation fold."""
        odds, truth = log_odds(model, self.validation_tokens, device), self.validation_labels
        if not np.isfinite(odds).all():
            return dict.fromkeys(("auroc", "mcc", "loss"), math.nan)  # which the loop refuses, with the step
        score = expit(odds)
        return {
            "auroc": float(roc_auc_score(truth, score)),
            "mcc": float(matthews_corrcoef(truth, score >= schema.THRESHOLD)),
            "loss": float(log_loss(truth, score)),
        }


def _sample(n: int, most: int | None, seed: int) -> NDArray[np.int64]:
    """Return at most `most` of `n` rows, drawn at random and in order."""
    if most is None or most >= n:
        return np.arange(n)
    return np.sort(np.random.default_rng([seed, 4]).choice(n, most, replace=False))
