"""Parts of a genome, beside sets of bases."""

import numpy as np
import pytest

from capsight.data.genome.contig_names import Aliases
from capsight.data.genome.genome import Genome
from capsight.data.genome.stretches import Span, Stretches, read_span
from capsight.errors import ConfigError

SIZES = {"a": 30, "b": 17, "c": 1, "a:2-3": 9}


@pytest.fixture
def genome(write_fasta):
    return Genome.open(write_fasta({name: "A" * size for name, size in SIZES.items()}))


def bases(stretches):
    rows = zip(stretches.contig, stretches.start, stretches.end, strict=True)
    return {(int(contig), base) for contig, start, end in rows for base in range(start, end)}


def drawn(genome, rng):
    contig = rng.integers(0, len(SIZES), 5)
    ends = np.sort([rng.integers(0, genome.lengths[contig] + 1) for _ in range(2)], axis=0)
    return Stretches.from_intervals(genome, contig, *ends)


@pytest.mark.parametrize("seed", range(20))
def test_they_are_sets_of_bases(genome, seed):
    rng = np.random.default_rng(seed)
    one, other = drawn(genome, rng), drawn(genome, rng)
    assert bases(one.shared(other)) == bases(one) & bases(other)
    assert bases(one.without(other)) == bases(one) - bases(other)
    assert bases(Stretches.named(genome, one.names)) == bases(one)
    everything = [(contig, base) for contig, size in enumerate(SIZES.values()) for base in range(-2, size + 2)]
    contig, base = np.array(everything).T
    found = one.find(contig, base)
    assert {place for place, row in zip(everything, found.tolist(), strict=True) if row >= 0} == bases(one)
    held = one.holds(contig, base, 4)
    expected = [all((c, b + i) in bases(one) for i in range(4)) for c, b in everything]
    assert held.tolist() == expected


def test_they_are_sorted_and_parts_that_touch_are_one(genome):
    found = Stretches.from_intervals(genome, [1, 0, 0, 0, 2, 0], [0, 9, 3, 5, 1, 20], [17, 12, 5, 7, 1, 20])
    assert found.names == ("a:4-7", "a:10-12", "b")
    assert found.is_whole.tolist() == [False, False, True]
    assert found.sizes.tolist() == [4, 3, 17]
    assert Stretches.whole(genome, [2, 1]).names == ("b", "c")
    none = found.without(found)
    assert (none.names, none.find(np.array([0]), np.array([4])).tolist()) == ((), [-1])


def test_regions_are_read_as_a_scan_reads_them(genome):
    assert read_span(genome, "a:4-7") == Span("a", 0, 3, 7)
    assert read_span(genome, "a:2-3") == Span("a:2-3", 3, 0, 9)  # a contig's own name comes first
    with pytest.raises(ConfigError, match="test fold: 'd:1-2': the genome has no contig 'd'"):
        Stretches.named(genome, ["a", "d:1-2"], "test fold:")


def test_other_names_of_contigs_stand_in_regions_too(genome, tmp_path):
    (tmp_path / "alias.txt").write_text("a\tNC_1\nb\tNC_2:x\n")
    aliases = Aliases.read(tmp_path / "alias.txt", genome)
    assert aliases.regions(["NC_1:3-9", "NC_2:x", "NC_2:x:1-2", "c:1-1", "NC_1"]) == (
        "a:3-9",
        "b",
        "b:1-2",
        "c:1-1",
        "a",
    )
