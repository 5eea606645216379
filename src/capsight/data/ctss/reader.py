"""Counts of RNA 5' ends (CTSS), base by base and strand by strand: BED, or pairs of bigWig or bedGraph files."""

import gzip
import logging
import math
import zlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple, TextIO

import numpy as np
import pyarrow as pa
import pyarrow.csv

from capsight.data.ctss.ctss import POSITION_BITS, Ctss
from capsight.data.genome.alphabet import Floats, Ints
from capsight.data.io.bed import BED, NO_STRAND, Peak, is_header, read_bed, read_records, records, span, split
from capsight.data.io.bigwig import BigWig
from capsight.data.io.text import given, open_text, readable, sniff_format
from capsight.errors import InputError

logger = logging.getLogger(__name__)

_COLUMNS: Final = ("chrom", "position", "end", "name", "count", "strand")
_BEDGRAPH_COLUMNS: Final = ("chrom", "position", "end", "count")
_TYPES: Final = {
    "chrom": pa.dictionary(pa.int32(), pa.string()),
    "position": pa.int64(),
    "end": pa.int64(),
    "count": pa.float64(),
    "strand": pa.dictionary(pa.int32(), pa.string()),
}
#: Bases of a bigWig that are read at a time.
_BASES_AT_ONCE: Final = 1 << 20
#: No sample has 5' ends at more positions; coverage has, and would fill the memory.
_MOST_POSITIONS: Final = 1 << 28
#: How the lines of UCSC's wiggle format begin.
_WIGGLE: Final = ("fixedStep", "variableStep")


class CtssFile(NamedTuple):
    """What files hold: names of contigs, in the order in which the files have them, and counts by their numbers.

    Of one file, the places are in any order, and may occur more than once.
    """

    names: tuple[str, ...]
    ctss: Ctss


def check_named_once(paths: Sequence[Path]) -> None:
    """Refuse files of counts that are named twice.

    Raises
    ------
    InputError
        Naming the file.
    """
    seen: set[Path] = set()
    for path in paths:
        if given(path).resolve() in seen:
            raise InputError("is named twice: its counts would be doubled", where=path)
        seen.add(given(path).resolve())


def read_ctss(
    counts: Sequence[Path] = (),
    plus: Sequence[Path] = (),
    minus: Sequence[Path] = (),
    options: tuple[str, str] | None = ("--plus", "--minus"),
) -> CtssFile:
    """Read 5'-end counts and sum them over files (replicates).

    Parameters
    ----------
    counts
        BED6 (plain, gzip or bgzip) with one record for each place: one base wide, its count as the score.
    plus, minus
        bigWig or bedGraph files of either strand. Counts on minus may be written as negative numbers.
    options
        What the caller's user writes for `plus` and `minus`; None if there are no such options.

    Raises
    ------
    InputError
        Naming file and line or place, if a file cannot be used or holds no counts.
    """
    parts = [_read_bed(path, options) for path in counts]
    for on_minus, paths in ((False, plus), (True, minus)):
        parts += [_read_strand(path, on_minus, options or ("plus", "minus")) for path in paths]
    names = tuple(dict.fromkeys(name for part in parts for name in part.names))
    number = {name: i for i, name in enumerate(names)}
    contig = [np.array([number[name] for name in part.names], np.int64)[part.ctss.contig] for part in parts]
    others = list(zip(*(part.ctss for part in parts), strict=True))[1:]
    ctss = Ctss.summed(*(np.concatenate(column) for column in (contig, *others)))
    if len(parts) > 1:
        total, places = f"{ctss.counts.sum():,.10g}", f"{len(ctss.counts):,}"
        logger.info("5' ends: %s tags at %s positions of %d files", total, places, len(parts))
    return CtssFile(names, ctss)


def _read_bed(path: Path, options: tuple[str, str] | None) -> CtssFile:
    """Read the counts of one BED file: quickly, or line by line where that fails or something is wrong."""
    remedy = (
        f"name both files: {options[0]} and {options[1]}" if options else "make BED6 of it: docs/formats.md shows how"
    )
    if sniff_format(path) == "bigWig":
        raise InputError("is bigWig, which has no strands", where=path, remedy=remedy)
    with open_text(path) as handle:
        first = next(records(handle), None)
    if first is None:
        raise InputError("holds no counts", where=path)
    if first.text.startswith(_WIGGLE):
        raise InputError("is wiggle, which has no strands", where=path, remedy=f"UCSC's wigToBigWig, then {remedy}")
    if len(split(first.text)) == len(_BEDGRAPH_COLUMNS):
        raise InputError("is bedGraph (4 columns), which has no strands", where=path, remedy=remedy)
    skip = first.number - (not is_header(first.text))
    if (table := _read_table(path, skip, _COLUMNS)) is None or (part := _of_table(table)) is None:
        part = _read_lines(path, skip)
    return _positive(part, path)


