"""The picture of a place: what it shows is what was observed and what the model answers; what is refused."""

import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import capsight
from capsight.config import PlotConfig, ScanConfig
from capsight.data.genome.alphabet import encode
from capsight.errors import ConfigError, InputError
from capsight.plot.plot import BEFORE, BEHIND, _locus, plot
from capsight.predict.scan import scan
from capsight.variants.effects import LEAST_TAGS

from ..conftest import random_dna

REGION = "chr2:1001-1600"
GENES = (
    "chr2\tx\tgene\t1050\t1300\t.\t-\t.\tID=g1;Name=LEFT1\nchr2\tx\tCDS\t1050\t1100\t.\t-\t.\tParent=g1\n"
    "chr2\tx\tgene\t1280\t1590\t.\t+\t.\tID=g2;Name=RIGHT1\n"
)
CTSS = "chr2\t1010\t1011\t.\t7\t+\nchr2\t1600\t1601\t.\t9\t+\nchr2\t1599\t1600\t.\t3\t-\nchr1\t1010\t1011\t.\t5\t-\n"


@pytest.fixture(scope="module")
def genome(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("genome") / "genome.fa"
    path.write_text("".join(f">{name}\n{random_dna(3000, seed)}\n" for seed, name in enumerate(("chr1", "chr2"))))
    return path


@pytest.fixture
def given(tmp_path: Path) -> dict[str, Path]:
    """Return what is drawn beside the model's answers."""
    (tmp_path / "genes.gff3").write_text(GENES)
    (tmp_path / "ctss.bed").write_text(CTSS)
    return {"genes": tmp_path / "genes.gff3", "ctss": tmp_path / "ctss.bed"}


def config(genome: Path, region: str = REGION, **settings: Any) -> PlotConfig:
    if "ctss" in settings:
        settings["ctss"] = (settings["ctss"],)
    return PlotConfig(region=region, genome=genome, **settings)


def test_a_place_holds_what_was_observed_and_what_the_model_answers(
    tiny_track: Path, genome: Path, given: dict[str, Path]
) -> None:
    locus = _locus(config(genome, **given), tiny_track)
    assert (locus.chrom, locus.start, locus.end, locus.name) == ("chr2", 1000, 1600, "chr2:1,001-1,600")
    model = capsight.load(str(tiny_track))
    tracks = model.tracks(random_dna(3000, 1))
    assert locus.expected == pytest.approx(tracks.expected_tags[0, :, 1000:1600], rel=1e-4)
    called = model.scan(genome, REGION)
    assert len(locus.tss) > 1
    assert [tuple(tss) for tss in locus.tss] == [
        (row.position, row.strand, pytest.approx(row.probability)) for row in called.itertuples()
    ]
    observed = np.zeros((2, 600))
    observed[0, 10], observed[1, 599] = 7, 3
    assert locus.observed is not None
    assert (locus.observed == observed).all()
    assert locus.genes is not None
    assert [(gene.name, gene.blocks) for gene in locus.genes] == [
        ("LEFT1", ((1049, 1100),)), ("RIGHT1", ((1279, 1590),)),
    ]  # fmt: skip
    assert locus.variants is None
    assert locus.logo is None


def test_a_scan_gives_the_same_place_as_its_model(tiny_track: Path, genome: Path, tmp_path: Path) -> None:
    folder = scan(ScanConfig(minus_negative=True, min_expected_tags=0), tiny_track, genome, tmp_path / "scan")
    asked, read = _locus(config(genome), tiny_track), _locus(config(genome, scan=folder), None)
    assert read.expected == pytest.approx(asked.expected, rel=1e-5)
    assert [tss[:2] for tss in read.tss] == [tss[:2] for tss in asked.tss]
    assert [tss.probability for tss in read.tss] == pytest.approx([tss.probability for tss in asked.tss], abs=6e-4)


@pytest.mark.parametrize("strand", ["+", "-"])
def test_the_logo_is_of_the_bases_near_the_strongest_tss(
    tiny_track: Path, genome: Path, strand: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = _locus(config(genome), tiny_track)
    rows = {"+": 0, "-": 1}

    def tags(tss: Any) -> float:
        at = tss.position - 1000
        return float(place.expected[rows[tss.strand], max(at - 10, 0) : at + 11].sum())

    assert {tss.strand for tss in place.tss} == {"+", "-"}
    own = [tss for tss in place.tss if tss.strand == strand]
    answer = (place.expected, tuple(own), [tags(tss) for tss in own])
    monkeypatch.setattr(sys.modules[_locus.__module__], "_predicted", lambda *_: answer)
    logo = _locus(config(genome, explain="ism"), tiny_track).logo
    assert logo is not None
    assert logo.tss == max(own, key=tags)
    assert (logo.offset, len(logo.letters)) == (-BEFORE, BEFORE + BEHIND + 1)
    bases = random_dna(3000, 1).upper()
    step = 1 if strand == "+" else -1
    assert logo.positions[0] == logo.tss.position - step * BEFORE
    complement = str.maketrans("ACGT", "TGCA")
    plus = "".join(bases[position] for position in logo.positions)
    assert logo.letters == (plus if strand == "+" else plus.translate(complement))
    heaviest = int(np.abs(logo.heights).argmax())
    at = int(logo.positions[heaviest])
    sums = []
    for base in "ACGT":
        dna = bases[:at] + base + bases[at + 1 :]
        around = slice(logo.tss.position - 10, logo.tss.position + 11)
        expected = capsight.load(str(tiny_track)).tracks(encode(dna)).expected_tags[0, rows[strand], around]
        sums.append(float(np.log(expected.sum(dtype=np.float64))))
    lost = sums["ACGT".index(bases[at])] - np.mean(
        [s for s, base in zip(sums, "ACGT", strict=True) if base != bases[at]]
    )
    assert logo.heights[heaviest] == pytest.approx(lost, abs=1e-4)
    assert abs(lost) > 0.01


@pytest.mark.parametrize("region", ["chr2:1001-1012", "chr2:1200-1203", "chr2:1300-1300", "chr2:1-9"])
@pytest.mark.parametrize("from_scan", [False, True])
def test_where_nothing_is_called_the_base_is_that_of_explain(
    tiny_track: Path, genome: Path, tmp_path: Path, region: str, from_scan: bool, caplog: pytest.LogCaptureFixture
) -> None:
    settings: dict[str, Any] = {"explain": "ig", "min_probability": 1.0}
    if from_scan:
        settings["scan"] = scan(ScanConfig(min_probability=1.0), tiny_track, genome, tmp_path / "scan")
    logo = _locus(config(genome, region, **settings), tiny_track).logo
    assert logo is not None
    table = capsight.load(str(tiny_track)).explain(genome, region, before=0, behind=0)
    assert (logo.tss.position, logo.tss.strand) == (table["position"][0], table["strand"][0])
    at = logo.tss.position + 1
    assert f"the most probable base is explained, chr2:{at}-{at}:{logo.tss.strand}" in caplog.text


@pytest.mark.parametrize("from_scan", [False, True])
def test_tags_beyond_the_edge_count_for_a_tss_at_the_edge(
    tiny_track: Path, genome: Path, tmp_path: Path, from_scan: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A called TSS at the first base has the sum that it has in the middle of a place."""
    whole = _locus(config(genome, "chr2:801-1800"), tiny_track)
    stage = sys.modules[_locus.__module__]
    sums = {}
    for tss in whole.tss:
        if not 1000 <= tss.position < 1500:
            continue
        start = tss.position + 1
        settings: dict[str, Any] = {"explain": "ig"}
        if from_scan:
            settings["scan"] = scan(ScanConfig(min_expected_tags=0), tiny_track, genome, tmp_path / "scan")
        name = "scanned" if from_scan else "_predicted"
        seen: list[Any] = []
        asked = getattr(stage, name)
        monkeypatch.setattr(stage, name, lambda *given, asked=asked, seen=seen: seen.append(asked(*given)) or seen[0])
        locus = _locus(config(genome, f"chr2:{start}-{start + 299}", **settings), tiny_track)
        monkeypatch.setattr(stage, name, asked)
        expected, found, tags = seen[0]
        assert expected.shape == (2, 300)
        if tss[:2] not in [one[:2] for one in found]:
            continue
        sums[tss.position] = tags[[one[:2] for one in found].index(tss[:2])]
        at = tss.position - 800
        around = whole.expected["+-".index(tss.strand), at - 10 : at + 11].sum()
        assert sums[tss.position] == pytest.approx(around, rel=1e-4)
        assert locus.logo is not None
        assert locus.logo.tss == found[int(np.argmax(tags))]
    assert sums


@pytest.mark.parametrize("method", ["ism", "ig"])
def test_all_bases_of_a_short_place_are_explained(tiny_track: Path, genome: Path, method: str) -> None:
    locus = _locus(config(genome, "chr2:1001-1120", explain=method), tiny_track)
    assert locus.logo is not None
    assert sorted(locus.logo.positions) == list(range(1000, 1120))
    assert locus.logo.method == method
    assert np.abs(locus.logo.heights).max() > 0


@pytest.mark.parametrize(
    ("region", "kind"),
    [
        ("chr1", "svg"), ("chr1:1-120", "svg"), ("chr1:2995-3000", "svg"), ("chr2:1500-1500", "svg"),
        ("chr1", "png"), ("chr1:1-120", "png"), ("chr1:1-120", "html"), ("chr2:1500-1500", "html"),
    ],
)  # fmt: skip
def test_places_of_any_length_are_drawn(
    tiny_track: Path, genome: Path, given: dict[str, Path], tmp_path: Path, region: str, kind: str
) -> None:
    out = tmp_path / f"locus.{kind}"
    plot(config(genome, region, explain="ism", **given), tiny_track, out)
    if region == "chr1:1-120":  # the same bytes every time
        first = out.read_bytes()
        out.unlink()
        plot(config(genome, region, explain="ism", **given), tiny_track, out)
        assert out.read_bytes() == first
    if kind == "png":
        with Image.open(out) as picture:
            assert picture.size[0] == 1500
    else:
        assert re.sub(r":(\d)(\d{3})-(\d)(\d{3})", r":\1,\2-\3,\4", region).split("-")[0] in out.read_text()


def test_every_position_stands_once_on_the_axis(tiny_track: Path, genome: Path, tmp_path: Path) -> None:
    for last in (1500, 1501, 1503):
        text = plot(config(genome, f"chr2:1500-{last}"), tiny_track, tmp_path / f"{last}.svg").read_text()
        assert re.findall(r">(1,50\d)</text>", text) == [f"{position:,}" for position in range(1500, last + 1)]


def test_a_picture_names_what_it_shows(tiny_track: Path, genome: Path, given: dict[str, Path], tmp_path: Path) -> None:
    locus = _locus(config(genome), tiny_track)
    text = plot(config(genome, explain="ism", **given), tiny_track, tmp_path / "locus.svg").read_text()
    for shown in ("chr2:1,001-1,600", "LEFT1", "RIGHT1", "observed", "expected", "genes", "mutagenesis", "+ strand"):
        assert shown in text, shown
    best = max(locus.tss, key=lambda tss: tss.probability)
    assert f"{best.probability:.2f}" in text
    assert not re.search(r"(href|src)=\"http", text)


def test_a_page_needs_no_other_file_and_names_are_no_markup(tiny_track: Path, tmp_path: Path) -> None:
    name = "<b>&chr</b>"
    (tmp_path / "g.fa").write_text(f">{name}\n{random_dna(2000)}\n")
    (tmp_path / "g.bed").write_text(f"{name}\t300\t700\t<script>alert(1)</script>\t0\t+\n")
    out = tmp_path / "locus.html"
    plot(config(tmp_path / "g.fa", f"{name}:201-800", genes=tmp_path / "g.bed"), tiny_track, out)
    page = out.read_text()
    assert "<svg" in page
    assert "<script" not in page
    assert "<b>" not in page
    assert "&lt;b&gt;&amp;chr" in page
    assert not re.search(r"(href|src)=\"(http|/)", page)
    assert "TSSs" in page


def test_nothing_is_called_and_nothing_is_there(
    tiny_track: Path, genome: Path, given: dict[str, Path], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    settings = {"explain": "ism", "min_probability": 1.0, **given}
    text = plot(config(genome, "chr2:101-300", **settings), tiny_track, tmp_path / "locus.svg").read_text()
    assert "none called" in text
    assert re.search(r"no TSS is called here: the most probable base is explained, chr2:(\d+)-\1:[+-]", caplog.text)
    assert "no 5' ends were observed in chr2:101-300" in caplog.text


def test_contigs_may_have_other_names(tiny_track: Path, genome: Path, given: dict[str, Path], tmp_path: Path) -> None:
    (tmp_path / "aliases.txt").write_text("chr1\tI\nchr2\tII\n")
    for path in given.values():
        path.write_text(path.read_text().replace("chr2", "II").replace("chr1", "I"))
    locus = _locus(config(genome, aliases=tmp_path / "aliases.txt", **given), tiny_track)
    assert locus.observed is not None
    assert locus.observed.sum() == 10
    assert locus.genes is not None
    assert len(locus.genes) == 2


def nothing(path: Path) -> None:
    """Leave a file as it is."""


def roman(path: Path) -> None:
    path.write_text(path.read_text().replace("chr", ""))


@pytest.mark.parametrize(
    ("settings", "change", "message"),
    [
        ({"region": "chr3:1-100"}, nothing, "the genome has no contig 'chr3'"),
        ({"region": "2:1-100"}, nothing, "did you mean chr2"),
        ({"region": "chr2:2901-3001"}, nothing, "ends beyond chr2, which has 3,000 bases"),
        ({"region": "chr2:100-99"}, nothing, "has no bases"),
        (
            {},
            roman,
            "has no contig of genome.fa: '1' is not in it, which has 'chr1'|'2' is not in it, which has 'chr2'",
        ),
    ],
)
@pytest.mark.parametrize("what", ["genes", "ctss"])
def test_what_cannot_be_drawn_is_one_line(
    tiny_track: Path,
    genome: Path,
    given: dict[str, Path],
    tmp_path: Path,
    settings: dict[str, str],
    change: Callable[[Path], None],
    message: str,
    what: str,
) -> None:
    change(given[what])
    with pytest.raises(InputError, match=message) as caught:
        plot(config(genome, **{what: given[what]} | settings), tiny_track, tmp_path / "locus.svg")
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.glob("locus.svg*"))


@pytest.mark.parametrize(
    ("settings", "model", "name", "message"),
    [
        ({}, False, "l.svg", "name a track model by --model, or a scan"),
        ({"explain": "ism", "scan": Path("scan")}, False, "l.svg", "--explain needs a model"),
        ({"vcf": Path("v.vcf"), "scan": Path("scan")}, False, "l.svg", "--vcf needs a model"),
        ({}, True, "l.csv", "is not a format of this output"),
        ({}, True, "l.pdf", "is not a format of this output"),
    ],
)
def test_what_is_missing_is_asked_for(
    settings: dict[str, Any], model: bool, name: str, message: str, tiny_track: Path, genome: Path, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=message):
        plot(config(genome, **settings), tiny_track if model else None, tmp_path / name)


@pytest.mark.parametrize(("name", "begins"), [("l", b"<?xml"), ("l.SVG", b"<?xml"), ("l.svg.gz", b"\x1f\x8b")])
def test_the_name_tells_the_format(tiny_track: Path, genome: Path, tmp_path: Path, name: str, begins: bytes) -> None:
    assert plot(config(genome, "chr1:1001-1100"), tiny_track, tmp_path / name).read_bytes().startswith(begins)


def test_a_long_place_is_refused(tiny_track: Path, tmp_path: Path) -> None:
    (tmp_path / "g.fa").write_text(f">chr1\n{'ACGT' * 50_001}\n")
    with pytest.raises(ConfigError, match=r"200,004 bases .*200,000 at most"):
        plot(config(tmp_path / "g.fa", "chr1"), tiny_track, tmp_path / "l.svg")


def test_scans_of_other_places_are_refused(tiny_track: Path, genome: Path, tmp_path: Path) -> None:
    folder = scan(ScanConfig(region="chr2:1-1500"), tiny_track, genome, tmp_path / "scan")
    with pytest.raises(InputError, match="is a scan of chr2:1-1500, in which the region does not lie"):
        plot(config(genome, scan=folder), None, tmp_path / "l.svg")
    with pytest.raises(InputError, match="is not a folder that capsight scan wrote"):
        plot(config(genome, scan=tmp_path), None, tmp_path / "l.svg")
    (tmp_path / "other.fa").write_text(f">chr2\n{random_dna(2000)}\n")
    with pytest.raises(InputError, match=r"plus\.bw: has a chr2 of 3,000 bases, and not 2,000"):
        plot(config(tmp_path / "other.fa", "chr2:1-1000", scan=folder), None, tmp_path / "l.svg")
    folder = scan(ScanConfig(), tiny_track, genome, tmp_path / "whole")
    (tmp_path / "third.fa").write_text(f">chr3\n{random_dna(2000)}\n")
    with pytest.raises(InputError, match=r"plus\.bw: has no chr3"):
        plot(config(tmp_path / "third.fa", "chr3:1-1000", scan=folder), None, tmp_path / "l.svg")


VCF = "##fileformat=VCFv4.2\n##contig=<ID=chr2>\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n"


def vcf(*records: tuple[str, int, str, str, str]) -> str:
    """Return a VCF of records: contig, position (from 1), name, alleles."""
    return VCF + "".join(
        f"{chrom}\t{position}\t{name}\t{ref}\t{alt}\t.\t.\t.\n" for chrom, position, name, ref, alt in records
    )


def test_variants_have_the_effect_that_their_allele_has_in_a_sequence(
    tiny_track: Path, genome: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    bases = random_dna(3000, 1).upper()
    at = next(i for i in range(1200, 1300) if "N" not in bases[i : i + 6])
    ref = bases[at]
    snv = "ACGT"[("ACGT".index(ref) + 1) % 4]
    (tmp_path / "v.vcf").write_text(
        vcf(
            ("chr2", at + 1, "snv", ref, f"{snv},{ref}"),
            ("chr2", at + 1, "del", bases[at : at + 6], ref),
            ("chr2", at + 2, "wrong", "ACGT".replace(bases[at + 1], "")[0], "A"),
            ("chr2", at + 3, "symbolic", bases[at + 2], "<DEL>"),
            ("chr2", 900, "outside", bases[899], "A"),
            ("chr1", at + 1, "elsewhere", "A", "C"),
        )
    )
    found = _locus(config(genome, vcf=tmp_path / "v.vcf"), tiny_track).variants
    assert found is not None
    assert sorted((one.position, one.name, one.ref, one.alt) for one in found) == [
        (at, "del", bases[at : at + 6], ref), (at, "snv", ref, ref), (at, "snv", ref, snv),
    ]  # fmt: skip
    log2 = {(one.name, one.alt): one.log2 for one in found}
    assert log2["snv", ref] == (0, 0)
    model = capsight.load(str(tiny_track))

    def sums(dna: str) -> np.ndarray:
        """Add expected tags on each strand from 100 bases upstream of the change to 500 downstream."""
        plus, minus = model.tracks(dna).expected_tags[0].astype(np.float64)
        return np.array([plus[at - 100 : at + 501].sum(), minus[at - 500 : at + 101].sum()])

    expected = np.log2((sums(bases[:at] + snv + bases[at + 1 :]) + LEAST_TAGS) / (sums(bases) + LEAST_TAGS))
    assert log2["snv", snv] == pytest.approx(expected, abs=1e-4)
    assert np.abs(expected).max() > 1e-3
    assert "1 left out: REF differs from the genome (chr2:" in caplog.text
    assert "1 left out: symbolic allele, such as <DEL>" in caplog.text


def test_variants_are_drawn_and_listed(tiny_track: Path, genome: Path, tmp_path: Path) -> None:
    bases = random_dna(3000, 1).upper()
    at = next(i for i in range(1300, 1400) if bases[i] == "A")
    (tmp_path / "v.vcf").write_text(vcf(("chr2", at + 1, "rs7", "A", "C")))
    page = plot(config(genome, vcf=tmp_path / "v.vcf"), tiny_track, tmp_path / "l.html").read_text()
    assert page.count("rs7") == 2  # in the picture and in the table
    assert f'<td class="n">{at + 1:,}</td>' in page
    assert "log2 change" in page


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (vcf(("chrX", 1200, "a", "A", "C")), "v.vcf: has no contig of genome.fa: 'chrX' is not in it"),
        (vcf(("chr2", 1200, "a", "A", "C")).replace("1200", "x"), "v.vcf:4: the position 'x' is not a whole number"),
        ("chr2\t1200\tA\tC\n", "is neither VCF nor a table of variants"),
        ("", "holds no variants"),
    ],
)
def test_variants_that_cannot_be_used_are_refused_before_the_model_is_asked(
    tiny_track: Path, genome: Path, tmp_path: Path, text: str, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_: object) -> None:
        raise AssertionError("the model was asked")

    monkeypatch.setattr(sys.modules[plot.__module__], "_predicted", never)
    (tmp_path / "v.vcf").write_text(text)
    with pytest.raises(InputError, match=message) as caught:
        plot(config(genome, vcf=tmp_path / "v.vcf"), tiny_track, tmp_path / "l.svg")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "l.svg").exists()
