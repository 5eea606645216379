from collections import Counter
from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from capsight.data.genome.alphabet import encode
from capsight.data.sequence.shuffle import dinucleotide_shuffle


def pairs(row):
    return Counter(zip(row[:-1].tolist(), row[1:].tolist(), strict=True))


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 1_000), st.integers(1, 60), st.lists(st.integers(0, 4), min_size=1, max_size=5, unique=True))
def test_every_dinucleotide_and_both_ends_stay(seed, length, letters):
    codes = np.random.default_rng(seed).choice(np.array(letters, np.uint8), (5, length))
    keys = np.arange(5)[:, None]
    drawn = dinucleotide_shuffle(codes, seed, keys)
    assert drawn.dtype == np.uint8
    for before, after in zip(codes, drawn, strict=True):
        assert pairs(after) == pairs(before)
        assert (after[0], after[-1]) == (before[0], before[-1])


def test_a_row_depends_on_its_own_key_and_the_seed_only():
    codes = np.random.default_rng(0).integers(0, 4, (2_500, 30)).astype(np.uint8)
    keys = np.column_stack([np.arange(2_500), np.arange(2_500) % 7])
    whole = dinucleotide_shuffle(codes, 1, keys)
    some = np.array([2_300, 4, 1_024])
    assert (dinucleotide_shuffle(codes[some], 1, keys[some]) == whole[some]).all()
    assert (dinucleotide_shuffle(codes, 2, keys) != whole).any(axis=1).mean() > 0.99
    same = np.repeat(codes[:1], 50, axis=0)
    assert len(np.unique(dinucleotide_shuffle(same, 1, keys[:50]), axis=0)) > 40


@pytest.mark.parametrize("text", ["ACGACTAG", "AACNNGAN", "ATATATAG", "GGGGGCGC"])
def test_all_possible_shuffles_are_equally_likely(text):
    start = encode(text)
    possible = {
        bytes([start[0], *rest])
        for rest in set(permutations(start[1:].tolist()))
        if pairs(np.array([start[0], *rest])) == pairs(start)
    }
    n = 400 * len(possible)
    drawn = Counter(map(bytes, dinucleotide_shuffle(np.repeat(start[None], n, axis=0), 1, np.arange(n)[:, None])))
    assert set(drawn) == possible
    deviation = sum((count - 400) ** 2 / 400 for count in drawn.values())
    assert deviation < len(possible) - 1 + 5 * np.sqrt(2 * len(possible))  # five standard deviations of chi-square


def test_nothing_to_shuffle():
    assert dinucleotide_shuffle(np.zeros((0, 9), np.uint8), 1, np.zeros((0, 1), np.int64)).shape == (0, 9)
    assert dinucleotide_shuffle(np.array([[1, 2]], np.uint8), 1, np.zeros((1, 1), np.int64)).tolist() == [[1, 2]]
