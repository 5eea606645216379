"""The textbook promoter as a prediction: a TATA box upstream and an initiator at the base.

The score of a base is the likelihood ratio of both: 2 to the power of the log-odds (bits, bases equally frequent) of
the best TATA box that begins `TATA_BEGINS` bases upstream, plus those of the initiator that has its A at the base.
"""

from collections.abc import Callable
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import maximum_filter1d

from capsight.data.genome.alphabet import N_CODE, Codes, reverse_complement
from capsight.data.genome.genome import Genome
from capsight.motifs.elements import IUPAC, read_elements

Floats = NDArray[np.float64]

#: Elements of `capsight.motifs.elements` whose patterns are read as PWMs.
TATA: Final = "TATA"
INITIATOR: Final = "Inr"
#: Bases upstream at which a TATA box may begin: about 30 in animals, 40 to 120 in yeast.
TATA_BEGINS: Final = (120, 25)
#: Probability that the bases of a pattern's letter share at its position; the other bases share the rest.
_FITTING: Final = 0.9
#: Bases on either side that a score depends on, and some more.
_REACH: Final = 160


def log_odds(pattern: str) -> Floats:
    """Return the log-odds in bits of an IUPAC pattern read as a PWM, ``(length, 5)``; N has that of the worst base."""
    found = np.zeros((len(pattern), 5))
    for row, letter in zip(found, pattern, strict=True):
        fits = np.array([base in IUPAC[letter] for base in "ACGT"])
        if not fits.all():
            row[:4] = np.log2(4 * np.where(fits, _FITTING / fits.sum(), (1 - _FITTING) / (~fits).sum()))
        row[4] = row[:4].min()
    return found


def promoter_scores(genome: Genome) -> Callable[[int, int, int], Floats]:
    """Return what scores the bases of a piece (contig, start, end), ``(2, end - start)``."""
    elements = {element.name: element for element in read_elements()}
    tata, initiator = log_odds(elements[TATA].pattern), log_odds(elements[INITIATOR].pattern)
    offset = elements[INITIATOR].offset or 0

    def score(contig: int, start: int, end: int) -> Floats:
        number, first = np.array([contig]), np.array([start - _REACH])
        codes = genome.fetch(number, first, end - start + 2 * _REACH, np.array([False]))[0]
        strands = [one_strand(read, tata, initiator, offset) for read in (codes, reverse_complement(codes))]
        return np.stack([strands[0], strands[1][::-1]])[:, _REACH : _REACH + end - start]

    return score


def one_strand(codes: Codes, tata: Floats, initiator: Floats, offset: int) -> Floats:
    """Return the score of each base of one strand, 5'→3', ``(length,)``; `offset` is the initiator's first base."""
    farthest, nearest = TATA_BEGINS
    width = farthest - nearest + 1
    begun = _begun(codes, tata)
    # of the boxes that begin at a base or up to width - 1 after it, the best
    best = maximum_filter1d(begun, width, origin=-(width // 2), mode="constant", cval=-np.inf)
    upstream = np.concatenate([np.full(farthest, begun.min()), best])[: len(codes)]
    return np.asarray(np.exp2(upstream + np.roll(_begun(codes, initiator), -offset)))


def _begun(codes: Codes, odds: Floats) -> Floats:
    """Return the log-odds of the stretch that begins at each base, ``(length,)``; N follows the last base."""
    padded = np.append(codes, np.full(len(odds), N_CODE, dtype=codes.dtype))
    total: Floats = np.sum([column[padded[i : i + len(codes)]] for i, column in enumerate(odds)], axis=0)
    return total
