"""Exact duplicates: windows with the same bases, on either strand."""

from typing import Final

import numpy as np
import pandas as pd

from capsight.data import schema
from capsight.data.drop_reasons import DUPLICATE, Dropped
from capsight.data.genome.alphabet import Mask
from capsight.data.genome.genome import Genome
from capsight.data.sequence.digest import digests
from capsight.data.windows.stranded import StrandedIntervals, read_codes

_ROWS_AT_ONCE: Final = 1 << 14


def first_copies(keys: list[bytes], table: pd.DataFrame, *, positives_first: bool = False) -> Mask:
    """Tell which rows go first among those of the same key: test, validation, train; then positives.

    With `positives_first`, the label goes before the fold.
    """
    rank = table[schema.FOLD].map({schema.TEST: 0, schema.VALIDATION: 1, schema.TRAIN: 2}).to_numpy()
    label = -table[schema.LABEL].to_numpy()
    order = np.lexsort((rank, label) if positives_first else (label, rank))
    first = np.empty(len(table), dtype=bool)
    first[order] = ~pd.Series(keys, dtype=object).iloc[order].duplicated().to_numpy()
    return first


def count_copies(table: pd.DataFrame, kept: Mask, dropped: Dropped) -> Mask:
    """Count the duplicates among what is not kept, by label; return `kept`."""
    for label in dropped:
        dropped[label][DUPLICATE] += int((~kept & (table[schema.LABEL] == label).to_numpy()).sum())
    return kept


def distinct(genome: Genome, table: pd.DataFrame, length: int, seed: int, dropped: Dropped) -> pd.DataFrame:
    """Drop windows whose bases, on either strand, another window that goes first has too; count them.

    A positive goes before any negative (there are more of those), then test before validation before train.

    Parameters
    ----------
    genome
        The genome.
    table
        Columns contig, start, minus, copy, label and fold.
    length
        Bases per window.
    seed
        Seed of the shuffles.
    dropped
        Where to count, by label.
    """
    keys: list[bytes] = []
    for i in range(0, len(table), _ROWS_AT_ONCE):
        rows = table.iloc[i : i + _ROWS_AT_ONCE]
        columns = (rows[name].to_numpy() for name in ("contig", schema.START, "minus", "copy"))
        codes = read_codes(genome, StrandedIntervals(*columns), length, seed)
        keys += digests(codes)
    kept = first_copies(keys, table, positives_first=True)
    return table[count_copies(table, kept, dropped)].reset_index(drop=True)
