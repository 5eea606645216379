"""What the head for single bases is trained on: windows moved at random, and how many 5' ends each base has.

Profile and total are parted as in BPNet (Avsec et al., Nat. Genet. 53, 354-366, 2021). The loss of the profile is the
multinomial negative log likelihood of the counts under the softmax of the logits, here divided by the number of tags
of the window, so that a strong promoter weighs no more than a weak one: the cross-entropy of observed and predicted
shares. That of the total is the squared error of log(1 + tags), as in BPNet. That of presence is ours.
"""

import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from capsight.config import BaseConfig
from capsight.data.bases import Codes
from capsight.data.loader import Shuffled
from capsight.data.profiles import Counts, Profiles, draw_shifts, middle_half
from capsight.data.tokenizer import Tokenizer
from capsight.errors import InputError
from capsight.model.base_head import BaseOutput
from capsight.predict.summits import NEAR, named_summits
from capsight.train.loop import Batch

logger = logging.getLogger(__name__)

Ints = NDArray[np.int64]

#: Parts of a batch.
MOVED = "moved"
COUNTS = "counts"
PRESENT = "present"


@dataclass
class MovedWindows:
    """Windows moved so that what was in the middle lies anywhere in the middle half.

    Attributes
    ----------
    rows
        Which windows of `profiles` are drawn from, of both labels.

    Raises
    ------
    InputError
        If one label is missing.
    """

    config: BaseConfig
    profiles: Profiles
    tokenizer: Tokenizer
    rows: Ints
    seed: int

    def __post_init__(self) -> None:
        labels = self.profiles.windows.labels[self.rows]
        self.negatives, self.positives = (self.rows[labels == label] for label in (0, 1))
        if not len(self.negatives) or not len(self.positives):
            where = self.profiles.windows.folder
            raise InputError("training on single bases needs both positives and negatives", where=where)
        size = self.config.batch_size
        self.n_positives = min(max(round(self.config.positives * size), 1), size - 1)
        share, drawn = len(self.positives) / len(self.rows), self.n_positives / size
        #: Weights of negatives and positives that undo the share of positives in a batch.
        self.weights = torch.tensor([(1 - share) / (1 - drawn), share / drawn])
        self.order = Shuffled(len(self.positives), self.seed + 1)  # not the order of the centred ones
        self.order_of_negatives = Shuffled(len(self.negatives), self.seed + 2)
        self.elsewhere = self._elsewhere() if self.config.elsewhere else None

    @property
    def size(self) -> int:
        """Number of windows in a batch."""
        return self.config.batch_size + (self.config.elsewhere if self.elsewhere else 0)

    def _elsewhere(self) -> "_Elsewhere | None":
        """Lay windows around any 5' ends of the training chromosomes, where there are enough."""
        profiles = self.profiles.around(self.config.least)
        n = len(profiles.windows.table)
        logger.info("finetune: %s windows around any 5' ends teach profiles, too", f"{n:,}")
        return _Elsewhere(profiles, Shuffled(n, self.seed + 4)) if n else None

    def batch(self, index: int) -> Batch:
        """Return batch `index`: tokens and counts ``(n_moved, length)``, labels ``(batch_size,)``.

        The moved windows without a label, those around any 5' ends, come last.
        """
        data = self.profiles.windows
        rng = np.random.default_rng([self.seed, 9, index])
        drawn = self.order_of_negatives.rows(index, self.config.batch_size - self.n_positives)
        rows = np.concatenate([self.positives[self.order.rows(index, self.n_positives)], self.negatives[drawn]])
        shift = draw_shifts(len(rows), data.length, rng)
        codes, counts = data.codes(rows, shift), self.profiles.counts(rows, shift)
        present = torch.from_numpy(data.labels[rows].astype(np.float32))
        if self.elsewhere:
            more, their = self.elsewhere.batch(index, self.config.elsewhere, rng)
            codes, counts = np.concatenate([codes, more]), np.concatenate([counts, their])
        tokens = torch.from_numpy(self.tokenizer.encode(codes))
        return {MOVED: tokens, COUNTS: torch.from_numpy(counts), PRESENT: present}

    def loss(self, output: BaseOutput, batch: Batch) -> Tensor:
        """Return the weighted sum of the three losses."""
        counts, present = batch[COUNTS], batch[PRESENT]
        config, weights = self.config, self.weights.to(present.device)[present.long()]
        said, tags = output.presence.float()[: len(present)], torch.log1p(counts.sum(dim=1))
        has_summit = functional.pad(present, (0, len(counts) - len(present)), value=1)
        return (
            config.profile
            * profile_loss(output.profile.float(), taught_counts(counts, config), has_summit, config.doubt)
            + config.total * functional.mse_loss(output.total.float(), tags)
            + config.presence * functional.binary_cross_entropy_with_logits(said, present, weights)
        )


