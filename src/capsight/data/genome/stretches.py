"""Parts of a genome: what a region names, and `Stretches`, of which folds are made."""

import re
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import ArrayLike

from capsight.data.genome.alphabet import Ints, Mask
from capsight.data.genome.genome import Genome, match_contig_name
from capsight.data.naming import region_name
from capsight.errors import ConfigError


class Span(NamedTuple):
    """A contig by name and number, and from where to where; 0-based half-open."""

    chrom: str
    contig: int
    start: int
    end: int


def read_span(genome: Genome, region: str, what: str = "region") -> Span:
    """Read a region as samtools writes it: a contig, or ``contig:first-last``, counted from 1, both ends included.

    Parameters
    ----------
    what
        What the region is, for messages.

    Raises
    ------
    ConfigError
        If it does not lie in the genome.
    """
    name, first, last = region, "", ""
    if region not in genome.names:
        parts = re.fullmatch(r"(.+):([0-9][0-9,]*)-([0-9][0-9,]*)", region)
        if parts:
            name, first, last = parts[1], parts[2].replace(",", ""), parts[3].replace(",", "")
    if name not in genome.names:
        raise _no_contig(genome, region, name, what)
    contig = genome.names.index(name)
    length = int(genome.lengths[contig])
    start, end = (int(first or 0) - 1, int(last or 0)) if first and last else (0, length)
    if not 0 <= start < end:
        raise ConfigError(
            f"{what} {region!r} has no bases", where=genome.path,
            remedy="positions count from 1, and the first comes before the last",
        )  # fmt: skip
    if end > length:
        raise ConfigError(f"{what} {region!r} ends beyond {name}, which has {length:,} bases", where=genome.path)
    return Span(name, contig, start, end)


def _no_contig(genome: Genome, region: str, name: str, what: str) -> ConfigError:
    """Return what is wrong with a region that begins with no contig, or goes on behind one as no region does."""
    own, _, rest = region.rpartition(":")
    stranded = re.fullmatch(r"(.+):[+-]", region)
    if stranded and (stranded[1] in genome.names or stranded[1].rpartition(":")[0] in genome.names):
        fault, remedy = "has a strand, but both strands are read here", f"leave the strand out: {stranded[1]}"
    elif own in genome.names:
        fault, base = f"{rest!r} is not a range of bases", rest.replace(",", "")
        remedy = f"write one base as {own}:{base}-{base}" if base.isdecimal() else f"write it as {own}:1001-2000"
    else:
        fault, other = f"the genome has no contig {name!r}", match_contig_name(name, genome.names)
        remedy = f"did you mean {other}?" if other else f"write it as {genome.names[0]} or {genome.names[0]}:1001-2000"
    return ConfigError(f"{what} {region!r}: {fault}", where=genome.path, remedy=remedy)


