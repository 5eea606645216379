"""Which windows a training step reads: pure functions of seed and step, so that any step can be replayed."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from capsight.data.bases import N_CODE
from capsight.data.stretches import Stretches

Codes = NDArray[np.uint8]
#: Returns the base codes ``(batch_size, length)`` of batch number `index` (of every process together).
Corpus = Callable[[int, int], Codes]


class Shuffled:
    """Endless shuffled passes over `n` rows, cut into batches of any size.

    The order of pass *e* depends on `seed` and *e* alone; batches run across the seam of two passes, so that
    all are full.
    """

    def __init__(self, n: int, seed: int) -> None:
        self.n = n
        self.seed = seed
        self._order: dict[int, NDArray[np.int64]] = {}

    def rows(self, index: int, size: int) -> NDArray[np.int64]:
        """Return the rows of batch `index`, ``(size,)``."""
        places = np.arange(index * size, (index + 1) * size)
        passes, inside = np.divmod(places, self.n)
        return np.concatenate([self._pass(int(p))[inside[passes == p]] for p in np.unique(passes)])

    def _pass(self, number: int) -> NDArray[np.int64]:
        """Return the order of one pass, keeping only the last few in memory."""
        if number not in self._order:
            if len(self._order) > 4:
                self._order.clear()
            self._order[number] = np.random.default_rng([self.seed, number]).permutation(self.n)
        return self._order[number]


class GenomeCorpus:
    """Windows at random places and strands of some stretches of a genome, at most half of each N."""

    def __init__(self, stretches: Stretches, length: int, seed: int) -> None:
        self.length, self.seed = length, seed
        self.stretches = stretches.where(stretches.sizes >= length)
        self._ends = np.cumsum(self.stretches.sizes - length + 1)

    @property
    def places(self) -> int:
        """Number of windows that the stretches hold on one strand."""
        return int(self._ends[-1]) if len(self._ends) else 0

    def codes(self, index: int, size: int) -> Codes:
        """Return batch `index`: ``(size, length)`` base codes, 5'→3'."""
        rng = np.random.default_rng([self.seed, index])
        kept: list[Codes] = []
        missing = size
        while missing:
            drawn = self._draw(rng, missing)
            drawn = drawn[(drawn == N_CODE).mean(axis=1) <= 0.5]
            kept.append(drawn)
            missing -= len(drawn)
        return np.concatenate(kept)

    def _draw(self, rng: np.random.Generator, n: int) -> Codes:
        """Draw `n` windows uniformly over all places and both strands."""
        place = rng.integers(0, self.places, n)
        which = np.searchsorted(self._ends, place, side="right")
        before = np.concatenate([[0], self._ends])[which]
        stretches = self.stretches
        start = stretches.start[which] + place - before
        return stretches.genome.fetch(stretches.contig[which], start, self.length, rng.random(n) < 0.5)


def mask_blocks(
    tokens: NDArray[np.int64], mask: int, fraction: float, span: int, rng: np.random.Generator
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Hide spans of `span` tokens covering about `fraction` of each row.

    Returns
    -------
    masked
        ``(n_windows, n_tokens)`` tokens, hidden ones replaced by `mask`.
    hidden
        ``(n_windows, n_tokens)``, true where the model has to guess.
    """
    starts = rng.random(tokens.shape) < 1 - (1 - fraction) ** (1 / span)
    hidden = starts.copy()
    for i in range(1, span):
        hidden[:, i:] |= starts[:, :-i]
    return np.where(hidden, mask, tokens), hidden
