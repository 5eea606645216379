"""Peaks from files of intervals: BED and its relatives, and the CSV of Haldar et al. 2026.

BED3 to BED12 (with any columns behind), narrowPeak, broadPeak and gappedPeak have no mark that tells them apart, so
`recognise` looks at all columns of all records.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from capsight.errors import InputError

#: Strand of a record that has none.
NO_STRAND: Final = "."
#: Columns that the paper's CSV has; it may have others, and in any order.
PAPER_COLUMNS: Final = ("chromosomeID", "start_coordinate", "end_coordinate")

#: How R (GenomicRanges) writes that there is no strand.
_ANY_STRAND: Final = "*"
_STRAND_COLUMN: Final = "strand"
#: What the second column is called in a header line.
_HEADERS: Final = frozenset({"start", "chromstart", "chrom_start", "txstart", "begin", "start_coordinate"})
#: Of the largest position that is believed: no contig is that long.
_DIGITS: Final = 12

BED: Final = "BED"
NARROW_PEAK: Final = "narrowPeak"
BROAD_PEAK: Final = "broadPeak"
#: Columns of each, at least.
_COLUMNS: Final = {BED: 3, NARROW_PEAK: 10, BROAD_PEAK: 9}
_BED12_COLUMNS: Final = 12
#: itemRgb, the ninth column of BED.
_COLOUR: Final = re.compile(r"\.|\d{1,10}|\d{1,3}(,\d{1,3}){2},?|#[0-9A-Fa-f]{6}")


class Peak(NamedTuple):
    """One record. `strand` is `NO_STRAND` and `summit` is -1 where it has none; `line` counts from 1."""

    chrom: str
    start: int
    end: int
    name: str
    score: float
    strand: str
    summit: int
    line: int


class Line(NamedTuple):
    """A line of a text file, without its end, and its number (from 1)."""

    number: int
    text: str


def records(lines: Iterable[str]) -> Iterator[Line]:
    """Yield the lines that are records: neither blank, nor comments, nor ``track`` and ``browser`` lines."""
    for number, line in enumerate(lines, start=1):
        text = line.rstrip("\r\n")
        if text.strip() and not text.startswith("#") and text.split(None, 1)[0] not in ("track", "browser"):
            yield Line(number, text)


def is_paper_csv(first: str) -> bool:
    """Tell whether a first line is the header of the paper's CSV."""
    return set(PAPER_COLUMNS) <= set(_csv_fields(first))


def is_header(first: str) -> bool:
    """Tell whether a first line names the columns of a BED file."""
    fields = split(first)
    return len(fields) >= 3 and fields[1].strip().lower() in _HEADERS


class Record(NamedTuple):
    """The fields of a record, its coordinates (0-based half-open), and where it stands: file and line."""

    fields: list[str]
    start: int
    end: int
    where: str
    line: int


def read_records(lines: Iterable[Line], path: Path) -> Iterator[Record]:
    """Yield the fields and coordinates of all records, which must have the same number of columns.

    Raises
    ------
    InputError
        Naming file and line of the first record that cannot be used.
    """
    first: Record | None = None
    for line in lines:
        fields, where = split(line.text), f"{path}:{line.number}"
        if len(fields) < _COLUMNS[BED]:
            raise InputError(f"is not BED: {len(fields)} columns, at least 3 are needed", where=where)
        if first is not None and len(fields) != len(first.fields):
            raise InputError(
                f"{len(fields)} columns, but line {first.line} has {len(first.fields)}", where=where,
                remedy="all records must have the same columns",
            )  # fmt: skip
        start, end = span(fields[0], fields[1], fields[2], where)
        record = Record(fields, start, end, where, line.number)
        first = first or record
        yield record


def recognise(rows: Sequence[Record], path: Path) -> str:
    """Tell BED, narrowPeak and broadPeak apart, by all columns of all records.

    narrowPeak is what has numbers in columns 7 to 9 and an offset within the peak (or -1) in column 10, also where
    more columns follow (IDR); broadPeak what has such numbers and no offset. All else is BED. Records that are not like
    most others are refused later, by line.

    Raises
    ------
    InputError
        If they may be narrowPeak as well as BED: the summit would be a guess.
    """
    columns = len(rows[0].fields) if rows else 0
    if columns < _COLUMNS[NARROW_PEAK]:
        broad = columns == _COLUMNS[BROAD_PEAK] and not _most(rows, _is_bed9) and _most(rows, _has_scores)
        return BROAD_PEAK if broad else BED
    if columns >= _BED12_COLUMNS and all(map(has_blocks, rows)):
        return BED
    fits = {
        NARROW_PEAK: sum(map(_is_narrow_peak, rows)) / len(rows),
        BED: sum(map(_is_bed9_within, rows)) / len(rows),
    }
    whole = [name for name, share in fits.items() if share == 1]
    most = whole or [name for name, share in fits.items() if share > 0.5]
    if len(most) > 1:
        raise InputError(
            f"its {columns} columns may be narrowPeak (summit in column 10) as well as BED9 and more (summit in "
            "column 7)", where=path, remedy="which it is, you must say: --peak-format narrowPeak or --peak-format bed",
        )  # fmt: skip
    if most:
        return most[0]
    if _most(rows, _is_nearly_narrow_peak):
        return NARROW_PEAK
    return BROAD_PEAK if _most(rows, _has_scores) else BED


