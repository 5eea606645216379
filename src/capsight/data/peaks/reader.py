"""CAGE peaks from files as they come."""

import logging
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd

from capsight.config import PeakFormat
from capsight.data import schema
from capsight.data.genome.alphabet import encode
from capsight.data.genome.contig_names import Aliases
from capsight.data.genome.genome import Genome, match_contig_name
from capsight.data.io.bed import (
    BED,
    BROAD_PEAK,
    NARROW_PEAK,
    NO_STRAND,
    Line,
    Peak,
    is_header,
    is_paper_csv,
    read_bed,
    read_paper_csv,
    read_records,
    recognise,
    records,
)
from capsight.data.io.gtf import is_annotation, read_transcripts
from capsight.data.io.text import open_text, sniff_format
from capsight.errors import InputError

logger = logging.getLogger(__name__)

#: Files that are no peaks, and what makes peaks of them.
_REMEDIES: Final = {
    "bigWig": "peaks are made of 5'-end counts by: capsight cluster --plus PLUS.bw --minus MINUS.bw -o peaks.bed",
    "bigBed": "UCSC's bigBedToBed makes BED of it",
    "2bit": "this is a genome: --genome",
}
_BEDGRAPH_COLUMNS: Final = 4
_START_CODON: Final = "ATG"
#: So many peaks that begin with a start codon, and this share of all, are more than chance. Of EPDnew's TSSs, 1 to 7 %
#: do; of transcripts in annotations without untranslated regions nearly all.
_FEWEST_STARTS: Final = 20
_MOST_STARTS: Final = 0.2
#: Names of the setting peak_format that are formats of `data.io.bed`.
_FORMATS: Final = {"bed": BED, "narrowPeak": NARROW_PEAK, "broadPeak": BROAD_PEAK}


def read_peaks(
    path: Path,
    genome: Genome,
    aliases: Aliases | None = None,
    *,
    assume_plus_strand: bool = False,
    peak_format: PeakFormat = "auto",
    summit_offset: int = 0,
) -> pd.DataFrame:
    """Read CAGE peaks; the format is told by the content, and any of them may be gzipped.

    BED and its relatives (`data.io.bed.recognise`, `read_bed`), the paper's CSV (`data.io.bed.read_paper_csv`), or
    the 5' ends of transcripts in GTF or GFF3 (`data.io.gtf.read_transcripts`).

    Parameters
    ----------
    path
        The file.
    genome
        The genome that the coordinates belong to.
    aliases
        Other names of its contigs, which the file may use.
    assume_plus_strand
        Take every peak as one on the plus strand, whatever the file says.
    peak_format
        The format, where it is not to be told by the content.
    summit_offset
        Bases from the 5' end of a peak without a summit to where its summit is taken to be, or to its last base if
        it is shorter.

    Returns
    -------
    peaks
        One row per record in file order, columns `schema.PEAK_COLUMNS`; a missing score is NaN. A peak without a
        summit has it at its 5' end on its strand (the first base on +, the last on -); with `assume_plus_strand`
        neither end is the 5' end, and it is at the middle, (start + end) // 2.

    Raises
    ------
    InputError
        Naming file and line, if a record cannot be used, has no strand or does not lie in the genome; if the content
        does not tell the format.
    """
    table = pd.DataFrame(parse_peaks(path, peak_format), columns=list(Peak._fields))
    if aliases is not None:
        table[schema.CHROM] = aliases.names(table[schema.CHROM])
    check_places(table, path, genome)
    if assume_plus_strand:
        table[schema.STRAND] = _without_strand(table, path)
    else:
        _check_strands(table, path)
    without = table[schema.SUMMIT] < 0
    start, end = table[schema.START], table[schema.END]
    inside = np.minimum(summit_offset, end - start - 1)
    five_prime = np.where(table[schema.STRAND] == "+", start + inside, end - 1 - inside)
    table[schema.SUMMIT] = table[schema.SUMMIT].where(
        ~without, (start + end) // 2 if assume_plus_strand else five_prime
    )
    end_used = f"base {summit_offset} from the 5' end" if summit_offset else "5' end"
    _report(table, path, int(without.sum()), "middle" if assume_plus_strand else end_used)
    _warn_of_start_codons(table, path, genome)
    return table[list(schema.PEAK_COLUMNS)]


def parse_peaks(path: Path, peak_format: PeakFormat) -> list[Peak]:
    """Read all records of a file in the format that is asked for, or that it has; no genome is looked at.

    Raises
    ------
    InputError
        If the file cannot be read in this format, or holds no peaks.
    """
    if (kind := sniff_format(path)) in _REMEDIES:
        raise InputError(f"is {kind}, which holds no peaks", where=path, remedy=_REMEDIES[kind])
    with open_text(path) as handle:
        lines = records(handle)
        first = next(lines, None)
        if first is None:
            peaks = []
        elif peak_format == "csv" or (peak_format == "auto" and is_paper_csv(first.text)):
            peaks = read_paper_csv(first.text, lines, path)
        elif peak_format == "gtf" or (peak_format == "auto" and is_annotation(first.text)):
            peaks = read_transcripts(chain([first], lines), path)
        else:
            peaks = _read_intervals(first, lines, path, _FORMATS.get(peak_format))
    if not peaks:
        raise InputError("holds no peaks", where=path)
    return peaks


