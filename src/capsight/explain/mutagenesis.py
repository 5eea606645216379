"""In-silico saturation mutagenesis: every base changed to every other, one at a time."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from capsight.data.genome.alphabet import N_CODE
from capsight.explain.reader import Explained, PerBase, Sequences
from capsight.progress import progress

#: Substitutions after which the progress moves.
_AT_ONCE: Final = 600


def saturate(reader: Explained, sequences: Sequences) -> NDArray[np.float32]:
    """Return the change of the target for every substitution.

    Returns
    -------
    change
        ``(n, 4, length)``: the target in nats with that base at that position, minus that of the sequence; 0 for the
        base that is there. N are not changed.
    """
    change = np.zeros((len(sequences), 4, sequences.codes.shape[1]), np.float32)
    with progress("mutagenesis", 3 * int((sequences.codes < N_CODE).sum()), " changes") as bar:
        for row in range(len(sequences)):
            one = sequences.subset(slice(row, row + 1))
            position = np.repeat(np.flatnonzero(one.codes[0] < N_CODE), 3)
            base = (one.codes[0, position] + np.tile(np.arange(1, 4, dtype=np.uint8), len(position) // 3)) % 4
            for some in np.array_split(np.arange(len(position)), -(-len(position) // _AT_ONCE) or 1):
                change[row, base[some], position[some]] = reader.substituted(one, position[some], base[some])
                bar.update(len(some))
    return change


def importance(change: NDArray[np.float32]) -> PerBase:
    """Return how much each base matters: the mean loss of the target over its three substitutions."""
    return -change.sum(axis=1) / 3
