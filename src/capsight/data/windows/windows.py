"""`Windows`: what the `windows` stage made, read by later stages."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Final, Self

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from capsight import artefact
from capsight.config.yaml_files import load_yaml
from capsight.data import schema
from capsight.data.genome.alphabet import Codes
from capsight.data.genome.genome import Genome
from capsight.data.genome.store import genome_checksum, recorded_genome
from capsight.data.genome.stretches import Stretches
from capsight.data.windows.build import REGIONS
from capsight.data.windows.stranded import StrandedIntervals, read_codes, shuffle_number
from capsight.errors import InputError

WINDOWS_FILE: Final = "windows.parquet"
SUMMARY_FILE: Final = "summary.json"
SEQUENCES_FILE: Final = "sequences.fa"
#: Columns of the table, as they are stored.
WINDOWS_SCHEMA: Final = pa.schema(
    [
        (schema.CHROM, pa.string()),
        (schema.START, pa.int64()),
        (schema.END, pa.int64()),
        (schema.STRAND, pa.string()),
        (schema.LABEL, pa.int8()),
        (schema.FOLD, pa.string()),
        (schema.SOURCE, pa.string()),
        (schema.GC, pa.float32()),
        (schema.REPEAT, pa.float32()),
        (schema.DISTANCE, pa.int64()),
    ]
)


@dataclass(frozen=True, eq=False)
class Windows:
    """Windows and the genome that their bases come from.

    Attributes
    ----------
    folder
        Where they lie.
    table
        One row per window, columns `schema.WINDOW_COLUMNS`.
    genome
        The genome, or the labelled sequences as contigs.
    length
        Bases per window.
    seed
        Seed of shuffled negatives.
    """

    folder: Path
    table: pd.DataFrame
    genome: Genome
    length: int
    seed: int = 0

    @classmethod
    def open(cls, path: Path) -> Self:
        """Open the folder of the `windows` stage, or the ``windows.parquet`` in it.

        Raises
        ------
        InputError
            If it is not one, was changed since, or its genome is gone or is another.
        """
        folder = path.parent if path.name == WINDOWS_FILE else path
        record = _read_record(folder)
        genome_path, sha256 = _find_genome(folder, record)
        artefact.check_unchanged(folder)
        genome = Genome.open(genome_path)
        if genome.sha256 != sha256:
            raise InputError(
                f"is not the genome that {folder} was made from", where=genome_path,
                remedy="make the windows again, or put the genome back",
            )  # fmt: skip
        table = _read_table(folder / WINDOWS_FILE, genome)
        length = int(table[schema.END].iloc[0] - table[schema.START].iloc[0])
        return cls(folder, table, genome, length, record["seed"])

    def fold(self, name: str) -> Self:
        """Return the windows of one fold, in their order, rows renumbered.

        Raises
        ------
        InputError
            If it has none.
        """
        rows = self.table[self.table[schema.FOLD] == name]
        if not len(rows):
            raise InputError(
                f"the {name} fold has no windows", where=self.folder,
                remedy=f"make them anew, with chromosomes for {name} that have peaks",
            )  # fmt: skip
        return replace(self, table=rows.reset_index(drop=True))

    @property
    def labels(self) -> NDArray[np.int64]:
        """1 where a window has a cap site in its middle, else 0; ``(n_windows,)``."""
        return self.table[schema.LABEL].to_numpy(np.int64)

    def stretches(self, fold: str) -> Stretches:
        """Return the stretches of a fold (on contigs where it has windows), or those that belong to none (`EXCLUDE`).

        Folds are whole contigs, unless the summary has regions.
        """
        regions = json.loads((self.folder / SUMMARY_FILE).read_text(encoding="utf-8")).get(REGIONS)
        if regions is not None:
            return Stretches.named(self.genome, regions[fold])
        chroms = self.table.loc[self.table[schema.FOLD] == fold, schema.CHROM].unique()
        return Stretches.whole(self.genome, self.genome.index(chroms))

    def codes(self, rows: NDArray[np.int64], shift: NDArray[np.int64] | None = None) -> Codes:
        """Return the bases of some windows, 5'→3' on their strand, ``(n_rows, length)``.

        Parameters
        ----------
        rows
            Row numbers.
        shift
            Bases by which each window is moved along its own 5'→3' direction, ``(n_rows,)``.
        """
        contig, start, minus, copy = self.places
        places = StrandedIntervals(contig[rows], start[rows], minus[rows], None if copy is None else copy[rows])
        return read_codes(self.genome, places, self.length, self.seed, shift)

    @cached_property
    def places(self) -> StrandedIntervals:
        """Where every window lies."""
        strand = (self.table[schema.STRAND] == "-").to_numpy(bool)
        contig, start = self.genome.index(self.table[schema.CHROM]), self.table[schema.START].to_numpy(np.int64)
        copy = shuffle_number(self.table[schema.SOURCE])
        return StrandedIntervals(contig, start, strand, copy if copy.any() else None)


def _read_record(folder: Path) -> dict[str, Any]:
    """Return the record of a finished `windows` folder."""
    record = load_yaml(folder / artefact.RECORD) if (folder / artefact.RECORD).is_file() else {}
    outputs = record.get("outputs")
    if record.get("stage") != "windows" or not isinstance(outputs, dict) or WINDOWS_FILE not in outputs:
        what = "is not a folder of the windows stage" if folder.is_dir() else "there is no such folder"
        raise InputError(what, where=folder, remedy="make one with: capsight windows")
    if not isinstance(record.get("seed"), int) or record["seed"] < 0:
        raise InputError("does not say its seed", where=folder / artefact.RECORD, remedy="make the windows again")
    return record


def _read_table(path: Path, genome: Genome) -> pd.DataFrame:
    """Read the table of windows and check all that later stages rely on."""
    try:
        with path.open("rb") as file:  # pyarrow takes no path that is not UTF-8
            read = pq.read_table(file, columns=list(schema.WINDOW_COLUMNS))
        table: pd.DataFrame = read.select(list(schema.WINDOW_COLUMNS)).cast(WINDOWS_SCHEMA).to_pandas()
    except (pa.ArrowException, KeyError, OSError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"is not a table of windows: {reason}", where=path, remedy="make it again") from None
    lengths = (table[schema.END] - table[schema.START]).unique()
    faults = {
        "it holds no windows": not len(table),
        "a value is missing": bool(table.isna().to_numpy().any()),
        "its windows are not of one length": len(lengths) > 1 or (lengths <= 0).any(),
        "a label is neither 0 nor 1": not table[schema.LABEL].isin([0, 1]).all(),
        f"a fold is none of {', '.join(schema.FOLDS)}": not table[schema.FOLD].isin(schema.FOLDS).all(),
        "a strand is neither + nor -": not table[schema.STRAND].isin(["+", "-"]).all(),
        f"a contig is not in {genome.path.name}": (genome.index(table[schema.CHROM]) < 0).any(),
    }
    if fault := next((what for what, found in faults.items() if found), None):
        raise InputError(f"is not a table of windows: {fault}", where=path, remedy="make it again")
    return table


def _find_genome(folder: Path, record: Mapping[str, Any]) -> tuple[Path, str]:
    """Return path and checksum of the genome behind the windows.

    A run that was moved with its genome is found too: by the path as it was given, from the current folder,
    or by the end of its path from the run folder (``simulation/genome.fa``).
    """
    if SEQUENCES_FILE in record["outputs"]:
        return folder / SEQUENCES_FILE, record["outputs"][SEQUENCES_FILE]
    try:
        recorded = recorded_genome(record["inputs"])
        in_run = folder.absolute().parent / Path(*recorded.parts[-2:])
        paths = [recorded, Path(record["config"]["genome"]), in_run]
        sha256 = genome_checksum({name: given["sha256"] for name, given in record["inputs"].items()})
    except (KeyError, TypeError, AttributeError):
        raise InputError("does not say which genome it was made from", where=folder / artefact.RECORD) from None
    for path in paths:
        if path.exists():
            return path, sha256
    raise InputError(f"the genome of {folder} is not there any more", where=paths[0], remedy="put it back")
