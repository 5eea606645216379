"""Crops: what they hold, beside a reading base by base; where they lie; and that their number says all."""

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from capsight.config.track import CropsConfig
from capsight.data import schema
from capsight.data.ctss.ctss import Ctss
from capsight.data.ctss.table import ctss_from_summits
from capsight.data.genome.alphabet import encode
from capsight.data.genome.genome import Genome
from capsight.data.genome.stretches import Stretches
from capsight.errors import InputError
from capsight.train.track.crops import CropSource, Places, croppable

SIZES = {"chrA": 700, "chrB": 90, "chrC": 400}
HALO = 13
COMPLEMENT = {"A": "T", "C": "G", "G": "C", "T": "A", "N": "N"}


@pytest.fixture(scope="module")
def contigs() -> dict[str, str]:
    rng = np.random.default_rng(0)
    return {name: "".join(rng.choice(list("ACGTN"), size)) for name, size in SIZES.items()}


@pytest.fixture(scope="module")
def genome(contigs: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Genome:
    path: Path = tmp_path_factory.mktemp("crops") / "genome.fa"
    path.write_text("".join(f">{name}\n{sequence}\n" for name, sequence in contigs.items()))
    return Genome.open(path)


@pytest.fixture(scope="module")
def tags(genome: Genome) -> Ctss:
    rng = np.random.default_rng(1)
    places = [
        (contig, minus, position)
        for contig, size in enumerate(SIZES.values())
        for minus in (0, 1)
        for position in range(size)
        if rng.random() < 0.1
    ]
    contig, minus, position = np.array(places).T
    return Ctss(contig, position, minus, rng.integers(1, 9, len(places)).astype(float))


PEAKS = [
    ("chrA", 20, "+"),
    ("chrA", 695, "+"),
    ("chrA", 600, "-"),
    ("chrA", 300, "-"),
    ("chrB", 5, "+"),
    ("chrC", 399, "-"),
]


def source(genome: Genome, tags: Ctss, names: list[str], seed: int = 5, **settings: Any) -> CropSource:
    peaks = pd.DataFrame(PEAKS, columns=[schema.CHROM, schema.SUMMIT, schema.STRAND])
    config = CropsConfig(length=64, **settings)
    return CropSource.from_windows(genome, tags, peaks, names, HALO, config, seed)


@pytest.mark.parametrize("minus", [False, True])
@pytest.mark.parametrize("contig", [0, 1, 2])
@pytest.mark.parametrize("start", [-63, -20, 0, 17, 60, 89, 350, 699])
def test_a_crop_is_what_stands_there(
    genome: Genome, tags: Ctss, contigs: dict[str, str], contig: int, minus: bool, start: int
) -> None:
    crops = source(genome, tags, list(SIZES))
    found = crops.at(np.array([contig]), np.array([minus]), np.array([start]))
    text = contigs[list(SIZES)[contig]]
    order = range(start - HALO, start + 64 + HALO)
    letters = [text[i] if 0 <= i < len(text) else "N" for i in order]
    counts = {(c, m, p): n for c, m, p, n in zip(tags.contig, tags.minus, tags.position, tags.counts, strict=True)}
    expected = [counts.get((contig, int(minus), i), 0) for i in range(start, start + 64)]
    peaks = {(list(SIZES).index(name), strand == "-", at) for name, at, strand in PEAKS}
    summits = [float((contig, minus, i) in peaks) for i in range(start, start + 64)]
    if minus:
        letters = [COMPLEMENT[letter] for letter in reversed(letters)]
        expected, summits = expected[::-1], summits[::-1]
    assert found.codes[0].tolist() == encode("".join(letters)).tolist()
    assert found.tags[0].tolist() == expected
    assert found.summits[0].tolist() == summits


def test_several_crops_are_read_as_each_of_them(genome: Genome, tags: Ctss) -> None:
    crops = source(genome, tags, list(SIZES))
    contig, minus, start = np.array([0, 2, 0]), np.array([True, False, False]), np.array([600, -5, 30])
    together = crops.at(contig, minus, start)
    for i in range(3):
        alone = crops.at(contig[[i]], minus[[i]], start[[i]])
        for one, other in zip(together, alone, strict=True):
            assert np.array_equal(one[[i]], other)


def test_batches_are_a_function_of_seed_and_number(genome: Genome, tags: Ctss) -> None:
    settings = {"peak_fraction": 0.4, "batch_size": 6}
    there, again = (source(genome, tags, ["chrA", "chrC"], **settings) for _ in range(2))
    assert np.array_equal(there.at(*there.places(2)).codes, again.batch(2).codes)
    late = again.batch(7)  # asked for first
    for number in (0, 7):
        for one, other in zip(there.batch(number), again.batch(number), strict=True):
            assert np.array_equal(one, other)
    assert np.array_equal(late.codes, there.batch(7).codes)
    assert not np.array_equal(there.batch(0).codes, there.batch(1).codes)
    assert not np.array_equal(
        there.batch(0).codes, source(genome, tags, ["chrA", "chrC"], seed=6, **settings).batch(0).codes
    )
    assert len(there.batch(3).codes) == 6


def test_a_crop_does_not_depend_on_the_size_of_its_batch(genome: Genome, tags: Ctss) -> None:
    small, large = (source(genome, tags, ["chrA"], batch_size=size) for size in (2, 6))
    assert np.array_equal(np.concatenate([small.batch(i).codes for i in range(3)]), large.batch(0).codes)


@pytest.mark.parametrize("settings", [{}, {"peak_fraction": 1.0}, {"peak_fraction": 0.5}])
def test_only_the_training_contigs_are_drawn(genome: Genome, tags: Ctss, settings: dict[str, float]) -> None:
    crops = source(genome, tags, ["chrA", "chrC"], **settings)
    drawn = [crops._draw(i) for i in range(500)]
    assert {contig for contig, _, _ in drawn} == {0, 2}
    assert {minus for _, minus, _ in drawn} == {0, 1}


def test_each_pass_reads_every_base_of_both_strands_once(genome: Genome, tags: Ctss) -> None:
    crops = source(genome, tags, ["chrA", "chrB"])
    starts = []
    for number in (0, 1, 7):
        seen = {(contig, minus): np.zeros(list(SIZES.values())[contig]) for contig in (0, 1) for minus in (0, 1)}
        drawn = [crops._draw(number * crops.crops_per_pass + i) for i in range(crops.crops_per_pass)]
        for contig, minus, start in drawn:
            seen[contig, minus][max(start, 0) : max(start + 64, 0)] += 1
        assert all((times == 1).all() for times in seen.values())
        starts.append(drawn)
    assert starts[0] != starts[1]
    assert {start for _, _, start in starts[0]} != {start for _, _, start in starts[1]}


#: Parts of chrA and chrC, and the whole of chrB.
PARTS = ["chrA:101-340", "chrA:501-680", "chrB", "chrC:301-364"]
BOUNDS = {0: [(100, 340), (500, 680)], 2: [(300, 364)]}


def test_crops_of_a_part_lie_inside_and_none_overlap_in_a_pass(genome: Genome, tags: Ctss) -> None:
    crops = source(genome, tags, PARTS)
    assert crops.crops_per_pass == 2 * (3 + 2 + 3 + 1)
    starts = set()
    for number in range(8):
        seen = {(contig, minus): np.zeros(list(SIZES.values())[contig]) for contig in range(3) for minus in (0, 1)}
        drawn = [crops._draw(number * crops.crops_per_pass + i) for i in range(crops.crops_per_pass)]
        for contig, minus, start in drawn:
            seen[contig, minus][max(start, 0) : max(start + 64, 0)] += 1
            if contig in BOUNDS:
                assert any(low <= start and start + 64 <= high for low, high in BOUNDS[contig]), (contig, start)
        assert all((times <= 1).all() for times in seen.values())
        assert all((seen[1, minus] == 1).all() for minus in (0, 1)), "whole contigs are read to their ends"
        assert {(c, m) for c, m, _ in drawn} == set(seen)
        starts |= {start for contig, _, start in drawn if contig == 0}
    assert len(starts) > 30


def test_crops_around_peaks_of_a_part_are_moved_inside(genome: Genome, tags: Ctss) -> None:
    crops = source(genome, tags, ["chrA:201-340", "chrA:501-680", "chrC:301-400"], peak_fraction=1.0)
    bounds = {0: [(200, 340), (500, 680)], 2: [(300, 400)]}
    drawn = [crops._draw(i) for i in range(400)]
    for contig, minus, start in drawn:
        assert any(low <= start and start + 64 <= high for low, high in bounds[contig]), (contig, start)
        place = Places(np.array([contig]), np.array([bool(minus)]), np.array([start]))
        assert crops.at(*place).summits.any()
    assert {(contig, minus) for contig, minus, _ in drawn} == {(0, 1), (2, 1)}, "two of the six lie inside"


def test_what_lies_beyond_a_part_changes_no_crop_of_it(genome: Genome, tags: Ctss) -> None:
    parts = Stretches.named(genome, PARTS)
    inside = parts.find(tags.contig, tags.position) >= 0
    other = Ctss(*(column[inside] for column in tags))
    one = source(genome, tags, PARTS, peak_fraction=0.3)
    peaks = pd.DataFrame(
        [p for p in PEAKS if parts.find(genome.index([p[0]]), np.array([p[1]]))[0] >= 0],
        columns=[schema.CHROM, schema.SUMMIT, schema.STRAND],
    )
    assert len(peaks) < len(PEAKS)
    again = CropSource.from_windows(genome, other, peaks, PARTS, HALO, one.config, one.seed)
    for number in range(30):
        for mine, theirs in zip(one.batch(number), again.batch(number), strict=True):
            np.testing.assert_array_equal(mine, theirs)


def test_parts_shorter_than_a_crop_are_left_out_and_named(genome: Genome, caplog: pytest.LogCaptureFixture) -> None:
    given = Stretches.named(genome, ["chrA:1-63", "chrA:101-164", "chrB", "chrC:2-9"])
    assert croppable(given, 64, "train").names == ("chrA:101-164", "chrB")
    assert "of the train fold that are shorter than a crop (64 bases) are left out: chrA:1-63, chrC:2-9" in caplog.text
    caplog.clear()
    assert croppable(given, 91, "train").names == ("chrB",), "a whole contig may be shorter"
    with pytest.raises(InputError, match=r"train fold: no region of it is as long as a crop \(64 bases\)"):
        croppable(Stretches.named(genome, ["chrA:1-63"]), 64, "train")


def test_peaks_lie_anywhere_in_their_crops(genome: Genome, tags: Ctss) -> None:
    crops = source(genome, tags, ["chrA"], peak_fraction=1.0)
    places: Counter[int] = Counter()
    for i in range(3000):
        contig, minus, start = crops._draw(i)
        inside = [s - start for name, s, strand in PEAKS if name == "chrA" and (strand == "-") == minus]
        inside = [at for at in inside if 0 <= at < 64]
        assert contig == 0
        assert len(inside) == 1
        places[inside[0]] += 1
    assert set(places) == set(range(64))
    assert max(places.values()) < 3 * min(places.values())


def test_without_peaks_all_crops_are_drawn_anywhere(genome: Genome, tags: Ctss) -> None:
    empty = pd.DataFrame({schema.CHROM: [], schema.SUMMIT: [], schema.STRAND: []})
    config = CropsConfig(length=64, peak_fraction=1.0)
    crops = CropSource.from_windows(genome, tags, empty, ["chrC"], HALO, config, 1)
    assert not len(ctss_from_summits(empty, genome).contig)
    assert crops.batch(0).codes.shape == (config.batch_size, 64 + 2 * HALO)


def test_unknown_contigs_are_refused(genome: Genome, tags: Ctss) -> None:
    with pytest.raises(ValueError, match="not all in the genome"):
        source(genome, tags, ["chrA", "chrX"])
