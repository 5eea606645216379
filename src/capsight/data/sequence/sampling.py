"""Which windows a training step reads: pure functions of seed and step, so that any step can be replayed."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from capsight.data.genome.alphabet import N_CODE, composition
from capsight.data.genome.stretches import Stretches
from capsight.errors import InputError

Codes = NDArray[np.uint8]
#: Returns the base codes ``(batch_size, length)`` of batch number `index` (of every process together).
Corpus = Callable[[int, int], Codes]
#: Bins of GC content.
GC_BINS = 25


class EpochShuffler:
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


class RandomGenomeWindows:
    """Windows at random places and strands of some stretches of a genome, at most half of each N.

    Given windows to be `like`, those drawn have about the same GC content.
    """

    #: Windows that the GC content of the genome is measured on.
    MEASURED = 20_000
    #: A window of a rare GC content is drawn at most so many times as often as by chance.
    MOST_OFTEN = 8

    def __init__(self, stretches: Stretches, length: int, seed: int, like: Codes | None = None) -> None:
        self.length, self.seed = length, seed
        self.stretches = stretches.where(stretches.sizes >= length)
        self._ends = np.cumsum(self.stretches.sizes - length + 1)
        self._accepted = None if like is None or not self.places else self._match(like)

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
            drawn = self._draw(rng, missing if self._accepted is None else missing * self.MOST_OFTEN)
            drawn = drawn[(drawn == N_CODE).mean(axis=1) <= 0.5]
            if self._accepted is not None:
                drawn = drawn[rng.random(len(drawn)) < self._accepted[_gc_bins(drawn)]][:missing]
            kept.append(drawn)
            missing -= len(drawn)
        return np.concatenate(kept)

    def _match(self, like: Codes) -> NDArray[np.float64]:
        """Return the probability with which a window of each bin of GC content is kept.

        Raises
        ------
        InputError
            If the genome has next to no windows of such a GC content.
        """
        drawn = self._draw(np.random.default_rng([self.seed, 0, 1]), self.MEASURED)
        found = np.bincount(_gc_bins(drawn), minlength=GC_BINS) / len(drawn)
        wanted = np.bincount(_gc_bins(like), minlength=GC_BINS) / len(like)
        odds = np.divide(wanted, found, out=np.zeros(GC_BINS), where=found > 0)
        accepted = np.minimum(odds, self.MOST_OFTEN) / self.MOST_OFTEN
        if (accepted * found).sum() < 1e-3:
            raise InputError(
                "the genome has next to no windows of the GC content of the training positives",
                remedy="set match_gc to false, or name the genome of a related species",
            )
        return accepted

    def _draw(self, rng: np.random.Generator, n: int) -> Codes:
        """Draw `n` windows uniformly over all places and both strands."""
        place = rng.integers(0, self.places, n)
        which = np.searchsorted(self._ends, place, side="right")
        before = np.concatenate([[0], self._ends])[which]
        stretches = self.stretches
        start = stretches.start[which] + place - before
        return stretches.genome.fetch(stretches.contig[which], start, self.length, rng.random(n) < 0.5)


def _gc_bins(codes: Codes) -> NDArray[np.int64]:
    """Return the bin of the GC content of each window, ``(n_windows,)``."""
    return np.minimum((composition(codes).gc * GC_BINS).astype(np.int64), GC_BINS - 1)


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
