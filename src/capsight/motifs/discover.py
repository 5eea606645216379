"""De novo motifs: TF-MoDISco on the attributions, made into stranded PWMs with a place.

TF-MoDISco clusters spans of high attribution, whichever strand they read on (`capsight.motifs.modisco`). Promoters have
a direction and their elements a place, so its patterns are parted by strand, cut into blocks that show one element, and
joined where they show the same (`capsight.motifs.blocks`).
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd

from capsight.data.attributions import Attributions, Codes, Scores
from capsight.data.genome.alphabet import Floats
from capsight.data.io.meme import BASES, Pwm
from capsight.motifs.blocks import blocks_of, probabilities
from capsight.motifs.modisco import SPAN, find_patterns, hypothetical_scores
from capsight.motifs.motif_sites import Sites

logger = logging.getLogger(__name__)

#: Columns of `de_novo.tsv`. Offsets are of the first base from the cap site, over predicted positives.
MOTIF: Final = "motif"
CONSENSUS: Final = "consensus"
WIDTH: Final = "width"
SITES: Final = "sites"
MODE_OFFSET: Final = "mode_offset"
MEDIAN_OFFSET: Final = "median_offset"
SHARE_IN_PLACE: Final = "share_in_place"
DE_NOVO_COLUMNS: Final = (MOTIF, CONSENSUS, WIDTH, SITES, MODE_OFFSET, MEDIAN_OFFSET, SHARE_IN_PLACE)


@dataclass(frozen=True, eq=False)
class Motif:
    """A de novo motif: its PWM and its sites in the predicted positives."""

    pwm: Pwm
    sites: Sites


def discover(data: Attributions, method: str) -> list[Motif]:
    """Find motifs in the attributions of the predicted positives.

    Parameters
    ----------
    data
        Windows and attributions.
    method
        Which attributions; for ``ism`` the whole mutagenesis tells what other bases would do.

    Returns
    -------
    motifs
        Named M01, M02, … by falling number of sites; the second name is ``CONSENSUS@OFFSET``, the preferred
        offset of the first base from the cap site (0).
    """
    if data.length < SPAN:
        logger.warning("motifs: windows of %d bases are too short for TF-MoDISco: no de novo motifs", data.length)
        return []
    rows = np.flatnonzero(data.positive)
    codes = data.codes[rows]
    hypothetical = hypothetical_scores(data, method, rows)
    one_hot = (codes[:, :, None] == np.arange(4)).astype(np.float32)
    scores: Scores = (one_hot * hypothetical).sum(axis=2)
    patterns = find_patterns(one_hot, hypothetical)
    joined = blocks_of(patterns, codes, scores, data.cap)
    motifs = []
    for number, sites in enumerate(joined, start=1):
        matrix = probabilities(sites, codes)
        name = f"{consensus(matrix)}@{sites.mode(data.cap):+d}"
        pwm = Pwm(f"M{number:02d}", name, matrix, float(len(sites)))
        motifs.append(Motif(pwm, Sites(rows[sites.window], sites.start, sites.width)))  # of all windows
    return motifs


def consensus(matrix: Floats) -> str:
    """Spell a PWM: a base of half or more, else two that make three quarters, else N (after Cavener 1987)."""
    pairs = {"AC": "M", "AG": "R", "AT": "W", "CG": "S", "CT": "Y", "GT": "K"}
    letters = []
    for row in matrix:
        order = np.argsort(-row, kind="stable")
        first, second = float(row[order[0]]), float(row[order[1]])
        two = "".join(sorted(BASES[order[0]] + BASES[order[1]]))
        single = first >= 0.5 and first >= 2 * second
        letters.append(BASES[order[0]] if single else pairs[two] if first + second >= 0.75 else "N")
    return "".join(letters)


def tabulate(motifs: Sequence[Motif], cap: int) -> pd.DataFrame:
    """Return motifs as a table with `DE_NOVO_COLUMNS`."""
    rows = [
        (
            motif.pwm.id,
            consensus(motif.pwm.probabilities),
            motif.pwm.width,
            len(motif.sites),
            motif.sites.mode(cap),
            float(np.median(motif.sites.start - cap)),
            motif.sites.share_in_place(cap),
        )
        for motif in motifs
    ]
    return pd.DataFrame(rows, columns=list(DE_NOVO_COLUMNS))


def background(codes: Codes) -> Floats:
    """Return the base frequencies of windows on both strands, ``(4,)``, each count plus one."""
    counts = np.bincount(codes.ravel(), minlength=5)[:4] + 1.0
    both: Floats = (counts + counts[::-1]) / (2 * counts.sum())
    return both