def read_bed(rows: Sequence[Record], kind: str, path: Path) -> list[Peak]:
    """Make peaks of records: BED3 to BED12 with any columns behind, narrowPeak or broadPeak.

    The summit is thickStart where BED uses it for that (thickEnd = thickStart + 1, inside the peak, as in
    FANTOM5's BED9); in narrowPeak, start + column 10 where that is not negative.

    Raises
    ------
    InputError
        Naming file and line of the first record that cannot be used.
    """
    columns = len(rows[0].fields) if rows else _COLUMNS[kind]
    if columns < _COLUMNS[kind]:
        raise InputError(f"has {columns} columns, but {kind} has {_COLUMNS[kind]}", where=path)
    thick = kind == BED and has_thick(rows)
    peaks = []
    for row in rows:
        name, score, strand = [*row.fields[3:6], *(NO_STRAND,) * 3][:3]
        summit = _offset(row) if kind == NARROW_PEAK else _thick(row) if thick else -1
        peaks.append(
            Peak(
                row.fields[0], row.start, row.end, name, _score(score, row.where), _strand(strand, row.where), summit,
                row.line,
            )
        )  # fmt: skip
    return peaks


def has_thick(rows: Sequence[Record]) -> bool:
    """Tell whether columns 7 and 8 of BED records are thickStart and thickEnd, and not something of the file's own."""
    return bool(rows) and len(rows[0].fields) >= 8 and _most(rows, _is_bed9)


def _most(rows: Sequence[Record], test: Callable[[Record], bool]) -> bool:
    """Tell whether more than half of the records pass a test; those that do not are then refused, by line."""
    return 2 * sum(map(test, rows)) > len(rows)


def _is_bed9(row: Record) -> bool:
    """Tell whether columns 7 to 9 may be thickStart, thickEnd and itemRgb."""
    return all(map(_is_whole, row.fields[6:8])) and (
        len(row.fields) < 9 or _COLOUR.fullmatch(row.fields[8].strip()) is not None
    )


def _is_bed9_within(row: Record) -> bool:
    """Tell the same, and that thickStart and thickEnd lie in the peak, or are both 0 (none)."""
    if not _is_bed9(row):
        return False
    first, last = int(row.fields[6]), int(row.fields[7])
    return row.start <= first <= last <= row.end or first == last == 0


def has_blocks(row: Record) -> bool:
    """Tell whether columns 10 to 12 are BED12's blocks, which reach from the start of the record to its end."""
    sizes, starts = (text.strip().removesuffix(",").split(",") for text in row.fields[10:12])
    if not all(map(_is_whole, [row.fields[9], *sizes, *starts])):
        return False
    fits = int(row.fields[9]) == len(sizes) == len(starts) and int(starts[0]) == 0
    return fits and int(starts[-1]) + int(sizes[-1]) == row.end - row.start


def _has_scores(row: Record) -> bool:
    """Tell whether columns 7 to 9 are numbers, as in narrowPeak and broadPeak."""
    try:
        return all(float(text) > float("-inf") for text in row.fields[6:9])
    except ValueError:
        return False


def _is_narrow_peak(row: Record) -> bool:
    """Tell whether columns 7 to 10 may be those of narrowPeak."""
    offset = row.fields[9].strip()
    return _has_scores(row) and (offset == "-1" or (_is_whole(offset) and int(offset) < row.end - row.start))


def _is_nearly_narrow_peak(row: Record) -> bool:
    """Tell whether a record is narrowPeak but for a faulty offset."""
    return _has_scores(row) and (len(row.fields) == _COLUMNS[NARROW_PEAK] or _is_whole(row.fields[9]))


