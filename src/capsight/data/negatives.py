"""Strategies for negatives: windows without a cap site."""

import logging
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from capsight.data.genome import Genome, Ints, Mask
from capsight.data.peaks import PeakIndex

logger = logging.getLogger(__name__)

GC_BIN: Final = 0.02
_BINS: Final = round(1 / GC_BIN) + 1
#: Spare candidates are kept for all that is wanted this many bins to either side, and some beyond.
_REACH: Final = 5
_SPARE: Final = 1_000
_ROUNDS: Final = 10
_SMALLEST_POOL: Final = 1 << 13
_LARGEST_POOL: Final = 1 << 20
_CHUNK: Final = 1 << 20


class Places(NamedTuple):
    """Stranded windows of one length: contig number, leftmost position and strand, each ``(n_windows,)``."""

    contig: Ints
    start: Ints
    minus: Mask


def matched(
    genome: Genome,
    excluded: PeakIndex,
    contigs: Ints,
    wanted_gc: NDArray[np.float64],
    length: int,
    rng: np.random.Generator,
) -> Places:
    """Draw random windows with the GC content of given windows, one for each.

    Places are uniform over the contigs, strands even. A window shares no base with an excluded interval, lies
    in its contig, has no N, and no place is drawn twice (not even once for each strand). GC is matched in
    bins of 0.02: pools of candidates are drawn until every bin is full, for a bounded number of rounds; what
    a bin still lacks is taken from the nearest bins.

    Parameters
    ----------
    genome
        The genome.
    excluded
        Peaks, widened by the exclusion zone.
    contigs
        Contig numbers to draw from.
    wanted_gc
        GC share of each negative that is wanted, ``(n_negatives,)``.
    length
        Bases per window.
    rng
        Source of every draw.

    Returns
    -------
    places
        In no particular order; fewer than wanted where the contigs hold no more (a warning says so).
    """
    wanted = np.bincount(_bin(wanted_gc), minlength=_BINS)
    pool = _Pool(genome, excluded, contigs, length)
    place, gc_bin = _collect(pool, wanted, rng)
    taken = _rank(gc_bin) < wanted[gc_bin]
    taken, moved = _fill_from_neighbours(taken, gc_bin, wanted)
    if moved:
        logger.info("negatives: %d of %d come from a neighbouring GC bin", moved, wanted.sum())
    if taken.sum() < wanted.sum():
        logger.warning("negatives: %d wanted, %d found: too little DNA outside peaks", wanted.sum(), taken.sum())
    contig, start = pool.locate(place[taken])
    return Places(contig, start, rng.random(len(start)) < 0.5)


def spread(gc: NDArray[np.float64], n: int) -> NDArray[np.float64]:
    """Return `n` values with the distribution of `gc`: each repeated as evenly as `n` allows."""
    return np.sort(gc)[(np.arange(n) * len(gc) + len(gc) // 2) // n] if len(gc) else gc


def _bin(gc: NDArray[np.float64]) -> Ints:
    """Return the GC bin of each share; the tiny addend keeps 0.58 / 0.02 from falling below 29."""
    return np.floor(gc / GC_BIN + 1e-9).astype(np.int64)


class _Pool:
    """Every place a window can have on some contigs, numbered through, and which of them can be negatives."""

    def __init__(self, genome: Genome, excluded: PeakIndex, contigs: Ints, length: int) -> None:
        self.genome, self.excluded, self.contigs, self.length = genome, excluded, contigs, length
        self.ends = np.cumsum(np.maximum(genome.lengths[contigs] - length + 1, 0))
        self.places = int(self.ends[-1]) if len(contigs) else 0

    def draw(self, size: int, rng: np.random.Generator) -> Ints:
        """Draw `size` place numbers with replacement, or all of them, shuffled, where that is little more."""
        return rng.integers(0, self.places, size) if size * 4 < self.places else rng.permutation(self.places)

    def locate(self, place: Ints) -> tuple[Ints, Ints]:
        """Return contig number and start of place numbers."""
        which = np.searchsorted(self.ends, place, side="right")
        return self.contigs[which], place - np.append(0, self.ends)[which]

    def usable(self, place: Ints) -> tuple[Ints, Ints]:
        """Return those places that can be negatives, and their GC bins."""
        contig, start = self.locate(place)
        free = ~self.excluded.overlaps(contig, start, self.length)
        gc, _, unknown = self.genome.composition(contig[free], start[free], self.length)
        return place[free][unknown == 0], _bin(gc[unknown == 0])


def _collect(pool: _Pool, wanted: Ints, rng: np.random.Generator) -> tuple[Ints, Ints]:
    """Draw growing pools until every bin is full or the rounds are over; return places as drawn, and bins."""
    place, gc_bin = np.zeros(0, np.int64), np.zeros(0, np.int64)
    limit = _limit(wanted)
    for turn in range(_ROUNDS):
        have = np.bincount(gc_bin, minlength=_BINS)
        missing = int(np.maximum(wanted - have, 0).sum())
        if not missing or not pool.places:
            break
        size = min(max(_SMALLEST_POOL, 2 * missing) << turn, max(_LARGEST_POOL, 2 * missing))
        drawn = pool.draw(size, rng)
        parts = [(place, gc_bin)]
        for i in range(0, len(drawn), _CHUNK):
            more, bins = pool.usable(drawn[i : i + _CHUNK])
            open_ = have[bins] < limit[bins]
            parts.append((more[open_], bins[open_]))
        place, gc_bin = (np.concatenate(column) for column in zip(*parts, strict=True))
        first = np.sort(np.unique(place, return_index=True)[1])
        place, gc_bin = place[first], gc_bin[first]
        kept = _rank(gc_bin) < limit[gc_bin]
        place, gc_bin = place[kept], gc_bin[kept]
        if len(drawn) == pool.places:
            break
    return place, gc_bin


def _limit(wanted: Ints) -> Ints:
    """Return how many candidates to keep per bin: enough for its neighbours too, and some for any other."""
    near = np.convolve(wanted, np.ones(2 * _REACH + 1, dtype=np.int64), mode="same")
    return near + min(int(wanted.sum()), _SPARE)


def _rank(gc_bin: Ints) -> Ints:
    """Return how many earlier elements lie in the same bin."""
    order = np.argsort(gc_bin, kind="stable")
    counts = np.bincount(gc_bin, minlength=_BINS)
    rank = np.empty(len(gc_bin), dtype=np.int64)
    rank[order] = np.arange(len(gc_bin)) - np.repeat(np.cumsum(counts) - counts, counts)
    return rank


def _fill_from_neighbours(taken: Mask, gc_bin: Ints, wanted: Ints) -> tuple[Mask, int]:
    """Take what bins lack from the spare candidates of the nearest bins; return also how many were moved."""
    taken, before = taken.copy(), int(taken.sum())
    lacking = wanted - np.bincount(gc_bin[taken], minlength=_BINS)
    for poor in np.flatnonzero(lacking):
        spare = np.flatnonzero(~taken)
        nearest = spare[np.argsort(np.abs(gc_bin[spare] - poor), kind="stable")]
        taken[nearest[: lacking[poor]]] = True
    return taken, int(taken.sum()) - before