def _read_table(path: Path, skip: int, columns: Sequence[str]) -> pa.Table | None:
    """Read a table of tab-separated columns from below its first `skip` lines; nothing where anything is amiss."""
    opener = gzip.open if sniff_format(path) in ("gzip", "bgzip") else open
    types = {name: kind for name, kind in _TYPES.items() if name in columns}
    try:
        with opener(readable(path), "rb") as handle:
            table = pyarrow.csv.read_csv(
                handle,
                pyarrow.csv.ReadOptions(use_threads=False, skip_rows=skip, column_names=list(columns)),
                pyarrow.csv.ParseOptions(delimiter="\t", quote_char=False),
                pyarrow.csv.ConvertOptions(column_types=types, include_columns=list(types)),
            )
    except (pa.ArrowException, OSError, EOFError, zlib.error):
        return None
    return None if any(table[name].null_count for name in types) else table


def _of_table(table: pa.Table) -> CtssFile | None:
    """Return the counts of a table of BED6; nothing where a record is none."""
    (names, contig), (strands, strand) = (_encoded(table, name) for name in ("chrom", "strand"))
    position, end, count = (table[name].to_numpy() for name in ("position", "end", "count"))
    places = (position >= 0) & (position < 1 << POSITION_BITS) & (end == position + 1)
    if not (_are_names(names) and set(strands) <= {"+", "-"} and places.all()):
        return None
    if not ((count >= 0).all() and np.isfinite(count).all()):
        return None
    minus = np.array([name == "-" for name in strands], np.int64)[strand]
    return CtssFile(tuple(names), Ctss(contig, position, minus, count))


def _encoded(table: pa.Table, name: str) -> tuple[list[str], Ints]:
    """Return the distinct values of a column, and which one each row has."""
    column = table[name].unify_dictionaries().combine_chunks()
    return column.dictionary.to_pylist(), column.indices.to_numpy().astype(np.int64)


def _are_names(names: Iterable[str]) -> bool:
    """Tell whether these are contigs and not comments, or lines of other things."""
    return all(name.strip() and not name.startswith(("#", "track", "browser", '"')) for name in names)


def _read_lines(path: Path, skip: int) -> CtssFile:
    """Read a BED file record by record from below its first `skip` lines, and say which one cannot be used."""
    peaks = []
    with open_text(path) as handle:
        for row in read_records((line for line in records(handle) if line.number > skip), path):
            [peak] = read_bed([row], BED, path)
            _check_count(peak, row.where)
            peaks.append(peak)
    names = tuple(dict.fromkeys(peak.chrom for peak in peaks))
    number = {name: i for i, name in enumerate(names)}
    ctss = Ctss(
        np.array([number[peak.chrom] for peak in peaks], np.int64),
        np.array([peak.start for peak in peaks], np.int64),
        np.array([peak.strand == "-" for peak in peaks], np.int64),
        np.array([peak.score for peak in peaks], np.float64),
    )
    return CtssFile(names, ctss)


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


def _positive(part: CtssFile, path: Path, zeros: int = 0) -> CtssFile:
    """Leave out places that are listed with a count of zero; say what the file holds."""
    listed = part.ctss.counts > 0
    if not listed.any():
        raise InputError("holds no counts above zero", where=path)
    if zeros := zeros + int((~listed).sum()):
        logger.info("5' ends %s: %s positions with a count of zero are left out", path.name, f"{zeros:,}")
    kept = part.ctss.where(listed)
    logger.info("5' ends %s: %s tags at %s positions", path.name, f"{kept.counts.sum():,.10g}", f"{listed.sum():,}")
    return CtssFile(part.names, kept)


def _read_strand(path: Path, minus: bool, options: tuple[str, str]) -> CtssFile:
    """Read the counts of one strand from bigWig or bedGraph."""
    kind = sniff_format(path)
    if kind == "bigWig":
        names, contig, position, count, zeros = _laid_out(_bigwig_blocks(path), path)
    elif kind in ("text", "gzip", "bgzip"):
        names, contig, position, count, zeros = _laid_out(_bedgraph_blocks(path, options), path)
        key = np.sort(contig << POSITION_BITS | position)
        if len(again := np.flatnonzero(key[1:] == key[:-1])):
            repeated = int(key[again[0]])
            where = f"{path}: {names[repeated >> POSITION_BITS]}:{repeated & (1 << POSITION_BITS) - 1}"
            raise InputError("has two values", where=where, remedy="one file for each strand and sample")
    else:
        raise InputError(f"is {kind}, neither bigWig nor bedGraph", where=path)
    if minus and (count <= 0).all():
        count = -count
    if not np.isfinite(count).all() or (count < 0).any():
        bad = int(np.flatnonzero(~np.isfinite(count) | (count < 0))[0])
        place = f"{names[contig[bad]]}:{position[bad]}"
        raise InputError(
            f"the value {count[bad]:g} is no count", where=f"{path}: {place}",
            remedy=f"{options[0]} takes numbers from 0 on, {options[1]} such numbers or their negatives",
        )  # fmt: skip
    ctss = Ctss(contig, position, np.full(len(count), int(minus)), count)
    return _positive(CtssFile(tuple(names), ctss), path, zeros)


