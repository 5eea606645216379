"""Long sequences tile by tile and short ones packed: the same answers as one by one, and on any number of threads."""

import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from capsight.data.genome.alphabet import Codes
from capsight.model.track_folder import load_track
from capsight.predict.stream import Part, Sites, along, best_site, find_sites, in_order, score_packed, working_threads
from capsight.predict.track import Tile, TrackScorer


@pytest.fixture(scope="module")
def scorer(tiny_track: Path) -> Callable[[int], TrackScorer]:
    network, card = load_track(tiny_track)
    return lambda tile: TrackScorer(network, card.calibration, tile=tile)


def draw(length: int, seed: int = 0) -> Codes:
    codes = np.random.default_rng(seed).integers(0, 5, length, dtype=np.uint8)
    codes[::7] |= 8  # the soft mask is not read
    return codes


def whole(scorer: TrackScorer, codes: Codes) -> Tile:
    return Tile(0, len(codes), *(track[0] for track in scorer.score(codes[None])))


def by_position(sites: Sites) -> list[tuple[int, int]]:
    return sorted(zip(sites.position.tolist(), sites.strand.tolist(), strict=True))


@pytest.mark.parametrize("tile", [1, 30, 500, 5000])
@pytest.mark.parametrize(("start", "end"), [(0, 3000), (700, 2200), (5, 2995), (1500, 1501)])
def test_calls_along_a_sequence_are_those_on_the_whole(
    scorer: Callable[[int], TrackScorer], tile: int, start: int, end: int
) -> None:
    if tile == 1 and end - start > 1:
        start, end = 1000, 1300
    codes = draw(3000)
    one = whole(scorer(10_000), codes)
    expected = find_sites(one, 50, 0.2, slice(start, end))
    stretches = list(along(scorer(tile), codes, start, end, 50, 0.2))
    found = Sites(*map(np.concatenate, zip(*(stretch.sites for stretch in stretches), strict=True)))
    pairs = list(zip(found.position, found.strand, strict=True))
    assert pairs == by_position(expected)
    assert len(pairs) > (3 if end - start > 1000 else -1)
    order = np.lexsort((expected.strand, expected.position))
    for mine, theirs in zip(found[2:], expected[2:], strict=True):
        np.testing.assert_allclose(mine, theirs[order], rtol=1e-4)
    tags = np.concatenate([stretch.tile.expected_tags for stretch in stretches], axis=1)
    np.testing.assert_allclose(tags, one.expected_tags[:, start:end], rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("tile", [50, 1000, 100_000])
def test_packed_sequences_have_the_answers_that_they_have_alone(
    scorer: Callable[[int], TrackScorer], tile: int
) -> None:
    rng = np.random.default_rng(1)
    contig = draw(4000, 9)
    parts = [Part(draw(int(n), i), 0, int(n)) for i, n in enumerate(rng.integers(1, 400, 40))]
    parts += [Part(contig, a, a + int(n)) for a, n in zip(range(0, 3900, 300), rng.integers(1, 90, 14), strict=False)]
    rng.shuffle(parts)  # type: ignore[arg-type]
    alone = scorer(10_000)
    for part, tile_of in zip(parts, score_packed(scorer(tile), parts), strict=True):
        assert (tile_of.start, tile_of.end) == (max(part.start - 10, 0), min(part.end + 10, len(part.codes)))
        expected = whole(alone, part.codes).part(tile_of.start, tile_of.end)
        for mine, theirs in zip(tile_of[2:], expected[2:], strict=True):
            np.testing.assert_allclose(mine, theirs, rtol=2e-5, atol=1e-7)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_threads_change_no_bit(tiny_track: Path, precision: str) -> None:
    network, card = load_track(tiny_track)
    scorer = TrackScorer(network, card.calibration, precision, tile=700)  # type: ignore[arg-type]
    codes, found = draw(9000), []
    for wanted in (1, 2, 5):
        with working_threads(wanted, scorer) as threads:
            tiles = [stretch.tile for stretch in along(scorer, codes, 0, 9000, 50, threads=threads)]
            parts = [Part(codes, start, start + 90) for start in range(0, 8000, 100)]
            packed = list(score_packed(scorer, parts, threads))
        found.append([np.concatenate([tile.expected_tags for tile in some], axis=1) for some in (tiles, packed)])
    for other in found[1:]:
        assert all(np.array_equal(one, two) for one, two in zip(found[0], other, strict=True))


def test_work_is_done_in_threads_and_comes_out_in_order() -> None:
    barrier = threading.Barrier(2, timeout=20)

    def work(item: int) -> tuple[int, int]:
        barrier.wait()  # two at a time, or never
        return item, torch.get_num_threads()

    with working_threads(2, _Anywhere()) as threads:  # type: ignore[arg-type]
        assert list(in_order(work, range(10), threads)) == [(i, 1) for i in range(10)]


def test_only_so_many_items_wait() -> None:
    taken: list[int] = []

    def items() -> "object":
        for i in range(100):
            taken.append(i)
            yield i

    results = in_order(lambda item: item, items(), 2)  # type: ignore[arg-type]
    assert next(results) == 0
    assert len(taken) <= 4
    results.close()  # type: ignore[attr-defined]


class _Anywhere:
    device = torch.device("cpu")


@pytest.mark.parametrize("wanted", [None, 1, 3])
def test_threads_of_the_caller_are_left_as_found(wanted: int | None) -> None:
    before = torch.get_num_threads()
    with pytest.raises(RuntimeError), working_threads(wanted, _Anywhere()) as threads:  # type: ignore[arg-type]
        assert torch.get_num_threads() == 1
        assert threads == wanted or (wanted is None and threads <= before)
        raise RuntimeError
    assert torch.get_num_threads() == before


def test_the_best_site_is_called_or_else_the_most_probable_base() -> None:
    tags, probability = np.zeros((2, 100), np.float32), np.full((2, 100), 0.1, np.float32)
    tags[0, 30], tags[0, 70], tags[1, 50] = 2, 5, 1
    probability[0, 30], probability[0, 70], probability[1, 50], probability[1, 90] = 0.6, 0.5, 0.4, 0.9
    tile = Tile(1000, 1100, tags, probability, np.ones((2, 100), np.float32))

    def best(inside: slice, *strands: int) -> tuple[int, int, float]:
        found = best_site(tile, 20, inside, strands)
        return int(found.position[0]), int(found.strand[0]), float(found.expected_tags[0])

    assert best(slice(0, 100), 0, 1) == (1030, 0, 2)
    assert best(slice(0, 100), 1) == (1050, 1, 1)
    assert best(slice(35, 80), 0, 1) == (1070, 0, 5), "tags outside are no competitors"
    assert best(slice(80, 100), 1) == (1090, 1, 0), "nothing is called"
    assert best(slice(65, 66), 0) == (1065, 0, 5), "tags of neighbours count"
