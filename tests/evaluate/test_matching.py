"""What a scan found, place by place, against answers that were worked out by hand."""

import numpy as np
import pytest

from capsight.evaluate.matching import (
    Summits,
    around,
    bin_sums,
    compare_profiles,
    draw_regions,
    match,
    named_distances,
    summit_distances,
    whole,
)
from capsight.predict.calls import Calls


def summits(*places: tuple[int, int]) -> Summits:
    return Summits(*np.array(places, dtype=np.int64).reshape(-1, 2).T)


def calls(*places: tuple[int, int]) -> Calls:
    """Return calls in order of score."""
    return Calls(
        np.array([s for s, _ in places]), np.array([p for _, p in places]), np.arange(len(places), 0, -1, dtype=float)
    )


def test_the_last_bin_may_be_shorter() -> None:
    values = np.stack([np.ones(120), np.full(120, 2)])
    assert bin_sums(values).tolist() == [[50, 50, 20], [100, 100, 40]]
    assert bin_sums(values[:, :100], 100).tolist() == [[100], [200]]


def test_a_summit_is_found_once_by_the_best_call_near_it_on_its_strand() -> None:
    there = summits((0, 100), (0, 130), (1, 100))
    made = calls((0, 110), (0, 112), (0, 90), (1, 151), (1, 50), (0, 180))
    assert match(made, there, 50).tolist() == [True, True, False, False, True, False]
    assert match(made, there, 0).tolist() == [False] * 6
    assert match(calls((0, 115)), there, 15).tolist() == [True]  # both are as near: one of them


def test_calls_choose_in_order_of_score_also_where_most_are_far_from_any_summit() -> None:
    rng = np.random.default_rng(5)
    there = Summits(rng.integers(0, 2, 40), rng.integers(0, 5_000, 40))
    made = Calls(rng.integers(0, 2, 300), rng.integers(0, 5_000, 300), np.linspace(1, 0, 300))
    free = set(range(40))
    expected = []
    for strand, position, _ in zip(*made, strict=True):
        near = [
            (abs(p - position), p, i)
            for i, (s, p) in enumerate(zip(*there, strict=True))
            if i in free and s == strand and abs(p - position) <= 50
        ]
        free -= {min(near)[2]} if near else set()
        expected.append(bool(near))
    assert match(made, there, 50).tolist() == expected
    assert 20 < sum(expected) <= 40


def test_distances_to_the_nearest_summit_are_counted_downstream_on_the_strand() -> None:
    there = summits((0, 100), (0, 200), (1, 500))
    strand, position = np.array([0, 0, 0, 0, 1, 1]), np.array([90, 149, 150, 230, 490, 505])
    assert summit_distances(strand, position, there).tolist() == [-10, 49, 50, 30, 10, -5]
    assert np.isnan(summit_distances(np.array([1]), np.array([3]), summits((0, 3)))).all()


def test_regions_around_summits_are_read_in_the_direction_of_their_strand() -> None:
    values = np.stack([np.arange(100.0), np.arange(100.0) + 1_000])
    found = around(values, summits((0, 50), (1, 50), (0, 2), (1, 98)), flank=3)
    assert found.tolist() == [[47, 48, 49, 50, 51, 52], [1053, 1052, 1051, 1050, 1049, 1048]]


def test_a_summit_near_an_end_has_no_region() -> None:
    assert whole(summits((0, 2), (0, 3), (1, 96), (1, 97)), 100, flank=3).tolist() == [False, True, True, False]


def test_profiles_are_compared_by_shape() -> None:
    rng = np.random.default_rng(2)
    observed = rng.poisson(3, (5, 40)).astype(float)
    same = compare_profiles(observed * 7, observed)
    np.testing.assert_allclose(same.correlation, 1)
    np.testing.assert_allclose(same.jensen_shannon, 0, atol=1e-6)
    observed[:, 20:] = 0
    apart = compare_profiles(np.roll(observed, 20, axis=1), observed)  # nothing in common
    np.testing.assert_allclose(apart.jensen_shannon, 1)
    assert (apart.correlation < 0).all()
    nothing = compare_profiles(np.zeros((1, 4)), np.array([[4.0, 0, 0, 0]]))  # flat: mixture 5/8, 1/8, 1/8, 1/8
    assert nothing.correlation.tolist() == [0]
    expected = (np.log2(8 / 5) + np.log2(2 / 5) / 4 + 3 / 4) / 2
    np.testing.assert_allclose(nothing.jensen_shannon, np.sqrt(expected))


def test_regions_hold_their_summits_and_no_place_is_preferred() -> None:
    shift = draw_regions(20_000, 2, np.random.default_rng(1), flank=4)
    assert np.unique(shift).tolist() == [-3, -2, -1, 0, 1, 2, 3, 4]
    assert np.bincount((shift + 3).ravel()).min() > 4_700


@pytest.mark.parametrize("strand", [0, 1])
def test_the_named_base_is_the_best_of_each_region_wherever_the_region_lies(strand: int) -> None:
    there = Summits(np.full(3, strand), np.array([600, 1_200, 1_800]))
    score = np.zeros((2, 3_000))
    score[strand, there.position + (-6 if strand else 6)] = 1  # 6 bases downstream
    score[1 - strand, there.position] = 9  # the other strand has no say
    shift = np.array([[0, 100, -100], [-121, -122, 128]])
    # Regions reach to index 127 + shift of the summit: those moved upstream by 122 end before the best base, and their
    # first base is named, at -128 + shift.
    assert named_distances(score, there, shift).tolist() == [[6, 6, 6], [6, 250, 6]]
