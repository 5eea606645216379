"""k-mers in seqlets and windows: sparse counts per sequence, and the tests on them.

The sequence is the unit of every test, never the peak or the occurrence. All tests work on sparse counts, so
that their time depends on the bases read and not on the 4**k words.
"""

from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from capsight.data.attributions import Codes, Ints, Mask

Floats = NDArray[np.float64]


class Counts(NamedTuple):
    """How often each k-mer occurs in each sequence: only what is not zero, by word, then by sequence.

    Attributes
    ----------
    word
        ``(m,)`` number of the k-mer in lexical order.
    sequence
        ``(m,)`` row of the sequence.
    count
        ``(m,)`` occurrences, 1 or more.
    words, sequences
        How many there are in all, ``4**k`` and n.
    """

    word: Ints
    sequence: Ints
    count: Ints
    words: int
    sequences: int

    def of(self, chosen: Mask) -> Self:
        """Return the counts in some sequences, rows renumbered; `chosen` is ``(sequences,)``."""
        kept = chosen[self.sequence]
        rows = np.cumsum(chosen) - 1
        return self._replace(
            word=self.word[kept],
            sequence=rows[self.sequence[kept]],
            count=self.count[kept],
            sequences=int(chosen.sum()),
        )

    def carriers(self) -> Ints:
        """Count the sequences that have each word, ``(words,)``."""
        return np.bincount(self.word, minlength=self.words)

    def occurrences(self) -> Ints:
        """Count the occurrences of each word, ``(words,)``."""
        return np.bincount(self.word, weights=self.count, minlength=self.words).astype(np.int64)


def words_of(codes: Codes, k: int, *, merge: bool = False) -> Ints:
    """Number the k-mer that starts at each base: ``(n, length - k + 1)``; -1 where it has an N.

    With `merge` a k-mer and its reverse complement have the lower number of the two.
    """
    n, length = codes.shape
    places = max(length - k + 1, 0)
    words = np.zeros((n, places), dtype=np.int64)
    known = np.ones((n, places), dtype=bool)
    for i in range(k):
        base = codes[:, i : i + places]
        words = words * 4 + base
        known &= base < 4
    if merge:
        words = np.minimum(words, reverse_complements(words, k))
    words[~known] = -1
    return words


def reverse_complements(words: Ints, k: int) -> Ints:
    """Return the numbers of the reverse complements."""
    rest, result = words, np.zeros_like(words)
    for _ in range(k):
        result = result * 4 + 3 - rest % 4
        rest = rest // 4
    return result


def spell(words: Ints, k: int) -> list[str]:
    """Return the letters of numbered k-mers."""
    letters = np.frombuffer(b"ACGT", dtype=np.uint8)
    digits = words[:, None] // 4 ** np.arange(k - 1, -1, -1) % 4
    return [row.tobytes().decode("ascii") for row in letters[digits]]


def starts_inside(inside: Mask, k: int) -> Mask:
    """Tell at which bases a k-mer starts that lies wholly in marked bases, ``(n, length - k + 1)``."""
    places = max(inside.shape[1] - k + 1, 0)
    result = np.ones((len(inside), places), dtype=bool)
    for i in range(k):
        result &= inside[:, i : i + places]
    return result


def count_words(words: Ints, n_words: int, inside: Mask | None = None) -> Counts:
    """Count words in each sequence.

    Parameters
    ----------
    words
        Of `words_of`.
    n_words
        ``4**k``.
    inside
        Only words that start here are counted, ``words.shape``.
    """
    counted = words >= 0 if inside is None else (words >= 0) & inside
    n = len(words)
    keys = np.sort((words * n + np.arange(n)[:, None])[counted])
    first = np.flatnonzero(np.diff(keys, prepend=-1))
    count = np.diff(first, append=len(keys))
    word, sequence = np.divmod(keys[first], max(n, 1))
    return Counts(word, sequence, count, n_words, n)


class RankSum(NamedTuple):
    """Mann–Whitney U of the positives for each word, its mean and its standard deviation under the null."""

    u: Floats
    mean: float
    deviation: Floats


