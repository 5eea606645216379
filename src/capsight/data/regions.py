"""Intervals of the genome from BED files that need no strand, such as a user's own negatives."""

import logging
from pathlib import Path
from typing import Final

import pandas as pd

from capsight.data import schema
from capsight.data.genome import Genome, namesake, open_text
from capsight.errors import InputError

logger = logging.getLogger(__name__)

_NO_RECORD: Final = ("#", "track", "browser")
#: Of the largest position that is believed.
_DIGITS: Final = 12


def read_regions(path: Path, genome: Genome) -> pd.DataFrame:
    """Read intervals from BED3 to BED12, plain or gzipped, 0-based half-open.

    Returns
    -------
    regions
        One row per record in file order: chrom, start, end, strand (``.`` where the file has none).

    Raises
    ------
    InputError
        Naming file and line, if a record cannot be used or does not lie in the genome.
    """
    rows = []
    lengths = dict(zip(genome.names, genome.lengths.tolist(), strict=True))
    with open_text(path) as handle:
        for number, line in enumerate(handle, start=1):
            if line.strip() and not line.startswith(_NO_RECORD):
                rows.append(_parse(line.rstrip("\r\n"), f"{path}:{number}", genome, lengths))
    if not rows:
        raise InputError("holds no intervals", where=path)
    table = pd.DataFrame(rows, columns=[schema.CHROM, schema.START, schema.END, schema.STRAND])
    logger.info("regions %s: %d on %d contigs", path.name, len(table), table[schema.CHROM].nunique())
    return table


def _parse(text: str, where: str, genome: Genome, lengths: dict[str, int]) -> tuple[str, int, int, str]:
    """Read one BED line."""
    fields = [field.strip() for field in (text.split("\t") if "\t" in text else text.split())]
    if len(fields) < 3:
        raise InputError(f"is not BED: {len(fields)} columns, at least 3 are needed", where=where)
    chrom, start, end = fields[0], _position(fields[1], "start", where), _position(fields[2], "end", where)
    if chrom not in lengths:
        near = namesake(chrom, genome.names)
        has = f", which has {near!r}" if near else ""
        raise InputError(f"contig {chrom!r} is not in {genome.path.name}{has}", where=where)
    if start >= end:
        raise InputError(f"start {start} is not below end {end}", where=where, remedy="BED is 0-based half-open")
    if end > lengths[chrom]:
        raise InputError(f"ends at {end}, but {chrom} has {lengths[chrom]} bases", where=where)
    strand = fields[5] if len(fields) > 5 else "."
    if strand not in ("+", "-", "."):
        raise InputError(f"strand {strand!r} is neither +, - nor .", where=where)
    return chrom, start, end, strand


def _position(text: str, what: str, where: str) -> int:
    """Read a coordinate."""
    if text.startswith("-") and text[1:].isdecimal():
        raise InputError(f"{what} {text[:30]} is negative", where=where)
    if not (text.isdecimal() and text.isascii()):
        raise InputError(f"{what} {text[:30]!r} is not an integer", where=where)
    if len(text) > _DIGITS:
        raise InputError(f"{what} {text[:30]} is beyond the end of any contig", where=where)
    return int(text)
