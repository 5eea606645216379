"""The one scoring path of the track network: codes of any length in, both strands of every base out.

A sequence is read in tiles, each with a halo of its neighbours' bases; beyond the ends of a sequence there is random
DNA (`flank`). An answer depends on the bases within the halo alone (`capsight.model.track`), so tiles, batches and
their order change nothing but the last bits of floating-point numbers, and memory is that of one tile however long the
sequence is.
"""

from collections.abc import Iterator
from functools import cached_property
from typing import Final, Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import expit

from capsight.machine import best_device as best_device  # whoever makes a scorer needs one
from capsight.model.track import N_CODE, Track, TrackModel, TrackNetwork, one_hot
from capsight.model.track_folder import Calibration

Codes = NDArray[np.uint8]
Floats = NDArray[np.float32]
Precision = Literal["fp32", "bf16"]

#: Bases of a tile on a CPU: its activations fit into the cache. A GPU needs more to be busy.
TILE_CPU: Final = 1 << 14
TILE_GPU: Final = 1 << 18

#: Calibration reads counts within so many bases: they belong to the halo.
REACH: Final = 50
#: Added to sums before their logarithm: far less than anything that is called has.
_LEAST_SUMMITS: Final = 1e-8
_LEAST_TAGS: Final = 1e-6

#: Seed of `flank`, and shares of A, C, G and T: of genomes from yeast to human.
_FLANK_SEED: Final = 1
_FLANK_SHARES: Final = (0.3, 0.2, 0.2, 0.3)

_COMPLEMENT: Final = np.array([3, 2, 1, 0, N_CODE], dtype=np.uint8)


class Tracks(NamedTuple):
    """Answers for sequences, each ``(n, 2, length)``: strands + and -, positions left to right on both.

    Attributes
    ----------
    expected_tags
        Expected 5' ends at each base, in the unit of the counts that the network was trained on. They add up.
    probability
        Probability that a TSS called at this base is within 10 bases of the summit of a peak.
    strength
        5' ends of the promoter whose summit is at each base, if there is one. They do not add up.
    """

    expected_tags: Floats
    probability: Floats
    strength: Floats


class Tile(NamedTuple):
    """Answers for a part of one sequence, each array ``(2, end - start)``; `start` and `end` are 0-based, half-open."""

    start: int
    end: int
    expected_tags: Floats
    probability: Floats
    strength: Floats

    def part(self, start: int, end: int) -> "Tile":
        """Return the answers from one position of the sequence to another; none where the first is not before it."""
        end = max(start, end)
        return Tile(start, end, *(track[:, start - self.start : end - self.start] for track in self[2:]))


class Counts(NamedTuple):
    """What a network expects, before calibration, each ``(n, 2, length)``."""

    tags: Floats
    summits: Floats
    strength: Floats


