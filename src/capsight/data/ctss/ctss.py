"""`Ctss`: counts of RNA 5' ends by place, of a file or of a genome."""

from typing import Final, NamedTuple, Self

import numpy as np

from capsight.data.genome.alphabet import Floats, Ints, Mask

#: Of a sort key: room for a position on a contig, below the number of contig and strand.
POSITION_BITS: Final = 40


class Ctss(NamedTuple):
    """5'-end counts. Sorted by contig, then plus before minus, then position; no place occurs twice.

    Contigs are numbers: those of a genome, or of the names that a file has (`capsight.data.ctss.reader.CtssFile`).

    Attributes
    ----------
    contig, position
        Number of the contig and 0-based position, ``(n_places,)``.
    minus
        1 on the minus strand, else 0, ``(n_places,)``.
    counts
        Number of 5' ends (above 0), ``(n_places,)``.
    """

    contig: Ints
    position: Ints
    minus: Ints
    counts: Floats

    @classmethod
    def summed(cls, contig: Ints, position: Ints, minus: Ints, counts: Floats) -> Self:
        """Sort places, and sum the counts of those that occur more than once."""
        key = (2 * contig + minus) << POSITION_BITS | position
        order = np.argsort(key, kind="stable")
        first = np.flatnonzero(np.diff(key[order], prepend=-1))
        rows = order[first]
        return cls(contig[rows], position[rows], minus[rows], np.add.reduceat(counts[order], first))

    def where(self, chosen: Mask) -> Self:
        """Return some of the places."""
        return type(self)(self.contig[chosen], self.position[chosen], self.minus[chosen], self.counts[chosen])
