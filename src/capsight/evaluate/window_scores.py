"""A number for each window, whatever the model reads: windows of one length, or any stretch of DNA."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from capsight.data.bases import Codes, Ints
from capsight.data.windows import Windows
from capsight.errors import InputError
from capsight.model.track_folder import is_track, load_track
from capsight.predict.scorer import load_scorer
from capsight.predict.track import REACH, TrackScorer, best_device, probabilities
from capsight.progress import progress

Scores = NDArray[np.float64]


def window_scores(folder: Path, batch_size: int) -> Callable[[Windows], Scores]:
    """Load a model, and return what gives each window its probability of a cap site in the middle, ``(n_windows,)``.

    A track network is asked for the probability at the middle (index length / 2), on the window's strand. It sees what
    lies around the window in the genome; around shuffled windows, and beyond the ends of contigs and of labelled
    sequences, there is N.

    Raises
    ------
    InputError
        If the folder is no model or is damaged; when called, if windows are of a length that the model does not read.
    """
    if is_track(folder):
        model, card = load_track(folder)
        scorer = TrackScorer(model.to(best_device()), card.calibration)
        return lambda windows: _of_track(scorer, windows)
    other = load_scorer(folder, batch_size)

    def score(windows: Windows) -> Scores:
        if windows.length != other.length:
            raise InputError(
                f"the model reads {other.length} bases and the windows have {windows.length}", where=folder
            )
        return other.score(windows.codes(np.arange(len(windows.table))))

    return score


def _of_track(scorer: TrackScorer, windows: Windows) -> Scores:
    """Return the probability at the middle of each window."""
    n, width = len(windows.table), 2 * scorer.halo + 1
    step = max(1, scorer.tile // width)
    scores = np.empty(n)
    with progress("windows", n, " windows") as bar:
        for first in range(0, n, step):
            rows = np.arange(first, min(first + step, n))
            codes = _around(windows, rows, scorer.flank)
            counts = scorer.counts(codes, scorer.halo - REACH, scorer.halo + REACH + 1)
            scores[rows] = probabilities(counts, scorer.calibration)[:, 0, REACH]
            bar.update(len(rows))
    return scores


def _around(windows: Windows, rows: Ints, beyond: Codes) -> Codes:
    """Return the bases around the middle of windows, 5'→3', ``(n_rows, 2 * flank + 1)``.

    Shuffled windows lie nowhere in the genome: `beyond` them is ``(flank,)``.
    """
    flank = len(beyond)
    middle, width = windows.length // 2, 2 * flank + 1
    places = windows.places
    contig, start, minus = places.contig[rows], places.start[rows], places.minus[rows]
    before = np.where(minus, windows.length - 1 - middle, middle)
    codes = windows.genome.fetch(contig, start + before - flank, width, minus)
    if places.copy is not None and len(shuffled := np.flatnonzero(places.copy[rows])):
        ends = np.broadcast_to(beyond, (len(shuffled), flank))
        padded = np.concatenate([ends, windows.codes(rows[shuffled]), ends], axis=1)
        codes[shuffled] = padded[:, middle : middle + width]
    return codes
