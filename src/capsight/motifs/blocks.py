"""Blocks: the parts of patterns that each show one element, and blocks of one element joined.

A pattern with several elements in it (a TATA box and the initiator 30 bases on) is cut into its blocks of high
attribution. Blocks that show the same element are joined: alike as matrices, or less alike but at the same place.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np

from capsight.data.attributions import Codes, Scores
from capsight.data.genome.alphabet import Floats
from capsight.motifs.modisco import FEWEST_SITES
from capsight.motifs.motif_sites import PLACE_TOLERANCE, Sites

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


def blocks_of(patterns: Sequence[Sites], codes: Codes, scores: Scores, cap: int) -> list[Sites]:
    """Cut patterns into blocks, and join those of one element, by falling number of sites.

    Parameters
    ----------
    patterns
        Sites of each pattern, on one strand.
    codes, scores
        Windows and their attributions, ``(n, length)``.
    cap
        Index of the cap site.
    """
    found: list[Sites] = []
    for sites in patterns:
        # what stands at a fixed distance from a pattern may lie beyond its span
        wide = sites.moved(-REACH, sites.width + 2 * REACH).inside(codes.shape[1])
        for block in _blocks(wide if len(wide) >= MOST_INSIDE * len(sites) else sites, scores):
            total = block.gather(scores).sum(axis=1)
            carries = total >= total.mean() / 2
            if carries.sum() >= FEWEST_SITES:
                found.append(Sites(block.window[carries], block.start[carries], block.width))
    joined = [_cut_ends(sites, codes) for sites in _join(found, codes, scores, cap)]
    return sorted(joined, key=lambda sites: (-len(sites), sites.mode(cap)))


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
        sites = both.inside(codes.shape[1])
        wide = sites.moved(-BLOCK_WIDTH, sites.width + 2 * BLOCK_WIDTH).inside(scores.shape[1])
        around = [block for block in _blocks(wide, scores) if block.width <= 2 * sites.width]
        kept[i] = max(around, key=lambda block: block.width, default=sites)
        kept.sort(key=lambda block: (-len(block), block.mode(cap), block.width))
    return kept


def _cut_ends(sites: Sites, codes: Codes) -> Sites:
    """Cut what says next to nothing off either end."""
    matrix = probabilities(sites, codes)
    said = np.flatnonzero(2 + (matrix * np.log2(matrix)).sum(axis=1) >= LEAST_BITS)
    if not len(said) or said[-1] - said[0] + 1 < BLOCK_WIDTH:
        return sites
    return sites.moved(int(said[0]), int(said[-1] - said[0]) + 1)


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
