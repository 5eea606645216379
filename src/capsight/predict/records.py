"""The records that `predict` answers with a track model: sequences of a file, or intervals of a genome.

They are read one at a time, and twice: first to check and to count them, before any work, then to answer them.
"""

import logging
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
import pandas as pd

from capsight.data import schema
from capsight.data.genome.alphabet import STORED, Codes, encode
from capsight.data.genome.genome import Genome
from capsight.data.io.bed import NO_STRAND, records, split
from capsight.data.io.fasta import fasta_pieces
from capsight.data.io.sequences import check_letters, is_fasta, read_csv_sequences, report_letters
from capsight.data.io.text import open_text, sniff_format
from capsight.data.naming import region_names
from capsight.data.peaks.regions import read_regions
from capsight.data.windows.stranded import shuffle_number
from capsight.data.windows.windows import Windows
from capsight.errors import ConfigError, InputError

logger = logging.getLogger(__name__)

#: Stands for a coordinate that is unknown.
UNKNOWN: Final = "."
#: What `bytes.translate` makes of letters.
_STORED: Final = STORED.tobytes()
_KNOWN: Final = b"ACGTNacgtn"
#: Intervals after which the genome is unmapped: its pages would count as memory of this process.
_RELEASED_AFTER: Final = 1 << 12


class Record(NamedTuple):
    """A sequence, or an interval of a contig: bases of the plus strand, and from where to where they are answered.

    `chrom` is ``.`` for sequences, and `strand` ``.`` where it is not known; coordinates are 0-based half-open.
    """

    name: str
    chrom: str
    start: int
    end: int
    strand: str
    codes: Codes


class Records(NamedTuple):
    """Records of a source, how many there are, how many of these without a base, and their bases in all."""

    read: Callable[[], Iterator[Record]]
    n: int
    empty: int
    bases: int


def open_records(source: Path, genome: Path | None = None, fold: str | None = None) -> Records:
    """Check all records of a source.

    Parameters
    ----------
    source
        FASTA, CSV with a ``sequence`` column, ``windows.parquet`` (or its folder), or BED with a `genome`.
    genome
        What the intervals of a BED file lie in.
    fold
        Of windows: only this one.

    Raises
    ------
    InputError
        If the source cannot be used: which record, and why.
    """
    if source.is_dir() or source.suffix == ".parquet":
        if genome is not None:
            raise ConfigError("windows have a genome of their own: leave --genome out", where=source)
        return interval_records(*_windows(source, fold))
    if fold is not None:
        raise ConfigError("only windows have folds: leave --fold out", where=source)
    if sniff_format(source) in ("text", "gzip", "bgzip") and is_fasta(source):
        if genome is not None:
            raise ConfigError("is FASTA, and --genome is for intervals: leave it out", where=source)
        return _counted(partial(_fasta, source), source)
    if genome is None:
        # BED from CSV is told by the first line that is a record.
        with open_text(source) as handle:
            fields = split(next((line.text for line in records(handle)), ""))
        if len(fields) >= 3 and all(field.isdecimal() for field in fields[1:3]):
            raise ConfigError("is BED: name the genome that its intervals lie in, by --genome", where=source)
        return _counted(partial(_csv, source), source)
    found = Genome.open(genome)
    return interval_records(read_regions(source, found, translated=False), found)


def _counted(read: Callable[[bool], Iterator[Record]], source: Path) -> Records:
    """Read all records once."""
    n = empty = bases = 0
    for record in read(False):
        n, empty, bases = n + 1, empty + (record.end == 0), bases + record.end
    if not n:
        raise InputError("holds no sequences", where=source)
    return Records(partial(read, True), n, empty, bases)


def _fasta(source: Path, quiet: bool) -> Iterator[Record]:
    """Yield the records of a FASTA file."""
    tally: Counter[str] = Counter()
    for (_, name), pieces in groupby(fasta_pieces(source, quiet=quiet), key=lambda piece: piece[:2]):
        stored = bytearray()
        for _, _, letters in pieces:
            if not quiet and (others := letters.translate(None, _KNOWN)):
                check_letters(others.decode("ascii"), f"{source}: record {name!r}", tally)
            stored += letters.translate(_STORED)
        yield sequence_record(name, np.frombuffer(stored, np.uint8))
    report_letters(tally, source)


def _csv(source: Path, quiet: bool) -> Iterator[Record]:
    """Yield the records of a CSV file."""
    for name, sequence in read_csv_sequences(source, empty=True, quiet=quiet):
        yield sequence_record(name, encode(sequence))


def sequence_record(name: str, codes: Codes) -> Record:
    """Return a sequence that is answered from end to end; its + strand is the one that it stands on."""
    return Record(name, UNKNOWN, 0, len(codes), "+", codes)


def _windows(source: Path, fold: str | None) -> tuple[pd.DataFrame, Genome]:
    """Return the windows of a fold (or all), and their genome."""
    data = Windows.open(source)
    data = data.fold(fold) if fold else data
    if shuffled := int((shuffle_number(data.table[schema.SOURCE]) > 0).sum()):
        raise InputError(
            f"{shuffled:,} of {len(data.table):,} windows are shuffled DNA, which is nowhere in the genome",
            where=source,
            remedy="make windows with other negatives, or score these with a window model",
        )  # fmt: skip
    return data.table, data.genome


def interval_records(table: pd.DataFrame, genome: Genome) -> Records:
    """Return intervals of a genome; one without a name is called by its position."""
    names = pd.Series(region_names(table), table.index)
    if schema.NAME in table:
        names = table[schema.NAME].where(~table[schema.NAME].isin(("", NO_STRAND)), names)
    table = table.assign(name=names)
    bases = int((table[schema.END] - table[schema.START]).sum())
    return Records(partial(_intervals, table, genome), len(table), 0, bases)


def _intervals(table: pd.DataFrame, genome: Genome) -> Iterator[Record]:
    """Yield intervals of a genome."""
    columns = (schema.NAME, schema.CHROM, schema.START, schema.END, schema.STRAND)
    contigs = genome.index(table[schema.CHROM]).tolist()
    rows = zip(*(table[column].tolist() for column in columns), contigs, strict=True)
    for number, (name, chrom, start, end, strand, contig) in enumerate(rows):
        if number % _RELEASED_AFTER == 0:
            genome.release()
        yield Record(name, chrom, start, end, strand, genome.view(contig))