class TrackScorer:
    """Runs a track network on sequences of any length.

    Parameters
    ----------
    network
        The network, or several (`TrackModel`). It is used where it is; its mode is left as found.
    calibration
        Of probabilities; `None` takes those of the network, which are of a summit within 10 bases.
    precision
        ``bf16`` takes a third less time on hardware that has it, and names the same sites.
    tile
        Bases that are answered at once; `None` chooses by device.
    """

    def __init__(
        self,
        network: TrackNetwork | TrackModel,
        calibration: Calibration | None = None,
        precision: Precision = "fp32",
        tile: int | None = None,
    ) -> None:
        if tile is not None and tile < 1:
            raise ValueError(f"a tile of {tile} bases")
        self.network, self.calibration, self.precision = network, calibration, precision
        self.device = next(network.parameters()).device
        self.tile = tile or (TILE_CPU if self.device.type == "cpu" else TILE_GPU)

    @property
    def halo(self) -> int:
        """Bases on either side that an answer depends on."""
        return self.network.halo + REACH

    def score(self, codes: Codes) -> Tracks:
        """Answer for sequences of one length, ``(n, length)`` codes 0 to 4, plus strand."""
        n, length = codes.shape
        answers = np.empty((len(Tracks._fields), n, 2, length), np.float32)
        rows = max(1, self.tile // max(length + 2 * self.halo, 1))
        for first in range(0, n, rows):
            batch = slice(first, first + rows)
            for start in range(0, length, self.tile):
                end = min(start + self.tile, length)
                answers[:, batch, :, start:end] = self._tracks(codes[batch], start, end)
        return Tracks(*answers)

    def tiles(self, codes: Codes, start: int = 0, end: int | None = None) -> Iterator[Tile]:
        """Answer for the bases from `start` to `end` of one sequence, ``(length,)``, tile by tile from the left.

        `codes` may be memory-mapped, and carry the soft mask: what a tile needs of it is read, and no more.
        """
        for first in range(start, (end := len(codes) if end is None else end), self.tile):
            last = min(first + self.tile, end)
            yield Tile(first, last, *self._tracks(codes[None], first, last)[:, 0])

    def counts(self, codes: Codes, start: int, end: int) -> Counts:
        """Return what the network expects from `start` to `end` of sequences ``(n, length)``, before calibration."""
        left, right = start - self.network.halo, end + self.network.halo
        bases = with_flanks(codes, left, right, self.flank)
        answers = np.empty((len(Counts._fields), len(codes), 2, end - start), np.float32)
        was_training = self.network.training
        self.network.eval()
        try:
            for strand, read in enumerate((bases, _COMPLEMENT[bases[:, ::-1]])):
                step = -1 if strand else 1
                tags, summits, strength = self._run(read)
                found = torch.stack([tags.exp(), summits.exp(), strength.expm1().clamp_min(0)])
                answers[:, :, strand] = found.cpu().numpy()[..., ::step]
        finally:
            self.network.train(was_training)
        return Counts(*answers)

    def _tracks(self, codes: Codes, start: int, end: int) -> Floats:
        """Answer for the bases from `start` to `end` of sequences on both strands: `Tracks`, one after the other."""
        around = self.counts(codes, start - REACH, end + REACH)
        inside = slice(REACH, REACH + end - start)
        probability = probabilities(around, self.calibration)[..., inside]
        return np.stack([around.tags[..., inside], probability, around.strength[..., inside]])

    @cached_property
    def flank(self) -> Codes:
        """What stands beyond either end of a sequence, ``(halo,)``: see `flank`."""
        return flank(self.halo)

    def _run(self, codes: Codes) -> Track:
        """Run the network on one strand, 5'→3'."""
        bf16 = self.precision == "bf16"
        dtype = torch.bfloat16 if bf16 else torch.float32
        with torch.inference_mode(), torch.autocast(self.device.type, torch.bfloat16, enabled=bf16):
            bases = one_hot(torch.from_numpy(np.ascontiguousarray(codes)).to(self.device), dtype)
            track: Track = self.network(bases)
        return track


def probabilities(counts: Counts, calibration: Calibration | None) -> Floats:
    """Return the probability of a summit within 10 bases, ``(n, 2, length)``; without calibration, the network's own.

    Sums within `REACH` bases go into it: so many bases at either end of `counts` have no answer that counts.
    """
    if calibration is None:
        return np.asarray(-np.expm1(-within(counts.summits, 10)), np.float32)
    c = calibration
    weights = np.array([c.summits_within_10, c.tags_within_10, c.tags_within_50])
    return np.asarray(expit(np.tensordot(features(counts), weights, axes=1) + c.intercept), np.float32)


def with_flanks(codes: Codes, start: int, end: int, beyond: Codes) -> Codes:
    """Return the codes of sequences from `start` to `end`, without the soft mask; `beyond` their ends, N further out.

    Parameters
    ----------
    codes
        ``(n, length)``.
    start, end
        0-based half-open; they may lie outside.
    beyond
        `flank`.
    """
    bases = np.full((len(codes), end - start), N_CODE, dtype=np.uint8)
    for first, part in ((-len(beyond), beyond[None]), (0, codes), (codes.shape[1], beyond[None])):
        begin, stop = max(first, start), min(first + part.shape[1], end)
        if begin < stop:
            bases[:, begin - start : stop - start] = part[:, begin - first : stop - first] & np.uint8(7)
    return bases


def flank(length: int) -> Codes:
    """Return what a network reads beyond the ends of a sequence: always the same random DNA, ``(length,)``.

    A network has hardly ever met N in training, and of a promoter between N it says next to nothing; between random
    bases it is nearly as sure as between its own neighbours (`docs/log.md`, 2026-11-28). The reverse complement of
    this DNA is itself, so that both strands have the same beyond their ends.
    """
    half = np.random.default_rng(_FLANK_SEED).choice(N_CODE, length // 2, p=_FLANK_SHARES).astype(np.uint8)
    return np.concatenate([half, np.full(length % 2, N_CODE, np.uint8), _COMPLEMENT[half[::-1]]])


def features(counts: Counts) -> NDArray[np.float64]:
    """Return what calibration reads at each base, ``(..., length, 3)``; bases beyond the ends count nothing."""
    summits, tags = counts.summits, counts.tags
    sums = [within(summits, 10) + _LEAST_SUMMITS, within(tags, 10) + _LEAST_TAGS, within(tags, REACH) + _LEAST_TAGS]
    return np.log(np.stack(sums, axis=-1))


def within(values: NDArray[np.floating], reach: int) -> NDArray[np.float64]:
    """Return the sum of the values within `reach` bases of each, ``(..., length)``."""
    length = values.shape[-1]
    padded = np.zeros((*values.shape[:-1], length + 2 * reach + 1))
    np.cumsum(values, axis=-1, dtype=np.float64, out=padded[..., reach + 1 : reach + 1 + length])
    padded[..., reach + 1 + length :] = padded[..., reach + length, None]
    return (padded[..., 2 * reach + 1 :] - padded[..., :length]).clip(min=0)
