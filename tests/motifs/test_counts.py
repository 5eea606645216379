"""Counts of k-mers against naive counting."""

import numpy as np

from capsight.data.sequence.kmers import encode_kmers, kmer_to_string
from capsight.motifs.counts import count_encoded, starts_inside

from .conftest import dense, random_codes

COMPLEMENT = str.maketrans("ACGT", "TGCA")


def test_counts_agree_with_counting_strings() -> None:
    codes = random_codes(30, 60, bases=5)
    inside = np.random.default_rng(2).random(codes.shape) < 0.9
    counts = dense(count_encoded(encode_kmers(codes, 3), 64, starts_inside(inside, 3)))
    for row, text in enumerate("".join("ACGTN"[c] for c in window) for window in codes):
        for number, kmer in enumerate(kmer_to_string(np.arange(64), 3)):
            starts = [i for i in range(58) if text[i : i + 3] == kmer and inside[row, i : i + 3].all()]
            assert counts[row, number] == len(starts)


def test_reverse_complements_merge() -> None:
    codes = random_codes(20, 50)
    merged = dense(count_encoded(encode_kmers(codes, 4, merge=True), 256))
    apart = dense(count_encoded(encode_kmers(codes, 4), 256))
    kmers = kmer_to_string(np.arange(256), 4)
    for number, kmer in enumerate(kmers):
        other = kmers.index(kmer[::-1].translate(COMPLEMENT))
        expected = apart[:, number] + (apart[:, other] if other != number else 0)
        assert (merged[:, number] == (expected if number <= other else 0)).all(), kmer
