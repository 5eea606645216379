"""Which contigs a scan reads: all, one, a part of one, or a share of them."""

import re
from typing import NamedTuple

import numpy as np

from capsight.data.genome import Genome, namesake
from capsight.errors import ConfigError


class Span(NamedTuple):
    """A contig by name and number, and from where to where it is scanned; 0-based half-open."""

    chrom: str
    contig: int
    start: int
    end: int


def spans(genome: Genome, region: str | None = None, shard: str | None = None) -> list[Span]:
    """Return what is scanned, contigs in the order of their names as ``LC_ALL=C sort`` and UCSC's tools have it.

    Contigs without a base are left out.

    Raises
    ------
    ConfigError
        If the region does not lie in the genome, or there are more shards than contigs.
    """
    if region is not None:
        found = [_region(genome, region)]
    else:
        found = [Span(name, i, 0, int(genome.lengths[i])) for i, name in enumerate(genome.names) if genome.lengths[i]]
    found.sort(key=lambda span: span.chrom.encode())
    if shard is None:
        return found
    number, shards = map(int, shard.split("/"))
    if shards > len(found):
        raise ConfigError(f"shard {shard}: there are only {len(found)} contigs to share out", where=genome.path)
    return _share(found, shards)[number - 1]


def _region(genome: Genome, region: str) -> Span:
    """Read a region as samtools writes it: a contig, or ``contig:first-last``, counted from 1, both ends included."""
    name, first, last = region, "", ""
    if region not in genome.names:
        parts = re.fullmatch(r"(.+):([0-9,]+)-([0-9,]+)", region)
        if parts:
            name, first, last = parts[1], parts[2].replace(",", ""), parts[3].replace(",", "")
    if name not in genome.names:
        raise _no_contig(genome, region, name)
    contig = genome.names.index(name)
    length = int(genome.lengths[contig])
    start, end = (int(first or 0) - 1, int(last or 0)) if first and last else (0, length)
    if not 0 <= start < end:
        raise ConfigError(
            f"region {region!r} has no bases", where=genome.path,
            remedy="positions count from 1, and the first comes before the last",
        )  # fmt: skip
    if end > length:
        raise ConfigError(f"region {region!r} ends beyond {name}, which has {length:,} bases", where=genome.path)
    return Span(name, contig, start, end)


def _no_contig(genome: Genome, region: str, name: str) -> ConfigError:
    """Return what is wrong with a region that begins with no contig, or goes on behind one as no region does."""
    own, _, rest = region.rpartition(":")
    stranded = re.fullmatch(r"(.+):[+-]", region)
    if stranded and (stranded[1] in genome.names or stranded[1].rpartition(":")[0] in genome.names):
        what, remedy = "has a strand, but both strands are read here", f"leave the strand out: {stranded[1]}"
    elif own in genome.names:
        what, base = f"{rest!r} is not a range of bases", rest.replace(",", "")
        remedy = f"write one base as {own}:{base}-{base}" if base.isdecimal() else f"write it as {own}:1001-2000"
    else:
        what, other = f"the genome has no contig {name!r}", namesake(name, genome.names)
        remedy = f"did you mean {other}?" if other else f"write it as {genome.names[0]} or {genome.names[0]}:1001-2000"
    return ConfigError(f"region {region!r}: {what}", where=genome.path, remedy=remedy)


def _share(found: list[Span], shards: int) -> list[list[Span]]:
    """Share out contigs, the longest first, each to whom has least."""
    shares: list[list[Span]] = [[] for _ in range(shards)]
    bases = np.zeros(shards, dtype=np.int64)
    for span in sorted(found, key=lambda span: (span.start - span.end, span.chrom.encode())):
        least = int(bases.argmin())
        shares[least].append(span)
        bases[least] += span.end - span.start
    return [sorted(share, key=lambda span: span.chrom.encode()) for share in shares]
