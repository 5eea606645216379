"""Whether the octamers that are called can be believed, and the paper's tests."""

import numpy as np
import pytest
from scipy import stats

from capsight.motifs.kmers import KMER_COLUMNS, Counted, aggregate_tests, compare_kmers, count_kmers
from capsight.motifs.seqlets import find_seqlets
from capsight.simulate import ELEMENTS

from .conftest import Planted, dense, random_codes


def test_aggregate_tests_are_the_papers_three() -> None:
    positive = np.arange(40) < 20
    inside = np.zeros((40, 80), dtype=bool)
    inside[:, 20:50] = True
    counted = count_kmers(random_codes(40, 80), inside, 4)
    table = aggregate_tests(counted, positive)
    assert len(table) == 3
    a, b = (dense(counted.seqlets)[side].sum(axis=0) for side in (positive, ~positive))
    occurs = (a > 0) | (b > 0)
    assert table["p"].iloc[2] == pytest.approx(stats.mannwhitneyu(a[occurs], b[occurs]).pvalue)


@pytest.fixture(scope="module")
def octamers(planted: Planted) -> Counted:
    data = planted.attributions
    return count_kmers(data.codes, find_seqlets(data.methods["ig"], 3, 10, 10, 7).mask(), 8)


def shared(kmer: str) -> bool:
    """Tell whether a k-mer, laid along some element, has five bases that the element has there, too.

    That is: in at least a quarter of its copies.
    """
    for pwm, _, _ in ELEMENTS.values():
        for first in range(5 - len(kmer), len(pwm) - 4):
            places = [(first + i, "ACGT".index(base)) for i, base in enumerate(kmer) if 0 <= first + i < len(pwm)]
            if sum(pwm[place, base] >= 0.25 for place, base in places) >= 5:
                return True
    return False


def test_what_is_called_is_true(planted: Planted, octamers: Counted) -> None:
    table = compare_kmers(octamers, planted.attributions.positive, 8)
    assert list(table.columns) == list(KMER_COLUMNS)
    called = table[table["q"] < 0.05]
    assert len(called) > 50
    assert np.mean([not shared(kmer) for kmer in called["kmer"]]) <= 0.08
    assert "TATAAAAG" in set(called["kmer"])
    best = called.set_index("kmer").loc["TATAAAAG"]
    assert best["enriched_in"] == "positives"
    assert best["log2_odds"] > 1
    assert best["positives"] <= best["positive_occurrences"] <= best["positive_window_occurrences"]


@pytest.mark.parametrize("share", [0.5, 0.1])
def test_nothing_is_called_where_labels_are_permuted(planted: Planted, octamers: Counted, share: float) -> None:
    """Unequal sides are harder: the normal approximation of the rank-sum test fails there."""
    rng = np.random.default_rng(8)
    n = len(planted.attributions.score)
    runs = [compare_kmers(octamers, rng.permutation(np.arange(n) < share * n), 8) for _ in range(20)]
    assert sum((run["q"] < 0.05).any() for run in runs) <= 2
