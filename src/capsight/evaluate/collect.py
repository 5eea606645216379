"""Going along the stretches of a fold piece by piece: what a prediction says at bins, calls and peaks.

Memory is that of a piece and of what is kept of it, however long a chromosome is. A part of a chromosome is measured as
if it were all of it: nothing beyond its ends is called or counted, though a model reads the DNA there.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from capsight.data.ctss.ctss import Ctss
from capsight.data.genome.stretches import Stretches
from capsight.evaluate.matching import (
    BIN,
    FLANK,
    Summits,
    around,
    bin_sums,
    compare_profiles,
    draw_regions,
    match,
    named_distances,
    summit_distances,
    whole,
)
from capsight.evaluate.predictions import Answers, Prediction, TagCounts
from capsight.predict.calls import Calls, call
from capsight.predict.track import within

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Mask = NDArray[np.bool_]

#: Stretches of a chromosome that a bootstrap draws, both strands together: what overlaps is in one of them.
BLOCK: Final = 10_000
#: Bases that are asked for at once: whole blocks.
PIECE: Final = 10 * BLOCK
#: Bases on either side of a piece: a region that is moved around a summit may reach as far.
MARGIN: Final = 4 * FLANK
#: Calls are right where a summit is within so many bases.
WITHIN: Final = (0, 10, 50, 150)
#: Bases to either side of a call in which a tag is looked for.
TAG_REACH: Final = 50
#: Fractions of a tag below this are rounding.
LEAST_TAGS: Final = 1e-6
#: Regions around each summit.
DRAWS: Final = 4
#: 5' ends within `FLANK` bases of a summit whose profile is compared, at least.
MINIMUM_TAGS: Final = 10


@dataclass(frozen=True, eq=False)
class Truth:
    """What is to be found in a fold.

    Attributes
    ----------
    stretches
        The fold.
    summits
        Summits of peaks, each place once.
    counts
        Counted 5' ends; `None` where there are none, only summits.
    shift
        How far regions are moved around each of the summits, ``(DRAWS, n_summits)``.
    """

    stretches: Stretches
    summits: Ctss
    counts: TagCounts | None
    shift: Ints

    @classmethod
    def from_tags(cls, stretches: Stretches, summits: Ctss, tags: Ctss | None, seed: int) -> "Truth":
        """Draw the regions, and keep the summits that lie in the fold."""
        here = stretches.find(summits.contig, summits.position) >= 0
        there = summits.where(here)
        shift = draw_regions(len(there.position), DRAWS, np.random.default_rng([seed, 21]))
        return cls(stretches, there, TagCounts(tags, stretches.genome) if tags else None, shift)

    @property
    def block_bases(self) -> Ints:
        """Bases of each block, ``(n_blocks,)``."""
        sizes = self.stretches.sizes
        return np.concatenate([np.diff([*range(0, size, BLOCK), size]) for size in sizes.tolist()])

    def block(self, contig: int | Ints, position: Ints) -> Ints:
        """Return the number of the block that each position of the fold is in."""
        number = self.stretches.find(contig, position)
        blocks = -(-self.stretches.sizes // BLOCK)
        before = np.cumsum(blocks) - blocks
        found: Ints = (position - self.stretches.start[number]) // BLOCK + before[number]
        return found

    @property
    def summit_block(self) -> Ints:
        """Block of each summit, ``(n_summits,)``."""
        return self.block(self.summits.contig, self.summits.position)

    def summits_in(self, number: int) -> Summits:
        """Return the summits in a stretch."""
        here = self.stretches.find(self.summits.contig, self.summits.position) == number
        return Summits(self.summits.minus[here], self.summits.position[here])


class Bins(NamedTuple):
    """Stranded bins, each ``(n,)``: sums of score and of expected tags (NaN without), whether a summit is in it."""

    score: Floats
    tags: Floats
    holds: Mask
    block: Ints


class Called(NamedTuple):
    """Calls, each ``(n,)``.

    Attributes
    ----------
    contig, strand, position
        Number of the contig; 0 on + and 1 on -; 0-based position of the +1 base.
    score
        The probability, or what else ranks them.
    uncalibrated
        The network's own probability; NaN where there is none.
    has_tag
        Whether a tag (or a summit, where none were counted) is within `TAG_REACH` bases on its strand.
    block
        Number of its block.
    """

    contig: Ints
    strand: Ints
    position: Ints
    score: Floats
    uncalibrated: Floats
    has_tag: Mask
    block: Ints


class Peaks(NamedTuple):
    """Peaks with counted 5' ends, each ``(n,)``: how shapes compare, and logarithms of totals around the summit.

    `log_strength` is of what the model expects of the promoter if there is one, `log_expected` of what it expects at
    all.
    """

    correlation: Floats
    jensen_shannon: Floats
    log_observed: Floats
    log_expected: Floats
    log_strength: Floats
    block: Ints


class Named(NamedTuple):
    """Distances of named bases from the summits of their regions, ``(DRAWS, n)``, and the summits' blocks."""

    distance: Ints
    block: Ints


class Found(NamedTuple):
    """What a prediction says of a fold.

    Attributes
    ----------
    bins, peaks, named
        As above; of peaks those that can be compared, none without counts or expected tags.
    calls
        All of them, the best first.
    summit_distance
        Bases downstream of the nearest summit on its strand that each call is, ``(n_calls,)``; negative is upstream,
        NaN is none.
    matched
        Which calls are right within the distances `WITHIN`, each summit taken once, ``(len(WITHIN), n_calls)``.
    """

    bins: Bins
    calls: Called
    peaks: Peaks
    named: Named
    summit_distance: Floats
    matched: Mask


