"""Tables in Parquet, as a stage wrote them."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from capsight.errors import InputError


def read_parquet(path: Path, columns: pa.Schema, what: str, absent: str) -> pa.Table:
    """Read a table with columns of given names and types.

    Parameters
    ----------
    path
        The file.
    columns
        Their names and types.
    what
        What the rows are, for messages.
    absent
        What it means where there is no such file, for messages.

    Raises
    ------
    InputError
        If there is none, or it is no such table.
    """
    if not path.is_file():
        raise InputError(
            f"there is no such file: {absent}", where=path,
            remedy="make them again with capsight windows, from a genome and peaks",
        )  # fmt: skip
    try:
        with path.open("rb") as file:  # pyarrow takes no path that is not UTF-8
            return pq.read_table(file, columns=columns.names).cast(columns)
    except (pa.ArrowException, KeyError, OSError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"is not a table of {what}: {reason}", where=path, remedy="make it again") from None


def write_parquet(table: pa.Table, path: Path) -> None:
    """Write a table: the same bytes for the same rows."""
    with path.open("wb") as file:  # pyarrow takes no path that is not UTF-8
        pq.write_table(table, file)
