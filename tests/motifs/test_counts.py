"""Counts of words against naive counting."""

import numpy as np

from capsight.data.words import spell, words_of
from capsight.motifs.counts import count_words, starts_inside

from .conftest import dense, random_codes

COMPLEMENT = str.maketrans("ACGT", "TGCA")


def test_counts_agree_with_counting_strings() -> None:
    codes = random_codes(30, 60, bases=5)
    inside = np.random.default_rng(2).random(codes.shape) < 0.9
    counts = dense(count_words(words_of(codes, 3), 64, starts_inside(inside, 3)))
    for row, text in enumerate("".join("ACGTN"[c] for c in window) for window in codes):
        for word, kmer in enumerate(spell(np.arange(64), 3)):
            starts = [i for i in range(58) if text[i : i + 3] == kmer and inside[row, i : i + 3].all()]
            assert counts[row, word] == len(starts)


def test_reverse_complements_merge() -> None:
    codes = random_codes(20, 50)
    merged = dense(count_words(words_of(codes, 4, merge=True), 256))
    apart = dense(count_words(words_of(codes, 4), 256))
    kmers = spell(np.arange(256), 4)
    for word, kmer in enumerate(kmers):
        other = kmers.index(kmer[::-1].translate(COMPLEMENT))
        expected = apart[:, word] + (apart[:, other] if other != word else 0)
        assert (merged[:, word] == (expected if word <= other else 0)).all(), kmer
