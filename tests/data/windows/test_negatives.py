import numpy as np
import pandas as pd
import pytest

from capsight.config import WindowsConfig
from capsight.data import schema
from capsight.data.genome.genome import Genome
from capsight.data.genome.stretches import Stretches
from capsight.data.windows.negatives import STRATEGIES, NegativeRequest, share_out
from capsight.data.windows.stranded import StrandedIntervals, read_codes

LENGTH = 20


def text(rng, size, gc=0.5):
    return "".join(rng.choice(list("ACGT"), size, p=[(1 - gc) / 2, gc / 2, gc / 2, (1 - gc) / 2]))


@pytest.fixture
def world(write_fasta):
    """Return a function that asks a strategy for negatives of two contigs with a few peaks each."""
    rng = np.random.default_rng(4)
    contigs = {
        "c0": text(rng, 30_000, 0.35) + "N" * 9 + text(rng, 3_000, 0.65),
        "c1": text(rng, 25_000).lower() + text(rng, 900),
        "empty": text(rng, 9_000),
    }
    genome = Genome.open(write_fasta(contigs))
    everything = Stretches.whole(genome, [0, 1, 2])
    rows = [(f"c{i}", s, s + n, strand) for i in (0, 1) for s, n, strand in ((15_000, 30, "+"), (24_000, 9, "-"))]
    peaks = pd.DataFrame(rows, columns=[schema.CHROM, schema.START, schema.END, schema.STRAND])

    def ask(name, n, like=None, seed=1, regions=None, within=None, **settings):
        given = {"genome": "g", "peaks": "p", "length": LENGTH, "exclusion_bp": 50, "negatives": name} | settings
        config = WindowsConfig(**given, negatives_file="n.bed" if name == "bed" else None)
        like = like or StrandedIntervals(np.array([0, 1]), np.array([14_990, 14_990]), np.array([False, True]))
        rng = np.random.default_rng(seed)
        return STRATEGIES[name](
            NegativeRequest(genome, config, within or everything, peaks, peaks, like, n, rng, regions)
        )

    ask.genome, ask.peaks = genome, peaks
    return ask


def gaps(world, places):
    rows = list(world.peaks.itertuples())
    names = world.genome.names
    return [
        min((max(p.start - s - LENGTH, s - p.end) for p in rows if p.chrom == names[c]), default=None)
        for c, s in zip(places.contig, places.start, strict=True)
    ]


def test_uniform_is_even_over_contigs_with_peaks_and_strands(world):
    places = world("uniform", 3_000).places
    share = 33_009 / (33_009 + 25_900)
    assert abs((places.contig == 0).mean() - share) < 0.03
    assert set(places.contig) == {0, 1}
    assert abs(places.minus.mean() - 0.5) < 0.04
    assert min(gaps(world, places)) >= 50


def test_matched_follows_gc_and_repeats_of_the_positives(world):
    rich = StrandedIntervals(np.zeros(30, int), 30_100 + 60 * np.arange(30), np.zeros(30, bool))
    lower = StrandedIntervals(np.ones(30, int), 1_000 + 60 * np.arange(30), np.zeros(30, bool))
    measure = lambda places: world.genome.composition(places.contig, places.start, LENGTH)  # noqa: E731
    drawn = world("matched", 300, rich)
    assert np.sort(measure(drawn.places).gc).tolist() == np.sort(np.repeat(measure(rich).gc, 10)).tolist()
    assert drawn.moved == 0
    assert set(measure(drawn.places).repeat) == {0}
    assert set(measure(world("matched", 300, lower).places).repeat) == {1}
    only_gc = world("matched", 300, lower, match_on="gc").places
    assert set(measure(only_gc).repeat) >= {0, 1}
    assert np.sort(measure(only_gc).gc).tolist() == np.sort(np.repeat(measure(lower).gc, 10)).tolist()


def test_flank_keeps_its_range_on_both_sides(world):
    near = np.array(gaps(world, world("flank", 2_000, flank_range="0,400").places))
    assert (near.min(), near.max()) == (50, 400)
    far = np.array(gaps(world, world("flank", 2_000, flank_range="200,600").places))
    assert (far.min(), far.max()) == (200, 600)
    few = world("flank", 2_000, flank_range="0,51").places
    assert sorted(gaps(world, few)) == [50] * 8 + [51] * 8  # all there are: four peaks, two sides


