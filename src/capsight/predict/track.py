"""The one scoring path of the track network: codes of any length in, both strands of every base out.

A sequence is read in tiles, each with a halo of its neighbours' bases; beyond the ends of a sequence there is N. An
answer depends on the bases within the halo alone (`capsight.model.track`), so tiles, batches and their order change
nothing but the last bits of floating-point numbers, and memory is that of one tile however long the sequence is.
"""

from collections.abc import Iterator
from typing import Final, Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from capsight.model.track import N_CODE, Track, TrackNetwork, one_hot

Codes = NDArray[np.uint8]
Floats = NDArray[np.float32]
Precision = Literal["fp32", "bf16"]

#: Bases of a tile on a CPU: its activations fit into the cache. A GPU needs more to be busy.
TILE_CPU: Final = 1 << 14
TILE_GPU: Final = 1 << 18

_COMPLEMENT: Final = np.array([3, 2, 1, 0, N_CODE], dtype=np.uint8)


class Tracks(NamedTuple):
    """Answers for sequences, each ``(n, 2, length)``: strands + and -, positions left to right on both.

    Attributes
    ----------
    expected_tags
        Expected 5' ends at each base, in the unit of the counts that the network was trained on.
    expected_summits
        Expected summits of peaks at each base. Over an interval they add up; see `at_least_one`.
    strength
        5' ends of the promoter whose summit is at each base, if there is one. They do not add up.
    """

    expected_tags: Floats
    expected_summits: Floats
    strength: Floats


class Tile(NamedTuple):
    """Answers for a part of one sequence, each array ``(2, end - start)``; `start` and `end` are 0-based, half-open."""

    start: int
    end: int
    expected_tags: Floats
    expected_summits: Floats
    strength: Floats


def best_device() -> torch.device:
    """Return the fastest device there is: CUDA, else MPS, else the CPU."""
    if torch.cuda.is_available():
        return torch.device("cuda")
    return torch.device("mps" if torch.backends.mps.is_available() else "cpu")


class TrackScorer:
    """Runs a track network on sequences of any length.

    Parameters
    ----------
    network
        The network. It is used where it is; its mode is left as found.
    precision
        ``bf16`` is two to three times as fast on hardware that has it, and names the same sites.
    tile
        Bases that are answered at once; `None` chooses by device.
    """

    def __init__(self, network: TrackNetwork, precision: Precision = "fp32", tile: int | None = None) -> None:
        if tile is not None and tile < 1:
            raise ValueError(f"a tile of {tile} bases")
        self.network, self.precision = network, precision
        self.device = next(network.parameters()).device
        self.tile = tile or (TILE_CPU if self.device.type == "cpu" else TILE_GPU)

    @property
    def halo(self) -> int:
        """Bases on either side that an answer depends on."""
        return self.network.halo

    def score(self, codes: Codes) -> Tracks:
        """Answer for sequences of one length, ``(n, length)`` codes 0 to 4, plus strand."""
        n, length = codes.shape
        answers = np.empty((len(Tracks._fields), n, 2, length), np.float32)
        rows = max(1, self.tile // max(length + 2 * self.halo, 1))
        for first in range(0, n, rows):
            batch = slice(first, first + rows)
            for start in range(0, length, self.tile):
                end = min(start + self.tile, length)
                answers[:, batch, :, start:end] = self._both(codes[batch], start, end)
        return Tracks(*answers)

    def tiles(self, codes: Codes, start: int = 0, end: int | None = None) -> Iterator[Tile]:
        """Answer for the bases from `start` to `end` of one sequence, ``(length,)``, tile by tile from the left.

        `codes` may be memory-mapped, and carry the soft mask: what a tile needs of it is read, and no more.
        """
        for first in range(start, (end := len(codes) if end is None else end), self.tile):
            last = min(first + self.tile, end)
            yield Tile(first, last, *self._both(codes[None], first, last)[:, 0])

    def _both(self, codes: Codes, start: int, end: int) -> Floats:
        """Answer for the bases from `start` to `end` of sequences on both strands: `Tracks`, one after the other."""
        bases = self._with_halo(codes, start, end)
        answers = np.empty((len(Tracks._fields), len(codes), 2, end - start), np.float32)
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
        return answers

    def _with_halo(self, codes: Codes, start: int, end: int) -> Codes:
        """Return the codes from `start` to `end` and a halo on either side; N beyond the ends, no soft mask."""
        left, right = start - self.halo, end + self.halo
        inside = codes[:, max(left, 0) : right] & np.uint8(7)
        ends = (max(-left, 0), max(right - codes.shape[1], 0))
        return np.pad(inside, ((0, 0), ends), constant_values=N_CODE)

    def _run(self, codes: Codes) -> Track:
        """Run the network on one strand, 5'→3'."""
        bf16 = self.precision == "bf16"
        dtype = torch.bfloat16 if bf16 else torch.float32
        with torch.inference_mode(), torch.autocast(self.device.type, torch.bfloat16, enabled=bf16):
            bases = one_hot(torch.from_numpy(np.ascontiguousarray(codes)).to(self.device), dtype)
            track: Track = self.network(bases)
        return track


def at_least_one(expected: Floats, reach: int) -> Floats:
    """Return the probability of at least one event within `reach` bases of each, ``(..., length)``.

    Events are those of a Poisson process with `expected` of them per base, and the answer 1 - exp(-their sum).
    """
    padded = np.zeros((*expected.shape[:-1], expected.shape[-1] + 2 * reach + 1))
    padded[..., reach + 1 : padded.shape[-1] - reach] = expected
    sums = padded.cumsum(axis=-1)
    within = sums[..., 2 * reach + 1 :] - sums[..., : expected.shape[-1]]
    return (-np.expm1(-within.clip(min=0))).astype(np.float32)
