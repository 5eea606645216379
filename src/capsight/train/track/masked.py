"""Pre-training of the track network: hide bases of the training chromosomes, and predict them from their neighbours."""

from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from capsight.data.genome.alphabet import N_CODE
from capsight.data.sequence.sampling import mask_blocks
from capsight.model.track import N_BASES, Convolution, TrackNetwork, one_hot, trimmed
from capsight.train.loop import Batch
from capsight.train.track.crops import CropSource

CODES: Final = "codes"
TARGETS: Final = "targets"
#: Target of a base that is not asked for.
IGNORED: Final = -100
#: Share of bases that is hidden, and how many together.
FRACTION: Final = 0.15
SPAN: Final = 4
#: Batches behind a validation loss.
_LOOKS: Final = 8


class WithBases(nn.Module):
    """A track network that says of each base which it is.

    Parameters
    ----------
    network
        The network, whose convolutions are trained in place; what it says of 5' ends is not.
    """

    def __init__(self, network: TrackNetwork) -> None:
        super().__init__()
        self.network = network
        self.bases = Convolution(network.config.width, N_BASES, 1)

    def forward(self, bases: Tensor) -> Tensor:
        """Read one-hot bases ``(n, length, 4)``; return logits ``(n, length - 2 * halo, 4)``."""
        return trimmed(self.bases(self.network.states(bases)), self.network.margin).float()


@dataclass
class MaskedTask:
    """Crops in which bases are hidden as N, and the hidden bases.

    Attributes
    ----------
    crops, validation
        Where crops come from, in training and validation.
    """

    crops: CropSource
    validation: CropSource

    @property
    def tokens_per_batch(self) -> int:
        """Bases that are read in one batch."""
        return self.crops.config.batch_size * self.crops.config.length

    def batch(self, index: int) -> Batch:
        """Return micro-batch number `index`, a pure function of it."""
        return self._hidden(self.crops, index)

    def loss(self, model: nn.Module, batch: Batch) -> Tensor:
        """Return the mean cross-entropy in nats per hidden base."""
        autocast = torch.is_autocast_enabled(batch[CODES].device.type)
        logits = model(one_hot(batch[CODES], torch.bfloat16 if autocast else torch.float32))
        targets = batch[TARGETS].flatten()
        total = functional.cross_entropy(logits.flatten(0, 1), targets, ignore_index=IGNORED, reduction="sum")
        return total / (targets != IGNORED).sum().clamp(min=1)

    def validate(self, model: nn.Module, device: torch.device) -> dict[str, float]:
        """Return the loss on the same crops of the validation contigs every time."""
        batches = ({k: v.to(device) for k, v in self._hidden(self.validation, i).items()} for i in range(_LOOKS))
        return {"validation_loss": float(np.mean([self.loss(model, batch).item() for batch in batches]))}

    def _hidden(self, crops: CropSource, index: int) -> Batch:
        """Hide bases of the crops of a batch."""
        codes = crops.batch(index).codes
        inside = slice(crops.halo, codes.shape[1] - crops.halo)
        rng = np.random.default_rng([crops.seed, index, 3])
        asked = codes[:, inside].astype(np.int64)
        masked, hidden = mask_blocks(asked, N_CODE, FRACTION, SPAN, rng)
        targets = np.where(hidden & (asked != N_CODE), asked, IGNORED)
        read = codes.copy()
        read[:, inside] = masked
        return {CODES: torch.from_numpy(read), TARGETS: torch.from_numpy(targets)}