def _is_whole(text: str) -> bool:
    """Tell whether a field is a coordinate."""
    text = text.strip()
    return text.isdecimal() and text.isascii() and len(text) <= _DIGITS


def read_paper_csv(header: str, lines: Iterable[Line], path: Path) -> list[Peak]:
    """Read the CSV that the paper's scripts take: 0-based half-open, with a strand only if a column is called so.

    Raises
    ------
    InputError
        Naming file and line of the first record that cannot be used.
    """
    columns = _csv_fields(header)
    if missing := [name for name in PAPER_COLUMNS if name not in columns]:
        raise InputError(f"has no column {missing[0]!r}", where=path, remedy=f"it needs {', '.join(PAPER_COLUMNS)}")
    peaks = []
    for line in lines:
        where = f"{path}:{line.number}"
        fields = _csv_fields(line.text)
        if len(fields) != len(columns):
            raise InputError(f"{len(fields)} fields, but the header has {len(columns)}", where=where)
        given = dict(zip(columns, fields, strict=True))
        chrom, start, end = (given[name] for name in PAPER_COLUMNS)
        first, after = span(chrom, start, end, where)
        strand = _strand(given.get(_STRAND_COLUMN) or NO_STRAND, where)
        peaks.append(Peak(chrom, first, after, NO_STRAND, float("nan"), strand, -1, line.number))
    return peaks


def split(text: str) -> list[str]:
    """Split a line at tabs, or at spaces where it has no tab."""
    return text.split("\t") if "\t" in text else text.split()


def _csv_fields(text: str) -> list[str]:
    """Split a line of CSV; none of the fields that count holds a comma."""
    return [field.strip().strip('"') for field in text.split(",")]


def span(chrom: str, start: str, end: str, where: str) -> tuple[int, int]:
    """Read the coordinates of a record, 0-based half-open.

    Raises
    ------
    InputError
        If it has no contig, or they are no interval.
    """
    if not chrom.strip():
        raise InputError("names no contig", where=where)
    first, after = position(start, "start", where), position(end, "end", where)
    if first >= after:
        raise InputError(
            f"start {first} is not below end {after}", where=where,
            remedy="coordinates are 0-based half-open: end = start + length",
        )  # fmt: skip
    return first, after


def position(text: str, what: str, where: str) -> int:
    """Read a coordinate.

    Raises
    ------
    InputError
        If it is no whole number from zero on.
    """
    plain = text.strip()
    if plain.startswith("-") and plain[1:].isdecimal():
        raise InputError(f"{what} {plain[:30]} is negative", where=where)
    if not (plain.isdecimal() and plain.isascii()):
        raise InputError(f"{what} {text[:30]!r} is not an integer", where=where)
    if len(plain) > _DIGITS:
        raise InputError(f"{what} {plain[:30]} is beyond the end of any contig", where=where)
    return int(plain)


def _strand(text: str, where: str) -> str:
    """Read a strand."""
    text = NO_STRAND if text.strip() == _ANY_STRAND else text.strip()
    if text not in ("+", "-", NO_STRAND):
        raise InputError(f"strand {text[:30]!r} is neither + nor -", where=where)
    return text


def _score(text: str, where: str) -> float:
    """Read a score; BED writes ``.`` for a missing one."""
    try:
        return float("nan") if text.strip() == "." else float(text)
    except ValueError:
        raise InputError(f"score {text[:30]!r} is not a number", where=where) from None


def _thick(row: Record) -> int:
    """Return thickStart where it is used as the summit, else -1."""
    for text in row.fields[6:8]:
        if not (text.strip().isdecimal() and text.isascii()):
            raise InputError(
                f"thickStart and thickEnd, {row.fields[6][:30]!r} and {row.fields[7][:30]!r}, are not integers",
                where=row.where, remedy="most records have such: mend this one",
            )  # fmt: skip
    thick, last = position(row.fields[6], "thickStart", row.where), position(row.fields[7], "thickEnd", row.where)
    return thick if last == thick + 1 and row.start <= thick < row.end else -1


def _offset(row: Record) -> int:
    """Return the summit that column 10 of narrowPeak says, -1 where it says -1."""
    text = row.fields[9].strip()
    if text == "-1":
        return -1
    if not _is_whole(text) or row.start + int(text) >= row.end:
        what = f"start + {text}, is outside the peak" if _is_whole(text) else f"{text[:30]!r}, is not an integer"
        raise InputError(
            f"the summit (narrowPeak column 10), {what}", where=row.where,
            remedy="if this is not narrowPeak: --peak-format bed",
        )  # fmt: skip
    return row.start + int(text)
