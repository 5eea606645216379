"""What is explained: windows of a fold, or the surroundings of one TSS in each region of a genome or sequence."""

import logging
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from capsight.config import ExplainConfig
from capsight.data import schema
from capsight.data.genome.alphabet import Codes, Ints, Mask, reverse_complement
from capsight.data.genome.contig_names import Aliases
from capsight.data.genome.genome import Genome
from capsight.data.peaks.regions import read_regions
from capsight.data.sequence.nonredundant import independent
from capsight.data.windows.windows import Windows
from capsight.errors import InputError, NoPredictedPositives
from capsight.explain.reader import Explained, ModelWrapper, Sequences, TrackWrapper
from capsight.predict.best import best_tss
from capsight.predict.records import UNKNOWN, Records, interval_records, open_records
from capsight.predict.stream import working_threads
from capsight.predict.track import with_flanks
from capsight.progress import progress

logger = logging.getLogger(__name__)

#: Bases around a TSS that are explained, unless told otherwise.
LENGTH: Final = 300
#: Value of the label column where nobody knows.
NO_LABEL: Final = -1
#: Sequences of either kind that are looked at for each that may be explained, to find some without DNA in common.
POOL: Final = 2

_NO_BASES: Final = np.zeros(0, np.uint8)


class Source(NamedTuple):
    """What is explained.

    Attributes
    ----------
    sequences
        The bases.
    table
        chrom, start, end, strand and label of each.
    score
        Probability of a cap site in the middle of each, ``(n,)``.
    """

    sequences: Sequences
    table: pd.DataFrame
    score: NDArray[np.float64]


def of_windows(
    config: ExplainConfig, reader: Explained, model: Path, windows: Path, rng: np.random.Generator
) -> Source:
    """Choose windows of one fold.

    Raises
    ------
    InputError
        If model and windows differ in length, or no window is predicted positive.
    """
    fold = Windows.open(windows).fold(config.fold)
    if isinstance(reader, ModelWrapper) and fold.length != reader.length:
        raise InputError(f"the model reads {reader.length} bases and the windows have {fold.length}", where=model)
    codes = fold.codes(np.arange(len(fold.table)))
    score = reader.probability(codes)
    if not (score >= reader.threshold).any():
        raise NoPredictedPositives(
            f"no window of the {config.fold} fold is predicted positive: nothing to explain", where=model,
            remedy="train longer, or explain another fold",
        )  # fmt: skip
    rows = choose(codes, score >= reader.threshold, config.max_windows, rng)
    table = fold.table.iloc[rows].assign(label=fold.labels[rows])
    return Source(reader.sequences(codes[rows]), table, score[rows])


class _Tss(NamedTuple):
    """The TSS of a record: number of the record, position (0-based) and strand."""

    record: int
    position: int
    minus: bool


def of_records(config: ExplainConfig, reader: TrackWrapper, source: Path, rng: np.random.Generator) -> Source:
    """Find the TSS of every region or sequence, and choose among their surroundings.

    A region with a summit (thickStart of BED) has its TSS there; in any other, and in sequences, it is the most
    probable one. It is looked for on the strand of the region, on either where that has none. Sequences are read on
    either strand.

    Raises
    ------
    InputError
        If the source cannot be used, or holds no bases.
    """
    records = _records(config, source)._replace(empty=0)  # they are counted below
    with working_threads(None, reader.scorer) as threads, progress("TSSs", records.bases) as bar:
        stranded = config.genome is not None
        best = list(best_tss(reader.scorer, reader.card, records, stranded, threads, bar.update))
    found = [
        _Tss(number, tss.position, tss.strand == "-") for number, tss in enumerate(best) if tss.position is not None
    ]
    if not found:
        raise InputError("no record has bases: nothing to explain", where=source)
    if lacking := len(best) - len(found):
        logger.warning("explain: %d of %d records have no bases and are left out", lacking, len(best))
    length = config.length or LENGTH
    codes = _read(records, found, length, 0, _NO_BASES)
    score = np.array([best[tss.record].probability for tss in found], dtype=np.float64)
    rows = choose(codes, score >= reader.threshold, config.max_windows, rng)
    if len(rows) < len(found):
        logger.warning(
            "explain: %d of %d records are explained, drawn at random: a larger --max-windows has more",
            len(rows),
            len(found),
        )
    found = [found[row] for row in rows]
    start = np.array([_start(tss, length) for tss in found])
    of = [best[tss.record] for tss in found]
    table = pd.DataFrame({
        schema.CHROM: [one.name if one.chrom == UNKNOWN else one.chrom for one in of],
        schema.START: start, schema.END: start + length, schema.STRAND: ["+-"[tss.minus] for tss in found],
    })  # fmt: skip
    reads = _read(records, found, length, reader.margin, reader.scorer.flank)
    return Source(Sequences(codes[rows], reads), table.assign(label=NO_LABEL), score[rows])


def _records(config: ExplainConfig, source: Path) -> Records:
    """Open sequences, or regions of a genome; one with a summit is that single base."""
    if config.genome is None:
        return open_records(source)
    opened = Genome.open(config.genome)
    table = read_regions(source, opened, Aliases.read(config.aliases, opened) if config.aliases else None)
    start, end, summit = (table[name].to_numpy() for name in (schema.START, schema.END, schema.SUMMIT))
    given = summit >= 0
    table = table.assign(start=np.where(given, summit, start), end=np.where(given, summit + 1, end))
    logger.info("explain: %d regions name their TSS, in %d it is the most probable base", given.sum(), (~given).sum())
    return interval_records(table, opened)


def _read(records: Records, found: list[_Tss], length: int, margin: int, beyond: Codes) -> Codes:
    """Return the bases around TSSs, 5'→3' on their strand, ``(n, margin + length + margin)``.

    The TSS has the index ``margin + length // 2``; `beyond` stands beyond the ends of a sequence, N further out.
    """
    wanted = {tss.record: (row, tss) for row, tss in enumerate(found)}
    codes = np.empty((len(found), length + 2 * margin), np.uint8)
    for number, record in enumerate(records.read()):
        if number in wanted:
            row, tss = wanted[number]
            start = _start(tss, length) - margin
            bases = with_flanks(record.codes[None], start, start + codes.shape[1], beyond)[0]
            codes[row] = reverse_complement(bases) if tss.minus else bases
    return codes


def _start(tss: _Tss, length: int) -> int:
    """Return the leftmost position around a TSS: it has the index ``length // 2`` on its strand."""
    return tss.position + length // 2 + 1 - length if tss.minus else tss.position - length // 2


def choose(codes: Codes, positive: Mask, most: int | None, rng: np.random.Generator) -> Ints:
    """Return the rows to explain, in order: all, or as many of either predicted label as there are, drawn at random.

    Not the best scored: those show the strongest promoters, and a rare or weak class would not be seen at all.
    Sequences that have DNA in common with one drawn before are drawn last: `motifs` would count them once.
    """
    if most is None or most >= len(codes):
        return np.arange(len(codes))
    drawn = [rng.permutation(np.flatnonzero(label))[: POOL * most] for label in (positive, ~positive)]
    order = np.concatenate(drawn)
    alone = independent(list(codes[order]), np.arange(len(order)))
    order = np.concatenate([order[alone], order[~alone]])
    chosen = [order[positive[order]], order[~positive[order]]]
    n_positive = min(len(chosen[0]), max(most // 2, most - len(chosen[1]), 1))
    return np.sort(np.concatenate([chosen[0][:n_positive], chosen[1][: most - n_positive]]))
