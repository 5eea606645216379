"""Peaks from files of intervals: BED3 to BED12, narrowPeak, and the CSV of Haldar et al. 2026."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final, NamedTuple

from capsight.errors import InputError

#: Strand of a record that has none.
NO_STRAND: Final = "."
#: Columns that the paper's CSV has; it may have others, and in any order.
PAPER_COLUMNS: Final = ("chromosomeID", "start_coordinate", "end_coordinate")

_NARROW_PEAK_COLUMNS: Final = 10
_STRAND_COLUMN: Final = "strand"
#: What the second column is called in a header line.
_HEADERS: Final = frozenset({"start", "chromstart", "chrom_start", "txstart", "begin", "start_coordinate"})
#: Of the largest position that is believed: no contig is that long.
_DIGITS: Final = 12


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


def read_bed(lines: Iterable[Line], path: Path) -> list[Peak]:
    """Read BED3 to BED12 and narrowPeak (which is what ten columns are), 0-based half-open.

    The summit is thickStart where the file uses it for that (thickEnd = thickStart + 1, inside the peak, as in
    FANTOM5's BED9); in narrowPeak, start + column 10 where that is not negative.

    Raises
    ------
    InputError
        Naming file and line of the first record that cannot be used.
    """
    return [_parse_bed(line, f"{path}:{line.number}") for line in lines]


def read_paper_csv(header: str, lines: Iterable[Line], path: Path) -> list[Peak]:
    """Read the CSV that the paper's scripts take: 0-based half-open, with a strand only if a column is called so.

    Raises
    ------
    InputError
        Naming file and line of the first record that cannot be used.
    """
    columns = _csv_fields(header)
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


def _parse_bed(line: Line, where: str) -> Peak:
    """Read one BED or narrowPeak record."""
    fields = split(line.text)
    if len(fields) < 3:
        raise InputError(f"is not BED: {len(fields)} columns, at least 3 are needed", where=where)
    start, end = span(fields[0], fields[1], fields[2], where)
    name, score, strand = [*fields[3:6], *(NO_STRAND,) * 3][:3]
    summit = _offset(fields[9], start, end, where) if len(fields) == _NARROW_PEAK_COLUMNS else -1
    if len(fields) >= 8 and len(fields) != _NARROW_PEAK_COLUMNS:
        summit = _thick(fields[6], fields[7], start, end, where)
    return Peak(fields[0], start, end, name, _score(score, where), _strand(strand.strip(), where), summit, line.number)


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
    if text not in ("+", "-", NO_STRAND):
        raise InputError(f"strand {text[:30]!r} is neither + nor -", where=where)
    return text


def _score(text: str, where: str) -> float:
    """Read a score; BED writes ``.`` for a missing one."""
    try:
        return float("nan") if text.strip() == "." else float(text)
    except ValueError:
        raise InputError(f"score {text[:30]!r} is not a number", where=where) from None


def _thick(start: str, end: str, first: int, after: int, where: str) -> int:
    """Return thickStart where it is used as the summit, else -1."""
    for text in (start, end):
        if not (text.strip().isdecimal() and text.isascii()):
            raise InputError(
                f"thickStart and thickEnd, {start[:30]!r} and {end[:30]!r}, are not integers", where=where,
                remedy="is this broadPeak? cut it to its first six columns",
            )  # fmt: skip
    thick, last = position(start, "thickStart", where), position(end, "thickEnd", where)
    return thick if last == thick + 1 and first <= thick < after else -1


def _offset(text: str, first: int, after: int, where: str) -> int:
    """Return the summit that column 10 of narrowPeak says, -1 where it says -1."""
    if text.strip() == "-1":
        return -1
    summit = first + position(text, "summit (narrowPeak column 10)", where)
    if summit >= after:
        raise InputError(f"the summit, start + {text.strip()} (narrowPeak column 10), is outside the peak", where=where)
    return summit
