"""Windows from labelled sequences, without a genome: each sequence is a contig of its own."""

import logging
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from capsight.data import schema
from capsight.data.drop_reasons import Dropped
from capsight.data.genome.alphabet import SOFT_MASK, encode
from capsight.data.io.sequences import Labelled, read_labelled, sequence_store
from capsight.data.io.text import shown
from capsight.data.sequence.digest import digests
from capsight.data.windows.build import WindowSet
from capsight.data.windows.duplicates import count_copies, first_copies

logger = logging.getLogger(__name__)


def build_labelled_windows(inputs: Mapping[str, Path], folder: Path) -> WindowSet:
    """Turn files of labelled sequences, by fold, into windows on contigs of their own, kept in `folder`.

    Every sequence is a window of the length of the longest; shorter ones are centred between N.

    Raises
    ------
    InputError
        If a file cannot be used.
    """
    files = {fold: read_labelled(path) for fold, path in inputs.items()}
    length = max(len(sequence) for labelled in files.values() for sequence in labelled.sequences)
    tables = [_as_windows(fold, labelled, shown(inputs[fold].name), length) for fold, labelled in files.items()]
    table = pd.concat(tables, ignore_index=True)
    dropped: Dropped = {1: Counter(), 0: Counter()}
    codes = [encode(sequence) for labelled in files.values() for sequence in labelled.sequences]
    keys = digests(codes)
    # Rows of validation and test that have no copy in a fold that goes first stay too.
    in_test = set(pd.Series(keys, dtype=object)[(table[schema.FOLD] == schema.TEST).to_numpy()])
    fold_of, held = table[schema.FOLD].to_numpy(), np.array([key in in_test for key in keys])
    evaluated = (fold_of == schema.TEST) | ((fold_of == schema.VALIDATION) & ~held)
    kept = count_copies(table, first_copies(keys, table) | evaluated, dropped)
    sizes = np.array([len(row) for row in codes])
    sequences = (sequence for labelled in files.values() for sequence in labelled.sequences)
    records = zip(table[schema.CHROM], sequences, kept, strict=True)
    sequence_store(((name, sequence) for name, sequence, keep in records if keep), folder)
    if padded := int((sizes[kept] < length).sum()):
        logger.info("windows: %d of %d sequences are shorter than %d and padded with N", padded, kept.sum(), length)
    return WindowSet(table[kept].reset_index(drop=True), dropped, {"padded": padded})


def _as_windows(fold: str, labelled: Labelled, source: str, length: int) -> pd.DataFrame:
    """Return one file of labelled sequences as a table of windows, each centred on its sequence."""
    sizes = np.array([len(sequence) for sequence in labelled.sequences])
    stored = encode("".join(labelled.sequences), soft_mask=True)
    codes = stored & ~np.uint8(SOFT_MASK)
    first = np.cumsum(sizes) - sizes
    gc, known, repeat = (
        np.add.reduceat(hit, first, dtype=np.int64)
        for hit in ((codes == 1) | (codes == 2), codes < 4, (stored & SOFT_MASK) > 0)
    )
    start = -((length - sizes) // 2)
    return pd.DataFrame(
        {
            schema.CHROM: [f"{fold}:{name}" for name in labelled.names],
            schema.START: start,
            schema.END: start + length,
            schema.STRAND: "+",
            schema.LABEL: labelled.labels,
            schema.FOLD: fold,
            schema.SOURCE: source,
            schema.GC: gc / np.maximum(known, 1),
            schema.REPEAT: repeat / sizes,
            schema.DISTANCE: -1,
        }
    )
