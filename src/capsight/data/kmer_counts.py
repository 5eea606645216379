"""Counts of k-mers per window: the features of the classical models."""

import numpy as np
from numpy.typing import NDArray


def count_kmers(codes: NDArray[np.uint8], k: int) -> NDArray[np.float32]:
    """Count every k-mer of every window.

    Parameters
    ----------
    codes
        ``(n_windows, length)`` base codes (A, C, G, T, N = 0…4). k-mers with N are not counted.
    k
        Length of the words.

    Returns
    -------
    counts
        ``(n_windows, 4**k)``, words in lexical order.
    """
    n, length = codes.shape
    counts = np.zeros((n, 4**k), dtype=np.float32)
    if length < k:
        return counts
    for start in range(0, n, 4096):
        part = codes[start : start + 4096]
        words = np.zeros((len(part), length - k + 1), dtype=np.int64)
        known = np.ones(words.shape, dtype=bool)
        for i in range(k):
            base = part[:, i : i + words.shape[1]]
            words = words * 4 + base
            known &= base < 4
        rows = np.broadcast_to(np.arange(len(part))[:, None], words.shape)
        flat = (rows * 4**k + words)[known]
        counts[start : start + 4096] = np.bincount(flat, minlength=len(part) * 4**k).reshape(len(part), -1)
    return counts
