"""k-mers in seqlets and windows: sparse counts per sequence, and the tests on them.

The sequence is the unit of every test, never the peak or the occurrence. All tests work on sparse counts, so
that their time depends on the bases read and not on the 4**k words.
"""

from dataclasses import dataclass, replace
from typing import Any, Final, NamedTuple, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import special, stats

from capsight.data.attributions import Codes, Ints, Mask

Floats = NDArray[np.float64]

#: Columns of `motifs.tsv`. Counts are of sequences unless they say occurrences; `positive` and `negative` are
#: as predicted.
KMER: Final = "kmer"
POSITIVES: Final = "positives"
NEGATIVES: Final = "negatives"
POSITIVE_OCCURRENCES: Final = "positive_occurrences"
NEGATIVE_OCCURRENCES: Final = "negative_occurrences"
POSITIVE_WINDOWS: Final = "positive_windows"
NEGATIVE_WINDOWS: Final = "negative_windows"
POSITIVE_WINDOW_OCCURRENCES: Final = "positive_window_occurrences"
NEGATIVE_WINDOW_OCCURRENCES: Final = "negative_window_occurrences"
ENRICHED_IN: Final = "enriched_in"
LOG2_ODDS: Final = "log2_odds"
RANK_BISERIAL: Final = "rank_biserial"
P_MWU: Final = "p_mwu"
P_FISHER: Final = "p_fisher"
P_SEQLETS: Final = "p_seqlets"
P_GC: Final = "p_gc"
P: Final = "p"
Q: Final = "q"
KMER_COLUMNS: Final = (
    KMER, ENRICHED_IN, Q, P, LOG2_ODDS, RANK_BISERIAL, POSITIVES, NEGATIVES, POSITIVE_OCCURRENCES,
    NEGATIVE_OCCURRENCES, POSITIVE_WINDOWS, NEGATIVE_WINDOWS, POSITIVE_WINDOW_OCCURRENCES,
    NEGATIVE_WINDOW_OCCURRENCES, P_MWU, P_FISHER, P_SEQLETS, P_GC,
)  # fmt: skip

#: Sequences are compared within this many groups of like GC content (column `P_GC`).
GC_STRATA: Final = 5

#: Columns of `aggregate.tsv`.
TEST: Final = "test"
STATISTIC: Final = "statistic"


