"""Fisher's exact test on many 2 × 2 tables, and their odds ratios."""

from typing import NamedTuple

import numpy as np
from scipy import special, stats

from capsight.data.genome.alphabet import Floats, Ints


class Fisher(NamedTuple):
    """Two-sided p-values, and the smallest that each table's margins allow."""

    p: Floats
    least: Floats


def fisher_exact(a: Ints, carriers: Ints, positives: int, n: int) -> Fisher:
    """Test many 2 × 2 tables that share one margin (two-sided; Fisher 1934).

    Parameters
    ----------
    a
        Positives that carry the k-mer.
    carriers
        All sequences that carry it.
    positives, n
        Number of positives, and of all sequences.
    """
    p, least = np.ones(len(a)), np.ones(len(a))
    logs = special.gammaln(np.arange(n + 1) + 1)  # of factorials; SciPy's hypergeom is 20 times slower

    def choose(total: int, part: Ints) -> Floats:
        return logs[total] - logs[part] - logs[total - part]

    for m in np.unique(carriers):
        chosen = carriers == m
        low, high = max(0, positives + m - n), min(m, positives)
        x = np.arange(low, high + 1)
        probability = np.exp(choose(positives, x) + choose(n - positives, m - x) - choose(n, m))
        order = np.sort(probability)
        total = np.minimum(np.cumsum(order), 1.0)
        # As likely as what was seen counts as no more likely, whatever the rounding (as SciPy and R have it).
        last = np.searchsorted(order, np.append(probability[a[chosen] - low], order[0]) * (1 + 1e-7), side="right") - 1
        p[chosen], least[chosen] = total[last[:-1]], total[last[-1]]
    return Fisher(p, least)


def fisher_greater(a: Ints, carriers: Ints, positives: int, n: int) -> Floats:
    """Return the one-sided p-value of each table: that so many positives, or more, carry it by chance."""
    return np.clip(stats.hypergeom.sf(a - 1, n, carriers, positives), 0.0, 1.0)


def odds_ratio(a: Ints, positives: int, b: Ints, negatives: int) -> Floats:
    """Return the odds ratio of `a` among positives to `b` among negatives, each cell plus one half, so it is finite."""
    return (a + 0.5) / (positives - a + 0.5) * (negatives - b + 0.5) / (b + 0.5)
