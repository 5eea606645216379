"""Sparse counts of words per sequence."""

from dataclasses import dataclass, replace
from typing import Self

import numpy as np

from capsight.data.attributions import Ints, Mask


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
