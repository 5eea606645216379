"""Random bases in whole blocks."""

from itertools import pairwise

import numpy as np
import pytest

from capsight.data.genome.alphabet import N_CODE, substituted


@pytest.mark.parametrize(
    ("offset", "borders"),
    [(0, [0, 15, 30, 45, 60, 70]), (9, [0, 9, 24, 39, 54, 69, 70]), (24, [0, 9, 24, 39, 54, 69, 70])],
)
def test_blocks_are_substituted_whole_or_not_at_all(offset: int, borders: list[int]) -> None:
    codes = np.zeros((4_000, 70), dtype=np.uint8)
    changed = substituted(codes, 15, offset, 0.6, np.random.default_rng(1)) > 0
    for start, end in pairwise(borders):
        by_row = changed[:, start:end].mean(axis=1)
        touched = by_row > 0
        if end - start == 15:
            assert touched.mean() == pytest.approx(0.6, abs=0.03)
            assert by_row[touched].mean() == pytest.approx(0.75, abs=0.02)  # a random base is A itself in a quarter
        elif end - start == 1:
            assert touched.mean() == pytest.approx(0.45, abs=0.03)


def test_one_block_at_least_is_substituted() -> None:
    codes = np.zeros((500, 60), dtype=np.uint8)
    changed = substituted(codes, 20, 0, 1e-9, np.random.default_rng(1)) > 0
    touched = changed.reshape(500, 3, 20).any(axis=2)
    assert (touched.sum(axis=1) == 1).all()
    assert (touched.mean(axis=0) > 0.25).all()


def test_unknown_bases_stay_and_the_input_is_left_alone() -> None:
    codes = np.zeros((50, 40), dtype=np.uint8)
    codes[:, :10] = N_CODE
    before = codes.copy()
    changed = substituted(codes, 10, 0, 1.0, np.random.default_rng(1))
    assert (changed[:, :10] == N_CODE).all()
    assert (changed[:, 10:] < N_CODE).all()
    assert np.array_equal(codes, before)
