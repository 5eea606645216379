"""How well a scanned track finds the TSSs of a chromosome that training never saw.

Positions are 0-based. Arrays over a chromosome are ``(2, length)``: strands + and -, positions left to right.
"""

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import jensenshannon
from sklearn.metrics import average_precision_score, roc_auc_score

from capsight.predict.calls import Calls

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Mask = NDArray[np.bool_]

#: Bases of a bin, for the area under the precision-recall curve.
BIN: Final = 50
#: Bases to either side of a summit over which profiles and totals are compared.
FLANK: Final = 128
#: Bins of a reliability curve, each with as many calls.
RELIABILITY_BINS: Final = 10


class Summits(NamedTuple):
    """Summits of peaks on one chromosome: `strand` (0 for +, 1 for -) and `position`, each ``(n,)``."""

    strand: Ints
    position: Ints


class BinMetrics(NamedTuple):
    """Areas under curves over stranded bins, and the share of bins with a summit (the AUPRC of guessing)."""

    auprc: float
    auroc: float
    prevalence: float


def bin_metrics(expected: Floats, summits: Summits, width: int = BIN) -> BinMetrics:
    """Rank the stranded bins of a chromosome by the sum of a track, and ask which hold a summit.

    The last bin may be shorter.

    Raises
    ------
    ValueError
        If no bin, or every bin, holds a summit.
    """
    length = expected.shape[1]
    padded = np.pad(np.asarray(expected, dtype=np.float64), ((0, 0), (0, -length % width)))
    sums = padded.reshape(2, -1, width).sum(axis=2)
    holds = np.zeros(sums.shape, dtype=np.int64)
    holds[summits.strand, summits.position // width] = 1
    if holds.min() == holds.max():
        raise ValueError("no bin, or every bin, holds a summit")
    truth, score = holds.ravel(), sums.ravel()
    return BinMetrics(
        float(average_precision_score(truth, score)), float(roc_auc_score(truth, score)), float(truth.mean())
    )


def match(calls: Calls, summits: Summits, distance: int) -> Mask:
    """Tell which calls are right, ``(n_calls,)``: a summit lies within `distance` bases on the same strand.

    Calls choose in order of their score. Each takes the nearest summit that is left (of two as near, the left one), and
    a summit is taken once, so that a second call at the same promoter is false.
    """
    hit = np.zeros(len(calls.score), dtype=np.bool_)
    for strand in (0, 1):
        positions = np.sort(summits.position[summits.strand == strand])
        free = np.ones(len(positions), dtype=np.bool_)
        for i in np.flatnonzero(calls.strand == strand):
            first, last = np.searchsorted(positions, [calls.position[i] - distance, calls.position[i] + distance + 1])
            near = first + np.flatnonzero(free[first:last])
            if len(near):
                free[near[np.abs(positions[near] - calls.position[i]).argmin()]] = False
                hit[i] = True
    return hit


class AtRecall(NamedTuple):
    """What the best-scored calls are worth that find a given share of all summits; NaN where they never do."""

    precision: float
    false_per_megabase: float


def at_recall(hit: Mask, n_summits: int, recall: float, length: int) -> AtRecall:
    """Return precision and false calls per megabase (of one strand) of the fewest best calls with so much recall.

    Parameters
    ----------
    hit
        Of `match`: calls in order of score.
    length
        Bases of the chromosome.
    """
    right = np.cumsum(hit)
    enough = np.flatnonzero(right >= recall * n_summits)
    if not len(enough) or not n_summits:
        return AtRecall(float("nan"), float("nan"))
    n = int(enough[0]) + 1
    return AtRecall(float(right[n - 1] / n), float((n - right[n - 1]) / length * 1e6))


def share_with_tag(calls: Calls, counts: Floats, distance: int, most: int) -> float:
    """Return the share of the `most` best calls that have any 5' end within `distance` bases on their strand."""
    strand, position = calls.strand[:most], calls.position[:most]
    sums = np.pad(np.asarray(counts, dtype=np.float64).cumsum(axis=1), ((0, 0), (1, 0)))
    last = np.minimum(position + distance + 1, counts.shape[1])
    return float((sums[strand, last] > sums[strand, np.maximum(position - distance, 0)]).mean())


def around(values: Floats, summits: Summits, flank: int = FLANK) -> Floats:
    """Return the bases from `flank` before to `flank` after each summit, 5'→3', ``(n, 2 * flank)``.

    Summits nearer to an end of the chromosome are left out.
    """
    length = values.shape[1]
    whole = (summits.position >= flank) & (summits.position < length - flank)
    offsets = np.arange(-flank, flank)
    steps = np.where(summits.strand[whole, None] == 0, offsets, -offsets)
    return np.asarray(values[summits.strand[whole, None], summits.position[whole, None] + steps], dtype=np.float64)


class AtPeaks(NamedTuple):
    """Medians over peaks of profile correlation and Jensen-Shannon distance (bits); correlation of log totals."""

    profile_correlation: float
    jensen_shannon: float
    log_total_correlation: float
    n: int


def at_peaks(expected: Floats, counts: Floats, summits: Summits, least: float = 10, flank: int = FLANK) -> AtPeaks:
    """Compare expected with counted 5' ends around summits with at least `least` counts.

    Totals are compared as log(1 + count) with log(expected); correlations are Pearson's.
    """
    observed, predicted = around(counts, summits, flank), around(expected, summits, flank)
    enough = observed.sum(axis=1) >= least
    observed, predicted = observed[enough], np.maximum(predicted[enough], np.finfo(float).tiny)
    centred = observed - observed.mean(axis=1, keepdims=True), predicted - predicted.mean(axis=1, keepdims=True)
    norms = np.sqrt((centred[0] ** 2).sum(axis=1) * (centred[1] ** 2).sum(axis=1))
    profile = (centred[0] * centred[1]).sum(axis=1) / np.maximum(norms, np.finfo(float).tiny)
    distance = jensenshannon(observed, predicted, base=2, axis=1)
    totals = np.corrcoef(np.log1p(observed.sum(axis=1)), np.log(predicted.sum(axis=1)))[0, 1]
    return AtPeaks(float(np.median(profile)), float(np.median(distance)), float(totals), len(observed))


class Named(NamedTuple):
    """How far the best-scored base of a region is from the summit: medians and shares are means over draws."""

    median_distance: float
    within_10: float
    exact: float


def named_bases(score: Floats, summits: Summits, seed: int, draws: int = 4, flank: int = FLANK) -> Named:
    """Lay regions of ``2 * flank`` bases at random around summits, and name the best-scored base of each.

    Where a region would leave the chromosome, its summit is left out of all draws.
    """
    length, rng = score.shape[1], np.random.default_rng(seed)
    inside = (summits.position >= 2 * flank) & (summits.position < length - 2 * flank)
    strand, position = summits.strand[inside], summits.position[inside]
    offsets = np.arange(-flank, flank)
    found = []
    for _ in range(draws):
        shift = rng.integers(-flank + 1, flank, len(position))
        middle = Summits(strand, position + np.where(strand == 0, shift, -shift))
        best = offsets[around(score, middle, flank).argmax(axis=1)]
        found.append(np.abs(best + shift))
    distance = np.stack(found)
    medians = np.median(distance, axis=1)
    return Named(float(medians.mean()), float((distance <= 10).mean()), float((distance == 0).mean()))


class Reliability(NamedTuple):
    """Calls in bins of equal number, by probability: its mean, the share that is right, how many; each ``(bins,)``."""

    probability: Floats
    right: Floats
    n: Ints

    @property
    def error(self) -> float:
        """Expected calibration error: the mean distance of share and probability, weighted by number."""
        return float(np.average(np.abs(self.probability - self.right), weights=self.n))


def reliability(probability: Floats, right: Mask, bins: int = RELIABILITY_BINS) -> Reliability:
    """Compare probabilities with how often they were right."""
    order = np.argsort(probability, kind="stable")
    parts = [part for part in np.array_split(order, bins) if len(part)]
    return Reliability(
        np.array([probability[part].mean() for part in parts]),
        np.array([right[part].mean() for part in parts]),
        np.array([len(part) for part in parts]),
    )
