"""Logistic regression with weights of at least 0."""

import numpy as np
import pytest
from scipy.special import expit
from sklearn.linear_model import LogisticRegression

from capsight.stats.logistic import fit_nonnegative


def test_where_free_weights_are_positive_it_is_scikit_learns() -> None:
    rng = np.random.default_rng(1)
    features = rng.normal(size=(2000, 2))
    labels = rng.random(2000) < expit(-1 + features @ [2.0, 0.5])
    free = LogisticRegression(C=1e3, tol=1e-8).fit(features, labels)
    intercept, weights = fit_nonnegative(features, labels)
    assert intercept == pytest.approx(free.intercept_[0], abs=1e-3)
    assert weights == pytest.approx(free.coef_[0], abs=1e-3)


def test_of_two_features_that_say_the_same_neither_has_a_negative_weight() -> None:
    rng = np.random.default_rng(2)
    signal = rng.normal(size=300)
    features = np.stack([signal, signal + rng.normal(scale=0.02, size=300)], axis=1)
    labels = rng.random(300) < expit(2 * signal + 20 * (features[:, 0] - features[:, 1]))
    free = LogisticRegression(C=1e3).fit(features, labels).coef_[0]
    assert free.min() < -5  # what the bound is there for
    weights = fit_nonnegative(features, labels)[1]
    assert weights.min() >= 0
    assert weights.sum() == pytest.approx(2, abs=0.5)
