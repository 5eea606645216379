"""Calibration of a track network on a scan of the validation chromosomes, at their true share of cap sites.

Every call of the scan is right or wrong: the summit of a peak lies within 10 bases on its strand, or not. A logistic
regression on expected counts around the call (Platt 1999, with three features for one) makes probabilities of that.
"""

import logging
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from capsight.data.bases import Ints
from capsight.data.genome import Genome
from capsight.data.tags import Tags
from capsight.evaluate.scan import Summits, match
from capsight.model.track_folder import Calibration, Calling
from capsight.predict.calls import DISTANCE, SCORE_REACH, Calls, call_score, call_tss
from capsight.predict.track import REACH, TrackScorer, features, within
from capsight.progress import progress

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
    """Calls of a scan, contig by contig, each ``(n_calls, ...)``."""

    contig: Ints
    strand: Ints
    position: Ints
    score: Floats
    features: Floats


def calibrate(
    scorer: TrackScorer, genome: Genome, contigs: Ints, summits: Tags, min_precision: float
) -> tuple[Calibration | None, Calling | None]:
    """Scan contigs, and fit probabilities and the default threshold on them.

    Parameters
    ----------
    scorer
        The network, without a calibration.
    contigs
        Numbers of the validation contigs, ``(n_contigs,)``.
    summits
        Summits of peaks; those on other contigs are not read.
    min_precision
        Calls at or above the threshold have this precision at least: each has a summit of its own within 50 bases.

    Returns
    -------
    calibration, calling
        `None` each where too few calls are right to learn from.
    """
    there = np.isin(summits.contig, contigs)
    n_summits = int(there.sum())
    found = _scan(scorer, genome, contigs)
    best = np.sort(np.argsort(-found.score, kind="stable")[: _CALLS_PER_SUMMIT * n_summits])
    found = _Candidates(
        found.contig[best], found.strand[best], found.position[best], found.score[best], found.features[best]
    )
    right = _right(found, genome, contigs, summits)
    if right.sum() < _LEAST_RIGHT or right.all():
        logger.warning(
            "train: %d of %d calls on the validation chromosomes are right: too few to calibrate probabilities by",
            right.sum(), len(right),
        )  # fmt: skip
        return None, None
    model = LogisticRegression(C=1e3, max_iter=1000).fit(found.features, right)
    weights = [float(value) for value in model.coef_[0]]
    calibration = Calibration(
        intercept=float(model.intercept_[0]),
        summits_within_10=weights[0], tags_within_10=weights[1], tags_within_50=weights[2],
    )  # fmt: skip
    return calibration, _threshold(found, model.predict_proba(found.features)[:, 1], contigs, summits, min_precision)


def _scan(scorer: TrackScorer, genome: Genome, contigs: Ints) -> _Candidates:
    """Return all calls of contigs."""
    margin = DISTANCE + SCORE_REACH + REACH
    parts: list[tuple[NDArray[Any], ...]] = []
    total = int(genome.lengths[contigs].sum())
    with progress("calibrate", total) as bar:
        for number in contigs:
            codes = genome.contig(int(number))
            for start in range(0, len(codes), scorer.tile):
                end = min(start + scorer.tile, len(codes))
                first, last = max(start - margin, 0), min(end + margin, len(codes))
                counts = scorer.counts(codes[None], first, last)
                tags = counts.tags[0]
                calls = call_tss(tags, call_score(tags))
                inside = (calls.position >= start - first) & (calls.position < end - first)
                strand, position = calls.strand[inside], calls.position[inside]
                read = features(counts)[0, strand, position]
                parts.append((np.full(len(strand), number), strand, position + first, calls.score[inside], read))
                bar.update(end - start)
    contig, strand, position, score, read_there = (np.concatenate(column) for column in zip(*parts, strict=True))
    return _Candidates(contig, strand, position, score, read_there)


def _right(found: _Candidates, genome: Genome, contigs: Ints, summits: Tags) -> NDArray[np.bool_]:
    """Tell which calls have a summit within `RIGHT` bases."""
    right = np.zeros(len(found.contig), bool)
    for number in contigs:
        holds = np.zeros((2, int(genome.lengths[number])))
        here = summits.contig == number
        holds[summits.minus[here], summits.position[here]] = 1
        rows = np.flatnonzero(found.contig == number)
        right[rows] = within(holds, RIGHT)[found.strand[rows], found.position[rows]] > 0.5
    return right


def _threshold(
    found: _Candidates, probability: Floats, contigs: Ints, summits: Tags, min_precision: float
) -> Calling | None:
    """Return the lowest probability from which on calls have the precision that is asked for."""
    hit = np.zeros(len(probability), bool)
    n_summits = 0
    for number in contigs:
        here = summits.contig == number
        n_summits += int(here.sum())
        rows = np.flatnonzero(found.contig == number)
        rows = rows[np.argsort(-probability[rows], kind="stable")]
        calls = Calls(found.strand[rows], found.position[rows], probability[rows])
        hit[rows] = match(calls, Summits(summits.minus[here], summits.position[here]), NEAR)
    order = np.argsort(-probability, kind="stable")
    precision = np.cumsum(hit[order]) / np.arange(1, len(order) + 1)
    enough = np.flatnonzero(precision >= min_precision)
    if not len(enough):
        logger.warning(
            "train: no threshold has precision %g on the validation chromosomes: a scan calls from probability 0.5 on",
            min_precision,
        )
        return None
    last = int(enough[-1])
    return Calling(
        min_probability=float(probability[order[last]]), distance=DISTANCE,
        precision=float(precision[last]), recall=float(hit[order[: last + 1]].sum() / n_summits),
    )  # fmt: skip
