"""Words as numbers, against their letters."""

import numpy as np
import pytest

from capsight.data.genome.alphabet import decode
from capsight.data.sequence.kmers import canonical, encode_kmers, kmer_to_string, reverse_complements, string_to_kmer

COMPLEMENT = str.maketrans("ACGT", "TGCA")


def flipped(kmer: str) -> str:
    return kmer[::-1].translate(COMPLEMENT)


@pytest.mark.parametrize("k", [1, 4, 5])
def test_numbers_are_in_lexical_order_and_spell_back(k: int) -> None:
    kmers = kmer_to_string(np.arange(4**k), k)
    assert kmers == sorted(set(kmers))
    assert [string_to_kmer(kmer) for kmer in kmers] == list(range(4**k))
    assert kmer_to_string(reverse_complements(np.arange(4**k), k), k) == [flipped(kmer) for kmer in kmers]
    assert kmer_to_string(canonical(k), k) == sorted({min(kmer, flipped(kmer)) for kmer in kmers})


@pytest.mark.parametrize("merge", [False, True])
@pytest.mark.parametrize("k", [3, 31])
def test_kmers_are_the_letters_at_each_base(k: int, merge: bool) -> None:
    codes = np.random.default_rng(k).choice(5, (8, 60), p=[0.245] * 4 + [0.02]).astype(np.uint8)
    kmers = encode_kmers(codes, k, merge=merge)
    assert kmers.shape == (8, 61 - k)
    for text, row in zip(decode(codes), kmers, strict=True):
        kmers = [text[i : i + k] for i in range(61 - k)]
        expected = [min(kmer, flipped(kmer)) if merge else kmer for kmer in kmers]
        assert [-1 if "N" in kmer else string_to_kmer(kmer) for kmer in expected] == row.tolist()


def test_sequences_shorter_than_a_word_have_none() -> None:
    assert encode_kmers(np.zeros((2, 3), dtype=np.uint8), 4).shape == (2, 0)


@pytest.mark.parametrize("length", [2, 3, 9, 60])
@pytest.mark.parametrize("stride", [1, 2, 5])
def test_a_stride_takes_every_so_many(stride: int, length: int) -> None:
    codes = np.random.default_rng(stride).integers(0, 5, (4, length)).astype(np.uint8)
    assert encode_kmers(codes, 3, stride=stride).tolist() == encode_kmers(codes, 3)[:, ::stride].tolist()
