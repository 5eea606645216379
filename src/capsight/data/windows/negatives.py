"""Strategies for negatives: windows without a cap site, drawn fold by fold.

A strategy is a function from `NegativeRequest` to `SampledNegatives`; `STRATEGIES` names them all. Whatever the
strategy, a negative that has a place in the genome shares no base with a peak of either strand widened by the
exclusion zone, lies in its contig and has no N. `haldar2026` is named after Haldar et al. (RNA Biology 2026).
"""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType
from typing import Final, NamedTuple

import numpy as np
import pandas as pd

from capsight.config import Strategy, WindowsConfig
from capsight.data import schema
from capsight.data.drop_reasons import OFF_CONTIG, SURPLUS, WITH_N
from capsight.data.genome.alphabet import Ints, Mask
from capsight.data.genome.genome import Genome
from capsight.data.genome.stretches import Stretches
from capsight.data.peaks.index import PeakIndex
from capsight.data.windows.candidates import (
    CandidateRegions,
    GcRepeatBins,
    Spans,
    around,
    both,
    draw_matched,
    places_in,
    spread,
)
from capsight.data.windows.stranded import SHUFFLED, StrandedIntervals
from capsight.paper.windows import FARTHEST, NEAREST, build_chromosome_windows

IN_EXCLUSION: Final = "in the exclusion zone of a peak"
REPEATED: Final = "at the place of another"
ACROSS: Final = "across the border of a fold"

#: Draws of `haldar2026` for each negative wanted; many fall into an exclusion zone.
_DRAWS_EACH: Final = 4


@dataclass(frozen=True, eq=False)
class NegativeRequest:
    """What a strategy is asked for.

    Attributes
    ----------
    genome
        The genome.
    config
        Length, exclusion zone, and the settings of single strategies.
    stretches
        The fold.
    peaks
        All peaks of the fold, columns `schema.PEAK_COLUMNS`.
    avoided
        Peaks that no negative touches: those of all folds, and of excluded stretches.
    like
        The fold's positives.
    n
        How many negatives.
    rng
        Source of every draw.
    regions
        The user's own intervals, of every fold, for strategy `bed`.
    """

    genome: Genome
    config: WindowsConfig
    stretches: Stretches
    peaks: pd.DataFrame
    avoided: pd.DataFrame
    like: StrandedIntervals
    n: int
    rng: np.random.Generator
    regions: pd.DataFrame | None = None

    @cached_property
    def contigs(self) -> Ints:
        """Contigs of the fold that have peaks: nobody may have looked for cap sites on the others."""
        return np.unique(self.genome.index(self.peaks[schema.CHROM]))

    @property
    def reach(self) -> Spans:
        """Every place on these contigs."""
        return places_in(self.stretches.on(self.contigs), self.config.length)

    def excluded(self, margin: int = 0) -> PeakIndex:
        """Return the peaks widened by the exclusion zone, or by `margin` if that is more."""
        return PeakIndex.from_peaks(self.avoided, self.genome, max(self.config.exclusion_bp, margin))

    def strands(self, n: int) -> Mask:
        """Draw strands, evenly."""
        return self.rng.random(n) < 0.5


class SampledNegatives(NamedTuple):
    """What a strategy found: at most as many as wanted, how many of them match less exactly, what it dropped."""

    places: StrandedIntervals
    moved: int = 0
    dropped: Mapping[str, int] = MappingProxyType({})


def matched(wanted: NegativeRequest) -> SampledNegatives:
    """Draw places anywhere on the fold's contigs with the GC and repeat content of its positives.

    Cells of 0.02 in GC content and 0.1 in repeat content (or one of them: setting `match`) get as many negatives
    as positives, times the ratio. What a cell lacks is taken from the nearest cells.
    """
    grid = GcRepeatBins.from_names(wanted.config.match_on)
    like = wanted.genome.composition(wanted.like.contig, wanted.like.start, wanted.config.length)
    cells = np.bincount(spread(grid.cell(like), wanted.n), minlength=grid.size)
    return _from_pool(
        wanted, CandidateRegions(wanted.genome, wanted.reach, wanted.excluded(), wanted.config.length), cells, grid
    )


def uniform(wanted: NegativeRequest) -> SampledNegatives:
    """Draw places anywhere on the fold's contigs, each as likely as any other."""
    return _unmatched(wanted, CandidateRegions(wanted.genome, wanted.reach, wanted.excluded(), wanted.config.length))


def flank(wanted: NegativeRequest) -> SampledNegatives:
    """Draw places near peaks: the gap to the nearest one is in the range of setting `flank_range`."""
    nearest, farthest = wanted.config.flank_range
    reach = both(around(wanted.genome, wanted.peaks, farthest, wanted.config.length), wanted.reach)
    return _unmatched(wanted, CandidateRegions(wanted.genome, reach, wanted.excluded(nearest), wanted.config.length))


def shuffled(wanted: NegativeRequest) -> SampledNegatives:
    """Take the fold's positives in turn, their bases shuffled with every dinucleotide kept."""
    contig, start, minus, _ = wanted.like
    turn = np.sort(np.arange(wanted.n) % len(start)) if len(start) else np.zeros(0, np.int64)
    copy = np.arange(len(turn)) - np.searchsorted(turn, turn) + 1
    return SampledNegatives(StrandedIntervals(contig[turn], start[turn], minus[turn], copy))


