"""The folder of a run or a cross-validation: whose it is, and who works in it."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from capsight import output
from capsight.artefact.folder import folders_above
from capsight.artefact.record import RECORD, read_record
from capsight.errors import InputError


@contextmanager
def init_run_dir(out: Path, record: Mapping[str, Any]) -> Iterator[None]:
    """Make the folder of a run or a cross-validation, and hold other processes off it for the length of the block.

    Raises
    ------
    InputError
        If `out` holds something that is not a run, or not one of this stage, or another process works in it.
    """
    check_run_dir(out, record)
    with folders_above(output.resolve(out)), output.locked(output.resolve(out), record["stage"]):
        out.mkdir(exist_ok=True)
        yield


def check_run_dir(out: Path, record: Mapping[str, Any]) -> None:
    """Refuse a folder that is not one of this stage, or that cannot be written.

    Raises
    ------
    InputError
        Naming the folder.
    """
    output.check_folder(out)
    made = out / RECORD
    others = out.is_dir() and any(path.suffix != ".partial" for path in out.iterdir())  # another may be claiming it
    if others and not made.is_file():
        raise InputError("exists and is not a run of capsight", where=out, remedy="name another folder")
    if made.is_file() and (stage := read_record(made).get("stage")) != record["stage"]:
        was = f"was made by {stage}, not by {record['stage']}" if stage else "is not a run of capsight"
        raise InputError(was, where=out, remedy="name another folder")
