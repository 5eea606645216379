import numpy as np
import pytest

from capsight.motifs.seqlets import NONE, Seqlets, default_flank, find_seqlets, smoothed


def heights(length: int, peaks: dict[int, float]) -> np.ndarray:
    scores = np.zeros((1, length), dtype=np.float32)
    for place, height in peaks.items():
        scores[0, place] = height
    return scores


def test_peaks_come_highest_first() -> None:
    scores = heights(100, {10: 1, 50: 3, 80: 2, 30: 0.5})
    assert find_seqlets(scores, 3, flank=5, min_peak_distance=5).peaks.tolist() == [[50, 80, 10]]


def test_a_peak_too_near_to_a_higher_one_is_passed_over() -> None:
    scores = heights(100, {50: 3, 56: 2.5, 80: 2})
    assert find_seqlets(scores, 2, flank=5, min_peak_distance=6).peaks.tolist() == [[50, 80]]
    assert find_seqlets(scores, 2, flank=5, min_peak_distance=5).peaks.tolist() == [[50, 56]]


def test_the_shoulder_of_a_peak_is_no_peak() -> None:
    scores = np.maximum(0, 30 - np.abs(np.arange(100) - 50)).astype(np.float32)[None]
    peaks = find_seqlets(scores, 3, flank=5, min_peak_distance=5).peaks
    assert peaks[0, 0] == 50
    assert set(peaks[0, 1:]) <= {0, NONE}


def test_a_window_may_have_fewer_peaks() -> None:
    seqlets = find_seqlets(np.arange(20, dtype=np.float32)[None], 3, flank=2, min_peak_distance=2)
    assert seqlets.peaks.tolist() == [[19, NONE, NONE]]
    assert np.flatnonzero(seqlets.mask()[0]).tolist() == [17, 18, 19]


def test_mask_is_the_union_of_the_seqlets() -> None:
    seqlets = Seqlets(np.array([[10, 14], [2, NONE]]), flank=3, length=20)
    assert np.flatnonzero(seqlets.mask()[0]).tolist() == list(range(7, 18))
    assert np.flatnonzero(seqlets.mask()[1]).tolist() == list(range(6))
    assert np.flatnonzero(seqlets.rank_mask(1)[0]).tolist() == list(range(11, 18))
    assert seqlets.bounds(1, 0) == (0, 6)


def test_smoothing_is_a_moving_average() -> None:
    scores = np.random.default_rng(0).normal(size=(2, 30)).astype(np.float32)
    result = smoothed(scores, 5)
    assert result[1, 10] == pytest.approx(scores[1, 8:13].mean(), abs=1e-6)
    assert result[0, 0] == pytest.approx(scores[0, :3].mean(), abs=1e-6)


def test_flank_follows_the_tokens() -> None:
    assert [default_flank(width) for width in (1, 3, 8)] == [10, 30, 40]
