"""The scoring path of the track network: halo, strands, tiles, batches, precision."""

from typing import get_args

import numpy as np
import pytest
import torch

from capsight.config.track import TrackConfig
from capsight.data.genome.alphabet import reverse_complement
from capsight.model.track import TrackModel, TrackNetwork, one_hot
from capsight.model.track_folder import Calibration
from capsight.predict.track import REACH, Codes, Precision, TrackScorer, features, flank, within

#: Of the network, and with what calibration reads.
INNER = 10 + 31 + 32
HALO = INNER + REACH


NAMES = ("summits_within_10", "tags_within_10", "tags_within_50")


@pytest.fixture(scope="module")
def network() -> TrackNetwork:
    torch.manual_seed(3)
    made = TrackNetwork(TrackConfig(width=16, dilations=(1, 2, 4, 8, 16), average_radius=32)).eval()
    with torch.no_grad():
        for weights in made.parameters():
            weights += 0.05 * torch.randn_like(weights)
    return made


def draw(n: int, length: int, seed: int = 0) -> Codes:
    rng = np.random.default_rng(seed)
    codes = rng.integers(0, 4, (n, length), dtype=np.uint8)
    codes[rng.random(codes.shape) < 0.02] = 4
    return codes


def close(one: np.ndarray, other: np.ndarray) -> None:
    np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-5)


def test_strands_are_the_network_on_the_sequence_and_on_its_reverse_complement(network: TrackNetwork) -> None:
    codes = draw(1, 300)
    found = TrackScorer(network).counts(codes, 0, 300)
    for strand, read in enumerate((codes, reverse_complement(codes))):
        padded = np.concatenate([flank(HALO)[None, REACH:], read, flank(HALO)[None, :INNER]], axis=1)
        with torch.no_grad():
            track = network(one_hot(torch.from_numpy(padded)))
        answers = (track.log_tags.exp(), track.log_summits.exp(), (track.log_strength.exp() - 1).clamp_min(0))
        for mine, theirs in zip(found, answers, strict=True):
            np.testing.assert_allclose(mine[:, strand], theirs.numpy()[:, :: -1 if strand else 1], rtol=2e-5, atol=1e-5)


def test_probability_is_a_logistic_function_of_counts_around_a_base(network: TrackNetwork) -> None:
    codes, weights = draw(1, 400), (0.5, 1.25, -0.5)
    scorer = TrackScorer(network, Calibration(intercept=-2, **dict(zip(NAMES, weights, strict=True))))
    counts = scorer.counts(codes, 0, 400)
    read = features(counts)[0, 1, 200]
    sums = [counts.summits[0, 1, 190:211].sum(), counts.tags[0, 1, 190:211].sum(), counts.tags[0, 1, 150:251].sum()]
    np.testing.assert_allclose(read, np.log(sums), rtol=1e-5)
    expected = 1 / (1 + np.exp(2 - read @ np.array(weights)))
    assert scorer.score(codes).probability[0, 1, 200] == pytest.approx(expected, rel=1e-5)


def test_without_calibration_probability_is_that_of_one_summit_at_least_within_10(network: TrackNetwork) -> None:
    codes = draw(1, 400)
    summits = TrackScorer(network).counts(codes, 0, 400).summits[0, 0, 90:111].sum()
    found = TrackScorer(network).score(codes).probability[0, 0, 100]
    assert found == pytest.approx(1 - np.exp(-summits), rel=1e-5)


@pytest.mark.parametrize(("start", "end"), [(-5, 3), (295, 305), (300, 301), (400, 420), (-420, -400)])
def test_beyond_the_ends_there_is_always_the_same_dna(network: TrackNetwork, start: int, end: int) -> None:
    codes = draw(1, 300)
    beyond = flank(HALO)[None]
    far = np.full((1, 500 - HALO), 4, np.uint8)
    padded = np.concatenate([far, beyond, codes, beyond, far], axis=1)
    found = TrackScorer(network).counts(codes, start, end)
    for mine, theirs in zip(found, TrackScorer(network).counts(padded, 500 + start, 500 + end), strict=True):
        close(mine, theirs)


def test_members_are_averaged(network: TrackNetwork) -> None:
    torch.manual_seed(4)
    both = TrackModel(network.config, 2).eval()
    codes = draw(1, 200)
    alone = [TrackScorer(member).score(codes).expected_tags for member in both.networks]  # type: ignore[arg-type]
    close(TrackScorer(both).score(codes).expected_tags, np.mean(alone, axis=0))


def test_a_part_with_its_halo_has_the_answers_of_the_whole(network: TrackNetwork) -> None:
    scorer, codes = TrackScorer(network), draw(1, 900)
    assert scorer.halo == HALO
    whole = scorer.score(codes)
    for a, b in [(200, 201), (151, 500), (HALO, 900 - HALO)]:
        part = scorer.score(codes[:, a - HALO : b + HALO])
        for everything, alone in zip(whole, part, strict=True):
            close(everything[:, :, a:b], alone[:, :, HALO:-HALO])


