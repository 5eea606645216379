"""The 5' ends that go with windows, ``ctss.parquet``: those that were counted, else the summits of the peaks."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
import pyarrow as pa

from capsight.data import schema
from capsight.data.ctss.ctss import Ctss
from capsight.data.ctss.reader import read_ctss
from capsight.data.genome.alphabet import Ints
from capsight.data.genome.contig_names import Aliases
from capsight.data.genome.genome import Genome, match_contig_name
from capsight.data.io.parquet import read_parquet, write_parquet
from capsight.errors import InputError

logger = logging.getLogger(__name__)

CTSS_FILE: Final = "ctss.parquet"
#: Where 5' ends are from.
CTSS: Final = "ctss"
SUMMITS: Final = "summits"

_STRANDS: Final = ("+", "-")
_SCHEMA: Final = pa.schema(
    [
        (schema.CHROM, pa.string()),
        (schema.POSITION, pa.int64()),
        (schema.STRAND, pa.string()),
        (schema.COUNT, pa.float64()),
    ]
)


def read_counted_ctss(
    paths: Sequence[Path],
    genome: Genome,
    aliases: Aliases,
    plus: Sequence[Path] = (),
    minus: Sequence[Path] = (),
    options: tuple[str, str] | None = None,
) -> Ctss:
    """Read 5'-end counts (CTSS) and sum them over files; those on contigs that the genome lacks are said.

    Raises
    ------
    InputError
        If a file cannot be used, or is of another genome.
    """
    read = read_ctss(paths, plus, minus, options)
    names, ctss = aliases.names(read.names), read.ctss
    number = genome.index(names)
    where = ", ".join(str(path) for path in (*paths, *plus, *minus))
    if (number < 0).all():
        near = match_contig_name(names[0], genome.names)
        hint = f", which has {near!r}" if near else ""
        raise InputError(
            f"contig {names[0]!r} is not in {genome.path.name}{hint}, nor is any other", where=where,
            remedy="names of contigs must be those of the genome: --aliases",
        )  # fmt: skip
    unknown = number < 0
    if unknown.any():
        lost = unknown[read.ctss.contig]
        missing = ", ".join(repr(name) for name, none in zip(read.names, unknown, strict=True) if none)
        logger.warning(
            "5' ends: %s tags at %s positions are on %d contigs that %s lacks, and are left out: %s",
            f"{read.ctss.counts[lost].sum():,.10g}", f"{lost.sum():,}", unknown.sum(), genome.path.name, missing[:200],
        )  # fmt: skip
    known = number[ctss.contig] >= 0
    contig, position = number[ctss.contig[known]], ctss.position[known]
    if len(beyond := np.flatnonzero(position >= genome.lengths[contig])):
        row = beyond[0]
        name, size = genome.names[contig[row]], genome.lengths[contig[row]]
        raise InputError(
            f"a 5' end at {position[row]}, but {name} has {size} bases", where=where,
            remedy="counts of another assembly?",
        )  # fmt: skip
    # Two names of one contig can give the same place.
    return Ctss.summed(contig, position, ctss.minus[known], ctss.counts[known])


def ctss_from_summits(peaks: pd.DataFrame, genome: Genome) -> Ctss:
    """Return the summits of peaks (`schema.PEAK_COLUMNS`) as 5' ends, one at each."""
    columns = pd.DataFrame(
        {
            "contig": genome.index(peaks[schema.CHROM]),
            "position": peaks[schema.SUMMIT].to_numpy(np.int64),
            "minus": (peaks[schema.STRAND] == "-").to_numpy(np.int64),
        }
    ).drop_duplicates()
    contig, position, minus = (columns[name].to_numpy() for name in columns)
    return Ctss.summed(contig, position, minus, np.ones(len(columns)))


def place_numbers(genome: Genome, contig: Ints, minus: Ints, position: Ints) -> Ints:
    """Return a number for each place: along both strands of one contig after the other, as `Ctss` is sorted."""
    return 2 * genome.offsets[contig] + minus * genome.lengths[contig] + position


def write_ctss_table(tags: Ctss, genome: Genome, source: str, folder: Path) -> dict[str, Any]:
    """Write ``ctss.parquet``, the same bytes for the same tags; return what the summary says of them."""
    strands = pa.array(np.array(_STRANDS, dtype=object)[tags.minus], pa.string())
    chroms = pa.array(np.array(genome.names, dtype=object)[tags.contig], pa.string())
    table = pa.table([chroms, pa.array(tags.position), strands, pa.array(tags.counts)], schema=_SCHEMA)
    write_parquet(table, folder / CTSS_FILE)
    return {"source": source, "positions": len(tags.counts), "tags": float(tags.counts.sum())}


def read_ctss_table(path: Path, genome: Genome) -> Ctss:
    """Read ``ctss.parquet``.

    Raises
    ------
    InputError
        If there is none, or it is not of this genome.
    """
    table = read_parquet(path, _SCHEMA, "5' ends", "the windows folder contains no 5'-end counts")
    chrom, strand = (table[name].combine_chunks().dictionary_encode() for name in (schema.CHROM, schema.STRAND))
    position, count = (table[name].to_numpy() for name in (schema.POSITION, schema.COUNT))
    contig = genome.index(chrom.dictionary.to_pylist())[chrom.indices.to_numpy()]
    minus = np.array([_STRANDS.index(s) if s in _STRANDS else -1 for s in strand.dictionary.to_pylist()], np.int64)
    tags = Ctss(contig, position, minus[strand.indices.to_numpy()], count)
    outside = (tags.contig < 0) | (tags.minus < 0) | (tags.position < 0)
    outside |= tags.position >= genome.lengths[tags.contig]
    unsorted = np.diff(place_numbers(genome, tags.contig, tags.minus, tags.position)) <= 0
    wrong = outside.any() or unsorted.any() or not ((tags.counts > 0) & np.isfinite(tags.counts)).all()
    if not len(tags.counts) or wrong or any(column.null_count for column in table.columns):
        raise InputError("is not a table of 5' ends of this genome", where=path, remedy="make it again")
    return tags
