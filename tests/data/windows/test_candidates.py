import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from capsight.data import schema
from capsight.data.genome.alphabet import Composition
from capsight.data.genome.genome import Genome
from capsight.data.genome.stretches import Stretches
from capsight.data.peaks.index import PeakIndex
from capsight.data.windows import candidates as pools
from capsight.data.windows.candidates import CandidateRegions, GcRepeatBins, around, draw_matched, places_in, spread

LENGTH = 20


def peak_table(peaks):
    table = pd.DataFrame(peaks, columns=[schema.CHROM, schema.START, schema.END])
    return table.astype({schema.CHROM: object, schema.START: np.int64, schema.END: np.int64})


def measured(gc, repeat):
    return Composition(np.array(gc, float), np.array(repeat, float), np.zeros(len(gc), np.int64))


@settings(max_examples=60, deadline=None)
@given(
    sizes=st.lists(st.integers(1, 90), min_size=1, max_size=4),
    peaks=st.lists(st.tuples(st.integers(0, 3), st.integers(0, 80), st.integers(1, 10)), max_size=5),
    exclusion=st.integers(0, 30),
    distance=st.none() | st.integers(0, 40),
)
def test_a_pool_holds_every_free_place_once(tmp_path_factory, sizes, peaks, exclusion, distance):
    path = tmp_path_factory.mktemp("g") / "genome.fa"
    path.write_text("".join(f">c{i}\n{'A' * size}\n" for i, size in enumerate(sizes)))
    genome = Genome.open(path)
    peaks = [(c % len(sizes), s, s + n) for c, s, n in peaks]
    peaks = [(c, s, e) for c, s, e in peaks if e <= sizes[c]]
    table = peak_table([(f"c{c}", s, e) for c, s, e in peaks])
    contigs = np.arange(len(sizes))
    reach = (
        places_in(Stretches.whole(genome, contigs), LENGTH)
        if distance is None
        else around(genome, table, distance, LENGTH)
    )
    pool = CandidateRegions(genome, reach, PeakIndex.from_peaks(table, genome, exclusion), LENGTH)

    def gap(contig, start):
        return min((max(s - start - LENGTH, start - e) for c, s, e in peaks if c == contig), default=10**6)

    expected = [
        (contig, start)
        for contig, size in enumerate(sizes)
        for start in range(size - LENGTH + 1)
        if gap(contig, start) >= exclusion and (distance is None or gap(contig, start) <= distance)
        if not any(c == contig and s < start + LENGTH and start < e for c, s, e in peaks)
    ]
    located = pool.locate(np.arange(pool.places))
    assert list(zip(*(column.tolist() for column in located), strict=True)) == expected