def test_the_reverse_complement_has_the_same_answers_on_the_other_strand(network: TrackNetwork) -> None:
    codes = draw(3, 257)
    there, back = TrackScorer(network).score(codes), TrackScorer(network).score(reverse_complement(codes))
    for one, other in zip(there, back, strict=True):
        close(one, other[:, ::-1, ::-1])


@pytest.mark.parametrize("tile", [1, 37, 300, 301, 100_000])
def test_tiles_change_nothing(network: TrackNetwork, tile: int) -> None:
    codes = draw(1, 301)
    whole = TrackScorer(network, tile=1000).score(codes)
    for one, other in zip(whole, TrackScorer(network, tile=tile).score(codes), strict=True):
        close(one, other)
    tiles = list(TrackScorer(network, tile=tile).tiles(codes[0]))
    assert [t.start for t in tiles] == list(range(0, 301, tile))
    assert tiles[-1].end == 301
    for name, track in whole._asdict().items():
        close(track[0], np.concatenate([getattr(tile, name) for tile in tiles], axis=1))


def test_tiles_of_a_part_know_what_lies_around_it(network: TrackNetwork) -> None:
    codes = draw(1, 400)
    whole = TrackScorer(network).score(codes).expected_tags[0]
    tiles = list(TrackScorer(network, tile=50).tiles(codes[0], 130, 270))
    assert [(t.start, t.end) for t in tiles] == [(130, 180), (180, 230), (230, 270)]
    close(whole[:, 130:270], np.concatenate([t.expected_tags for t in tiles], axis=1))


def test_batches_and_their_order_change_nothing(network: TrackNetwork) -> None:
    codes = draw(9, 120)
    together = TrackScorer(network, tile=500).score(codes).probability
    for row in (8, 0, 4):
        close(together[[row]], TrackScorer(network).score(codes[[row]]).probability)


def test_the_soft_mask_is_not_read(network: TrackNetwork) -> None:
    codes = draw(1, 100)
    masked = codes | np.uint8(8)
    assert np.array_equal(*(TrackScorer(network).score(c).expected_tags for c in (codes, masked)))


def test_threads_change_nothing(network: TrackNetwork) -> None:
    codes, before = draw(2, 3000), torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        one = TrackScorer(network).score(codes).expected_tags
        torch.set_num_threads(2)
        close(one, TrackScorer(network).score(codes).expected_tags)
    finally:
        torch.set_num_threads(before)


def test_bfloat16_is_nearly_the_same(network: TrackNetwork) -> None:
    codes = draw(1, 2000)
    exact, coarse = (
        TrackScorer(network, precision=precision).score(codes).expected_tags for precision in get_args(Precision)
    )
    assert not np.array_equal(exact, coarse)
    assert np.corrcoef(np.log(exact.ravel()), np.log(coarse.ravel()))[0, 1] > 0.999
    assert coarse.dtype == np.float32


@pytest.mark.parametrize("training", [True, False])
def test_the_mode_of_the_network_is_left_as_found(network: TrackNetwork, training: bool) -> None:
    codes = draw(1, 50)
    try:
        network.train(training)
        scorer = TrackScorer(network)
        assert np.array_equal(scorer.score(codes).expected_tags, scorer.score(codes).expected_tags)  # no dropout
        assert network.training is training
    finally:
        network.eval()


def test_no_sequences_and_no_bases_have_no_answers(network: TrackNetwork) -> None:
    scorer = TrackScorer(network)
    assert scorer.score(draw(0, 50)).expected_tags.shape == (0, 2, 50)
    assert scorer.score(draw(2, 0)).expected_tags.shape == (2, 2, 0)
    assert list(scorer.tiles(draw(1, 0)[0])) == []


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_a_gpu_has_the_same_answers(network: TrackNetwork) -> None:
    codes = draw(1, 2000)
    here = TrackScorer(network).score(codes).expected_tags
    try:
        there = TrackScorer(network.to("cuda")).score(codes).expected_tags
    finally:
        network.to("cpu")
    np.testing.assert_allclose(here, there, rtol=1e-2)  # TensorFloat-32


@pytest.mark.parametrize("reach", [0, 1, 7, 40])
def test_within_sums_over_what_is_there(reach: int) -> None:
    values = np.random.default_rng(5).random((2, 30))
    expected = [[row[max(i - reach, 0) : i + reach + 1].sum() for i in range(30)] for row in values]
    np.testing.assert_allclose(within(values, reach), expected, rtol=1e-12)


@pytest.mark.parametrize("length", [1, 2, 9, 1000])
def test_flanks_are_their_own_reverse_complement(length: int) -> None:
    assert len(flank(length)) == length
    np.testing.assert_array_equal(flank(length), reverse_complement(flank(length)))
    np.testing.assert_array_equal(flank(length), flank(length))
