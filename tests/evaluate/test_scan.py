"""Metrics of a scan, against answers that were worked out by hand or by brute force."""

import numpy as np
import pytest

from capsight.evaluate.scan import (
    Summits,
    around,
    at_peaks,
    at_recall,
    bin_metrics,
    match,
    named_bases,
    reliability,
    share_with_tag,
)
from capsight.predict.calls import Calls


def summits(*places: tuple[int, int]) -> Summits:
    return Summits(*np.array(places, dtype=np.int64).reshape(-1, 2).T)


def calls(*places: tuple[int, int]) -> Calls:
    """Return calls in order of score."""
    return Calls(
        np.array([s for s, _ in places]), np.array([p for _, p in places]), np.arange(len(places), 0, -1, dtype=float)
    )


def test_bins_are_stranded_and_the_last_may_be_shorter() -> None:
    expected = np.zeros((2, 120))
    expected[0, 10], expected[1, 119], expected[0, 60] = 3, 2, 1
    found = bin_metrics(expected, summits((0, 49), (1, 101)))
    assert found.prevalence == pytest.approx(2 / 6)
    assert (found.auprc, found.auroc) == (1, 1)
    other = bin_metrics(expected, summits((1, 49), (0, 101)))  # the other strand: among the bins with nothing
    assert other.auroc == pytest.approx(0.5 / 4)  # as high as one of four, below the others
    with pytest.raises(ValueError, match="no bin"):
        bin_metrics(expected, summits())


def test_area_is_that_of_the_definition() -> None:
    rng = np.random.default_rng(1)
    expected = rng.random((2, 1_000))
    there = Summits(rng.integers(0, 2, 9), rng.integers(0, 1_000, 9))
    ranked = sorted(
        (
            (
                -expected[s, b * 50 : b * 50 + 50].sum(),
                any(s == t and p // 50 == b for t, p in zip(*there, strict=True)),
            )
            for s in (0, 1)
            for b in range(20)
        ),
    )
    right = np.cumsum([held for _, held in ranked])
    precision = right / np.arange(1, 41)
    area = sum(p for p, (_, held) in zip(precision, ranked, strict=True) if held) / right[-1]
    assert bin_metrics(expected, there).auprc == pytest.approx(area)


def test_a_summit_is_found_once_by_the_best_call_near_it_on_its_strand() -> None:
    there = summits((0, 100), (0, 130), (1, 100))
    made = calls((0, 110), (0, 112), (0, 90), (1, 151), (1, 50), (0, 180))
    assert match(made, there, 50).tolist() == [True, True, False, False, True, False]
    assert match(made, there, 0).tolist() == [False] * 6
    assert match(calls((0, 115)), there, 15).tolist() == [True]  # both are as near: one of them


@pytest.mark.parametrize(
    ("recall", "precision", "false"), [(0.25, 1.0, 0.0), (0.5, 2 / 3, 1.0), (0.75, 3 / 6, 3.0), (1.0, np.nan, np.nan)]
)
def test_precision_and_false_calls_at_a_recall(recall: float, precision: float, false: float) -> None:
    hit = np.array([1, 0, 1, 0, 0, 1, 0], bool)
    found = at_recall(hit, 4, recall, 1_000_000)
    np.testing.assert_allclose(found, (precision, false))


def test_calls_with_a_tag_nearby() -> None:
    counts = np.zeros((2, 200))
    counts[0, 100], counts[1, 0] = 2, 1
    made = calls((0, 50), (0, 151), (1, 50), (1, 199), (0, 100))
    assert share_with_tag(made, counts, 50, 4) == 2 / 4
    assert share_with_tag(made, counts, 50, 99) == 3 / 5
    assert share_with_tag(made, counts, 0, 5) == 1 / 5


def test_regions_around_summits_are_read_in_the_direction_of_their_strand() -> None:
    values = np.stack([np.arange(100.0), np.arange(100.0) + 1_000])
    found = around(values, summits((0, 50), (1, 50), (0, 2), (1, 98)), flank=3)
    assert found.tolist() == [[47, 48, 49, 50, 51, 52], [1053, 1052, 1051, 1050, 1049, 1048]]


def test_profiles_and_totals_at_peaks() -> None:
    rng = np.random.default_rng(2)
    there = Summits(np.arange(12) % 2, 300 * np.arange(1, 13))
    counts = np.zeros((2, 4_000))
    for i, (strand, position) in enumerate(zip(*there, strict=True)):
        counts[strand, position - 20 : position + 20] = rng.poisson(i + 1, 40)
    same = at_peaks(counts * 7, counts, there)
    assert same.profile_correlation == pytest.approx(1)
    assert same.jensen_shannon == pytest.approx(0, abs=1e-6)
    assert same.log_total_correlation == pytest.approx(1, abs=1e-3)
    assert same.n == 12
    apart = at_peaks(np.roll(counts, 60, axis=1), counts, there)  # nothing in common
    assert apart.jensen_shannon == pytest.approx(1)
    assert apart.profile_correlation < 0
    assert at_peaks(counts, counts, there, least=counts.sum() / 12).n < 12


def test_the_named_base_is_the_best_of_each_region_wherever_the_region_lies() -> None:
    there = Summits(np.array([0, 1] * 20), 600 * np.arange(1, 41))
    score = np.zeros((2, 26_000))
    score[there.strand, there.position + np.where(there.strand == 0, 6, -6)] = 1  # 6 bases downstream on both strands
    found = named_bases(score, there, seed=1)
    # A region that ends within 6 bases of its summit does not hold the best base; it then names its first.
    assert found.median_distance == 6
    assert 0.95 < found.within_10 <= 1
    assert found.exact < 0.05
    assert named_bases(score, there, seed=1) == found
    exact = np.zeros_like(score)
    exact[there.strand, there.position] = 1
    assert named_bases(exact, there, seed=2) == (0, 1, 1)


def test_reliability_has_bins_of_equal_number() -> None:
    probability = np.repeat([0.1, 0.9], 50)
    right = np.concatenate([np.arange(50) < 10, np.arange(50) < 45])
    found = reliability(probability, right, bins=2)
    assert found.n.tolist() == [50, 50]
    np.testing.assert_allclose(found.probability, [0.1, 0.9])
    np.testing.assert_allclose(found.right, [0.2, 0.9])
    assert found.error == pytest.approx(0.05)
    assert len(reliability(np.array([0.3]), np.array([True])).n) == 1
