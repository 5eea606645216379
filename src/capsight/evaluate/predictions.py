"""What a scan can be asked of: the track network, counted 5' ends, a model of windows that is slid along, a PWM.

Each answers for any piece of a chromosome, and the answer for a base does not depend on the piece.
"""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from capsight.data.ctss.ctss import Ctss
from capsight.data.ctss.table import place_numbers, read_counted_ctss
from capsight.data.genome.contig_names import Aliases
from capsight.data.genome.genome import Genome
from capsight.evaluate.pwm import promoter_scores
from capsight.evaluate.slide import slid
from capsight.model.track_folder import Calling, is_track, load_track
from capsight.predict.calls import DISTANCE, SCORE_REACH, call_score
from capsight.predict.track import REACH, Counts, TrackScorer, best_device, probabilities, within
from capsight.predict.windows import load_scorer

Values = NDArray[np.floating]


class Answers(NamedTuple):
    """Answers for a piece of a chromosome, each ``(2, length)``: strands + and -, positions left to right.

    Attributes
    ----------
    score
        Bins are ranked by its sum.
    calling
        The base with most of it is called, and named in a region.
    rank
        What calls are ranked by: a probability, where there is one.
    expected_tags, strength, uncalibrated
        Of `capsight.predict.track.Tracks`, and the probability before calibration; `None` where there is none.
    """

    score: Values
    calling: Values
    rank: Values
    expected_tags: Values | None = None
    strength: Values | None = None
    uncalibrated: Values | None = None


#: Number of a contig, start and end of a piece (0-based half-open) in; answers for it out.
Ask = Callable[[int, int, int], Answers]


class Prediction(NamedTuple):
    """Something that answers for any piece of a genome.

    Attributes
    ----------
    name
        As `metrics.json` has it.
    ask
        Answers for a piece.
    distance
        Of two calls on one strand, in bases, at least.
    calling
        Default threshold, where the model has one.
    learned
        Contigs of this genome that it learned from, as far as is known.
    """

    name: str
    ask: Ask
    distance: int = DISTANCE
    calling: Calling | None = None
    learned: tuple[str, ...] = ()


def model_prediction(folder: Path, genome: Genome, step: int, batch_size: int, name: str) -> Prediction:
    """Load what is in a folder: a track network, or a model of windows (network or baseline), which is slid along.

    Raises
    ------
    InputError
        If the folder is none of these, or is damaged.
    """
    if not is_track(folder):
        return Prediction(name, _by_score(slid(load_scorer(folder, batch_size), genome, step)))
    model, card = load_track(folder)
    scorer = TrackScorer(model.to(best_device()), card.calibration)

    def ask(contig: int, start: int, end: int) -> Answers:
        return _of_counts(_counts(scorer, genome, contig, start, end), scorer)

    distance = card.calling.distance if card.calling else DISTANCE
    learned = card.learned(dict(zip(genome.names, genome.lengths.tolist(), strict=True)))
    return Prediction(name, ask, distance, card.calling, learned)


def _counts(scorer: TrackScorer, genome: Genome, contig: int, start: int, end: int) -> Counts:
    """Run the network on a piece and `REACH` bases on either side, tile by tile."""
    codes = genome.view(contig)[None]
    start, end = start - REACH, end + REACH
    tiles = [scorer.counts(codes, a, min(a + scorer.tile, end)) for a in range(start, end, scorer.tile)]
    return Counts(*(np.concatenate(parts, axis=2) for parts in zip(*tiles, strict=True)))


def _of_counts(counts: Counts, scorer: TrackScorer) -> Answers:
    """Turn what the network expects into answers for all but the first and last `REACH` bases."""
    inside = (0, slice(None), slice(REACH, counts.tags.shape[2] - REACH))
    probability = probabilities(counts, scorer.calibration)[inside]
    return Answers(
        score=probability,
        calling=call_score(counts.tags[0])[inside[1:]],
        rank=probability,
        expected_tags=counts.tags[inside],
        strength=counts.strength[inside],
        uncalibrated=probabilities(counts, None)[inside],
    )


def _by_score(score: Callable[[int, int, int], Values]) -> Ask:
    """Take one number a base for all that is asked."""

    def ask(contig: int, start: int, end: int) -> Answers:
        found = score(contig, start, end)
        return Answers(found, calling=found, rank=found)

    return ask


def counted_prediction(path: Path, genome: Genome, aliases: Aliases, name: str) -> Prediction:
    """Take the 5' ends that were counted in an experiment (CTSS) for a prediction.

    Raises
    ------
    InputError
        If the file cannot be used.
    """
    counts = TagCounts(read_counted_ctss([path], genome, aliases), genome)

    def ask(contig: int, start: int, end: int) -> Answers:
        reach = min(start, REACH)
        found = counts.between(contig, start - reach, min(end + REACH, int(genome.lengths[contig])))
        inside = (slice(None), slice(reach, reach + end - start))
        rank, calling = within(found, SCORE_REACH), call_score(found)
        return Answers(found[inside], calling[inside], rank[inside], expected_tags=found[inside])

    return Prediction(name, ask)


def pwm_prediction(genome: Genome, name: str) -> Prediction:
    """Look for a TATA box upstream and an initiator at each base (`capsight.evaluate.pwm`)."""
    return Prediction(name, _by_score(promoter_scores(genome)))


class TagCounts:
    """5' ends of a genome, of which pieces are read base by base."""

    def __init__(self, tags: Ctss, genome: Genome) -> None:
        self.tags, self._genome = tags, genome
        self._number = place_numbers(genome, tags.contig, tags.minus, tags.position)

    def rows(self, contig: int, start: int, end: int) -> tuple[slice, slice]:
        """Return which of the tags lie on a stretch within the contig: on +, and on -."""
        both, where = np.arange(2), np.full(2, contig)
        bounds = [place_numbers(self._genome, where, both, np.full(2, at)) for at in (start, end)]
        (a, b), (c, d) = np.searchsorted(self._number, np.stack(bounds, axis=1))
        return slice(int(a), int(b)), slice(int(c), int(d))

    def between(self, contig: int, start: int, end: int) -> NDArray[np.float64]:
        """Return the number of 5' ends at each base of a stretch within the contig, ``(2, end - start)``."""
        counts = np.zeros((2, end - start))
        for strand, rows in enumerate(self.rows(contig, start, end)):
            counts[strand, self.tags.position[rows] - start] = self.tags.counts[rows]
        return counts
