"""Artefacts: folders (or files) that say how they were made, appear whole or not at all, and can be trusted.

Every stage writes into ``NAME.partial`` beside its output and renames it when all is done. The record
(`config.yaml` in a folder, ``FILE.config.yaml`` beside a file) holds version, stage, settings, checksums of
the inputs and of the outputs. It says whether work is done already, and what a later call may replace: what it lists,
unchanged, and nothing else.
"""

import hashlib
import json
import logging
import re
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from contextvars import ContextVar
from pathlib import Path
from typing import Any, Final, NamedTuple

import yaml
from pydantic import BaseModel

from capsight import output
from capsight.config.yaml_files import differences, dump, results_only
from capsight.data.fetch.assets import known_source
from capsight.data.io.text import readable
from capsight.errors import InputError, KeepsPartial
from capsight.output import writing
from capsight.version import __version__

logger = logging.getLogger(__name__)

RECORD: Final = "config.yaml"
#: Subfolder for what tells the time of day (TensorBoard) or how long it took: kept, but no part of the result.
LOGS: Final = "logs"
SECONDS_FILE: Final = "seconds.json"
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


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file; of an artefact folder, that of its files' names and checksums.

    Raises
    ------
    InputError
        If there is no such file, or the folder is no finished artefact.
    """
    if path.is_dir():
        outputs = read_record(path / RECORD).get("outputs")
        if not isinstance(outputs, dict):
            raise InputError("is not a finished capsight artefact: its config.yaml lists no outputs", where=path)
        return hashlib.sha256("".join(f"{d}  {n}\n" for n, d in sorted(outputs.items())).encode()).hexdigest()
    try:
        with readable(path).open("rb") as handle:
            return hashlib.file_digest(handle, "sha256").hexdigest()
    except FileNotFoundError:
        raise InputError("there is no such file", where=path) from None
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", where=path) from None


def record_path(out: Path) -> Path:
    """Return where the record of a folder or of a file lies."""
    return out / RECORD if out.is_dir() else out.with_name(f"{out.name}.{RECORD}")


def origin(stage: str, config: BaseModel, inputs: Mapping[str, Path]) -> dict[str, Any]:
    """Return what determines an artefact: code, settings and inputs, of which the checksums count."""
    return {
        "capsight": __version__,
        "stage": stage,
        "seed": getattr(config, "seed", None),
        "config": dump(config),
        "inputs": {
            name: {"path": str(path), "sha256": sha256(path), **known_source(path)} for name, path in inputs.items()
        },
    }


def _changes(record: Mapping[str, Any], expected: Mapping[str, Any], config: BaseModel) -> list[str]:
    """Return in what two origins differ, inputs by checksum rather than by path, and settings that change a result."""

    def essence(value: Mapping[str, Any]) -> dict[str, Any]:
        sums = {name: item["sha256"] for name, item in value["inputs"].items()}
        paths = {name.partition("/")[0] for name in sums}  # a folder's files are told as NAME/FILE
        settings = {k: v for k, v in results_only(config, value["config"]).items() if k not in paths}
        return {"capsight": value["capsight"], "stage": value["stage"], "inputs": sums, **settings}

    try:
        return differences(essence(record), essence(expected))
    except (KeyError, TypeError, AttributeError):
        return ["its record cannot be read"]


def read_record(path: Path) -> dict[str, Any]:
    """Read a record, ``config.yaml`` or ``FILE.config.yaml``; an absent or broken one reads as empty."""
    try:
        record = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError):
        return {}
    return record if isinstance(record, dict) else {}


def is_done(out: Path, stage: str, config: BaseModel, inputs: Mapping[str, Path]) -> bool:
    """Tell whether `out` was made by this code from these settings and inputs, and is still intact.

    A folder that was finished, and had not got its name yet when its process was killed, gets it now.
    """
    if output.is_stream(out):
        return False
    out = output.resolve(out)
    if _is_intact(record_path(out), stage, config, inputs):
        return True
    partial = _partial(out)
    if not _is_intact(partial / RECORD, stage, config, inputs):
        return False
    with output.locked(out, stage):
        check_replaceable(out, stage)
        _swap(partial, out)
    return True


def _is_intact(path: Path, stage: str, config: BaseModel, inputs: Mapping[str, Path]) -> bool:
    """Tell whether a record is of these settings and inputs, and every output beside it has its checksum."""
    record = read_record(path)
    if not record.get("outputs") or _changes(record, origin(stage, config, inputs), config):
        return False
    made = {path.parent / name: digest for name, digest in record["outputs"].items()}
    return all(file.is_file() and sha256(file) == digest for file, digest in made.items())


def _partial(out: Path) -> Path:
    """Where a folder is made."""
    return out.with_name(f"{out.name}.partial")


def check_unchanged(folder: Path) -> None:
    """Refuse an artefact of which a file was changed, damaged or lost since; without a record nothing is known.

    Raises
    ------
    InputError
        Naming the file.
    """
    outputs = read_record(folder / RECORD).get("outputs")
    for name, digest in outputs.items() if isinstance(outputs, dict) else ():
        if sha256(folder / name) != digest:
            raise InputError("was changed after it was made", where=folder / name, remedy="make it again")


@contextmanager
def building(out: Path, stage: str, config: BaseModel, inputs: Mapping[str, Path]) -> Iterator[Path]:
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
        made_from = origin(stage, config, inputs)
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
            if output.disk_full(error):
                raise output.full(out) from None
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
    changes = _changes(record, made_from, config) if has_checkpoint else []
    if changes and not RESTART.get():
        raise InputError(
            f"is an unfinished {record.get('stage')} of other settings{_reached(partial)}: {'; '.join(changes)}",
            where=partial, remedy="set them as they were to continue it, or give it up with --restart",
        )  # fmt: skip
    resumed = has_checkpoint and not changes
    if resumed:
        logger.info("%s: continuing the unfinished work in %s", made_from["stage"], partial)
        for path in partial.iterdir():
            if path.name not in (CHECKPOINT, LOGS):
                shutil.rmtree(path) if _is_real_folder(path) else path.unlink()
    elif partial.is_dir():
        if changes:
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


class Beside(NamedTuple):
    """A file that goes with another one, such as its index: what is added to its name, and what makes it.

    `make` gets the finished file, which has not got its name yet, and the file to write.
    """

    end: str
    make: Callable[[Path, Path], object]


@contextmanager
def building_file(
    out: Path,
    stage: str,
    config: BaseModel,
    inputs: Mapping[str, Path],
    *,
    suffix: str = "",
    beside: Beside | None = None,
) -> Iterator[Path]:
    """Yield a file to write into; when the block ends well, it becomes `out`, with its record beside it.

    A pipe, a device or standard output gets the bytes, and no record. A name that ends in ``.gz`` or ``.bgz`` has the
    file packed with bgzip.

    Parameters
    ----------
    suffix
        End of the name of this format, such as ``.npz``; a table has none of its own.
    beside
        A second file to be made of the first one; not of a stream.

    Raises
    ------
    InputError
        Before the block, if `out` cannot be written, is an input, exists and is not a result of this stage, or is
        being written by another process. Of a full disk, whenever that is.
    """
    if output.is_stream(out):
        with output.streaming(out) as path:
            yield path
        return
    place = output.resolve(out)
    output.check_file(place, inputs.values(), suffix=suffix)
    with output.locked(place, stage):
        check_replaceable_file(place, stage)
        before = read_record(record_path(place)).get("outputs") or {}
        second = place.with_name(f"{place.name}{beside.end}") if beside else None
        if second is not None and second.exists() and second.name not in before:
            raise InputError("is in the way: the index of the output gets this name", where=second, remedy="move it")
        made_from = origin(stage, config, inputs)
        with output.writing(place) as partial, ExitStack() as last:
            yield partial
            output.compress(partial, place)
            outputs = {place.name: sha256(partial)}
            if beside is not None and second is not None:
                made = last.enter_context(output.writing(second))
                beside.make(partial, made)
                outputs[second.name] = sha256(made)
            # The record goes first: a process that is killed between the two leaves `partial`, and the next one
            # finds there what the record says (`check_replaceable_file`).
            write_yaml(record_path(place), made_from | {"outputs": outputs})
            for name in set(before) - set(outputs):  # an index that would be wrong now
                if (left := place.with_name(name)).is_file() and sha256(left) == before[name]:
                    left.unlink()


def check_replaceable_file(place: Path, stage: str) -> None:
    """Refuse to replace a file that is not an unchanged result of the same stage; an empty one holds nothing."""
    record = read_record(place.with_name(f"{place.name}.{RECORD}"))
    digest = (record.get("outputs") or {}).get(place.name)
    for left in output.leftovers(place):
        if sha256(left) == digest:
            left.replace(place)
    if "capsight" not in record and (beside := place.with_name(f"{place.name}.{RECORD}")).exists():
        raise InputError("is in the way: the record of the output gets this name", where=beside, remedy="move it")
    if not place.exists() or not place.stat().st_size:
        return
    if "capsight" not in record or digest is None:
        raise InputError(
            "exists and was not written by capsight: it will not be overwritten", where=place,
            remedy="delete it, or name another file",
        )  # fmt: skip
    if record.get("stage") != stage:
        raise InputError(
            f"was written by {record.get('stage')}, not by {stage}", where=place, remedy="name another file"
        )
    if sha256(place) != digest:
        raise InputError(
            "was changed or damaged after capsight wrote it: it will not be overwritten", where=place,
            remedy="delete it to have it made again, or name another file",
        )  # fmt: skip


def write_yaml(path: Path, values: Mapping[str, Any]) -> None:
    """Write a YAML file in one step."""
    with writing(path) as partial:
        partial.write_text(yaml.safe_dump(dict(values), sort_keys=False), encoding="utf-8")


def write_seconds(folder: Path, name: str, seconds: float, cpu_seconds: float) -> None:
    """Write how long the training called `name` took, by the clock and of the processor, into an artefact's logs."""
    path = folder / LOGS / name / SECONDS_FILE
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"seconds": seconds, "cpu_seconds": cpu_seconds}) + "\n", encoding="utf-8")
