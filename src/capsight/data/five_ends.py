"""Counts of RNA 5' ends (CTSS), base by base and strand by strand, from BED files or pairs of bigWigs."""

import gzip
import logging
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final, NamedTuple, Self

import numpy as np
import pyarrow as pa
import pyarrow.csv
from numpy.typing import NDArray

from capsight.data.intervals import NO_STRAND, Peak, is_header, read_bed, records
from capsight.data.text import kind_of, open_text
from capsight.errors import InputError

logger = logging.getLogger(__name__)

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]

_COLUMNS: Final = ("chrom", "position", "end", "name", "count", "strand")
_TYPES: Final = {
    "chrom": pa.dictionary(pa.int32(), pa.string()),
    "position": pa.int64(),
    "end": pa.int64(),
    "count": pa.float64(),
    "strand": pa.dictionary(pa.int32(), pa.string()),
}
#: Of a sort key: room for a position on a contig, below the number of contig and strand.
_POSITION_BITS: Final = 40
#: Bases of a bigWig that are read at a time.
_BASES_AT_ONCE: Final = 1 << 20


class _Part(NamedTuple):
    """Counts of one file, in any order; `contig` numbers `names`."""

    names: list[str]
    contig: Ints
    position: Ints
    minus: Mask
    counts: Floats


@dataclass(frozen=True, eq=False)
class FiveEnds:
    """5'-end counts. Sorted by contig, then plus before minus, then position; no place occurs twice.

    Attributes
    ----------
    names
        Contigs, in the order in which the files name them.
    contig, position, minus, count
        Number of the contig, 0-based position, strand and number of 5' ends (above 0) of every place that has any,
        ``(n_places,)``.
    """

    names: tuple[str, ...]
    contig: Ints
    position: Ints
    minus: Mask
    count: Floats

    @cached_property
    def total(self) -> float:
        """All 5' ends."""
        return float(self.count.sum())

    @cached_property
    def _bounds(self) -> Ints:
        """Where the places of each contig and strand begin, and where the last ones end, ``(2 n_contigs + 1,)``."""
        return np.searchsorted(2 * self.contig + self.minus, np.arange(2 * len(self.names) + 1))

    def on(self, chrom: str, strand: str) -> tuple[Ints, Floats]:
        """Return positions (ascending) and counts on one strand of one contig, ``(n,)`` each; none if it is unknown."""
        if chrom not in self.names:
            return np.zeros(0, np.int64), np.zeros(0)
        number = 2 * self.names.index(chrom) + (strand == "-")
        part = slice(self._bounds[number], self._bounds[number + 1])
        return self.position[part], self.count[part]

    def where(self, chosen: Mask) -> Self:
        """Return some of the places."""
        return type(self)(
            self.names, self.contig[chosen], self.position[chosen], self.minus[chosen], self.count[chosen]
        )


def check_named_once(paths: Sequence[Path]) -> None:
    """Refuse files of counts that are named twice.

    Raises
    ------
    InputError
        Naming the file.
    """
    seen: set[Path] = set()
    for path in paths:
        if path.resolve() in seen:
            raise InputError("is named twice: its counts would be doubled", where=path)
        seen.add(path.resolve())


def read_five_ends(counts: Sequence[Path] = (), plus: Sequence[Path] = (), minus: Sequence[Path] = ()) -> FiveEnds:
    """Read 5'-end counts and sum them over files (replicates).

    Parameters
    ----------
    counts
        BED6 (plain, gzip or bgzip) with one record for each place: one base wide, its count as the score.
    plus, minus
        bigWig files of either strand. Counts on minus may be written as negative numbers.

    Raises
    ------
    InputError
        Naming file and line or place, if a file cannot be used or holds no counts.
    """
    parts = [_read_bed(path) for path in counts]
    parts += [_read_bigwig(path, bool(strand)) for strand, paths in enumerate((plus, minus)) for path in paths]
    names = list(dict.fromkeys(name for part in parts for name in part.names))
    number = {name: i for i, name in enumerate(names)}
    contig = np.concatenate([np.array([number[name] for name in part.names], np.int64)[part.contig] for part in parts])
    position, strand, count = (np.concatenate(column) for column in list(zip(*parts, strict=True))[2:])
    ends = _summed(tuple(names), contig, position, strand, count)
    if len(parts) > 1:
        total, places = f"{ends.total:,.10g}", f"{len(ends.count):,}"
        logger.info("5' ends: %s tags at %s positions of %d files", total, places, len(parts))
    return ends


def _summed(names: tuple[str, ...], contig: Ints, position: Ints, minus: Mask, count: Floats) -> FiveEnds:
    """Sort places, and sum the counts of those that occur more than once."""
    key = (2 * contig + minus) << _POSITION_BITS | position
    order = np.argsort(key, kind="stable")
    key = key[order]
    first = np.flatnonzero(np.diff(key, prepend=-1))
    rows = order[first]
    return FiveEnds(names, contig[rows], position[rows], minus[rows], np.add.reduceat(count[order], first))


def _read_bed(path: Path) -> _Part:
    """Read the counts of one BED file: quickly, or line by line where that fails or something is wrong."""
    if kind_of(path) == "bigWig":
        raise InputError("is bigWig, which has no strands", where=path, remedy="name both files: --plus and --minus")
    with open_text(path) as handle:
        first = next(records(handle), None)
    if first is None:
        raise InputError("holds no counts", where=path)
    skip = first.number - (not is_header(first.text))
    return _positive(_read_table(path, skip) or _read_lines(path, skip), path)


