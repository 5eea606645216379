"""How much each base around one TSS of a genome matters to it."""

from typing import Final, Literal, NamedTuple, get_args

import numpy as np

from capsight.data.genome.alphabet import N_CODE, Codes, reverse_complement
from capsight.errors import ConfigError
from capsight.explain.gradients import integrated_gradients
from capsight.explain.mutagenesis import importance, saturate
from capsight.explain.reader import PerBase, Sequences, TrackWrapper
from capsight.predict.track import with_flanks

PlaceMethod = Literal["ism", "ig"]

#: Bases before a TSS and behind it that are explained, unless told otherwise: most of a promoter's elements.
BEFORE: Final = 110
BEHIND: Final = 25
#: Of integrated gradients: dinucleotide shuffles, and steps of each integral.
BASELINES: Final = 8
STEPS: Final = 24


class PlaceScores(NamedTuple):
    """Bases around a TSS, 5'→3' on its strand, and their scores.

    Attributes
    ----------
    codes
        ``(before + 1 + behind,)``; N beyond the ends of the contig.
    scores
        Nats of the expected tags within 10 bases of the TSS that are lost without the base, ``(before + 1 + behind,)``.
    """

    codes: Codes
    scores: PerBase


def explain_place(
    reader: TrackWrapper,
    contig: Codes,
    position: int,
    *,
    minus: bool,
    before: int = BEFORE,
    behind: int = BEHIND,
    method: PlaceMethod = "ism",
    baselines: int = BASELINES,
    steps: int = STEPS,
    seed: int = 1,
) -> PlaceScores:
    """Explain the bases from `before` a TSS to `behind` it; the model reads all others too, as they are.

    Parameters
    ----------
    reader
        The model.
    contig
        Codes of the plus strand, ``(length,)``.
    position, minus
        The TSS, 0-based, and whether it is on the minus strand.
    before, behind
        Bases 5' of the TSS and 3' of it, on its strand; not negative on the whole.
    method
        ``ism`` (mutagenesis) or ``ig`` (integrated gradients).
    baselines, steps, seed
        Of ``ig``.

    Raises
    ------
    ConfigError
        If there is no such method.
    """
    if method not in get_args(PlaceMethod):
        raise ConfigError(f"method {method!r} is none of {', '.join(get_args(PlaceMethod))}")
    half = max(before, behind) + 1
    margin = half + reader.margin
    # what is read has random DNA beyond the ends of the contig, what is explained N
    bases, inside = (
        with_flanks(contig[None], position - margin, position + margin + 1, beyond)
        for beyond in (reader.scorer.flank, reader.scorer.flank[:0])
    )
    reads, codes = (reverse_complement(each) if minus else each for each in (bases, inside))
    codes = codes[:, reader.margin : -reader.margin].copy()
    shown = slice(half - before, half + behind + 1)
    hidden = np.ones(codes.shape[1], bool)
    hidden[shown] = False
    codes[:, hidden] = N_CODE  # they are read, and not changed
    sequences = Sequences(codes, reads)
    if method == "ism":
        scores = importance(saturate(reader, sequences))
    else:
        scores = integrated_gradients(reader, sequences, baselines=baselines, steps=steps, seed=seed).scores
    return PlaceScores(codes[0, shown], scores[0, shown])
