"""Where peaks are, and how far places of the genome are from them."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from capsight.data import schema
from capsight.data.genome.alphabet import Ints, Mask
from capsight.data.genome.genome import Genome


@dataclass(frozen=True, eq=False)
class PeakIndex:
    """Where peaks begin and end, on either strand, contigs laid end to end: finds what is near.

    Attributes
    ----------
    genome
        The genome of the peaks.
    starts, ends
        Ascending, each on its own, in the coordinates of `Genome.bases`, ``(n_peaks,)``.
    """

    genome: Genome
    starts: NDArray[np.int64]
    ends: NDArray[np.int64]

    @classmethod
    def from_peaks(cls, peaks: pd.DataFrame, genome: Genome, margin: int = 0) -> "PeakIndex":
        """Index peaks widened by `margin` bases on both sides, at most to the ends of their contigs."""
        contig = genome.index(peaks[schema.CHROM])
        start = np.maximum(peaks[schema.START].to_numpy() - margin, 0)
        end = np.minimum(peaks[schema.END].to_numpy() + margin, genome.lengths[contig])
        return cls(genome, np.sort(genome.offsets[contig] + start), np.sort(genome.offsets[contig] + end))

    def overlaps(self, contig: Ints, start: Ints, length: int) -> Mask:
        """Tell which windows share a base with a (widened) peak."""
        first = self.genome.offsets[contig] + start
        begun = np.searchsorted(self.starts, first + length, side="left")
        ended = np.searchsorted(self.ends, first, side="right")
        return begun > ended

    def distance(self, contig: Ints, start: Ints, length: int) -> Ints:
        """Return the gap in bases to the nearest peak: 0 if they touch, -1 if none is there."""
        first, far = self.genome.offsets[contig] + start, np.iinfo(np.int64).max
        low, high = self.genome.offsets[contig], self.genome.offsets[contig] + self.genome.lengths[contig]
        right = np.append(self.starts, far)[np.searchsorted(self.starts, first + length, side="left")]
        left = np.append(-1, self.ends)[np.searchsorted(self.ends, first, side="right")]
        gap_right = np.where(right < high, right - (first + length), far)
        gap_left = np.where(left > low, first - left, far)
        gap = np.minimum(gap_left, gap_right)
        gap[gap == far] = -1
        return np.where(self.overlaps(contig, start, length), 0, gap)
