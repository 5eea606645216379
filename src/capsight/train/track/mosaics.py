"""Mosaics: crops that are pieced together, for the track network to meet DNA in foreign surroundings.

A piece is a stretch of the training chromosomes, with all that is known of it, or a promoter that was given as a
sequence with its TSS (`data.peaks.promoters`). Pieces lie end to end, halo and all, so that every base has junctions
near it and a junction means nothing; where only the promoters had them, the network learned to see junctions, and
nothing else (`docs/log.md`, 2026-11-28). Nothing is filled up with N.

What is not known is no part of any loss: 5' ends and summits of a piece that have lost a part of their promoter at a
junction. Which crops are mosaics, and of what, is a pure function of seed and number of the batch.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from capsight.data.peaks.promoters import Promoters
from capsight.train.track.crops import Crops, CropSource

Mask = NDArray[np.bool_]

#: A TSS with fewer bases of its own before or behind it may have lost a part of its promoter.
UPSTREAM: Final = 150
DOWNSTREAM: Final = 50
#: Bases to either side of such a TSS where nothing is known either.
DOUBT: Final = 50
#: Bases before and behind the TSS that are kept of a promoter that was given, at least. Beyond, its ends are cut off at
#: random: a junction has no fixed place.
KEPT_UPSTREAM, KEPT_DOWNSTREAM = 120, 30


class Piece(NamedTuple):
    """A piece of a mosaic.

    Attributes
    ----------
    row
        Number of the crop in its batch.
    start, end
        Where it lies on the crop, 5'→3', from the first base behind the halo on. The first and last pieces reach beyond
        what is read.
    contig, minus, first
        Number of the contig, strand (1 is minus) and leftmost base of a piece of the genome; contig -1 is a promoter.
    promoter
        Number of the promoter.
    """

    row: int
    start: int
    end: int
    contig: int
    minus: int
    first: int
    promoter: int = -1


@dataclass(frozen=True, eq=False)
class Mosaics:
    """Draws mosaics, and puts them in the place of crops.

    Attributes
    ----------
    crops
        Where pieces come from; its settings say how many crops are mosaics, and of what.
    promoters
        The promoters that were given, if any.
    near
        Bases around a summit that are known whatever `CropsConfig.exclusion` says.
    """

    crops: CropSource
    promoters: Promoters | None = None
    near: int = 0

    def pieces(self, index: int) -> list[Piece]:
        """Draw the pieces of all mosaics of batch number `index`."""
        rng = np.random.default_rng([self.crops.seed, 4, index])
        config, drawn = self.crops.config, list[Piece]()
        for row in np.flatnonzero(rng.random(config.batch_size) < config.mosaics).tolist():
            start = -self.crops.halo - int(rng.integers(config.piece_length[1]))
            while start < config.length + self.crops.halo:
                drawn.append(self._draw(row, start, rng))
                start = drawn[-1].end
        return drawn

    def _draw(self, row: int, start: int, rng: np.random.Generator) -> Piece:
        """Draw a piece that begins at `start`."""
        config = self.crops.config
        if self.promoters is not None and rng.random() < config.promoters:
            number, first, end = self._draw_promoter(self.promoters, rng)
            return Piece(row, start, start + end - first, -1, 0, first, number)
        size = int(rng.integers(config.piece_length[0], config.piece_length[1] + 1))
        stretches = self.crops.stretches
        stretch = int(rng.choice(len(stretches.sizes), p=stretches.sizes / stretches.sizes.sum()))
        first = int(stretches.start[stretch] + rng.integers(max(int(stretches.sizes[stretch]) - size, 0) + 1))
        return Piece(row, start, start + size, int(stretches.contig[stretch]), int(rng.integers(2)), first)

    def lay(self, crops: Crops, known: Mask, pieces: list[Piece]) -> None:
        """Put mosaics in the place of crops, and of what is known of them, ``(n, length)``."""
        for piece in pieces:
            read, sure = self._read(piece)
            lay(read.codes, crops.codes[piece.row], piece.start + self.crops.halo)
            for values, over in ((read.tags, crops.tags), (read.summits, crops.summits)):
                lay(values, over[piece.row], piece.start)
            lay(sure, known[piece.row], piece.start)

    def _draw_promoter(self, promoters: Promoters, rng: np.random.Generator) -> tuple[int, int, int]:
        """Draw a promoter; return its number, and the first base and the end of what is kept of it."""
        number = int(np.searchsorted(self._shares, rng.random(), side="right"))
        tss, size = promoters.tss[number], len(promoters.codes[number])
        first = int(rng.integers(max(tss - KEPT_UPSTREAM, 0) + 1))
        return number, first, int(rng.integers(min(tss + 1 + KEPT_DOWNSTREAM, size), size + 1))

    @cached_property
    def _shares(self) -> NDArray[np.float64]:
        """How often each promoter, or one before it, is drawn; the last, which is always, is left out."""
        assert self.promoters is not None
        weights = np.asarray(self.promoters.weight, dtype=np.float64)
        return np.cumsum(weights / weights.sum())[:-1]

    def _read(self, piece: Piece) -> tuple[Crops, Mask]:
        """Return what a piece holds, and where that is known, all ``(end - start,)``."""
        size = piece.end - piece.start
        if piece.contig < 0:
            assert self.promoters is not None
            summits = np.zeros(size, np.float32)
            summits[self.promoters.tss[piece.promoter] - piece.first] = 1
            codes = self.promoters.codes[piece.promoter][piece.first : piece.first + size]
            sure = np.ones(size, np.bool_)
            if reach := self.crops.config.exclusion:
                distance = abs(np.arange(size) - int(summits.argmax()))
                sure = (distance > reach) | (distance <= min(self.near, reach))
            return Crops(codes, summits, summits), sure
        place = np.array([piece.contig]), np.array([piece.minus], np.bool_), np.array([piece.first])
        read = Crops(*(part[0] for part in self.crops.at(*place, size, halo=0)))
        sites = np.flatnonzero((read.tags > 0) | (read.summits > 0))
        sure = self.crops.known(*place, size, self.near)[0]
        for site in sites[(sites < UPSTREAM) | (sites >= size - DOWNSTREAM)]:
            sure[max(site - DOUBT, 0) : site + DOUBT + 1] = False
        return read, sure


def lay(values: NDArray[Any], over: NDArray[Any], start: int) -> None:
    """Write values over others from a position on, which may be negative; what reaches beyond either end is cut."""
    first, end = max(start, 0), min(start + len(values), len(over))
    if first < end:
        over[first:end] = values[first - start : end - start]
