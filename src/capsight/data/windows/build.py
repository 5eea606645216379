"""Windows laid on a genome: positives, negatives and folds, by the protocol of the settings."""

import logging
from collections import Counter
from collections.abc import Mapping
from functools import partial
from typing import Any, Final, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from capsight.config import WindowsConfig
from capsight.data import schema
from capsight.data.drop_reasons import DUPLICATE, OFF_CONTIG, WITH_N, Dropped
from capsight.data.genome.contig_names import Aliases
from capsight.data.genome.genome import Genome
from capsight.data.peaks.index import PeakIndex
from capsight.data.peaks.regions import read_regions
from capsight.data.windows.duplicates import distinct
from capsight.data.windows.folds import EXCLUDE, Folds, check_positives
from capsight.data.windows.negatives import ACROSS, STRATEGIES, NegativeRequest, SampledNegatives, share_out
from capsight.data.windows.stranded import SHUFFLED, StrandedIntervals, shuffle_source
from capsight.errors import InputError
from capsight.paper.windows import FARTHEST, NEAREST, paper_windows

logger = logging.getLogger(__name__)

#: Values of the source column, beside the names of strategies and of files of labelled sequences.
PEAK: Final = "peak"
HALDAR2026: Final = "haldar2026"
EXCLUDED: Final = "in an excluded stretch"
#: Key of the stretches of each fold in the summary, where they are not whole chromosomes.
REGIONS: Final = "regions"


class WindowSet(NamedTuple):
    """What the stage writes: the table, and what the summary adds to its counts."""

    table: pd.DataFrame
    dropped: Dropped
    remarks: dict[str, Any]


def build_windows(config: WindowsConfig, genome: Genome, peaks: pd.DataFrame) -> WindowSet:
    """Lay windows on a genome by the protocol of the config; rows are sorted by fold, then by place.

    Raises
    ------
    InputError
        If a fold has no positives or no negatives, or the user's own negatives cannot be used.
    """
    by_protocol = build_haldar2026_windows if config.protocol == HALDAR2026 else build_capsight_windows
    folds = Folds.from_names(genome, config.validation, config.test, config.exclude)
    laid, dropped, remarks = by_protocol(config, genome, peaks, folds)
    _check_negatives(laid, config, remarks.get("negatives_wanted", {}))
    contig, start = laid["contig"].to_numpy(), laid[schema.START].to_numpy()
    gc, repeat, _ = genome.composition(contig, start, config.length)
    distance = PeakIndex.from_peaks(peaks, genome).distance(contig, start, config.length)
    table = laid.assign(
        **{
            schema.CHROM: np.array(genome.names, dtype=object)[contig],
            schema.END: start + config.length,
            schema.STRAND: np.where(laid["minus"], "-", "+"),
            schema.GC: gc,
            schema.REPEAT: repeat,
            schema.DISTANCE: np.where(laid["copy"] > 0, -1, distance),
        }
    )
    if not folds.are_whole:
        there = {fold: table.loc[table[schema.FOLD] == fold, "contig"].to_numpy() for fold in schema.FOLDS}
        regions = {fold: getattr(folds, fold).on(there[fold]).names for fold in schema.FOLDS}
        remarks = remarks | {REGIONS: regions | {EXCLUDE: folds.exclude.names}}
    rank = table[schema.FOLD].map({fold: i for i, fold in enumerate(schema.FOLDS)})
    keys = (table["copy"], table[schema.LABEL], table["minus"], table[schema.START], table["contig"], rank)
    in_order = table.iloc[np.lexsort([key.to_numpy() for key in keys])].reset_index(drop=True)
    return WindowSet(in_order, dropped, remarks)


