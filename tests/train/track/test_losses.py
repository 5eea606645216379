"""The losses of the track network, beside sums written out."""

from math import exp, log, log1p

import pytest
import torch

from capsight.config.track import TrackLossConfig
from capsight.model.track import PROMOTER_REACH, Track
from capsight.train.track.losses import (
    BLOCK_SIZE,
    CALL_REACH,
    STRENGTH_BASES,
    SUMMIT_BASES,
    TAG_PSEUDOCOUNT,
    track_losses,
)


def example(n: int = 3, length: int = 800) -> tuple[Track, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    log_tags, log_summits, log_strength = torch.randn(3, n, length, generator=generator).double() - 2
    tags = torch.poisson(torch.full((n, length), 0.1), generator=generator).double()
    tags[0, :300] = 0  # a block without 5' ends
    tags[1, 400] = 900  # a giant
    summits = (tags >= 2).double()
    return Track(log_tags, log_summits, log_strength), tags, summits


@pytest.mark.parametrize("offset", [0, 1, 255])
def test_losses_are_their_formulas(offset: int) -> None:
    track, tags, summits = example()
    found = track_losses(track, tags, summits, TrackLossConfig(strength_weight=0), offset)
    profile, total, blocks = 0.0, 0.0, 0
    for row in range(3):
        for start in range(offset, 800 - BLOCK_SIZE + 1, BLOCK_SIZE):
            n = tags[row, start : start + BLOCK_SIZE].tolist()
            r = [exp(value) for value in track.log_tags[row, start : start + BLOCK_SIZE].tolist()]
            profile -= sum(c * log(x / sum(r)) for c, x in zip(n, r, strict=True)) / (sum(n) + TAG_PSEUDOCOUNT)
            total += (sum(n) + 1) * log1p(sum(r)) - sum(n) * log(sum(r))
            blocks += 1
    summit = sum(
        exp(answer) - seen * answer
        for answer, seen in zip(track.log_summits.flatten().tolist(), summits.flatten().tolist(), strict=True)
    )
    assert float(found.profile) == pytest.approx(10 * profile / blocks)
    assert float(found.total) == pytest.approx(total / blocks)
    assert float(found.summit) == pytest.approx(summit / track.log_summits.numel() * SUMMIT_BASES)
    weighted = 2 * found.profile + found.total + found.summit / 100
    assert float(found.weighted) == pytest.approx(float(weighted))


def test_strengths_are_asked_for_near_summits() -> None:
    track, tags, summits = example(2, 600)
    summits = summits * 0
    summits[0, [127, 128, 300]] = 1  # the first is too close to the end
    summits[1, [471, 472]] = 1  # and so is the last
    expected = 0.0
    for row, at in [(0, 128), (0, 300), (1, 471)]:
        total = float(tags[row, at - PROMOTER_REACH : at + PROMOTER_REACH + 1].sum())
        near = track.log_strength[row, at - CALL_REACH : at + CALL_REACH + 1].tolist()
        expected += sum((answer - log1p(total)) ** 2 for answer in near) / len(near)
    found, without = (track_losses(track, tags, summits, TrackLossConfig(strength_weight=w)) for w in (3, 0))
    assert float(found.strength) == pytest.approx(expected * STRENGTH_BASES / 1200)
    assert float(found.weighted - without.weighted) == pytest.approx(3 * float(found.strength))


def test_the_expectation_of_the_counts_has_the_least_loss_of_totals() -> None:
    tags = torch.zeros(8, BLOCK_SIZE)
    tags[0, 3] = 40  # one block of eight has 5' ends: five are expected
    losses = {}
    for expected in (0.5, 4.0, 5.0, 6.0, 40.0):
        answer = torch.full((8, BLOCK_SIZE), log(expected / BLOCK_SIZE))
        losses[expected] = float(track_losses(Track(answer, answer, answer), tags, tags * 0, TrackLossConfig()).total)
    assert min(losses, key=lambda expected: losses[expected]) == 5.0


def test_a_giant_promoter_weighs_no_more_than_one() -> None:
    _, tags, summits = example()
    answer = torch.linspace(-3, 3, BLOCK_SIZE).double()[None]
    track, tags, summits = Track(answer, answer, answer), tags[1:2, 300 : 300 + BLOCK_SIZE], summits[1:2, :BLOCK_SIZE]
    shape = float((tags * torch.log_softmax(track.log_tags, dim=1)).sum() / tags.sum())
    losses = []
    for times in (1, 1000):
        n = times * float(tags.sum())
        losses.append(float(track_losses(track, tags * times, summits, TrackLossConfig()).profile))
        assert losses[-1] == pytest.approx(-10 * shape * n / (n + TAG_PSEUDOCOUNT))
    assert losses[1] < 1.06 * losses[0]


def test_blocks_without_5_ends_have_no_profile_and_no_nan() -> None:
    track, tags, summits = example()
    losses = track_losses(track, tags * 0, summits * 0, TrackLossConfig())
    assert float(losses.profile) == 0
    assert torch.isfinite(losses.weighted)


def test_the_right_expectation_has_the_least_summit_loss() -> None:
    summits = torch.zeros(1, 300)
    summits[0, ::20] = 1
    nothing = torch.zeros(1, 300)
    tracks = [Track(nothing, torch.full((1, 300), log(p)), nothing) for p in (0.03, 0.05, 0.08)]
    losses = [float(track_losses(track, summits, summits, TrackLossConfig()).summit) for track in tracks]
    assert losses[1] < min(losses[0], losses[2])


@pytest.mark.parametrize("offset", [-1, 545, 900])
def test_crops_shorter_than_a_block_are_refused(offset: int) -> None:
    with pytest.raises(ValueError, match="no block of 256 bases"):
        track_losses(*example(), TrackLossConfig(), offset)
