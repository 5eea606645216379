"""Windows that have DNA in common are one observation."""

import numpy as np

from capsight.data.genome.alphabet import N_CODE, reverse_complement
from capsight.data.sequence.nonredundant import SHARED, independent


def random_codes(n: int, length: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 4, (n, length), dtype=np.uint8)


def test_of_overlapping_windows_one_is_chosen() -> None:
    contig = random_codes(1, 400)[0]
    starts = [0, 50, 101 - SHARED, 101, 200]  # the third shares one base too few with the first
    windows = [contig[i : i + 100] for i in starts]
    assert independent(windows, np.arange(5)).tolist() == [True, False, True, False, True]
    assert independent(windows, np.array([1, 4, 0, 2, 3])).tolist() == [False, True, False, False, True]


def test_the_other_strand_is_the_same_dna() -> None:
    windows = random_codes(3, 100)
    windows[2, 40:90] = reverse_complement(windows[:1, 10:60])[0]
    assert independent(list(windows), np.arange(3)).tolist() == [True, True, False]


def test_an_element_that_all_windows_have_does_not_count() -> None:
    windows = random_codes(50, 128)
    windows[:, 40 : 40 + SHARED] = windows[0, 40 : 40 + SHARED]
    assert independent(list(windows), np.arange(50)).tolist() == [True] + [False] * 49
    windows[:, 40] = N_CODE
    assert independent(list(windows[:, : 40 + SHARED]), np.arange(50)).all()


def test_unknown_bases_short_sequences_and_none_at_all() -> None:
    unknown = np.full(100, N_CODE, dtype=np.uint8)
    short = random_codes(1, SHARED - 1)[0]
    assert independent([unknown, unknown, short, short], np.arange(4)).all()
    assert not len(independent([], np.arange(0)))
