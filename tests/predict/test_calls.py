"""Calls are the highest bases within a distance, each strand by itself, whatever the pieces a contig is called in."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from capsight.predict.calls import call

TRACKS = st.tuples(st.integers(0, 10**6), st.integers(1, 60), st.integers(0, 9), st.integers(2, 12))


def by_definition(score: np.ndarray, min_score: float, distance: int) -> list[tuple[float, int, int]]:
    found = []
    for strand in (0, 1):
        for i, value in enumerate(score[strand]):
            near = score[strand, max(i - distance, 0) : i + distance + 1]
            left = score[strand, max(i - distance, 0) : i]
            if value > min_score and value == near.max() and not (left == value).any():
                found.append((-float(value), strand, i))
    return sorted(found)


@given(TRACKS)
def test_calls_are_those_of_the_definition(track: tuple[int, int, int, int]) -> None:
    seed, length, distance, levels = track
    score = np.random.default_rng(seed).integers(0, levels, (2, length)) / 4  # few levels: many ties
    calls = call(score, 0.25, distance)
    found = list(zip((-calls.score).tolist(), calls.strand.tolist(), calls.position.tolist(), strict=True))
    assert found == by_definition(score, 0.25, distance)


def test_no_two_calls_are_near_and_pieces_give_the_same() -> None:
    score = np.random.default_rng(3).random((2, 2_000)).astype(np.float32)
    whole = call(score, distance=50)
    for strand in (0, 1):
        positions = np.sort(whole.position[whole.strand == strand])
        assert (np.diff(positions) > 50).all()
    pieces = set()
    for start in range(0, 2_000, 300):
        first, last = max(start - 51, 0), min(start + 351, 2_000)
        part = call(score[:, first:last], distance=50)
        for strand, position in zip(part.strand, part.position + first, strict=True):
            if start <= position < start + 300:
                pieces.add((int(strand), int(position)))
    assert pieces == set(zip(whole.strand.tolist(), whole.position.tolist(), strict=True))


@pytest.mark.parametrize("distance", [0, 1, 50])
def test_an_empty_track_has_no_calls(distance: int) -> None:
    assert len(call(np.zeros((2, 100)), distance=distance).score) == 0
    assert len(call(np.zeros((2, 0)), distance=distance).score) == 0