def test_shuffles_keep_every_dinucleotide_of_the_positives_in_turn(world):
    places = world("shuffled", 5).places
    assert places.contig.tolist() == [0, 0, 0, 1, 1]
    assert places.copy.tolist() == [1, 2, 3, 1, 2]
    codes = read_codes(world.genome, places, LENGTH, seed=3)
    own = read_codes(world.genome, places._replace(copy=None), LENGTH, seed=3)
    pairs = lambda row: sorted(zip(row[:-1].tolist(), row[1:].tolist(), strict=True))  # noqa: E731
    assert [pairs(row) for row in codes] == [pairs(row) for row in own]
    assert len({row.tobytes() for row in codes} | {row.tobytes() for row in own}) == 7
    other = read_codes(world.genome, places, LENGTH, seed=4)
    assert (other != codes).any(axis=1).all()


def test_haldar2026_lies_on_the_grid_before_peaks_but_keeps_the_exclusion_zone(world):
    drawn = world("haldar2026", 60, exclusion_bp=5_000)
    places = drawn.places
    # a bin before the start is counted from the end, as in the paper's scripts
    assert ((places.start % LENGTH == 0) | ((world.genome.lengths[places.contig] - places.start) % LENGTH == 0)).all()
    assert not places.minus.any()
    before = [
        any(10_000 - LENGTH < p.start - s < 20_000 + LENGTH for p in world.peaks.itertuples() if p.chrom == f"c{c}")
        for c, s in zip(places.contig, places.start, strict=True)
        if s < 24_000
    ]
    assert all(before)
    assert len(before) > 30
    assert min(gaps(world, places)) >= 5_000
    assert drawn.dropped["in the exclusion zone of a peak"] > 0
    assert len(set(zip(places.contig.tolist(), places.start.tolist(), strict=True))) == 60


def test_bed_takes_the_users_own_centred_and_counts_what_it_cannot(world):
    rows = [
        ("c0", 100, 140, "-"),  # longer: its middle
        ("empty", 205, 206, "."),  # shorter: centred; contigs without peaks will do
        ("c0", 14_970, 14_990, "+"),  # 10 bases from a peak
        ("c0", 5, 8, "+"),  # off the end
        ("c0", 30_000, 30_004, "+"),  # N
        ("c0", 110, 130, "+"),  # the first again
    ]
    regions = pd.DataFrame(rows, columns=[schema.CHROM, schema.START, schema.END, schema.STRAND])
    drawn = world("bed", 9, regions=regions)
    assert list(zip(drawn.places.contig.tolist(), drawn.places.start.tolist(), strict=True)) == [(0, 110), (2, 195)]
    assert drawn.places.minus[0]
    assert {reason: n for reason, n in drawn.dropped.items() if n} == {
        "off the contig end": 1, "N": 1, "in the exclusion zone of a peak": 1, "at the place of another": 1,
    }  # fmt: skip
    assert len(world("bed", 1, regions=regions).places.start) == 1
    assert world("bed", 1, regions=regions).dropped["surplus"] == 1
    elsewhere = world("bed", 9, regions=regions, within=Stretches.whole(world.genome, [1, 2]))
    assert elsewhere.places.contig.tolist() == [2]


@pytest.mark.parametrize("name", STRATEGIES)
def test_nothing_wanted_gives_nothing(world, name):
    regions = pd.DataFrame([("c0", 100, 140, "-")], columns=[schema.CHROM, schema.START, schema.END, schema.STRAND])
    none = StrandedIntervals(np.zeros(0, int), np.zeros(0, int), np.zeros(0, bool))
    assert len(world(name, 0, none, regions=regions).places.start) == 0


def test_shares_add_up():
    assert share_out(10, {"matched": 1.0}) == {"matched": 10}
    assert share_out(10, {"matched": 3.0, "flank": 1.0}) == {"matched": 8, "flank": 2}
    assert share_out(7, {"matched": 1.0, "flank": 1.0, "uniform": 1.0}) == {"matched": 3, "flank": 2, "uniform": 2}
    assert share_out(0, {"matched": 0.5, "flank": 0.5}) == {"matched": 0, "flank": 0}
