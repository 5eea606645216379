"""Files that genome browsers read, from the parts that a scan leaves for every contig.

A part is a folder: `plus` and `minus`, positions with expected tags (`ENTRY`), and `calls` (`CALL`), each by position.
"""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import IO, Final, NamedTuple
from urllib.parse import quote

import numpy as np

from capsight.data.io.bigwig import Values, write_bigwig
from capsight.predict.calls import SCORE_REACH
from capsight.predict.stream import Stretch

ENTRY: Final = np.dtype([("position", "<u4"), ("value", "<f4")])
CALL: Final = np.dtype(
    [("position", "<i8"), ("strand", "u1"), ("probability", "<f8"), ("expected_tags", "<f8"), ("strength", "<f8")]
)
STRANDS: Final = ("plus", "minus")
CALLS: Final = "calls"
#: Colours of calls on + and -.
_COLOURS: Final = ("178,24,43", "33,102,172")
#: Characters that GFF3 takes in the first column and in attributes.
_GFF_SEQID: Final = ".:^*$@!+_?-|"
_GFF_VALUE: Final = " .:^*$@!+_?-|/()[]"
#: Values that are written to a bigWig file at a time.
ENTRIES_AT_ONCE: Final = 1 << 16


class Contig(NamedTuple):
    """A scanned contig: its name, its length in bases, and the folder of its part."""

    chrom: str
    length: int
    part: Path


def write_part(stretches: Iterable[Stretch], min_tags: float, part: Path) -> Iterator[Stretch]:
    """Write the part of a contig into an existing folder, and yield every stretch when it is written."""
    with (part / "plus").open("wb") as plus, (part / "minus").open("wb") as minus, (part / CALLS).open("wb") as calls:
        for stretch in stretches:
            for tags, handle in zip(stretch.tile.expected_tags, (plus, minus), strict=True):
                kept = np.flatnonzero(tags >= min_tags)
                entries = np.empty(len(kept), ENTRY)
                entries["position"], entries["value"] = kept + stretch.tile.start, tags[kept]
                handle.write(entries.tobytes())  # unlike tofile, says why it fails
            rows = np.empty(len(stretch.sites.position), CALL)
            for name, column in stretch.sites._asdict().items():
                rows[name] = column
            calls.write(rows.tobytes())
            yield stretch


def write_tags(contigs: Sequence[Contig], strand: str, sign: int, path: Path) -> None:
    """Write the expected tags of one strand, times `sign`, as bigWig; bases that are left out have no value."""
    write_bigwig([Values(one.chrom, one.length, _tags(one.part / strand, sign)) for one in contigs], path)


def _tags(path: Path, sign: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    for entries in _read(path, ENTRY):
        yield entries["position"].astype(np.int64), sign * entries["value"].astype(np.float64)


def write_bed(contigs: Iterable[Contig], handle: IO[str]) -> int:
    """Write calls as BED9, sorted by contig and position; return their number."""
    n = 0
    for contig in contigs:
        for position, strand, probability, _, _ in _calls(contig):
            start, end = max(position - SCORE_REACH, 0), min(position + SCORE_REACH + 1, contig.length)
            name = f"{call_id(contig.chrom, position, strand)}|p={probability:.4f}"
            fields = (contig.chrom, start, end, name, round(1000 * probability), "+-"[strand], position, position + 1)
            handle.write("\t".join(map(str, fields)) + f"\t{_COLOURS[strand]}\n")
            n += 1
    return n


def write_gff(contigs: Iterable[Contig], handle: IO[str], *, strengths: bool) -> None:
    """Write calls as GFF3, features ``TSS`` (SO:0000315), in the order of `write_bed`.

    `strengths` tells whether the model learned them: only where it was trained on counts.
    """
    handle.write("##gff-version 3\n")
    for contig in contigs:
        chrom = quote(contig.chrom, safe=_GFF_SEQID)
        for position, strand, probability, tags, strength in _calls(contig):
            attributes = (
                f"ID={quote(call_id(contig.chrom, position, strand), safe=_GFF_VALUE)};probability={probability:.6f};"
                f"expected_tags={tags:.6g}" + (f";strength={strength:.6g}" if strengths else "")
            )
            fields = (chrom, "capsight", "TSS", position + 1, position + 1, f"{probability:.6f}", "+-"[strand], ".")
            handle.write("\t".join(map(str, fields)) + f"\t{attributes}\n")


def call_id(chrom: str, position: int, strand: int) -> str:
    """Return the name of a call, its position counted from 1: the same in every scan and shard."""
    return f"{chrom}:{position + 1}:{'+-'[strand]}"


def _calls(contig: Contig) -> Iterator[tuple[int, int, float, float, float]]:
    for rows in _read(contig.part / CALLS, CALL):
        yield from rows.tolist()


def _read(path: Path, kind: np.dtype) -> Iterator[np.ndarray]:
    """Read records of a file, some at a time."""
    with path.open("rb") as handle:
        while len(found := np.fromfile(handle, kind, ENTRIES_AT_ONCE)):
            yield found
