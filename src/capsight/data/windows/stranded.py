"""Stranded windows as coordinates, and how their bases are read: as the genome has them, or shuffled."""

import re
from typing import Final, NamedTuple

import numpy as np
import pandas as pd

from capsight.data.genome.alphabet import Codes, Ints, Mask
from capsight.data.genome.genome import Genome
from capsight.data.sequence.shuffle import dinucleotide_shuffle

#: Value of the source column of shuffled windows; ``shuffled:2`` is the second shuffle of the same place.
SHUFFLED: Final = "shuffled"


class StrandedIntervals(NamedTuple):
    """Stranded windows of one length, each column ``(n_windows,)``.

    Attributes
    ----------
    contig, start
        Contig number and leftmost position, 0-based.
    minus
        True on the minus strand.
    copy
        0 where the bases are the genome's own, k where they are its k-th shuffle; `None` is 0 everywhere.
    """

    contig: Ints
    start: Ints
    minus: Mask
    copy: Ints | None = None


def read_codes(genome: Genome, places: StrandedIntervals, length: int, seed: int, shift: Ints | None = None) -> Codes:
    """Return the bases of windows 5'→3' on their strand, ``(n_windows, length)``.

    A shuffle is a pure function of `seed`, place and number, so it can be made again at any time.

    Parameters
    ----------
    genome
        The genome.
    places
        The windows.
    length
        Bases per window.
    seed
        Seed of the shuffles.
    shift
        Bases by which each window is moved along its own 5'→3' direction, ``(n_windows,)``.
    """
    contig, start, minus, copy = places
    moved = start if shift is None else start + np.where(minus, -shift, shift)
    codes = genome.fetch(contig, moved, length, minus)
    if copy is not None and len(rows := np.flatnonzero(copy)):
        keys = np.column_stack([contig, start, minus, copy])[rows]
        codes[rows] = dinucleotide_shuffle(codes[rows], seed, keys)
    return codes


def shuffle_source(copy: Ints) -> list[str]:
    """Return the values of the source column for shuffles numbered from 1."""
    return [SHUFFLED if number == 1 else f"{SHUFFLED}:{number}" for number in copy]


def shuffle_number(source: pd.Series) -> Ints:
    """Return the number of each shuffle by its source, 0 for windows whose bases are the genome's own."""
    which, names = pd.factorize(source)
    found = [re.fullmatch(rf"{SHUFFLED}(?::([0-9]+))?", str(name)) for name in names]
    numbers = [int(match[1] or 1) if match else 0 for match in found]
    return np.array(numbers, dtype=np.int64)[which]
