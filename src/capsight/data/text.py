"""Open text files as people have them: plain, gzip or bgzip, any line ending, with or without a byte order mark."""

import gzip
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, TextIO

from capsight.errors import InputError

_GZIP: Final = b"\x1f\x8b"
#: First bytes of files that are no text, and what they are.
_MAGIC: Final = {
    _GZIP: "gzip",
    b"\x26\xfc\x8f\x88": "bigWig",
    b"\x88\x8f\xfc\x26": "bigWig",
    b"\xeb\xf2\x89\x87": "bigBed",
    b"\x87\x89\xf2\xeb": "bigBed",
    b"\x43\x27\x41\x1a": "2bit",
    b"\x1a\x41\x27\x43": "2bit",
    b"PK\x03\x04": "zip",
    b"\xfd7zXZ\x00": "xz",
    b"\x28\xb5\x2f\xfd": "zstd",
    b"\xff\xfe": "UTF-16",
    b"\xfe\xff": "UTF-16",
} | {b"BZh%d1AY" % level: "bzip2" for level in range(1, 10)}
#: A bgzip file begins with a gzip block that has this extra field (SAM specification, section 4.1).
_BGZIP_FIELD: Final = b"BC\x02\x00"
_UNPACK: Final = ("zip", "xz", "zstd", "bzip2")


def kind_of(path: Path) -> str:
    """Return what a file is by its first bytes: text, gzip, bgzip, bigWig, bigBed, 2bit, zip, xz, zstd, bzip2, UTF-16.

    Raises
    ------
    InputError
        If the file is missing, is a folder, or cannot be read.
    """
    try:
        with path.open("rb") as handle:
            head = handle.read(18)
    except OSError as error:
        raise unreadable(path, error) from None
    kind = next((name for magic, name in _MAGIC.items() if head.startswith(magic)), "text")
    return "bgzip" if kind == "gzip" and head[12:16] == _BGZIP_FIELD else kind


def unreadable(path: Path, error: OSError) -> InputError:
    """Return what to tell the user about a file that cannot be opened."""
    if isinstance(error, FileNotFoundError):
        return InputError("there is no such file", where=path)
    if isinstance(error, IsADirectoryError):
        return InputError("is a folder: name a file", where=path)
    return InputError(f"cannot be read: {error.strerror}", where=path)


@contextmanager
def open_text(path: Path) -> Iterator[TextIO]:
    """Open a plain or gzipped text file; whatever goes wrong while it is read is an `InputError`.

    Raises
    ------
    InputError
        If the file is missing, is a folder, is no text, or is a truncated gzip.
    """
    kind = kind_of(path)
    if kind in _UNPACK:
        raise InputError(f"is packed with {kind}", where=path, remedy="unpack it; plain text and gzip are read")
    if kind == "UTF-16":
        raise InputError("is not a text file in UTF-8, but in UTF-16", where=path, remedy="save it as UTF-8")
    try:
        opener = gzip.open if kind in ("gzip", "bgzip") else open
        with opener(path, "rt", encoding="utf-8-sig", newline="") as handle:
            yield handle
    except (EOFError, gzip.BadGzipFile, zlib.error):
        raise InputError("is truncated or damaged", where=path, remedy="fetch or compress it again") from None
    except UnicodeDecodeError:
        raise InputError("is not a text file", where=path) from None
    except OSError as error:
        raise unreadable(path, error) from None
