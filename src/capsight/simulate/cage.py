"""CAGE of a simulated genome: 5' ends about every cap site, and the peaks that they make.

Sharp promoters start mostly at one base, broad ones at many bases over some 40 to 80, preferably at the purine of a
pyrimidine-purine pair (Carninci et al. 2006, Nat. Genet. 38, 626-635).
"""

from pathlib import Path

import numpy as np
import pandas as pd

from capsight.data.naming import peak_name
from capsight.data.schema import CHROM, END, NAME, SCORE, START, STRAND
from capsight.simulate.genome import Caps, Genome
from capsight.simulate.grammar import Ints

_REACH = 40  # bases either side of a cap site where 5' ends lie


def draw_ctss(genome: Genome, caps: Caps, rng: np.random.Generator) -> Ints:
    """Draw tags, 5' to 3' about each cap site: (n, 2 * _REACH + 1). The cap site has the most, alone."""
    steps = np.arange(-_REACH - 1, _REACH + 1)
    bases = genome.codes[caps.places[:, None] + caps.strands[:, None] * steps]
    bases = np.where(caps.strands[:, None] > 0, bases, 3 - bases)
    starts_here = np.isin(bases[:, :-1], [1, 3]) & np.isin(bases[:, 1:], [0, 2])
    spread = np.where(caps.broad, rng.uniform(11, 15, len(bases)), 1.5)
    weights = np.exp(-0.5 * (steps[1:] / spread[:, None]) ** 2) * (1 + 3 * starts_here)
    weights[:, _REACH] = 0
    share = np.where(caps.broad, 0.1, 0.7)
    weights *= ((1 - share) / weights.sum(axis=1))[:, None]
    weights[:, _REACH] = share
    totals = 30 + rng.lognormal(4.5, 1.0, len(bases)).astype(np.int64)
    tags = rng.multinomial(totals, weights)
    others = np.delete(tags, _REACH, axis=1).max(axis=1)
    tags[:, _REACH] = np.maximum(tags[:, _REACH], others + 1)
    return tags


def write_cage(folder: Path, genome: Genome, caps: Caps, tags: Ints) -> None:
    """Write `peaks.bed` and `ctss.bed`; a peak reaches from its first base with tags to its last."""
    row, step = np.nonzero(tags)
    places = caps.places[row] + caps.strands[row] * (step - _REACH)
    ctss = _bed6(genome, places, np.ones_like(places), tags[row, step], caps.strands[row])
    write_table(folder / "ctss.bed", ctss.iloc[np.lexsort((caps.strands[row] < 0, places))], header=False)
    first = np.minimum.reduceat(places, np.flatnonzero(np.diff(row, prepend=-1)))
    last = np.maximum.reduceat(places, np.flatnonzero(np.diff(row, prepend=-1)))
    peaks = _bed6(genome, first, last - first + 1, tags.sum(axis=1), caps.strands)
    summit = genome.locate(caps.places)[1]
    colour = np.where(caps.strands > 0, "255,0,0", "0,0,255")
    peaks = peaks.assign(thick_start=summit, thick_end=summit + 1, rgb=colour)
    write_table(folder / "peaks.bed", peaks, header=False)


def _bed6(genome: Genome, places: Ints, sizes: Ints, scores: Ints, strands: Ints) -> pd.DataFrame:
    """Tabulate intervals as BED6, named as FANTOM5 names its peaks."""
    chrom, start = genome.locate(places)
    sign = np.where(strands > 0, "+", "-")
    table = pd.DataFrame({CHROM: chrom, START: start, END: start + sizes, SCORE: scores, STRAND: sign})
    names = [peak_name(*row) for row in zip(chrom, start, start + sizes, sign, strict=True)]
    table.insert(3, NAME, names)
    return table


def write_table(path: Path, table: pd.DataFrame, *, header: bool) -> None:
    """Write a table, separated by tabs."""
    table.to_csv(path, sep="\t", header=header, index=False, lineterminator="\n")
