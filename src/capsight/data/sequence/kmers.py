"""k-mers as numbers: A, C, G, T are digits, so that k-mers are numbered in lexical order."""

import numpy as np

from capsight.data.genome.alphabet import Codes, Ints


def encode_kmers(codes: Codes, k: int, *, stride: int = 1, merge: bool = False) -> Ints:
    """Return the number of the k-mer that starts at each base, ``(n, length - k + 1)``; -1 where it has an N.

    With a `stride` only those that start at its multiples are returned. With `merge` a k-mer and its reverse complement
    have the lower number of the two.
    """
    n, length = codes.shape
    places = max((length - k) // stride + 1, 0)
    last = (places - 1) * stride + 1
    kmers = np.zeros((n, places), dtype=np.int64)
    known = np.ones((n, places), dtype=bool)
    for i in range(k):
        base = codes[:, i : i + last : stride] if places else codes[:, :0]
        kmers = kmers * 4 + base
        known &= base < 4
    if merge:
        kmers = np.minimum(kmers, reverse_complements(kmers, k))
    kmers[~known] = -1
    return kmers


def reverse_complements(kmers: Ints, k: int) -> Ints:
    """Return the numbers of the reverse complements."""
    rest, result = kmers, np.zeros_like(kmers)
    for _ in range(k):
        result = result * 4 + 3 - rest % 4
        rest = rest // 4
    return result


def kmer_to_string(kmers: Ints, k: int) -> list[str]:
    """Return the letters of numbered k-mers."""
    letters = np.frombuffer(b"ACGT", dtype=np.uint8)
    digits = kmers[:, None] // 4 ** np.arange(k - 1, -1, -1) % 4
    return [row.tobytes().decode("ascii") for row in letters[digits]]


def string_to_kmer(kmer: str) -> int:
    """Return the number of a k-mer: the inverse of `kmer_to_string`."""
    value = 0
    for base in kmer:
        value = value * 4 + "ACGT".index(base)
    return value


def canonical(k: int) -> Ints:
    """Return the k-mers that do not come after their reverse complement, ``(n_kmers,)``, in lexical order."""
    kmers = np.arange(4**k)
    return kmers[kmers <= reverse_complements(kmers, k)]
