"""Both alleles of a change, by the bases that it can reach alone."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from capsight.predict.track import REACH, Codes, Floats, TrackScorer, with_flanks


class Change(NamedTuple):
    """What stands differently in one allele of a sequence: `alternative` in place of the bases from `start` to `end`.

    0-based, half-open; `start == end` is an insertion before `start`; `alternative` (codes 0 to 4) may be empty.
    """

    start: int
    end: int
    alternative: Codes


class Allele(NamedTuple):
    """Expected counts around a change, before calibration, each ``(2, flank + middle + flank)``.

    Strands + and -, positions left to right. `middle` is the number of bases of the change in this allele, so the first
    `flank` and the last `flank` columns of both alleles are the same bases.
    """

    tags: Floats
    summits: Floats


class AlleleScorer:
    """Runs a track network on both alleles of changes."""

    def __init__(self, scorer: TrackScorer, distance: int = 500) -> None:
        self.scorer, self.distance = scorer, distance

    @property
    def flank(self) -> int:
        """Bases on either side of a change that are answered."""
        return self.distance + REACH

    def alleles(self, codes: Codes, changes: Sequence[Change]) -> Iterator[tuple[Allele, Allele]]:
        """Yield the reference and the alternative of each change of one sequence ``(length,)``, in order."""
        halo = self.scorer.network.halo
        for change in changes:
            reach = self.flank + halo
            around = with_flanks(codes[None], change.start - reach, change.end + reach, self.scorer.flank)[0]
            other = np.concatenate([around[:reach], change.alternative, around[len(around) - reach :]])
            yield self._allele(around, halo), self._allele(other, halo)

    def _allele(self, bases: Codes, halo: int) -> Allele:
        counts = self.scorer.counts(bases[None], halo, len(bases) - halo)
        return Allele(counts.tags[0], counts.summits[0])
