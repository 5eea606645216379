"""Tests of each k-mer between sequences: rank sums, and enrichment in seqlets; all on sparse counts.

The sequence is the unit of every test, never the peak or the occurrence. The time of a test depends on the bases that
were read and not on the 4**k k-mers.
"""

from typing import NamedTuple

import numpy as np
from scipy import stats

from capsight.data.genome.alphabet import Floats, Ints, Mask
from capsight.motifs.counts import Counts


class RankSum(NamedTuple):
    """Mann–Whitney U of the positives for each k-mer, its mean and its standard deviation under the null."""

    u: Floats
    mean: float
    deviation: Floats


def rank_sum(counts: Counts, positive: Mask) -> RankSum:
    """Rank sequences by their count of each k-mer, ties (most counts are 0) sharing their mean rank.

    The closed form of Mann and Whitney (1947) with the correction for ties, as in `scipy.stats.mannwhitneyu`.
    """
    n, n1 = counts.sequences, int(positive.sum())
    n2 = n - n1
    levels = int(counts.count.max(initial=0)) + 1
    keys = counts.kmer * levels + counts.count
    order = np.argsort(keys, kind="stable")
    first = np.flatnonzero(np.diff(keys[order], prepend=-1))
    size = np.diff(first, append=len(keys))
    upto = np.append(0, np.cumsum(positive[counts.sequence[order]]))
    of_positives = upto[first + size] - upto[first]
    kmer = keys[order][first] // levels
    carriers = counts.n_sequences_with()
    zeros = n - carriers
    # Sequences of the same k-mer below a group: those without the k-mer, and the groups with lower counts.
    before = np.cumsum(size) - size - (np.cumsum(carriers) - carriers)[kmer]
    rank = zeros[kmer] + before + (size + 1) / 2
    ranks = np.bincount(kmer, weights=of_positives * rank, minlength=counts.kmers).astype(np.float64)
    positive_with = np.bincount(kmer, weights=of_positives, minlength=counts.kmers)
    ranks = ranks + (n1 - positive_with) * (zeros + 1) / 2
    ties = np.bincount(kmer, weights=_ties(size), minlength=counts.kmers) + _ties(zeros)
    variance = n1 * n2 / 12 * ((n + 1) - ties / max(n * (n - 1), 1))
    return RankSum(ranks - n1 * (n1 + 1) / 2, n1 * n2 / 2, np.sqrt(np.maximum(variance, 0)))


def _ties(size: Ints) -> Floats:
    sizes = size.astype(np.float64)
    return sizes**3 - sizes


def mann_whitney(counts: Counts, positive: Mask) -> Floats:
    """Return the two-sided p-value of each k-mer, normal approximation with continuity correction; 1 if all tie."""
    u, mean, deviation = rank_sum(counts, positive)
    distance = np.abs(u - mean) - 0.5
    z = np.divide(distance, deviation, out=np.zeros_like(u), where=deviation > 0)
    return np.minimum(2 * stats.norm.sf(z), 1.0)


def rank_biserial(counts: Counts, positive: Mask) -> Floats:
    """Return the effect size of the rank-sum test: 1 if every positive has more of the k-mer, -1 if fewer."""
    u, mean, _ = rank_sum(counts, positive)
    return u / mean - 1


def van_elteren(counts: Counts, positive: Mask, strata: Ints) -> Floats:
    """Return the two-sided p-value of each k-mer from rank sums within strata (van Elteren 1960).

    Strata are weighted by 1 / (sequences + 1), which is best where the shift is the same in all of them.
    """
    total = np.zeros(counts.kmers)
    variance = np.zeros(counts.kmers)
    for stratum in np.unique(strata):
        chosen = strata == stratum
        u, mean, deviation = rank_sum(counts.subset(chosen), positive[chosen])
        weight = 1 / (chosen.sum() + 1)
        total += weight * (u - mean)
        variance += (weight * deviation) ** 2
    z = np.divide(np.abs(total), np.sqrt(variance), out=np.zeros_like(total), where=variance > 0)
    return np.minimum(2 * stats.norm.sf(z), 1.0)


def seqlet_enrichment_p(in_seqlets: Counts, in_windows: Counts, share: Floats) -> Floats:
    """Return the p-value of each k-mer being in seqlets more often than elsewhere in the same windows.

    Parameters
    ----------
    in_seqlets, in_windows
        Counts in the same sequences.
    share
        Part of each window's k-mers that lie in its seqlets, ``(sequences,)``.

    Notes
    -----
    Were peaks of attribution laid at random, a sequence with w occurrences would have one in its seqlets with
    probability 1 - (1 - share)**w. The number of sequences that do is compared with a binomial of the mean
    probability, whose upper tail bounds that of the true Poisson-binomial (Hoeffding 1956). One-sided.
    Each window is its own background, so composition cannot make a k-mer stand out.
    """
    chance = 1 - (1 - share[in_windows.sequence]) ** in_windows.count
    carriers = in_windows.n_sequences_with()
    expected = np.bincount(in_windows.kmer, weights=chance, minlength=in_windows.kmers)
    mean = np.divide(expected, carriers, out=np.zeros(in_windows.kmers), where=carriers > 0)
    return np.where(carriers > 0, stats.binom.sf(in_seqlets.n_sequences_with() - 1, carriers, mean), 1.0)
