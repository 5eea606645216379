"""The variants of a place, and what each of their alleles does to the expected tags around it."""

import logging
from pathlib import Path
from typing import Final, NamedTuple

from capsight.config import VariantsConfig
from capsight.data.genome.alphabet import Codes
from capsight.data.genome.contig_names import Aliases
from capsight.data.genome.genes import check_contigs
from capsight.data.genome.genome import Genome
from capsight.data.genome.stretches import Span
from capsight.data.io.text import given
from capsight.data.io.vcf import Variant as Line
from capsight.data.io.vcf import VariantFile
from capsight.errors import InputError
from capsight.explain.reader import TrackWrapper
from capsight.plot.locus import Variant
from capsight.predict.alleles import AlleleScorer, Change
from capsight.variants.scoring import summary_of
from capsight.variants.sites import Places

logger = logging.getLogger(__name__)

#: Bases downstream of a variant whose expected tags are summed, as `variants` does by default.
DISTANCE: Final[int] = VariantsConfig.model_fields["distance"].default
#: A picture shows no more alleles than this.
MOST: Final = 1000
#: Alleles without an effect that a message names, for each reason.
_NAMED: Final = 3


class Alleles(NamedTuple):
    """The alleles of a place: record, alternative allele and change of each; and which column has names."""

    known: list[tuple[Line, bytes, Change]]
    column: int | None


def read_alleles(path: Path, genome: Genome, span: Span, aliases: Aliases) -> Alleles:
    """Return the alleles whose record begins in a place, by position.

    Those that have no bases (``<DEL>``, breakends), or whose REF differs from the genome, are counted, named and left
    out.

    Raises
    ------
    InputError
        If the file cannot be used, has no contig of the genome, or has too many alleles here.
    """
    places, file = Places(genome, aliases), VariantFile.open(given(path))
    names: set[str] = set()
    known: list[tuple[Line, bytes, Change]] = []
    unscored: dict[str, list[str]] = {}
    for record in file.records():
        if not record.alts:
            continue
        contig = places.contig(record.chrom)
        names.add(genome.names[contig] if contig >= 0 else record.chrom)
        if contig != span.contig or not span.start <= record.position < span.end:
            continue
        for alt, change in zip(record.alts, places.alleles(record), strict=True):
            if isinstance(change, Change):
                known.append((record, alt, change))
            else:
                unscored.setdefault(change.why, []).append(change.what)
    check_contigs(names, genome, path)
    if len(known) > MOST:
        raise InputError(
            f"has {len(known):,} alleles in this region", where=path, remedy=f"a picture shows {MOST:,} at most"
        )
    for why, which in unscored.items():
        more = f" and {len(which) - _NAMED} more" if len(which) > _NAMED else ""
        named = f"{', '.join(which[:_NAMED])}{more}"
        logger.warning("plot: variants %s: %d left out: %s (%s)", path.name, len(which), why, named)
    known.sort(key=lambda one: (one[2].start, one[2].end))
    logger.info("plot: variants %s: %d alleles", path.name, len(known))
    return Alleles(known, next((i for i, name in enumerate(file.columns) if name.strip().lower() == "id"), None))


def score_alleles(alleles: Alleles, reader: TrackWrapper, contig: Codes) -> list[Variant]:
    """Return the alleles of a place with their effects."""
    changes = [change for _, _, change in alleles.known]
    pairs = list(AlleleScorer(reader.scorer, DISTANCE).alleles(contig, changes))
    effects = summary_of(reader.card, DISTANCE).effects(changes, pairs, len(contig))
    found = []
    for (record, alt, _), effect in zip(alleles.known, effects, strict=True):
        name = "" if alleles.column is None else _text(record.line.split(b"\t")[alleles.column])
        found.append(Variant(record.position, name or ".", _text(record.ref), _text(alt), effect.log2))
    return found


def _text(letters: bytes) -> str:
    return letters.decode("utf-8", "replace")
