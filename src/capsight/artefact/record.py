"""Records: how an artefact was made, from what, and the checksums of its files.

The record (`provenance.yaml` in a folder, ``FILE.provenance.yaml`` beside a file) holds version, stage, settings,
checksums of the inputs and of the outputs. It says whether work is done already, and what a later call may replace:
what it lists, unchanged, and nothing else.
"""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import yaml
from pydantic import BaseModel

from capsight.config.yaml_files import differences, dump, results_only
from capsight.data.assets import known_source
from capsight.data.io.text import readable
from capsight.errors import InputError
from capsight.output import writing
from capsight.version import __version__

RECORD: Final = "provenance.yaml"


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
            raise InputError("is not a finished capsight artefact: its provenance.yaml lists no outputs", where=path)
        return hashlib.sha256("".join(f"{d}  {n}\n" for n, d in sorted(outputs.items())).encode()).hexdigest()
    try:
        with readable(path).open("rb") as handle:
            return hashlib.file_digest(handle, "sha256").hexdigest()
    except FileNotFoundError:
        raise InputError("there is no such file", where=path) from None
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", where=path) from None


def record_path(out: Path) -> Path:
    """Where the record of a folder or of a file lies."""
    return out / RECORD if out.is_dir() else out.with_name(f"{out.name}.{RECORD}")


def provenance(stage: str, config: BaseModel, inputs: Mapping[str, Path]) -> dict[str, Any]:
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


def changes(record: Mapping[str, Any], expected: Mapping[str, Any], config: BaseModel) -> list[str]:
    """Return in what two origins differ, inputs by checksum rather than by path, and settings that change a result."""

    def fingerprint(value: Mapping[str, Any]) -> dict[str, Any]:
        sums = {name: item["sha256"] for name, item in value["inputs"].items()}
        paths = {name.partition("/")[0] for name in sums}  # a folder's files are told as NAME/FILE
        settings = {k: v for k, v in results_only(config, value["config"]).items() if k not in paths}
        return {"capsight": value["capsight"], "stage": value["stage"], "inputs": sums, **settings}

    try:
        return differences(fingerprint(record), fingerprint(expected))
    except (KeyError, TypeError, AttributeError):
        return ["its record cannot be read"]


def made_at(out: Path) -> int | None:
    """Return when a result was finished, in nanoseconds; `None` where there is none. For telling whether it is new."""
    record = record_path(out)
    return record.stat().st_mtime_ns if record.is_file() else None


def outdated(out: Path, stage: str, config: BaseModel, inputs: Mapping[str, Path]) -> list[str] | None:
    """Return in what a result differs from what these settings would make; `None` where there is no result.

    Parameters
    ----------
    inputs
        Inputs that are known to be elsewhere than when the result was made; of the others, the same files are taken.
    """
    path = record_path(out)
    record = read_record(path)
    if not record.get("outputs"):
        return None
    try:
        files = {name: inputs.get(name, Path(item["path"])) for name, item in record["inputs"].items()}
        differing = changes(record, provenance(stage, config, files), config)
    except (InputError, KeyError, TypeError, AttributeError):
        return ["an input is not there any more, or its record cannot be read"]
    made = {name: path.parent / name for name in record["outputs"]}
    damaged = [name for name, file in made.items() if not file.is_file() or sha256(file) != record["outputs"][name]]
    return differing + [f"{name} was changed after it was made" for name in damaged[:1]]


def read_record(path: Path) -> dict[str, Any]:
    """Read a record, ``provenance.yaml`` or ``FILE.provenance.yaml``; an absent or broken one reads as empty."""
    try:
        record = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError):
        return {}
    return record if isinstance(record, dict) else {}


def is_intact(path: Path, stage: str, config: BaseModel, inputs: Mapping[str, Path]) -> bool:
    """Tell whether a record is of these settings and inputs, and every output beside it has its checksum."""
    record = read_record(path)
    if not record.get("outputs") or changes(record, provenance(stage, config, inputs), config):
        return False
    made = {path.parent / name: digest for name, digest in record["outputs"].items()}
    return all(file.is_file() and sha256(file) == digest for file, digest in made.items())


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


def write_yaml(path: Path, values: Mapping[str, Any]) -> None:
    """Write a YAML file in one step."""
    with writing(path) as partial:
        partial.write_text(yaml.safe_dump(dict(values), sort_keys=False), encoding="utf-8")
