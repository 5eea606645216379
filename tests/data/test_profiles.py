"""5' ends per base of a window: against brute force, on both strands, moved, off the contig, shuffled."""

import logging
import shutil

import numpy as np
import pyarrow.parquet as pq
import pytest

from capsight.config import WindowsConfig
from capsight.data.profiles import Profiles, draw_shifts, middle_half
from capsight.data.windows import Windows, windows
from capsight.errors import InputError

LENGTH, SIZE = 40, 900
CONTIGS = ("chrI", "chrII", "chrIII")
PEAKS = [(c, s, "+-"[i % 2]) for c in CONTIGS for i, s in enumerate((21, 300, 620, 878))]


def ctss(seed=0, n=600):
    rng = np.random.default_rng(seed)
    rows = {(CONTIGS[rng.integers(3)], int(rng.integers(SIZE)), "+-"[rng.integers(2)]) for _ in range(n)}
    return {place: int(rng.integers(1, 50)) for place in sorted(rows)}


def bed(counts):
    return "".join(f"{c}\t{p}\t{p + 1}\t.\t{n}\t{strand}\n" for (c, p, strand), n in counts.items())


@pytest.fixture
def make(write_fasta, tmp_path):
    """Return a function that lays windows on three contigs, with counts where they are given."""
    rng = np.random.default_rng(5)
    genome = write_fasta({name: "".join(rng.choice(list("ACGT"), SIZE)) for name in CONTIGS})
    peaks = tmp_path / "peaks.bed"
    peaks.write_text("".join(f"{c}\t{s - 3}\t{s + 4}\tp\t0\t{x}\t{s}\t{s + 1}\t0\n" for c, s, x in PEAKS))

    def run(*texts, out="windows", **settings):
        files = [tmp_path / f"{out}{i}.bed" for i in range(len(texts))]
        for file, text in zip(files, texts, strict=True):
            file.write_text(text)
        given = {"length": LENGTH, "validation": "chrII", "test": "chrIII", "exclusion": 20} | settings
        config = WindowsConfig(genome=genome, peaks=peaks, ctss=tuple(files), **given)
        return Windows.open(windows(config, tmp_path / out))

    return run


def brute(data, row, shift, counts):
    """Return the profile of one window, base by base."""
    window = data.table.iloc[row]
    minus = window.strand == "-"
    start = window.start + (-shift if minus else shift)
    profile = [counts.get((window.chrom, start + i, window.strand), 0) for i in range(LENGTH)]
    return profile[::-1] if minus else profile


def test_profiles_are_those_of_brute_force_on_both_strands_and_moved(make):
    counts = ctss()
    data = make(bed(counts), ratio=2.0)
    rng = np.random.default_rng(1)
    for part in (data, data.fold("test")):
        profiles = Profiles.open(part)
        rows = rng.permutation(np.repeat(np.arange(len(part.table)), 3))
        shift = rng.integers(-30, 30, len(rows))  # far enough to leave the contig
        found = profiles.counts(rows, shift)
        assert found.dtype == np.float32
        assert found.tolist() == [brute(part, r, s, counts) for r, s in zip(rows, shift, strict=True)]
        still = profiles.counts(rows)
        assert still.tolist() == [brute(part, r, 0, counts) for r in rows]
        assert (still.sum(axis=1) > 0).mean() > 0.5
    assert set(data.table.strand) == {"+", "-"}


def test_a_move_takes_profile_and_bases_alike(make):
    data = make(bed(ctss()))
    rows = np.flatnonzero(data.labels == 1)
    shift = draw_shifts(len(rows), LENGTH, np.random.default_rng(0))
    counts, codes = Profiles.open(data).counts, data.codes
    for by, row in zip(shift, rows, strict=True):
        at = np.array([row])
        keep, moved = slice(max(by, 0), LENGTH + min(by, 0)), slice(max(-by, 0), LENGTH + min(-by, 0))
        here = np.array([by])
        assert codes(at)[0, keep].tolist() == codes(at, here)[0, moved].tolist()
        assert counts(at)[0, keep].tolist() == counts(at, here)[0, moved].tolist()


