"""The peaks that windows were laid on, ``peaks.parquet``: all of them, also those that no window is left of."""

from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from capsight.data import schema
from capsight.data.genome.genome import Genome
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
    with (folder / PEAKS_FILE).open("wb") as file:
        pq.write_table(table, file)


def read_windows_peaks(folder: Path, genome: Genome) -> pd.DataFrame:
    """Read the peaks of a folder of the `windows` stage, `schema.PEAK_COLUMNS`.

    Raises
    ------
    InputError
        If there are none, as with labelled sequences, or they are not of this genome.
    """
    path = folder / PEAKS_FILE
    if not path.is_file():
        raise InputError(
            "there is no such file: these windows are of labelled sequences, or of an earlier version", where=path,
            remedy="make them anew with capsight windows, from a genome and peaks",
        )  # fmt: skip
    try:
        with path.open("rb") as file:  # pyarrow takes no path that is not UTF-8
            table = pq.read_table(file, columns=list(schema.PEAK_COLUMNS)).cast(_SCHEMA)
    except (pa.ArrowException, KeyError, OSError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"is not a table of peaks: {reason}", where=path, remedy="make it again") from None
    peaks: pd.DataFrame = table.to_pandas()
    contig = genome.index(peaks[schema.CHROM])
    start, end, summit = (peaks[name] for name in (schema.START, schema.END, schema.SUMMIT))
    inside = (contig >= 0) & (start >= 0) & (start <= summit) & (summit < end) & (end <= genome.lengths[contig])
    if not len(peaks) or not (inside & peaks[schema.STRAND].isin(["+", "-"])).all():
        raise InputError("is not a table of peaks of this genome", where=path, remedy="make it again")
    return peaks
