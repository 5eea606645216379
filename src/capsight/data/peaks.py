"""CAGE peaks from BED files, and how far places of the genome are from them."""

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from capsight.data import schema
from capsight.data.genome import Genome, Ints, Mask, namesake, open_text
from capsight.errors import InputError

logger = logging.getLogger(__name__)

_NO_RECORD: Final = ("#", "track", "browser")


class _Peak(NamedTuple):
    """One BED record. `summit` is -1 where the file has none; `line` counts from 1."""

    chrom: str
    start: int
    end: int
    name: str
    score: float
    strand: str
    summit: int
    line: int


def read_peaks(path: Path, genome: Genome) -> pd.DataFrame:
    """Read CAGE peaks from BED6 to BED12, plain or gzipped.

    The summit is thickStart where the file uses it (thickEnd = thickStart + 1, inside the peak, as in
    FANTOM5's BED9); elsewhere it is the 5' end of the peak on its strand: the first base on +, the last on -.

    Parameters
    ----------
    path
        BED file, 0-based half-open.
    genome
        The genome that the coordinates belong to.

    Returns
    -------
    peaks
        One row per record in file order, columns `schema.PEAK_COLUMNS`; a missing score is NaN.

    Raises
    ------
    InputError
        Naming file and line, if a record cannot be used or does not lie in the genome.
    """
    with open_text(path) as handle:
        parsed = [
            _parse(line, f"{path}:{number}", number)
            for number, line in enumerate(handle, start=1)
            if line.strip() and not line.startswith(_NO_RECORD)
        ]
    if not parsed:
        raise InputError("holds no peaks", where=path)
    table = pd.DataFrame(parsed)
    _check_places(table, path, genome)
    without = table[schema.SUMMIT] < 0
    five_prime = np.where(table[schema.STRAND] == "+", table[schema.START], table[schema.END] - 1)
    table[schema.SUMMIT] = table[schema.SUMMIT].where(~without, five_prime)
    _report(table, path, int(without.sum()))
    return table[list(schema.PEAK_COLUMNS)]


def _parse(line: str, where: str, number: int) -> _Peak:
    """Read one BED line."""
    text = line.rstrip("\r\n")
    fields = text.split("\t") if "\t" in text else text.split()
    strand = fields[5].strip() if len(fields) > 5 else "."
    if strand == "." and len(fields) >= 3:
        raise InputError(
            "no strand: a cap site is a position on one strand", where=where,
            remedy="BED column 6 must be + or -",
        )  # fmt: skip
    if len(fields) < 6:
        raise InputError(f"is not BED: {len(fields)} columns, at least 6 are needed", where=where)
    if strand not in ("+", "-"):
        raise InputError(f"strand {strand!r} is neither + nor -", where=where)
    start, end = _position(fields[1], "start", where), _position(fields[2], "end", where)
    if start >= end:
        raise InputError(
            f"start {start} is not below end {end}",
            where=where,
            remedy="BED is 0-based half-open: end = start + length",
        )
    summit = _summit(fields, start, end, where)
    return _Peak(fields[0], start, end, fields[3], _score(fields[4], where), strand, summit, number)


def _position(text: str, what: str, where: str) -> int:
    """Read a coordinate."""
    plain = text.strip()
    if plain.startswith("-") and plain[1:].isdecimal():
        raise InputError(f"{what} {plain} is negative", where=where)
    if not (plain.isdecimal() and plain.isascii()):
        raise InputError(f"{what} {text!r} is not an integer", where=where)
    return int(plain)


def _score(text: str, where: str) -> float:
    """Read a score; BED writes ``.`` for a missing one."""
    try:
        return float("nan") if text == "." else float(text)
    except ValueError:
        raise InputError(f"score {text!r} is not a number", where=where) from None


def _summit(fields: list[str], start: int, end: int, where: str) -> int:
    """Return thickStart where it is used as the summit, else -1."""
    if len(fields) < 8:
        return -1
    if not (fields[6].isdecimal() and fields[7].isdecimal()):
        raise InputError(
            f"thickStart and thickEnd, {fields[6]!r} and {fields[7]!r}, are not integers", where=where,
            remedy="is this narrowPeak? cut it to its first six columns",
        )  # fmt: skip
    first, after = int(fields[6]), int(fields[7])
    return first if after == first + 1 and start <= first < end else -1


