"""`scan`: tracks and called TSSs of a genome as files, the same bytes in whatever steps."""

import logging
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pysam
import pytest

from capsight import api
from capsight.config import ScanConfig
from capsight.data.genome.genome import Genome
from capsight.data.io.bed import BED, has_thick, read_bed, read_records, records
from capsight.data.io.bigwig import BigWig
from capsight.errors import ConfigError, InputError
from capsight.model.track_folder import load_track
from capsight.predict import scan as stage
from capsight.predict import track
from capsight.predict.regions import spans
from capsight.predict.scan import scan
from capsight.predict.stream import find_sites
from capsight.predict.track import Tile, TrackScorer
from capsight.train.track.start import Start

from ..conftest import random_dna, save_tiny_track

#: Not in the order of their names; one is shorter than the halo, one has no bases.
CONTIGS = {"chrX": 5000, "chr10": 900, "tiny": 12, "none": 0, "chr2": 3000, "HLA:01": 400}
SORTED = ["HLA:01", "chr10", "chr2", "chrX", "tiny"]
FILES = ["minus.bw", "plus.bw", "provenance.yaml", "tss.bed", "tss.gff3"]


@pytest.fixture(scope="module")
def genome(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("scanned") / "genome.fa"
    texts = {name: random_dna(length, i) for i, (name, length) in enumerate(CONTIGS.items())}
    path.write_text("".join(f">{name}\n{text}\n" for name, text in texts.items()))
    return path


def config(**settings: object) -> ScanConfig:
    return ScanConfig.model_validate({"threads": 1} | settings)


@pytest.fixture(scope="module")
def scanned(tiny_track: Path, genome: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return scan(config(), tiny_track, genome, tmp_path_factory.mktemp("out") / "scan")


def results(folder: Path) -> dict[str, bytes]:
    """Return the files of a scan but for the record, which names paths."""
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir()) if path.name != "provenance.yaml"}


def whole(model: Path, genome: Path, chrom: str) -> Tile:
    """Return the track of a whole contig."""
    network, card = load_track(model)
    opened = Genome.open(genome)
    codes = opened.contig(opened.names.index(chrom))
    return Tile(0, len(codes), *(track[0] for track in TrackScorer(network, card.calibration).score(codes[None])))


def bed(folder: Path) -> list[list[str]]:
    return [line.split("\t") for line in (folder / "tss.bed").read_text().splitlines()]


@pytest.mark.parametrize("strand", ["plus", "minus"])
def test_bigwigs_hold_the_expected_tags_of_every_base(
    scanned: Path, tiny_track: Path, genome: Path, strand: str
) -> None:
    with BigWig(scanned / f"{strand}.bw") as bigwig:
        assert list(bigwig.chroms.items()) == [(chrom, CONTIGS[chrom]) for chrom in SORTED]
        for chrom in SORTED:
            tags = whole(tiny_track, genome, chrom).expected_tags[int(strand == "minus")]
            found = bigwig.values(chrom, 0, CONTIGS[chrom])
            kept = tags >= 0.01
            near = np.abs(tags - 0.01) < 1e-6
            assert ((np.isnan(found) != kept) | near).all()
            both = kept & ~np.isnan(found)
            np.testing.assert_allclose(found[both], tags[both], rtol=1e-4)


def test_calls_are_those_on_whole_contigs(scanned: Path, tiny_track: Path, genome: Path) -> None:
    rows = bed(scanned)
    assert len(rows) > 30
    found = {(row[0], int(row[6]), row[5]): row for row in rows}
    expected = {}
    for chrom in SORTED:
        sites = find_sites(whole(tiny_track, genome, chrom), 50, 0.3)
        for strand, position, probability, tags, strength in zip(*sites, strict=True):
            expected[chrom, int(position), "+-"[strand]] = (probability, tags, strength)
    assert found.keys() == expected.keys()
    for (chrom, position, strand), (probability, _, _) in expected.items():
        _, start, end, name, score, _, first, last, colour = found[chrom, position, strand]
        assert (int(start), int(end)) == (max(position - 10, 0), min(position + 11, CONTIGS[chrom]))
        assert int(last) == int(first) + 1
        assert re.fullmatch(re.escape(f"{chrom}:{position + 1}:{strand}") + r"\|p=[01]\.\d{4}", name)
        assert abs(int(score) / 1000 - probability) < 0.0006
        assert colour == {"+": "178,24,43", "-": "33,102,172"}[strand]
    gff = [line.split("\t") for line in (scanned / "tss.gff3").read_text().splitlines()]
    assert gff[0] == ["##gff-version 3"]
    assert [(row[0], int(row[3]) - 1, row[6]) for row in gff[1:]] == list(found)
    for row in gff[1:]:
        given = dict(field.split("=") for field in row[8].split(";"))
        values = [float(given[name]) for name in ("probability", "expected_tags", "strength")]
        np.testing.assert_allclose(values, expected[row[0], int(row[3]) - 1, row[6]], rtol=1e-4, atol=1e-6)
        assert row[1:4:2] + row[7:8] == ["capsight", row[4], "."]
        assert row[2] == "TSS"
        assert given["ID"] == f"{row[0]}:{row[3]}:{row[6]}"


