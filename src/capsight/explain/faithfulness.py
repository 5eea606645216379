"""How far to trust an explanation: does the score fall when the bases it names are taken away?

Deletion (Samek et al. 2017; Petsiuk et al. 2018): the best-ranked bases of a window are replaced by those of its own
dinucleotide shuffle, more and more of them; insertion starts from the shuffle and puts the best-ranked bases back.
The area under each curve (of the probability; with a track network, of the logarithm of expected tags) is compared with
that of a random ranking. The score is the mean of both gains: 0 for random, larger is better.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from capsight.explain.gradients import shuffled
from capsight.explain.reader import Codes, Explained, PerBase, Sequences
from capsight.progress import progress

#: Shares of a window's bases at which both curves are read: dense where motifs are.
SHARES = (0.0, 0.01, 0.02, 0.04, 0.06, 0.08, 0.12, 0.16, 0.24, 0.32, 0.5)


class Faithfulness(NamedTuple):
    """Areas under the curves (mean response over `SHARES`), and what they are worth.

    Attributes
    ----------
    deletion, insertion
        Areas of the explanation; a good one has a small first and a large second.
    random_deletion, random_insertion
        Areas of random rankings of the same windows.
    score
        Mean of both gains over random.
    """

    deletion: float
    insertion: float
    random_deletion: float
    random_insertion: float
    score: float


def faithfulness(reader: Explained, sequences: Sequences, scores: PerBase, *, seed: int) -> Faithfulness:
    """Measure one explanation of some sequences, ``(n, length)`` scores."""
    baseline = shuffled(sequences.codes, 1, seed).codes[:, 0]
    chance = np.random.default_rng([seed, 7]).random(sequences.codes.shape)
    with progress("faithfulness", 4 * len(SHARES), " readings") as bar:
        deletion, insertion = _areas(reader, sequences, baseline, scores, bar)
        random_deletion, random_insertion = _areas(reader, sequences, baseline, chance, bar)
    gain = 0.5 * ((random_deletion - deletion) + (insertion - random_insertion))
    return Faithfulness(deletion, insertion, random_deletion, random_insertion, gain)


def _areas(
    reader: Explained, sequences: Sequences, baseline: Codes, scores: NDArray[np.floating], bar: tqdm
) -> tuple[float, float]:
    """Return the areas under the deletion and the insertion curve of one ranking."""
    codes = sequences.codes
    rank = np.argsort(np.argsort(-scores, axis=1, kind="stable"), axis=1)
    curves: list[list[float]] = [[], []]
    for share in SHARES:
        chosen = rank < round(share * codes.shape[1])
        for curve, changed in zip(curves, (chosen, ~chosen), strict=True):
            curve.append(float(reader.response(sequences.reading(np.where(changed, baseline, codes))).mean()))
            bar.update()
    width = SHARES[-1] - SHARES[0]
    deletion, insertion = (float(np.trapezoid(curve, SHARES) / width) for curve in curves)
    return deletion, insertion
