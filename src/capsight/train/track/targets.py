"""What a track network is taught: 5' ends where they were counted, else the summits of peaks, else whole peaks."""

import json
import logging
from typing import Final, NamedTuple

import numpy as np
import pandas as pd

from capsight.data import schema
from capsight.data.ctss.ctss import Ctss
from capsight.data.ctss.table import CTSS, CTSS_FILE, ctss_from_summits, place_numbers, read_ctss_table
from capsight.data.genome.alphabet import Ints
from capsight.data.genome.genome import Genome
from capsight.data.windows.peaks_table import read_windows_peaks
from capsight.data.windows.windows import SUMMARY_FILE, Windows

logger = logging.getLogger(__name__)

#: Kinds of `Targets.counts`.
SUMMITS: Final = "summits"
PEAKS: Final = "peaks"


class Targets(NamedTuple):
    """What is expected at each base.

    Attributes
    ----------
    tags
        5' ends, or what stands in for them.
    summits
        Summits of peaks. Of a peak whose summit is not known, every base is one by the same part.
    counts
        What `tags` are: `CTSS`, `SUMMITS`, or `PEAKS`.
    """

    tags: Ctss
    summits: Ctss
    counts: str


def targets_of(data: Windows) -> Targets:
    """Return the targets that a windows folder has.

    Peaks whose summits are all at their 5' ends, as `data.peaks.reader.read_peaks` takes them to be where a file
    names none, are bare: their summit is the base with most 5' ends in them, or any of their bases where no 5' ends
    were counted.

    Raises
    ------
    InputError
        If the folder has no 5' ends or no peaks.
    """
    tags = read_ctss_table(data.folder / CTSS_FILE, data.genome)
    peaks = read_windows_peaks(data.folder, data.genome)
    counted = json.loads((data.folder / SUMMARY_FILE).read_text(encoding="utf-8"))["ctss"]["source"] == CTSS
    five_prime = np.where(peaks[schema.STRAND] == "+", peaks[schema.START], peaks[schema.END] - 1)
    wide = peaks[schema.END] - peaks[schema.START] > 1
    if not wide.any() or (peaks[schema.SUMMIT] != five_prime).any():  # the file names summits
        return Targets(tags, ctss_from_summits(peaks, data.genome), CTSS if counted else SUMMITS)
    if counted:
        return Targets(tags, ctss_from_summits(_with_summits(peaks, tags, data.genome), data.genome), CTSS)
    logger.info("train: the peaks name no summits: each of their bases counts as one by the same part")
    size = (peaks[schema.END] - peaks[schema.START]).to_numpy(np.int64)
    row = np.repeat(np.arange(len(peaks)), size)
    offset = np.arange(len(row)) - np.repeat(np.cumsum(size) - size, size)
    position: Ints = peaks[schema.START].to_numpy(np.int64)[row] + offset
    minus = (peaks[schema.STRAND] == "-").to_numpy().astype(np.int64)
    spread = Ctss.summed(data.genome.index(peaks[schema.CHROM])[row], position, minus[row], 1 / size[row])
    return Targets(spread, spread, PEAKS)


def _with_summits(peaks: pd.DataFrame, tags: Ctss, genome: Genome) -> pd.DataFrame:
    """Put the summit of each peak where most 5' ends are, of several the first; where there are none, leave it."""
    numbers = place_numbers(genome, tags.contig, tags.minus, tags.position)
    contig, minus = genome.index(peaks[schema.CHROM]), (peaks[schema.STRAND] == "-").to_numpy().astype(np.int64)
    ends = (peaks[name].to_numpy(np.int64) for name in (schema.START, schema.END))
    first, last = (np.searchsorted(numbers, place_numbers(genome, contig, minus, end)) for end in ends)
    summit = peaks[schema.SUMMIT].to_numpy(np.int64).copy()
    for row in np.flatnonzero(last > first):
        summit[row] = tags.position[first[row] + tags.counts[first[row] : last[row]].argmax()]
    return peaks.assign(**{schema.SUMMIT: summit})
