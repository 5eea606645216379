"""Words of k bases as numbers: A, C, G, T are digits, so that words are numbered in lexical order."""

import numpy as np

from capsight.data.bases import Codes, Ints


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


def canonical(k: int) -> Ints:
    """Return the words that do not come after their reverse complement, ``(n_words,)``, in lexical order."""
    words = np.arange(4**k)
    return words[words <= reverse_complements(words, k)]
