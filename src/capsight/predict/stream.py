"""What is scored, in bounded memory: long sequences tile by tile, short ones packed, threads side by side.

Threads read tiles of their own, each with one thread of PyTorch's: an answer then has the same bits however many
threads there are, which is not so where PyTorch shares one convolution among them.
"""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, Final, NamedTuple, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from capsight.data.genome.alphabet import CODE_BITS
from capsight.predict.calls import SCORE_REACH, call_tss
from capsight.predict.track import Codes, Tile, TrackScorer, within

Item = TypeVar("Item")
Result = TypeVar("Result")

#: Sequences up to so many bases are packed, and longer ones read tile by tile.
LONGEST_PACKED: Final = 1 << 18


class Sites(NamedTuple):
    """Bases that stand for a TSS each, ``(n,)``.

    Attributes
    ----------
    strand, position
        0 for + and 1 for -; 0-based, on the plus strand of the sequence.
    probability
        What the track has there.
    expected_tags
        Expected 5' ends within `SCORE_REACH` bases.
    strength
        5' ends of the promoter, if there is one.
    """

    strand: NDArray[np.int64]
    position: NDArray[np.int64]
    probability: NDArray[np.float64]
    expected_tags: NDArray[np.float64]
    strength: NDArray[np.float64]

    def where(self, chosen: NDArray[np.bool_] | NDArray[np.int64]) -> "Sites":
        """Return some of the sites."""
        columns: list[NDArray[Any]] = [column[chosen] for column in self]
        return Sites(*columns)


#: None at all.
NO_SITES: Final = Sites(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0), np.empty(0), np.empty(0))


class Stretch(NamedTuple):
    """A tile of a sequence, and the sites that are known since it was read, by position, + before -."""

    tile: Tile
    sites: Sites


def find_sites(tile: Tile, distance: int, min_probability: float = 0.0, inside: slice = slice(None)) -> Sites:
    """Call TSSs on a tile, the most probable first; `inside` is that of `call_tss`."""
    calls = call_tss(tile.expected_tags, tile.probability, min_probability, distance, inside)
    return _sites(tile, calls.strand, calls.position)


def best_site(tile: Tile, distance: int, inside: slice, strands: tuple[int, ...] = (0, 1)) -> Sites:
    """Return the most probable call of a tile; if nothing is called, the most probable base."""
    sites = find_sites(tile, distance, inside=inside)
    called = np.flatnonzero(np.isin(sites.strand, strands))
    if len(called):
        return sites.where(called[:1])
    probability = tile.probability[strands, inside]
    strand, position = np.unravel_index(probability.argmax(), probability.shape)
    return _sites(tile, np.array([strands[strand]]), np.array([position + (inside.start or 0)]))


def _sites(tile: Tile, strand: NDArray[np.int64], position: NDArray[np.int64]) -> Sites:
    """Return the sites at some bases of a tile, counted from its start."""
    tags = within(tile.expected_tags, SCORE_REACH)[strand, position]
    probability, strength = (track[strand, position].astype(np.float64) for track in (tile.probability, tile.strength))
    return Sites(strand, position + tile.start, probability, tags, strength)


def along(
    scorer: TrackScorer,
    codes: Codes,
    start: int,
    end: int,
    distance: int,
    min_probability: float = 0.0,
    threads: int = 1,
) -> Iterator[Stretch]:
    """Read a sequence tile by tile, and call TSSs among its bases from `start` to `end`.

    The calls are those of `find_sites` on the whole. What is held in memory is a tile and the bases around it that its
    calls depend on.
    """
    first, last = max(start - SCORE_REACH, 0), min(end + SCORE_REACH, len(codes))
    reach, done, held = distance + SCORE_REACH, start, None
    for tile in tiles(scorer, codes, first, last, threads):
        if held is None:
            held = tile
        else:
            tracks = (np.concatenate(pair, axis=1) for pair in zip(held[2:], tile[2:], strict=True))
            held = Tile(held.start, tile.end, *tracks)
        decided = end if tile.end == last else max(done, min(held.end - reach, end))
        sites = NO_SITES
        if decided > done:
            inside = slice(max(start - held.start, 0), min(end, held.end) - held.start)
            sites = find_sites(held, distance, min_probability, inside)
            sites = sites.where((sites.position >= done) & (sites.position < decided))
            sites = sites.where(np.lexsort((sites.strand, sites.position)))
        yield Stretch(tile.part(max(start, tile.start), min(end, tile.end)), sites)
        done = decided
        held = held.part(max(done - reach, held.start), held.end)


