"""The crops that the track network is trained on: pieces of the training chromosomes, on either strand.

Crop number i is a pure function of a seed and i, so a training that was interrupted goes on with the same crops. Two
kinds are drawn, by `CropsConfig`: around summits of peaks, and anywhere. A summit lies at a random place of its crop:
at the edge as often as in the middle. The others cut both strands of all contigs into crops, from another base on in
every pass, and are read in random order: the genome is seen as it is, so that the network has met in training what a
scan will show it.

Of a part of a contig, crops lie wholly inside: their halo may reach beyond, but nothing that is learned from does.
"""

import logging
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from capsight.config.track import CropsConfig
from capsight.data.ctss.ctss import Ctss
from capsight.data.ctss.table import ctss_from_summits, place_numbers
from capsight.data.genome.alphabet import Codes, Ints
from capsight.data.genome.genome import Genome
from capsight.data.genome.stretches import Stretches
from capsight.errors import ConfigError, InputError

logger = logging.getLogger(__name__)

Floats = NDArray[np.float32]


class Places(NamedTuple):
    """Where crops lie, each ``(n,)``: number of the contig, strand, and leftmost base of the crop without its halo."""

    contig: Ints
    minus: NDArray[np.bool_]
    start: Ints


class Crops(NamedTuple):
    """Some crops, 5'→3' on their own strand.

    Attributes
    ----------
    codes
        Bases 0 to 4 with a halo on either side, ``(n, length + 2 * halo)``; N outside the contig.
    tags, summits
        5' ends and summits of peaks at each base of the crop itself, ``(n, length)``.
    """

    codes: Codes
    tags: Floats
    summits: Floats


