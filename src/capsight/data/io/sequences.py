"""Sequences from CSV and FASTA files, with or without labels."""

import csv
import logging
from collections import Counter
from collections.abc import Iterable, Iterator, Sized
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from capsight.data.io.fasta import read_fasta
from capsight.data.io.text import open_text
from capsight.errors import InputError
from capsight.output import writing

logger = logging.getLogger(__name__)

SEQUENCE: Final = "sequence"
LABEL: Final = "label"
NAME: Final = "name"

_BASES: Final = frozenset("ACGTN")
#: IUPAC codes of more than one base (NC-IUB 1984); read as N, and said.
_AMBIGUOUS: Final = frozenset("RYSWKMBDHV")


class Sequences(NamedTuple):
    """Sequences as they stand in the file, and their names (or record numbers from 0)."""

    names: list[str]
    sequences: list[str]


class Labelled(NamedTuple):
    """Sequences with labels: 1 has a cap site, 0 has none, ``(n_sequences,)``."""

    names: list[str]
    sequences: list[str]
    labels: NDArray[np.int64]


def read_labelled(path: Path) -> Labelled:
    """Read a CSV (plain or gzip) with the columns sequence and label; names are record numbers from 0.

    Raises
    ------
    InputError
        Naming file and line, if a column is missing, a label is neither 0 nor 1, or a sequence is no DNA.
    """
    labels: list[int] = []
    sequences: list[str] = []
    for where, record in read_records(path, (SEQUENCE, LABEL)):
        if record[LABEL].strip() not in ("0", "1"):
            raise InputError(f"label {record[LABEL]!r} is neither 0 nor 1", where=where)
        labels.append(int(record[LABEL]))
        sequences.append(record[SEQUENCE].strip())
    _check_some(sequences, path)
    return Labelled([str(i) for i in range(len(labels))], sequences, np.array(labels, dtype=np.int64))


def read_sequences(path: Path) -> Sequences:
    """Read a FASTA, or a CSV with a column sequence and perhaps one called name; plain or gzip.

    Raises
    ------
    InputError
        Naming file and line or record, if the file is neither, or a sequence is no DNA.
    """
    if is_fasta(path):
        return read_fasta_sequences(path)
    records = list(read_csv_sequences(path))
    _check_some(records, path)
    return Sequences([name for name, _ in records], [sequence for _, sequence in records])


def read_fasta_sequences(path: Path) -> Sequences:
    """Read a FASTA (plain, gzip or bgzip).

    Raises
    ------
    InputError
        Naming file and line or record, if the file is none, or a sequence is no DNA.
    """
    names: list[str] = []
    sequences: list[str] = []
    tally: Counter[str] = Counter()
    for name, sequence in read_fasta(path):
        _check_dna(sequence, f"{path}: record {name!r}", tally)
        names.append(name)
        sequences.append(sequence)
    report_letters(tally, path)
    _check_some(sequences, path)
    return Sequences(names, sequences)


def is_fasta(path: Path) -> bool:
    """Tell FASTA from CSV, by the first line that is not blank."""
    with open_text(path) as handle:
        return next((line for line in handle if line.strip()), "").lstrip().startswith((">", ";"))


def read_csv_sequences(path: Path, *, empty: bool = False, quiet: bool = False) -> Iterator[tuple[str, str]]:
    """Yield name (or record number) and sequence of every record of a CSV with a column sequence.

    Parameters
    ----------
    empty
        Whether a sequence may be empty.
    quiet
        Whether the letters that are read as N are left unreported.

    Raises
    ------
    InputError
        Naming file and line, if it is no CSV, or a sequence is no DNA.
    """
    for number, (where, record) in enumerate(read_records(path, (SEQUENCE,), empty=empty, quiet=quiet)):
        name = record.get(NAME, str(number))
        if any(letter in name for letter in "\t\r\n"):  # tables of predictions have it as a field
            raise InputError(f"the name {name!r} has a tab or a line end", where=where)
        yield name, record[SEQUENCE].strip()


def sequence_store(records: Iterable[tuple[str, str]], folder: Path) -> Path:
    """Write named sequences as ``sequences.fa`` into `folder`, so that `Genome.open` serves them as contigs.

    Case is kept (lower case is soft-masked). Names must be unique and free of white space.
    """
    path = folder / "sequences.fa"
    with writing(path) as partial, partial.open("w", encoding="ascii", newline="\n") as out:
        out.writelines(f">{name}\n{sequence}\n" for name, sequence in records)
    return path


def read_records(
    path: Path, needed: tuple[str, ...], *, separator: str = ",", empty: bool = False, quiet: bool = False
) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield place (file:line) and fields of every record of a table whose header has the `needed` columns.

    One of them is `SEQUENCE`. The table is a CSV, or a TSV where the `separator` is a tab.
    """
    kind = "CSV" if separator == "," else "TSV"
    tally: Counter[str] = Counter()
    with open_text(path) as handle:
        reader = csv.reader(handle, delimiter=separator)
        try:
            header = [name.strip() for name in next(reader, [])]
            if not header:
                raise InputError("is empty", where=path)
            for name in needed:
                if name not in header:
                    raise InputError(f"has no column {name!r}; its columns are {_quote(header)}", where=f"{path}:1")
            if len(set(header)) < len(header):
                raise InputError(f"names a column twice; its columns are {_quote(header)}", where=f"{path}:1")
            for row in reader:
                where = f"{path}:{reader.line_num}"
                if not row:
                    continue
                if len(row) != len(header):
                    raise InputError(f"{len(row)} fields, but the header has {len(header)}", where=where)
                record = dict(zip(header, row, strict=True))
                sequence = record[SEQUENCE].strip()
                (check_letters if empty else _check_dna)(sequence, where, tally)
                yield where, record
        except csv.Error as error:
            raise InputError(f"is not {kind}: {error}", where=f"{path}:{reader.line_num}") from None
    if not quiet:
        report_letters(tally, path)


def _quote(header: list[str]) -> str:
    """List column names for a message, the first few, each cut short."""
    shown = ", ".join(repr(name[:30]) for name in header[:6])
    return shown + (", …" if len(header) > 6 else "")


def _check_dna(sequence: str, where: str, tally: Counter[str]) -> None:
    """Refuse an empty sequence, and what `check_letters` refuses."""
    if not sequence:
        raise InputError("the sequence is empty", where=where)
    check_letters(sequence, where, tally)


def check_letters(sequence: str, where: str, tally: Counter[str]) -> None:
    """Refuse letters that stand for no base; count those that stand for several."""
    letters = set(sequence.upper()) - _BASES
    if foreign := sorted(letters - _AMBIGUOUS):
        remedy = "this is RNA: write T for U" if foreign == ["U"] else None
        raise InputError(f"the sequence is not DNA: it has {foreign[0]!r}", where=where, remedy=remedy)
    for letter in letters:
        tally[letter] += sequence.upper().count(letter)


def _check_some(found: Sized, path: Path) -> None:
    if not found:
        raise InputError("holds no sequences", where=path)


def report_letters(tally: Counter[str], path: Path) -> None:
    """Say which letters are read as N."""
    if tally:
        letters = ", ".join(f"{letter} {count:,}" for letter, count in sorted(tally.items()))
        logger.warning("sequences %s: letters other than A, C, G, T, N are read as N: %s", path.name, letters)
