"""The paper's protocol against a literal restatement of it: loops and string slices, the same draws."""

import numpy as np
import pandas as pd
import pytest

from capsight.data import schema
from capsight.data.genome.alphabet import decode
from capsight.data.genome.genome import Genome
from capsight.data.io.fasta import read_fasta
from capsight.data.peaks.reader import read_peaks
from capsight.paper.windows import paper_windows


def restated(chromosomes, peaks, length, rng):
    """Return sequences and labels as the paper's scripts make them.

    `chromosomes` maps names to strings in genome order, `peaks` maps names to lists of (start, end).
    """
    result = []
    names = [name for name in chromosomes if peaks.get(name)]
    for first in range(0, len(names), 2):
        positives, negatives = [], []
        for name in names[first : first + 2]:
            chromosome = chromosomes[name]
            draws = rng.integers(10_000, 20_000, size=(len(peaks[name]), 2))
            positive_bins = set()
            for start, _ in peaks[name]:
                left = start - length // 2
                window = chromosome[left : start + length // 2].upper()
                if len(window) == length and "N" not in window:
                    positives.append((window, 1))
                    positive_bins.add(start // length * length)
            for (start, end), pair in zip(peaks[name], draws, strict=True):
                for d in pair:
                    bin_ = (start - int(d)) // length * length
                    window = chromosome[bin_ : bin_ + length].upper()
                    if bin_ in positive_bins or (end - int(d)) // length * length in positive_bins:
                        continue
                    if len(window) == length and "N" not in window:
                        negatives.append((window, 0))
        order = rng.permutation(len(negatives))
        negatives = [negatives[i] for i in order][: len(positives) + 1]
        rows = list(dict.fromkeys(positives + negatives))
        order = rng.permutation(len(rows))
        result += [rows[i] for i in order]
    return result


def compare(genome_path, table, length, seed):
    """Check every window, in order; return the laid windows."""
    genome = Genome.open(genome_path)
    peaks = {
        name: list(zip(rows.start.tolist(), rows.end.tolist(), strict=True))
        for name, rows in table.groupby(schema.CHROM)
    }
    expected = restated(dict(read_fasta(genome_path)), peaks, length, np.random.default_rng(seed))
    laid = paper_windows(genome, table, length, np.random.default_rng(seed))
    found = decode(genome.fetch(laid.contig, laid.start, length, np.zeros(len(laid.start), bool)))
    assert list(zip(found, laid.label.tolist(), strict=True)) == expected
    return laid


def random_world(write_fasta, seed):
    """Return four chromosomes with runs of N and repeats, and peaks on three of them."""
    rng = np.random.default_rng(seed)
    contigs = {}
    for i in range(4):
        parts = ["".join(rng.choice(list("ACGTacgt"), size)) for size in rng.integers(8_000, 14_000, 3)]
        repeat = "".join(rng.choice(list("ACGT"), 1_024))
        contigs[f"c{i}"] = ("N" * 200).join([parts[0], repeat * 4, parts[1], repeat * 2, parts[2]])
    rows = []
    for name in ("c2", "c0", "c3"):
        starts = rng.integers(0, len(contigs[name]) - 50, 60)
        starts[:3] = [20, len(contigs[name]) - 60, len(parts[0]) + 4]
        rows += [(name, int(s), int(s + n)) for s, n in zip(starts, rng.integers(1, 50, 60), strict=True)]
    table = pd.DataFrame(rows, columns=[schema.CHROM, schema.START, schema.END])
    return write_fasta(contigs), table


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("length", [64, 512])
def test_equals_the_restatement_on_random_genomes(write_fasta, seed, length):
    path, table = random_world(write_fasta, seed)
    laid = compare(path, table, length, seed)
    assert set(laid.label) == {0, 1}


def test_every_quirk_occurs_in_what_is_compared(write_fasta):
    path, table = random_world(write_fasta, 0)
    laid = paper_windows(Genome.open(path), table, 64, np.random.default_rng(0))
    assert all(laid.dropped[1][reason] for reason in ("N", "off the contig end")), laid.dropped
    reasons = ("N", "off the contig end", "in the bin of a positive", "surplus", "duplicate")
    assert all(laid.dropped[0][reason] for reason in reasons), laid.dropped
    assert sum(laid.dropped[0].values()) + (laid.label == 0).sum() == 2 * len(table)
    assert sum(laid.dropped[1].values()) + (laid.label == 1).sum() == len(table)


def test_bins_before_the_start_are_counted_from_the_end(write_fasta):
    rng = np.random.default_rng(1)
    path = write_fasta({"c": "".join(rng.choice(list("ACGT"), 30_001))})
    table = pd.DataFrame([("c", 300, 310)], columns=[schema.CHROM, schema.START, schema.END])
    laid = compare(path, table, 512, 7)
    negatives = laid.start[laid.label == 0]
    assert len(negatives) == 2  # one more than positives: the inclusive slice
    assert (negatives > 10_000).all()
    assert ((30_001 - negatives) % 512 == 0).all()


@pytest.mark.real
@pytest.mark.parametrize("world", ["yeast", "hg19mini"])
def test_equals_the_restatement_on_real_genomes(world, request):
    inputs = request.getfixturevalue(world)
    table = read_peaks(inputs.peaks, Genome.open(inputs.genome))
    laid = compare(inputs.genome, table, 512, 1)
    assert len(laid.start) > 4_000
