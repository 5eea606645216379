"""The paper's window protocol: capsight against loops of single FASTA fetches; same draws, same output.

    python benchmarks/protocol.py GENOME PEAKS.bed.gz

Two loops, both with one pyfaidx fetch per window:

* as the released script is organised: for each pair of chromosomes it walks through the whole table of peaks, once for
  positives and once for negatives, reads three fields of every row by label, and draws twice for every row;
* the leanest one: the restatement in tests/paper/test_windows.py, which looks at each peak once.

What is timed goes from open files to the list of (sequence, label) in the protocol's order. Index and base store are
there before. The script also prints every negative, merges its tables and writes CSV: all left out here.
"""

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pyfaidx

from capsight.data import schema
from capsight.data.genome.alphabet import decode
from capsight.data.genome.genome import Genome
from capsight.data.peaks.reader import read_peaks
from capsight.paper.windows import paper_windows

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "paper"))
from test_windows import restated

LENGTH = 512
Rows = list[tuple[str, int]]


class Chromosome:
    """A chromosome whose every slice is one fetch from the FASTA; bounds as in Python."""

    def __init__(self, fasta: pyfaidx.Fasta, name: str) -> None:
        self.record, self.length = fasta[name], len(fasta[name])

    def __getitem__(self, wanted: slice) -> str:
        start, stop, _ = wanted.indices(self.length)
        return self.record[start:stop].seq if start < stop else ""


def by_capsight(genome: Genome, table: pd.DataFrame) -> Rows:
    """Lay the windows and read them."""
    laid = paper_windows(genome, table, LENGTH, np.random.default_rng(1))
    codes = genome.fetch(laid.contig, laid.start, LENGTH, np.zeros(len(laid.start), bool))
    return list(zip(decode(codes), laid.label.tolist(), strict=True))


def by_lean_loop(chromosomes: dict[str, Chromosome], table: pd.DataFrame) -> Rows:
    """Fetch every window once, looking at every peak once."""
    groups = table.groupby(schema.CHROM)
    peaks = {name: list(zip(rows.start.tolist(), rows.end.tolist(), strict=True)) for name, rows in groups}
    return restated(chromosomes, peaks, LENGTH, np.random.default_rng(1))


def by_script_loop(chromosomes: dict[str, Chromosome], table: pd.DataFrame) -> Rows:
    """Go through the whole table for each pair of chromosomes, as the released script does."""
    rng, result = np.random.default_rng(1), []
    sizes = table[schema.CHROM].value_counts()
    names = [name for name in chromosomes if sizes.get(name)]
    for first in range(0, len(names), 2):
        pair = names[first : first + 2]
        draws = {name: iter(rng.integers(10_000, 20_000, size=(sizes[name], 2)).tolist()) for name in pair}
        positives, bins = _script_positives(chromosomes, table, pair)
        negatives = _script_negatives(chromosomes, table, draws, bins)
        chosen = [negatives[i] for i in rng.permutation(len(negatives))][: len(positives) + 1]
        rows = list(dict.fromkeys(positives + chosen))
        result += [rows[i] for i in rng.permutation(len(rows))]
    return result


def _script_positives(chromosomes: dict[str, Chromosome], table: pd.DataFrame, pair: list[str]) -> tuple[Rows, set]:
    """Return the positives of a pair, by chromosome, and their grid bins."""
    found: dict[str, Rows] = {name: [] for name in pair}
    bins = set()
    for row in range(len(table.index)):
        chrom, start = table[schema.CHROM].loc[row], int(table[schema.START].loc[row])
        int(table[schema.END].loc[row])
        if chrom in found:
            window = chromosomes[chrom][start - LENGTH // 2 : start + LENGTH // 2].upper()
            if len(window) == LENGTH and "N" not in window:
                found[chrom].append((window, 1))
                bins.add(f"{chrom}:{start // LENGTH * LENGTH}")
    return [window for windows in found.values() for window in windows], bins


def _script_negatives(chromosomes: dict[str, Chromosome], table: pd.DataFrame, draws: dict, bins: set) -> Rows:
    """Return the negatives of a pair, by chromosome."""
    found: dict[str, Rows] = {name: [] for name in draws}
    for row in range(len(table.index)):
        chrom, start = table[schema.CHROM].loc[row], int(table[schema.START].loc[row])
        end = int(table[schema.END].loc[row])
        spent = [np.random.randint(10_000, 20_000) for _ in range(2)]  # noqa: NPY002 - drawn for every row, as there
        for d in next(draws[chrom]) if chrom in draws else spent:
            bin_ = (start - d) // LENGTH * LENGTH
            places = {f"{chrom}:{bin_}", f"{chrom}:{(end - d) // LENGTH * LENGTH}"}
            if chrom in found:
                window = chromosomes[chrom][bin_ : bin_ + LENGTH].upper()
                if len(window) == LENGTH and "N" not in window and not places & bins:
                    found[chrom].append((window, 0))
    return [window for windows in found.values() for window in windows]


def main() -> None:
    """Time all three and compare what they give."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("genome", type=Path)
    parser.add_argument("peaks", type=Path)
    given = parser.parse_args()
    genome = Genome.open(given.genome)
    table = read_peaks(given.peaks, genome)
    fasta = pyfaidx.Fasta(str(given.genome))
    chromosomes = {name: Chromosome(fasta, name) for name in genome.names}
    ours, seconds = _timed(lambda: by_capsight(genome, table), turns=3)
    print(f"{len(table):,} peaks, {len(ours):,} windows; CPU seconds", flush=True)
    print(f"capsight: {seconds:.2f} s", flush=True)
    for what, loop in (("the leanest loop", by_lean_loop), ("the script's loop", by_script_loop)):
        rows, taken = _timed(lambda loop=loop: loop(chromosomes, table), turns=1)
        if rows != ours:
            sys.exit(f"{what} gives other windows")
        print(f"{what}: {taken:.1f} s, {taken / seconds:.1f} times as long; same windows in the same order", flush=True)


def _timed(work: Callable[[], Rows], turns: int) -> tuple[Rows, float]:
    """Return what `work` gives, and the CPU seconds of its fastest turn."""
    times = []
    for _ in range(turns):
        began = time.process_time()
        rows = work()
        times.append(time.process_time() - began)
    return rows, min(times)


if __name__ == "__main__":
    main()
