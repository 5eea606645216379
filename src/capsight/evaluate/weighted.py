"""Figures over places that count several times, as a bootstrap draws them; with weights of 1, over each once."""

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Mask = NDArray[np.bool_]

#: Bins of a reliability curve, each with as many calls.
RELIABILITY_BINS: Final = 10
#: Points of a precision-recall or ROC curve that are kept.
CURVE_POINTS: Final = 200
#: Sums of weights that should be equal differ by less.
_ROUNDING: Final = 1e-9


class Areas(NamedTuple):
    """Areas under the precision-recall curve (average precision) and the ROC curve; NaN with one label only."""

    auprc: float
    auroc: float


class Curve(NamedTuple):
    """Points of the precision-recall and of the ROC curve, from the best score on, each ``(n_points,)``."""

    recall: Floats
    precision: Floats
    false_positive_rate: Floats


class Ranking:
    """Places in order of their score.

    Parameters
    ----------
    score
        ``(n,)``; equal scores have one rank.
    truth
        Which are positives, ``(n,)``.
    """

    def __init__(self, score: Floats, truth: Mask) -> None:
        self._order = np.argsort(-score, kind="stable")
        self._truth = truth[self._order]
        self._last = np.append(np.flatnonzero(np.diff(score[self._order])), len(score) - 1)

    def areas(self, weights: Floats) -> Areas:
        """Return the areas where each place counts `weights` times, ``(n,)``."""
        weights = weights[self._order]
        right = np.cumsum(weights * self._truth)[self._last]
        called = np.cumsum(weights)[self._last]
        false = called - right
        if right[-1] <= 0 or false[-1] <= 0:
            return Areas(float("nan"), float("nan"))
        gained = np.diff(right, prepend=0)
        precision = np.divide(right, called, out=np.zeros_like(right), where=called > 0)
        pairs = np.diff(false, prepend=0) * (right - gained / 2)
        return Areas(float((gained * precision).sum() / right[-1]), float(pairs.sum() / right[-1] / false[-1]))

    def curve(self) -> Curve:
        """Return both curves, each place counted once, in about `CURVE_POINTS` points; empty with one label."""
        right = np.cumsum(self._truth)[self._last].astype(float)
        called = self._last + 1.0
        false = called - right
        if right[-1] <= 0 or false[-1] <= 0:
            return Curve(*np.empty((3, 0)))
        recall, false_rate = right / right[-1], false / false[-1]
        # evenly along both axes: either curve is steep where the other is flat
        way = np.cumsum(np.diff(recall, prepend=0) + np.diff(false_rate, prepend=0))
        chosen = np.unique(np.searchsorted(way, np.linspace(0, way[-1], CURVE_POINTS)).clip(max=len(way) - 1))
        return Curve(recall[chosen], (right / called)[chosen], false_rate[chosen])


class AtRecall(NamedTuple):
    """What the best-scored calls are worth that find a given share of all summits; NaN where they never do."""

    precision: float
    false_per_megabase: float


def at_recall(hit: Mask, weights: Floats, n_summits: float, recall: float, bases: float) -> AtRecall:
    """Return precision and false calls per megabase of the fewest best calls with so much recall.

    Parameters
    ----------
    hit
        Which calls are right (`capsight.evaluate.matching.match`), in order of their score, ``(n_calls,)``.
    weights
        How often each call counts, ``(n_calls,)``.
    n_summits, bases
        All summits, and all bases of one strand, each as often as it counts.
    """
    right, called = np.cumsum(weights * hit), np.cumsum(weights)
    enough = int(np.searchsorted(right, recall * n_summits - _ROUNDING))
    if enough == len(right) or n_summits <= 0:
        return AtRecall(float("nan"), float("nan"))
    return AtRecall(float(right[enough] / called[enough]), float((called[enough] - right[enough]) / bases * 1e6))


def best_share(true: Mask, weights: Floats, n: float) -> float:
    """Return the share of the `n` best places, by weight, that are `true`; places are in order of their score."""
    called = np.cumsum(weights)
    if not len(called) or called[-1] <= 0:
        return float("nan")
    most = int(np.searchsorted(called, n - _ROUNDING)) + 1
    return float((weights * true)[:most].sum() / called[min(most, len(called)) - 1])


def mean(values: Floats | Mask, weights: Floats) -> float:
    """Return the weighted mean; NaN of nothing."""
    total = weights.sum()
    return float((values * weights).sum() / total) if total > 0 else float("nan")


def median(values: Floats | Ints, weights: Floats) -> float:
    """Return the weighted median, the middle of both where two are in the middle; NaN of nothing."""
    order = np.argsort(values, kind="stable")
    below = np.cumsum(weights[order])
    if not len(below) or below[-1] <= 0:
        return float("nan")
    low = np.searchsorted(below, below[-1] / 2 - _ROUNDING)
    high = np.searchsorted(below, below[-1] / 2 + _ROUNDING, side="right")
    return float((values[order[low]] + values[order[min(high, len(order) - 1)]]) / 2)


def correlation(x: Floats, y: Floats, weights: Floats) -> float:
    """Return the weighted correlation (Pearson); NaN where one of the two does not vary."""
    if weights.sum() <= 0:
        return float("nan")
    x, y = x - np.average(x, weights=weights), y - np.average(y, weights=weights)
    norm = np.sqrt((weights * x * x).sum() * (weights * y * y).sum())
    return float((weights * x * y).sum() / norm) if norm > 0 else float("nan")


class Reliability(NamedTuple):
    """Calls in bins of equal number, by probability: its mean, the share that is right, how many; each ``(bins,)``."""

    probability: Floats
    right: Floats
    n: Ints


class Calibration:
    """Probabilities beside how often they were right, in bins of as many calls each.

    Parameters
    ----------
    probability, right
        Of each call, ``(n,)``.
    bins
        How many bins; fewer where there are fewer calls.
    """

    def __init__(self, probability: Floats, right: Mask, bins: int = RELIABILITY_BINS) -> None:
        self._probability, self._right = probability, right
        self._bin = np.empty(len(probability), dtype=np.int64)
        self._bins = max(min(bins, len(probability)), 1)
        for number, rows in enumerate(np.array_split(np.argsort(probability, kind="stable"), self._bins)):
            self._bin[rows] = number

    def reliability(self) -> Reliability:
        """Return the reliability curve, each call counted once."""
        n = np.bincount(self._bin, minlength=self._bins)
        probability, right = (np.bincount(self._bin, values, self._bins) for values in (self._probability, self._right))
        return Reliability(probability / np.maximum(n, 1), right / np.maximum(n, 1), n)

    def error(self, weights: Floats) -> float:
        """Return the expected calibration error: the distance of share and probability, averaged over calls."""
        if weights.sum() <= 0:
            return float("nan")
        gap = np.bincount(self._bin, weights * (self._probability - self._right), self._bins)
        return float(np.abs(gap).sum() / weights.sum())
