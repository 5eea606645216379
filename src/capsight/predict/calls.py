"""Calls: the bases of a track that stand for a TSS each."""

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import maximum_filter1d

from capsight.predict.track import within

#: No other call within so many bases on the same strand has a higher score.
DISTANCE: Final = 100
#: Bases around a base whose tags make its score: those within 10 count, those within 4 count 0.3 more, the base itself
#: 0.1 more. Chosen on yeast's chrVII (`docs/log.md`).
SCORE_REACH: Final = 10
_NEAR_REACH, _NEAR, _ITSELF = 4, 0.3, 0.1


def call_tss(
    expected_tags: NDArray[np.floating],
    probability: NDArray[np.floating],
    min_probability: float = 0.0,
    distance: int = DISTANCE,
    inside: slice = slice(None),
) -> "Calls":
    """Call TSSs on the tracks of a stretch, ``(2, length)`` each; the score of a call is its probability.

    A call is the base with most expected tags around it (`SCORE_REACH`), and none within `distance` has more. Whether a
    base is called depends on the bases within ``distance + SCORE_REACH`` of it and on nothing else. Only bases `inside`
    are called and compared; the tags of the others still count for those near them.
    """
    strand, position, _ = call(call_score(expected_tags)[:, inside], 0.0, distance)
    position = position + (inside.start or 0)
    score = np.asarray(probability, dtype=np.float64)[strand, position]
    order = np.lexsort((position, strand, -score))
    order = order[score[order] >= min_probability]
    return Calls(strand[order], position[order], score[order])


def call_score(expected_tags: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return what calls compete by: expected tags around each base, ``(2, length)``."""
    tags = np.asarray(expected_tags, dtype=np.float64)
    return within(tags, SCORE_REACH) + _NEAR * within(tags, _NEAR_REACH) + _ITSELF * tags


class Calls(NamedTuple):
    """Called TSSs, the highest score first; of equal scores, + before -, then from the left.

    Attributes
    ----------
    strand
        0 for +, 1 for -, ``(n,)``.
    position
        0-based position of the +1 base, ``(n,)``.
    score
        What the track has there, ``(n,)``.
    """

    strand: NDArray[np.int64]
    position: NDArray[np.int64]
    score: NDArray[np.float64]


def call(score: NDArray[np.floating], min_score: float = 0.0, distance: int = DISTANCE) -> Calls:
    """Call the bases whose score is the highest within `distance` bases on their strand.

    Whether a base is called depends on the bases within `distance` of it and on nothing else, so a contig may be
    called in pieces that overlap by as much. Of equal scores within `distance`, the leftmost is called.

    Parameters
    ----------
    score
        ``(2, length)``: strands + and -, positions left to right.
    min_score
        Bases at or below this are never called.
    distance
        In bases, at least 0.
    """
    values = np.asarray(score, dtype=np.float64)
    highest = maximum_filter1d(values, 2 * distance + 1, axis=1, mode="constant", cval=-np.inf)
    called = (values == highest) & (values > min_score)
    if distance:  # nothing as high may stand to the left
        shifted = np.pad(values, ((0, 0), (1, 0)), constant_values=-np.inf)[:, :-1]
        origin = (distance - 1) // 2
        left = maximum_filter1d(shifted, distance, axis=1, mode="constant", cval=-np.inf, origin=origin)
        called &= left < values
    strand, position = np.nonzero(called)
    found = values[strand, position]
    order = np.argsort(-found, kind="stable")
    return Calls(strand[order], position[order], found[order])
