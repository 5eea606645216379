"""In-silico saturation mutagenesis: every base changed to every other, one at a time."""

import numpy as np
from numpy.typing import NDArray

from capsight.data.bases import N_CODE
from capsight.explain.reader import Explained, PerBase, Sequences
from capsight.progress import progress


def saturate(reader: Explained, sequences: Sequences) -> NDArray[np.float32]:
    """Return the change of the target for every substitution.

    Returns
    -------
    change
        ``(n, 4, length)``: the target in nats with that base at that position, minus that of the sequence; 0 for the
        base that is there. N are not changed.
    """
    n, length = sequences.codes.shape
    change = np.zeros((n, 4, length), np.float32)
    with progress("mutagenesis", n, " sequences") as bar:
        for row in range(n):
            one = sequences.of(slice(row, row + 1))
            position = np.repeat(np.flatnonzero(one.codes[0] < N_CODE), 3)
            other = (one.codes[0, position] + np.tile([1, 2, 3], len(position) // 3)) % 4
            mutants = np.repeat(one.reads, len(position) + 1, axis=0)
            mutants[np.arange(len(position)), position + (one.reads.shape[1] - length) // 2] = other
            values = reader.target(mutants)  # the last row is the sequence itself
            change[row, other, position] = values[:-1] - values[-1]
            bar.update()
    return change


def importance(change: NDArray[np.float32]) -> PerBase:
    """Return how much each base matters: the mean loss of the target over its three substitutions."""
    return -change.sum(axis=1) / 3
