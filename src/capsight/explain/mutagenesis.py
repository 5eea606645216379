"""In-silico saturation mutagenesis: every base changed to every other, one at a time."""

import numpy as np
from numpy.typing import NDArray

from capsight.explain.reader import Codes, Explained, PerBase
from capsight.progress import progress


def saturate(reader: Explained, codes: Codes) -> NDArray[np.float32]:
    """Return the change of log-odds for every substitution.

    Returns
    -------
    change
        ``(n_windows, 4, length)``: log-odds in nats with that base at that place, minus those of the window; 0 for the
        base that is there. N are not changed.
    """
    n, length = codes.shape
    change = np.zeros((n, 4, length), np.float32)
    with progress("mutagenesis", n, " windows") as bar:
        for row in range(n):
            place = np.repeat(np.flatnonzero(codes[row] < 4), 3)
            other = (codes[row, place] + np.tile([1, 2, 3], len(place) // 3)) % 4
            mutants = np.repeat(codes[row][None], len(place) + 1, axis=0)
            mutants[np.arange(len(place)), place] = other
            odds = reader.log_odds(mutants)  # the last row is the window itself
            change[row, other, place] = odds[:-1] - odds[-1]
            bar.update()
    return change


def importance(change: NDArray[np.float32]) -> PerBase:
    """Return how much each base matters: the mean loss of log-odds over its three substitutions."""
    return -change.sum(axis=1) / 3
