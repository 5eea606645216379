"""The genome as a memory-mapped array of bases, shared by every process: windows are gathered from it by indexing."""

import mmap
import zlib
from collections.abc import Collection
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Final, Self

import numpy as np
import pandas as pd
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import ArrayLike

from capsight.data.genome.alphabet import (
    CODE_BITS,
    N_CODE,
    SOFT_MASK,
    Codes,
    Composition,
    Ints,
    Mask,
    composition,
    reverse_complement,
)
from capsight.data.genome.store import BLOCK, base_store
from capsight.errors import InputError

#: Rows gathered at a time: bounds the memory that intermediate results take.
_ROWS_AT_ONCE: Final = 1 << 14
#: Blocks that are checked before the genome is unmapped.
_BLOCKS_MAPPED: Final = 64
#: Rows after which the genome is unmapped: each maps the page that it lies on, which may be one of 2 MB.
_ROWS_MAPPED: Final = 1 << 12


@dataclass(frozen=True, eq=False)
class Genome:
    """A memory-mapped genome. Positions are 0-based; contigs are numbered in the order of the file.

    Attributes
    ----------
    path
        The file or folder.
    names, lengths
        Of every contig; lengths in bases, ``(n_contigs,)``.
    sha256
        Checksum of the file; of a folder, that of its files' names and checksums.
    bases
        Stored bytes of all contigs, one after the other; do not write. They are checked where they are first read.
    sums
        CRC-32 of every block of them, ``(n_blocks,)``.
    store
        The file of `bases`.
    """

    path: Path
    names: tuple[str, ...]
    lengths: Ints
    sha256: str
    bases: Codes
    sums: Ints
    store: Path

    @classmethod
    def open(cls, path: Path) -> Self:
        """Open the store of a FASTA (plain or bgzip), a 2bit file or a folder of FASTA files; build it on first use.

        Raises
        ------
        InputError
            If a file is missing, is no genome, is gzip but not bgzip, is damaged, or a contig is named twice.
        """
        store = base_store(path)
        bases = np.asarray(np.memmap(store.bases, dtype=np.uint8, mode="r"))
        lengths, sums = np.array(store.lengths, np.int64), np.array(store.sums, np.int64)
        return cls(path, store.names, lengths, store.sha256, bases, sums, store.bases)

    @cached_property
    def offsets(self) -> Ints:
        """Where each contig begins in `bases`, ``(n_contigs,)``."""
        return np.cumsum(self.lengths) - self.lengths

    @cached_property
    def _unchecked(self) -> Mask:
        """Tell which blocks of `bases` have not been compared with their checksums, ``(n_blocks,)``."""
        return np.ones(len(self.sums), dtype=bool)

    @cached_property
    def _lookup(self) -> pd.Index:
        return pd.Index(self.names)

    def index(self, names: ArrayLike) -> Ints:
        """Return the number of each named contig, -1 for unknown names."""
        return np.asarray(self._lookup.get_indexer(pd.Index(np.asarray(names, dtype=object))), dtype=np.int64)

    def fetch(self, contig: Ints, start: Ints, length: int, minus: Mask) -> Codes:
        """Gather windows, 5'→3' on their strand.

        Parameters
        ----------
        contig, start
            Contig number and leftmost position of each window, ``(n_windows,)``.
        length
            Bases per window.
        minus
            Windows to be read from the minus strand, ``(n_windows,)``.

        Returns
        -------
        codes
            ``(n_windows, length)``, 0 to 4; positions outside the contig are N.
        """
        codes = self._gather(contig, start, length)
        codes &= CODE_BITS
        codes[minus] = reverse_complement(codes[minus])
        return codes

    def masked(self, contig: Ints, start: Ints, length: int) -> Mask:
        """Tell which positions of plus-strand windows are soft-masked, ``(n_windows, length)``."""
        return (self._gather(contig, start, length) & SOFT_MASK) > 0

    def composition(self, contig: Ints, start: Ints, length: int) -> Composition:
        """Measure windows, a bounded number at a time and in the order of the genome: neighbours share pages."""
        order = np.argsort(self.offsets[contig] + start)
        found = Composition(np.zeros(len(order)), np.zeros(len(order)), np.zeros(len(order), np.int64))
        for i in range(0, len(order), _ROWS_AT_ONCE):
            rows = order[i : i + _ROWS_AT_ONCE]
            for column, part in zip(found, composition(self._gather(contig[rows], start[rows], length)), strict=True):
                column[rows] = part
        return found

    def contig(self, number: int) -> Codes:
        """Return a copy of the codes 0 to 4 of a whole contig, plus strand, without the soft mask."""
        return self.view(number) & np.uint8(CODE_BITS)

    def view(self, number: int) -> Codes:
        """Return the stored bytes of a whole contig, memory-mapped: do not write; `release` what was read."""
        first, stop = self.offsets[number], self.offsets[number] + self.lengths[number]
        self._check(np.array([first]), np.array([stop]))
        return self.bases[first:stop]

    def _check(self, first: Ints, stop: Ints) -> None:
        """Compare the blocks that hold parts of `bases` with their checksums, each block once.

        Raises
        ------
        InputError
            If one differs: a bit of the disk has changed.
        """
        if not self._unchecked.any():
            return
        changes = np.zeros(len(self.sums) + 1, dtype=np.int64)
        np.add.at(changes, first // BLOCK, 1)
        np.add.at(changes, (stop - 1) // BLOCK + 1, -1)
        for done, block in enumerate(np.flatnonzero((np.cumsum(changes)[:-1] > 0) & self._unchecked), start=1):
            if zlib.crc32(self.bases[block * BLOCK : (block + 1) * BLOCK].data) != self.sums[block]:
                raise InputError(
                    "the genome store is damaged", where=self.store,
                    remedy=f"delete the folder {self.store.parent}: it is built anew of {self.path}",
                )  # fmt: skip
            self._unchecked[block] = False
            if done % _BLOCKS_MAPPED == 0:
                self.release()

    def _gather(self, contig: Ints, start: Ints, length: int) -> Codes:
        """Return stored bytes of plus-strand windows, ``(n_windows, length)``, as a fresh array."""
        contig, start = np.asarray(contig, dtype=np.int64), np.asarray(start, dtype=np.int64)
        if len(start) < _ROWS_MAPPED:
            return self._copy(contig, start, length)
        codes = np.empty((len(start), length), dtype=np.uint8)
        order = np.argsort(self.offsets[contig] + start)  # neighbours share pages
        for i in range(0, len(start), _ROWS_MAPPED):
            rows = order[i : i + _ROWS_MAPPED]
            codes[rows] = self._copy(contig[rows], start[rows], length)
            self.release()
        return codes

    def release(self) -> None:
        """Unmap what was read: it stays in the page cache, but is no longer counted as memory of this process."""
        mapped = getattr(self.bases.base, "_mmap", None)
        if isinstance(mapped, mmap.mmap):
            mapped.madvise(mmap.MADV_DONTNEED)

    def _copy(self, contig: Ints, start: Ints, length: int) -> Codes:
        """Do the work of `_gather`, for any number of rows at once."""
        if len(contig) and contig.min() < 0:
            raise ValueError("contig -1: an unknown contig cannot be read")
        size, first = self.lengths[contig], self.offsets[contig]
        begin, stop = np.maximum(start, 0), np.minimum(start + length, size)
        some = begin < stop
        self._check((first + begin)[some], (first + stop)[some])
        inside = (start >= 0) & (start + length <= size)
        if inside.all() and len(start):
            return sliding_window_view(self.bases, length)[first + start]
        codes = np.full((len(start), length), N_CODE, dtype=np.uint8)
        if inside.any():
            codes[inside] = sliding_window_view(self.bases, length)[(first + start)[inside]]
        for i in np.flatnonzero(~inside & some):
            part = self.bases[first[i] + begin[i] : first[i] + stop[i]]
            codes[i, begin[i] - start[i] : stop[i] - start[i]] = part
        return codes


def match_contig_name(name: str, names: Collection[str]) -> str | None:
    """Return the contig that `name` would be called among `names` by another convention (chrI/I, chrM/MT)."""

    def key(text: str) -> str:
        plain = text.lower().removeprefix("chr")
        return "mt" if plain in ("m", "mt", "mito", "mitochondrion") else plain

    return {key(other): other for other in names}.get(key(name))
