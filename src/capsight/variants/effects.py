"""What a change does: the expected tags around it, the probabilities that move, and the TSS that moves most."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from capsight.model.track_folder import Calibration
from capsight.predict.alleles import Allele, Change
from capsight.predict.calls import SCORE_REACH, call_tss
from capsight.predict.track import REACH, Counts, probabilities, within

#: Added to expected tags before their logarithm: one 5' end. It keeps the ratio of two numbers that are next to nothing
#: from looking like a change.
LEAST_TAGS: Final = 1.0
#: Bases upstream of a change, on each strand, whose expected tags count. A change in a promoter acts on the TSSs in it
#: and downstream; a promoter that lies upstream has elements of its own, and its tags would hide what changes
#: (`docs/log.md`, 2026-11-28).
UPSTREAM: Final = 100


class Move(NamedTuple):
    """Something that changes at one base.

    Attributes
    ----------
    change
        How much.
    position
        0-based, in the reference; an inserted base has the position of the base before it, or of the first base.
    strand
        0 for +, 1 for -.
    """

    change: float
    position: int
    strand: int


class Effect(NamedTuple):
    """What one allele does, compared with the reference.

    Attributes
    ----------
    log2
        Change of log2 expected tags on + and -, summed on each strand from `UPSTREAM` bases upstream of the change to
        the distance downstream of it.
    gain, loss
        The largest rise and the largest fall of probability at a base, the fall as a negative number; `None` where
        nothing rises or falls.
    tss
        Of the TSSs that are called in either allele, the one whose log2 expected tags within 10 bases change most;
        `None` where no TSS is called or none changes.
    """

    log2: tuple[float, float]
    gain: Move | None
    loss: Move | None
    tss: Move | None


#: Of an allele that is the reference.
NO_EFFECT: Final = Effect((0.0, 0.0), None, None, None)


@dataclass(frozen=True)
class Summary:
    """How the effect of a change is read from its two alleles.

    Attributes
    ----------
    calibration
        Of probabilities; `None` takes those of the network.
    min_probability, call_distance
        How TSSs are called, as in `capsight.predict.calls.call_tss`; only bases within `distance` and a little more
        (`REACH`) compete.
    distance
        Bases on either side of the change that count; of expected tags those downstream, and `UPSTREAM` upstream.
    """

    calibration: Calibration | None
    min_probability: float
    call_distance: int
    distance: int = 500

    def effects(self, changes: Sequence[Change], alleles: Sequence[tuple[Allele, Allele]], length: int) -> list[Effect]:
        """Return the effect of each change of a sequence with `length` bases, given its reference and alternative.

        Bases beyond the ends of the sequence do not count. Changes of one shape are read together, which is faster
        than one by one.
        """
        shapes: dict[tuple[int, ...], list[int]] = {}
        for number, pair in enumerate(alleles):
            shapes.setdefault(tuple(allele.tags.shape[-1] for allele in pair), []).append(number)
        found = [NO_EFFECT] * len(changes)
        for numbers in shapes.values():
            starts = np.array([changes[number].start for number in numbers])
            sides = zip(*(alleles[number] for number in numbers), strict=True)
            reference, alternative = (Allele(*map(np.stack, zip(*side, strict=True))) for side in sides)
            for number, effect in zip(numbers, self._of_one_shape(starts, reference, alternative, length), strict=True):
                found[number] = effect
        return found

    def _of_one_shape(
        self, starts: NDArray[np.int64], reference: Allele, alternative: Allele, length: int
    ) -> Iterator[Effect]:
        """Yield effects of changes whose alleles are stacked, ``(n, 2, bases)``."""
        flank = self.distance + REACH
        columns = aligned(flank, *(allele.tags.shape[-1] - 2 * flank for allele in (reference, alternative)))
        positions = starts[:, None] - flank + columns[0]
        changed = slice(flank, columns.shape[1] - flank)
        positions[:, changed] = positions[:, changed].clip(min=0)  # what is inserted before the first base
        inside = ((positions >= 0) & (positions < length))[:, None]
        probability, sums, near, called = [], [], [], np.zeros((len(starts), 2, columns.shape[1]), bool)
        for allele, column in zip((reference, alternative), columns, strict=True):
            own = np.diff(column, prepend=-1) > 0  # the other columns stand for bases of the other allele
            counted = inside[..., own]
            tags = np.where(counted, allele.tags, 0)
            chance = probabilities(Counts(*allele, np.zeros_like(tags)), self.calibration) * counted
            left_out = REACH + self.distance - min(self.distance, UPSTREAM)
            strands = tags[:, 0, left_out:-REACH], tags[:, 1, REACH:-left_out]
            summed = np.stack([strand.sum(axis=-1, dtype=np.float64) for strand in strands], axis=1)
            sums.append(np.log2(summed + LEAST_TAGS))
            near.append(np.log2(within(tags, SCORE_REACH) + LEAST_TAGS)[..., column])
            called |= self._called(tags, chance)[..., column] & own
            probability.append(chance[..., column])
        change = (probability[1].astype(np.float64) - probability[0])[..., REACH:-REACH]
        moves = np.where(called, near[1] - near[0], 0)[..., REACH:-REACH]
        positions = positions[:, REACH:-REACH]
        for row, log2 in enumerate(sums[1] - sums[0]):
            yield Effect(
                (float(log2[0]), float(log2[1])),
                _largest(change[row].clip(min=0), positions[row]),
                _largest(change[row].clip(max=0), positions[row]),
                _largest(moves[row], positions[row]),
            )

    def _called(self, tags: NDArray[np.floating], probability: NDArray[np.floating]) -> NDArray[np.bool_]:
        """Tell which bases are called, ``(n, 2, bases)``; most strands of most changes have no base to call."""
        called = np.zeros(tags.shape, bool)
        where = np.nonzero((probability >= self.min_probability).any(axis=-1))
        if len(where[0]):
            rows = np.zeros((len(where[0]), tags.shape[-1]), bool)
            known = slice(SCORE_REACH, tags.shape[-1] - SCORE_REACH)  # bases of whose score nothing is missing
            calls = call_tss(tags[where], probability[where], self.min_probability, self.call_distance, known)
            rows[calls.strand, calls.position] = True
            called[where] = rows
        return called


def aligned(flank: int, reference: int, alternative: int) -> NDArray[np.int64]:
    """Return which columns of two alleles stand side by side, ``(2, bases)``.

    Bases to the left of a change and to its right are the same in both. Of the changed ones the first stands by the
    first; those that one allele has more stand by the last base before them of the other.
    """
    middle = np.arange(max(reference, alternative))
    rows = []
    for bases in (reference, alternative):
        right = flank + bases + np.arange(flank)
        rows.append(np.concatenate([np.arange(flank), flank + np.minimum(middle, bases - 1), right]))
    return np.array(rows)


def _largest(change: NDArray[np.floating], positions: NDArray[np.int64]) -> Move | None:
    """Return the largest change in size, ``(2, bases)``, + before - and the left one of equals; none if nothing is."""
    strand, column = np.unravel_index(np.abs(change).argmax(), change.shape)
    largest = float(change[strand, column])
    return Move(largest, int(positions[column]), int(strand)) if largest else None
