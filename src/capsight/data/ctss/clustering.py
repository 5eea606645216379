"""Clusters of 5' ends by distance (as CAGEr's distclu) or by density (paraclu), and the summit of each."""

from itertools import pairwise
from typing import NamedTuple

import numpy as np

from capsight.data.ctss.ctss import Ctss
from capsight.data.genome.alphabet import Floats, Ints, Mask


class Clusters(NamedTuple):
    """Runs of places of a `Ctss`, in its order, none overlapping: the first of each, and the one after its last."""

    first: Ints
    stop: Ints

    def where(self, chosen: Mask) -> "Clusters":
        """Return some of the clusters."""
        return Clusters(self.first[chosen], self.stop[chosen])


def by_distance(ends: Ctss, distance: int) -> Clusters:
    """Join places of one strand that are at most `distance` bases apart (Haberle et al. 2015: CAGEr's ``distclu``)."""
    if not len(ends.counts):
        return Clusters(np.zeros(0, np.int64), np.zeros(0, np.int64))
    apart = (np.diff(ends.position) > distance) | _strand_changes(ends)
    first = np.concatenate([[0], np.flatnonzero(apart) + 1])
    return Clusters(first, np.append(first[1:], len(ends.counts)))


def by_density(ends: Ctss, min_count: float, max_length: int, min_rise: float) -> Clusters:
    """Find dense stretches by paraclu, and keep one set that does not overlap, by the rules of ``paraclu-cut``.

    A stretch of places is a cluster for the densities d at which (sum of its counts) - d × (its length) is larger
    than for any other stretch that overlaps it (Frith et al. 2008, Genome Research 18:1). Of all these nested
    clusters, those are left out that consist of one place, or whose first and last places are more than `max_length`
    bases apart; the outermost of the rest have a baseline density, the smallest d for which they are clusters; those
    inside whose largest d is less than `min_rise` times that are left out as well; and of what remains only the
    outermost stay.

    Parameters
    ----------
    ends
        The counts.
    min_count
        Clusters with a smaller sum of counts are not looked at (paraclu's ``minValue``).
    max_length, min_rise
        As ``-l`` and ``-d`` of ``paraclu-cut``.
    """
    from capsight.data.ctss.paraclu import paraclu

    edges = np.concatenate([[0], np.flatnonzero(_strand_changes(ends)) + 1, [len(ends.counts)]])
    parts = []
    for begin, end in pairwise(edges):
        found = paraclu(ends.position[begin:end], ends.counts[begin:end], min_count, max_length)
        outer = _outermost(found.stop)
        baseline = found.min_density[np.maximum.accumulate(np.where(outer, np.arange(len(outer)), 0))]
        risen = baseline * min_rise <= found.max_density
        first, stop = found.first[risen], found.stop[risen]
        kept = _outermost(stop)
        parts.append(Clusters(begin + first[kept], begin + stop[kept]))
    return Clusters(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def summits(ends: Ctss, clusters: Clusters) -> Ints:
    """Return the position with the highest count of each cluster; of several, the lowest coordinate."""
    if not len(clusters.first):
        return np.zeros(0, np.int64)
    size = clusters.stop - clusters.first
    begin = np.cumsum(size) - size
    rows = np.arange(int(size.sum())) + np.repeat(clusters.first - begin, size)
    count = ends.counts[rows]
    highest = np.flatnonzero(count == np.repeat(np.maximum.reduceat(count, begin), size))
    return ends.position[rows[highest[np.searchsorted(highest, begin)]]]


def sums(ends: Ctss, clusters: Clusters) -> Floats:
    """Return the sum of the counts of each cluster."""
    total = np.concatenate([[0.0], np.cumsum(ends.counts)])
    return total[clusters.stop] - total[clusters.first]


def _strand_changes(ends: Ctss) -> Mask:
    """Tell where a place is on another contig or strand than the one before, ``(n_places - 1,)``."""
    return (np.diff(ends.contig) != 0) | (np.diff(ends.minus) != 0)


def _outermost(stop: Ints) -> Mask:
    """Tell which of nested runs lie in no other; they are sorted by where they begin, the longest first."""
    return stop > np.concatenate([[0], np.maximum.accumulate(stop)[:-1]])