def _read_table(path: Path, skip: int) -> _Part | None:
    """Read a table of six columns from below its first `skip` lines; nothing where anything is amiss."""
    opener = gzip.open if kind_of(path) in ("gzip", "bgzip") else open
    try:
        with opener(path, "rb") as handle:
            table = pyarrow.csv.read_csv(
                handle,
                pyarrow.csv.ReadOptions(use_threads=False, skip_rows=skip, column_names=list(_COLUMNS)),
                pyarrow.csv.ParseOptions(delimiter="\t", quote_char=False),
                pyarrow.csv.ConvertOptions(column_types=_TYPES, include_columns=list(_TYPES)),
            )
    except (pa.ArrowException, OSError, EOFError, zlib.error):
        return None
    if any(table[name].null_count for name in _TYPES):
        return None
    chrom, strand = (table[name].unify_dictionaries().combine_chunks() for name in ("chrom", "strand"))
    names, strands = chrom.dictionary.to_pylist(), strand.dictionary.to_pylist()
    position, end, count = (table[name].to_numpy() for name in ("position", "end", "count"))
    places = (position >= 0) & (position < 1 << _POSITION_BITS) & (end == position + 1)
    named = all(name.strip() and not name.startswith("#") for name in names) and set(strands) <= {"+", "-"}
    if not (named and places.all() and (count >= 0).all() and np.isfinite(count).all()):
        return None
    minus = np.array([name == "-" for name in strands], bool)[strand.indices.to_numpy()]
    return _Part(names, chrom.indices.to_numpy().astype(np.int64), position, minus, count)


def _read_lines(path: Path, skip: int) -> _Part:
    """Read a BED file record by record from below its first `skip` lines, and say which one cannot be used."""
    with open_text(path) as handle:
        peaks = read_bed((line for line in records(handle) if line.number > skip), path)
    for peak in peaks:
        _check_count(peak, f"{path}:{peak.line}")
    names = list(dict.fromkeys(peak.chrom for peak in peaks))
    number = {name: i for i, name in enumerate(names)}
    return _Part(
        names,
        np.array([number[peak.chrom] for peak in peaks], np.int64),
        np.array([peak.start for peak in peaks], np.int64),
        np.array([peak.strand == "-" for peak in peaks], bool),
        np.array([peak.score for peak in peaks], np.float64),
    )


def _check_count(peak: Peak, where: str) -> None:
    """Refuse a record that is no 5'-end count."""
    if peak.end - peak.start != 1:
        raise InputError(
            f"is {peak.end - peak.start} bases wide: 5'-end counts stand at single bases", where=where,
            remedy="peaks need no clustering: give them to capsight windows",
        )  # fmt: skip
    if peak.strand == NO_STRAND:
        raise InputError("no strand: 5' ends are counted on either strand", where=where, remedy="BED column 6: + or -")
    if not 0 <= peak.score < np.inf:
        raise InputError(f"the score {peak.score:g} is no count", where=where, remedy="BED column 5: number of 5' ends")


def _positive(part: _Part, path: Path) -> _Part:
    """Leave out places that are listed with a count of zero; say what the file holds."""
    listed = part.counts > 0
    if not listed.any():
        raise InputError("holds no counts above zero", where=path)
    if zeros := int((~listed).sum()):
        logger.info("5' ends %s: %s positions with a count of zero are left out", path.name, f"{zeros:,}")
    kept = _Part(part.names, part.contig[listed], part.position[listed], part.minus[listed], part.counts[listed])
    logger.info("5' ends %s: %s tags at %s positions", path.name, f"{kept.counts.sum():,.10g}", f"{listed.sum():,}")
    return kept


def _read_bigwig(path: Path, minus: bool) -> _Part:
    """Read the counts of one strand."""
    import pyBigWig

    if (kind := kind_of(path)) != "bigWig":
        raise InputError(f"is {kind}, not bigWig", where=path, remedy="counts in BED need no --plus and --minus")
    try:
        with pyBigWig.open(str(path)) as reader:
            names = list(reader.chroms())
            found = [_intervals(reader, name, size) for name, size in reader.chroms().items()]
    except RuntimeError:
        raise InputError("is truncated or damaged", where=path, remedy="fetch it again") from None
    sizes = [len(values) for _, values in found]
    contig = np.repeat(np.arange(len(names)), sizes)
    position, count = (np.concatenate(column) for column in zip(*found, strict=True)) if found else np.zeros((2, 0))
    if minus and (count <= 0).all():
        count = -count
    if not np.isfinite(count).all() or (count < 0).any():
        bad = int(np.flatnonzero(~np.isfinite(count) | (count < 0))[0])
        place = f"{names[contig[bad]]}:{position[bad]}"
        raise InputError(f"the value {count[bad]:g} is no count", where=f"{path}: {place}")
    return _positive(_Part(names, contig, position.astype(np.int64), np.full(len(count), minus), count), path)


def _intervals(reader: Any, name: str, size: int) -> tuple[Ints, Floats]:
    """Return the places of one contig that have a value, base by base, and the values."""
    positions, counts = [np.zeros(0, np.int64)], [np.zeros(0)]
    for begin in range(0, size, _BASES_AT_ONCE):
        stop = min(begin + _BASES_AT_ONCE, size)
        if found := reader.intervals(name, begin, stop):
            table = np.array(found)
            start, end = (np.clip(table[:, i].astype(np.int64), begin, stop) for i in (0, 1))
            width = end - start
            first = np.cumsum(width) - width
            positions.append(np.arange(int(width.sum())) + np.repeat(start - first, width))
            counts.append(np.repeat(table[:, 2], width))
    return np.concatenate(positions), np.concatenate(counts)
