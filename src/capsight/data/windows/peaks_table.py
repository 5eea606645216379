"""The peaks that windows were laid on, ``peaks.parquet``: all of them, also those that no window is left of."""

from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd
import pyarrow as pa

from capsight.data import schema
from capsight.data.genome.genome import Genome
from capsight.data.io.parquet import read_parquet, write_parquet
from capsight.errors import InputError

PEAKS_FILE: Final = "peaks.parquet"

_SCHEMA: Final = pa.schema(
    [
        (schema.CHROM, pa.string()),
        (schema.START, pa.int64()),
        (schema.END, pa.int64()),
        (schema.NAME, pa.string()),
        (schema.SCORE, pa.float64()),
        (schema.STRAND, pa.string()),
        (schema.SUMMIT, pa.int64()),
    ]
)


def write_windows_peaks(peaks: pd.DataFrame, genome: Genome, folder: Path) -> None:
    """Write ``peaks.parquet``: `schema.PEAK_COLUMNS`, by contig, + before -, then summit; a missing score is null."""
    keys = (genome.index(peaks[schema.CHROM]), peaks[schema.STRAND] == "-", peaks[schema.SUMMIT])
    order = np.lexsort([np.asarray(key) for key in reversed(keys)])
    rows = peaks.iloc[order][list(schema.PEAK_COLUMNS)]
    table = pa.Table.from_pandas(rows, schema=_SCHEMA, preserve_index=False).replace_schema_metadata(None)
    write_parquet(table, folder / PEAKS_FILE)


def read_windows_peaks(folder: Path, genome: Genome) -> pd.DataFrame:
    """Read the peaks of a folder of the `windows` stage, `schema.PEAK_COLUMNS`.

    Raises
    ------
    InputError
        If there are none, as with labelled sequences, or they are not of this genome.
    """
    path = folder / PEAKS_FILE
    absent = "these windows are of labelled sequences"
    peaks: pd.DataFrame = read_parquet(path, _SCHEMA, "peaks", absent).to_pandas()
    contig = genome.index(peaks[schema.CHROM])
    start, end, summit = (peaks[name] for name in (schema.START, schema.END, schema.SUMMIT))
    inside = (contig >= 0) & (start >= 0) & (start <= summit) & (summit < end) & (end <= genome.lengths[contig])
    if not len(peaks) or not (inside & peaks[schema.STRAND].isin(["+", "-"])).all():
        raise InputError("is not a table of peaks of this genome", where=path, remedy="make it again")
    return peaks
