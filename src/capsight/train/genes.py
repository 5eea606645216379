"""A second lesson for the track network: where the open reading frames are, read from the DNA that it is trained on.

It is learned by channels of its own, which are not kept: only what the shared convolutions learn from it stays. In
yeast it is worth more than any other setting that was tried (`docs/log.md`), for a cap site stands before a gene, and
a few thousand promoters are too few to learn from what a gene looks like.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Final, Self

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from capsight.data.bases import Ints
from capsight.data.genome import Genome
from capsight.data.orfs import CONTIG, END, MINUS, START, genes
from capsight.model.track import Convolution, Track, TrackNetwork

Floats = NDArray[np.float32]

#: Channels: the three positions of a codon on the strand read, a gene on the other strand, the first base of a gene.
N_TARGETS: Final = 5
OTHER_STRAND, FIRST_BASE = 3, 4
#: One base in some thousands begins a gene.
FIRST_BASE_WEIGHT: Final = 41.0


@dataclass(frozen=True, eq=False)
class GeneTargets:
    """Open reading frames of the training contigs, base by base.

    Attributes
    ----------
    table
        Frames (`capsight.data.orfs.genes`), sorted by contig and start.
    """

    table: pd.DataFrame

    @classmethod
    def of(cls, genome: Genome, contigs: Ints, minimum_codons: int) -> Self:
        """Find the frames of some contigs of a genome."""
        return cls(genes({int(number): genome.contig(number) for number in contigs}, minimum_codons))

    def at(self, contig: Ints, minus: NDArray[np.bool_], start: Ints, length: int) -> Floats:
        """Return the targets at each base of crops, 5'→3', ``(n, length, N_TARGETS)``, each 0 or 1.

        `start` is the leftmost base of each crop on its contig, ``(n,)``.
        """
        targets = np.zeros((len(contig), length, N_TARGETS), np.float32)
        for row in range(len(contig)):
            for first, last, strand in self._between(int(contig[row]), int(start[row]), int(start[row]) + length):
                same = strand == minus[row]
                # where the frame begins and ends along the crop, 5'→3' on the strand of the crop
                begin, end = first - int(start[row]), last - int(start[row])
                if minus[row]:
                    begin, end = length - end, length - begin
                inside = slice(max(begin, 0), min(end, length))
                if not same:
                    targets[row, inside, OTHER_STRAND] = 1
                    continue
                places = np.arange(inside.start, inside.stop)
                targets[row, places, (places - begin) % 3] = 1
                if begin >= 0:
                    targets[row, begin, FIRST_BASE] = 1
        return targets

    def _between(self, contig: int, start: int, end: int) -> list[tuple[int, int, bool]]:
        """Return start, end and strand of the frames that overlap a stretch."""
        if contig not in self._contigs:
            return []
        starts, ends, strands, longest = self._contigs[contig]
        a, b = np.searchsorted(starts, [start - longest, end])
        chosen = slice(a, b)
        found = zip(starts[chosen].tolist(), ends[chosen].tolist(), strands[chosen].tolist(), strict=True)
        return [frame for frame in found if frame[1] > start]

    @cached_property
    def _contigs(self) -> dict[int, tuple[Ints, Ints, NDArray[np.bool_], int]]:
        """Starts, ends, strands and the longest frame of each contig."""
        return {
            number: (
                part[START].to_numpy(np.int64),
                part[END].to_numpy(np.int64),
                part[MINUS].to_numpy(bool),
                int((part[END] - part[START]).max()),
            )
            for number, part in ((int(n), self.table[self.table[CONTIG] == n]) for n in self.table[CONTIG].unique())
        }


class WithGenes(nn.Module):
    """A track network with channels for genes beside its own.

    Parameters
    ----------
    network
        The network, which is trained in place.
    """

    def __init__(self, network: TrackNetwork) -> None:
        super().__init__()
        self.network = network
        self.genes = Convolution(network.config.width, N_TARGETS, network.config.head_kernel)

    def forward(self, bases: Tensor) -> tuple[Track, Tensor]:
        """Read one-hot bases ``(n, length, 4)``; answer with the track, and gene logits ``(n, length, N_TARGETS)``."""
        states = self.network.states(bases)
        return self.network.answer(states), self.genes(states).float()


def gene_loss(logits: Tensor, targets: Tensor) -> Tensor:
    """Return the mean binary cross-entropy of all channels, in nats per base.

    First bases are rare: theirs counts `FIRST_BASE_WEIGHT` times what the mean of the other channels does.

    Parameters
    ----------
    logits, targets
        ``(n, length, N_TARGETS)``.
    """
    losses = functional.binary_cross_entropy_with_logits(logits, targets, reduction="none").mean(dim=(0, 1))
    weights = torch.ones_like(losses)
    weights[FIRST_BASE] = FIRST_BASE_WEIGHT * (N_TARGETS - 1)
    return (losses * weights).sum() / (N_TARGETS - 1)
