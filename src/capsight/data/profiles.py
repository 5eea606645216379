"""`Profiles`: how many RNA 5' ends every base of a window has, on the window's own strand."""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from capsight.data import schema
from capsight.data.bases import Ints
from capsight.data.clustering import by_distance, summits, sums
from capsight.data.five_ends import FiveEnds
from capsight.data.tags import FIVE_ENDS_FILE, Tags, place_numbers, read_tags
from capsight.data.windows import Windows

Counts = NDArray[np.float32]

#: Single 5' ends are everywhere in a transcript: a place where windows are laid around has more.
LEAST_HERE = 2
#: Places of a strand that are at most so many bases apart are one place to lay a window around.
JOINED = 25


def middle_half(length: int) -> slice:
    """Return the middle half of a window of an even number of bases: ``length / 2`` of them, its middle among them."""
    return slice(length // 4, length // 4 + length // 2)


def draw_shifts(n: int, length: int, rng: np.random.Generator) -> Ints:
    """Draw by how many bases to move windows 5'→3', so that their middle gets to any base of the middle half.

    Returns
    -------
    shift
        Whole numbers in [1 - length // 4, length / 2 - length // 4], all equally likely, ``(n,)``. What was at index
        length / 2 of a window is at index length / 2 - shift when the window has moved.
    """
    return rng.integers(1 - length // 4, length // 2 - length // 4 + 1, n)


@dataclass(frozen=True, eq=False)
class Profiles:
    """5' ends of some windows (of one fold: what is read of others' places is only what these windows cover).

    Attributes
    ----------
    windows
        The windows that are asked for.
    tags
        All 5' ends of the genome.
    """

    windows: Windows
    tags: Tags

    @classmethod
    def open(cls, windows: Windows) -> Self:
        """Open the 5' ends that lie beside windows.

        Raises
        ------
        InputError
            If there are none, as with labelled sequences.
        """
        return cls(windows, read_tags(windows.folder / FIVE_ENDS_FILE, windows.genome))

    def of(self, tags: Tags) -> Self:
        """Return the same windows with other 5' ends, such as those of one replicate."""
        return type(self)(self.windows, tags)

    def around(self, least: float) -> Self:
        """Return windows around any 5' ends, peak or not, of the chromosomes that these windows are of.

        Positions of `LEAST_HERE` 5' ends and more that are at most `JOINED` bases apart on a strand are one place. It
        has a window if it has `least` 5' ends in all; the position with most of them is in the middle, as in
        positives.
        """
        data, tags = self.windows, self.tags
        used = np.isin(tags.contig, data.genome.index(data.table[schema.CHROM].unique())) & (tags.counts >= LEAST_HERE)
        minus = tags.minus[used].astype(bool)
        ends = FiveEnds(data.genome.names, tags.contig[used], tags.position[used], minus, tags.counts[used])
        places = by_distance(ends, JOINED)
        places = places.where(sums(ends, places) >= least)
        before = np.where(ends.minus[places.first], data.length - 1 - data.length // 2, data.length // 2)
        start = summits(ends, places) - before
        table = pd.DataFrame({schema.CHROM: np.array(ends.names, dtype=object)[ends.contig[places.first]]})
        table[schema.START], table[schema.END] = start, start + data.length
        table[schema.STRAND] = np.where(ends.minus[places.first], "-", "+")
        table[schema.SOURCE] = "five_ends"
        return type(self)(replace(data, table=table), tags)

    def counts(self, rows: Ints, shift: Ints | None = None) -> Counts:
        """Return the number of 5' ends at every base of some windows, ``(n_rows, length)``.

        On the window's own strand, 5'→3' as `Windows.codes` reads it. Places outside the contig have none, and so
        has a shuffled window: its bases are nowhere in the genome.

        Parameters
        ----------
        rows
            Row numbers.
        shift
            Bases by which each window is moved along its own 5'→3' direction, ``(n_rows,)``.
        """
        places, length, genome = self.windows.places, self.windows.length, self.windows.genome
        contig, minus = places.contig[rows], places.minus[rows]
        start = places.start[rows] if shift is None else places.start[rows] + np.where(minus, -shift, shift)
        size = genome.lengths[contig]
        begin, stop = np.clip(start, 0, size), np.clip(start + length, 0, size)
        if places.copy is not None:
            stop = np.where(places.copy[rows] > 0, begin, stop)
        origin = place_numbers(genome, contig, minus.astype(np.int64), np.zeros_like(contig))
        first, last = (np.searchsorted(self._numbers, origin + end) for end in (begin, stop))
        found = last - first
        row = np.repeat(np.arange(len(rows)), found)
        tag = np.arange(len(row)) - np.repeat(np.cumsum(found) - found - first, found)
        column = self.tags.position[tag] - start[row]
        counts = np.zeros((len(rows), length), dtype=np.float32)
        counts[row, np.where(minus[row], length - 1 - column, column)] = self.tags.counts[tag]
        return counts

    @cached_property
    def _numbers(self) -> Ints:
        """An ascending number for every place that has 5' ends."""
        return place_numbers(self.windows.genome, self.tags.contig, self.tags.minus, self.tags.position)
