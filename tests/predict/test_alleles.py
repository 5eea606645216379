"""Both alleles of a change: those of the sequences read whole, in any company, and the same where nothing changes."""

from collections.abc import Sequence

import numpy as np
import pytest
import torch

from capsight.api import load
from capsight.config.track import TrackConfig
from capsight.data.genome.alphabet import SOFT_MASK
from capsight.model.track import TrackModel, TrackNetwork
from capsight.predict import alleles
from capsight.predict.alleles import Allele, AlleleScorer, Change
from capsight.predict.track import REACH, Codes, TrackScorer

#: Shapes in which cones are cut by the outputs, have holes, skip the averages, or are wider than them.
SHAPES = {
    "usual": TrackConfig(width=16, dilations=(1, 2, 4, 8, 16), average_radius=32),
    "holes": TrackConfig(width=8, first_kernel=1, dilations=(7, 20), average_radius=4),
    "wide head": TrackConfig(width=8, first_kernel=5, dilations=(2, 40), head_kernel=31, average_radius=8),
    "no average": TrackConfig(width=8, first_kernel=3, dilations=(3, 30, 90), average_radius=0),
    "k-mers": TrackConfig(
        width=8, first_kernel=3, dilations=(2,), average_radius=0, kmer=4, stretch=32, stretches=(3, 1)
    ),
    "bare": TrackConfig(width=8, first_kernel=3, dilations=(), average_radius=0, head_kernel=1),
}


def make(config: TrackConfig, members: int = 1) -> TrackModel:
    torch.manual_seed(5)
    model = TrackModel(config, members)
    with torch.no_grad():
        for weights in model.parameters():
            weights += 0.05 * torch.randn_like(weights)
    return model


def draw(length: int, seed: int = 0) -> Codes:
    rng = np.random.default_rng(seed)
    codes = rng.integers(0, 4, length, dtype=np.uint8)
    codes[rng.random(length) < 0.02] = 4
    return codes


def change(start: int, end: int, *alternative: int) -> Change:
    return Change(start, end, np.array(alternative, np.uint8))


def snv(codes: Codes, position: int, step: int = 1) -> Change:
    return change(position, position + 1, ((int(codes[position]) & 7) + step) % 4)


def edited(codes: Codes, made: Change) -> Codes:
    return np.concatenate([codes[: made.start], made.alternative, codes[made.end :]])


def whole(scorer: AlleleScorer, codes: Codes, start: int, length: int) -> Allele:
    """Read a sequence as a scan does."""
    counts = scorer.scorer.counts(codes[None], start - scorer.flank, start + length + scorer.flank)
    return Allele(counts.tags[0], counts.summits[0])


def check(scorer: AlleleScorer, codes: Codes, changes: Sequence[Change], rtol: float = 1e-5) -> None:
    found = list(scorer.alleles(codes, changes))
    assert len(found) == len(changes)
    for made, (reference, alternative) in zip(changes, found, strict=True):
        for mine, theirs in (
            (reference, whole(scorer, codes, made.start, made.end - made.start)),
            (alternative, whole(scorer, edited(codes, made), made.start, len(made.alternative))),
        ):
            np.testing.assert_allclose(mine.tags, theirs.tags, rtol=rtol)
            np.testing.assert_allclose(mine.summits, theirs.summits, rtol=rtol)


CHANGES = (
    change(400, 401, 4), change(401, 404, 0, 1, 2), change(405, 405, 3), change(406, 406, 0, 1, 2, 3, 0),
    change(407, 408), change(380, 420), change(410, 413, 1), change(300, 302, 3, 3, 3, 3), change(0, 1, 2),
    change(0, 1, 4), change(0, 0, 1), change(0, 5), change(799, 800, 0), change(799, 800, 4), change(800, 800, 2, 2),
    change(790, 800), change(0, 800), change(3, 790, 0, 1), change(500, 500, *(np.arange(300) % 4)),
)  # fmt: skip


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("distance", [10, 150])
def test_alleles_are_those_of_the_edited_sequence(shape: str, distance: int) -> None:
    codes = draw(800)
    check(
        AlleleScorer(TrackScorer(make(SHAPES[shape])), distance), codes, [*CHANGES, snv(codes, 405), snv(codes, 2, 3)]
    )


def test_members_are_averaged() -> None:
    check(AlleleScorer(TrackScorer(make(SHAPES["usual"], members=3)), 100), draw(800, 1), CHANGES)


def test_the_soft_mask_is_not_read() -> None:
    codes = draw(800, 2)
    masked = codes | np.where(np.arange(800) % 3, SOFT_MASK, 0).astype(np.uint8)
    scorer = AlleleScorer(TrackScorer(make(SHAPES["usual"])), 100)
    lower = [Change(start, end, bases | np.uint8(SOFT_MASK)) for start, end, bases in CHANGES]
    for plain, other in zip(scorer.alleles(codes, CHANGES), scorer.alleles(masked, lower), strict=True):
        np.testing.assert_array_equal(np.stack(plain[1]), np.stack(other[1]))