class _Elsewhere(NamedTuple):
    """Windows around any 5' ends, and the order in which they are read."""

    profiles: Profiles
    order: Shuffled

    def batch(self, index: int, size: int, rng: np.random.Generator) -> tuple[Codes, Counts]:
        """Return codes and counts of some of them, moved, ``(size, length)``."""
        data, rows = self.profiles.windows, self.order.rows(index, size)
        shift = draw_shifts(size, data.length, rng)
        return data.codes(rows, shift), self.profiles.counts(rows, shift)


def taught_counts(counts: Tensor, config: BaseConfig) -> Tensor:
    """Return what the profile is to be like, ``(n_windows, length)``: counts raised to a power, and smoothed.

    Each window keeps its number of 5' ends. `smooth` spreads each base over as many to either side with weights that
    fall linearly to zero; what would leave the window is lost.
    """
    taught = counts**config.power if config.power < 1 else counts
    if config.smooth:
        weights = 1 + config.smooth - torch.arange(-config.smooth, config.smooth + 1, device=counts.device).abs()
        taught = functional.conv1d(taught[:, None], weights.to(taught)[None, None], padding="same")[:, 0]
    return taught * (counts.sum(dim=1) / taught.sum(dim=1).clamp(min=1e-9))[:, None]


def profile_loss(logits: Tensor, counts: Tensor, present: Tensor, doubt: float = 0) -> Tensor:
    """Return the mean cross-entropy of observed and predicted shares, in nats per window.

    Parameters
    ----------
    logits, counts
        ``(n_windows, length)``.
    present
        ``(n_windows,)`` 1 for positives: negatives, and windows without tags, take no part.
    doubt
        A window with n tags weighs n / (n + `doubt`).
    """
    tags = counts.sum(dim=1)
    weight = torch.where((present > 0) & (tags > 0), tags / (tags + doubt).clamp(min=1e-9), 0)
    observed = counts / tags.clamp(min=1e-9)[:, None]
    loss = -(observed * torch.log_softmax(logits, dim=1)).sum(dim=1)
    return (loss * weight).sum() / weight.sum().clamp(min=1e-9)


def taught_profile_loss(logits: Tensor, taught: Sequence[Tensor]) -> Tensor:
    """Return the mean cross-entropy in nats of the mean of the teachers' shares and predicted shares.

    Parameters
    ----------
    logits
        ``(n_windows, length)``.
    taught
        Logits of each teacher, of the same shape.
    """
    share = torch.stack([torch.softmax(each, dim=1) for each in taught]).mean(dim=0)
    return -(share * torch.log_softmax(logits, dim=1)).sum(dim=1).mean()


class MovedPositives:
    """Positives of the validation fold, moved once: how far predicted summits are from the observed ones."""

    def __init__(self, profiles: Profiles, tokenizer: Tokenizer, rows: Ints, seed: int) -> None:
        data = profiles.windows
        rows = rows[data.labels[rows] == 1]
        shift = draw_shifts(len(rows), data.length, np.random.default_rng([seed, 10]))
        self.tokens = torch.from_numpy(tokenizer.encode(data.codes(rows, shift)))
        self.summit = data.length // 2 - shift
        self.middle = middle_half(data.length)

    def validate(self, model: nn.Module, device: torch.device, batch_size: int = 256) -> dict[str, float]:
        """Return the median distance in bases of the named summits, and the share of windows within 10 bases."""
        parts = self.tokens.split(batch_size)
        profiles = [model(input_ids=part.to(device), base=True).profile.cpu().double() for part in parts]
        share = torch.softmax(torch.cat(profiles), dim=1)[:, self.middle].numpy()
        if not np.isfinite(share).all():
            return dict.fromkeys(("base_median_distance", "base_within_10"), math.nan)  # which the loop refuses
        distance = np.abs(named_summits(share) + self.middle.start - self.summit)
        return {
            "base_median_distance": float(np.median(distance)),
            "base_within_10": float((distance <= NEAR).mean()),
        }
