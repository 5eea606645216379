"""De novo motifs: TF-MoDISco on the attributions, made into stranded PWMs with a place.

TF-MoDISco (Shrikumar et al. 2018; modisco-lite) clusters spans of high attribution, whichever strand they read
on. Promoters have a direction and their elements a place, so its patterns are worked on here:

1. a pattern's sites are parted by strand, and all are read 5'→3' of their window;
2. a pattern with several elements in it (a TATA box and the initiator 30 bases on) is cut into its blocks of
   high attribution;
3. blocks that show the same element are joined: alike as matrices, or less alike but at the same place.
"""

import logging
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from capsight.compiled import load_compiled
from capsight.data.attributions import Attributions, Codes, Ints, Scores
from capsight.data.io.meme import BASES, Pwm
from capsight.motifs.places import PLACE_TOLERANCE, Sites

logger = logging.getLogger(__name__)

Floats = NDArray[np.float64]

#: A motif needs this many sites.
FEWEST_SITES: Final = 12
#: A block is where the mean attribution of a pattern is at least this share of its maximum, and this many times its
#: standard error: an element that only some sites have is low but sure (a DPE beside an initiator).
BLOCK_SHARE: Final = 0.05
BLOCK_ERRORS: Final = 4.0
#: Blocks are looked for this many bases beyond a pattern, if this share of its sites still lie inside their windows.
REACH: Final = 40
MOST_INSIDE: Final = 0.9
#: Weaker positions that a block may span, and the fewest positions of a block.
BLOCK_GAP: Final = 2
BLOCK_WIDTH: Final = 4
#: The first and last position of a motif say at least this much (bits, against even bases).
LEAST_BITS: Final = 0.1
#: Blocks are joined if their matrices correlate this well, or so well and stand at the same place.
ALIKE: Final = 0.85
ALIKE_IN_PLACE: Final = 0.4
#: A block has a place if at least this share of its sites lie near its preferred offset.
IN_PLACE: Final = 0.3
#: A pattern is clustered from spans this wide, and so must the windows be.
SPAN: Final = 41
#: TF-MoDISco looks for spans this wide (its own default, 21, passes over what stands near something stronger), and
#: takes this many bases more on either side.
CORE: Final = 11
FLANK: Final = 5
#: Runs of the Leiden clustering, of which the best counts: more take longer and change little.
LEIDEN_RUNS: Final = 5

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


