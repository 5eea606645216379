"""Calibration of a track network on a scan of the validation fold, at their true share of cap sites.

Every call of the scan is right or wrong: the summit of a peak lies within 10 bases on its strand, or not. A logistic
regression on expected counts around the call (Platt 1999, with three features for one) makes probabilities of that. Its
weights are at least 0: the features say nearly the same, and free weights of opposite sign would rank calls by the
small differences between them.
"""

import logging
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from capsight.data.ctss.ctss import Ctss
from capsight.data.genome.alphabet import Ints
from capsight.data.genome.stretches import Stretches
from capsight.evaluate.matching import Summits, match
from capsight.model.track_folder import Calibration, Calling
from capsight.predict.calls import DISTANCE, SCORE_REACH, Calls, call_score, call_tss
from capsight.predict.track import REACH, TrackScorer, features, within
from capsight.progress import progress
from capsight.stats.logistic import fit_nonnegative

logger = logging.getLogger(__name__)

Floats = NDArray[np.float64]

#: A call is right with a summit within so many bases.
RIGHT: Final = 10
#: The distance at which precision is meant, each summit found once.
NEAR: Final = 50
#: Calls with most expected tags that take part, for each summit: the others are wrong in all but a few cases.
_CALLS_PER_SUMMIT: Final = 6
#: Fewer right calls than this say nothing.
_LEAST_RIGHT: Final = 20


class _Candidates(NamedTuple):
    """Calls of a scan, stretch by stretch (of which this is the number), each ``(n_calls, ...)``."""

    stretch: Ints
    strand: Ints
    position: Ints
    score: Floats
    features: Floats


def calibrate(
    scorer: TrackScorer, stretches: Stretches, summits: Ctss, min_precision: float
) -> tuple[Calibration | None, Calling | None]:
    """Scan the validation fold, and fit probabilities and the default threshold on them.

    Parameters
    ----------
    scorer
        The network, without a calibration.
    stretches
        The validation fold.
    summits
        Summits of peaks; those elsewhere are not read.
    min_precision
        Calls at or above the threshold have this precision at least: each has a summit of its own within 50 bases.

    Returns
    -------
    calibration, calling
        `None` each where too few calls are right to learn from.
    """
    number = stretches.find(summits.contig, summits.position)
    rows = (np.flatnonzero(number == i) for i in range(len(stretches.contig)))
    there = [Summits(summits.minus[here], summits.position[here]) for here in rows]
    n_summits = sum(len(here.position) for here in there)
    found = _scan(scorer, stretches)
    best = np.sort(np.argsort(-found.score, kind="stable")[: _CALLS_PER_SUMMIT * n_summits])
    found = _Candidates(
        found.stretch[best], found.strand[best], found.position[best], found.score[best], found.features[best]
    )
    right = _right(found, stretches, there)
    if right.sum() < _LEAST_RIGHT or right.all():
        logger.warning(
            "train: %d of %d calls on the validation chromosomes are right: too few to calibrate probabilities by",
            right.sum(), len(right),
        )  # fmt: skip
        return None, None
    intercept, weights = fit_nonnegative(found.features, right)
    calibration = Calibration(
        intercept=intercept,
        summits_within_10=float(weights[0]), tags_within_10=float(weights[1]), tags_within_50=float(weights[2]),
    )  # fmt: skip
    return calibration, _threshold(found, expit(intercept + found.features @ weights), there, min_precision)


def _scan(scorer: TrackScorer, stretches: Stretches) -> _Candidates:
    """Return all calls in some stretches; a call may be decided by bases around them."""
    margin = DISTANCE + SCORE_REACH + REACH
    parts: list[tuple[NDArray[Any], ...]] = []
    with progress("calibrate", int(stretches.sizes.sum())) as bar:
        for number, contig in enumerate(stretches.contig):
            codes, stop = stretches.genome.contig(int(contig)), int(stretches.end[number])
            for start in range(int(stretches.start[number]), stop, scorer.tile):
                end = min(start + scorer.tile, stop)
                first, last = max(start - margin, 0), min(end + margin, len(codes))
                counts = scorer.counts(codes[None], first, last)
                tags = counts.tags[0]
                calls = call_tss(tags, call_score(tags))
                inside = (calls.position >= start - first) & (calls.position < end - first)
                strand, position = calls.strand[inside], calls.position[inside]
                read = features(counts)[0, strand, position]
                parts.append((np.full(len(strand), number), strand, position + first, calls.score[inside], read))
                bar.update(end - start)
    return _Candidates(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def _right(found: _Candidates, stretches: Stretches, summits: Sequence[Summits]) -> NDArray[np.bool_]:
    """Tell which calls have a summit within `RIGHT` bases, in their stretch."""
    right = np.zeros(len(found.stretch), bool)
    for number, here in enumerate(summits):
        first = stretches.start[number]
        holds = np.zeros((2, int(stretches.sizes[number])))
        holds[here.strand, here.position - first] = 1
        rows = np.flatnonzero(found.stretch == number)
        right[rows] = within(holds, RIGHT)[found.strand[rows], found.position[rows] - first] > 0.5
    return right


def _threshold(
    found: _Candidates, probability: Floats, summits: Sequence[Summits], min_precision: float
) -> Calling | None:
    """Return the lowest probability from which on calls have the precision that is asked for."""
    hit = np.zeros(len(probability), bool)
    for number, here in enumerate(summits):
        rows = np.flatnonzero(found.stretch == number)
        rows = rows[np.argsort(-probability[rows], kind="stable")]
        calls = Calls(found.strand[rows], found.position[rows], probability[rows])
        hit[rows] = match(calls, here, NEAR)
    order = np.argsort(-probability, kind="stable")
    precision = np.cumsum(hit[order]) / np.arange(1, len(order) + 1)
    enough = np.flatnonzero(precision >= min_precision)
    if not len(enough):
        logger.warning(
            "train: no threshold has precision %g on the validation chromosomes: a scan calls from probability 0.5 on",
            min_precision,
        )
        return None
    last, n_summits = int(enough[-1]), sum(len(here.position) for here in summits)
    return Calling(
        min_probability=float(probability[order[last]]), distance=DISTANCE,
        precision=float(precision[last]), recall=float(hit[order[: last + 1]].sum() / n_summits),
    )  # fmt: skip
