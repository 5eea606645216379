"""Fisher's tests of many tables against SciPy's of one."""

import numpy as np
import pytest
from scipy import stats

from capsight.stats.fisher import fisher_exact, fisher_greater, odds_ratio


def test_fisher_is_scipys() -> None:
    rng = np.random.default_rng(4)
    positives, n = 37, 120
    a, b = rng.integers(0, 38, 200), rng.integers(0, 84, 200)
    result = fisher_exact(a, a + b, positives, n)
    for i in range(200):
        table = [[a[i], positives - a[i]], [b[i], n - positives - b[i]]]
        assert result.p[i] == pytest.approx(stats.fisher_exact(table).pvalue, rel=1e-8)
        margins = max(0, a[i] + b[i] + positives - n), min(a[i] + b[i], positives)
        least = min(stats.hypergeom.pmf(x, n, positives, a[i] + b[i]) for x in margins)
        assert least <= result.least[i] * (1 + 1e-8) <= 2.001 * least


def test_one_sided_is_scipys() -> None:
    a, b, positives, negatives = np.array([5, 0, 8]), np.array([1, 0, 8]), 8, 8
    found = fisher_greater(a, a + b, positives, positives + negatives)
    for p, x, y in zip(found, a, b, strict=True):
        table = [[x, positives - x], [y, negatives - y]]
        assert p == pytest.approx(stats.fisher_exact(table, alternative="greater").pvalue)


def test_odds() -> None:
    found = odds_ratio(np.array([3, 0]), 10, np.array([1, 0]), 20)
    assert found[0] == pytest.approx((3.5 / 7.5) / (1.5 / 19.5))
    assert found[1] == pytest.approx((0.5 / 10.5) / (0.5 / 20.5))
