"""Sequences that count as independent: of those that have DNA in common, one.

Neighbouring cap sites have windows that overlap, and copies of one repeat lie in many windows. What such windows
share they share by descent, so a test that took each for an observation of its own would find whatever they have.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np

from capsight.data.genome.alphabet import N_CODE, Codes, Ints, Mask
from capsight.data.sequence.kmers import encode_kmers

#: So many bases in a row, on either strand, two sequences do not share by chance; the longest k-mer that fits 64 bits.
SHARED: Final = 31


def independent(sequences: Sequence[Codes], order: Ints) -> Mask:
    """Choose sequences no two of which share `SHARED` bases in a row, on either strand.

    Parameters
    ----------
    sequences
        Base codes of each, of any length; those shorter than `SHARED` are all chosen.
    order
        Which sequence goes first, ``(n,)``: each is chosen unless it shares bases with one chosen before.

    Returns
    -------
    chosen
        ``(n,)``.
    """
    sizes = np.array([len(codes) for codes in sequences], dtype=np.int64)
    border = np.full(SHARED, N_CODE, dtype=np.uint8)
    joined = np.concatenate([part for codes in sequences for part in (codes, border)] or [border])
    kmers = encode_kmers(joined[None], SHARED, merge=True)[0]
    first = np.cumsum(sizes + SHARED) - (sizes + SHARED)
    known, number = np.flatnonzero(kmers >= 0), np.full(len(kmers), -1)
    number[known] = np.unique(kmers[known], return_inverse=True)[1]
    seen = np.zeros(len(known), dtype=bool)
    chosen = np.zeros(len(sizes), dtype=bool)
    for i in order:
        own = number[first[i] : first[i] + sizes[i]]
        own = own[own >= 0]
        chosen[i] = not seen[own].any()
        seen[own] |= chosen[i]
    return chosen
