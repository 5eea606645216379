"""Variants as people have them: VCF, BCF or a table, line by line and byte for byte.

Lines are kept as they stand, because htslib writes some values otherwise than it has read them (numbers such as 1.50,
the order of keys, unusual spacing): of a VCF, htslib parses the header, and decodes BCF, and nothing of a text line
passes through it. Positions count from 1, as in VCF.
"""

import logging
import re
import tempfile
from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Final, Literal, NamedTuple

import pysam

from capsight.data.io.text import open_bytes, readable, sniff_format
from capsight.errors import InputError

logger = logging.getLogger(__name__)

Kind = Literal["VCF", "table"]

_FORMAT: Final = b"##fileformat=VCF"
_BCF: Final = b"BCF\x02"
_COLUMNS: Final = b"#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO"
_MARK: Final = b"\xef\xbb\xbf"
#: Names of the column of positions.
POSITION: Final = ("position", "pos")
#: Columns that a table has, by any of their names.
TABLE: Final = {"chrom": ("chrom", "chr"), "position": POSITION, "ref": ("ref",), "alt": ("alt",)}
#: htslib has no positions beyond.
_LARGEST: Final = 2**31 - 1
_NUMBER: Final = re.compile(rb"[0-9]{1,10}")


class Variant(NamedTuple):
    """A record: where it stands in its file, and what it says.

    Attributes
    ----------
    line
        Its bytes without the end of the line.
    end
        The end of the line: line feed, with or without carriage return; nothing where the file ends without.
    number
        Of the line, from 1; of a BCF, as if it were VCF.
    chrom, position, ref, alts
        `position` is 0-based: one less than in the file.
    """

    line: bytes
    end: bytes
    number: int
    chrom: str
    position: int
    ref: bytes
    alts: tuple[bytes, ...]


class _Layout(NamedTuple):
    """Where the columns are, by number, and how many there are."""

    chrom: int
    position: int
    ref: int
    alt: int
    n: int


@dataclass(frozen=True)
class VariantFile:
    """A file of variants whose header has been read.

    Attributes
    ----------
    path
        The file.
    kind
        ``VCF`` (also of BCF) or ``table``.
    header
        The lines of the header with their ends, the names of the columns last.
    """

    path: Path
    kind: Kind
    header: tuple[bytes, ...]
    layout: _Layout

    @classmethod
    def open(cls, path: Path) -> "VariantFile":
        """Read the header of a VCF, a BCF, or a table with the columns chrom, position, ref, alt.

        Raises
        ------
        InputError
            If the file cannot be read, or its header is malformed.
        """
        with closing(_lines(path)) as lines:
            first = next(lines, b"").removeprefix(_MARK)
            if not first.strip():
                raise InputError("holds no variants: it is empty or begins with a blank line", where=path)
            if b"\r" in first.rstrip(b"\r\n"):
                raise InputError(
                    "its lines end with carriage returns alone, as on old Macs", where=path,
                    remedy="end them with line feeds: tr '\\r' '\\n'",
                )  # fmt: skip
            if first.startswith(_FORMAT):
                return cls(path, "VCF", *_vcf_header(path, first, lines))
            if first.startswith(_COLUMNS) or first.startswith(b"##"):
                raise InputError(
                    "is no VCF: it does not begin with ##fileformat=VCF", where=f"{path}:1",
                    remedy="add that line, such as ##fileformat=VCFv4.2",
                )  # fmt: skip
            return cls(path, "table", (first,), _table_layout(path, first))

    @cached_property
    def columns(self) -> list[str]:
        """Return the names of the columns."""
        return self.header[-1].decode("utf-8", "replace").rstrip("\r\n").lstrip("#").split("\t")

    def records(self) -> Iterator[Variant]:
        """Yield the records in their order; blank lines of a table come with no contig and no alleles.

        Raises
        ------
        InputError
            Naming the line, if it has another number of columns than the header, or its position is no number.
        """
        with closing(_lines(self.path)) as lines:
            for number, line in enumerate(lines, start=1):
                if number > len(self.header):
                    yield self._record(line, number)

    def _record(self, whole: bytes, number: int) -> Variant:
        line = whole.rstrip(b"\r\n")
        end = whole[len(line) :]
        if not line and self.kind == "table":
            return Variant(line, end, number, "", -1, b"", ())
        at, where = self.layout, f"{self.path}:{number}"
        fields = line.split(b"\t", -1 if self.kind == "table" else at.alt + 1)
        if (n := line.count(b"\t") + 1) != at.n:
            raise InputError(f"{n} columns, but the header has {at.n}", where=where, remedy="tabs separate columns")
        text = fields[at.position]
        if not _NUMBER.fullmatch(text) or int(text) > _LARGEST:
            raise InputError(f"the position {_quoted(text)} is not a whole number from 0 to {_LARGEST:,}", where=where)
        chrom, alts = fields[at.chrom].decode("utf-8", "replace"), fields[at.alt].split(b",")
        alts = [alt.upper() if alt.isalpha() else alt for alt in alts]  # names in <ID> and breakends have a case
        return Variant(line, end, number, chrom, int(text) - 1, fields[at.ref].upper(), tuple(alts))


