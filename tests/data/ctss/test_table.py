"""The 5' ends beside windows: of counts or summits, summed, of other names, damaged."""

import logging
import shutil

import numpy as np
import pyarrow.parquet as pq
import pytest

from capsight.config import WindowsConfig
from capsight.data.ctss.table import read_ctss_table
from capsight.data.windows.stage import windows
from capsight.data.windows.windows import Windows
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
        given = {"length": LENGTH, "validation": "chrII", "test": "chrIII", "exclusion_bp": 20} | settings
        config = WindowsConfig(genome=genome, peaks=peaks, ctss=tuple(files), **given)
        return Windows.open(windows(config, tmp_path / out))

    return run


def tags_of(data):
    return read_ctss_table(data.folder / "ctss.parquet", data.genome)


def test_counts_are_read_as_they_were_written(make):
    counts = ctss()
    tags = tags_of(make(bed(counts)))
    names = [CONTIGS[contig] for contig in tags.contig], tags.position.tolist(), ["+-"[x] for x in tags.minus]
    assert dict(zip(zip(*names, strict=True), tags.counts.tolist(), strict=True)) == counts


def test_without_counts_the_summits_are_the_five_ends(make):
    data = make()
    assert tags_of(data).counts.tolist() == [1] * len(PEAKS)
    table = pq.read_table(data.folder / "ctss.parquet").to_pandas()
    assert list(table.columns) == ["chrom", "position", "strand", "count"]
    assert sorted(zip(table.chrom, table.position, table.strand, strict=True)) == sorted(PEAKS)


def test_counts_are_summed_sorted_and_the_same_bytes(make):
    one, two = ctss(1), ctss(2)
    forth, back = make(bed(one), bed(two)), make(bed(two), bed(one), out="back")
    paths = [data.folder / "ctss.parquet" for data in (forth, back)]
    assert paths[0].read_bytes() == paths[1].read_bytes()
    table = pq.read_table(paths[0]).to_pandas()
    keys = list(zip(table.chrom.map(CONTIGS.index), table.strand == "-", table.position, strict=True))
    assert keys == sorted(set(keys))
    assert table["count"].sum() == sum(one.values()) + sum(two.values())
    assert set(one) | set(two) == set(zip(table.chrom, table.position, table.strand, strict=True))


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
    assert (data.folder / "ctss.parquet").read_bytes() == (plain.folder / "ctss.parquet").read_bytes()


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
    (data.folder / "ctss.parquet").unlink()
    with pytest.raises(InputError, match=r"ctss.parquet: there is no such file.*make them again"):
        tags_of(data)
    shutil.copyfile(data.folder / "windows.parquet", data.folder / "ctss.parquet")
    with pytest.raises(InputError, match=r"ctss.parquet: is not a table of 5' ends"):
        tags_of(data)
    table = pq.read_table(make(out="again").folder / "ctss.parquet")
    for wrong in (
        table.slice(0, 0),
        table.take([1, 0, *range(2, len(table))]),
        table.set_column(1, "position", [[900] * len(table)]),
    ):
        pq.write_table(wrong, data.folder / "ctss.parquet")
        with pytest.raises(InputError, match="is not a table of 5' ends of this genome"):
            tags_of(data)
