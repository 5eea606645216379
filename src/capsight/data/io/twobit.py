"""Sequences from UCSC's 2bit files, a bounded number of bases at a time.

The format (https://genome.ucsc.edu/FAQ/FAQformat.html#format7) packs four bases into a byte and lists where runs of
N and of lower case (soft-masked repeats) lie. It is read here and not by a library because py2bit ends the process
with a signal on some damaged files (docs/log.md), which no error message can follow.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from capsight.data.io.text import readable, unreadable
from capsight.errors import InputError

Letters = NDArray[np.uint8]

_SIGNATURE: Final = 0x1A412743
_BASES_AT_ONCE: Final = 1 << 22  # a multiple of four
_N: Final = ord("N")
_LOWER: Final = 0x20


def _unpacked() -> NDArray[np.uint32]:
    """Return the four letters of every byte, first base in the highest bits, as one word each, ``(256,)``."""
    shifts = np.array([6, 4, 2, 0])
    letters = np.frombuffer(b"TCAG", np.uint8)[(np.arange(256)[:, None] >> shifts) & 3]
    return letters.view(np.uint32)[:, 0]


_UNPACKED: Final = _unpacked()


class _Blocks(NamedTuple):
    """Runs of bases, in order and apart from each other: where they begin and end."""

    start: NDArray[np.int64]
    end: NDArray[np.int64]

    def within(self, begin: int, stop: int) -> NDArray[np.bool_] | None:
        """Tell which of the bases [begin, stop) lie in a run; nothing where none does."""
        first, last = np.searchsorted(self.end, begin, side="right"), np.searchsorted(self.start, stop)
        if first >= last:
            return None
        edges = np.zeros(stop - begin + 1, np.int8)
        np.add.at(edges, np.maximum(self.start[first:last] - begin, 0), 1)
        np.add.at(edges, np.minimum(self.end[first:last], stop) - begin, -1)
        return np.cumsum(edges[:-1], dtype=np.int8).astype(bool)


class _File:
    """The bytes of a 2bit file, read as the words that the format consists of."""

    def __init__(self, path: Path) -> None:
        try:
            self.data: Letters = np.memmap(readable(path), dtype=np.uint8, mode="r")
        except OSError as error:
            raise unreadable(path, error) from None
        except ValueError:
            raise InputError("is empty", where=path) from None
        self.path = path
        self.order = "<" if int.from_bytes(bytes(self.data[:4]), "little") == _SIGNATURE else ">"
        self.place = 4

    def take(self, size: int) -> Letters:
        """Return the next bytes."""
        first, self.place = self.place, self.place + size
        if first < 0 or self.place > len(self.data):
            raise self.damaged()
        return self.data[first : self.place]

    def words(self, number: int, size: int = 4) -> NDArray[np.int64]:
        """Return the next words as whole numbers."""
        return self.take(number * size).view(f"{self.order}u{size}").astype(np.int64)

    def damaged(self) -> InputError:
        """Return what to tell the user."""
        return InputError("is truncated or damaged", where=self.path, remedy="fetch it again")


def read_twobit(path: Path) -> Iterator[tuple[str, Iterator[Letters]]]:
    """Yield the name of every sequence of a 2bit file, and its letters piece by piece (lower case: soft-masked).

    Raises
    ------
    InputError
        If the file is missing, is no 2bit file, or is damaged.
    """
    file = _File(path)
    if int.from_bytes(bytes(file.data[:4]), "little" if file.order == "<" else "big") != _SIGNATURE:
        raise InputError("is not a 2bit file", where=path)
    version, count, _ = (int(word) for word in file.words(3))
    if version not in (0, 1):
        raise InputError(f"is 2bit of version {version}: 0 and 1 are known", where=path)
    index = []
    for _ in range(count):
        name = bytes(file.take(int(file.take(1)[0])))
        index.append((name, int(file.words(1, 8 if version else 4)[0])))
    for name, place in index:
        if not name:
            raise InputError("a record has no name", where=path)
        file.place = place
        try:
            yield name.decode("ascii"), _letters(file)
        except UnicodeDecodeError:
            raise file.damaged() from None


def _letters(file: _File) -> Iterator[Letters]:
    """Return the pieces of the sequence whose record begins at the place of `file`."""
    length = int(file.words(1)[0])
    unknown, masked = _blocks(file, length), _blocks(file, length)
    file.words(1)
    packed = file.take((length + 3) // 4)
    return (
        _piece(packed, unknown, masked, i, min(i + _BASES_AT_ONCE, length)) for i in range(0, length, _BASES_AT_ONCE)
    )


def _blocks(file: _File, length: int) -> _Blocks:
    """Read a list of runs; refuse runs that overlap or leave the sequence."""
    count = int(file.words(1)[0])
    start = file.words(count)
    end = start + file.words(count)
    if count and (end[-1] > length or (start[1:] < end[:-1]).any()):
        raise file.damaged()
    return _Blocks(start, end)


def _piece(packed: Letters, unknown: _Blocks, masked: _Blocks, begin: int, stop: int) -> Letters:
    """Return the letters of bases [begin, stop), `begin` a multiple of four."""
    letters = _UNPACKED[packed[begin // 4 : (stop + 3) // 4]].view(np.uint8)[: stop - begin]
    if (here := unknown.within(begin, stop)) is not None:
        letters[here] = _N
    if (here := masked.within(begin, stop)) is not None:
        letters |= here.view(np.uint8) * np.uint8(_LOWER)
    return letters