@pytest.mark.pipeline
def test_the_shipped_model_in_company_and_alone() -> None:
    codes = draw(6000, 3)
    codes[3000:3050] = 4
    scorer = AlleleScorer(TrackScorer(load("yeast", device="cpu")._scorer.network))
    changes = [snv(codes, at, step) for at in range(2000, 2004) for step in (1, 2, 3)]
    changes += [change(2999, 3000), change(3049, 3051, 1, 2), change(2500, 2500, 0, 3, 0), change(5999, 6000, 1)]
    check(scorer, codes, changes, rtol=5e-5)  # each of the two ways is as far from double precision
    together = list(scorer.alleles(codes, changes))
    for made, (_, alternative) in zip(changes, together, strict=True):
        (alone,) = scorer.alleles(codes, [made])
        np.testing.assert_allclose(alone[1].tags, alternative.tags, rtol=5e-5)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_an_alternative_that_is_the_reference_is_exactly_the_same(precision: str) -> None:
    codes = draw(800, 4)
    scorer = AlleleScorer(TrackScorer(make(SHAPES["usual"]), precision=precision), 100)  # type: ignore[arg-type]
    same = [Change(start, start + n, codes[start : start + n]) for start, n in ((0, 1), (400, 3), (799, 1), (500, 0))]
    for reference, alternative in scorer.alleles(codes, [*same, snv(codes, 401)][:-1]):
        assert all(np.array_equal(one, other) for one, other in zip(reference, alternative, strict=True))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(
    "made", [change(400, 402, 4, 4), change(400, 400, 1, 2), change(400, 407), change(390, 410, 0)]
)
def test_beyond_the_reach_of_a_change_the_bits_are_the_same(
    shape: str, made: Change, monkeypatch: pytest.MonkeyPatch
) -> None:
    codes, reach = draw(1500, 6), make(SHAPES[shape]).halo
    scorer = AlleleScorer(TrackScorer(make(SHAPES[shape])), 400)
    for longest in (alleles.LONGEST, 1):  # also where the sequences are read whole
        monkeypatch.setattr(alleles, "LONGEST", longest)
        ((reference, alternative),) = scorer.alleles(codes, [made])
        beyond = scorer.flank - reach
        for one, other in zip(reference, alternative, strict=True):
            np.testing.assert_array_equal(one[:, :beyond], other[:, :beyond])
            np.testing.assert_array_equal(one[:, -beyond:], other[:, -beyond:])
            assert (one[:, beyond : scorer.flank] != other[:, beyond : scorer.flank]).any()


@pytest.mark.parametrize("longest", [1, 40, 1 << 13])
def test_stretches_batches_and_tiles_change_nothing(longest: int, monkeypatch: pytest.MonkeyPatch) -> None:
    codes, rng = draw(5000, 7), np.random.default_rng(1)
    changes = [snv(codes, int(at)) for at in rng.integers(0, 5000, 40)]
    changes += [change(int(at), int(at) + 60, 1) for at in rng.integers(0, 4900, 4)]
    changes += [change(int(at), int(at), *(np.arange(50) % 4)) for at in rng.integers(0, 5000, 4)]
    order = rng.permutation(len(changes))
    monkeypatch.setattr(alleles, "LONGEST", longest)
    monkeypatch.setattr(alleles, "_HELD", 7)
    scorer = AlleleScorer(TrackScorer(make(SHAPES["usual"]), tile=300), 100)
    scorer.tile = 500
    check(scorer, codes, [changes[number] for number in order])


def test_bf16_says_nearly_the_same() -> None:
    codes = draw(800, 8)
    scorers = [AlleleScorer(TrackScorer(make(SHAPES["usual"]), precision=each), 100) for each in ("fp32", "bf16")]  # type: ignore[arg-type]
    for (_, fine), (_, coarse) in zip(*(each.alleles(codes, CHANGES) for each in scorers), strict=True):
        np.testing.assert_allclose(coarse.tags, fine.tags, rtol=0.1)


def test_the_network_stays_as_it_was() -> None:
    model, codes = make(SHAPES["usual"]).train(), draw(800, 9)
    found = list(AlleleScorer(TrackScorer(model), 100).alleles(codes, CHANGES))
    assert model.training
    again = list(AlleleScorer(TrackScorer(model.eval()), 100).alleles(codes, CHANGES))
    np.testing.assert_array_equal(found[1][1].tags, again[1][1].tags)


@pytest.mark.parametrize("made", [change(-1, 0), change(5, 4), change(800, 801, 1)])
def test_a_change_outside_of_the_sequence_is_refused(made: Change) -> None:
    with pytest.raises(ValueError, match="outside of the sequence of 800 bases"):
        next(AlleleScorer(TrackScorer(make(SHAPES["usual"])), 100).alleles(draw(800), [made]))


def test_the_flank_holds_what_calibration_reads() -> None:
    scorer = AlleleScorer(TrackScorer(make(SHAPES["bare"])), 20)
    ((reference, alternative),) = scorer.alleles(draw(200), [change(100, 103, 1)])
    assert reference.tags.shape == (2, 2 * (20 + REACH) + 3)
    assert alternative.summits.shape == (2, 2 * (20 + REACH) + 1)
    assert isinstance(make(SHAPES["bare"]).networks[0], TrackNetwork)
