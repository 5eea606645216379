"""The table of what `capsight fetch` can fetch, and how it is read: ``assemblies.tsv`` says what its columns mean."""

import csv
import re
from collections.abc import Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path, PurePosixPath
from typing import Final, Literal, NamedTuple
from urllib.parse import unquote, urlsplit

from capsight.data.text import readable
from capsight.errors import InputError

Kind = Literal["genome", "peaks"]

TABLE: Final = Path(__file__).with_name("assemblies.tsv")
KINDS: Final[tuple[Kind, ...]] = ("genome", "peaks")
_NEEDED: Final = ("assembly", "kind", "url")
_COLUMNS: Final = (*_NEEDED, "checksum_url", "checksum", "also", "validation", "test")
_NAME: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+-]*")
#: Checksums by their number of hexadecimal digits.
ALGORITHMS: Final = {32: "md5", 40: "sha1", 64: "sha256", 128: "sha512"}


class Checksum(NamedTuple):
    """The checksum of a file: algorithm, lower-case hexadecimal digits, and who states it."""

    algorithm: str
    digest: str
    source: str


@dataclass(frozen=True)
class Source:
    """One row of the table; empty strings where it says nothing."""

    assembly: str
    kind: str
    url: str
    checksum_url: str = ""
    checksum: str = ""
    also: str = ""
    validation: str = ""
    test: str = ""

    @property
    def file(self) -> str:
        """The name of the file, as the publisher gave it."""
        return unquote(PurePosixPath(urlsplit(self.url).path).name)


def read_table(extension: Path | None = None) -> list[Source]:
    """Return the rows of the table; those of `extension` replace ours of the same assembly and kind.

    Raises
    ------
    InputError
        Naming file and line, if a row cannot be used.
    """
    rows = {(source.assembly, source.kind): source for source in _read_rows(TABLE)}
    if extension:
        rows |= {(source.assembly, source.kind): source for source in _read_rows(extension)}
    return list(rows.values())


def choose(table: list[Source], assembly: str) -> dict[str, Source]:
    """Return the rows of an assembly, by kind.

    Raises
    ------
    InputError
        If there are none; the nearest name is offered.
    """
    if found := {source.kind: source for source in table if source.assembly == assembly}:
        return found
    names = {name.lower(): s.assembly for s in table for name in (s.assembly, *filter(None, s.also.split(",")))}
    near = get_close_matches(assembly.lower(), names, n=1)
    known = ", ".join(dict.fromkeys(source.assembly for source in table))
    hint = f"did you mean {names[near[0]]!r}? " if near else ""
    raise InputError(
        f"assembly {assembly!r} is not in the table",
        remedy=f"{hint}it has {known}; others by a table of your own: --table",
    )


def _read_rows(path: Path) -> Iterator[Source]:
    """Read a table: a header, then one file per line."""
    try:
        lines = readable(path).read_text(encoding="utf-8-sig").splitlines()
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", where=path) from None
    except UnicodeDecodeError:
        raise InputError("is not a text file", where=path) from None
    numbered = [(n, line) for n, line in enumerate(lines, start=1) if line.strip() and not line.startswith("#")]
    rows = csv.reader((line for _, line in numbered), delimiter="\t", quoting=csv.QUOTE_NONE)
    header = [name.strip() for name in next(rows, [])]
    for name in header:
        if name not in _COLUMNS:
            near = get_close_matches(name, _COLUMNS, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"columns are {', '.join(_COLUMNS)}"
            raise InputError(f"unknown column {name!r}", where=path, remedy=hint)
    if missing := [name for name in _NEEDED if name not in header]:
        raise InputError(f"has no column {missing[0]!r}", where=path, remedy="a tab-separated header comes first")
    for (number, _), row in zip(numbered[1:], rows, strict=True):
        values = [value.strip() for value in row]
        if len(values) > len(header):
            raise InputError(f"{len(values)} columns, but the header has {len(header)}", where=f"{path}:{number}")
        given = dict(zip(header, values, strict=False))
        for name in _NEEDED:
            if not given.get(name):
                raise InputError(f"has no {name}", where=f"{path}:{number}")
        source = Source(**given)
        _check_source(source, f"{path}:{number}")
        yield source


def _check_source(source: Source, where: str) -> None:
    """Refuse a row that cannot be used, or that would write outside the cache."""
    if not _NAME.fullmatch(source.assembly):
        raise InputError(f"assembly {source.assembly!r} is no name", where=where, remedy="letters, digits, . _ + -")
    if source.kind not in KINDS:
        raise InputError(f"kind {source.kind!r} is neither {' nor '.join(KINDS)}", where=where)
    for url in filter(None, (source.url, source.checksum_url)):
        if urlsplit(url).scheme not in ("http", "https") or not urlsplit(url).netloc:
            raise InputError(f"{url!r} is not an address", where=where, remedy="it begins with https:// or http://")
    if not _NAME.fullmatch(source.file):
        raise InputError(f"{source.url!r} does not end in the name of a file", where=where)
    if source.checksum:
        parse_checksum(source.checksum, where)


def parse_checksum(text: str, where: str) -> Checksum:
    """Read ``algorithm:hex``."""
    algorithm, _, digest = text.lower().partition(":")
    if ALGORITHMS.get(len(digest)) != algorithm or not re.fullmatch("[0-9a-f]+", digest):
        raise InputError(
            f"checksum {text!r} is not of the form algorithm:hex", where=where,
            remedy=f"algorithms are {', '.join(ALGORITHMS.values())}",
        )  # fmt: skip
    return Checksum(algorithm, digest, "the table")