def discover(data: Attributions, method: str, max_seqlets: int) -> list[Motif]:
    """Find motifs in the attributions of the predicted positives.

    Parameters
    ----------
    data
        Windows and attributions.
    method
        Which attributions; for ``ism`` the whole mutagenesis tells what other bases would do.
    max_seqlets
        TF-MoDISco looks at this many spans at most.

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
    hypothetical = _hypothetical(data, method, rows)
    one_hot = (codes[:, :, None] == np.arange(4)).astype(np.float32)
    scores: Scores = (one_hot * hypothetical).sum(axis=2)
    blocks: list[Sites] = []
    for sites in _patterns(one_hot, hypothetical, max_seqlets):
        blocks += [_carriers(block, scores) for block in _blocks(_widened(sites, data.length), scores)]
    blocks = [block for block in blocks if len(block) >= FEWEST_SITES]
    joined = [_cut_ends(sites, codes) for sites in _join(blocks, codes, scores, data.cap)]
    joined.sort(key=lambda sites: (-len(sites), sites.mode(data.cap)))
    return [_motif(sites, number, codes, rows, data.cap) for number, sites in enumerate(joined, start=1)]


def _hypothetical(data: Attributions, method: str, rows: Ints) -> Scores:
    """Return what each base would contribute at each place, ``(n, length, 4)``."""
    if method == "ism" and data.ism_full is not None:
        full = data.ism_full[rows]
        return np.ascontiguousarray((full - full.mean(axis=1, keepdims=True)).transpose(0, 2, 1))
    scores = data.methods[method][rows]
    if scores.min() >= 0:
        # TF-MoDISco takes scores about zero for noise, which those of a method without sign are not.
        scores = scores - np.median(scores, axis=1, keepdims=True)
    return np.ascontiguousarray(np.repeat(scores[:, :, None], 4, axis=2)) * (
        data.codes[rows][:, :, None] == np.arange(4)
    )


def _patterns(one_hot: Scores, hypothetical: Scores, max_seqlets: int) -> list[Sites]:
    """Run TF-MoDISco; return the sites of its patterns, strand by strand."""
    if not hypothetical.any():
        return []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # numba and h5py speak to their developers here
        modisco = load_compiled("modiscolite.tfmodisco")
        try:
            patterns, _ = modisco.TFMoDISco(
                one_hot,
                hypothetical.astype(np.float32),
                sliding_window_size=CORE,
                flank_size=FLANK,
                min_metacluster_size=FEWEST_SITES,
                final_min_cluster_size=FEWEST_SITES,
                max_seqlets_per_metacluster=max_seqlets,
                n_leiden_runs=LEIDEN_RUNS,
            )
        except (ValueError, IndexError, ZeroDivisionError) as error:
            # It has no word for "nothing stands out"; its arrays run empty.
            logger.warning("motifs: TF-MoDISco found nothing to work on (%s)", error)
            return []
    found = []
    for pattern in patterns or []:
        reverse = np.array([seqlet.is_revcomp for seqlet in pattern.seqlets])
        window = np.array([seqlet.example_idx for seqlet in pattern.seqlets])
        start = np.array([seqlet.start for seqlet in pattern.seqlets])
        for strand in (False, True):
            sites = Sites(window[reverse == strand], start[reverse == strand], int(pattern.length))
            found.append(sites.inside(one_hot.shape[1]))
    return [sites for sites in found if len(sites) >= FEWEST_SITES]


def _widened(sites: Sites, length: int) -> Sites:
    """Widen sites: what stands at a fixed distance from a pattern may lie beyond its span."""
    wide = sites.moved(-REACH, sites.width + 2 * REACH).inside(length)
    return wide if len(wide) >= MOST_INSIDE * len(sites) else sites


def _carriers(block: Sites, scores: Scores) -> Sites:
    """Keep the sites that have the block: those with at least half the mean of its attribution."""
    total = block.gather(scores).sum(axis=1)
    kept = total >= total.mean() / 2
    return Sites(block.window[kept], block.start[kept], block.width)


def _blocks(sites: Sites, scores: Scores) -> list[Sites]:
    """Cut sites into their runs of high mean attribution."""
    found = sites.gather(scores)
    mean, error = found.mean(axis=0), found.std(axis=0) / np.sqrt(len(found))
    high = np.flatnonzero((mean > 0) & (mean >= BLOCK_SHARE * mean.max()) & (mean >= BLOCK_ERRORS * error))
    if not len(high):
        return []
    runs = np.split(high, np.flatnonzero(np.diff(high) > BLOCK_GAP + 1) + 1)
    cut = [sites.moved(int(run[0]), int(run[-1] - run[0]) + 1) for run in runs]
    return [block for block in cut if block.width >= BLOCK_WIDTH]


def probabilities(sites: Sites, codes: Codes) -> Floats:
    """Return the frequencies of the bases at sites, ``(width, 4)``, each count plus a quarter."""
    found = sites.gather(codes)
    counts = np.stack([(found == base).sum(axis=0) for base in range(4)], axis=1) + 0.25
    result: Floats = counts / counts.sum(axis=1, keepdims=True)
    return result


def _join(blocks: Sequence[Sites], codes: Codes, scores: Scores, cap: int) -> list[Sites]:
    """Join blocks that show the same element, the largest first, until none do."""
    kept = sorted(blocks, key=lambda block: (-len(block), block.mode(cap), block.width))
    while (pair := _alike(kept, codes, cap)) is not None:
        i, j, shift = pair
        first, second = kept[i], kept.pop(j)
        starts = np.concatenate([first.start, second.start + shift])
        both = Sites(np.concatenate([first.window, second.window]), starts, first.width)
        kept[i] = _trimmed(both.inside(codes.shape[1]), scores)
        kept.sort(key=lambda block: (-len(block), block.mode(cap), block.width))
    return kept


def _cut_ends(sites: Sites, codes: Codes) -> Sites:
    """Cut what says next to nothing off either end."""
    matrix = probabilities(sites, codes)
    said = np.flatnonzero(2 + (matrix * np.log2(matrix)).sum(axis=1) >= LEAST_BITS)
    if not len(said) or said[-1] - said[0] + 1 < BLOCK_WIDTH:
        return sites
    return sites.moved(int(said[0]), int(said[-1] - said[0]) + 1)


def _trimmed(sites: Sites, scores: Scores) -> Sites:
    """Fit the borders of joined sites to their attributions: a part may have seen more of the element."""
    wide = sites.moved(-BLOCK_WIDTH, sites.width + 2 * BLOCK_WIDTH).inside(scores.shape[1])
    around = [block for block in _blocks(wide, scores) if block.width <= 2 * sites.width]
    return max(around, key=lambda block: block.width, default=sites)


def _alike(blocks: Sequence[Sites], codes: Codes, cap: int) -> tuple[int, int, int] | None:
    """Find two blocks of one element: their numbers, and by how much the second's sites must be moved."""
    matrices = [probabilities(block, codes) for block in blocks]
    for i, first in enumerate(blocks):
        for j in range(i + 1, len(blocks)):
            second = blocks[j]
            shift, correlation = _best_shift(matrices[i], matrices[j], range(1 - first.width, second.width))
            if correlation >= ALIKE:
                return i, j, shift
            if min(first.share_in_place(cap), second.share_in_place(cap)) < IN_PLACE:
                continue
            same = first.mode(cap) - second.mode(cap)
            near = range(same - PLACE_TOLERANCE, same + PLACE_TOLERANCE + 1)
            shift, correlation = _best_shift(matrices[i], matrices[j], near)
            if correlation >= ALIKE_IN_PLACE:
                return i, j, shift
    return None


def _best_shift(first: Floats, second: Floats, shifts: range) -> tuple[int, float]:
    """Return the shift at which two matrices agree best, and their correlation there."""
    found = [(_correlation(first, second, shift), -abs(shift), shift) for shift in shifts]
    correlation, _, shift = max(found)
    return shift, correlation


def _correlation(first: Floats, second: Floats, shift: int) -> float:
    """Correlate two matrices where they overlap, the first base of the second standing at -`shift` in the first."""
    low, high = max(0, -shift), min(len(first), len(second) - shift)
    if high - low < max(BLOCK_WIDTH, min(len(first), len(second)) - 2):
        return -1.0
    a, b = first[low:high].ravel() - 0.25, second[low + shift : high + shift].ravel() - 0.25
    return float(a @ b) / max(float(np.sqrt((a @ a) * (b @ b))), 1e-12)


def _motif(sites: Sites, number: int, codes: Codes, rows: Ints, cap: int) -> Motif:
    """Name a motif, and let its sites point into all windows."""
    matrix = probabilities(sites, codes)
    pwm = Pwm(f"M{number:02d}", f"{consensus(matrix)}@{sites.mode(cap):+d}", matrix, float(len(sites)))
    return Motif(pwm, Sites(rows[sites.window], sites.start, sites.width))


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