class _Block(NamedTuple):
    """Some intervals of one contig, 0-based half-open, and the value of each."""

    chrom: str
    start: Ints
    end: Ints
    value: Floats


def _laid_out(blocks: Iterable[_Block], path: Path) -> tuple[list[str], Ints, Ints, Floats, int]:
    """Lay intervals out base by base, those of value zero left out.

    Returns
    -------
    names
        Contigs in the order of the blocks.
    contig, position, value
        Of each base, ``(n,)``.
    zeros
        How many bases have the value zero.
    """
    number: dict[str, int] = {}
    contigs, positions, values = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)], [np.zeros(0)]
    zeros = total = 0
    for chrom, start, end, value in blocks:
        contig = number.setdefault(chrom, len(number))
        width = end - start
        listed = value != 0
        zeros += int(width[~listed].sum())
        start, width, value = start[listed], width[listed], value[listed]
        total += int(width.sum())
        if total > _MOST_POSITIONS:
            raise InputError(
                f"has values at more than {_MOST_POSITIONS:,} positions: this is coverage, and not counts of 5' ends",
                where=path,
            )
        first = np.cumsum(width) - width
        contigs.append(np.full(int(width.sum()), contig))
        positions.append(np.arange(int(width.sum())) + np.repeat(start - first, width))
        values.append(np.repeat(value, width))
    return list(number), np.concatenate(contigs), np.concatenate(positions), np.concatenate(values), zeros


def _bigwig_blocks(path: Path) -> Iterator[_Block]:
    """Yield the intervals of a bigWig, a bounded stretch of a contig at a time."""
    with BigWig(path) as bigwig:
        for name, size in bigwig.chroms.items():
            yield _Block(name, np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0))
            for begin in range(0, size, _BASES_AT_ONCE):
                yield _Block(name, *bigwig.intervals(name, begin, min(begin + _BASES_AT_ONCE, size)))


def _bedgraph_blocks(path: Path, options: tuple[str, str]) -> Iterator[_Block]:
    """Yield the intervals of a bedGraph: quickly, or line by line where that fails or something is wrong."""
    with open_text(path) as handle:
        first = next(records(handle), None)
    if first is None:
        raise InputError("holds no counts", where=path)
    if first.text.startswith(_WIGGLE):
        raise InputError(
            "is wiggle, not bigWig or bedGraph", where=path, remedy="UCSC's wigToBigWig makes bigWig of it"
        )
    if (columns := len(split(first.text))) != len(_BEDGRAPH_COLUMNS):
        raise InputError(
            f"has {columns} columns: is neither bigWig nor bedGraph, which has 4", where=f"{path}:{first.number}",
            remedy=f"counts in BED6 need no {options[0]} and {options[1]}",
        )  # fmt: skip
    skip = first.number - (not is_header(first.text))
    table = _read_table(path, skip, _BEDGRAPH_COLUMNS)
    if table is not None and len(table):
        names, contig = _encoded(table, "chrom")
        start, end, value = (table[name].to_numpy() for name in ("position", "end", "count"))
        if _are_names(names) and ((start >= 0) & (start < end) & (end < 1 << POSITION_BITS)).all():
            for i, name in enumerate(names):
                here = contig == i
                yield _Block(name, start[here], end[here], value[here])
            return
    with open_text(path) as handle:
        yield from _bedgraph_lines(handle, skip, path)


def _bedgraph_lines(handle: TextIO, skip: int, path: Path) -> Iterator[_Block]:
    """Yield the intervals of a bedGraph one by one, and say which record cannot be used."""
    for number, text in enumerate(handle, start=1):
        where = f"{path}:{number}"
        if number <= skip or not text.strip() or text.startswith(("#", "browser")):
            continue
        if text.startswith("track"):
            raise InputError(
                "a second track begins: two strands or samples in one file?", where=where,
                remedy="one file for each strand and sample",
            )  # fmt: skip
        fields = split(text.rstrip("\r\n"))
        if len(fields) != len(_BEDGRAPH_COLUMNS):
            raise InputError(f"{len(fields)} columns, but bedGraph has 4", where=where)
        start, end = span(fields[0], fields[1], fields[2], where)
        try:
            value = float(fields[3])
        except ValueError:
            raise InputError(f"the value {fields[3][:30]!r} is not a number", where=where) from None
        if not math.isfinite(value):
            raise InputError(f"the value {fields[3][:30]} is no count", where=where)
        yield _Block(fields[0], np.array([start]), np.array([end]), np.array([value]))
