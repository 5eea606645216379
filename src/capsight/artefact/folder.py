"""Folders that appear whole or not at all: written as ``NAME.partial``, renamed when all is done."""

import json
import logging
import re
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel

from capsight import output
from capsight.artefact.record import (
    RECORD,
    changes,
    is_intact,
    provenance,
    read_record,
    record_path,
    sha256,
    write_yaml,
)
from capsight.errors import InputError, KeepsPartial

logger = logging.getLogger(__name__)

#: Subfolder for what tells the time of day (TensorBoard) or how long it took: kept, but no part of the result.
LOGS: Final = "logs"
#: Subfolder of an unfinished artefact that its training continues from.
CHECKPOINT: Final = "checkpoint"
#: Whether an unfinished training of other settings may be given up: `--restart`.
RESTART: ContextVar[bool] = ContextVar("RESTART", default=False)
#: Files that capsight writes into an artefact and no record lists, as they differ from time to time: a genome's base
#: store (`capsight.data.genome.store`), TensorBoard's events, and how long a training took.
_UNRECORDED: Final = re.compile(
    r"(^|/)[^/]+\.capsight/(bases\.[0-9a-f]{16}\.u8|index\.json)$|^logs/(.*/)?(events\.out\.tfevents\.[^/]*|seconds\.json)$|^logs/(.*/)?wandb/"
)
#: So many files are named in a message.
_NAMED: Final = 3


def is_done(out: Path, stage: str, config: BaseModel, inputs: Mapping[str, Path]) -> bool:
    """Tell whether `out` was made by this code from these settings and inputs, and is still intact.

    A folder that was finished, and had not got its name yet when its process was killed, gets it now.
    """
    if output.is_stream(out):
        return False
    out = output.resolve(out)
    if is_intact(record_path(out), stage, config, inputs):
        return True
    partial = _partial(out)
    if not is_intact(partial / RECORD, stage, config, inputs):
        return False
    with output.locked(out, stage):
        check_replaceable(out, stage)
        _swap(partial, out)
    return True


def _partial(out: Path) -> Path:
    """Where a folder is made."""
    return out.with_name(f"{out.name}.partial")


def is_unfinished(out: Path) -> bool:
    """Tell whether an interrupted attempt has left a checkpoint to continue from."""
    return (_partial(output.resolve(out)) / CHECKPOINT).is_dir()


@contextmanager
def atomic_dir(out: Path, stage: str, config: BaseModel, inputs: Mapping[str, Path]) -> Iterator[Path]:
    """Yield a folder to write into; when the block ends well, it becomes `out`, with its record.

    A ``.partial`` folder with a checkpoint, left by an interrupted attempt with the same origin, is handed back with
    that checkpoint (and its ``logs``), so that training continues. A failed attempt leaves nothing behind, unless it
    has a checkpoint to continue from. A subfolder named ``checkpoint`` is removed at the end; one named ``logs`` is
    kept but not recorded.

    Raises
    ------
    InputError
        Before the block, if `out` cannot be written, holds an input or something that is not a result of this stage,
        is being written by another process, or if ``.partial`` is an unfinished training of another origin that
        `RESTART` does not give up. Of a full disk, whenever that is.
    """
    output.check_folder(out, inputs.values())
    place = output.resolve(out)
    with folders_above(place), output.locked(place, stage):
        check_replaceable(place, stage)
        made_from = provenance(stage, config, inputs)
        partial = _partial(place)
        resumed = _prepare(partial, made_from, config)
        try:
            write_yaml(partial / RECORD, made_from)
            yield partial
            _finish(partial, made_from)
        except BaseException as error:
            worth = (partial / CHECKPOINT).is_dir() and (resumed or not isinstance(error, InputError))
            if not (worth or isinstance(error, KeepsPartial)):
                shutil.rmtree(partial, ignore_errors=True)
            if why := output.lack_of_room(error):
                raise output.full(out, why) from None
            raise
        _swap(partial, place)


@contextmanager
def folders_above(place: Path) -> Iterator[None]:
    """Make the folders above an output; remove those that were made if the block fails and leaves them empty."""
    made = [folder for folder in place.parents if not folder.exists()]
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        yield
    except BaseException as error:
        for folder in made:
            with suppress(OSError):
                folder.rmdir()
        if isinstance(error, OSError) and not place.parent.is_dir():
            raise InputError(f"cannot be written: {error.strerror}", where=place) from None
        raise


