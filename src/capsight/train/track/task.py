"""What the training loop needs to know of the track network: crops, losses, and a scan of the validation fold."""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score
from torch import Tensor, nn

from capsight.config.track import TrackLossConfig
from capsight.data.ctss.ctss import Ctss
from capsight.data.genome.stretches import Stretches
from capsight.model.track import TrackNetwork, one_hot
from capsight.predict.track import Precision, TrackScorer
from capsight.train.loop import Batch
from capsight.train.track.crops import CropSource
from capsight.train.track.genes import GeneTargets, WithGenes, gene_loss
from capsight.train.track.losses import BLOCK_SIZE, track_losses

#: Parts of a batch.
CODES: Final = "codes"
TAGS: Final = "tags"
SUMMITS: Final = "summits"
GENES: Final = "genes"
OFFSET: Final = "offset"

#: Bases of a bin in which validation looks for summits.
BIN: Final = 50


@dataclass
class TrackTask:
    """Crops of the training fold in, losses out; AUPRC of summits in a scan of the validation fold.

    Attributes
    ----------
    crops
        Where the crops come from.
    config
        Weights of the losses.
    genes
        Open reading frames of the training fold; `None` does without the second lesson.
    validation
        Stretches to scan.
    validation_summits
        Summits there; others are not read.
    precision
        Of the scan.
    """

    crops: CropSource
    config: TrackLossConfig
    genes: GeneTargets | None
    validation: Stretches
    validation_summits: Ctss
    precision: Precision = "fp32"

    @property
    def tokens_per_batch(self) -> int:
        """Bases that are answered for in one batch."""
        return self.crops.config.batch_size * self.crops.config.length

    def batch(self, index: int) -> Batch:
        """Return micro-batch number `index`, a pure function of it."""
        places = self.crops.places(index)
        crops = self.crops.at(*places)
        offset = np.random.default_rng([self.crops.seed, index, 1]).integers(BLOCK_SIZE)
        parts: dict[str, NDArray[Any]] = {CODES: crops.codes, TAGS: crops.tags, SUMMITS: crops.summits}
        if self.genes:
            parts[GENES] = self.genes.at(*places, self.crops.config.length)
        return {name: torch.from_numpy(part) for name, part in parts.items()} | {OFFSET: torch.tensor(int(offset))}

    def loss(self, model: nn.Module, batch: Batch) -> Tensor:
        """Return the mean loss of a batch; `model` is a `WithGenes` where there are genes, else a `TrackNetwork`."""
        bases = one_hot(
            batch[CODES], torch.bfloat16 if torch.is_autocast_enabled(batch[CODES].device.type) else torch.float32
        )
        track, genes = model(bases) if self.genes else (model(bases), None)
        losses = track_losses(track, batch[TAGS], batch[SUMMITS], self.config, int(batch[OFFSET]))
        if genes is None:
            return losses.weighted
        return losses.weighted + self.config.orf_weight * gene_loss(genes, batch[GENES])

    def validate(self, model: nn.Module, device: torch.device) -> dict[str, float]:
        """Scan the validation fold: AUPRC of summits in stranded bins, with the expected summits as the score."""
        network = model.network if isinstance(model, WithGenes) else model
        if not isinstance(network, TrackNetwork):
            raise TypeError(f"{type(network).__name__} is no track network")
        return scanned(TrackScorer(network, precision=self.precision), self.validation, self.validation_summits)


def scanned(scorer: TrackScorer, stretches: Stretches, summits: Ctss) -> dict[str, float]:
    """Scan some stretches: AUPRC of summits in stranded bins, with the expected summits as the score."""
    truth, score = [], []
    number = stretches.find(summits.contig, summits.position)
    for i in range(len(stretches.contig)):
        codes = stretches.genome.contig(int(stretches.contig[i]))
        first, last = int(stretches.start[i]), int(stretches.end[i])
        n_bins = -(-(last - first) // BIN)
        expected, observed = np.zeros((2, n_bins)), np.zeros((2, n_bins), bool)
        for start in range(first, last, scorer.tile):
            end = min(start + scorer.tile, last)
            summits_here = scorer.counts(codes[None], start, end).summits[0]
            for strand in (0, 1):
                expected[strand] += np.bincount((np.arange(start, end) - first) // BIN, summits_here[strand], n_bins)
        here = number == i
        observed[summits.minus[here], (summits.position[here] - first) // BIN] = True
        score.append(expected.ravel())
        truth.append(observed.ravel())
    return {"auprc": float(average_precision_score(np.concatenate(truth), np.concatenate(score)))}
