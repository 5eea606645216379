"""Sequences from FASTA files, a bounded number of bases at a time.

Read here and not by htslib, whose reader takes blanks, comments and carriage returns inside a record for bases: all
that follows would be shifted, in silence.
"""

import logging
import re
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import IO, Final, NamedTuple

from capsight.data.io.text import open_bytes, readable, sniff_format
from capsight.errors import InputError

logger = logging.getLogger(__name__)

#: Ends of the names of FASTA files in a folder.
SUFFIXES: Final = tuple(f"{kind}{packed}" for kind in (".fa", ".fasta", ".fna") for packed in ("", ".gz", ".bgz"))

_BYTES_AT_ONCE: Final = 1 << 24
#: The empty block that ends every whole bgzip file (SAM specification, section 4.1.2).
_BGZIP_END: Final = bytes.fromhex("1f8b08040000000000ff0600424302001b0003000000000000000000")
_UTF8_MARK: Final = b"\xef\xbb\xbf"
#: The beginning of a title, or of a comment (as the first FASTA programs wrote them).
_TITLE, _COMMENT = b">", b";"
_SPECIAL: Final = re.compile(rb"\n[>;]")
_LINE_ENDS: Final = b"\n"
#: Left out inside of records, as samtools does.
_BLANKS: Final = b" \t\v\f"
#: What may stand for a base: letters, and gaps and stops, which are read as N and said.
_LETTERS: Final = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz-*"
_NO_LETTER: Final = re.compile(rb"[^A-Za-z*\-]")


class Piece(NamedTuple):
    """Some of the letters of a record; the record's number counts from 0."""

    record: int
    name: str
    letters: bytes


def read_fasta(path: Path) -> Iterator[tuple[str, str]]:
    """Yield name and sequence of every record of a FASTA (plain, gzip or bgzip).

    Raises
    ------
    InputError
        Of `fasta_pieces`.
    """
    for (_, name), pieces in groupby(fasta_pieces(path), key=lambda piece: piece[:2]):
        yield name, b"".join(piece.letters for piece in pieces).decode("ascii")


def fasta_pieces(path: Path, *, quiet: bool = False) -> Iterator[Piece]:
    """Yield the letters of every record of a FASTA (plain, gzip or bgzip), piece by piece; at least one for each.

    Lines end with a line feed, a carriage return or both. Blanks inside lines, and lines that begin with ``;``
    (comments), are no letters: they are left out, counted and, unless `quiet`, said.

    Raises
    ------
    InputError
        If the file is missing, is no FASTA or is damaged; naming file and line, if a record has no name or something
        that is no letter.
    """
    if sniff_format(path) == "bgzip":
        with readable(path).open("rb") as raw:
            raw.seek(0, 2)
            raw.seek(max(0, raw.tell() - len(_BGZIP_END)))
            if raw.read() != _BGZIP_END:  # gzip alone would take it for whole
                raise InputError("is truncated or damaged", where=path, remedy="fetch or compress it again")
    reader = _Reader(path)
    with open_bytes(path) as handle:
        yield from reader.pieces(handle)
    if reader.record < 0:
        raise InputError("is empty", where=path)
    if reader.blanks and not quiet:
        logger.warning("FASTA %s: %s blanks inside sequences are left out", path.name, f"{reader.blanks:,}")
    if reader.comments and not quiet:
        logger.warning("FASTA %s: %s lines of comments (;) are left out", path.name, f"{reader.comments:,}")


class _Reader:
    """One pass over a FASTA file, block by block."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.line = 0  # line ends so far; one is put before the first line
        self.record = -1
        self.name = ""
        self.blanks = 0
        self.comments = 0

    def pieces(self, handle: IO[bytes]) -> Iterator[Piece]:
        """Yield the pieces of all records."""
        special = b""  # the line that a title or comment has so far, with its first character
        for block in _blocks(handle):
            place = 0
            while place < len(block):
                if special:
                    end = block.find(_LINE_ENDS, place)
                    special += block[place : end if end >= 0 else len(block)]
                    if end < 0:
                        break
                    if piece := self._begin(special):
                        yield piece
                    special, place = b"", end
                    continue
                found = _SPECIAL.search(block, place)
                stop = found.start() if found else len(block)
                if letters := self._letters(block[place:stop]):
                    yield Piece(self.record, self.name, letters)
                place = stop
                if found:
                    special, place = found.group()[1:], found.end()
                    self.line += 1
        if special and (piece := self._begin(special)):
            yield piece

    def _begin(self, line: bytes) -> Piece | None:
        """Begin a record by its title; nothing where the line is a comment."""
        if line.startswith(_COMMENT):
            self.comments += 1
            return None
        words = line[1:].split(None, 1)
        if not words or line[1:2].isspace():
            raise InputError("a record has no name", where=self._here())
        self.record += 1
        try:
            self.name = words[0].decode("utf-8")
        except UnicodeDecodeError:
            raise InputError("the name of a record is not UTF-8", where=self._here()) from None
        return Piece(self.record, self.name, b"")

    def _letters(self, text: bytes) -> bytes:
        """Return the letters of some lines of sequence; refuse what is none."""
        letters = text.translate(None, _LINE_ENDS + _BLANKS)
        if letters and (self.record < 0 or letters.translate(None, _LETTERS)):
            self._refuse(text)
        ends = text.count(_LINE_ENDS)
        if self.record >= 0 and len(letters) + ends < len(text):
            self.blanks += len(text) - ends - len(letters)
        self.line += ends
        return letters

    def _refuse(self, text: bytes) -> None:
        """Say what is no letter, or that this is no FASTA at all."""
        if self.record < 0:
            try:
                first = text.strip().split(_LINE_ENDS)[0].strip().decode("utf-8")
            except UnicodeDecodeError:
                raise InputError("is not a text file", where=self.path) from None
            what = f"after {self.comments:,} lines of comments (;) it goes on" if self.comments else "it begins"
            raise InputError(f"is not FASTA: {what} with {first[:30]!r} and not with '>'", where=self.path)
        found = _NO_LETTER.search(text.translate(bytes.maketrans(_LINE_ENDS + _BLANKS, b"N" * 5)))
        assert found is not None
        self.line += text.count(_LINE_ENDS, 0, found.start())
        if found.group() == b"\x00":
            raise InputError("has NUL bytes: it is damaged", where=self._here(), remedy="fetch it again")
        character = text[found.start() : found.start() + 4].decode("utf-8", "replace")[0]
        remedy = "is this FASTQ, not FASTA?" if character in "+@" else None
        raise InputError(f"{character!r} inside a sequence is no base", where=self._here(), remedy=remedy)

    def _here(self) -> str:
        return f"{self.path}:{self.line}"


def _blocks(handle: IO[bytes]) -> Iterator[bytes]:
    """Yield the file block by block, a line end before the first line, every line end one line feed.

    None but the last block ends with a line end: what follows it may be a title.
    """
    block = handle.read(_BYTES_AT_ONCE).removeprefix(_UTF8_MARK)
    rest = _LINE_ENDS
    while block:
        more = handle.read(_BYTES_AT_ONCE)
        block = rest + block
        kept = len(block.rstrip(b"\r\n")) if more else len(block)
        block, rest = block[:kept], block[kept:]
        if b"\r" in block:
            block = block.replace(b"\r\n", _LINE_ENDS).replace(b"\r", _LINE_ENDS)
        if block:
            yield block
        block = more
