"""Tests of k-mers against SciPy's."""

import numpy as np
import pytest
from scipy import stats

from capsight.data.sequence.kmers import encode_kmers, string_to_kmer
from capsight.motifs.counts import Counts, count_encoded
from capsight.motifs.kmer_tests import (
    mann_whitney,
    rank_biserial,
    seqlet_enrichment_p,
    van_elteren,
)
from capsight.motifs.kmers import count_kmers
from capsight.motifs.seqlets import find_seqlets

from .conftest import dense, random_codes


@pytest.mark.parametrize("bases", [2, 4])
def test_mann_whitney_is_scipys(bases: int) -> None:
    codes = random_codes(90, 40, bases)
    positive = np.random.default_rng(3).random(90) < 0.3
    counts = count_encoded(encode_kmers(codes, 3), 64)
    table = dense(counts)
    ours, effect = mann_whitney(counts, positive), rank_biserial(counts, positive)
    for kmer in range(64):
        x, y = table[positive, kmer], table[~positive, kmer]
        if table[:, kmer].any():
            u, p = stats.mannwhitneyu(x, y, method="asymptotic")
            assert ours[kmer] == pytest.approx(p, rel=1e-9)
            assert effect[kmer] == pytest.approx(2 * u / (len(x) * len(y)) - 1)
        else:
            assert ours[kmer] == 1


def test_van_elteren_with_one_stratum_is_the_rank_sum_test() -> None:
    counts = count_encoded(encode_kmers(random_codes(80, 40), 2), 16)
    positive = np.arange(80) < 30
    table = dense(counts)
    ours = van_elteren(counts, positive, np.zeros(80, dtype=int))
    for kmer in range(16):
        x, y = table[positive, kmer], table[~positive, kmer]
        expected = stats.mannwhitneyu(x, y, method="asymptotic", use_continuity=False)
        assert ours[kmer] == pytest.approx(expected.pvalue, rel=1e-9)


def test_van_elteren_is_blind_to_a_difference_between_strata() -> None:
    """Positives are mostly of the stratum that is rich in the k-mer, and have no more of it than negatives there."""
    rng = np.random.default_rng(0)
    strata = np.repeat([0, 1], 500)
    positive = rng.random(1_000) < np.where(strata, 0.8, 0.2)
    rows = np.flatnonzero(rng.random(1_000) < np.where(strata, 0.5, 0.05))
    counts = Counts(np.zeros(len(rows), dtype=int), rows, np.ones(len(rows), dtype=int), 1, 1_000)
    assert mann_whitney(counts, positive)[0] < 1e-15
    assert van_elteren(counts, positive, strata)[0] > 0.01


def test_concentration_is_no_smaller_than_chance_where_peaks_are_random() -> None:
    codes = random_codes(400, 200)
    scores = np.random.default_rng(7).random((400, 200)).astype(np.float32)
    counted = count_kmers(codes, find_seqlets(scores, 2, 10, 10).mask(), 3)
    p = seqlet_enrichment_p(counted.seqlets, counted.windows, counted.share)
    assert (p < 0.1).mean() < 0.2
    assert p.min() > 1e-4


def test_concentration_sees_a_word_that_only_seqlets_have() -> None:
    codes = np.zeros((50, 100), dtype=np.uint8)
    codes[:, 50:54] = 2
    inside = np.zeros(codes.shape, dtype=bool)
    inside[:, 45:60] = True
    counted = count_kmers(codes, inside, 4)
    p = seqlet_enrichment_p(counted.seqlets, counted.windows, counted.share)
    assert p[string_to_kmer("GGGG")] == pytest.approx((12 / 97) ** 50)
    assert p[string_to_kmer("AAAA")] > 0.01