@dataclass(frozen=True, eq=False)
class CropSource:
    """Where crops come from.

    Attributes
    ----------
    genome
        The genome.
    tags, summits
        5' ends and summits of peaks; those elsewhere are never read.
    stretches
        What to draw from: whole contigs, or parts that are no shorter than a crop (`croppable`).
    halo
        Bases of context on either side.
    config
        Length, and how often each kind is drawn.
    seed
        Of the draws.
    """

    genome: Genome
    tags: Ctss
    summits: Ctss
    stretches: Stretches
    halo: int
    config: CropsConfig
    seed: int

    @classmethod
    def from_windows(
        cls,
        genome: Genome,
        tags: Ctss,
        peaks: pd.DataFrame,
        names: list[str],
        halo: int,
        config: CropsConfig,
        seed: int,
    ) -> Self:
        """Take the summits of peaks (`schema.PEAK_COLUMNS`) on the contigs `names`, which may be regions.

        Raises
        ------
        ValueError
            If a contig is unknown.
        """
        try:
            stretches = Stretches.named(genome, names)
        except ConfigError as error:
            raise ValueError(f"contigs {names} are not all in the genome") from error
        return cls(genome, tags, ctss_from_summits(peaks, genome), stretches, halo, config, seed)

    def batch(self, index: int) -> Crops:
        """Return batch number `index`: crops ``index * batch_size`` and those that follow."""
        return self.at(*self.places(index))

    def places(self, index: int) -> Places:
        """Return where the crops of batch number `index` lie."""
        first = index * self.config.batch_size
        drawn = np.array([self._draw(i) for i in range(first, first + self.config.batch_size)], np.int64)
        return Places(drawn[:, 0], drawn[:, 1].astype(bool), drawn[:, 2])

    def at(self, contig: Ints, minus: NDArray[np.bool_], start: Ints) -> Crops:
        """Read crops whose leftmost base (of the crop itself) is `start` of a contig, each ``(n,)``."""
        length = self.config.length
        codes = self.genome.fetch(contig, start - self.halo, length + 2 * self.halo, minus)
        tags, summits = (
            self._counts(places, numbers, contig, minus, start, length)
            for places, numbers in ((self.tags, self._tag_numbers), (self.summits, self._summit_numbers))
        )
        return Crops(codes, tags, summits)

    def _draw(self, i: int) -> tuple[int, int, int]:
        """Return contig, strand (1 is minus) and start of crop number `i`."""
        rng = np.random.default_rng([self.seed, i])
        kind, shift = rng.random(), int(rng.integers(self.config.length))
        if kind >= self.config.peak_fraction or not len(self._peaks):
            number, place = divmod(i, self.crops_per_pass)
            if number not in self._passes:
                self._passes.clear()
                self._passes[number] = self._cut(np.random.default_rng([self.seed, 2, number]))
            contig, minus, start = map(int, self._passes[number][place])
            return contig, minus, start
        row = int(rng.choice(self._peaks))
        contig, start = int(self.summits.contig[row]), int(self.summits.position[row]) - shift
        number = int(self.stretches.find(contig, self.summits.position[row]))
        if not self.stretches.is_whole[number]:  # moved into the part
            first, end = self.stretches.start[number], self.stretches.end[number]
            start = int(np.clip(start, first, end - self.config.length))
        return contig, int(self.summits.minus[row]), start

    @property
    def crops_per_pass(self) -> int:
        """Number of crops in which every base of both strands of whole contigs is read once.

        Of a part of a contig some bases at its ends are left out, others in every pass.
        """
        return 2 * int(self._crops_per_strand.sum())

    def _cut(self, rng: np.random.Generator) -> Ints:
        """Cut each strand of each stretch into crops; shuffle them.

        The first begins up to a crop before a contig; in a part of one, as far from its start as all of them allow.
        """
        parts, stretches = [], self.stretches
        for contig, begin, size, whole, n in zip(
            stretches.contig, stretches.start, stretches.sizes, stretches.is_whole, self._crops_per_strand, strict=True
        ):
            room = self.config.length if whole else size - n * self.config.length + 1
            for minus in (0, 1):
                first = -int(rng.integers(room)) if whole else int(begin) + int(rng.integers(room))
                start = first + self.config.length * np.arange(n)
                parts.append(np.stack([np.full(n, contig), np.full(n, minus), start], axis=1))
        return rng.permutation(np.concatenate(parts))

    @cached_property
    def _crops_per_strand(self) -> Ints:
        return crops_per_strand(self.stretches, self.config.length)

    @cached_property
    def _passes(self) -> dict[int, Ints]:
        """The crops of the pass that is being read: contig, strand and start, ``(n_crops, 3)``."""
        return {}

    def _counts(
        self, tags: Ctss, numbers: Ints, contig: Ints, minus: NDArray[np.bool_], start: Ints, length: int
    ) -> Floats:
        """Return the counts at each base of crops, 5'→3', ``(n, length)``."""
        size = self.genome.lengths[contig]
        origin = place_numbers(self.genome, contig, minus.astype(np.int64), np.zeros_like(contig))
        first = np.searchsorted(numbers, origin + np.clip(start, 0, size))
        last = np.searchsorted(numbers, origin + np.clip(start + length, 0, size))
        counts = np.zeros((len(contig), length), np.float32)
        for row, (a, b) in enumerate(zip(first, last, strict=True)):
            counts[row, tags.position[a:b] - start[row]] = tags.counts[a:b]
        counts[minus] = counts[minus, ::-1]
        return counts

    @cached_property
    def _tag_numbers(self) -> Ints:
        return place_numbers(self.genome, self.tags.contig, self.tags.minus, self.tags.position)

    @cached_property
    def _summit_numbers(self) -> Ints:
        return place_numbers(self.genome, self.summits.contig, self.summits.minus, self.summits.position)

    @cached_property
    def _peaks(self) -> Ints:
        """Rows of the summits to draw from."""
        return np.flatnonzero(self.stretches.find(self.summits.contig, self.summits.position) >= 0)


def crops_per_strand(stretches: Stretches, length: int) -> Ints:
    """Return crops of a strand, ``(n_stretches,)``: what covers a contig wherever the first begins, or fits a part."""
    return np.where(stretches.is_whole, 1 + -(-(stretches.sizes - 1) // length), stretches.sizes // length)


def croppable(stretches: Stretches, length: int, what: str) -> Stretches:
    """Return the stretches that crops can be cut from: whole contigs, and parts that are no shorter than a crop.

    Raises
    ------
    InputError
        If there is none.
    """
    short = ~stretches.is_whole & (stretches.sizes < length)
    if len(short) and short.all():
        raise InputError(
            f"{what} fold: no region of it is as long as a crop ({length:,} bases)", remedy="lower crops.length"
        )
    if short.any():
        logger.warning(
            "train: regions of the %s fold that are shorter than a crop (%s bases) are left out: %s",
            what, f"{length:,}", ", ".join(stretches.where(short).names),
        )  # fmt: skip
    return stretches.where(~short)
