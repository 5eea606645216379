"""A model of windows slid along a chromosome: a window around every so many bases of both strands."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from capsight.data.genome.genome import Genome
from capsight.predict.windows import Scorer

Floats = NDArray[np.float64]

#: Windows whose bases are in memory at once.
_STEP = 4096


def slid(scorer: Scorer, genome: Genome, step: int) -> Callable[[int, int, int], Floats]:
    """Return what scores the bases of a piece (contig, start, end), ``(2, end - start)``, by a model of windows.

    The score of a base is that of the window in whose middle (index length / 2, as in positives) it stands. That is
    asked for where the position is a multiple of `step`; bases between get what lies between, by linear interpolation.
    Beyond the ends of a contig there is N.
    """

    def score(contig: int, start: int, end: int) -> Floats:
        last = (int(genome.lengths[contig]) - 1) // step * step
        grid = np.arange(start // step * step, min(end + step, last) + 1, step)
        number = np.full(len(grid), contig, dtype=np.int64)
        found = np.empty((2, end - start))
        for strand in (0, 1):
            minus = np.full(len(grid), strand == 1)
            before = scorer.length - 1 - scorer.length // 2 if strand else scorer.length // 2
            parts = [slice(i, i + _STEP) for i in range(0, len(grid), _STEP)]
            codes = (genome.fetch(number[part], grid[part] - before, scorer.length, minus[part]) for part in parts)
            found[strand] = np.interp(np.arange(start, end), grid, np.concatenate([scorer.score(c) for c in codes]))
        return found

    return score
