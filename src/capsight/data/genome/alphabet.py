"""Bases as numbers: one byte each, and what they tell of a sequence."""

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

Codes = NDArray[np.uint8]
Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]

LETTERS: Final = "ACGTN"
N_CODE: Final = 4
#: Set in a stored byte whose letter was lower case.
SOFT_MASK: Final = 8

#: Leaves the code of a stored byte.
CODE_BITS: Final = 7


def _stored_codes() -> Codes:
    """Return the stored byte of every letter, ``(256,)``."""
    table = np.full(256, N_CODE, dtype=np.uint8)
    for code, letter in enumerate("ACGT"):
        table[ord(letter)] = table[ord(letter.lower())] = code
    table[ord("a") : ord("z") + 1] |= SOFT_MASK
    return table


#: The stored byte of every letter.
STORED: Final = _stored_codes()
_COMPLEMENT: Final = np.array([3, 2, 1, 0, N_CODE], dtype=np.uint8)
#: For `bytes.translate`; what is no code becomes no ASCII, and so an error.
_LETTERS_OF_CODES: Final = LETTERS.encode().ljust(256, b"\xff")
#: Which letters are bases, or N.
KNOWN: Final = np.isin(np.arange(256), np.frombuffer(b"ACGTNacgtn", dtype=np.uint8))


def encode(sequence: str, *, soft_mask: bool = False) -> Codes:
    """Return the codes ``(length,)`` of a sequence in upper or lower case; any letter but A, C, G, T is N.

    With `soft_mask`, the codes of lower-case letters carry the `SOFT_MASK` bit.
    """
    stored = STORED[np.frombuffer(sequence.encode("latin-1", "replace"), dtype=np.uint8)]
    return stored if soft_mask else stored & np.uint8(CODE_BITS)


def decode(codes: Codes) -> list[str]:
    """Return the sequences of codes ``(n_windows, length)``."""
    text, length = codes.tobytes().translate(_LETTERS_OF_CODES).decode("ascii"), codes.shape[1]
    return [text[i * length : (i + 1) * length] for i in range(len(codes))]


def reverse_complement(codes: Codes) -> Codes:
    """Return the codes ``(..., length)`` of the other strand, 5'→3'."""
    return _COMPLEMENT[codes[..., ::-1]]


def mutated(codes: Codes, share: float, rng: np.random.Generator) -> Codes:
    """Draw a share of the bases anew, as in EvoAug (Lee et al. 2023); N stays N."""
    drawn = rng.integers(0, 4, codes.shape, dtype=np.uint8)
    return np.where((rng.random(codes.shape) < share) & (codes < N_CODE), drawn, codes)


def substituted(codes: Codes, block: int, offset: int, fraction: float, rng: np.random.Generator) -> Codes:
    """Replace a share of the blocks of every window, at least one, by random bases; N stays N.

    Parameters
    ----------
    codes
        ``(n_windows, length)``.
    block, offset
        Blocks of `block` bases, one of which begins at base `offset`; those at the ends may be shorter.
    fraction
        With which probability each block is replaced.

    Notes
    -----
    Oubounyt et al. (2019), "DeePromoter": negatives that keep pieces of promoters, at their positions.
    """
    n, length = codes.shape
    of_base = (np.arange(length) + (-offset % block)) // block
    blocks = rng.random((n, of_base[-1] + 1))
    chosen = (blocks < fraction) | (blocks == blocks.min(axis=1, keepdims=True))
    drawn = rng.integers(0, 4, codes.shape, dtype=np.uint8)
    return np.where(chosen[:, of_base] & (codes < N_CODE), drawn, codes)


class Composition(NamedTuple):
    """What windows are made of, each ``(n_windows,)``.

    Attributes
    ----------
    gc
        Share of G and C among the known bases (0 where none is known).
    repeat
        Share of soft-masked positions.
    unknown
        Number of N, positions outside the contig included.
    """

    gc: NDArray[np.float64]
    repeat: NDArray[np.float64]
    unknown: Ints


def composition(stored: Codes) -> Composition:
    """Measure stored bytes ``(n_windows, length)``: codes, with or without the `SOFT_MASK` bit."""
    codes = stored & CODE_BITS
    unknown = np.count_nonzero(codes == N_CODE, axis=1)
    gc = np.count_nonzero((codes == 1) | (codes == 2), axis=1)
    repeat = np.count_nonzero(stored & SOFT_MASK, axis=1)
    length = stored.shape[1]
    return Composition(gc / np.maximum(length - unknown, 1), repeat / max(length, 1), unknown)
