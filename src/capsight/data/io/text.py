"""Open text files as people have them: plain, gzip or bgzip, any line ending, with or without a byte order mark.

Pipes too: `readable` keeps what comes out of one in a temporary file, since every reader opens its file more than once.
"""

import atexit
import gzip
import io
import os
import shutil
import stat
import tempfile
import threading
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Final, TextIO, cast

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
_BINARY: Final = ("bigWig", "bigBed", "2bit")
_UNPACK: Final = ("zip", "xz", "zstd", "bzip2")

#: What stands for standard input, and the file that it is.
STDIN: Final = "-"
_STDIN_FILE: Final = Path("/dev/stdin")
#: Names of what the process was started with, pipe or file; later processes find something else there.
_PASSING: Final = (_STDIN_FILE, Path("/dev/fd"), Path("/proc"))
#: What came out of pipes, by the pipe; a pipe can be read only once.
_SPOOLED: Final[dict[str, Path]] = {}
_SPOOLING: Final = threading.Lock()
_BYTES_AT_ONCE: Final = 1 << 20


def readable(path: Path) -> Path:
    """Return a file that holds what `path` holds and may be opened as often as one likes.

    That is `path` itself, but for pipes, devices and ``-`` (standard input): these are read to their end, once in
    this process, into a temporary file, which is deleted when the process ends.

    Raises
    ------
    InputError
        If a pipe cannot be read, or the temporary file cannot be written.
    """
    path = given(path)
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError):
        return path
    if stat.S_ISREG(mode) or stat.S_ISDIR(mode):
        return path
    key = os.path.realpath(path)
    with _SPOOLING:
        if key not in _SPOOLED:
            _SPOOLED[key] = _spool(path)
        return _SPOOLED[key]


def given(path: Path) -> Path:
    """Return the path that the user means: ``-`` is standard input."""
    return _STDIN_FILE if str(path) == STDIN else path


def passes(path: Path) -> bool:
    """Tell whether a path leads to what later processes will not find there: a pipe, a device, standard input."""
    path = given(path)
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError):
        return False
    fixed = stat.S_ISREG(mode) or stat.S_ISDIR(mode)
    return not fixed or any(path.absolute().is_relative_to(place) for place in _PASSING)


def shown(path: Path | str) -> str:
    r"""Return a path as text that any file can hold: bytes that are not UTF-8 as ``\xfc``."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def _spool(path: Path) -> Path:
    """Read a pipe to its end; return the file that holds what came out."""
    folder = Path(tempfile.mkdtemp(prefix="capsight-"))
    atexit.register(_forget, folder, os.getpid())
    kept = folder / "input"
    try:
        source = path.open("rb")
    except OSError as error:
        raise unreadable(path, error) from None
    try:
        with source, kept.open("wb") as out:
            shutil.copyfileobj(source, out, _BYTES_AT_ONCE)
    except OSError as error:
        raise InputError(
            f"comes through a pipe and cannot be kept in {folder.parent}: {error.strerror}", where=path,
            remedy="write it to a file first, or set TMPDIR to a folder with room",
        ) from None  # fmt: skip
    return kept


def _forget(folder: Path, owner: int) -> None:
    """Delete what came out of a pipe; processes that were forked meanwhile leave it alone."""
    if os.getpid() == owner:
        shutil.rmtree(folder, ignore_errors=True)


def sniff_format(path: Path) -> str:
    """Return what a file is by its first bytes: text, gzip, bgzip, bigWig, bigBed, 2bit, zip, xz, zstd, bzip2, UTF-16.

    Raises
    ------
    InputError
        If the file is missing, is a folder, or cannot be read.
    """
    try:
        with readable(path).open("rb") as handle:
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
    with open_bytes(path) as raw, io.TextIOWrapper(raw, encoding="utf-8-sig", newline="") as handle:
        yield handle


@contextmanager
def open_bytes(path: Path) -> Iterator[BinaryIO]:
    """Open the bytes of a plain or gzipped text file; whatever goes wrong while they are read is an `InputError`.

    Raises
    ------
    InputError
        Of `open_text`.
    """
    kind = sniff_format(path)
    if kind in _UNPACK:
        raise InputError(f"is packed with {kind}", where=path, remedy="unpack it; plain text and gzip are read")
    if kind in _BINARY:
        raise InputError(f"is {kind}, not a text file", where=path)
    if kind == "UTF-16":
        raise InputError("is not a text file in UTF-8, but in UTF-16", where=path, remedy="save it as UTF-8")
    try:
        opener = gzip.open if kind in ("gzip", "bgzip") else open
        with opener(readable(path), "rb") as handle:
            yield cast("BinaryIO", handle)
    except (EOFError, gzip.BadGzipFile, zlib.error):
        raise InputError("is truncated or damaged", where=path, remedy="fetch or compress it again") from None
    except UnicodeDecodeError:
        raise InputError("is not a text file", where=path) from None
    except OSError as error:
        raise unreadable(path, error) from None
