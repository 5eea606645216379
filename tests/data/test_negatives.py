import logging

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from capsight.data import negatives, schema
from capsight.data.genome import Genome, encode
from capsight.data.negatives import matched, spread
from capsight.data.peaks import PeakIndex

LENGTH = 20


def text(rng, size, gc=0.5):
    return "".join(rng.choice(list("ACGT"), size, p=[(1 - gc) / 2, gc / 2, gc / 2, (1 - gc) / 2]))


def peak_table(peaks):
    table = pd.DataFrame(peaks, columns=[schema.CHROM, schema.START, schema.END])
    return table.astype({schema.START: np.int64, schema.END: np.int64})


@pytest.fixture
def islands(write_fasta):
    """Return a genome that alternates between 30 and 70 % GC every 500 bases."""
    rng = np.random.default_rng(5)
    contigs = {f"c{i}": "".join(text(rng, 500, 0.3 + 0.4 * (j % 2)) for j in range(40)) for i in range(2)}
    return Genome.open(write_fasta(contigs))


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    peaks=st.lists(st.tuples(st.integers(0, 1), st.integers(0, 390), st.integers(1, 10)), max_size=5),
    exclusion=st.integers(0, 40),
    wanted=st.integers(0, 60),
)
def test_every_negative_keeps_the_rules(tmp_path_factory, seed, peaks, exclusion, wanted):
    rng = np.random.default_rng(seed)
    contigs = [text(rng, 150) + "N" * 7 + text(rng, 243), text(rng, 400), text(rng, 400), text(rng, 15)]
    path = tmp_path_factory.mktemp("g") / "genome.fa"
    path.write_text("".join(f">c{i}\n{contig}\n" for i, contig in enumerate(contigs)))
    genome = Genome.open(path)
    index = PeakIndex.of(peak_table([(f"c{c}", s, s + n) for c, s, n in peaks]), genome, exclusion)
    like = rng.random(wanted)
    chosen = np.array([0, 1, 3])  # the last is shorter than a window
    drawn = matched(genome, index, chosen, like, LENGTH, np.random.default_rng(seed))

    zones = [(c, s - exclusion, s + n + exclusion) for c, s, n in peaks]
    usable = {
        (c, s)
        for c in (0, 1)
        for s in range(400 - LENGTH + 1)
        if "N" not in contigs[c][s : s + LENGTH] and not any(k == c and a < s + LENGTH and s < b for k, a, b in zones)
    }
    places = list(zip(drawn.contig.tolist(), drawn.start.tolist(), strict=True))
    assert len(set(places)) == len(places)
    assert set(places) <= usable
    assert len(places) == min(wanted, len(usable))
    again = matched(genome, index, chosen, like, LENGTH, np.random.default_rng(seed))
    assert all(np.array_equal(a, b) for a, b in zip(drawn, again, strict=True))


def test_gc_is_matched_bin_by_bin(islands, caplog):
    rng = np.random.default_rng(0)
    like = np.concatenate([rng.integers(20, 40, 300), rng.integers(58, 78, 100)]) / 100
    with caplog.at_level(logging.INFO):
        drawn = matched(islands, PeakIndex.of(peak_table([]), islands), np.array([0, 1]), like, 100, rng)
    gc = islands.composition(drawn.contig, drawn.start, 100).gc
    count = lambda values: np.bincount(np.floor(values / 0.02 + 1e-9).astype(int), minlength=51)  # noqa: E731
    assert count(gc).tolist() == count(like).tolist()
    assert caplog.text == ""
    assert 0.4 < drawn.minus.mean() < 0.6
    assert 0.3 < drawn.contig.mean() < 0.7


def test_places_are_uniform_over_contigs_of_different_length(write_fasta):
    rng = np.random.default_rng(3)
    genome = Genome.open(write_fasta({"short": text(rng, 10_000), "long": text(rng, 90_000)}))
    like = np.full(2_000, 0.5)
    drawn = matched(genome, PeakIndex.of(peak_table([]), genome), np.array([0, 1]), like, LENGTH, rng)
    assert 0.07 < (drawn.contig == 0).mean() < 0.13
    assert np.histogram(drawn.start[drawn.contig == 1], bins=9)[0].min() > 140


def test_an_exhausted_bin_is_filled_from_the_nearest(write_fasta, caplog):
    genome = Genome.open(write_fasta({"a": "AC" * 2_000}))  # every window has 50 % GC
    with caplog.at_level(logging.INFO):
        drawn = matched(
            genome, PeakIndex.of(peak_table([]), genome), np.array([0]), np.array([0.5, 0.56, 0.44]), LENGTH,
            np.random.default_rng(0),
        )  # fmt: skip
    assert len(drawn.start) == 3
    assert "2 of 3 come from a neighbouring GC bin" in caplog.text


def test_the_nearest_bins_are_taken_first():
    bins = np.array([10, 10, 11, 13, 20])
    wanted = np.zeros(51, int)
    wanted[[10, 12]] = [1, 3]
    taken, moved = negatives._fill_from_neighbours(np.array([True, False, False, False, False]), bins, wanted)
    assert taken.tolist() == [True, True, True, True, False]
    assert moved == 3


def test_a_shortfall_is_said_with_numbers(write_fasta, caplog):
    genome = Genome.open(write_fasta({"a": "ACGT" * 20}))
    index = PeakIndex.of(peak_table([("a", 30, 60)]), genome, 5)
    drawn = matched(genome, index, np.array([0]), np.full(50, 0.5), LENGTH, np.random.default_rng(0))
    assert sorted(drawn.start) == [0, 1, 2, 3, 4, 5]
    assert "50 wanted, 6 found" in caplog.text


def test_nothing_wanted_or_nowhere_to_draw(write_fasta):
    genome = Genome.open(write_fasta({"a": "ACGT" * 20}))
    index = PeakIndex.of(peak_table([]), genome)
    rng = np.random.default_rng(0)
    assert len(matched(genome, index, np.array([0]), np.zeros(0), LENGTH, rng).start) == 0
    assert len(matched(genome, index, np.zeros(0, np.int64), np.zeros(0), LENGTH, rng).start) == 0


def test_pools_are_drawn_with_replacement_from_large_genomes_without_repeats(islands, monkeypatch):
    monkeypatch.setattr(negatives, "_SMALLEST_POOL", 64)  # many small rounds, far from all places
    drawn = matched(
        islands, PeakIndex.of(peak_table([]), islands), np.array([0, 1]), np.full(300, 0.3), 100,
        np.random.default_rng(0),
    )  # fmt: skip
    assert len(set(zip(drawn.contig.tolist(), drawn.start.tolist(), strict=True))) == 300
    gc = islands.composition(drawn.contig, drawn.start, 100).gc
    assert abs(gc.mean() - 0.31) < 0.005


@settings(deadline=None)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=40), st.integers(1, 200))
def test_spread_repeats_values_evenly(values, n):
    gc = np.array(values)
    like = spread(gc, n)
    assert len(like) == n
    assert set(like) <= set(values)
    if n % len(gc) == 0:
        assert like.tolist() == np.repeat(np.sort(gc), n // len(gc)).tolist()


def test_gc_bins_do_not_suffer_from_rounding():
    shares = np.arange(0, 101) / 100
    assert negatives._bin(shares).tolist() == [i // 2 for i in range(101)]
    assert encode("GC").tolist() == [2, 1]