def test_files_are_sorted_and_other_tools_read_them(scanned: Path, tmp_path: Path) -> None:
    rows = bed(scanned)
    places = [(row[0].encode(), int(row[1]), int(row[6])) for row in rows]
    assert places == sorted(places)
    assert {row[0] for row in rows} >= {"chr10", "chr2", "chrX"}
    for name, preset in (("tss.bed", "bed"), ("tss.gff3", "gff")):
        (tmp_path / name).write_bytes((scanned / name).read_bytes())
        indexed = pysam.TabixFile(pysam.tabix_index(str(tmp_path / name), preset=preset, force=True))
        assert len(list(indexed.fetch("chr2"))) == sum(row[0] == "chr2" for row in rows)
    with (scanned / "tss.bed").open() as handle:
        peaks = list(read_records(records(handle), scanned / "tss.bed"))
    assert has_thick(peaks)
    assert [peak.summit for peak in read_bed(peaks, BED, scanned)] == [int(row[6]) for row in rows]


def test_names_of_contigs_in_gff3_are_escaped(tiny_track: Path, tmp_path: Path) -> None:
    (tmp_path / "genome.fa").write_text(f">a;b=c&d,%\n{random_dna(2000, 1)}\n")
    out = scan(config(), tiny_track, tmp_path / "genome.fa", tmp_path / "scan")
    line = (out / "tss.gff3").read_text().splitlines()[1].split("\t")
    assert line[0] == "a%3Bb%3Dc%26d%2C%25"
    assert line[8].startswith("ID=a%3Bb%3Dc%26d%2C%25:")
    assert bed(out)[0][0] == "a;b=c&d,%"


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("again", [{"threads": 1}, {"threads": 3}])
def test_the_same_bytes_every_time(
    tiny_track: Path, genome: Path, tmp_path: Path, precision: str, again: dict[str, int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(track, "TILE_CPU", 600)
    one = scan(config(precision=precision), tiny_track, genome, tmp_path / "one")
    two = scan(config(precision=precision, **again), tiny_track, genome, tmp_path / "two")
    assert results(one) == results(two)
    assert sorted(path.name for path in one.iterdir()) == FILES


def test_tiles_change_no_call(
    tiny_track: Path, genome: Path, scanned: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(track, "TILE_CPU", 97)
    out = scan(config(), tiny_track, genome, tmp_path / "scan")
    assert [row[:3] + row[5:] for row in bed(out)] == [row[:3] + row[5:] for row in bed(scanned)]


def test_minus_may_be_negative(tiny_track: Path, genome: Path, scanned: Path, tmp_path: Path) -> None:
    out = scan(config(minus_negative=True), tiny_track, genome, tmp_path / "scan")
    mine, theirs = results(out), results(scanned)
    assert {name for name in mine if mine[name] != theirs[name]} == {"minus.bw"}
    with BigWig(out / "minus.bw") as negative, BigWig(scanned / "minus.bw") as positive:
        one, two = (bigwig.values("chr2", 0, 3000) for bigwig in (negative, positive))
    np.testing.assert_array_equal(one, -two)
    assert np.nanmax(one) < 0


@pytest.mark.parametrize(
    "region", ["chr2", "chr2:1001-2000", "chr2:1,001-2,000", "HLA:01", "HLA:01:11-400", "chrX:1-1"]
)
def test_a_region_has_what_the_whole_has_there(
    tiny_track: Path, genome: Path, scanned: Path, tmp_path: Path, region: str
) -> None:
    chrom, start, end = {
        "chr2": ("chr2", 0, 3000), "HLA:01": ("HLA:01", 0, 400), "HLA:01:11-400": ("HLA:01", 10, 400),
        "chrX:1-1": ("chrX", 0, 1),
    }.get(region, ("chr2", 1000, 2000))  # fmt: skip
    out = scan(config(region=region), tiny_track, genome, tmp_path / "scan")
    inside = [row for row in bed(scanned) if row[0] == chrom and start <= int(row[6]) < end]
    assert [row[:3] + row[5:] for row in bed(out)] == [row[:3] + row[5:] for row in inside]
    with BigWig(out / "plus.bw") as part, BigWig(scanned / "plus.bw") as all_of_it:
        assert part.chroms == {chrom: CONTIGS[chrom]}
        length = CONTIGS[chrom]
        one, two = (bigwig.values(chrom, 0, length) for bigwig in (part, all_of_it))
        two[:start] = two[end:] = np.nan
        np.testing.assert_allclose(one, two, rtol=1e-4)


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"region": "chrII"}, "region 'chrII': the genome has no contig 'chrII'"),
        ({"region": "2"}, "did you mean chr2?"),
        ({"region": "chr2:5"}, "region 'chr2:5': '5' is not a range of bases (write one base as chr2:5-5)"),
        ({"region": "chr2:1,005"}, "(write one base as chr2:1005-1005)"),
        ({"region": "chr2:,-,"}, "',-,' is not a range of bases (write it as chr2:1001-2000)"),
        ({"region": "chr2:1-,"}, "'1-,' is not a range of bases (write it as chr2:1001-2000)"),
        ({"region": "chr2:5-"}, "'5-' is not a range of bases (write it as chr2:1001-2000)"),
        ({"region": "chr2:1-100:-"}, "both strands are read here (leave the strand out: chr2:1-100)"),
        ({"region": "chr2:+"}, "both strands are read here (leave the strand out: chr2)"),
        ({"region": "2:1-100:-"}, "no contig"),
        ({"region": "chr2:0-10"}, "positions count from 1"),
        ({"region": "chr2:20-10"}, "has no bases"),
        ({"region": "chr2:2000-3001"}, "ends beyond chr2, which has 3,000 bases"),
        ({"region": "none"}, "region 'none' has no bases"),
        ({"shard": "1/6"}, "there are only 5 contigs"),
    ],
)
def test_regions_and_shards_that_are_not_there(
    tiny_track: Path, genome: Path, tmp_path: Path, settings: dict[str, str], says: str
) -> None:
    with pytest.raises(ConfigError) as error:
        scan(config(**settings), tiny_track, genome, tmp_path / "scan")
    assert says in str(error.value)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("shard", ["0/2", "3/2", "1/0", "a/b", "1", "1/2/3"])
