"""Intervals of the genome from BED files that need no strand, such as a user's own negatives."""

import logging
from itertools import chain
from pathlib import Path

import pandas as pd

from capsight.data import schema
from capsight.data.genome.contig_names import Aliases
from capsight.data.genome.genome import Genome
from capsight.data.io.bed import BED, Peak, is_header, read_bed, read_records, records
from capsight.data.io.text import open_text
from capsight.data.peaks.reader import check_places
from capsight.errors import InputError

logger = logging.getLogger(__name__)


def read_regions(
    path: Path, genome: Genome, aliases: Aliases | None = None, *, translated: bool = True
) -> pd.DataFrame:
    """Read intervals from BED3 to BED12, plain or gzipped, 0-based half-open; `translated` is that of `check_places`.

    Returns
    -------
    regions
        One row per record in file order: chrom, start, end, strand and name (``.`` where the file has none), and
        summit: thickStart where BED uses it for that, else -1.

    Raises
    ------
    InputError
        Naming file and line, if a record cannot be used or does not lie in the genome.
    """
    with open_text(path) as handle:
        lines = records(handle)
        first = next(lines, None)
        rest = lines if first is None or is_header(first.text) else chain([first], lines)
        rows = list(read_records(rest, path))
    table = pd.DataFrame(read_bed(rows, BED, path), columns=list(Peak._fields))
    if not len(table):
        raise InputError("holds no intervals", where=path)
    if aliases is not None:
        table[schema.CHROM] = aliases.names(table[schema.CHROM])
    check_places(table, path, genome, translated=translated)
    logger.info("regions %s: %d on %d contigs", path.name, len(table), table[schema.CHROM].nunique())
    return table[[schema.CHROM, schema.START, schema.END, schema.STRAND, schema.NAME, schema.SUMMIT]]