def _check_places(table: pd.DataFrame, path: Path, genome: Genome) -> None:
    """Refuse the first peak that does not lie in the genome."""
    contig = genome.index(table[schema.CHROM])
    ends = np.where(contig < 0, 0, genome.lengths[contig])
    bad = np.flatnonzero((contig < 0) | (table[schema.END].to_numpy() > ends))
    if not len(bad):
        return
    first = table.iloc[bad[0]]
    where, chrom = f"{path}:{first['line']}", first[schema.CHROM]
    if contig[bad[0]] >= 0:
        raise InputError(
            f"the peak ends at {first[schema.END]}, but {chrom} has {ends[bad[0]]} bases", where=where,
            remedy=f"are these peaks of another assembly than {genome.path.name}?",
        )  # fmt: skip
    if other := namesake(chrom, genome.names):
        raise InputError(
            f"contig {chrom!r} is not in {genome.path.name}, which has {other!r}", where=where,
            remedy="rename the contigs so that both files agree",
        )  # fmt: skip
    lost = table.loc[contig < 0, schema.CHROM]
    raise InputError(
        f"contig {chrom!r} is not in {genome.path.name}, which has {_some(genome.names)}", where=where,
        remedy=f"{len(lost)} of {len(table)} peaks lie on contigs that it lacks: {_some(lost.unique())}",
    )  # fmt: skip


def _some(names: object) -> str:
    """Name the first few of many."""
    listed = list(names)  # type: ignore[call-overload]
    return ", ".join(listed[:5]) + (f" and {len(listed) - 5} more" if len(listed) > 5 else "")


def _report(table: pd.DataFrame, path: Path, without: int) -> None:
    """Say how many peaks there are, and what their summits are."""
    place = [schema.CHROM, schema.START, schema.END, schema.STRAND]
    logger.info("peaks %s: %d peaks on %d contigs", path.name, len(table), table[schema.CHROM].nunique())
    if without:
        logger.info("peaks %s: no summit for %d of %d: their 5' end is used", path.name, without, len(table))
    if repeated := int(table.duplicated(place).sum()):
        logger.info("peaks %s: %d peaks repeat the place of an earlier one", path.name, repeated)


@dataclass(frozen=True, eq=False)
class PeakIndex:
    """Where peaks begin and end, on either strand, contigs laid end to end: finds what is near.

    Attributes
    ----------
    genome
        The genome of the peaks.
    starts, ends
        Ascending, each on its own, in the coordinates of `Genome.bases`, ``(n_peaks,)``.
    """

    genome: Genome
    starts: NDArray[np.int64]
    ends: NDArray[np.int64]

    @classmethod
    def of(cls, peaks: pd.DataFrame, genome: Genome, margin: int = 0) -> "PeakIndex":
        """Index peaks widened by `margin` bases on both sides, at most to the ends of their contigs."""
        contig = genome.index(peaks[schema.CHROM])
        start = np.maximum(peaks[schema.START].to_numpy() - margin, 0)
        end = np.minimum(peaks[schema.END].to_numpy() + margin, genome.lengths[contig])
        return cls(genome, np.sort(genome.offsets[contig] + start), np.sort(genome.offsets[contig] + end))

    def overlaps(self, contig: Ints, start: Ints, length: int) -> Mask:
        """Tell which windows share a base with a (widened) peak."""
        first = self.genome.offsets[contig] + start
        begun = np.searchsorted(self.starts, first + length, side="left")
        ended = np.searchsorted(self.ends, first, side="right")
        return begun > ended

    def distance(self, contig: Ints, start: Ints, length: int) -> Ints:
        """Return the gap in bases to the nearest peak: 0 if they touch, -1 if none is there."""
        first, far = self.genome.offsets[contig] + start, np.iinfo(np.int64).max
        low, high = self.genome.offsets[contig], self.genome.offsets[contig] + self.genome.lengths[contig]
        right = np.append(self.starts, far)[np.searchsorted(self.starts, first + length, side="left")]
        left = np.append(-1, self.ends)[np.searchsorted(self.ends, first, side="right")]
        gap_right = np.where(right < high, right - (first + length), far)
        gap_left = np.where(left > low, first - left, far)
        gap = np.minimum(gap_left, gap_right)
        gap[gap == far] = -1
        return np.where(self.overlaps(contig, start, length), 0, gap)
