"""`merge`: the results of all shards of a scan, or of a file of variants, as the one result of a run without shards."""

import heapq
import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from itertools import chain
from pathlib import Path
from typing import Any, Final, NamedTuple
from urllib.parse import unquote

import numpy as np
from numpy.typing import NDArray

from capsight import artefact, output
from capsight.config.base import Config
from capsight.config.yaml_files import differences
from capsight.data.io.bigwig import BigWig, Values, write_bigwig
from capsight.data.io.vcf import Variant, VariantFile
from capsight.errors import InputError
from capsight.predict.writers import STRANDS
from capsight.variants.scoring import surveyed
from capsight.variants.variants import index_of

logger = logging.getLogger(__name__)

#: Stages that work by shards.
_STAGES: Final = ("scan", "variants")
#: Bases of a bigWig file that are read at a time.
_BASES_AT_ONCE: Final = 1 << 20


class Shard(NamedTuple):
    """A result of one shard: where it is, the number of the shard, and of how many it is one."""

    path: Path
    number: int
    of: int


def merge(shards: Sequence[Path], out: Path) -> Path:
    """Join the results of all shards; the files have the same bytes as those of a run without shards.

    Parameters
    ----------
    shards
        Folders that `scan`, or files that `variants` wrote with the setting `shard`: all of them, in any order.
    out
        Folder to write, of scans; file to write, of variants.

    Raises
    ------
    InputError
        If a shard is missing, is there twice, was changed, or is of another model, genome or file, or of other settings
        than the first.
    """
    stage, found = _of_one_run(shards)
    inputs = {f"shard {shard.number}": shard.path for shard in found}
    if artefact.is_done(out, "merge", Config(), inputs):
        logger.info("merge: %s is done already", out)
        return out
    if stage == "scan":
        with artefact.atomic_dir(out, "merge", Config(), inputs) as folder:
            _merge_scans([shard.path for shard in found], folder)
    else:
        _merge_variants([shard.path for shard in found], inputs, out)
    logger.info("merge: %d shards of %s in %s", len(found), stage, out)
    return out


def _of_one_run(shards: Sequence[Path]) -> tuple[str, list[Shard]]:
    """Return what made the shards, and all of them by their numbers."""
    records = [_record(path) for path in shards]
    found = []
    for path, record in zip(shards, records, strict=True):
        number, of = map(int, record["config"]["shard"].split("/"))
        if other := differences(_fingerprint(records[0]), _fingerprint(record)):
            raise InputError(
                f"is no shard of the same run as {shards[0]}: {'; '.join(other)}", where=path,
                remedy="make it anew with the same settings and inputs",
            )  # fmt: skip
        found.append(Shard(path, number, of))
    numbers, of = [shard.number for shard in found], found[0].of
    for shard in found:
        if shard.of != of:
            raise InputError(f"is one of {shard.of} shards, and {shards[0]} one of {of}", where=shard.path)
        if numbers.count(shard.number) > 1:
            raise InputError(f"shard {shard.number}/{of} is named twice", where=shard.path, remedy="name it once")
    if missing := sorted(set(range(1, of + 1)) - set(numbers)):
        listed = ", ".join(f"{number}/{of}" for number in missing[:5]) + (" …" if len(missing) > 5 else "")
        raise InputError(f"{len(missing)} of {of} shards are missing: {listed}", remedy="make them, and name them all")
    return records[0]["stage"], sorted(found, key=lambda shard: shard.number)


def _record(path: Path) -> dict[str, Any]:
    """Return the record of a shard."""
    if not path.exists():
        raise InputError("there is no such shard", where=path)
    record = artefact.read_record(artefact.record_path(path))
    stage, config = record.get("stage"), record.get("config")
    if stage not in _STAGES or not isinstance(config, dict) or not record.get("outputs"):
        raise InputError("is no finished result of scan or variants", where=path)
    if not config.get("shard"):
        raise InputError(f"is a whole {stage}, no shard of one", where=path)
    if path.is_dir():
        artefact.check_unchanged(path)
    elif record["outputs"].get(path.name) != artefact.sha256(path):
        raise InputError("was changed after it was made", where=path, remedy="make it again")
    return record


def _fingerprint(record: dict[str, Any]) -> dict[str, Any]:
    """Return what all shards of a run have in common."""
    sums = {name: given["sha256"] for name, given in record["inputs"].items()}
    config = {name: value for name, value in record["config"].items() if name not in ("shard", "threads", "aliases")}
    return {"capsight": record["capsight"], "stage": record["stage"], "inputs": sums, **config}


def _merge_scans(folders: Sequence[Path], folder: Path) -> None:
    """Join what `scan` wrote."""
    for strand in STRANDS:
        with ExitStack() as stack:
            files = [
                stack.enter_context(BigWig(each / f"{strand}.bw", remedy="make the shard again")) for each in folders
            ]
            of = {chrom: file for file in files for chrom in file.chroms}
            contigs = [
                Values(chrom, of[chrom].chroms[chrom], _values(of[chrom], chrom))
                for chrom in sorted(of, key=str.encode)
            ]
            write_bigwig(contigs, folder / f"{strand}.bw")
    _merge_lines(folders, "tss.bed", folder, lambda chrom: chrom)
    _merge_lines(folders, "tss.gff3", folder, unquote)


def _values(bigwig: BigWig, chrom: str) -> Iterator[tuple[NDArray[np.int64], NDArray[np.float64]]]:
    """Yield the positions and values of a contig, some at a time."""
    length = bigwig.chroms[chrom]
    for start in range(0, length, _BASES_AT_ONCE):
        found = bigwig.intervals(chrom, start, min(start + _BASES_AT_ONCE, length))
        yield found.start, found.value


def _merge_lines(folders: Sequence[Path], name: str, folder: Path, chrom_of: Callable[[str], str]) -> None:
    """Join files of lines that begin with a contig: a shard has whole contigs, in the order of their names."""
    with ExitStack() as stack:
        files = [stack.enter_context((each / name).open(encoding="utf-8", newline="")) for each in folders]
        out = stack.enter_context((folder / name).open("w", encoding="utf-8", newline=""))
        if name.endswith(".gff3"):
            headers = [next(file) for file in files]
            out.write(headers[0])
        out.writelines(heapq.merge(*files, key=lambda line: chrom_of(line.partition("\t")[0]).encode()))


def _merge_variants(files: Sequence[Path], inputs: dict[str, Path], out: Path) -> None:
    """Join what `variants` wrote."""
    opened = [VariantFile.open(path) for path in files]
    for file in opened[1:]:
        if file.header != opened[0].header:
            raise InputError(f"has another header than {files[0]}", where=file.path, remedy="make all shards alike")
    is_vcf = opened[0].kind == "VCF"
    suffix = ".vcf" if is_vcf else ""
    if not output.is_stream(out):
        output.check_file(output.resolve(out), inputs.values(), suffix=suffix)

    def records() -> Iterator[Variant]:
        return chain.from_iterable(file.records() for file in opened)

    beside = index_of(surveyed(records()), out, "merge") if is_vcf else None
    with (
        artefact.atomic_file(out, "merge", Config(), inputs, suffix=suffix, beside=beside) as partial,
        partial.open("wb") as handle,
    ):
        handle.writelines(opened[0].header)
        handle.writelines(record.line + record.end for record in records())
