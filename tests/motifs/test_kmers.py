"""k-mer counts against naive counting, tests against SciPy's, and whether what is called can be believed."""

import time

import numpy as np
import pytest
from scipy import stats

from capsight.data.words import canonical, number, spell, words_of
from capsight.motifs.counts import Counts, count_words, starts_inside
from capsight.motifs.kmers import KMER_COLUMNS, Counted, aggregate_tests, compare_kmers, count_kmers
from capsight.motifs.seqlets import find_seqlets
from capsight.motifs.word_tests import (
    concentration,
    fisher_exact,
    mann_whitney,
    odds,
    q_values,
    rank_biserial,
    van_elteren,
)
from capsight.simulate import ELEMENTS

from .conftest import Planted

COMPLEMENT = str.maketrans("ACGT", "TGCA")


def random_codes(n: int, length: int, bases: int = 4) -> np.ndarray:
    return np.random.default_rng(1).integers(0, bases, (n, length), dtype=np.uint8)


def dense(counts: Counts) -> np.ndarray:
    result = np.zeros((counts.sequences, counts.words), dtype=int)
    result[counts.sequence, counts.word] = counts.count
    return result


def test_counts_agree_with_counting_strings() -> None:
    codes = random_codes(30, 60, bases=5)
    inside = np.random.default_rng(2).random(codes.shape) < 0.9
    counts = dense(count_words(words_of(codes, 3), 64, starts_inside(inside, 3)))
    for row, text in enumerate("".join("ACGTN"[c] for c in window) for window in codes):
        for word, kmer in enumerate(spell(np.arange(64), 3)):
            starts = [i for i in range(58) if text[i : i + 3] == kmer and inside[row, i : i + 3].all()]
            assert counts[row, word] == len(starts)


def test_reverse_complements_merge() -> None:
    codes = random_codes(20, 50)
    merged = dense(count_words(words_of(codes, 4, merge=True), 256))
    apart = dense(count_words(words_of(codes, 4), 256))
    kmers = spell(np.arange(256), 4)
    for word, kmer in enumerate(kmers):
        other = kmers.index(kmer[::-1].translate(COMPLEMENT))
        expected = apart[:, word] + (apart[:, other] if other != word else 0)
        assert (merged[:, word] == (expected if word <= other else 0)).all(), kmer
    assert len(canonical(4)) == len({min(k, k[::-1].translate(COMPLEMENT)) for k in kmers}) == 136
    assert len(canonical(5)) == 512
    assert [number(kmer) for kmer in kmers] == list(range(256))


@pytest.mark.parametrize("bases", [2, 4])
def test_mann_whitney_is_scipys(bases: int) -> None:
    codes = random_codes(90, 40, bases)
    positive = np.random.default_rng(3).random(90) < 0.3
    counts = count_words(words_of(codes, 3), 64)
    table = dense(counts)
    ours, effect = mann_whitney(counts, positive), rank_biserial(counts, positive)
    for word in range(64):
        x, y = table[positive, word], table[~positive, word]
        if table[:, word].any():
            u, p = stats.mannwhitneyu(x, y, method="asymptotic")
            assert ours[word] == pytest.approx(p, rel=1e-9)
            assert effect[word] == pytest.approx(2 * u / (len(x) * len(y)) - 1)
        else:
            assert ours[word] == 1


def test_van_elteren_with_one_stratum_is_the_rank_sum_test() -> None:
    counts = count_words(words_of(random_codes(80, 40), 2), 16)
    positive = np.arange(80) < 30
    table = dense(counts)
    ours = van_elteren(counts, positive, np.zeros(80, dtype=int))
    for word in range(16):
        x, y = table[positive, word], table[~positive, word]
        expected = stats.mannwhitneyu(x, y, method="asymptotic", use_continuity=False)
        assert ours[word] == pytest.approx(expected.pvalue, rel=1e-9)


def test_van_elteren_is_blind_to_a_difference_between_strata() -> None:
    """Positives are mostly of the stratum that is rich in the word, and have no more of it than negatives there."""
    rng = np.random.default_rng(0)
    strata = np.repeat([0, 1], 500)
    positive = rng.random(1_000) < np.where(strata, 0.8, 0.2)
    rows = np.flatnonzero(rng.random(1_000) < np.where(strata, 0.5, 0.05))
    counts = Counts(np.zeros(len(rows), dtype=int), rows, np.ones(len(rows), dtype=int), 1, 1_000)
    assert mann_whitney(counts, positive)[0] < 1e-15
    assert van_elteren(counts, positive, strata)[0] > 0.01


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


def test_q_values_are_benjamini_and_hochbergs_where_every_p_is_possible() -> None:
    p = np.random.default_rng(5).random(500) ** 2
    np.testing.assert_allclose(q_values(p, np.zeros(500)), stats.false_discovery_control(p))


def test_tests_that_cannot_reach_a_p_value_do_not_count_against_it() -> None:
    p = np.array([0.01, *np.ones(99)])
    assert q_values(p, np.zeros(100))[0] == pytest.approx(1)
    assert q_values(p, np.array([0.001, 0.002, *np.full(98, 0.3)]))[0] == pytest.approx(0.02)


def test_odds() -> None:
    found = odds(np.array([3, 0]), 10, np.array([1, 0]), 20)
    assert found[0] == pytest.approx(np.log2((3.5 / 7.5) / (1.5 / 19.5)))
    assert found[1] == pytest.approx(np.log2((0.5 / 10.5) / (0.5 / 20.5)))


def test_concentration_is_no_smaller_than_chance_where_peaks_are_random() -> None:
    codes = random_codes(400, 200)
    scores = np.random.default_rng(7).random((400, 200)).astype(np.float32)
    counted = count_kmers(codes, find_seqlets(scores, 2, 10, 10).mask(), 3)
    p = concentration(counted.seqlets, counted.windows, counted.share)
    assert (p < 0.1).mean() < 0.2
    assert p.min() > 1e-4


def test_concentration_sees_a_word_that_only_seqlets_have() -> None:
    codes = np.zeros((50, 100), dtype=np.uint8)
    codes[:, 50:54] = 2
    inside = np.zeros(codes.shape, dtype=bool)
    inside[:, 45:60] = True
    counted = count_kmers(codes, inside, 4)
    p = concentration(counted.seqlets, counted.windows, counted.share)
    assert p[number("GGGG")] == pytest.approx((12 / 97) ** 50)
    assert p[number("AAAA")] > 0.01


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


def test_twenty_thousand_windows_take_seconds() -> None:
    rng = np.random.default_rng(9)
    codes = rng.integers(0, 4, (20_000, 512), dtype=np.uint8)
    positive = rng.random(20_000) < 0.5
    inside = np.zeros(codes.shape, dtype=bool)
    inside[:, 200:263] = True
    started = time.process_time()
    compare_kmers(count_kmers(codes, inside, 8), positive, 8)
    assert time.process_time() - started < 60
