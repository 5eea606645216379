"""Training of the track network on labelled sequences, whose cap sites nobody has placed: by a summary of the track.

Expected summits add up, so 1 - exp(-their sum) is the probability that a sequence has one on the strand that is read.
That is compared with the label.
"""

from dataclasses import dataclass
from math import exp
from typing import Final

import numpy as np
import torch
from sklearn.metrics import roc_auc_score
from torch import Tensor, nn
from torch.nn import functional

from capsight.data.genome.alphabet import N_CODE, Codes, Ints
from capsight.data.sequence.sampling import EpochShuffler
from capsight.data.windows.windows import Windows
from capsight.model.track import TrackNetwork, one_hot, trimmed
from capsight.predict.track import REACH, flank
from capsight.train.loop import Batch

CODES: Final = "codes"
LABELS: Final = "labels"
#: Sequences in a batch, at least; short ones are mostly halo.
_LEAST: Final = 32
#: Natural logarithm of so many expected summits that a sequence has one for certain.
_CERTAIN: Final = 1.5


@dataclass
class SequenceTask:
    """Labelled sequences in, cross-entropy of their labels out.

    Attributes
    ----------
    training, validation
        The folds.
    halo
        Bases on either side of a sequence, of what prediction sees there.
    bases_per_batch
        About so many bases are read in one batch.
    seed
        Of the order.
    """

    training: Windows
    validation: Windows
    halo: int
    bases_per_batch: int
    seed: int

    def __post_init__(self) -> None:
        self.size = max(_LEAST, self.bases_per_batch // (self.training.length + 2 * self.halo))
        self.tokens_per_batch = self.size * self.training.length
        self.flank = flank(self.halo + REACH)
        self.order = EpochShuffler(len(self.training.table), self.seed)

    @property
    def batches_per_pass(self) -> float:
        """Batches in which every training sequence is read once."""
        return len(self.training.table) / self.size

    def batch(self, index: int) -> Batch:
        """Return micro-batch number `index`, a pure function of it."""
        return self._read(self.training, self.order.rows(index, self.size))

    def loss(self, model: nn.Module, batch: Batch) -> Tensor:
        """Return the mean cross-entropy of the labels, in nats per sequence."""
        return functional.binary_cross_entropy_with_logits(self._logits(model, batch), batch[LABELS])

    def validate(self, model: nn.Module, device: torch.device) -> dict[str, float]:
        """Return AUROC on the validation fold; 0.5 where it has one label only."""
        logits = []
        for rows in np.array_split(np.arange(len(self.validation.table)), -(-len(self.validation.table) // self.size)):
            batch = {name: part.to(device) for name, part in self._read(self.validation, rows).items()}
            logits.append(self._logits(model, batch).float().cpu().numpy())
        labels = self.validation.labels
        return {"auroc": float(roc_auc_score(labels, np.concatenate(logits))) if 0 < labels.mean() < 1 else 0.5}

    def _read(self, windows: Windows, rows: Ints) -> Batch:
        beyond = np.broadcast_to(self.flank, (len(rows), len(self.flank)))
        left, right = beyond[:, len(self.flank) - self.halo :], beyond[:, : self.halo]
        codes: Codes = np.concatenate([left, windows.codes(rows), right], axis=1)
        labels = windows.labels[rows].astype(np.float32)
        return {CODES: torch.from_numpy(codes), LABELS: torch.from_numpy(labels)}

    def _logits(self, model: nn.Module, batch: Batch) -> Tensor:
        """Return log-odds that each sequence has a summit, ``(n,)``."""
        codes = batch[CODES]
        dtype = torch.bfloat16 if torch.is_autocast_enabled(codes.device.type) else torch.float32
        assert isinstance(model, TrackNetwork)
        log_summits = model(one_hot(codes, dtype)).log_summits
        known = trimmed(codes[..., None], self.halo)[..., 0] != N_CODE
        log_sum = torch.logsumexp(log_summits.masked_fill(~known, -1e4), dim=1).clamp(min=-30)
        # beyond a few expected summits the sum goes on as a line, so that training can come back from there
        straight = exp(_CERTAIN) * (1 + log_sum - _CERTAIN)
        summits = torch.where(log_sum < _CERTAIN, log_sum.clamp(max=_CERTAIN).exp(), straight)
        return summits + torch.log(-torch.expm1(-summits))  # log(p / (1 - p)) of p = 1 - exp(-summits)