def check_replaceable(place: Path, stage: str) -> None:
    """Refuse to replace a folder that is not an unchanged result of the same stage, or holds anything else.

    Raises
    ------
    InputError
        Naming what would be lost.
    """
    _recover(place)
    if not place.is_dir():
        return
    files = {path.relative_to(place).as_posix(): path for path in place.rglob("*") if not _is_real_folder(path)}
    there = {name: path for name, path in files.items() if not _UNRECORDED.search(name)}
    if not there:
        return
    record = read_record(place / RECORD)
    outputs = record.get("outputs")
    if "capsight" not in record or not isinstance(outputs, dict):
        raise InputError(
            f"holds files and was not made by capsight: it will not be overwritten ({_some(there)})", where=place,
            remedy="name another folder",
        )  # fmt: skip
    if record.get("stage") != stage:
        raise InputError(
            f"was made by {record.get('stage')}, not by {stage}", where=place, remedy="name another folder"
        )
    if others := [name for name in there if name not in outputs and name != RECORD]:
        raise InputError(
            f"holds files that capsight did not write, which would be lost ({_some(others)})", where=place,
            remedy="move them, or name another folder",
        )  # fmt: skip
    for name, digest in outputs.items():
        if name in there and sha256(there[name]) != digest:
            raise InputError(
                "was changed or damaged after capsight wrote it: it will not be overwritten", where=there[name],
                remedy="delete it to have it made again, or name another folder",
            )  # fmt: skip


def _is_real_folder(path: Path) -> bool:
    return path.is_dir() and not path.is_symlink()


def _some(names: Iterable[str]) -> str:
    """Name the first few of many files."""
    listed = sorted(names)
    return ", ".join(listed[:_NAMED]) + (f" and {len(listed) - _NAMED} more" if len(listed) > _NAMED else "")


def _replaced(place: Path) -> Path:
    """Where the result that is being replaced lies until the new one has its name."""
    return place.with_name(f".{place.name}.replaced")


def _recover(place: Path) -> None:
    """Mend what a process left that was killed while it replaced `place`."""
    old = _replaced(place)
    if old.is_dir() and "capsight" in read_record(old / RECORD):
        if place.exists():
            shutil.rmtree(old)
        else:
            old.rename(place)


def _prepare(partial: Path, made_from: Mapping[str, Any], config: BaseModel) -> bool:
    """Make the folder to write into; tell whether a checkpoint of the same origin is in it."""
    record = read_record(partial / RECORD)
    there = list(partial.iterdir()) if partial.is_dir() else []
    foreign = "capsight" not in record and any(not path.name.endswith(".partial") for path in there)
    if foreign or (partial.exists() and not partial.is_dir()):
        raise InputError("is in the way: capsight works in a folder of this name", where=partial, remedy="move it")
    has_checkpoint = (partial / CHECKPOINT).is_dir()
    differing = changes(record, made_from, config) if has_checkpoint else []
    if differing and not RESTART.get():
        raise InputError(
            f"is an unfinished {record.get('stage')} of other settings{_reached(partial)}: {'; '.join(differing)}",
            where=partial, remedy="set them as they were to continue it, or give it up with --restart",
        )  # fmt: skip
    resumed = has_checkpoint and not differing
    if resumed:
        logger.info("%s: continuing the unfinished work in %s", made_from["stage"], partial)
        for path in partial.iterdir():
            if path.name not in (CHECKPOINT, LOGS):
                shutil.rmtree(path) if _is_real_folder(path) else path.unlink()
    elif partial.is_dir():
        if differing:
            logger.info("%s: the unfinished work in %s is given up", made_from["stage"], partial)
        shutil.rmtree(partial)
    partial.mkdir(exist_ok=True)
    return resumed


def _reached(partial: Path) -> str:
    """Return how far an unfinished training came, by its checkpoints."""
    steps = []
    for path in sorted((partial / CHECKPOINT).glob("*/state.json")):
        with suppress(OSError, ValueError, KeyError, TypeError):
            steps.append(f"{path.parent.name} at step {json.loads(path.read_text(encoding='utf-8'))['step']}")
    return f" ({', '.join(steps)})" if steps else ""


def _finish(partial: Path, made_from: Mapping[str, Any]) -> None:
    """Complete the record of a folder that holds its results; afterwards all of it is on the disk.

    The checkpoint stays until then: a process that is killed before continues from it, one that is killed after has
    finished (`is_done`).
    """
    files = {path.relative_to(partial): path for path in sorted(partial.rglob("*")) if path.is_file()}
    made = {name: path for name, path in files.items() if name.parts[0] not in (RECORD, CHECKPOINT, LOGS)}
    for path in made.values():
        output.flush(path)
    outputs = {name.as_posix(): sha256(path) for name, path in made.items()}
    write_yaml(partial / RECORD, {**made_from, "outputs": outputs})


def _swap(partial: Path, place: Path) -> None:
    """Give a finished folder its name; whenever this is interrupted, `_recover` finds the old result or the new."""
    shutil.rmtree(partial / CHECKPOINT, ignore_errors=True)
    old = _replaced(place)
    if place.exists():
        place.rename(old)
    partial.rename(place)
    shutil.rmtree(old, ignore_errors=True)
