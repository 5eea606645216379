"""Seqlets: the spans around the highest peaks of attribution in each window."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from capsight.data.attributions import Ints, Mask, Scores

#: In the paper a seqlet reaches this many tokens either side of its peak.
FLANK_TOKENS: Final = 10
#: However wide tokens are, a seqlet reaches no further than this by default: promoter elements are short.
MAX_FLANK: Final = 40
#: No peak in this place: a window can have fewer than were asked for.
NONE: Final = -1


@dataclass(frozen=True, eq=False)
class Seqlets:
    """The seqlets of every window.

    Attributes
    ----------
    peaks
        ``(n, max_seqlets_per_window)`` index of each peak in its window, highest first; `NONE` where there is none.
    flank
        Bases either side of a peak.
    length
        Bases per window.
    """

    peaks: Ints
    flank: int
    length: int

    def mask(self) -> Mask:
        """Tell which bases lie in any seqlet, ``(n, length)``."""
        inside = self.rank_mask(0)
        for rank in range(1, self.peaks.shape[1]):
            inside |= self.rank_mask(rank)
        return inside

    def rank_mask(self, rank: int) -> Mask:
        """Tell which bases lie in the seqlet of one rank (0: the highest peak), ``(n, length)``."""
        peak = self.peaks[:, rank, None].astype(np.int32)
        near: Mask = np.abs(np.arange(self.length, dtype=np.int32) - peak) <= self.flank
        return near & (peak != NONE)

    def bounds(self, window: int, rank: int) -> tuple[int, int]:
        """Return the first base of a seqlet and the one after its last."""
        peak = int(self.peaks[window, rank])
        return max(peak - self.flank, 0), min(peak + self.flank + 1, self.length)


def default_flank(spans_width: int) -> int:
    """Return the bases that the paper's ten tokens stand for, within `MAX_FLANK`."""
    return min(FLANK_TOKENS * spans_width, MAX_FLANK)


def smoothed(scores: Scores, width: int) -> Scores:
    """Return the moving average over `width` bases (odd), with fewer at the ends."""
    if width == 1:
        return scores
    half = width // 2
    length = scores.shape[1]
    total = np.concatenate([np.zeros((len(scores), 1)), np.cumsum(scores, axis=1, dtype=np.float64)], axis=1)
    first = np.maximum(np.arange(length) - half, 0)
    last = np.minimum(np.arange(length) + half + 1, length)
    return ((total[:, last] - total[:, first]) / (last - first)).astype(np.float32)


def find_seqlets(
    scores: Scores, max_seqlets_per_window: int, flank: int, min_peak_distance: int, smooth: int = 1
) -> Seqlets:
    """Find the highest peaks of each window.

    Parameters
    ----------
    scores
        ``(n, length)`` attributions; high is evidence for a cap site.
    max_seqlets_per_window
        Peaks taken from each window at most (the paper: 3).
    flank
        Bases either side of a peak that make its seqlet.
    min_peak_distance
        Peaks of one window are more than this many bases apart: the higher one stays.
    smooth
        Attributions are averaged over this many bases first (odd).
    """
    heights = smoothed(scores, smooth)
    left = np.pad(heights, ((0, 0), (1, 0)), constant_values=-np.inf)[:, :-1]
    right = np.pad(heights, ((0, 0), (0, 1)), constant_values=-np.inf)[:, 1:]
    # A plateau counts once, at its first base: strictly higher than before it, not lower than after it.
    remaining = np.where((heights > left) & (heights >= right), heights, -np.inf)
    columns = np.arange(scores.shape[1])
    peaks = np.full((len(scores), max_seqlets_per_window), NONE, dtype=np.int64)
    for rank in range(max_seqlets_per_window):
        best = remaining.argmax(axis=1)
        found = np.isfinite(remaining[np.arange(len(best)), best])
        peaks[found, rank] = best[found]
        near = (np.abs(columns - best[:, None]) <= min_peak_distance) & found[:, None]
        remaining[near] = -np.inf
    return Seqlets(peaks, flank, scores.shape[1])
