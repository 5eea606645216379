"""Places where negatives can lie, numbered through, and draws from them to match given windows."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Final, NamedTuple, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from capsight.data import schema
from capsight.data.genome.alphabet import Composition, Ints, Mask
from capsight.data.genome.genome import Genome
from capsight.data.genome.stretches import Stretches
from capsight.data.peaks.index import PeakIndex

#: Steps of the grid in which windows are matched. A window without any repeat has a cell of its own.
GC_STEP: Final = 0.02
REPEAT_STEP: Final = 0.1

_GC_CELLS: Final = round(1 / GC_STEP) + 1
_REPEAT_CELLS: Final = round(1 / REPEAT_STEP) + 1
#: Candidates are drawn until all cells are full, but at most so many: a number, and so many for each wanted.
_LEAST_BUDGET: Final = 1 << 18
_BUDGET_EACH: Final = 40
_FIRST_DRAW: Final = 1 << 13
_CHUNK: Final = 1 << 20


@dataclass(frozen=True)
class GcRepeatBins:
    """Cells of GC content and repeat content; what is not matched does not divide them.

    Attributes
    ----------
    gc, repeat
        Whether the cells differ in them.
    """

    gc: bool = True
    repeat: bool = True

    @classmethod
    def from_names(cls, names: Collection[str]) -> Self:
        """Return the grid that matches what is named."""
        return cls(schema.GC in names, schema.REPEAT in names)

    @property
    def size(self) -> int:
        """Number of cells."""
        return _GC_CELLS * _REPEAT_CELLS

    def cell(self, measured: Composition) -> Ints:
        """Return the cell of each window; the tiny addends keep 0.58 / 0.02 from falling below 29."""
        gc = np.floor(measured.gc / GC_STEP + 1e-9).astype(np.int64) * self.gc
        repeat = np.ceil(measured.repeat / REPEAT_STEP - 1e-9).astype(np.int64) * self.repeat
        return gc * _REPEAT_CELLS + repeat

    def nearest(self, cell: int) -> Ints:
        """Return all cells, the nearest first, in steps of GC and of repeat content together."""
        gc, repeat = np.divmod(np.arange(self.size), _REPEAT_CELLS)
        return np.argsort(np.abs(gc - cell // _REPEAT_CELLS) + np.abs(repeat - cell % _REPEAT_CELLS), kind="stable")


class Spans(NamedTuple):
    """Runs of leftmost positions in the coordinates of `Genome.bases`, half-open, each ``(n_runs,)``.

    They may overlap.
    """

    first: Ints
    after: Ints


def places_in(stretches: Stretches, length: int) -> Spans:
    """Return every place of windows that lie in some stretches."""
    return Spans(stretches.first, stretches.first + np.maximum(stretches.sizes - length + 1, 0))


def around(genome: Genome, peaks: pd.DataFrame, distance: int, length: int) -> Spans:
    """Return the places no farther than `distance` bases from a peak."""
    contig = genome.index(peaks[schema.CHROM])
    most = np.maximum(genome.lengths[contig] - length + 1, 0)
    first = np.clip(peaks[schema.START].to_numpy(np.int64) - distance - length, 0, most)
    after = np.clip(peaks[schema.END].to_numpy(np.int64) + distance + 1, 0, most)
    return Spans(genome.offsets[contig] + first, genome.offsets[contig] + after)


def both(one: Spans, other: Spans) -> Spans:
    """Return the places that lie in both."""
    cuts = np.unique(np.concatenate([*one, *other]))
    kept = (_inside(cuts, one) & _inside(cuts, other))[:-1]
    return Spans(cuts[:-1][kept], cuts[1:][kept])


class CandidateRegions:
    """Places that touch no excluded interval, each once, numbered through.

    Parameters
    ----------
    genome
        The genome.
    reach
        Where the places may be.
    excluded
        Peaks, widened by the exclusion zone: no place shares a base with them.
    length
        Bases per window.
    """

    def __init__(self, genome: Genome, reach: Spans, excluded: PeakIndex, length: int) -> None:
        self.genome, self.length = genome, length
        banned = Spans(excluded.starts - length + 1, excluded.ends)
        cuts = np.unique(np.concatenate([*reach, *banned]))
        kept = (_inside(cuts, reach) & ~_inside(cuts, banned))[:-1]
        self.first, size = cuts[:-1][kept], np.diff(cuts)[kept]
        self.ends = np.cumsum(size)
        self.before = self.ends - size

    @property
    def places(self) -> int:
        """Number of places."""
        return int(self.ends[-1]) if len(self.ends) else 0

    def draw(self, size: int, rng: np.random.Generator) -> Ints:
        """Draw `size` place numbers with replacement, or all of them, shuffled, where that is little more."""
        return rng.integers(0, self.places, size) if size * 2 < self.places else rng.permutation(self.places)

    def locate(self, place: Ints) -> tuple[Ints, Ints]:
        """Return contig number and leftmost position of place numbers."""
        which = np.searchsorted(self.ends, place, side="right")
        at = self.first[which] + place - self.before[which]
        contig = np.searchsorted(self.genome.offsets, at, side="right") - 1
        return contig, at - self.genome.offsets[contig]

    def known(self, place: Ints, grid: GcRepeatBins) -> tuple[Ints, Ints]:
        """Return those places that have no N, and their cells."""
        contig, start = self.locate(place)
        measured = self.genome.composition(contig, start, self.length)
        whole = measured.unknown == 0
        return place[whole], grid.cell(measured)[whole]


def _inside(position: Ints, runs: Spans) -> Mask:
    """Tell which positions lie in at least one run."""
    begun = np.searchsorted(np.sort(runs.first), position, side="right")
    return begun > np.searchsorted(np.sort(runs.after), position, side="right")


class MatchedCandidates(NamedTuple):
    """Place numbers, none twice, and how many of them lie in another cell than was wanted."""

    place: Ints
    moved: int


def draw_matched(
    pool: CandidateRegions, wanted: Ints, grid: GcRepeatBins, rng: np.random.Generator
) -> MatchedCandidates:
    """Draw places with given cells of the grid; what a cell lacks is taken from the nearest ones.

    Parameters
    ----------
    pool
        Where to draw.
    wanted
        How many places of each cell, ``(grid.size,)``.
    grid
        The cells.
    rng
        Source of every draw.

    Returns
    -------
    matched
        Fewer than wanted where the pool holds no more.
    """
    place, cell = _collect(pool, wanted, grid, rng)
    take, moved = _fill_from_neighbours(np.bincount(cell, minlength=grid.size), wanted, grid)
    # the first of each cell, as many as are taken
    order = np.argsort(cell, kind="stable")
    counts = np.bincount(cell)
    rank = np.empty(len(cell), dtype=np.int64)
    rank[order] = np.arange(len(cell)) - np.repeat(np.cumsum(counts) - counts, counts)
    return MatchedCandidates(place[rank < take[cell]], moved)


def _collect(pool: CandidateRegions, wanted: Ints, grid: GcRepeatBins, rng: np.random.Generator) -> tuple[Ints, Ints]:
    """Draw candidates until every cell is full, the budget is spent or all were seen; return places and cells."""
    place, cell = np.zeros(0, np.int64), np.zeros(0, np.int64)
    budget = max(_LEAST_BUDGET, _BUDGET_EACH * int(wanted.sum()))
    turn = 0
    while budget > 0 and pool.places:
        missing = int(np.maximum(wanted - np.bincount(cell, minlength=grid.size), 0).sum())
        if not missing:
            break
        drawn = pool.draw(min(max(_FIRST_DRAW, 2 * missing) << turn, budget), rng)
        more = [pool.known(drawn[i : i + _CHUNK], grid) for i in range(0, len(drawn), _CHUNK)]
        place, cell = (np.concatenate(column) for column in zip((place, cell), *more, strict=True))
        first = np.sort(np.unique(place, return_index=True)[1])
        place, cell = place[first], cell[first]
        if len(drawn) == pool.places:
            break
        budget, turn = budget - len(drawn), turn + 1
    return place, cell


def _fill_from_neighbours(have: Ints, wanted: Ints, grid: GcRepeatBins) -> tuple[Ints, int]:
    """Return how many to take from each cell, and how many of them make up for another cell."""
    take = np.minimum(have, wanted)
    spare, lacking = have - take, wanted - take
    before = int(take.sum())
    for poor in np.flatnonzero(lacking):
        near = grid.nearest(int(poor))
        earlier = np.cumsum(spare[near]) - spare[near]
        given = np.clip(lacking[poor] - earlier, 0, spare[near])
        take[near] += given
        spare[near] -= given
    return take, int(take.sum()) - before


def spread(values: NDArray[np.int64], n: int) -> NDArray[np.int64]:
    """Return `n` values with the distribution of `values`: each repeated as evenly as `n` allows, ascending."""
    return np.sort(values)[(np.arange(n) * len(values) + len(values) // 2) // n] if len(values) else values