def test_shards_that_are_none(shard: str) -> None:
    says = "there is no share 3 of 2" if shard == "3/2" else "write the second of eight shares as 2/8"
    with pytest.raises(ValueError, match=says):
        config(shard=shard)


@pytest.mark.parametrize(
    ("card", "says"),
    [
        (None, "is not a model folder: capsight.json is missing"),
        ('{"task": "tra', r"capsight\.json: is not a model card that this version of capsight can read"),
        ("{}", r"capsight\.json: is not a model card that this version of capsight can read"),
    ],
)
def test_a_damaged_card_is_not_taken_for_a_model_of_another_kind(
    tiny_track: Path, tmp_path: Path, card: str | None, says: str
) -> None:
    model = shutil.copytree(tiny_track, tmp_path / "model")
    (model / "capsight.json").unlink()
    if card is not None:
        (model / "capsight.json").write_text(card)
    for use in (stage.check_track, Start.from_model):
        with pytest.raises(InputError, match=says):
            use(model)


def test_shards_are_about_as_long(genome: Path) -> None:
    opened = Genome.open(genome)
    shares = [spans(opened, shard=f"{i}/2") for i in (1, 2)]
    assert [[span.chrom for span in share] for share in shares] == [["chrX"], ["HLA:01", "chr10", "chr2", "tiny"]]


def test_thresholds_of_the_card_and_others(tiny_track: Path, genome: Path, scanned: Path, tmp_path: Path) -> None:
    all_of_them = scan(config(min_probability=0), tiny_track, genome, tmp_path / "all")
    few = scan(config(min_probability=0.5, distance=300), tiny_track, genome, tmp_path / "few")
    assert len(bed(all_of_them)) > len(bed(scanned)) > len(bed(few)) > 0
    assert min(int(row[4]) for row in bed(few)) >= 500
    assert {tuple(row) for row in bed(scanned)} <= {tuple(row) for row in bed(all_of_them)}
    tags = {}
    for least in (0, 0.04):
        out = scan(config(min_expected_tags=least), tiny_track, genome, tmp_path / f"{least}")
        with BigWig(out / "plus.bw") as bigwig:
            tags[least] = bigwig.n_bases()
    assert tags[0] == sum(CONTIGS.values()) > tags[0.04] > 0


