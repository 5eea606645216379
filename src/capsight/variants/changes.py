"""What every single change of a region does to transcription initiation around it; `variants.mutate` writes it."""

import logging
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from capsight.data import schema
from capsight.data.genome.alphabet import CODE_BITS, LETTERS, N_CODE, Codes
from capsight.data.genome.genome import Genome
from capsight.data.genome.stretches import Span
from capsight.data.naming import region_name
from capsight.errors import InputError
from capsight.predict.alleles import Allele, AlleleScorer, Change
from capsight.predict.regions import spans
from capsight.predict.stream import in_order, working_threads
from capsight.predict.track import TrackScorer
from capsight.progress import progress
from capsight.variants.effects import Summary

logger = logging.getLogger(__name__)

#: Bases whose changes a thread reads at once: they are the same whatever the number of threads.
_PIECE: Final = 256
#: Columns that a picture is drawn of.
_DRAWN: Final = ("position", "ref", "alt", "log2_plus", "log2_minus")
_MOVES: Final = ("gain", "loss", "tss")
_KINDS: Final = {
    "position": "int64",
    **dict.fromkeys(("log2_plus", "log2_minus", "gain", "loss", "tss_log2"), "float64"),
    **dict.fromkeys((f"{move}_position" for move in _MOVES), "Int64"),
}


class Region(NamedTuple):
    """Where changes are made, and whose strand's effects are read: 0 for +, 1 for -, `None` for both."""

    span: Span
    strand: int | None


def find_region(genome: Genome, text: str) -> Region:
    """Read a region: ``chrIV:1000-1400``, counted from 1, both ends included, or ``chrIV:1000-1400:+``.

    Raises
    ------
    InputError
        If it does not lie in the genome.
    """
    parts = None if text in genome.names else re.fullmatch(r"(.+):([+-])", text)
    (span,) = spans(genome, parts[1] if parts else text)
    return Region(span, "+-".index(parts[2]) if parts else None)


def changes_of(
    scorer: TrackScorer, summary: Summary, genome: Genome, region: Region, threads: int | None = None
) -> Iterator[pd.DataFrame]:
    """Yield the effects of all single changes of a region, `schema.EFFECT_COLUMNS`, some bases at a time.

    Where effects of one strand are read, the other's column ``log2_…`` is left out. Positions count from 0.

    Raises
    ------
    InputError
        If the region has no base but N.
    """
    chrom, contig, start, end = region.span
    codes = genome.view(contig)
    known = sum(int(_known(codes, first, end).sum()) for first in range(start, end, _PIECE))
    if not known:
        raise InputError(f"{region_name(chrom, start, end)} has no base but N", where=genome.path)
    logger.info("mutate: %s: %s changes of %s bases", region_name(chrom, start, end), f"{3 * known:,}", f"{known:,}")
    if left_out := end - start - known:
        logger.warning("mutate: %s of %s bases are N, and left out", f"{left_out:,}", f"{end - start:,}")

    def answer(first: int) -> tuple[int, pd.DataFrame]:
        return min(_PIECE, end - first), _piece(scorer, summary, codes, region, first)

    with working_threads(threads, scorer) as working, progress("mutate", end - start) as bar:
        for bases, table in in_order(answer, range(start, end, _PIECE), working):
            genome.release()
            yield table
            bar.update(bases)


def _known(codes: Codes, first: int, end: int) -> NDArray[np.bool_]:
    """Tell which bases of a piece are not N."""
    return codes[first : min(first + _PIECE, end)] & np.uint8(CODE_BITS) != N_CODE


def _piece(scorer: TrackScorer, summary: Summary, codes: Codes, region: Region, first: int) -> pd.DataFrame:
    """Score the changes of some bases."""
    positions = first + np.flatnonzero(_known(codes, first, region.span.end))
    changes = [
        Change(position, position + 1, np.array([code], np.uint8))
        for position in positions.tolist()
        for code in range(N_CODE)
        if code != codes[position] & CODE_BITS
    ]
    pairs = AlleleScorer(scorer, summary.distance).alleles(codes, changes)
    if region.strand is not None:
        pairs = ((_on_strand(one, region.strand), _on_strand(other, region.strand)) for one, other in pairs)
    effects = summary.effects(changes, list(pairs), len(codes))
    rows: list[list[object]] = []
    for change, effect in zip(changes, effects, strict=True):
        letters = (LETTERS[codes[change.start] & CODE_BITS], LETTERS[change.alternative[0]])
        row: list[object] = [region.span.chrom, change.start, *letters, *effect.log2]
        for move, sign in ((effect.gain, 1), (effect.loss, -1), (effect.tss, 1)):
            row += [sign * move.change, move.position, "+-"[move.strand]] if move else [None] * 3
        rows.append(row)
    table = pd.DataFrame(rows, columns=list(schema.EFFECT_COLUMNS)).astype(_KINDS)
    return table if region.strand is None else table.drop(columns=("log2_minus", "log2_plus")[region.strand])


def _on_strand(allele: Allele, strand: int) -> Allele:
    """Return an allele without what the other strand has."""
    only = np.array([strand == 0, strand == 1], np.float32)[:, None]
    return Allele(allele.tags * only, allele.summits * only)


def write_table(found: Iterator[pd.DataFrame], path: Path) -> pd.DataFrame:
    """Write the table, piece by piece; return what a picture is drawn of."""
    kept = []
    with path.open("w", encoding="utf-8", newline="") as handle:
        for number, table in enumerate(found):
            kept.append(table[[name for name in _DRAWN if name in table]])
            rounded = table.round(4)
            for move, column in (("gain", "gain"), ("loss", "loss"), ("tss", "tss_log2")):
                nothing = rounded[column].fillna(0) == 0
                rounded.loc[nothing, [f"{move}_position", f"{move}_strand"]] = None
                rounded.loc[nothing, column] = None if move == "tss" else 0.0
            numbers = rounded.select_dtypes("float64").columns
            rounded[numbers] += 0.0  # -0 is 0
            rounded.to_csv(
                handle, sep="\t", index=False, header=not number, float_format="%.6g", na_rep=".", lineterminator="\n"
            )
    return pd.concat(kept, ignore_index=True)