def haldar2026(wanted: NegativeRequest) -> SampledNegatives:
    """Draw grid windows 10 to 20 kb before peaks as the paper does, quirks included, but none in an exclusion zone."""
    genome, length = wanted.genome, wanted.config.length
    draws = max(2, -(-_DRAWS_EACH * wanted.n // max(len(wanted.peaks), 1)))
    draws = min(draws, 2 + _DRAWS_EACH * (FARTHEST - NEAREST) // length)  # a peak has no more bins than that
    of_peak = genome.index(wanted.peaks[schema.CHROM])
    dropped: dict[int, Counter[str]] = {1: Counter(), 0: Counter()}
    laid = [
        build_chromosome_windows(
            genome, int(contig), wanted.peaks[of_peak == contig], length, wanted.rng, dropped, draws
        )
        for contig in wanted.contigs
    ]
    table = pd.concat([pd.DataFrame({"contig": [], schema.START: [], schema.LABEL: []}, dtype=np.int64), *laid])
    table = table[table[schema.LABEL] == 0]
    contig, start = table["contig"].to_numpy(np.int64), table[schema.START].to_numpy(np.int64)
    return _some_of(wanted, StrandedIntervals(contig, start, np.zeros(len(start), bool)), dropped[0])


def bed(wanted: NegativeRequest) -> SampledNegatives:
    """Take windows centred on the user's own intervals (setting `negatives_file`); a strand that it lacks is drawn."""
    assert wanted.regions is not None
    config, genome = wanted.config, wanted.genome
    contig = genome.index(wanted.regions[schema.CHROM])
    middle = (wanted.regions[schema.START].to_numpy(np.int64) + wanted.regions[schema.END].to_numpy(np.int64)) // 2
    here = wanted.stretches.find(contig, middle) >= 0
    table, contig, start = wanted.regions[here], contig[here], middle[here] - config.length // 2
    minus = np.where(table[schema.STRAND] == ".", wanted.strands(len(table)), table[schema.STRAND] == "-")
    inside = (start >= 0) & (start + config.length <= genome.lengths[contig])
    whole = genome.composition(contig, start, config.length).unknown == 0
    dropped = Counter({OFF_CONTIG: int((~inside).sum()), WITH_N: int((inside & ~whole).sum())})
    kept = inside & whole
    return _some_of(wanted, StrandedIntervals(contig[kept], start[kept], minus[kept]), dropped)


STRATEGIES: Final[Mapping[Strategy, Callable[[NegativeRequest], SampledNegatives]]] = {
    "matched": matched,
    "uniform": uniform,
    "flank": flank,
    SHUFFLED: shuffled,
    "haldar2026": haldar2026,
    "bed": bed,
}


def share_out(n: int, shares: Mapping[Strategy, float]) -> dict[Strategy, int]:
    """Divide `n` by shares; the largest remainders are rounded up, in the order of the shares where they are equal."""
    exact = {name: n * share / sum(shares.values()) for name, share in shares.items()}
    counts = {name: int(value) for name, value in exact.items()}
    short = n - sum(counts.values())
    for name in sorted(exact, key=lambda name: counts[name] - exact[name])[:short]:
        counts[name] += 1
    return counts


def _unmatched(wanted: NegativeRequest, pool: CandidateRegions) -> SampledNegatives:
    """Draw from a pool, whatever the composition."""
    grid = GcRepeatBins(gc=False, repeat=False)
    return _from_pool(wanted, pool, np.bincount(np.zeros(wanted.n, np.int64), minlength=grid.size), grid)


def _from_pool(wanted: NegativeRequest, pool: CandidateRegions, cells: Ints, grid: GcRepeatBins) -> SampledNegatives:
    """Draw from a pool by cells, on random strands."""
    found = draw_matched(pool, cells, grid, wanted.rng)
    contig, start = pool.locate(found.place)
    return SampledNegatives(StrandedIntervals(contig, start, wanted.strands(len(start))), found.moved)


def _some_of(wanted: NegativeRequest, places: StrandedIntervals, dropped: Counter[str]) -> SampledNegatives:
    """Keep those of given places that touch no exclusion zone, each once, and a random choice if they are too many.

    They lie in one stretch of the fold.
    """
    length = wanted.config.length
    inside = wanted.stretches.holds(places.contig, places.start, length)
    dropped = dropped + Counter({ACROSS: int((~inside).sum())})
    places = StrandedIntervals(places.contig[inside], places.start[inside], places.minus[inside])
    free = ~wanted.excluded().overlaps(places.contig, places.start, length)
    again = pd.DataFrame({"contig": places.contig, "start": places.start}).duplicated().to_numpy()
    good = wanted.rng.permutation(np.flatnonzero(free & ~again))
    chosen = np.sort(good[: wanted.n])
    more = {IN_EXCLUSION: int((~free).sum()), REPEATED: int((free & again).sum()), SURPLUS: len(good) - len(chosen)}
    kept = StrandedIntervals(places.contig[chosen], places.start[chosen], places.minus[chosen])
    return SampledNegatives(kept, dropped=dropped + Counter(more))
