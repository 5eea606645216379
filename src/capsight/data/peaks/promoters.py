"""Promoters that are given as sequences with their TSS, from anywhere: `promoters.parquet` of a windows folder.

A promoter that stands on a validation or test chromosome must not be learned. Whether it does is asked of the bases
themselves, so that nobody has to know where each comes from.
"""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from capsight.data.genome.alphabet import N_CODE, Codes, Ints, encode
from capsight.data.genome.stretches import Stretches
from capsight.data.io.sequences import SEQUENCE, read_records
from capsight.data.io.text import shown
from capsight.data.sequence.kmers import encode_kmers
from capsight.errors import InputError

logger = logging.getLogger(__name__)

PROMOTERS_FILE: Final = "promoters.parquet"
#: Column of the 0-based index of the +1 base in the sequence.
TSS: Final = "tss"
#: Column of where a promoter is from, for weights.
SOURCE: Final = "source"
WEIGHT: Final = "weight"
#: Bases from the TSS to either end of a sequence, at least: less is no promoter, and nothing to recognise it by.
_LEAST_UPSTREAM, _LEAST_DOWNSTREAM = 50, 10
#: A promoter stands on a chromosome if they share so large a part of the k-mers of `_K` bases that begin within
#: `_AROUND` bases of the TSS, on either strand. Copies of a repeat share fewer, another assembly costs few.
_K: Final = 31
_AROUND: Final = 60
_SHARED: Final = 0.3
_AT_ONCE: Final = 1 << 20
_SCHEMA: Final = pa.schema([(TSS, pa.int64()), (SEQUENCE, pa.string()), (WEIGHT, pa.float64())])


class Promoters(NamedTuple):
    """Promoter sequences, 5'→3': bases (codes 0 to 3), index of the TSS in each, and how often each is drawn."""

    codes: list[Codes]
    tss: list[int]
    weight: list[float]


def read_promoters(path: Path, weights: Mapping[str, float]) -> Promoters:
    """Read a TSV (plain or gzip) with the columns `tss` and `sequence`; N at the ends of a sequence is cut off.

    Where there are weights, the column `source` says which one a promoter has; sources without one have 1.

    Sequences that have N elsewhere or too few bases on a side of the TSS are left out, and so are copies; this is
    logged.

    Raises
    ------
    InputError
        Naming file and line, if a column is missing, a sequence is no DNA, or the TSS is no base of it; or if no
        promoter is left.
    """
    found: dict[tuple[bytes, int], tuple[Codes, float]] = {}
    needed, sources = (TSS, SEQUENCE, *([SOURCE] if weights else [])), set[str]()
    left_out = {"with N between known bases": 0, "with too few bases beside the TSS": 0, "twice": 0}
    for where, record in read_records(path, needed, separator="\t"):
        codes, tss = encode(record[SEQUENCE].strip()), record[TSS].strip()
        source = record.get(SOURCE, "").strip()
        sources.add(source)
        if not tss.isascii() or not tss.isdigit() or int(tss) >= len(codes):
            raise InputError(
                f"tss {tss[:30]!r} is no index of a base of the sequence, 0 to {len(codes) - 1}", where=where
            )
        known = np.flatnonzero(codes < N_CODE)
        first, end = (int(known[0]), int(known[-1]) + 1) if len(known) else (0, 0)
        key = (codes[first:end].tobytes(), int(tss) - first)
        if len(known) < end - first:
            left_out["with N between known bases"] += 1
        elif key[1] < _LEAST_UPSTREAM or end - int(tss) <= _LEAST_DOWNSTREAM:
            left_out["with too few bases beside the TSS"] += 1
        elif key in found:
            left_out["twice"] += 1
        else:
            found[key] = codes[first:end], weights.get(source, 1.0)
    told = "".join(f"; {number:,} {reason} left out" for reason, number in left_out.items() if number)
    if not found:
        raise InputError(f"holds no promoters{told}", where=path)
    logger.info("promoters %s: %s%s", shown(path.name), f"{len(found):,}", told)
    if unknown := sorted(weights.keys() - sources):
        raise InputError(
            f"has no promoters of the source {unknown[0]!r}, which promoter_weights names; it has "
            f"{', '.join(sorted(sources)[:6])}", where=path,
        )  # fmt: skip
    return Promoters([codes for codes, _ in found.values()], [tss for _, tss in found], [w for _, w in found.values()])


def standing_on(promoters: Promoters, stretches: Stretches) -> list[bool]:
    """Tell which promoters stand on some stretches of a genome, by the bases around the TSS."""
    kmers = [
        _kmers(codes[max(tss - _AROUND, 0) : tss + _AROUND + _K]) for codes, tss, _ in zip(*promoters, strict=True)
    ]
    wanted, found = np.unique(np.concatenate(kmers)), [np.zeros(0, np.int64)]
    for contig, first, end in zip(stretches.contig, stretches.start, stretches.end, strict=True):
        codes = stretches.genome.contig(int(contig))[first:end]
        for start in range(0, len(codes), _AT_ONCE):
            here = _kmers(codes[start : start + _AT_ONCE + _K - 1])
            found.append(here[np.isin(here, wanted)])
    held = np.unique(np.concatenate(found))
    return [bool(np.isin(each, held).mean() >= _SHARED) for each in kmers]


def _kmers(codes: Codes) -> Ints:
    """Return the numbers of all k-mers of `_K` known bases of one sequence, the same for both strands."""
    kmers = encode_kmers(codes[None], _K, merge=True)[0]
    known: Ints = kmers[kmers >= 0]
    return known


def write_promoters(promoters: Promoters, held_out: Stretches, folder: Path) -> dict[str, Any]:
    """Write ``promoters.parquet``: the promoters that do not stand on what is held out; return what to remark.

    Raises
    ------
    InputError
        If none is left.
    """
    held = standing_on(promoters, held_out)
    kept = [row for row, on in enumerate(held) if not on]
    logger.info("promoters: %d left out: they stand on validation or test chromosomes", sum(held))
    if not kept:
        raise InputError("all promoters stand on validation or test chromosomes")
    letters = np.frombuffer(b"ACGT", np.uint8)
    table = pd.DataFrame(
        {
            TSS: [promoters.tss[row] for row in kept],
            SEQUENCE: [letters[promoters.codes[row]].tobytes().decode("ascii") for row in kept],
            WEIGHT: [promoters.weight[row] for row in kept],
        }
    )
    with (folder / PROMOTERS_FILE).open("wb") as file:
        pq.write_table(pa.Table.from_pandas(table, schema=_SCHEMA, preserve_index=False), file)
    return {"used": len(kept), "held_out": sum(held)}


def windows_promoters(folder: Path) -> Promoters | None:
    """Return the promoters of a windows folder, whose files have their checksums; `None` if it was made without."""
    path = folder / PROMOTERS_FILE
    if not path.is_file():
        return None
    with path.open("rb") as file:  # pyarrow takes no path that is not UTF-8
        table = pq.read_table(file).to_pandas()
    return Promoters([encode(sequence) for sequence in table[SEQUENCE]], table[TSS].tolist(), table[WEIGHT].tolist())
