"""Figures with weights: those of places repeated as often, and those of scikit-learn and NumPy."""

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

from capsight.evaluate.weighted import (
    Calibration,
    Ranking,
    at_recall,
    best_share,
    correlation,
    mean,
    median,
)

ONES = np.ones(7)


@pytest.mark.parametrize("seed", range(5))
def test_areas_are_those_of_scikit_learn_with_ties_and_weights(seed: int) -> None:
    rng = np.random.default_rng(seed)
    truth, weights = rng.random(400) < 0.1, rng.poisson(1, 400).astype(float)
    score = np.round(rng.normal(truth, 1), 1)  # many ties
    found = Ranking(score, truth).areas(weights)
    assert found.auprc == pytest.approx(average_precision_score(truth, score, sample_weight=weights))
    assert found.auroc == pytest.approx(roc_auc_score(truth, score, sample_weight=weights))


def test_areas_by_hand() -> None:
    score, truth = np.array([4.0, 3, 2, 1]), np.array([True, False, True, False])
    found = Ranking(score, truth).areas(np.ones(4))
    assert found == (pytest.approx((1 + 2 / 3) / 2), pytest.approx(3 / 4))
    assert Ranking(np.zeros(4), truth).areas(np.ones(4)) == (0.5, 0.5)
    assert np.isnan(Ranking(score, truth).areas(np.array([0.0, 1, 0, 1]))).all()


@pytest.mark.parametrize(
    ("recall", "precision", "false"), [(0.25, 1.0, 0.0), (0.5, 2 / 3, 1.0), (0.75, 3 / 6, 3.0), (1.0, np.nan, np.nan)]
)
def test_precision_and_false_calls_at_a_recall(recall: float, precision: float, false: float) -> None:
    hit = np.array([1, 0, 1, 0, 0, 1, 0], bool)
    np.testing.assert_allclose(at_recall(hit, ONES, 4, recall, 1_000_000), (precision, false))
    twice = at_recall(hit, 2 * ONES, 8, recall, 2_000_000)
    np.testing.assert_allclose(twice, (precision, false))


def test_a_call_that_is_drawn_again_counts_again() -> None:
    hit = np.array([1, 0, 1], bool)
    found = at_recall(hit, np.array([1.0, 3, 0]), 2, 0.5, 1_000_000)
    assert found == (1, 0)
    found = at_recall(hit, np.array([0.0, 3, 2]), 2, 0.5, 1_000_000)
    assert found == (pytest.approx(2 / 5), pytest.approx(3))


def test_the_share_of_the_best() -> None:
    true = np.array([1, 1, 0, 1, 0, 0, 0], bool)
    assert best_share(true, ONES, 4) == 3 / 4
    assert best_share(true, ONES, 99) == 3 / 7
    assert best_share(true, np.array([2.0, 0, 1, 0, 0, 0, 0]), 3) == 2 / 3
    assert np.isnan(best_share(true, 0 * ONES, 4))


@pytest.mark.parametrize("n", [1, 2, 7, 8])
def test_median_mean_and_correlation_are_those_of_repeated_places(n: int) -> None:
    rng = np.random.default_rng(n)
    for _ in range(20):
        x, y = rng.normal(size=(2, n))
        weights = rng.poisson(1.5, n)
        weights[0] += 1
        rows = np.repeat(np.arange(n), weights)
        assert median(x, weights.astype(float)) == pytest.approx(np.median(x[rows]))
        assert mean(x, weights.astype(float)) == pytest.approx(x[rows].mean())
        if len(set(rows)) > 1:
            assert correlation(x, y, weights.astype(float)) == pytest.approx(np.corrcoef(x[rows], y[rows])[0, 1])
    nothing = np.zeros(n)
    assert np.isnan([median(x, nothing), mean(x, nothing), correlation(x, y, nothing)]).all()
    assert np.isnan(correlation(np.ones(n), y, nothing + 1))


def test_calibration_has_bins_of_equal_number() -> None:
    probability = np.repeat([0.1, 0.9], 50)
    right = np.concatenate([np.arange(50) < 10, np.arange(50) < 45])
    made = Calibration(probability, right, bins=2)
    found = made.reliability()
    assert found.n.tolist() == [50, 50]
    np.testing.assert_allclose(found.probability, [0.1, 0.9])
    np.testing.assert_allclose(found.right, [0.2, 0.9])
    assert made.error(np.ones(100)) == pytest.approx(0.05)
    assert made.error(np.repeat([3.0, 1], 50)) == pytest.approx(0.075)
    assert Calibration(np.array([0.3]), np.array([True])).reliability().n.tolist() == [1]
    assert np.isnan(Calibration(np.zeros(0), np.zeros(0, bool)).error(np.zeros(0)))