@pytest.mark.parametrize("least", [5, 60])
def test_windows_around_any_five_ends_are_those_of_brute_force(make, least):
    counts = ctss(n=90) | {("chrI", 3, "+"): 80, ("chrI", 898, "-"): 80}  # windows that leave the contig
    profiles = Profiles.open(make(bed(counts)).fold("train")).around(least)  # chrI
    expected = []
    for strand in "+-":
        here = sorted((p, n) for (c, p, s), n in counts.items() if (c, s) == ("chrI", strand) and n >= 2)
        runs = [[here[0]]]
        for place in here[1:]:
            if place[0] - runs[-1][-1][0] > 25:
                runs.append([])
            runs[-1].append(place)
        tops = [max(run, key=lambda place: (place[1], -place[0])) for run in runs if sum(n for _, n in run) >= least]
        expected += [(strand, position, n) for position, n in tops]
    table, rows = profiles.windows.table, np.arange(len(expected))
    assert set(table.chrom) == {"chrI"}
    found = profiles.counts(rows)[:, LENGTH // 2]
    middle = np.where(table.strand == "-", table.end - 1 - LENGTH // 2, table.start + LENGTH // 2)
    assert list(zip(table.strand, middle, found, strict=True)) == expected
    assert profiles.windows.codes(rows, draw_shifts(len(rows), LENGTH, np.random.default_rng(0))).shape[1] == LENGTH


def test_where_there_are_too_few_five_ends_no_windows_are_laid(make):
    profiles = Profiles.open(make().fold("train"))  # one 5' end for each summit
    assert not len(profiles.around(5).windows.table)


def test_without_counts_the_summits_are_the_five_ends(make, caplog):
    data = make()
    profile = Profiles.open(data).counts(np.arange(len(data.table)))
    for row, label in zip(profile, data.labels, strict=True):
        assert np.flatnonzero(row).tolist() == ([LENGTH // 2] if label else [])
    assert profile.max() == 1
    table = pq.read_table(data.folder / "five_ends.parquet").to_pandas()
    assert list(table.columns) == ["chrom", "position", "strand", "count"]
    assert sorted(zip(table.chrom, table.position, table.strand, strict=True)) == sorted(PEAKS)


def test_counts_are_summed_sorted_and_the_same_bytes(make, caplog):
    one, two = ctss(1), ctss(2)
    forth, back = make(bed(one), bed(two)), make(bed(two), bed(one), out="back")
    paths = [data.folder / "five_ends.parquet" for data in (forth, back)]
    assert paths[0].read_bytes() == paths[1].read_bytes()
    table = pq.read_table(paths[0]).to_pandas()
    keys = list(zip(table.chrom.map(CONTIGS.index), table.strand == "-", table.position, strict=True))
    assert keys == sorted(set(keys))
    assert table["count"].sum() == sum(one.values()) + sum(two.values())
    assert set(one) | set(two) == set(zip(table.chrom, table.position, table.strand, strict=True))


def test_a_shuffled_window_has_no_five_ends(make):
    data = make(bed(ctss()), negatives="shuffled")
    profile = Profiles.open(data).counts(np.arange(len(data.table)))
    assert (profile[data.labels == 0] == 0).all()
    assert (profile[data.labels == 1].sum(axis=1) > 0).all()


def test_other_names_and_unknown_contigs(make, tmp_path, caplog):
    counts = ctss()
    aliases = tmp_path / "aliases.txt"
    aliases.write_text("".join(f"{name}\t{name[3:]}\n" for name in CONTIGS))
    renamed = bed({(c[3:], p, s): n for (c, p, s), n in counts.items()} | {("plasmid", 3, "+"): 7, ("M", 1, "-"): 2})
    with caplog.at_level(logging.WARNING):
        data = make(renamed, aliases=aliases)
    assert "9 tags at 2 positions are on 2 contigs that genome.fa lacks" in caplog.text
    assert "are left out: 'plasmid', 'M'" in caplog.text
    plain = make(bed(counts), out="plain")
    assert (data.folder / "five_ends.parquet").read_bytes() == (plain.folder / "five_ends.parquet").read_bytes()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("I\t3\t4\t.\t4\t+\n", r"windows0.bed: contig 'I' is not in genome.fa, which has 'chrI', nor .*--aliases"),
        ("chrI\t900\t901\t.\t4\t+\n", r"windows0.bed: a 5' end at 900, but chrI has 900 bases \(counts of another"),
        ("chrI\t3\t9\t.\t4\t+\n", r"windows0.bed:1: is 6 bases wide"),
        ("", "holds no counts"),
    ],
)
def test_bad_counts_are_said_and_leave_nothing(make, tmp_path, text, message):
    with pytest.raises(InputError, match=message):
        make(text)
    assert not [path for path in tmp_path.glob("windows*") if path.is_dir()]


def test_a_file_of_counts_named_twice_is_refused(make, tmp_path):
    make(bed(ctss()))
    config = {
        "genome": tmp_path / "genome.fa",
        "peaks": tmp_path / "peaks.bed",
        "ctss": [tmp_path / "windows0.bed"] * 2,
    }
    with pytest.raises(InputError, match=r"windows0.bed: is named twice: its counts would be doubled"):
        windows(WindowsConfig(**config), tmp_path / "twice")
    with pytest.raises(InputError, match=r"none.bed: there is no such file"):
        windows(WindowsConfig(**config | {"ctss": "none.bed"}), tmp_path / "twice")


def test_windows_without_five_ends_say_so(make, tmp_path):
    data = make()
    (data.folder / "five_ends.parquet").unlink()
    with pytest.raises(InputError, match=r"five_ends.parquet: there is no such file.*make them again"):
        Profiles.open(data)
    shutil.copyfile(data.folder / "windows.parquet", data.folder / "five_ends.parquet")
    with pytest.raises(InputError, match=r"five_ends.parquet: is not a table of 5' ends"):
        Profiles.open(data)
    table = pq.read_table(make(out="again").folder / "five_ends.parquet")
    for wrong in (
        table.slice(0, 0),
        table.take([1, 0, *range(2, len(table))]),
        table.set_column(1, "position", [[900] * len(table)]),
    ):
        pq.write_table(wrong, data.folder / "five_ends.parquet")
        with pytest.raises(InputError, match="is not a table of 5' ends of this genome"):
            Profiles.open(data)


def test_moved_middles_lie_anywhere_in_the_middle_half():
    for length in (40, 42, 512):
        part = middle_half(length)
        shift = draw_shifts(20_000, length, np.random.default_rng(0))
        assert set((length // 2 - shift).tolist()) == set(range(length)[part])
        assert len(range(length)[part]) == length // 2


@pytest.mark.real
def test_yeast_summits_have_the_most_five_ends(yeast, tmp_path):
    counts = yeast.peaks.with_name("stripeseq.ypd.ctss.bed.gz")
    config = WindowsConfig(**yeast._asdict(), ctss=(counts,), validation="chrVII", test="chrIV")
    data = Windows.open(windows(config, tmp_path / "windows"))
    profile = Profiles.open(data).counts(np.flatnonzero(data.labels == 1))
    negative = Profiles.open(data).counts(np.flatnonzero(data.labels == 0))
    near = profile[:, 256 - 5 : 256 + 6]
    assert (near.argmax(axis=1) == 5).mean() > 0.97  # the others have equals, or another peak begins
    assert (profile.argmax(axis=1) == 256).mean() > 0.8
    assert profile.sum() > 40 * negative.sum()