def test_a_model_without_threshold_is_reported(genome: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    model = save_tiny_track(tmp_path / "model", calibrated=False)
    with caplog.at_level(logging.WARNING, logger="capsight"):
        scan(config(region="chr2"), model, genome, tmp_path / "scan")
    assert "the model has no threshold of its own" in caplog.text


def test_a_window_model_is_refused(pretrained: Path, genome: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"is not a track model: .*capsight predict"):
        scan(config(), pretrained, genome, tmp_path / "scan")
    assert not list(tmp_path.iterdir())


def test_a_genome_without_calls_or_values_makes_empty_files(tiny_track: Path, genome: Path, tmp_path: Path) -> None:
    out = scan(config(region="tiny", min_probability=1, min_expected_tags=1e9), tiny_track, genome, tmp_path / "scan")
    assert (out / "tss.bed").read_text() == ""
    assert (out / "tss.gff3").read_text() == "##gff-version 3\n"
    with BigWig(out / "plus.bw") as bigwig:
        assert bigwig.chroms == {"tiny": 12}
        assert list(zip(*bigwig.intervals("tiny", 0, 12), strict=True)) == [(0, 1, 0)]


def test_contigs_that_are_done_are_not_scanned_again(
    tiny_track: Path, genome: Path, scanned: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found: list[str] = []
    original = stage.scan_span

    def watched(scorer: object, genome: object, span: stage.Span, *rest: object) -> object:
        found.append(span.chrom)
        if len(found) == 3:
            raise RuntimeError("the power is cut")
        return original(scorer, genome, span, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(stage, "scan_span", watched)
    with pytest.raises(RuntimeError):
        scan(config(), tiny_track, genome, tmp_path / "scan")
    assert (tmp_path / "scan.partial").is_dir()
    with pytest.raises(InputError, match=r"unfinished scan of other settings.*--restart"):
        scan(config(min_probability=0.9), tiny_track, genome, tmp_path / "scan")
    out = scan(config(threads=2), tiny_track, genome, tmp_path / "scan")
    assert found == [*SORTED[:3], *SORTED[2:]]
    assert results(out) == results(scanned)
    assert [path.name for path in tmp_path.iterdir()] == ["scan"]


@pytest.mark.pipeline
@pytest.mark.parametrize("until", ["0000001", "0000003.partial", "minus.bw"])
def test_killed_and_given_again_it_has_the_same_bytes(
    tiny_track: Path, genome: Path, scanned: Path, tmp_path: Path, until: str
) -> None:
    code = (
        "import sys, time; from pathlib import Path\n"
        "from capsight.config import ScanConfig\n"
        "from capsight.predict import scan as stage\n"
        "def slowly(function):\n"
        "    def call(*given):\n"
        "        time.sleep(0.1); result = function(*given); time.sleep(0.2); return result\n"
        "    return call\n"
        "stage._scan_part, stage.write_tags = slowly(stage._scan_part), slowly(stage.write_tags)\n"
        "writers_of = stage.write_part\n"
        "def halting(*given):\n"
        "    for stretch in writers_of(*given): time.sleep(0.3); yield stretch\n"
        "stage.write_part = halting\n"
        "stage.scan(ScanConfig(threads=1), *map(Path, sys.argv[1:]))\n"
    )
    command = [sys.executable, "-c", code, str(tiny_track), str(genome), str(tmp_path / "scan")]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    began = time.monotonic()
    while not list(tmp_path.glob(f"scan.partial/**/{until}")):
        assert process.poll() is None
        assert time.monotonic() - began < 60
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    out = scan(config(), tiny_track, genome, tmp_path / "scan")
    assert results(out) == results(scanned)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["scan"]


def test_the_api_calls_the_same(tiny_track: Path, genome: Path, scanned: Path) -> None:
    found = api.load(tiny_track).scan(genome)
    rows = bed(scanned)
    assert list(found) == ["chrom", "position", "strand", "probability", "expected_tags"]
    for column, i in (("chrom", 0), ("strand", 5)):
        assert found[column].tolist() == [row[i] for row in rows]
    assert found["position"].tolist() == [int(row[6]) for row in rows]
    assert [f"{p:.4f}" for p in found["probability"]] == [row[3].rpartition("=")[2] for row in rows]
