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
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from capsight.data.ctss.ctss import Ctss
from capsight.data.ctss.table import place_numbers
from capsight.data.genome.alphabet import Ints
from capsight.data.genome.orfs import CONTIG, END, MINUS, START, genes
from capsight.data.genome.stretches import Stretches
from capsight.model.track import Convolution, Track, TrackNetwork, trimmed

Floats = NDArray[np.float32]

#: Channels: the three positions of a codon on the strand read, a gene on the other strand, the first base of a gene,
#: and inside genes of the strand read how strong their promoter is.
N_TARGETS: Final = 6
OTHER_STRAND, FIRST_BASE, STRENGTH = 3, 4, 5
#: The column that `GeneTargets` adds to the table of frames.
STRENGTH_COLUMN: Final = "strength"
#: 5' ends so many bases before and behind the first base of a gene are its promoter's.
UPSTREAM, DOWNSTREAM = 500, 100
#: One base in some thousands begins a gene.
FIRST_BASE_WEIGHT: Final = 41.0
STRENGTH_WEIGHT: Final = 0.6


@dataclass(frozen=True, eq=False)
class GeneTargets:
    """Open reading frames of the training stretches, base by base.

    Attributes
    ----------
    table
        Frames (`data.genome.orfs.genes`), sorted by contig and start, with `STRENGTH_COLUMN`: log(1 + 5' ends around
        the first base), minus the mean of all frames and divided by their standard deviation.
    """

    table: pd.DataFrame

    @classmethod
    def from_stretches(cls, stretches: Stretches, min_codons: int, tags: Ctss) -> Self:
        """Find the frames that lie in some stretches of a genome, and count the 5' ends before them, there alone."""
        rows = zip(stretches.contig, stretches.start, stretches.end, strict=True)
        codes = {i: stretches.genome.contig(contig)[start:end] for i, (contig, start, end) in enumerate(rows)}
        table = genes(codes, min_codons)
        number = table[CONTIG].to_numpy(np.int64)
        for name in (START, END):
            table[name] += stretches.start[number]
        table[CONTIG] = stretches.contig[number]
        strength = np.log1p(_promoter_tags(table, stretches, number, tags))
        spread = strength.std() if len(strength) and strength.std() > 0 else 1.0
        return cls(
            table.assign(**{STRENGTH_COLUMN: (strength - strength.mean()) / spread if len(strength) else strength})
        )

    def at(self, contig: Ints, minus: NDArray[np.bool_], start: Ints, length: int) -> Floats:
        """Return the targets at each base of crops, 5'→3', ``(n, length, N_TARGETS)``.

        All are 0 or 1, but `STRENGTH` is a number.
        `start` is the leftmost base of each crop on its contig, ``(n,)``.
        """
        targets = np.zeros((len(contig), length, N_TARGETS), np.float32)
        for row in range(len(contig)):
            for first, last, strand, strength in self._between(
                int(contig[row]), int(start[row]), int(start[row]) + length
            ):
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
                targets[row, inside, STRENGTH] = strength
                if begin >= 0:
                    targets[row, begin, FIRST_BASE] = 1
        return targets

    def _between(self, contig: int, start: int, end: int) -> list[tuple[int, int, bool, float]]:
        """Return start, end, strand and strength of the frames that overlap a stretch."""
        if contig not in self._contigs:
            return []
        part, longest = self._contigs[contig]
        a, b = np.searchsorted(part[START], [start - longest, end])
        return [frame for frame in part.iloc[a:b].itertuples(index=False, name=None) if frame[1] > start]

    @cached_property
    def _contigs(self) -> dict[int, tuple[pd.DataFrame, int]]:
        """The frames of each contig, and the length of the longest."""
        columns = [START, END, MINUS, STRENGTH_COLUMN]
        return {
            int(number): (part, int((part[END] - part[START]).max()))
            for number in self.table[CONTIG].unique()
            for part in [self.table.loc[self.table[CONTIG] == number, columns]]
        }


def _promoter_tags(table: pd.DataFrame, stretches: Stretches, number: Ints, tags: Ctss) -> Floats:
    """Return the number of 5' ends from `UPSTREAM` bases before to `DOWNSTREAM` behind the first base of each frame.

    Those that lie in another stretch than the frame, of which the numbers are given, are not read.
    """
    genome, contig, minus = stretches.genome, stretches.contig[number], table[MINUS].to_numpy(bool)
    low, high = stretches.start[number], stretches.end[number]
    start = np.where(minus, table[END] - DOWNSTREAM, table[START] - UPSTREAM).clip(low, high)
    end = np.where(minus, table[END] + UPSTREAM, table[START] + DOWNSTREAM).clip(low, high)
    origin = place_numbers(genome, contig, minus.astype(np.int64), np.zeros_like(contig))
    numbers = place_numbers(genome, tags.contig, tags.minus, tags.position)
    sums = np.concatenate([[0.0], tags.counts.cumsum()])
    first, last = np.searchsorted(numbers, origin + start), np.searchsorted(numbers, origin + end)
    return (sums[last] - sums[first]).astype(np.float32)


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
        logits = trimmed(self.genes(states), self.network.margin - self.genes.trim)
        return self.network.answer(states, bases), logits.float()


def gene_loss(logits: Tensor, targets: Tensor) -> Tensor:
    """Return the mean binary cross-entropy in nats per base, and the squared error of strengths.

    First bases are rare: theirs counts `FIRST_BASE_WEIGHT` times what the mean of the channels before does. Strengths
    count inside genes alone, `STRENGTH_WEIGHT` times.

    Parameters
    ----------
    logits, targets
        ``(n, length, N_TARGETS)``.
    """
    entropy = functional.binary_cross_entropy_with_logits(
        logits[..., :STRENGTH], targets[..., :STRENGTH], reduction="none"
    )
    inside = targets[..., :OTHER_STRAND].amax(dim=-1)
    error = (logits[..., STRENGTH] - targets[..., STRENGTH]) ** 2 * inside
    where, first = entropy[..., :FIRST_BASE].mean(), entropy[..., FIRST_BASE].mean()
    return where + FIRST_BASE_WEIGHT * first + STRENGTH_WEIGHT * error.mean()
