"""Artefacts: folders (or files) that say how they were made, appear whole or not at all, and can be trusted.

Every stage writes into ``NAME.partial`` beside its output and renames it when all is done. The record
(`config.yaml` in a folder, ``FILE.config.yaml`` beside a file) holds version, stage, settings, checksums of
the inputs and of the outputs; the same record tells whether work is already done.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel

from capsight import __version__
from capsight.data.text import readable
from capsight.errors import InputError
from capsight.recipes import dump

RECORD = "config.yaml"
#: Subfolder for what tells the time of day (TensorBoard) or how long it took: kept, but no part of the result.
LOGS = "logs"
SECONDS_FILE = "seconds.json"


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
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", where=path) from None


def _record_path(out: Path) -> Path:
    """Where the record of a folder or of a file lies."""
    return out / RECORD if out.is_dir() else out.with_name(f"{out.name}.{RECORD}")


def origin(stage: str, config: BaseModel, inputs: Mapping[str, Path]) -> dict[str, Any]:
    """Return what determines an artefact: code, settings and inputs. Paths are told, checksums count."""
    return {
        "capsight": __version__,
        "stage": stage,
        "seed": getattr(config, "seed", None),
        "config": dump(config),
        "inputs": {name: {"path": str(path), "sha256": sha256(path)} for name, path in inputs.items()},
    }


def _same_origin(record: Mapping[str, Any], expected: Mapping[str, Any]) -> bool:
    """Compare origins, inputs by checksum rather than by path."""

    def essence(value: Mapping[str, Any]) -> tuple[Any, ...]:
        sums = {name: item["sha256"] for name, item in value["inputs"].items()}
        paths = {name.partition("/")[0] for name in sums}  # a folder's files are told as NAME/FILE
        settings = {k: v for k, v in value["config"].items() if k not in paths}
        return value["capsight"], value["stage"], settings, sums

    try:
        return essence(record) == essence(expected)
    except (KeyError, TypeError, AttributeError):
        return False


def read_record(path: Path) -> dict[str, Any]:
    """Read a record, ``config.yaml`` or ``FILE.config.yaml``; an absent or broken one reads as empty."""
    try:
        record = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError):
        return {}
    return record if isinstance(record, dict) else {}


def is_done(out: Path, stage: str, config: BaseModel, inputs: Mapping[str, Path]) -> bool:
    """Tell whether `out` was made by this code from these settings and inputs, and is still intact."""
    record = read_record(_record_path(out))
    if not record.get("outputs") or not _same_origin(record, origin(stage, config, inputs)):
        return False
    base = out if out.is_dir() else out.parent
    return all((base / name).is_file() and sha256(base / name) == digest for name, digest in record["outputs"].items())


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

    A ``.partial`` folder left by an interrupted attempt with the same origin is handed back as it was, so
    that the stage can continue from its checkpoint; any other is cleared first. A failed attempt by bad
    input leaves nothing behind; an interruption leaves the ``.partial`` folder. A subfolder named
    ``checkpoint`` is removed at the end; one named ``logs`` is kept but not recorded.

    Raises
    ------
    InputError
        If `out` exists and is not an artefact of `capsight`, or cannot be written.
    """
    _refuse_foreign(out)
    made_from = origin(stage, config, inputs)
    partial = out.with_name(f"{out.name}.partial")
    if not _same_origin(read_record(partial / RECORD), made_from):
        shutil.rmtree(partial, ignore_errors=True)
    try:
        partial.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"cannot be written: {error.strerror}", where=out) from None
    write_yaml(partial / RECORD, made_from)
    try:
        yield partial
    except InputError:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    shutil.rmtree(partial / "checkpoint", ignore_errors=True)
    files = sorted(p for p in partial.rglob("*") if p.is_file() and p != partial / RECORD and LOGS not in p.parts)
    outputs = {p.relative_to(partial).as_posix(): sha256(p) for p in files}
    write_yaml(partial / RECORD, made_from | {"outputs": outputs})
    if out.exists():
        shutil.rmtree(out)
    partial.rename(out)


def _refuse_foreign(out: Path) -> None:
    """Never replace something that `capsight` did not make."""
    if out.is_file():
        raise InputError("is a file: name a folder", where=out)
    if out.is_dir() and any(out.iterdir()) and "capsight" not in read_record(out / RECORD):
        raise InputError(
            "exists and was not made by capsight: it will not be overwritten",
            where=out,
            remedy="name another folder",
        )


def check_place(path: Path) -> None:
    """Refuse a file that could not be written, before the work for it is done.

    Raises
    ------
    InputError
        If the folder of `path` does not exist or cannot be written, or `path` is a folder.
    """
    if not path.parent.is_dir():
        raise InputError("there is no such folder", where=path.parent, remedy="create it first")
    if path.is_dir():
        raise InputError("is a folder: name a file", where=path)
    if not os.access(path.parent, os.W_OK):
        raise InputError("the folder cannot be written", where=path.parent)


@contextmanager
def writing(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; rename it to `path` when the block ends well.

    Raises
    ------
    InputError
        Of `check_place`.
    """
    check_place(path)
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        yield partial
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def record_file(out: Path, stage: str, config: BaseModel, inputs: Mapping[str, Path]) -> None:
    """Write the record of a single-file artefact beside it."""
    made_from = origin(stage, config, inputs)
    write_yaml(out.with_name(f"{out.name}.{RECORD}"), made_from | {"outputs": {out.name: sha256(out)}})


def write_yaml(path: Path, values: Mapping[str, Any]) -> None:
    """Write a YAML file in one step."""
    with writing(path) as partial:
        partial.write_text(yaml.safe_dump(dict(values), sort_keys=False), encoding="utf-8")


def write_seconds(folder: Path, name: str, seconds: float, cpu_seconds: float) -> None:
    """Write how long the training called `name` took, by the clock and of the processor, into an artefact's logs."""
    path = folder / LOGS / name / SECONDS_FILE
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"seconds": seconds, "cpu_seconds": cpu_seconds}) + "\n", encoding="utf-8")
