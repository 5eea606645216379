"""What a picture of a place shows."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from capsight.data.genome.genes import Gene

Floats = NDArray[np.floating]


class Tss(NamedTuple):
    """A called TSS: 0-based position, strand (``+`` or ``-``), probability."""

    position: int
    strand: str
    probability: float


class Logo(NamedTuple):
    """How much each base matters to a TSS.

    Attributes
    ----------
    tss
        Whose it is.
    offset
        Of the first base from the TSS, 5'→3' on its strand.
    letters
        Bases 5'→3' on the strand of the TSS.
    heights
        Nats of expected tags, ``(n_bases,)``.
    method
        How it was found: ``ism`` or ``ig``.
    """

    tss: Tss
    offset: int
    letters: str
    heights: Floats
    method: str

    @property
    def positions(self) -> NDArray[np.int64]:
        """0-based position of each base in the genome."""
        steps = self.offset + np.arange(len(self.letters))
        return self.tss.position + (steps if self.tss.strand == "+" else -steps)


class Variant(NamedTuple):
    """An allele of a variant.

    Attributes
    ----------
    position
        0-based position of its first base.
    name
        ``.`` where it has none.
    log2
        Change of log2 expected tags on + and -.
    """

    position: int
    name: str
    ref: str
    alt: str
    log2: tuple[float, float]


@dataclass(frozen=True, eq=False)
class Locus:
    """A place of a genome; 0-based half-open. What was not asked for is `None`.

    Attributes
    ----------
    chrom, start, end
        Where it is.
    expected
        Expected tags, ``(2, length)``: strands + and -, positions left to right.
    observed
        Observed 5' ends, ``(2, length)``.
    tss
        Called TSSs, by position.
    """

    chrom: str
    start: int
    end: int
    expected: Floats
    tss: tuple[Tss, ...]
    observed: Floats | None = None
    genes: tuple[Gene, ...] | None = None
    variants: tuple[Variant, ...] | None = None
    logo: Logo | None = None

    @property
    def name(self) -> str:
        """The region as samtools writes it."""
        return f"{self.chrom}:{self.start + 1:,}-{self.end:,}"