def _read_intervals(first: Line, lines: Iterator[Line], path: Path, kind: str | None) -> list[Peak]:
    """Read BED or one of its relatives; say which it is."""
    if is_header(first.text):
        logger.info("peaks %s: line %d names the columns", path.name, first.number)
    else:
        lines = chain([first], lines)
    rows = list(read_records(lines, path))
    if not rows:
        return []
    told = "as asked for" if kind else "recognised by its columns"
    kind = kind or recognise(rows, path)
    peaks = read_bed(rows, kind, path)
    logger.info("peaks %s: %s of %d columns, %s", path.name, kind, len(rows[0].fields), told)
    if len(rows[0].fields) == _BEDGRAPH_COLUMNS and all(_is_number(row.fields[3]) for row in rows):
        logger.warning(
            "peaks %s: column 4 holds nothing but numbers: if this is bedGraph, capsight cluster --plus PLUS --minus "
            "MINUS makes peaks of it", path.name,
        )  # fmt: skip
    return peaks


def _is_number(text: str) -> bool:
    """Tell whether a field is a number."""
    try:
        float(text)
    except ValueError:
        return False
    return True


def _check_strands(table: pd.DataFrame, path: Path) -> None:
    """Refuse the first peak without a strand."""
    without = np.flatnonzero(table[schema.STRAND] == NO_STRAND)
    if len(without):
        raise InputError(
            "no strand: a cap site is a position on one strand", where=f"{path}:{table['line'].iloc[without[0]]}",
            remedy="the strand (BED column 6) must be + or -; or take all peaks as on plus: --assume-plus-strand, in a "
            "recipe windows.assume_plus_strand: true",
        )  # fmt: skip


def _without_strand(table: pd.DataFrame, path: Path) -> str:
    """Return the strand that all peaks get; say how many had one."""
    if had := int((table[schema.STRAND] != NO_STRAND).sum()):
        logger.info("peaks %s: %d peaks have a strand, which is not used: all are taken as +", path.name, had)
    else:
        logger.info("peaks %s: all peaks are taken as +", path.name)
    return "+"


def check_places(table: pd.DataFrame, path: Path, genome: Genome, *, translated: bool = True) -> None:
    """Refuse the first interval that does not lie in the genome.

    Parameters
    ----------
    table
        With columns chrom, end and line.
    path
        The file they come from, for the message.
    genome
        The genome.
    translated
        Whether the stage can translate names of contigs by a table of aliases, which its message then recommends.

    Raises
    ------
    InputError
        Naming file and line.
    """
    contig = genome.index(table[schema.CHROM])
    ends = np.where(contig < 0, 0, genome.lengths[contig])
    bad = np.flatnonzero((contig < 0) | (table[schema.END].to_numpy() > ends))
    if not len(bad):
        return
    first = table.iloc[bad[0]]
    where, chrom = f"{path}:{first['line']}", first[schema.CHROM]
    if contig[bad[0]] >= 0:
        raise InputError(
            f"it ends at {first[schema.END]}, but {chrom} has {ends[bad[0]]} bases", where=where,
            remedy=f"is this of another assembly than {genome.path.name}? or does it cross the origin of a circular "
            "contig? cut it there; in GFF3 the contig's own line must say Is_circular=true",
        )  # fmt: skip
    if other := match_contig_name(chrom, genome.names):
        raise InputError(
            f"contig {chrom!r} is not in {genome.path.name}, which has {other!r}", where=where,
            remedy="rename the contigs so that both files agree"
            + (", or name a table of aliases: --aliases" if translated else ""),
        )  # fmt: skip
    lost = table.loc[contig < 0, schema.CHROM]
    raise InputError(
        f"contig {chrom!r} is not in {genome.path.name}, which has {_some(genome.names)}", where=where,
        remedy=f"{len(lost)} of {len(table)} records lie on contigs that it lacks: {_some(lost.unique())}",
    )  # fmt: skip


def _some(names: object) -> str:
    """Name the first few of many."""
    listed = list(names)  # type: ignore[call-overload]
    return ", ".join(listed[:5]) + (f" and {len(listed) - 5} more" if len(listed) > 5 else "")


def _report(table: pd.DataFrame, path: Path, without: int, instead: str) -> None:
    """Say how many peaks there are, what their summits are, and what is odd about them."""
    place = [schema.CHROM, schema.START, schema.END, schema.STRAND]
    logger.info("peaks %s: %d peaks on %d contigs", path.name, len(table), table[schema.CHROM].nunique())
    if without:
        logger.info("peaks %s: no summit for %d of %d: their %s is used", path.name, without, len(table), instead)
    if repeated := int(table.duplicated(place).sum()):
        logger.info("peaks %s: %d peaks repeat the place of an earlier one", path.name, repeated)
    score = table[schema.SCORE]
    single = (table[schema.END] - table[schema.START] == 1).all()
    # one base each, with whole and different numbers as scores
    if without == len(table) and single and (score >= 1).all() and (score % 1 == 0).all() and score.nunique() > 1:
        logger.warning(
            "peaks %s: every record is one base wide with a whole number as its score: these look like 5'-end counts; "
            "capsight cluster makes peaks of them", path.name,
        )  # fmt: skip


def _warn_of_start_codons(table: pd.DataFrame, path: Path, genome: Genome) -> None:
    """Warn where many peaks begin with ATG: annotations without untranslated regions begin at the start codon."""
    minus = (table[schema.STRAND] == "-").to_numpy()
    start = table[schema.SUMMIT].to_numpy(np.int64) - np.where(minus, len(_START_CODON) - 1, 0)
    codes = genome.fetch(genome.index(table[schema.CHROM]), start, len(_START_CODON), minus)
    found = int((codes == encode(_START_CODON)).all(axis=1).sum())
    if found >= _FEWEST_STARTS and found > _MOST_STARTS * len(table):
        logger.warning(
            "peaks %s: %d of %d begin with ATG: these look like start codons, which lie behind the cap site. Leave out "
            "transcripts whose 5' untranslated region is not annotated", path.name, found, len(table),
        )  # fmt: skip
