"""Single files that appear whole or not at all, each with its record beside it."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

from pydantic import BaseModel

from capsight import output
from capsight.artefact.record import RECORD, provenance, read_record, record_path, sha256, write_yaml
from capsight.errors import InputError


class Beside(NamedTuple):
    """A file that goes with another one, such as its index: what is added to its name, and what makes it.

    `make` gets the finished file, which has not got its name yet, and the file to write.
    """

    end: str
    make: Callable[[Path, Path], object]


@contextmanager
def atomic_file(
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
        made_from = provenance(stage, config, inputs)
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
