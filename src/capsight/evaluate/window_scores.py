"""A number for each window, whatever the model reads: windows of one length, or any stretch of DNA."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from capsight.data.genome.alphabet import Codes, Ints, reverse_complement
from capsight.data.windows.windows import Windows
from capsight.errors import InputError
from capsight.model.track_folder import is_track, load_track
from capsight.predict.track import REACH, TrackScorer, best_device, probabilities, with_flanks
from capsight.predict.windows import load_scorer
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

    Where contigs end, and around shuffled windows, which lie nowhere in the genome, there is what stands `beyond`
    sequences, ``(flank,)``.
    """
    flank, middle, places = len(beyond), windows.length // 2, windows.places
    codes = np.empty((len(rows), 2 * flank + 1), np.uint8)
    for i, row in enumerate(rows):
        minus = bool(places.minus[row])
        at = int(places.start[row]) + (windows.length - 1 - middle if minus else middle)
        contig = windows.genome.contig(int(places.contig[row]))[None]
        bases = with_flanks(contig, at - flank, at + flank + 1, beyond)[0]
        codes[i] = reverse_complement(bases) if minus else bases
    if places.copy is not None and len(shuffled := np.flatnonzero(places.copy[rows])):
        alone = windows.codes(rows[shuffled])
        codes[shuffled] = with_flanks(alone, middle - flank, middle + flank + 1, beyond)
    return codes
