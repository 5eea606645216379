"""bigWig files: intervals and values out of them, and values of single bases into them.

pybigtools reads and writes them. It reports what is wrong in three ways: an exception; a panic, which is no `Exception`
and writes to standard error; and, from its writer, a line on standard error alone. Here each of them is one error.
"""

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import repeat
from pathlib import Path
from types import TracebackType
from typing import Final, NamedTuple, Self

import numpy as np
import pybigtools
from numpy.typing import NDArray

from capsight import output
from capsight.data.io.text import readable, unreadable
from capsight.errors import InputError

_FAULTS: Final = (pybigtools.BBIReadError, LookupError, ValueError, OSError)


class Intervals(NamedTuple):
    """Intervals of one contig, 0-based half-open, and the value of each, ``(n,)``."""

    start: NDArray[np.int64]
    end: NDArray[np.int64]
    value: NDArray[np.float64]


class Values(NamedTuple):
    """Values of single bases of a contig; its positions, 0-based and ascending, come some at a time."""

    chrom: str
    length: int
    blocks: Iterable[tuple[NDArray[np.int64], NDArray[np.float64]]]


class BigWig:
    """A bigWig file to read from; it is closed at the end of a ``with`` block.

    Parameters
    ----------
    path
        The file.
    remedy
        What its user can do if it is damaged.

    Attributes
    ----------
    chroms
        Length of each contig, in the order of the file.

    Raises
    ------
    InputError
        Here and from every method, if the file is missing or damaged.
    """

    def __init__(self, path: Path, remedy: str = "fetch it again") -> None:
        self.path, self.remedy = path, remedy
        try:
            # An open file, because pybigtools takes no path that is not UTF-8.
            self._handle = readable(path).open("rb")
        except OSError as error:
            raise unreadable(path, error) from None
        try:
            with self._faults():
                self._reader = pybigtools.open(self._handle)
                self.chroms: dict[str, int] = self._reader.chroms()
        except InputError:
            self._handle.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._handle.close()

    def intervals(self, chrom: str, start: int, end: int) -> Intervals:
        """Return the intervals that lie between two positions, cut off there."""
        with self._faults():
            found = np.array(list(self._reader.records(chrom, start, end)), np.float64).reshape(-1, 3)
        first, last = (np.clip(found[:, i].astype(np.int64), start, end) for i in (0, 1))
        return Intervals(first, last, found[:, 2])

    def values(self, chrom: str, start: int, end: int) -> NDArray[np.float64]:
        """Return the value of every base between two positions, ``(end - start,)``; NaN where there is none."""
        with self._faults():
            return np.asarray(self._reader.values(chrom, start, end, fillna=None), np.float64)

    def n_bases(self) -> int:
        """Return how many bases have a value."""
        with self._faults():
            return int(self._reader.info()["summary"]["basesCovered"])

    @contextmanager
    def _faults(self) -> Iterator[None]:
        """Turn whatever pybigtools does with a damaged file into an `InputError`."""
        try:
            with _quiet():
                yield
        except BaseException as error:
            if isinstance(error, _FAULTS) or _is_panic(error):
                raise InputError("is truncated or damaged", where=self.path, remedy=self.remedy) from None
            raise


def write_bigwig(contigs: Sequence[Values], path: Path) -> None:
    """Write a bigWig; the name of the file must end in ``.bw`` and be UTF-8.

    Contigs must come sorted by name, byte by byte. A bigWig lists no contig without a value, so one that has none gets
    a 0 at its first base.

    Raises
    ------
    OSError
        If the file was not written whole.
    """
    written = 0
    failed: list[BaseException] = []

    def records() -> Iterator[tuple[str, int, int, float]]:
        nonlocal written
        try:
            for contig in contigs:
                before = written
                for positions, values in contig.blocks:
                    yield from zip(
                        repeat(contig.chrom), positions.tolist(), (positions + 1).tolist(), values.tolist(),
                        strict=False,
                    )  # fmt: skip
                    written += len(positions)
                if written == before:
                    yield contig.chrom, 0, 1, 0.0
                    written += 1
        except GeneratorExit:
            raise
        except BaseException as error:  # pybigtools would print it, Ctrl-C too, and go on as if nothing had happened
            failed.append(error)

    try:
        with _quiet():
            pybigtools.open(str(path), "w").write({contig.chrom: contig.length for contig in contigs}, records())
    except BaseException as error:
        if not (isinstance(error, _FAULTS) or _is_panic(error)):
            raise
    if failed:
        raise failed[0]
    try:  # pybigtools does not report all faults of a disk
        with BigWig(path) as bigwig:
            whole = bigwig.n_bases() == written
    except InputError:
        whole = False
    if not whole:
        raise output.full(path, why) if (why := output.why_cut(path)) else OSError(f"{path} was not written whole")


def _is_panic(error: BaseException) -> bool:
    """Tell a panic of Rust code, whose class no module gives by name."""
    return type(error).__name__ == "PanicException"


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep compiled code from writing to standard error: what is wrong is reported by us."""
    try:
        kept = os.dup(2)
    except OSError:  # it is closed
        yield
        return
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(nowhere)
        os.close(kept)
