import logging

import pytest
import yaml

from capsight.config import ClusterConfig
from capsight.data.ctss.stage import cluster
from capsight.data.genome.genome import Genome
from capsight.data.peaks.reader import read_peaks
from capsight.errors import InputError

#: All tags, whatever their number.
ALL = {"min_tpm": 0, "min_cluster_tpm": 0}
ROW = "{}\t{}\t{}\t.\t{}\t{}\n"


@pytest.fixture
def counts(tmp_path):
    def write(places, name="x.ctss.bed"):
        path = tmp_path / name
        path.write_text("".join(ROW.format(c, p, p + 1, n, s) for c, p, s, n in places))
        return path

    return write


PLACES = [
    ("chrII", 50, "+", 3), ("chrI", 10, "+", 2), ("chrI", 12, "+", 5), ("chrI", 33, "+", 5), ("chrI", 10, "-", 1),
    ("chrI", 54, "+", 9), ("chrI", 11, "-", 4),
]  # fmt: skip


def test_peaks_are_bed9_in_fantom5s_layout(counts, tmp_path, write_fasta):
    out = cluster(ClusterConfig(distance=21, **ALL), tmp_path / "peaks.bed", [counts(PLACES)])
    assert out.read_text() == (
        "chrII\t50\t51\tchrII:50..51,+\t3\t+\t50\t51\t255,0,0\n"
        "chrI\t10\t12\tchrI:10..12,-\t5\t-\t11\t12\t0,0,255\n"
        "chrI\t10\t55\tchrI:10..55,+\t21\t+\t54\t55\t255,0,0\n"
    )
    table = read_peaks(out, Genome.open(write_fasta({"chrI": "ACGT" * 20, "chrII": "ACGT" * 20})))
    assert table.summit.tolist() == [50, 11, 54]


def test_thresholds_hold_for_positions_and_clusters(counts, tmp_path):
    path = counts(PLACES)  # 29 tags: 1 tag is 34,483 per million

    def peaks(**given):
        out = cluster(ClusterConfig(**ALL | given), tmp_path / "peaks.bed", [path])
        return [line.split("\t")[3] for line in out.read_text().splitlines()]

    every = ["chrII:50..51,+", "chrI:10..12,-", "chrI:10..13,+", "chrI:33..34,+", "chrI:54..55,+"]
    assert peaks(distance=20) == every
    assert peaks(distance=20, min_cluster_tags=5) == every[1:]
    assert peaks(distance=20, min_cluster_tpm=5.01e6 / 29) == [every[2], every[4]]
    assert peaks(distance=20, min_tags=4) == ["chrI:11..12,-", "chrI:12..13,+", *every[3:]]
    assert peaks(distance=20, min_tpm=4.99e6 / 29) == ["chrI:12..13,+", *every[3:]]
    assert peaks(distance=20, min_tags=9) == every[4:]


def test_replicates_count_as_one_and_their_order_does_not(counts, tmp_path):
    whole = counts(PLACES)
    halves = [counts(PLACES[:4], "a.bed"), counts(PLACES[4:], "b.bed")]
    config = ClusterConfig(**ALL)
    one = cluster(config, tmp_path / "one.bed", [whole]).read_bytes()
    assert cluster(config, tmp_path / "two.bed", halves).read_bytes() == one
    record = yaml.safe_load((tmp_path / "two.bed.provenance.yaml").read_text())
    assert list(record["inputs"]) == ["counts1", "counts2"]


def test_done_work_is_skipped(counts, tmp_path, caplog):
    path = counts(PLACES)
    with caplog.at_level(logging.INFO):
        cluster(ClusterConfig(**ALL), tmp_path / "peaks.bed", [path])
        cluster(ClusterConfig(**ALL), tmp_path / "peaks.bed", [path])
    assert "5 peaks with 100.0 % of all tags" in caplog.text
    assert caplog.text.count("is done already") == 1


def test_counts_with_fractions_keep_them(counts, tmp_path):
    out = cluster(ClusterConfig(**ALL), tmp_path / "p.bed", [counts([("chrI", 5, "+", 0.5), ("chrI", 6, "+", 0.25)])])
    assert out.read_text().split("\t")[4] == "0.750000"


@pytest.mark.parametrize(
    ("files", "settings", "message"),
    [
        ({}, {}, r"there are no counts \(name BED files, or bigWig or bedGraph files: --plus and --minus"),
        ({"plus": ["x"]}, {}, "1 files of counts for plus and 0 for minus"),
        ({"counts": ["x", "x"]}, {}, "x.ctss.bed: is named twice"),
        ({"counts": ["x"]}, {"min_cluster_tags": 22}, r"no cluster reaches the thresholds \(lower"),
        ({"counts": ["x"]}, {"min_tags": 22}, "no cluster reaches the thresholds"),
        ({"counts": ["x"]}, {"min_tags": 22, "method": "paraclu"}, "no cluster reaches the thresholds"),
        ({"counts": ["x"]}, {"min_cluster_tags": 22, "method": "paraclu"}, "no cluster reaches the thresholds"),
    ],
)
def test_bad_input_leaves_nothing_behind(counts, tmp_path, files, settings, message):
    path = counts(PLACES)
    given = {kind: [path for _ in names] for kind, names in files.items()}
    with pytest.raises(InputError, match=message):
        cluster(ClusterConfig(**ALL | settings), tmp_path / "peaks.bed", **given)
    assert [p.name for p in tmp_path.iterdir()] == ["x.ctss.bed"]


@pytest.mark.real
class TestYeast:
    def test_the_peaks_beside_the_counts_come_back_byte_for_byte(self, yeast, tmp_path):
        config = ClusterConfig(distance=25, min_tags=3, min_cluster_tags=20, **ALL)
        reps = sorted(yeast.peaks.parent.glob("stripeseq.ypd.rep*.ctss.bed.gz"))
        out = cluster(config, tmp_path / "peaks.bed", [yeast.peaks.parent / "stripeseq.ypd.ctss.bed.gz"])
        assert out.read_bytes() == yeast.peaks.read_bytes()
        assert cluster(config, tmp_path / "reps.bed", reps).read_bytes() == yeast.peaks.read_bytes()

    def test_paraclu_finds_the_same_promoters(self, yeast, tmp_path):
        config = ClusterConfig(method="paraclu", min_tags=3, min_cluster_tags=20, **ALL)
        out = cluster(config, tmp_path / "peaks.bed", [yeast.peaks.parent / "stripeseq.ypd.ctss.bed.gz"])
        genome = Genome.open(yeast.genome)
        table, other = read_peaks(out, genome), read_peaks(yeast.peaks, genome)
        assert 5_000 < len(table) < 7_000
        assert (table.end - table.start <= 201).all()
        shared = set(zip(other.chrom, other.strand, other.summit, strict=True))
        mine = set(zip(table.chrom, table.strand, table.summit, strict=True))
        assert len(shared & mine) > 0.85 * len(shared)
