"""Peaks from annotations: the 5' ends of the transcripts in GTF and GFF3 files."""

import logging
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from capsight.data.io.bed import NO_STRAND, Line, Peak, position
from capsight.errors import InputError

logger = logging.getLogger(__name__)

#: Types of feature (column 3) that are taken: transcripts that RNA polymerase II makes and caps. What Ensembl and
#: NCBI call tRNA, rRNA, miRNA, snRNA and so on in GFF3 is not; in GTF all of these are called transcript.
FEATURES: Final = ("transcript", "mRNA", "lnc_RNA", "lncRNA", "ncRNA")

_COLUMNS: Final = 9
#: transcript_id "X" in GTF, ID=X in GFF3.
_NAME: Final = re.compile(r'(?:^|[;\s])(?:transcript_id "([^"]*)"|ID=([^;]+))')
#: What GFF3 writes at a contig that is a ring; its features may end beyond the contig's end, behind the origin.
_CIRCULAR: Final = re.compile(r"(?:^|;)\s*Is_circular=true\s*(?:;|$)", re.IGNORECASE)


def is_annotation(first: str) -> bool:
    """Tell whether a first record is GTF or GFF3: nine columns, coordinates in the fourth and fifth."""
    fields = first.split("\t")
    if len(fields) not in (_COLUMNS - 1, _COLUMNS):
        return False
    bed, gff = (all(text.strip().isdecimal() for text in fields[i : i + 2]) for i in (1, 3))
    return gff and not bed


def read_transcripts(lines: Iterable[Line], path: Path) -> list[Peak]:
    """Read the 5' ends of transcripts: one peak of one base for each distinct place and strand.

    Coordinates in the file are 1-based and include the end. The peak is called after the first transcript that
    begins there; its score is how many do. On a contig that the file calls circular (GFF3's Is_circular), positions
    beyond its end are counted on from its first base, as GFF3 defines.

    Raises
    ------
    InputError
        Naming file and line of the first record that cannot be used; if there are no transcripts; or if one has
        no strand, and with it no 5' end.
    """
    taken: Counter[str] = Counter()
    left: Counter[str] = Counter()
    ends: dict[tuple[str, int, str], Peak] = {}
    circular: dict[str, int] = {}
    found: list[Peak] = []
    for line in before_sequences(lines):
        fields, where = line.text.split("\t"), f"{path}:{line.number}"
        if len(fields) < _COLUMNS - 1:
            raise InputError(f"{len(fields)} columns, but GTF and GFF3 have {_COLUMNS}", where=where)
        if len(fields) == _COLUMNS and _CIRCULAR.search(fields[8]):
            circular[fields[0]] = position(fields[4], "end", where)
        if fields[2] not in FEATURES:
            left[fields[2]] += 1
            continue
        taken[fields[2]] += 1
        found.append(_five_prime_end(fields, line.number, where))
    over = 0
    for peak in found:
        if 0 < circular.get(peak.chrom, 0) <= peak.start:
            start = peak.start - circular[peak.chrom]
            peak = peak._replace(start=start, end=start + 1, summit=start)
            over += 1
        place = (peak.chrom, peak.start, peak.strand)
        ends[place] = ends[place]._replace(score=ends[place].score + 1) if place in ends else peak
    if not ends:
        raise InputError(
            f"has no transcripts, but {_told(left)}", where=path, remedy=f"{', '.join(FEATURES)} are taken"
        )
    repeats = f", {len(found) - len(ends)} begin where another one does" if len(found) > len(ends) else ""
    logger.info("peaks %s: 5' ends of %s: %d places%s", path.name, _told(taken), len(ends), repeats)
    if over:
        logger.info("peaks %s: %d 5' ends lie behind the origin of a circular contig", path.name, over)
    if left:
        logger.info("peaks %s: not taken: %s", path.name, _told(left))
    return list(ends.values())


def before_sequences(lines: Iterable[Line]) -> Iterator[Line]:
    """Yield the records of a GFF3 file up to the sequences that may stand at its end."""
    for line in lines:
        if line.text.startswith(">"):
            return
        yield line


def _five_prime_end(fields: list[str], number: int, where: str) -> Peak:
    """Return the first base of one transcript."""
    first, last = position(fields[3], "start", where), position(fields[4], "end", where)
    if not 1 <= first <= last:
        raise InputError(f"{first} to {last} is no interval", where=where, remedy="GTF and GFF3 count from 1")
    strand = fields[6]
    if strand not in ("+", "-"):
        raise InputError(f"strand {strand[:30]!r}: a transcript without a strand has no 5' end", where=where)
    start = first - 1 if strand == "+" else last - 1
    named = _NAME.search(fields[8]) if len(fields) == _COLUMNS else None
    name = (named[1] or named[2]) if named else NO_STRAND
    return Peak(fields[0], start, start + 1, name or NO_STRAND, 1.0, strand, start, number)


def _told(features: Counter[str]) -> str:
    """List types of feature with their numbers, the most frequent first."""
    most = [f"{count:,} {feature}" for feature, count in features.most_common(8)]
    return ", ".join(most) + (", …" if len(features) > len(most) else "") or "nothing else"