def test_grid_cells_do_not_suffer_from_rounding():
    shares = np.arange(0, 101) / 100
    assert GcRepeatBins(repeat=False).cell(measured(shares, shares)).tolist() == [i // 2 * 11 for i in range(101)]
    assert GcRepeatBins(gc=False).cell(measured(shares, shares)).tolist() == [-(-i // 10) for i in range(101)]
    assert set(GcRepeatBins(gc=False, repeat=False).cell(measured(shares, shares))) == {0}
    assert len(set(GcRepeatBins().cell(measured([0.5, 0.5, 0.53, 0.53], [0, 0.01, 0, 0.01])))) == 4


def test_names_choose_what_is_matched():
    assert GcRepeatBins.from_names(("gc",)) == GcRepeatBins(gc=True, repeat=False)
    assert GcRepeatBins.from_names(("repeat", "gc")) == GcRepeatBins()


def test_the_nearest_cells_are_taken_first():
    grid = GcRepeatBins()
    cell = lambda gc, repeat=0: gc * 11 + repeat  # noqa: E731
    have, wanted = np.zeros(grid.size, int), np.zeros(grid.size, int)
    have[[cell(10), cell(11), cell(13), cell(12, 2), cell(20)]] = [2, 1, 1, 1, 1]
    wanted[[cell(10), cell(12)]] = [1, 3]
    take, moved = pools._fill_from_neighbours(have, wanted, grid)
    assert {i: n for i, n in enumerate(take) if n} == {cell(10): 2, cell(11): 1, cell(13): 1}
    assert moved == 3


def test_composition_is_matched_cell_by_cell(write_fasta):
    rng = np.random.default_rng(5)
    parts = []
    for i in range(120):
        gc = 0.3 + 0.4 * (i % 2)
        part = "".join(rng.choice(list("ACGT"), 500, p=[(1 - gc) / 2, gc / 2, gc / 2, (1 - gc) / 2]))
        parts.append(part.lower() if i % 3 == 0 else part)
    genome = Genome.open(write_fasta({"c": "".join(parts)}))
    grid, index = GcRepeatBins(), PeakIndex.from_peaks(peak_table([]), genome)
    pool = CandidateRegions(genome, places_in(Stretches.whole(genome, [0]), 100), index, 100)
    wanted = np.zeros(grid.size, int)
    common = grid.cell(measured([0.3, 0.3, 0.7], [0, 1.0, 0.0]))
    wanted[common] = [80, 50, 20]
    found = draw_matched(pool, wanted, grid, rng)
    cells = grid.cell(genome.composition(*pool.locate(found.place), 100))
    assert np.bincount(cells, minlength=grid.size).tolist() == wanted.tolist()
    assert found.moved == 0
    assert len(set(found.place.tolist())) == 150


def test_a_cell_that_the_genome_lacks_is_made_up_for_and_counted(write_fasta):
    genome = Genome.open(write_fasta({"a": "AC" * 2_000}))  # every window has 50 % GC
    pool = CandidateRegions(
        genome, places_in(Stretches.whole(genome, [0]), LENGTH), PeakIndex.from_peaks(peak_table([]), genome), LENGTH
    )
    grid = GcRepeatBins()
    wanted = np.bincount(grid.cell(measured([0.5, 0.56, 0.44], [0, 0, 0.5])), minlength=grid.size)
    found = draw_matched(pool, wanted, grid, np.random.default_rng(0))
    assert (len(found.place), found.moved) == (3, 2)


def test_places_are_uniform_over_contigs_of_different_length(write_fasta):
    rng = np.random.default_rng(3)
    contigs = {name: "".join(rng.choice(list("ACGT"), size)) for name, size in (("short", 10_000), ("long", 90_000))}
    genome = Genome.open(write_fasta(contigs))
    pool = CandidateRegions(
        genome,
        places_in(Stretches.whole(genome, [0, 1]), LENGTH),
        PeakIndex.from_peaks(peak_table([]), genome),
        LENGTH,
    )
    grid = GcRepeatBins(gc=False, repeat=False)
    wanted = np.bincount(np.zeros(2_000, int), minlength=grid.size)
    contig, start = pool.locate(draw_matched(pool, wanted, grid, rng).place)
    assert 0.07 < (contig == 0).mean() < 0.13
    assert np.histogram(start[contig == 1], bins=9)[0].min() > 140


def test_large_pools_are_drawn_in_rounds_without_repeats(write_fasta, monkeypatch):
    monkeypatch.setattr(pools, "_FIRST_DRAW", 64)  # many small rounds, far from all places
    rng = np.random.default_rng(1)
    genome = Genome.open(write_fasta({"a": "".join(rng.choice(list("ACGT"), 20_000))}))
    pool = CandidateRegions(
        genome, places_in(Stretches.whole(genome, [0]), 100), PeakIndex.from_peaks(peak_table([]), genome), 100
    )
    grid = GcRepeatBins()
    wanted = np.bincount(grid.cell(measured(np.full(300, 0.42), np.zeros(300))), minlength=grid.size)
    found = draw_matched(pool, wanted, grid, rng)
    assert len(set(found.place.tolist())) == 300
    gc = genome.composition(*pool.locate(found.place), 100).gc
    assert ((gc >= 0.42) & (gc < 0.44)).mean() > 0.9
    assert found.moved == (~((gc >= 0.42) & (gc < 0.44 - 1e-9))).sum()


@settings(deadline=None)
@given(st.lists(st.integers(0, 560), min_size=1, max_size=40), st.integers(1, 200))
def test_spread_repeats_values_evenly(values, n):
    cells = np.array(values)
    like = spread(cells, n)
    assert len(like) == n
    assert set(like) <= set(values)
    if n % len(cells) == 0:
        assert like.tolist() == np.repeat(np.sort(cells), n // len(cells)).tolist()


@pytest.mark.parametrize("n", [0, 5])
def test_nowhere_to_draw(write_fasta, n):
    genome = Genome.open(write_fasta({"a": "ACGT"}))
    pool = CandidateRegions(
        genome, places_in(Stretches.whole(genome, [0]), LENGTH), PeakIndex.from_peaks(peak_table([]), genome), LENGTH
    )
    wanted = np.bincount(np.zeros(n, int), minlength=GcRepeatBins().size)
    assert pool.places == 0
    assert len(draw_matched(pool, wanted, GcRepeatBins(), np.random.default_rng(0)).place) == 0