def build_haldar2026_windows(config: WindowsConfig, genome: Genome, peaks: pd.DataFrame, folds: Folds) -> WindowSet:
    """Lay windows by the paper's protocol; folds as everywhere."""
    excluded: Counter[str] = Counter()
    laid = paper_windows(
        genome, not_excluded(peaks, genome, folds, excluded), config.length, np.random.default_rng(config.seed)
    )
    laid.dropped[1].update(excluded)
    places = StrandedIntervals(laid.contig, laid.start, np.zeros(len(laid.start), bool))
    source = np.where(laid.label == 1, PEAK, HALDAR2026)
    table = _table(places, config, folds).assign(label=laid.label, source=source)
    table = _in_one_fold(table, folds, config.length, laid.dropped)

    def lost(fold: str) -> Counter[str]:
        there = _of_fold(peaks, fold, genome, folds)
        again = paper_windows(genome, there, config.length, np.random.default_rng(0)) if len(there) else None
        return again.dropped[1] if again else Counter()

    check_positives(table.loc[table[schema.LABEL] == 1, schema.FOLD].to_numpy(), config.validation, config.test, lost)
    return WindowSet(table, laid.dropped, {"protocol": config.protocol})


def build_capsight_windows(config: WindowsConfig, genome: Genome, peaks: pd.DataFrame, folds: Folds) -> WindowSet:
    """Lay summit-centred positives, and negatives by the strategies of the config, fold by fold."""
    dropped: Dropped = {1: Counter(), 0: Counter()}
    known = not_excluded(peaks, genome, folds, dropped[1])
    places = summit_windows(genome, known, config.length, dropped[1])
    positives = _table(places, config, folds).assign(label=1, source=PEAK)
    positives = _in_one_fold(positives, folds, config.length, dropped)
    positives = distinct(genome, positives, config.length, config.seed, dropped)
    lost = partial(_lost, config, genome, peaks, folds)
    check_positives(positives[schema.FOLD].to_numpy(), config.validation, config.test, lost)
    aliases = Aliases.read(config.aliases, genome) if config.aliases else None
    regions = read_regions(config.negatives_file, genome, aliases) if config.negatives_file else None
    parts, wanted, moved = [positives], {}, {}
    for number, fold in enumerate(schema.FOLDS):
        rows = positives[positives[schema.FOLD] == fold]
        like = StrandedIntervals(rows["contig"].to_numpy(), rows[schema.START].to_numpy(), rows["minus"].to_numpy(bool))
        there = _of_fold(peaks, fold, genome, folds)
        wanted[fold], moved[fold] = round(len(rows) * config.ratio), 0
        for order, (name, n) in enumerate(share_out(wanted[fold], config.negatives).items()):
            rng = np.random.default_rng([config.seed, number, order])
            drawn = STRATEGIES[name](
                NegativeRequest(genome, config, getattr(folds, fold), there, peaks, like, n, rng, regions)
            )
            _tell(name, fold, n, drawn)
            dropped[0].update(drawn.dropped)
            moved[fold] += drawn.moved
            copy = drawn.places.copy if name == SHUFFLED else None
            source = name if copy is None else shuffle_source(copy)
            parts.append(_table(drawn.places, config, folds).assign(label=0, source=source))
    table = distinct(genome, pd.concat(parts, ignore_index=True), config.length, config.seed, dropped)
    return WindowSet(
        table, dropped, {"protocol": config.protocol, "negatives_wanted": wanted, "negatives_moved": moved}
    )


def summit_windows(genome: Genome, peaks: pd.DataFrame, length: int, dropped: Counter[str]) -> StrandedIntervals:
    """Return the window of each peak, summit at index length / 2 when read 5'→3'; count what is dropped."""
    contig = genome.index(peaks[schema.CHROM])
    minus = (peaks[schema.STRAND] == "-").to_numpy()
    start = peaks[schema.SUMMIT].to_numpy(np.int64) - length // 2 + minus
    inside = (start >= 0) & (start + length <= genome.lengths[contig])
    known = genome.composition(contig, start, length).unknown == 0
    dropped[OFF_CONTIG] += int((~inside).sum())
    dropped[WITH_N] += int((inside & ~known).sum())
    kept = inside & known
    return StrandedIntervals(contig[kept], start[kept], minus[kept])