def collect(prediction: Prediction, truth: Truth, advance: Callable[[int], object]) -> Found:
    """Ask a prediction along all of a fold; `advance` is told of how many bases it has answered."""
    parts = []
    for number, (first, last) in enumerate(zip(truth.stretches.start, truth.stretches.end, strict=True)):
        for start in range(int(first), int(last), PIECE):
            end = min(start + PIECE, int(last))
            parts.append(_piece(prediction, truth, number, start, end))
            advance(end - start)
    joined: list[Any] = []
    for part in zip(*parts, strict=True):
        columns = zip(*part, strict=True)
        joined.append(type(part[0])(*(np.concatenate(column, axis=-1) for column in columns)))
    bins, calls, peaks, named = joined
    order = np.lexsort((calls.position, calls.strand, calls.contig, -calls.score))
    calls = Called(*(column[order] for column in calls))
    return Found(bins, calls, peaks, named, *_judged(calls, truth))


def _piece(
    prediction: Prediction, truth: Truth, number: int, start: int, end: int
) -> tuple[Bins, Called, Peaks, Named]:
    """Keep what is said of the bases from `start` to `end`, in one of the stretches."""
    stretches = truth.stretches
    contig, first, last = int(stretches.contig[number]), int(stretches.start[number]), int(stretches.end[number])
    low, high = max(start - MARGIN, first), min(end + MARGIN, last)
    answers = prediction.ask(contig, low, high)
    inside = slice(start - low, end - low)
    there = (truth.summits.contig == contig) & (truth.summits.position >= start) & (truth.summits.position < end)
    here = np.flatnonzero(there)
    summits = Summits(truth.summits.minus[here], truth.summits.position[here] - low)
    block = truth.block(contig, summits.position + low)
    far = (summits.position >= 2 * FLANK) & (summits.position < high - low - 2 * FLANK)
    distance = named_distances(
        answers.calling, Summits(summits.strand[far], summits.position[far]), truth.shift[:, here[far]]
    )
    counts = truth.counts.between(contig, low, high) if truth.counts else None
    return (
        _bins(answers, inside, summits, truth.block(contig, np.arange(start, end, BIN))),
        _called(prediction, answers, truth, number, slice(start, end), counts),
        _peaks(answers, counts, summits, block),
        Named(distance, block[far]),
    )


def _bins(answers: Answers, inside: slice, summits: Summits, block: Ints) -> Bins:
    """Sum over the bins of a piece."""
    score = bin_sums(answers.score[:, inside])
    tags = None if answers.expected_tags is None else bin_sums(answers.expected_tags[:, inside])
    holds = np.zeros(score.shape, dtype=np.bool_)
    holds[summits.strand, (summits.position - inside.start) // BIN] = True
    return Bins(
        score.ravel(), np.full(score.size, np.nan) if tags is None else tags.ravel(), holds.ravel(), np.tile(block, 2)
    )


def _called(
    prediction: Prediction, answers: Answers, truth: Truth, number: int, piece: slice, counts: Floats | None
) -> Called:
    """Call TSSs in a piece of a stretch."""
    contig, low = int(truth.stretches.contig[number]), max(piece.start - MARGIN, int(truth.stretches.start[number]))
    found = call(answers.calling, 0.0, prediction.distance)
    kept = (found.position + low >= piece.start) & (found.position + low < piece.stop)
    at = found.strand[kept], found.position[kept]
    position = at[1] + low
    own = np.full(len(position), np.nan) if answers.uncalibrated is None else answers.uncalibrated[at]
    if counts is None:
        has_tag = np.abs(summit_distances(at[0], position, truth.summits_in(number))) <= TAG_REACH
    else:
        has_tag = within(counts, TAG_REACH)[at] > LEAST_TAGS
    score = np.asarray(answers.rank[at], dtype=np.float64)
    where = np.full(len(position), contig)
    return Called(where, at[0], position, score, own.astype(np.float64), has_tag, truth.block(contig, position))


def _peaks(answers: Answers, counts: Floats | None, summits: Summits, block: Ints) -> Peaks:
    """Compare expected with counted 5' ends around summits that have `MINIMUM_TAGS` of them."""
    if counts is None or answers.expected_tags is None:
        none = np.zeros(0)
        return Peaks(none, none, none, none, none, block[:0])
    inside = whole(summits, counts.shape[1])
    observed, expected = around(counts, summits), around(answers.expected_tags, summits)
    enough = observed.sum(axis=1) >= MINIMUM_TAGS
    observed, expected = observed[enough], expected[enough]
    at = summits.strand[inside][enough], summits.position[inside][enough]
    strength = np.full(len(at[0]), np.nan) if answers.strength is None else answers.strength[at].astype(np.float64)
    profiles = compare_profiles(expected, observed)
    log_expected = np.log(expected.sum(axis=1).clip(min=np.finfo(float).tiny))
    log_observed = np.log1p(observed.sum(axis=1))
    return Peaks(*profiles, log_observed, log_expected, np.log1p(strength), block[inside][enough])


def _judged(calls: Called, truth: Truth) -> tuple[Floats, Mask]:
    """Return how far each call is from a summit, and which calls are right within `WITHIN`."""
    distance = np.full(len(calls.score), np.nan)
    matched = np.zeros((len(WITHIN), len(calls.score)), dtype=np.bool_)
    stretch = truth.stretches.find(calls.contig, calls.position)
    for number in range(len(truth.stretches.contig)):
        rows, summits = np.flatnonzero(stretch == number), truth.summits_in(number)
        here = Calls(calls.strand[rows], calls.position[rows], calls.score[rows])
        distance[rows] = summit_distances(here.strand, here.position, summits)
        for kind, reach in enumerate(WITHIN):
            matched[kind, rows] = match(here, summits, reach)
    return distance, matched
