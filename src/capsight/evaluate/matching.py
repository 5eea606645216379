"""What a scan found and missed, place by place: bins, calls, peaks, and regions laid at random around summits.

Positions are 0-based. Arrays over a chromosome or a piece of it are ``(2, length)``: strands + and -, positions left to
right. Figures over many places are in `capsight.evaluate.weighted`.
"""

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import jensenshannon

from capsight.predict.calls import Calls

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Mask = NDArray[np.bool_]

#: Bases of a bin, for the area under the precision-recall curve.
BIN: Final = 50
#: Bases to either side of a summit over which profiles and totals are compared.
FLANK: Final = 128


class Summits(NamedTuple):
    """Summits of peaks on one chromosome: `strand` (0 for +, 1 for -) and `position`, each ``(n,)``."""

    strand: Ints
    position: Ints


def bin_sums(values: NDArray[np.floating], width: int = BIN) -> Floats:
    """Return the sums over bins of `width` bases, ``(2, n_bins)``; the last bin may be shorter."""
    padded = np.pad(np.asarray(values, dtype=np.float64), ((0, 0), (0, -values.shape[1] % width)))
    sums: Floats = padded.reshape(2, -1, width).sum(axis=2)
    return sums


def match(calls: Calls, summits: Summits, distance: int) -> Mask:
    """Tell which calls are right, ``(n_calls,)``: a summit lies within `distance` bases on the same strand.

    Calls choose in order of their score. Each takes the nearest summit that is left (of two as near, the left one), and
    a summit is taken once, so that a second call at the same promoter is false.
    """
    hit = np.zeros(len(calls.score), dtype=np.bool_)
    for strand in (0, 1):
        positions = np.sort(summits.position[summits.strand == strand])
        free = np.ones(len(positions), dtype=np.bool_)
        rows = np.flatnonzero(calls.strand == strand)
        first = np.searchsorted(positions, calls.position[rows] - distance)
        last = np.searchsorted(positions, calls.position[rows] + distance + 1)
        for k in np.flatnonzero(first < last):
            near = first[k] + np.flatnonzero(free[first[k] : last[k]])
            if len(near):
                free[near[np.abs(positions[near] - calls.position[rows[k]]).argmin()]] = False
                hit[rows[k]] = True
    return hit


def summit_distances(strand: Ints, position: Ints, summits: Summits) -> Floats:
    """Return how many bases downstream of the nearest summit on its strand each place is, ``(n,)``.

    Negative is upstream; NaN where the strand has no summit. Of two summits as near, the left one is taken.
    """
    found = np.full(len(position), np.nan)
    for number in (0, 1):
        there = np.sort(summits.position[summits.strand == number])
        rows = np.flatnonzero(strand == number)
        if not len(there):
            continue
        after = np.searchsorted(there, position[rows]).clip(max=len(there) - 1)
        before = (after - 1).clip(min=0)
        nearer = abs(there[before] - position[rows]) <= abs(there[after] - position[rows])
        offset = position[rows] - there[np.where(nearer, before, after)]
        found[rows] = -offset if number else offset
    return found


def whole(summits: Summits, length: int, flank: int = FLANK) -> Mask:
    """Tell around which summits there are `flank` bases on either side, ``(n,)``."""
    return (summits.position >= flank) & (summits.position < length - flank)


def around(values: NDArray[np.floating], summits: Summits, flank: int = FLANK) -> Floats:
    """Return the bases from `flank` before to `flank` after each summit, 5'→3', ``(n, 2 * flank)``.

    Summits nearer to an end of the chromosome (`whole`) are left out.
    """
    inside = whole(summits, values.shape[1], flank)
    offsets = np.arange(-flank, flank)
    steps = np.where(summits.strand[inside, None] == 0, offsets, -offsets)
    return np.asarray(values[summits.strand[inside, None], summits.position[inside, None] + steps], dtype=np.float64)


class Profiles(NamedTuple):
    """Pearson correlation and Jensen-Shannon distance (bits) of two profiles at each peak, ``(n_peaks,)`` each."""

    correlation: Floats
    jensen_shannon: Floats


def compare_profiles(expected: Floats, observed: Floats) -> Profiles:
    """Compare the shapes of profiles, ``(n_peaks, width)`` each; where nothing at all is expected, that is flat."""
    expected = np.maximum(expected, np.finfo(float).tiny)
    centred = observed - observed.mean(axis=1, keepdims=True), expected - expected.mean(axis=1, keepdims=True)
    norms = np.sqrt((centred[0] ** 2).sum(axis=1) * (centred[1] ** 2).sum(axis=1))
    correlation = (centred[0] * centred[1]).sum(axis=1) / np.maximum(norms, np.finfo(float).tiny)
    return Profiles(correlation, np.asarray(jensenshannon(observed, expected, base=2, axis=1)))


def draw_regions(n: int, draws: int, rng: np.random.Generator, flank: int = FLANK) -> Ints:
    """Draw how far regions of ``2 * flank`` bases are moved downstream, so that each still holds its summit.

    Returns
    -------
    shift
        ``(draws, n)``, in [1 - flank, flank].
    """
    return rng.integers(1 - flank, flank + 1, (draws, n))


def named_distances(score: NDArray[np.floating], summits: Summits, shift: Ints, flank: int = FLANK) -> Ints:
    """Name the best-scored base of each region, and return how far it is from the summit, ``(draws, n)``.

    Parameters
    ----------
    score
        ``(2, length)``.
    summits
        All at least ``2 * flank`` bases from either end of `score`.
    shift
        Of `draw_regions`, ``(draws, n)``.
    """
    offsets = np.arange(-flank, flank)
    found = np.empty(shift.shape, dtype=np.int64)
    for row, moved in enumerate(shift):
        middle = Summits(summits.strand, summits.position + np.where(summits.strand == 0, moved, -moved))
        found[row] = np.abs(offsets[around(score, middle, flank).argmax(axis=1)] + moved)
    return found
