"""Tiles: the pieces of windows and sequences, each as long as a model's window, that are answered base by base.

A window is read as it stands. A sequence longer than the window is read in tiles half a window apart, and every base
is taken from the one tile in whose middle half it lies.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
import pandas as pd

from capsight.data import schema
from capsight.data.bases import N_CODE, Codes, encode
from capsight.data.profiles import middle_half
from capsight.data.sequences import read_sequences
from capsight.data.windows import Windows
from capsight.errors import InputError

UNKNOWN: Final = "."
#: Windows whose bases are in memory at once, where they are read from a table.
_STEP: Final = 4096


class Record(NamedTuple):
    """A window or a sequence: its name, and where its first base (5') is, and the next ones by `step`."""

    name: str
    chrom: str
    strand: str
    first: int
    step: int

    def place(self, index: int) -> tuple[str, str, int, str]:
        """Return name, contig, position and strand of the base at `index`, counted from the 5' end."""
        return self.name, self.chrom, self.first + index * self.step, self.strand


class Tile(NamedTuple):
    """A piece of a record, as long as the model's window.

    Attributes
    ----------
    codes
        ``(length,)`` bases, N beyond the record.
    kept
        Which of its bases are taken from this tile.
    offset
        Index in the record of the first base of the tile; below 0 where the tile begins before it.
    last
        Whether it is the last tile of its record.
    """

    record: Record
    codes: Codes
    kept: slice
    offset: int
    last: bool


def tiles_of(source: Path, fold: str | None, length: int) -> Iterator[Tile]:
    """Yield the tiles of windows (``windows.parquet`` or its folder), or of the sequences of a FASTA or CSV.

    Raises
    ------
    InputError
        If the source cannot be used.
    """
    is_windows = source.is_dir() or source.suffix == ".parquet"
    return _of_windows(source, fold, length) if is_windows else _of_sequences(source, length)


def batches(tiles: Iterable[Tile], size: int) -> Iterator[list[Tile]]:
    """Cut a row of tiles into batches."""
    batch: list[Tile] = []
    for tile in tiles:
        batch.append(tile)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch


def _of_windows(source: Path, fold: str | None, length: int) -> Iterator[Tile]:
    """Yield each window as it stands, every base taken from it."""
    data = open_windows(source, fold, length)
    names = window_names(data.table)
    columns = (data.table[name].tolist() for name in (schema.CHROM, schema.START, schema.END, schema.STRAND))
    records = [
        Record(name, chrom, strand, *((start, 1) if strand == "+" else (end - 1, -1)))
        for name, chrom, start, end, strand in zip(names, *columns, strict=True)
    ]
    for i in range(0, len(records), _STEP):
        codes = data.codes(np.arange(i, min(i + _STEP, len(records))))
        for record, row in zip(records[i : i + _STEP], codes, strict=True):
            yield Tile(record, row, slice(0, length), 0, last=True)


def _of_sequences(source: Path, length: int) -> Iterator[Tile]:
    """Yield the tiles of each sequence."""
    names, sequences = read_sequences(source)
    for name, sequence in zip(names, sequences, strict=True):
        yield from cut_tiles(Record(name, UNKNOWN, UNKNOWN, 0, 1), encode(sequence), length)


def cut_tiles(record: Record, codes: Codes, length: int) -> Iterator[Tile]:
    """Cut a sequence into tiles from which every base is taken once.

    One that is no longer than the window is a single tile, centred between N, from which all of its bases are taken.
    A longer one gets a tile every half window, from which the middle half is taken; the first and last reach beyond
    the sequence, where they are N.
    """
    n = len(codes)
    if n <= length:
        pad = (length - n) // 2
        yield Tile(record, _cut(codes, -pad, length), slice(pad, pad + n), -pad, last=True)
        return
    middle = middle_half(length)
    step = middle.stop - middle.start
    for begin in range(0, n, step):
        offset = begin - middle.start
        kept = slice(middle.start, min(middle.stop, n - offset))
        yield Tile(record, _cut(codes, offset, length), kept, offset, last=begin + step >= n)


def _cut(codes: Codes, start: int, length: int) -> Codes:
    """Return `length` bases from `start` on, N where there are none."""
    cut = np.full(length, N_CODE, dtype=np.uint8)
    part = codes[max(start, 0) : start + length]
    cut[max(-start, 0) : max(-start, 0) + len(part)] = part
    return cut


def open_windows(source: Path, fold: str | None, length: int) -> Windows:
    """Open the windows of a fold (or all), which must be of the length that a model reads.

    Raises
    ------
    InputError
        If they cannot be used.
    """
    data = Windows.open(source)
    data = data.fold(fold) if fold else data
    if data.length != length:
        raise InputError(f"the model reads {length} bases and the windows have {data.length}", where=source)
    return data


def window_names(table: pd.DataFrame) -> pd.Series:
    """Return a name for each window by its place: ``chrI:100..612,+``."""
    text = table[[schema.CHROM, schema.START, schema.END, schema.STRAND]].astype(str)
    return text[schema.CHROM] + ":" + text[schema.START] + ".." + text[schema.END] + "," + text[schema.STRAND]