def rank_sum(counts: Counts, positive: Mask) -> RankSum:
    """Rank sequences by their count of each word, ties (most counts are 0) sharing their mean rank.

    The closed form of Mann and Whitney (1947) with the correction for ties, as in `scipy.stats.mannwhitneyu`.
    """
    n, n1 = counts.sequences, int(positive.sum())
    n2 = n - n1
    levels = int(counts.count.max(initial=0)) + 1
    keys = counts.word * levels + counts.count
    order = np.argsort(keys, kind="stable")
    first = np.flatnonzero(np.diff(keys[order], prepend=-1))
    size = np.diff(first, append=len(keys))
    if len(first):
        of_positives = np.add.reduceat(positive[counts.sequence[order]].astype(np.int64), first)
    else:
        of_positives = size
    word = keys[order][first] // levels
    carriers = counts.carriers()
    zeros = n - carriers
    # Sequences of the same word below a group: those without the word, and the groups with lower counts.
    before = np.cumsum(size) - size - (np.cumsum(carriers) - carriers)[word]
    rank = zeros[word] + before + (size + 1) / 2
    ranks = np.bincount(word, weights=of_positives * rank, minlength=counts.words)
    positive_carriers = np.bincount(word, weights=of_positives, minlength=counts.words)
    ranks += (n1 - positive_carriers) * (zeros + 1) / 2
    ties = np.bincount(word, weights=_ties(size), minlength=counts.words) + _ties(zeros)
    variance = n1 * n2 / 12 * ((n + 1) - ties / max(n * (n - 1), 1))
    return RankSum(ranks - n1 * (n1 + 1) / 2, n1 * n2 / 2, np.sqrt(np.maximum(variance, 0)))


def _ties(size: Ints) -> Floats:
    sizes = size.astype(np.float64)
    return sizes**3 - sizes


def mann_whitney(counts: Counts, positive: Mask) -> Floats:
    """Return the two-sided p-value of each word, normal approximation with continuity correction; 1 if all tie."""
    u, mean, deviation = rank_sum(counts, positive)
    distance = np.abs(u - mean) - 0.5
    z = np.divide(distance, deviation, out=np.zeros_like(u), where=deviation > 0)
    return np.minimum(2 * stats.norm.sf(z), 1.0)


def rank_biserial(counts: Counts, positive: Mask) -> Floats:
    """Return the effect size of the rank-sum test: 1 if every positive has more of the word, -1 if fewer."""
    u, mean, _ = rank_sum(counts, positive)
    return u / mean - 1


def van_elteren(counts: Counts, positive: Mask, strata: Ints) -> Floats:
    """Return the two-sided p-value of each word from rank sums within strata (van Elteren 1960).

    Strata are weighted by 1 / (sequences + 1), which is best where the shift is the same in all of them.
    """
    total = np.zeros(counts.words)
    variance = np.zeros(counts.words)
    for stratum in np.unique(strata):
        chosen = strata == stratum
        u, mean, deviation = rank_sum(counts.of(chosen), positive[chosen])
        weight = 1 / (chosen.sum() + 1)
        total += weight * (u - mean)
        variance += (weight * deviation) ** 2
    z = np.divide(np.abs(total), np.sqrt(variance), out=np.zeros_like(total), where=variance > 0)
    return np.minimum(2 * stats.norm.sf(z), 1.0)


def fisher_exact(a: Ints, carriers: Ints, positives: int, n: int) -> Floats:
    """Return the two-sided p-value of many tables that share their margins of positives.

    Parameters
    ----------
    a
        Positives that carry the word.
    carriers
        All sequences that carry it.
    positives, n
        Number of positives, and of all sequences.
    """
    result = np.ones(len(a))
    for m in np.unique(carriers):
        chosen = carriers == m
        low, high = max(0, positives + m - n), min(m, positives)
        probability = stats.hypergeom.pmf(np.arange(low, high + 1), n, positives, m)
        order = np.sort(probability)
        # As likely as what was seen counts as no more likely, whatever the rounding (as SciPy and R have it).
        last = np.searchsorted(order, probability[a[chosen] - low] * (1 + 1e-7), side="right")
        result[chosen] = np.minimum(np.cumsum(order)[last - 1], 1.0)
    return result


def odds(a: Ints, positives: int, b: Ints, negatives: int) -> Floats:
    """Return log2 of the odds ratio of a among positives to b among negatives, each cell plus one half."""
    return np.log2((a + 0.5) / (positives - a + 0.5)) - np.log2((b + 0.5) / (negatives - b + 0.5))


def concentration(in_seqlets: Counts, in_windows: Counts, share: Floats) -> Floats:
    """Return the p-value of each word being in seqlets more often than elsewhere in the same windows.

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
    Each window is its own background, so composition cannot make a word stand out.
    """
    chance = 1 - (1 - share[in_windows.sequence]) ** in_windows.count
    carriers = in_windows.carriers()
    expected = np.bincount(in_windows.word, weights=chance, minlength=in_windows.words)
    mean = np.divide(expected, carriers, out=np.zeros(in_windows.words), where=carriers > 0)
    return np.where(carriers > 0, stats.binom.sf(in_seqlets.carriers() - 1, carriers, mean), 1.0)