def tiles(scorer: TrackScorer, codes: Codes, start: int, end: int, threads: int = 1) -> Iterator[Tile]:
    """Answer for the bases from `start` to `end` of a sequence tile by tile, from the left."""

    def answer(first: int) -> Tile:
        return next(scorer.tiles(codes, first, min(first + scorer.tile, end)))

    yield from in_order(answer, range(start, end, scorer.tile), threads)


class Part(NamedTuple):
    """A sequence to be answered from `start` to `end`, which what lies around has a say in."""

    codes: Codes
    start: int
    end: int


def score_packed(scorer: TrackScorer, parts: Iterable[Part], threads: int = 1) -> Iterator[Tile]:
    """Answer for many short sequences, in their order, packed into long ones.

    Between two there is what a scorer sees beyond the ends of a sequence, so that neither is seen from the other. Of
    each, the answers reach `SCORE_REACH` bases beyond `start` and `end` where the sequence does.
    """

    def answer(pack: _Pack) -> list[Tile]:
        tracks = [np.concatenate(track, axis=1) for track in list(zip(*scorer.tiles(pack.codes), strict=True))[2:]]
        return [
            Tile(start, end, *(np.ascontiguousarray(track[:, at : at + end - start]) for track in tracks))
            for at, start, end in pack.places
        ]

    for answers in in_order(answer, _packs(parts, scorer.flank, scorer.tile), threads):
        yield from answers


class _Pack(NamedTuple):
    """Sequences laid one after the other, and where each is: where in the pack, and from where to where of itself."""

    codes: Codes
    places: list[tuple[int, int, int]]


def _packs(parts: Iterable[Part], flank: Codes, size: int) -> Iterator[_Pack]:
    """Lay sequences one after the other until there are `size` bases."""
    laid: list[Codes] = []
    places: list[tuple[int, int, int]] = []
    halo = len(flank)
    length, behind = 0, halo
    for codes, start, end in parts:
        start, end = max(start - SCORE_REACH, 0), min(end + SCORE_REACH, len(codes))
        left, right = min(start, halo), min(len(codes) - end, halo)
        gap = _between(flank, behind, left) if laid else flank[:0]
        laid += [gap, codes[start - left : end + right] & np.uint8(CODE_BITS)]
        places.append((length + len(gap) + left, start, end))
        length, behind = length + len(gap) + left + end - start + right, right
        if length >= size:
            yield _Pack(np.concatenate(laid), places)
            laid, places, length = [], [], 0
    if places:
        yield _Pack(np.concatenate(laid), places)


def _between(flank: Codes, behind: int, before: int) -> Codes:
    """Return what stands between two sequences: `behind` the first and `before` the second are bases of their own."""
    if not behind and not before:
        return flank  # it is its own reverse complement: it ends as what stands before a sequence, and begins as behind
    return np.concatenate([flank[: len(flank) - behind], flank[before:]])


def in_order(work: Callable[[Item], Result], items: Iterable[Item], threads: int = 1) -> Iterator[Result]:
    """Do some work for every item, in threads side by side; yield the results in the order of the items."""
    if threads == 1:
        yield from map(work, items)
        return
    waiting: deque[Future[Result]] = deque()
    with ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        try:
            for item in items:
                waiting.append(pool.submit(work, item))
                if len(waiting) > threads:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


@contextmanager
def working_threads(wanted: int | None, scorer: TrackScorer) -> Iterator[int]:
    """Yield the number of threads to work with; within the block each has one of PyTorch's.

    Default are as many as PyTorch would take (it reads ``OMP_NUM_THREADS``), at most one for each core that this
    process may use; of a GPU, one.
    """
    before = torch.get_num_threads()
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        torch.set_num_threads(1)
        yield (wanted or min(before, cores)) if scorer.device.type == "cpu" else 1
    finally:
        torch.set_num_threads(before)
