"""The search of paraclu (Frith et al. 2008), compiled: all maximal stretches, for all densities.

A stretch falls apart, as the density d rises, where its weakest prefix or suffix is: the one with the smallest
(sum of counts) / (length up to the next place). The published program scans the stretch for it each time, which is
quadratic where places come off one by one. Here whole blocks are passed over whose density cannot be smaller than
the smallest so far, and the result is the same.
"""

from typing import Final, NamedTuple

import numba
import numpy as np

from capsight.data.genome.alphabet import Floats, Ints

#: Blocks of at most this many places are scanned and no longer halved.
_BLOCK: Final = 16


class Stretches(NamedTuple):
    """Clusters, outer before inner, left before right: first place, the one after the last, and for which densities."""

    first: Ints
    stop: Ints
    min_density: Floats
    max_density: Floats


def paraclu(position: Ints, count: Floats, min_count: float, max_length: int) -> Stretches:
    """Find the clusters of one strand that have more than one place.

    Parameters
    ----------
    position, count
        Ascending positions, and counts above 0, ``(n_places,)``.
    min_count
        Least sum of counts of a cluster.
    max_length
        Clusters whose first and last places are further apart are not returned.
    """
    forward = np.concatenate([[0.0], np.cumsum(count)])
    backward = np.concatenate([[0.0], np.cumsum(count[::-1])])
    number, *columns = _search(position, forward, -position[::-1], backward, float(min_count), max_length)
    return Stretches(*(column[:number].copy() for column in columns))


@numba.njit
def _search(
    position: Ints, total: Floats, mirrored: Ints, mirrored_total: Floats, min_count: float, max_length: int
) -> tuple[int, Ints, Ints, Floats, Floats]:
    """Split stretches at their weakest ends, outer before inner and left before right; return how many are kept."""
    size = len(position)
    first, stop = np.empty(size, np.int64), np.empty(size, np.int64)
    min_density, max_density = np.empty(size), np.empty(size)
    waiting_begin, waiting_end, waiting_density = (
        np.empty(size + 1, np.int64),
        np.empty(size + 1, np.int64),
        np.empty(size + 1),
    )
    waiting_begin[0], waiting_end[0], waiting_density[0] = 0, size, -np.inf
    number, waiting = 0, 1
    while waiting:
        waiting -= 1
        begin, end, density = waiting_begin[waiting], waiting_end[waiting], waiting_density[waiting]
        if end - begin < 2 or total[end] - total[begin] < min_count:
            continue
        prefix, after = _weakest(position, total, begin, end)
        suffix, before = _weakest(mirrored, mirrored_total, size - end, size - begin)
        least = min(prefix, suffix)
        if least > density and position[end - 1] - position[begin] <= max_length:
            first[number], stop[number], min_density[number], max_density[number] = begin, end, density, least
            number += 1
        middle = after if prefix < suffix else size - before
        density = max(density, least)
        waiting_begin[waiting], waiting_end[waiting], waiting_density[waiting] = middle, end, density
        waiting_begin[waiting + 1], waiting_end[waiting + 1], waiting_density[waiting + 1] = begin, middle, density
        waiting += 2
    return number, first, stop, min_density, max_density


@numba.njit
def _weakest(position: Ints, total: Floats, begin: int, end: int) -> tuple[float, int]:
    """Return the smallest density of a prefix of the places [begin, end), and the place after that prefix.

    `total[i]` is the sum of the counts of all places before i. Of equal prefixes the shortest is taken. A block
    of places cannot have a smaller density than the sum up to its first over the distance to its last.
    """
    least, after = np.inf, -1
    low_of, high_of = np.empty(128, np.int64), np.empty(128, np.int64)
    low_of[0], high_of[0], waiting = begin + 1, end, 1
    while waiting:
        waiting -= 1
        low, high = low_of[waiting], high_of[waiting]
        if (total[low] - total[begin]) / (position[high - 1] - position[begin]) >= least:
            continue
        if high - low > _BLOCK:
            middle = (low + high) // 2
            low_of[waiting], high_of[waiting] = middle, high
            low_of[waiting + 1], high_of[waiting + 1] = low, middle
            waiting += 2
            continue
        for i in range(low, high):
            density = (total[i] - total[begin]) / (position[i] - position[begin])
            if density < least:
                least, after = density, i
    return least, after
