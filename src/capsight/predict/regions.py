"""Which contigs a scan reads: all, one, a part of one, or a share of them."""

import numpy as np

from capsight.data.genome.genome import Genome
from capsight.data.genome.stretches import Span, read_span
from capsight.errors import ConfigError


def spans(genome: Genome, region: str | None = None, shard: str | None = None) -> list[Span]:
    """Return what is scanned, contigs in the order of their names as ``LC_ALL=C sort`` and UCSC's tools have it.

    Contigs without a base are left out.

    Raises
    ------
    ConfigError
        If the region does not lie in the genome, or there are more shards than contigs.
    """
    if region is not None:
        found = [read_span(genome, region)]
    else:
        found = [Span(name, i, 0, int(genome.lengths[i])) for i, name in enumerate(genome.names) if genome.lengths[i]]
    found.sort(key=lambda span: span.chrom.encode())
    if shard is None:
        return found
    number, shards = map(int, shard.split("/"))
    if shards > len(found):
        raise ConfigError(f"shard {shard}: there are only {len(found)} contigs to share out", where=genome.path)
    # The longest first, each to whom has least.
    shares: list[list[Span]] = [[] for _ in range(shards)]
    bases = np.zeros(shards, dtype=np.int64)
    for span in sorted(found, key=lambda span: (span.start - span.end, span.chrom.encode())):
        least = int(bases.argmin())
        shares[least].append(span)
        bases[least] += span.end - span.start
    return [sorted(share, key=lambda span: span.chrom.encode()) for share in shares][number - 1]
