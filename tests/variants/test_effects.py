"""`effects`: what is read from two alleles, on toy answers whose effect is known and on a network of random weights."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from capsight.data.genome.alphabet import encode
from capsight.model.track_folder import load_track
from capsight.predict.alleles import Allele, AlleleScorer, Change
from capsight.predict.track import REACH, TrackScorer
from capsight.variants.effects import LEAST_TAGS, NO_EFFECT, UPSTREAM, Effect, Move, Summary, aligned

from ..conftest import random_dna

DISTANCE = 30
FLANK = DISTANCE + REACH
SUMMARY = Summary(None, 0.2, 20, DISTANCE)
CODES = encode(random_dna(4000, 3))


def toy(middle: int, peaks: dict[tuple[int, int], float]) -> Allele:
    """Return an allele with tags at a few bases, counted from the change, and as many summits."""
    tags = np.zeros((2, 2 * FLANK + middle), np.float32)
    for (strand, column), value in peaks.items():
        tags[strand, FLANK + column] = value
    return Allele(tags, tags / 10)


def effect(change: Change, reference: Allele, alternative: Allele, length: int = 10_000) -> Effect:
    (found,) = SUMMARY.effects([change], [(reference, alternative)], length)
    return found


def change(start: int = 1000, end: int = 1001, alternative: Sequence[int] = (0,)) -> Change:
    return Change(start, end, np.array(alternative, np.uint8))


def test_a_peak_that_disappears_is_a_loss_and_the_tss_that_moves_most() -> None:
    found = effect(change(), toy(1, {(0, 5): 20, (1, -8): 3}), toy(1, {(1, -8): 3}))
    assert found.log2 == (pytest.approx(np.log2(LEAST_TAGS / (20 + LEAST_TAGS))), 0)
    assert found.gain is None
    assert found.loss == Move(pytest.approx(-(1 - np.exp(-2)), rel=1e-6), 995, 0)  # within 10 of it: the leftmost
    assert found.tss == Move(pytest.approx(np.log2(LEAST_TAGS / (20 + LEAST_TAGS))), 1005, 0)


def test_a_peak_that_appears_is_a_gain_on_its_strand() -> None:
    found = effect(change(), toy(1, {}), toy(1, {(1, -20): 20}))
    assert found.log2[0] == 0
    assert found.log2[1] == pytest.approx(np.log2(20 + LEAST_TAGS))
    assert found.loss is None
    assert found.gain == Move(pytest.approx(1 - np.exp(-2), rel=1e-6), 970, 1)
    assert found.tss == Move(pytest.approx(found.log2[1]), 980, 1)


def test_only_bases_within_the_distance_count() -> None:
    for column in (-DISTANCE - 1, DISTANCE + 1):
        far = effect(change(), toy(1, {}), toy(1, {(0, column): 20}))
        assert far.log2 == (0, 0)
        assert far.tss is None
    for column in (-DISTANCE, DISTANCE):
        near = effect(change(), toy(1, {}), toy(1, {(0, column): 20}))
        assert near.log2[0] == pytest.approx(np.log2(20 + LEAST_TAGS))
        assert near.tss is not None
        assert near.tss.position == 1000 + column


def test_bases_beyond_the_ends_of_the_sequence_do_not_count() -> None:
    before = effect(change(5, 6), toy(1, {}), toy(1, {(0, -6): 20}))
    behind = effect(change(994, 995), toy(1, {}), toy(1, {(0, 6): 20}), 1000)
    assert before.log2 == behind.log2 == (0, 0)
    assert before.tss is behind.tss is None
    assert before.gain is not None
    assert before.gain.position == 0  # the network answers for the bases around it all the same
    inside = effect(change(5, 6), toy(1, {}), toy(1, {(0, -5): 20}))
    assert inside.tss is not None
    assert inside.tss.position == 0


@pytest.mark.parametrize(
    ("reference", "alternative", "expected"),
    [
        (1, 1, [[0, 1, 2, 3, 4], [0, 1, 2, 3, 4]]),
        (0, 2, [[0, 1, 1, 1, 2, 3], [0, 1, 2, 3, 4, 5]]),
        (2, 0, [[0, 1, 2, 3, 4, 5], [0, 1, 1, 1, 2, 3]]),
        (1, 3, [[0, 1, 2, 2, 2, 3, 4], [0, 1, 2, 3, 4, 5, 6]]),
        (0, 0, [[0, 1, 2, 3], [0, 1, 2, 3]]),
    ],
)
def test_columns_of_both_alleles_are_aligned(reference: int, alternative: int, expected: list[list[int]]) -> None:
    assert aligned(2, reference, alternative).tolist() == expected


@pytest.mark.parametrize("n", [1, 3, 40])
def test_a_base_behind_an_indel_keeps_its_number(n: int) -> None:
    inserted = effect(change(1000, 1000, [0] * n), toy(0, {(0, 3): 20}), toy(n, {(0, n + 3): 20}))
    deleted = effect(change(1000, 1000 + n, []), toy(n, {(0, n + 3): 20}), toy(0, {(0, 3): 20}))
    assert inserted.log2 == deleted.log2 == (0, 0)
    assert inserted.tss is deleted.tss is None


def test_an_inserted_base_has_the_position_of_the_base_before() -> None:
    found = effect(change(1000, 1000, [0] * 40), toy(0, {}), toy(40, {(0, 20): 20}))
    assert found.tss == Move(pytest.approx(found.log2[0]), 999, 0)


@pytest.mark.parametrize("strand", [0, 1])
@pytest.mark.parametrize(("start", "at"), [(0, 0), (1, 0), (999, 998), (1000, 999)])
def test_inserted_bases_count_at_the_ends_of_a_sequence_too(start: int, at: int, strand: int) -> None:
    inserted = toy(9, {(strand, 4): 20})
    found = effect(change(start, start, [0] * 9), toy(0, {}), inserted, 1000)
    assert found.log2[strand] == pytest.approx(np.log2(21))
    assert found.tss == Move(pytest.approx(found.log2[strand]), at, strand)


def test_a_deleted_tss_is_one_that_moves() -> None:
    found = effect(change(1000, 1040, []), toy(40, {(0, 20): 20}), toy(0, {}))
    assert found.tss == Move(pytest.approx(found.log2[0]), 1020, 0)
    assert found.loss is not None
    assert 1010 <= found.loss.position <= 1030


def test_what_is_below_the_threshold_is_no_tss() -> None:
    assert effect(change(), toy(1, {}), toy(1, {(0, 5): 2})).tss is None  # probability 0.18
    assert effect(change(), toy(1, {}), toy(1, {(0, 5): 3})).tss is not None


def test_reference_as_alternative_changes_exactly_nothing(tiny_track: Path) -> None:
    network, card = load_track(tiny_track)
    summary = Summary(card.calibration, 0.0, 20, DISTANCE)
    changes = [Change(at, at + n, CODES[at : at + n]) for at, n in ((0, 1), (17, 3), (2000, 0), (2000, 7), (3999, 1))]
    pairs = list(AlleleScorer(TrackScorer(network, card.calibration), DISTANCE).alleles(CODES, changes))
    assert summary.effects(changes, pairs, len(CODES)) == [NO_EFFECT] * len(changes)


def test_effects_are_those_of_whole_sequences(tiny_track: Path) -> None:
    network, card = load_track(tiny_track)
    scorer = TrackScorer(network, card.calibration)
    distance = 130
    summary = Summary(card.calibration, 0.3, 50, distance)
    changes = [
        change(1500, 1501, [(int(CODES[1500]) + 1) % 4]), change(1600, 1600, [0, 3, 0]), change(1700, 1704, []),
        change(1800, 1802, [1, 2]), change(40, 41, [2]),
    ]  # fmt: skip
    found = summary.effects(changes, list(AlleleScorer(scorer, distance).alleles(CODES, changes)), len(CODES))
    whole = scorer.score(CODES[None])
    seen: list[Move] = []
    for one, (start, end, alternative) in zip(found, changes, strict=True):
        other = scorer.score(np.concatenate([CODES[:start], alternative, CODES[end:]])[None])
        sums = [
            (
                tracks.expected_tags[0, 0, max(start - UPSTREAM, 0) : start + bases + distance].sum() + LEAST_TAGS,
                tracks.expected_tags[0, 1, max(start - distance, 0) : start + bases + UPSTREAM].sum() + LEAST_TAGS,
            )
            for tracks, bases in ((whole, end - start), (other, len(alternative)))
        ]
        np.testing.assert_allclose(one.log2, np.log2(np.divide(sums[1], sums[0])), atol=1e-4)
        if end - start == len(alternative):
            difference = other.probability[0] - whole.probability[0]
            for move, value in ((one.gain, difference.max()), (one.loss, difference.min())):
                assert (move.change if move else 0) == pytest.approx(value, abs=1e-5)
                if move:
                    assert difference[move.strand, move.position] == pytest.approx(value, abs=1e-5)
                    seen.append(move)
    assert len(seen) >= 4


def test_changes_together_are_those_one_by_one(tiny_track: Path) -> None:
    network, card = load_track(tiny_track)
    summary = Summary(card.calibration, 0.3, 50, DISTANCE)
    changes = [change(1500 + i, 1500 + i + i % 3, [i % 4] * (i % 2 + 1)) for i in range(12)]
    pairs = list(AlleleScorer(TrackScorer(network), DISTANCE).alleles(CODES, changes))
    together = summary.effects(changes, pairs, len(CODES))
    single = [summary.effects([c], [p], len(CODES))[0] for c, p in zip(changes, pairs, strict=True)]
    assert together == single
