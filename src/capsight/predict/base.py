"""Answers base by base: the probability that a base is the cap site, and how many 5' ends to expect there.

A window is read as it stands. A sequence longer than the window is read in tiles half a window apart, and every base
is taken from the one tile in whose middle half it lies.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final, NamedTuple, TextIO

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from capsight.config import PredictConfig
from capsight.data import schema
from capsight.data.bases import N_CODE, Codes, encode
from capsight.data.profiles import middle_half
from capsight.data.sequences import read_sequences
from capsight.data.windows import Windows
from capsight.errors import InputError
from capsight.predict.base_scorer import BaseScorer

Floats = NDArray[np.float64]

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


def predict_bases(config: PredictConfig, scorer: BaseScorer, source: Path, out: Path) -> int:
    """Score every base of `source` and write those that matter, in input order and 5'→3'; return their number.

    Parameters
    ----------
    config
        Fold (of windows), batch size, and the least probability that is written.
    scorer
        The model.
    source
        FASTA, CSV with a ``sequence`` column, or ``windows.parquet`` (or its folder).
    out
        TSV to write, columns `schema.BASE_PREDICTION_COLUMNS`. The best base of a record is always written.

    Raises
    ------
    InputError
        If the source cannot be used.
    """
    is_windows = source.is_dir() or source.suffix == ".parquet"
    tiles = _of_windows(source, config.fold, scorer.length) if is_windows else _of_sequences(source, scorer.length)
    with out.open("w", encoding="utf-8", newline="") as handle:
        writer = _Writer(handle, config.least)
        for batch in _batches(tiles, config.batch_size):
            scores = scorer.score(np.stack([tile.codes for tile in batch]))
            writer.write(batch, scores.probability, scores.strength)
    return writer.n


class _Writer:
    """Writes the bases of records as their tiles come, and the best base of those that had none to write."""

    def __init__(self, handle: TextIO, least: float) -> None:
        self.handle, self.least = handle, least
        self.n = 0
        self.written = False  # a base of the record whose tiles are coming
        self.best: tuple[float, float, int] | None = None  # of that record: probability, strength, index
        pd.DataFrame(columns=list(schema.BASE_PREDICTION_COLUMNS)).to_csv(handle, sep="\t", index=False)

    def write(self, tiles: list[Tile], probability: Floats, strength: Floats) -> None:
        """Write the bases of some tiles."""
        rows: list[tuple[object, ...]] = []
        for tile, p, s in zip(tiles, probability, strength, strict=True):
            place = np.arange(tile.kept.start, tile.kept.stop)
            chosen = place[p[place] >= self.least]
            rows += [_row(tile.record, i + tile.offset, p[i], s[i]) for i in chosen.tolist()]
            self.written = self.written or bool(len(chosen))
            top = int(place[p[place].argmax()])
            if self.best is None or p[top] > self.best[0]:
                self.best = float(p[top]), float(s[top]), top + tile.offset
            if tile.last:
                if not self.written:
                    best_p, best_s, index = self.best
                    rows.append(_row(tile.record, index, best_p, best_s))
                self.written, self.best = False, None
        table = pd.DataFrame(rows, columns=list(schema.BASE_PREDICTION_COLUMNS))
        table.to_csv(self.handle, sep="\t", index=False, header=False, float_format="%.6f")
        self.n += len(rows)


def _row(record: Record, index: int, probability: float, strength: float) -> tuple[object, ...]:
    """Return what is written of the base at `index` of a record, counted from its 5' end."""
    place = record.first + index * record.step
    return record.name, record.chrom, place, record.strand, probability, strength


def _batches(tiles: Iterable[Tile], size: int) -> Iterator[list[Tile]]:
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
