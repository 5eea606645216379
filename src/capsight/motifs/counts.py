"""Sparse counts of k-mers per sequence."""

from dataclasses import dataclass, replace
from typing import Self

import numpy as np

from capsight.data.attributions import Ints, Mask


@dataclass(frozen=True, eq=False)
class Counts:
    """How often each k-mer occurs in each sequence: only what is not zero, by k-mer, then by sequence.

    Attributes
    ----------
    kmer
        ``(m,)`` number of the k-mer in lexical order.
    sequence
        ``(m,)`` row of the sequence.
    count
        ``(m,)`` occurrences, 1 or more.
    kmers, sequences
        How many there are in all, ``4**k`` and n.
    """

    kmer: Ints
    sequence: Ints
    count: Ints
    kmers: int
    sequences: int

    def subset(self, chosen: Mask) -> Self:
        """Return the counts in some sequences, rows renumbered; `chosen` is ``(sequences,)``."""
        kept = chosen[self.sequence]
        rows = np.cumsum(chosen) - 1
        return replace(
            self,
            kmer=self.kmer[kept],
            sequence=rows[self.sequence[kept]],
            count=self.count[kept],
            sequences=int(chosen.sum()),
        )

    def n_sequences_with(self) -> Ints:
        """Count the sequences that have each k-mer, ``(kmers,)``."""
        return np.bincount(self.kmer, minlength=self.kmers)

    def occurrences(self) -> Ints:
        """Count the occurrences of each k-mer, ``(kmers,)``."""
        return np.bincount(self.kmer, weights=self.count, minlength=self.kmers).astype(np.int64)


def starts_inside(inside: Mask, k: int) -> Mask:
    """Tell at which bases a k-mer starts that lies wholly in marked bases, ``(n, length - k + 1)``."""
    places = max(inside.shape[1] - k + 1, 0)
    result = np.ones((len(inside), places), dtype=bool)
    for i in range(k):
        result &= inside[:, i : i + places]
    return result


def count_encoded(kmers: Ints, n_kmers: int, inside: Mask | None = None) -> Counts:
    """Count k-mers in each sequence.

    Parameters
    ----------
    kmers
        Of `encode_kmers`.
    n_kmers
        ``4**k``.
    inside
        Only k-mers that start here are counted, ``kmers.shape``.
    """
    counted = kmers >= 0 if inside is None else (kmers >= 0) & inside
    n = len(kmers)
    keys = np.sort((kmers * n + np.arange(n)[:, None])[counted])
    first = np.flatnonzero(np.diff(keys, prepend=-1))
    count = np.diff(first, append=len(keys))
    kmer, sequence = np.divmod(keys[first], max(n, 1))
    return Counts(kmer, sequence, count, n_kmers, n)
