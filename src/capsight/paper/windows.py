"""The paper's windows (Haldar et al. 2026), as its released scripts lay them, quirks included.

Let L be the window length. All windows are on the plus strand; start and end are those of the peak.

Positive
    For each peak the slice [start - L/2, start + L/2), kept when it has L letters and no N.

    * *Quirk*: the strand is never looked at, and start stands in for the summit.
Negative
    Twice for each peak: d uniform in [10,000, 20,000), b = start - d, and the window is the grid bin of b,
    [⌊b / L⌋·L, ⌊b / L⌋·L + L), kept when it is complete and has no N. It is dropped when that bin, or the bin
    of end - d, equals the bin ⌊start / L⌋·L of a positive (a peak whose window was kept) on the chromosome.

    * *Quirk*: negatives lie on a grid, only toward lower coordinates, 10 to 20 kb from a peak.
    * *Quirk*: only the bin of a positive's start is avoided. A negative may hold a cap site of a peak that
      begins in the neighbouring bin, or hold most of a positive window.
    * *Quirk*: a bin before the start of the chromosome is a Python slice with negative bounds. The bin
      [-L, 0) is empty and falls away, but [-kL, -(k - 1)L) with k > 1 is a whole window, counted back from
      the chromosome's *end*; its bin is negative, so it never equals that of a positive.
Pairs
    Chromosomes are handled two at a time, in genome order (those without peaks are skipped). In each pair the
    negatives are shuffled and cut to one more than the number of positives (the script's slice is inclusive);
    positives and negatives are joined, exact duplicate rows (same sequence, same label) dropped, the rest
    shuffled.

    * *Quirk*: duplicates across pairs stay, and so does a sequence that is both a positive and a negative.

The scripts set no seed; here the draws come from one generator, in this order, so that anyone can repeat
them: for each pair, for each of its chromosomes, ``integers(10_000, 20_000, size=(n_peaks, 2))`` (peaks in
file order); then ``permutation(n)`` over the pair's surviving negatives (by chromosome, peak, draw); then
``permutation(n)`` over the joined rows.

One difference is deliberate: any letter that is not A, C, G or T counts as N, as everywhere in `capsight`;
the scripts look for the letter N alone.
"""

from collections import Counter
from typing import Final, NamedTuple

import numpy as np
import pandas as pd

from capsight.data import schema
from capsight.data.drop_reasons import DUPLICATE, OFF_CONTIG, SURPLUS, WITH_N, Dropped
from capsight.data.genome.alphabet import Ints, Mask
from capsight.data.genome.genome import Genome

NEAREST: Final = 10_000
FARTHEST: Final = 20_000

IN_POSITIVE_BIN: Final = "in the bin of a positive"


class PaperWindows(NamedTuple):
    """Plus-strand windows, each column ``(n_windows,)``, and how many of each label were dropped, and why."""

    contig: Ints
    start: Ints
    label: Ints
    dropped: Dropped


def paper_windows(genome: Genome, peaks: pd.DataFrame, length: int, rng: np.random.Generator) -> PaperWindows:
    """Lay windows by the paper's protocol.

    Parameters
    ----------
    genome
        The genome.
    peaks
        Columns `schema.PEAK_COLUMNS`.
    length
        Bases per window (L).
    rng
        Source of every draw; the module's docstring says in which order.

    Returns
    -------
    laid
        In the shuffled order of the protocol.
    """
    contigs = genome.index(peaks[schema.CHROM])
    present = np.unique(contigs)
    dropped: Dropped = {1: Counter(), 0: Counter()}
    pairs = []
    for i in range(0, len(present), 2):
        parts = [
            build_chromosome_windows(genome, int(contig), peaks[contigs == contig], length, rng, dropped)
            for contig in present[i : i + 2]
        ]
        pairs.append(_join(genome, pd.concat(parts, ignore_index=True), length, rng, dropped))
    table = pd.concat(pairs, ignore_index=True)
    contig, start, label = (table[name].to_numpy(np.int64) for name in ("contig", schema.START, schema.LABEL))
    return PaperWindows(contig, start, label, dropped)


def build_chromosome_windows(
    genome: Genome,
    contig: int,
    peaks: pd.DataFrame,
    length: int,
    rng: np.random.Generator,
    dropped: Dropped,
    draws: int = 2,
) -> pd.DataFrame:
    """Lay the windows of one chromosome: all positives by peak, all surviving negatives by peak and draw.

    Columns contig, start and label; the paper has two `draws` for each peak.
    """
    start, end = peaks[schema.START].to_numpy(np.int64), peaks[schema.END].to_numpy(np.int64)
    back = rng.integers(NEAREST, FARTHEST, size=(len(start), draws))
    kept = _whole(genome, contig, start - length // 2, length, dropped[1])
    positive = start[kept] - length // 2
    bins = ((start[:, None] - back) // length).ravel()
    bins_of_end = ((end[:, None] - back) // length).ravel()
    taken = np.unique(start[kept] // length)
    clash = np.isin(bins, taken) | np.isin(bins_of_end, taken)
    dropped[0][IN_POSITIVE_BIN] += int(clash.sum())
    # where Python's ``chromosome[bin * L : bin * L + L]`` begins: a bin below 0 counts from the end, and -1 is empty
    first, size = bins[~clash] * length, int(genome.lengths[contig])
    negative = np.where(first < 0, np.where(first == -length, size, size + first), first)
    negative = negative[_whole(genome, contig, negative, length, dropped[0])]
    label = np.repeat([1, 0], [len(positive), len(negative)])
    place = np.concatenate([positive, negative])
    return pd.DataFrame({"contig": contig, schema.START: place, schema.LABEL: label})


def _join(genome: Genome, pair: pd.DataFrame, length: int, rng: np.random.Generator, dropped: Dropped) -> pd.DataFrame:
    """Shuffle and cut the negatives of a pair, join them to its positives, drop duplicates, shuffle."""
    positive, negative = (np.flatnonzero(pair[schema.LABEL] == label) for label in (1, 0))
    chosen = negative[rng.permutation(len(negative))][: len(positive) + 1]
    dropped[0][SURPLUS] += len(negative) - len(chosen)
    joined = pair.iloc[np.concatenate([positive, chosen])]
    plus = np.zeros(len(joined), dtype=bool)
    codes = genome.fetch(joined["contig"].to_numpy(), joined[schema.START].to_numpy(), length, plus)
    rows = pd.DataFrame({"sequence": [row.tobytes() for row in codes], "label": joined[schema.LABEL].to_numpy()})
    again = rows.duplicated().to_numpy()
    for label in (1, 0):
        dropped[label][DUPLICATE] += int((again & (rows["label"] == label)).sum())
    distinct = joined[~again]
    return distinct.iloc[rng.permutation(len(distinct))]


def _whole(genome: Genome, contig: int, start: Ints, length: int, dropped: Counter[str]) -> Mask:
    """Tell which windows lie in the contig and have no N; count the others."""
    inside = (start >= 0) & (start + length <= genome.lengths[contig])
    known = genome.composition(np.full(len(start), contig), start, length).unknown == 0
    dropped[OFF_CONTIG] += int((~inside).sum())
    dropped[WITH_N] += int((inside & ~known).sum())
    return inside & known
