"""Similar windows: copies are found whatever was done to them, strangers are not, and repeats hide nothing."""

import re

import edlib
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from capsight.data.audit.similarity import (
    COVERAGE,
    FLIPPED,
    IDENTITY,
    MOST,
    QUERY,
    TARGET,
    best_stretch,
    chance_score,
    find_similar,
    known_span,
    plan_seeds,
)
from capsight.data.genome.alphabet import N_CODE, reverse_complement


def random_codes(seed, *shape):
    return np.random.default_rng(seed).integers(0, 4, shape, dtype=np.uint8)


def substitute(codes, share, rng):
    """Substitute exactly this share of the bases of each row."""
    out = codes.copy()
    for row in out:
        at = rng.choice(len(row), round(len(row) * share), replace=False)
        row[at] = (row[at] + rng.integers(1, 4, len(at))) % 4
    return out


def with_indels(codes, count, rng):
    """Insert or delete single bases, and keep the length."""
    rows = []
    for row in codes.tolist():
        for _ in range(count):
            at = int(rng.integers(1, len(row) - 1))
            if rng.random() < 0.5:
                del row[at]
            else:
                row.insert(at, int(rng.integers(4)))
        rows.append((row + rng.integers(0, 4, count).tolist())[: codes.shape[1]])
    return np.array(rows, dtype=np.uint8)


def shifted(codes, bases, rng):
    """Move windows along: their last `bases` become the first, strangers follow."""
    more = rng.integers(0, 4, (len(codes), codes.shape[1] - bases), dtype=np.uint8)
    return np.concatenate([codes[:, -bases:], more], axis=1)


def search(queries, targets, coverage=0.5):
    codes = np.concatenate([queries, targets])
    return find_similar(codes.__getitem__, np.arange(len(queries)), np.arange(len(queries), len(codes)), coverage)


