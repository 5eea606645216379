"""Keys of sequences: the same from either strand, and for no others."""

import numpy as np

from capsight.data.genome.alphabet import encode, reverse_complement
from capsight.data.sequence.digest import digests


def test_keys_are_those_of_both_strands() -> None:
    rows = [encode(text) for text in ("ACGTT", "AACGT", "ACGTA", "ACGT", "ACGTN")]
    keys = digests(rows)
    assert keys[0] == keys[1]  # reverse complements
    assert len(set(keys)) == 4
    assert digests(np.stack([reverse_complement(row) for row in rows if len(row) == 5])) == keys[:3] + keys[4:]