@dataclass(frozen=True, eq=False)
class Stretches:
    """Parts of a genome, sorted by contig and start; no two of them overlap or touch. Make them with the methods below.

    Attributes
    ----------
    genome
        The genome.
    contig, start, end
        Number of the contig, and from where to where; 0-based half-open, ``(n_stretches,)``.
    """

    genome: Genome
    contig: Ints
    start: Ints
    end: Ints

    @classmethod
    def from_intervals(cls, genome: Genome, contig: ArrayLike, start: ArrayLike, end: ArrayLike) -> Self:
        """Take parts in any order; those that overlap or touch become one, those without a base are left out."""
        contig, start, end = (np.asarray(column, np.int64) for column in (contig, start, end))
        rows: list[list[int]] = []
        for row in np.lexsort((start, contig)):
            if end[row] <= start[row]:
                continue
            if rows and rows[-1][0] == contig[row] and start[row] <= rows[-1][2]:
                rows[-1][2] = max(rows[-1][2], int(end[row]))
            else:
                rows.append([int(contig[row]), int(start[row]), int(end[row])])
        return cls(genome, *np.array(rows, np.int64).reshape(-1, 3).T)

    @classmethod
    def whole(cls, genome: Genome, contigs: ArrayLike) -> Self:
        """Take whole contigs, by number."""
        contigs = np.asarray(contigs, np.int64)
        return cls.from_intervals(genome, contigs, np.zeros_like(contigs), genome.lengths[contigs])

    @classmethod
    def named(cls, genome: Genome, regions: Iterable[str], what: str = "region") -> Self:
        """Take regions as `read_span` reads them.

        Raises
        ------
        ConfigError
            If one does not lie in the genome.
        """
        spans = [read_span(genome, region, what) for region in regions]
        return cls.from_intervals(genome, *([span[i] for span in spans] for i in (1, 2, 3)))

    @property
    def names(self) -> tuple[str, ...]:
        """The regions as `read_span` reads them; a whole contig is its name."""
        rows = zip(self.contig, self.start, self.end, self.is_whole, strict=True)
        return tuple(
            self.genome.names[contig] if whole else region_name(self.genome.names[contig], start, end)
            for contig, start, end, whole in rows
        )

    @property
    def is_whole(self) -> Mask:
        """Tell which are whole contigs, ``(n_stretches,)``."""
        return (self.start == 0) & (self.end == self.genome.lengths[self.contig])

    @property
    def sizes(self) -> Ints:
        """Bases of each, ``(n_stretches,)``."""
        return self.end - self.start

    @cached_property
    def first(self) -> Ints:
        """Where each begins in `Genome.bases`, ascending, ``(n_stretches,)``."""
        return self.genome.offsets[self.contig] + self.start

    def find(self, contig: int | Ints, position: int | Ints) -> Ints:
        """Return the number of the stretch in which each base lies, -1 where it lies in none."""
        if not len(self.first):
            return np.full(np.shape(position), -1, np.int64)
        at = self.genome.offsets[contig] + position
        row = np.searchsorted(self.first, at, side="right") - 1
        inside = (row >= 0) & (self.contig[row] == contig) & (position >= self.start[row]) & (position < self.end[row])
        return np.where(inside, row, -1)

    def holds(self, contig: Ints, start: Ints, length: int) -> Mask:
        """Tell which windows lie wholly in one stretch, ``(n_windows,)``."""
        row = self.find(contig, start)
        return (row >= 0) & (row == self.find(contig, start + length - 1))

    def where(self, chosen: Mask) -> "Stretches":
        """Return some of the stretches."""
        return Stretches(self.genome, self.contig[chosen], self.start[chosen], self.end[chosen])

    def on(self, contigs: Ints) -> "Stretches":
        """Return the stretches on some contigs."""
        return self.where(np.isin(self.contig, contigs))

    def shared(self, other: "Stretches") -> "Stretches":
        """Return what lies in both."""
        return self._cut(other, inside=True)

    def without(self, other: "Stretches") -> "Stretches":
        """Return what does not lie in the other."""
        return self._cut(other, inside=False)

    def touched(self, regions: Iterable[str]) -> list[str]:
        """Return those of some regions, of this genome or another, that share bases with these stretches."""
        found = []
        for region in sorted(regions):
            with suppress(ConfigError):  # of another genome
                if len(Stretches.named(self.genome, [region]).shared(self).contig):
                    found.append(region)
        return found

    def _cut(self, other: "Stretches", *, inside: bool) -> "Stretches":
        """Return what lies in the other, or what does not."""
        both = (self, other)
        cuts = np.unique(np.concatenate([s.first for s in both] + [s.first + s.sizes for s in both]))
        contig = np.searchsorted(self.genome.offsets, cuts[:-1], side="right") - 1
        start, size = cuts[:-1] - self.genome.offsets[contig], np.diff(cuts)
        kept = (self.find(contig, start) >= 0) & ((other.find(contig, start) >= 0) == inside)
        return Stretches.from_intervals(self.genome, contig[kept], start[kept], (start + size)[kept])