CHANGES = {
    "same": lambda codes, rng: codes.copy(),
    "90 %": lambda codes, rng: substitute(codes, 0.1, rng),
    "indels": lambda codes, rng: with_indels(substitute(codes, 0.06, rng), 2, rng),
    "half": lambda codes, rng: shifted(codes, codes.shape[1] // 2, rng),
    "most, 90 %": lambda codes, rng: substitute(shifted(codes, codes.shape[1] * 7 // 8, rng), 0.1, rng),
}


@pytest.mark.pipeline
@pytest.mark.parametrize("length", [64, 100, 128, 512, 2048])
@pytest.mark.parametrize("change", CHANGES)
def test_every_copy_is_found_on_its_strand_and_no_stranger(length, change):
    rng = np.random.default_rng([length, list(CHANGES).index(change)])
    n = 20_000 // length
    targets = random_codes(1, 4 * n, length)
    source = rng.integers(0, len(targets), n)
    copies = CHANGES[change](targets[source], rng)
    flipped = rng.random(n) < 0.5
    copies[flipped] = reverse_complement(copies[flipped])
    pairs = search(np.concatenate([copies, random_codes(2, n, length)]), targets)
    assert pairs[QUERY].tolist() == list(range(n))
    assert (pairs[TARGET] - 2 * n).tolist() == source.tolist()
    assert pairs[FLIPPED].tolist() == flipped.tolist()
    if change != "same":
        assert pairs[IDENTITY].between(0.8, 1).all()
    else:
        assert (pairs[[IDENTITY, COVERAGE]] == 1).all(axis=None)


def test_copies_among_many_diverged_repeats_are_found():
    """Every target holds a copy of one family, 25 % diverged: words of the family are everywhere."""
    rng = np.random.default_rng(4)
    family = random_codes(5, 1, 256)
    targets = substitute(np.repeat(family, 3_000, axis=0), 0.25, rng)
    source = rng.integers(0, len(targets), 50)
    copies = substitute(targets[source], 0.1, rng)
    pairs = search(copies, targets)
    best = pairs.drop_duplicates(QUERY)
    assert (best[TARGET] - 50).tolist() == source.tolist()
    assert (best[IDENTITY] > 0.87).all()


def test_many_exact_copies_of_a_short_repeat_do_not_hide_a_longer_relative():
    """Hundreds of targets share 40 % of the query base for base: more words than its one 90 % copy has."""
    rng = np.random.default_rng(15)
    targets, query = random_codes(16, 600, 512), random_codes(17, 1, 512)
    targets[100:500, 20:220] = query[0, 150:350]
    targets[510] = substitute(query, 0.1, rng)[0]
    pairs = search(query, targets)
    assert pairs[TARGET].tolist() == [511]
    assert pairs[IDENTITY].tolist() == pytest.approx([0.9], abs=0.01)


def test_a_window_of_a_satellite_is_found_though_all_its_words_are_frequent():
    satellite = np.tile(random_codes(6, 1, 171), (1, 4))
    rng = np.random.default_rng(7)
    targets = np.stack([satellite[0, s : s + 256] for s in rng.integers(0, 171, 1_000)])
    pairs = search(substitute(targets[:20], 0.1, rng), np.concatenate([random_codes(8, 200, 256), targets[20:]]))
    assert pairs[QUERY].nunique() == 20
    assert pairs.groupby(QUERY).size().max() <= MOST


def test_copies_inside_strangers_are_measured_to_their_ends():
    rng = np.random.default_rng(9)
    targets, query = random_codes(10, 50, 512), random_codes(11, 2, 512)
    query[0, 100:400] = targets[7, 100:400]
    query[1, 300:] = reverse_complement(substitute(targets[9:10], 0.05, rng))[0, :212]
    pairs = search(query, targets, coverage=0.4)
    assert pairs[[QUERY, TARGET, FLIPPED]].to_numpy().tolist() == [[0, 9, False], [1, 11, True]]
    assert pairs[IDENTITY].tolist() == pytest.approx([1, 0.95], abs=0.03)
    assert pairs[COVERAGE].tolist() == pytest.approx([300 / 512, 212 / 512], abs=0.02)
    assert search(query, targets, coverage=0.5)[QUERY].tolist() == [0]


def test_unknown_bases_match_nothing_and_padding_does_not_count():
    targets = random_codes(12, 30, 200)
    query = np.full((3, 200), N_CODE, dtype=np.uint8)
    query[0, 50:150] = targets[3, 40:140]
    query[1] = targets[4]
    query[1, 20:150] = N_CODE
    targets[5, 20:150] = N_CODE
    query[2] = targets[5]
    pairs = search(query, targets)
    assert pairs[[QUERY, TARGET]].to_numpy().tolist() == [[0, 6]]
    assert pairs[[IDENTITY, COVERAGE]].to_numpy().tolist() == [[1, 1]]


def test_nothing_to_compare_gives_an_empty_table():
    codes = random_codes(13, 4, 64)
    none = np.zeros(0, dtype=np.int64)
    for queries, targets in ((none, np.arange(4)), (np.arange(4), none)):
        pairs = find_similar(codes.__getitem__, queries, targets, 0.5)
        assert len(pairs) == 0
        assert list(pairs) == [QUERY, TARGET, FLIPPED, IDENTITY, COVERAGE]


def test_blocks_of_targets_give_the_same_pairs(monkeypatch):
    rng = np.random.default_rng(14)
    targets = random_codes(15, 900, 128)
    queries = substitute(targets[rng.integers(0, 900, 300)], 0.15, rng)
    whole = search(queries, targets)
    monkeypatch.setattr("capsight.data.audit.similarity._TARGETS_AT_ONCE", 250)
    monkeypatch.setattr("capsight.data.audit.similarity._QUERIES_AT_ONCE", 70)
    assert search(queries, targets).equals(whole)
    assert len(whole) == 300


def literal_stretch(cigar):
    """Score every stretch of an alignment, column by column; return the best score."""
    columns = "".join(c * int(n) for n, c in re.findall(r"(\d+)([=XID])", cigar))
    gains = [1 if c == "=" else -2 for c in columns]
    return max([0, *(sum(gains[i:j]) for i in range(len(gains)) for j in range(i + 1, len(gains) + 1))])


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 12), st.sampled_from("=XID")), min_size=1, max_size=12))
def test_the_best_stretch_is_the_best_of_all(runs):
    cigar = "".join(f"{n}{operation}" for n, operation in runs)
    best = best_stretch(cigar)
    assert best.score == literal_stretch(cigar)
    assert best.score == best.matches - 2 * (best.columns - best.matches)
    assert best.bases <= best.columns


def test_the_best_stretch_by_hand():
    assert best_stretch("10=1X10=1I5D2=") == (18, 20, 21, 21)
    assert best_stretch("3X") == (0, 0, 0, 0)
    text = edlib.align("ACGTACGTAC", "ACGTTACGTAC", mode="HW", task="path")["cigar"]
    assert best_stretch(text) == (8, 10, 11, 10)


def test_where_known_bases_begin_and_end():
    codes = np.array([[4, 0, 4, 1, 4], [0, 1, 2, 3, 0], [4, 4, 4, 4, 4]], dtype=np.uint8)
    begin, end = known_span(codes)
    assert (end - begin).tolist() == [3, 5, 0]
    assert begin.tolist() == [1, 0, 0]


def test_words_grow_heavier_with_the_targets_and_rarer_with_the_length():
    weights = [len(plan_seeds(512, n).offsets[0]) for n in (100, 10_000, 400_000)]
    assert weights == sorted(set(weights))
    assert plan_seeds(64, 1_000).largest == np.iinfo(np.uint32).max
    assert plan_seeds(2_048, 1_000).largest < plan_seeds(512, 1_000).largest
    assert all(o[-1] < 16 for o in plan_seeds(16, 100).offsets)
    assert chance_score(64, 1_000, 5_000) < 64
