"""q-values against SciPy's, of all tests, of the smallest p-values alone, and of tests that cannot be sure."""

import numpy as np
import pytest
from scipy import stats
from scipy.stats import false_discovery_control

from capsight.stats.multiple_testing import q_values


def test_q_values_are_scipys() -> None:
    p = np.random.default_rng(2).random(50) ** 3
    np.testing.assert_array_equal(q_values(p), false_discovery_control(p))


def test_q_values_are_benjamini_and_hochbergs_where_every_p_is_possible() -> None:
    p = np.random.default_rng(5).random(500) ** 2
    np.testing.assert_allclose(q_values(p, least=np.zeros(500)), stats.false_discovery_control(p))


def test_tests_that_cannot_reach_a_p_value_do_not_count_against_it() -> None:
    p = np.array([0.01, *np.ones(99)])
    assert q_values(p, least=np.zeros(100))[0] == pytest.approx(1)
    assert q_values(p, least=np.array([0.001, 0.002, *np.full(98, 0.3)]))[0] == pytest.approx(0.02)


def test_q_values_count_every_test() -> None:
    rng = np.random.default_rng(0)
    p = np.sort(np.concatenate([rng.uniform(size=5000), rng.uniform(0, 1e-5, 40)]))
    expected = false_discovery_control(p)
    known_ones = p <= 0.01
    mine = q_values(p[known_ones], tests=len(p))
    assert (mine >= expected[known_ones] - 1e-12).all()  # never too small
    np.testing.assert_allclose(mine[:30], expected[:30])
    assert (np.diff(mine) >= 0).all()
    assert len(q_values(np.zeros(0), tests=10)) == 0


@pytest.mark.parametrize("tests", [3, 10**12])
def test_q_values_are_at_most_one_and_never_below_p(tests: int) -> None:
    p = np.array([1e-12, 1e-3, 0.9])
    q = q_values(p, tests=tests)
    assert ((q >= p) & (q <= 1)).all()