def not_excluded(peaks: pd.DataFrame, genome: Genome, folds: Folds, dropped: Counter[str]) -> pd.DataFrame:
    """Return the peaks whose summits lie in a fold; count the others.

    Raises
    ------
    InputError
        If none is left.
    """
    excluded = _folds_of(peaks, genome, folds) == EXCLUDE
    if excluded.all():
        raise InputError(f"exclude leaves none of the {len(peaks):,} peaks", remedy="exclude less")
    if excluded.any():
        dropped[EXCLUDED] += int(excluded.sum())
    if len(folds.exclude.contig):
        logger.info(
            "folds: %s bases are excluded, and with them %s of %s peaks",
            f"{folds.exclude.sizes.sum():,}", f"{excluded.sum():,}", f"{len(peaks):,}",
        )  # fmt: skip
    return peaks[~excluded]


def _folds_of(peaks: pd.DataFrame, genome: Genome, folds: Folds) -> NDArray[np.str_]:
    """Return the fold of the summit of each peak, or `EXCLUDE`, ``(n_peaks,)``."""
    return folds.at(genome.index(peaks[schema.CHROM]), peaks[schema.SUMMIT].to_numpy(np.int64))


def _of_fold(peaks: pd.DataFrame, fold: str, genome: Genome, folds: Folds) -> pd.DataFrame:
    """Return the peaks of one fold."""
    return peaks[_folds_of(peaks, genome, folds) == fold]


def _lost(config: WindowsConfig, genome: Genome, peaks: pd.DataFrame, folds: Folds, fold: str) -> Counter[str]:
    """Count, by reason, how the peaks of a fold that has no positives were lost."""
    there = _of_fold(peaks, fold, genome, folds)
    reasons: Counter[str] = Counter()
    left = summit_windows(genome, there, config.length, reasons)
    across = int((~folds.holds(left.contig, left.start, config.length)).sum())
    reasons.update({ACROSS: across, DUPLICATE: len(left.start) - across})
    return reasons


def _table(places: StrandedIntervals, config: WindowsConfig, folds: Folds) -> pd.DataFrame:
    """Return places as a table, each with the fold that its middle lies in (of a positive, the summit)."""
    contig, start, minus, copy = places
    return pd.DataFrame(
        {
            "contig": contig,
            schema.START: start,
            "minus": minus,
            "copy": np.zeros(len(start), np.int64) if copy is None else copy,
            schema.FOLD: folds.at(contig, start + config.length // 2 - minus),
        }
    )


def _in_one_fold(table: pd.DataFrame, folds: Folds, length: int, dropped: Dropped) -> pd.DataFrame:
    """Drop windows that do not lie wholly in one fold, and count them."""
    inside = folds.holds(table["contig"].to_numpy(), table[schema.START].to_numpy(), length)
    for label, fold in zip(table.loc[~inside, schema.LABEL], table.loc[~inside, schema.FOLD], strict=True):
        dropped[label][EXCLUDED if fold == EXCLUDE else ACROSS] += 1
    return table[inside].reset_index(drop=True)


def _check_negatives(laid: pd.DataFrame, config: WindowsConfig, wanted: Mapping[str, int]) -> None:
    """Refuse a fold that got positives and not one of its negatives: it can be neither learned from nor measured on."""
    for fold in schema.FOLDS:
        labels = laid.loc[laid[schema.FOLD] == fold, schema.LABEL]
        if len(labels) and labels.all() and wanted.get(fold, 1):
            remedy = (
                f"lower exclusion_bp, which is {config.exclusion_bp}, take shorter windows than {config.length}, or"
            )
            remedy += " other negatives: --negatives shuffled needs no free place"
            if config.protocol == HALDAR2026:
                far = f"{NEAREST:,} to {FARTHEST:,} bases before peaks"
                remedy = f"this protocol draws them {far}: take protocol capsight"
            raise InputError(f"{fold} fold: {len(labels):,} positives, but 0 negatives found", remedy=remedy)


def _tell(name: str, fold: str, n: int, drawn: SampledNegatives) -> None:
    """Say where a strategy found less than was wanted, or something less exact."""
    found = len(drawn.places.start)
    if drawn.moved:
        logger.info(
            "negatives: %s: %d of %d %s ones are only similar in GC and repeat content: no equal place was free",
            fold, drawn.moved, n, name,
        )  # fmt: skip
    if found < n:
        logger.warning("negatives: %s: %s: %d wanted, %d found", fold, name, n, found)
