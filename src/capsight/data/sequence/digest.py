"""A key for each sequence, the same from either strand: equal keys, equal bases."""

import hashlib
from collections.abc import Iterable

from capsight.data.genome.alphabet import Codes, reverse_complement


def digests(rows: Iterable[Codes]) -> list[bytes]:
    """Return a short key of each sequence and its reverse complement together."""
    pairs = ((row.tobytes(), reverse_complement(row).tobytes()) for row in rows)
    return [hashlib.blake2b(min(pair), digest_size=16).digest() for pair in pairs]