def _quoted(text: bytes) -> str:
    shown = text.decode("utf-8", "replace")
    return repr(shown if len(shown) <= 40 else f"{shown[:40]}…")


def _lines(path: Path) -> Generator[bytes]:
    """Yield the lines of a file with their ends; those of a BCF as VCF has them."""
    if _is_bcf(path):
        yield from _bcf_lines(path)
        return
    with open_bytes(path) as handle:
        yield from handle


def _is_bcf(path: Path) -> bool:
    """Tell a BCF, packed or not, by its first bytes."""
    if sniff_format(path) not in ("bgzip", "gzip", "text"):
        return False
    with open_bytes(path) as handle:
        return handle.read(len(_BCF)) == _BCF


def _bcf_lines(path: Path) -> Iterator[bytes]:
    """Decode a BCF."""
    with quiet_htslib():
        try:
            with pysam.VariantFile(str(readable(path)), "rb") as file:
                yield from (f"{line}\n".encode() for line in str(file.header).splitlines())
                for record in file:
                    yield str(record).encode()
        except (ValueError, OSError, UnicodeError):
            raise InputError("is BCF, and truncated or damaged", where=path, remedy="make it again") from None


@contextmanager
def quiet_htslib() -> Iterator[None]:
    """Keep htslib from writing to the terminal: what is wrong is reported by us."""
    before = pysam.set_verbosity(0)
    try:
        yield
    finally:
        pysam.set_verbosity(before)


def _vcf_header(path: Path, first: bytes, lines: Iterator[bytes]) -> tuple[tuple[bytes, ...], _Layout]:
    """Read the rest of a header, and have htslib parse it."""
    header = [first]
    for line in lines:
        header.append(line)
        if not line.startswith(b"##"):
            break
    number, names = len(header), header[-1].rstrip(b"\r\n")
    if not names.startswith(b"#CHROM"):
        raise InputError("the VCF has no line of column names, #CHROM", where=f"{path}:{number}")
    columns = names.split(b"\t")
    if not (names + b"\t").startswith(_COLUMNS + b"\t") or (len(columns) > 8 and columns[8] != b"FORMAT"):
        raise InputError(
            "the VCF's column names are not #CHROM POS ID REF ALT QUAL FILTER INFO, then FORMAT and samples",
            where=f"{path}:{number}", remedy="tabs separate them",
        )  # fmt: skip
    with tempfile.NamedTemporaryFile(prefix="capsight-", suffix=".vcf") as file, quiet_htslib():
        file.writelines(header)
        file.flush()
        try:
            pysam.VariantFile(file.name).close()
        except (ValueError, OSError):
            raise InputError(
                f"htslib cannot read the header of the VCF: {_header_fault(header)}", where=path,
                remedy="`bcftools view -h` shows where",
            ) from None  # fmt: skip
    return tuple(header), _Layout(0, 1, 3, 4, len(columns))


def _header_fault(header: list[bytes]) -> str:
    """Return what is wrong with a header that htslib refuses, as far as it is seen at once."""
    samples = header[-1].rstrip(b"\r\n").split(b"\t")[9:]
    for sample in samples:
        if samples.count(sample) > 1:
            return f"the sample {_quoted(sample)} occurs more than once"
    return "a line of it is malformed"


def _table_layout(path: Path, first: bytes) -> _Layout:
    """Find the columns of a table."""
    names = first.decode("utf-8", "replace").rstrip("\r\n").split("\t")
    lower = [name.strip().lower().lstrip("#") for name in names]
    found = []
    for column, spellings in TABLE.items():
        at = [i for i, name in enumerate(lower) if name in spellings]
        if len(at) != 1:
            what = f"has no column {column!r}" if not at else f"has {len(at)} columns {column!r}"
            raise InputError(
                f"is neither VCF nor a table of variants: it {what}; the first line is {_quoted(first.rstrip())}",
                where=path, remedy="the first line names chrom, position (from 1), ref, alt, separated by tabs",
            )  # fmt: skip
        found.append(at[0])
    chrom, position, ref, alt = found
    return _Layout(chrom, position, ref, alt, len(names))
