"""Counts of k-mers per window: the features of the classical models."""

from collections.abc import Iterator
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from capsight.data.sequence.kmers import canonical, encode_kmers, reverse_complements


def count_kmers(codes: NDArray[np.uint8], k: int) -> NDArray[np.float32]:
    """Count every k-mer of every window.

    Parameters
    ----------
    codes
        ``(n_windows, length)`` base codes (A, C, G, T, N = 0…4). k-mers with N are not counted.
    k
        Length of the k-mers.

    Returns
    -------
    counts
        ``(n_windows, 4**k)``, k-mers in lexical order.
    """
    n, length = codes.shape
    counts = np.zeros((n, 4**k), dtype=np.float32)
    if length < k:
        return counts
    for start in range(0, n, 4096):
        part = codes[start : start + 4096]
        kmers = encode_kmers(part, k)
        rows = np.broadcast_to(np.arange(len(part))[:, None], kmers.shape)
        flat = (rows * 4**k + kmers)[kmers >= 0]
        counts[start : start + 4096] = np.bincount(flat, minlength=len(part) * 4**k).reshape(len(part), -1)
    return counts


def count_both_strands(codes: NDArray[np.uint8], k: int) -> NDArray[np.float32]:
    """Count k-mers as `count_kmers` does, each with its reverse complement: ``(n_windows, len(canonical(k)))``.

    A k-mer that is its own reverse complement counts twice, once on each strand.
    """
    counts = count_kmers(codes, k)
    return (counts + counts[:, reverse_complements(np.arange(4**k), k)])[:, canonical(k)]


#: Words of at most so many bases are counted by bin too: longer ones are too rare in a part of a window.
MOST_BINNED = 4


class KmerFeatures(NamedTuple):
    """Which counts describe a window. The k-mers are fixed, so that nothing is fitted to any fold.

    Attributes
    ----------
    k
        Length of the k-mers.
    shorter
        Count all k-mers of 1 to `k` bases, not only those of `k`.
    bins
        Parts of a window in which k-mers of at most `MOST_BINNED` bases are counted once more; 1 is none.
    symmetric
        Count a k-mer of the whole window and its reverse complement together: what binds DNA often does on either
        strand. In bins the strands stay apart.
    """

    k: int
    shorter: bool = False
    bins: int = 1
    symmetric: bool = False

    @property
    def size(self) -> int:
        """Number of features."""
        binned = sum(4**k for k in self._lengths(MOST_BINNED)) * self.bins if self.bins > 1 else 0
        return sum(len(canonical(k)) if self.symmetric else 4**k for k in self._lengths(self.k)) + binned

    def matrix(self, codes: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return the features ``(n_windows, size)`` of base codes ``(n_windows, length)``.

        First come the k-mers of the whole window, shortest first and in lexical order, then those that start in
        the first bin, and so on.
        """
        features = np.empty((len(codes), self.size), dtype=np.float32)
        column = 0
        for counts in self._counts(codes):
            features[:, column : column + counts.shape[1]] = counts
            column += counts.shape[1]
        return features

    def _counts(self, codes: NDArray[np.uint8]) -> Iterator[NDArray[np.float32]]:
        """Count k-mers of one length after the other, in the whole window and in each bin."""
        for k in self._lengths(self.k):
            yield count_both_strands(codes, k) if self.symmetric else count_kmers(codes, k)
        edges = np.linspace(0, codes.shape[1], self.bins + 1).astype(int)
        for start, end in pairwise(edges) if self.bins > 1 else ():
            for k in self._lengths(MOST_BINNED):
                yield count_kmers(codes[:, start : end + k - 1], k)

    def _lengths(self, most: int) -> range:
        """Return the lengths of the k-mers that are counted, `most` at most."""
        longest = min(self.k, most)
        return range(1 if self.shorter else longest, longest + 1)