@dataclass(frozen=True, eq=False)
class Counts:
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
        return replace(
            self,
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
    """Return the number of the k-mer that starts at each base, ``(n, length - k + 1)``; -1 where it has an N.

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


def number(kmer: str) -> int:
    """Return the number of a k-mer: the inverse of `spell`."""
    value = 0
    for base in kmer:
        value = value * 4 + "ACGT".index(base)
    return value


def canonical(k: int) -> int:
    """Return how many k-mers there are when reverse complements count as one."""
    palindromes = 0 if k % 2 else 4 ** (k // 2)
    return (4**k + palindromes) // 2


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
    upto = np.append(0, np.cumsum(positive[counts.sequence[order]]))
    of_positives = upto[first + size] - upto[first]
    word = keys[order][first] // levels
    carriers = counts.carriers()
    zeros = n - carriers
    # Sequences of the same word below a group: those without the word, and the groups with lower counts.
    before = np.cumsum(size) - size - (np.cumsum(carriers) - carriers)[word]
    rank = zeros[word] + before + (size + 1) / 2
    ranks = np.bincount(word, weights=of_positives * rank, minlength=counts.words).astype(np.float64)
    positive_carriers = np.bincount(word, weights=of_positives, minlength=counts.words)
    ranks = ranks + (n1 - positive_carriers) * (zeros + 1) / 2
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


class Fisher(NamedTuple):
    """Two-sided p-values, and the smallest that each table's margins allow."""

    p: Floats
    least: Floats


def fisher_exact(a: Ints, carriers: Ints, positives: int, n: int) -> Fisher:
    """Test many 2 × 2 tables that share one margin (two-sided; Fisher 1934).

    Parameters
    ----------
    a
        Positives that carry the word.
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


def q_values(p: Floats, least: Floats) -> Floats:
    """Return q-values after Benjamini and Hochberg (1995), for tests whose p-values cannot be arbitrarily small.

    Parameters
    ----------
    p
        p-values of all tests.
    least
        The smallest p-value that each test could have reached, given its margins.

    Notes
    -----
    Benjamini and Hochberg bound the p-values below t that chance would give by t times the number of tests. A
    test that cannot reach t gives none, so t is multiplied by the number of those that can (Tarone 1990;
    Gilbert 2005). Nothing is left out: all tests are ranked, and with `least` of 0 the result is theirs.
    """
    order = np.argsort(p, kind="stable")
    able = np.searchsorted(np.sort(least), p[order] * (1 + 1e-9), side="right")
    ratio = p[order] * able / np.arange(1, len(p) + 1)
    result = np.empty_like(ratio)
    result[order] = np.minimum(np.minimum.accumulate(ratio[::-1])[::-1], 1.0)
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


class Counted(NamedTuple):
    """Counts of every k-mer in the seqlets and in the whole windows, and what the tests condition on."""

    seqlets: Counts
    windows: Counts
    share: Floats
    """Part of each window's k-mers that lie in its seqlets, ``(n,)``."""
    gc: Floats
    """Share of G and C among the bases of each window, ``(n,)``."""


def count_kmers(codes: Codes, inside: Mask, k: int, *, merge: bool = False) -> Counted:
    """Count every k-mer of every window, and those that lie wholly in its seqlets.

    Parameters
    ----------
    codes
        ``(n, length)`` base codes.
    inside
        Which bases lie in seqlets, ``(n, length)``.
    k
        Length of the words.
    merge
        Count a k-mer and its reverse complement as one.
    """
    words = words_of(codes, k, merge=merge)
    starts = starts_inside(inside, k)
    known = words >= 0
    share = (starts & known).sum(axis=1) / np.maximum(known.sum(axis=1), 1)
    gc = ((codes == 1) | (codes == 2)).sum(axis=1) / np.maximum((codes < 4).sum(axis=1), 1)
    return Counted(count_words(words, 4**k, starts), count_words(words, 4**k), share, gc)


def compare_kmers(counted: Counted, positive: Mask, k: int) -> pd.DataFrame:
    """Test every k-mer: predicted positives against negatives, and seqlets against their windows.

    Returns
    -------
    table
        With `KMER_COLUMNS`, one row for each k-mer that occurs in any seqlet, most significant first. The
        others were tested too, with p = 1.

    Notes
    -----
    A k-mer is called by ``q``, from the largest of three p-values, so that it must pass all: Mann–Whitney on
    counts per sequence, Fisher's exact test on presence (which holds where the former's normal approximation
    does not), and `concentration` in the seqlets of the side where it is more frequent (which composition of
    the windows cannot cause).
    """
    seqlets = counted.seqlets.of(positive), counted.seqlets.of(~positive)
    windows = counted.windows.of(positive), counted.windows.of(~positive)
    n1, n2 = seqlets[0].sequences, seqlets[1].sequences
    a, b = seqlets[0].carriers(), seqlets[1].carriers()
    more = a * n2 >= b * n1
    fisher = fisher_exact(a, a + b, n1, n1 + n2)
    shares = counted.share[positive], counted.share[~positive]
    concentrated = [concentration(*each) for each in zip(seqlets, windows, shares, strict=True)]
    columns: dict[str, Any] = {
        ENRICHED_IN: np.where(more, POSITIVES, NEGATIVES),
        LOG2_ODDS: odds(a, n1, b, n2),
        RANK_BISERIAL: rank_biserial(counted.seqlets, positive),
        POSITIVES: a,
        NEGATIVES: b,
        POSITIVE_OCCURRENCES: seqlets[0].occurrences(),
        NEGATIVE_OCCURRENCES: seqlets[1].occurrences(),
        POSITIVE_WINDOWS: windows[0].carriers(),
        NEGATIVE_WINDOWS: windows[1].carriers(),
        POSITIVE_WINDOW_OCCURRENCES: windows[0].occurrences(),
        NEGATIVE_WINDOW_OCCURRENCES: windows[1].occurrences(),
        P_MWU: mann_whitney(counted.seqlets, positive),
        P_FISHER: fisher.p,
        P_SEQLETS: np.where(more, *concentrated),
        P_GC: van_elteren(counted.seqlets, positive, gc_strata(counted.gc)),
    }
    columns[P] = np.maximum.reduce([columns[P_MWU], columns[P_FISHER], columns[P_SEQLETS]])
    columns[Q] = q_values(columns[P], fisher.least)
    seen = np.flatnonzero(a + b)
    seen = seen[np.lexsort((-columns[LOG2_ODDS][seen], columns[P][seen], columns[Q][seen]))]
    table = pd.DataFrame({name: values[seen] for name, values in columns.items()})
    table[KMER] = spell(seen, k)
    return table[list(KMER_COLUMNS)]


def gc_strata(gc: Floats) -> Ints:
    """Divide sequences into `GC_STRATA` groups of like GC content and nearly equal size."""
    borders = np.quantile(gc, np.arange(1, GC_STRATA) / GC_STRATA)
    return np.searchsorted(borders, gc)


def aggregate_tests(counted: Counted, positive: Mask) -> pd.DataFrame:
    """Carry out the paper's three rank-sum tests over the counts of all k-mers that occur.

    Their unit is the k-mer, and neighbouring k-mers share bases, so their p-values say little; they are here for
    comparison with Haldar et al. (2026).
    """
    of = {
        (name, where): counts.of(chosen).occurrences().astype(np.float64)
        for where, counts in (("seqlets", counted.seqlets), ("windows", counted.windows))
        for name, chosen in ((POSITIVES, positive), (NEGATIVES, ~positive))
    }
    pairs = [((name, "seqlets"), (name, "windows")) for name in (POSITIVES, NEGATIVES)]
    rows = []
    for first, second in [*pairs, ((POSITIVES, "seqlets"), (NEGATIVES, "seqlets"))]:
        x, y = of[first], of[second]
        occurs = (x > 0) | (y > 0)
        if first[0] == second[0]:
            x, y = x / max(x.max(), 1), y / max(y.max(), 1)
        statistic, p = stats.mannwhitneyu(x[occurs], y[occurs]) if occurs.any() else (0.0, 1.0)
        rows.append({TEST: f"{' '.join(first)} against {' '.join(second)}", STATISTIC: statistic, P: p})
    return pd.DataFrame(rows)
