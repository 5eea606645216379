"""`variants`: records in and out byte for byte, effects of alleles, and what has no answer."""

import gzip
import logging
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pysam
import pysam.bcftools
import pytest

from capsight import api
from capsight.config import VariantsConfig
from capsight.config.yaml_files import parse
from capsight.data.genome.genome import Genome
from capsight.data.io.vcf import Variant, VariantFile
from capsight.errors import ConfigError, InputError
from capsight.model.track_folder import load_track
from capsight.predict.alleles import AlleleScorer, Change
from capsight.predict.track import TrackScorer
from capsight.variants import scoring
from capsight.variants.columns import COLUMNS, FIELDS, PREFIX
from capsight.variants.effects import LEAST_TAGS, Summary
from capsight.variants.sites import Places
from capsight.variants.variants import variants

RNG = np.random.default_rng(5)
CONTIGS = {name: "".join(RNG.choice(list("ACGT"), length)) for name, length in (("chr1", 6000), ("chr2", 3000))}
CONTIGS["chr2"] = CONTIGS["chr2"][:1000] + "N" * 20 + CONTIGS["chr2"][1020:]
OURS = ",".join(f"INFO/{PREFIX}{name}" for name, _, _ in FIELDS)

HEADER = """\
##fileformat=VCFv4.2
##FILTER=<ID=q10,Description="Quality below 10">
##INFO=<ID=DP,Number=1,Type=Integer,Description="Depth">
##INFO=<ID=AF,Number=A,Type=Float,Description="Frequency">
##INFO=<ID=DB,Number=0,Type=Flag,Description="Known">
##FORMAT=<ID=GT,Number=1,Type=String,Description="Genotype">
##ALT=<ID=DEL,Description="Deletion">
##contig=<ID=chr1,length=6000>
##contig=<ID=chr2,length=3000>
##contig=<ID=chrUn,length=300>
#CHROM	POS	ID	REF	ALT	QUAL	FILTER	INFO	FORMAT	first	second one
"""


def base(chrom: str, position: int) -> str:
    return CONTIGS[chrom][position - 1]


def other(chrom: str, position: int) -> str:
    return "ACGT"[("ACGT".index(base(chrom, position)) + 1) % 4]


def row(chrom: str, position: int, ref: str, alt: str, info: str = ".", ends: str = "GT\t0|1\t1/1") -> str:
    return "\t".join([chrom, str(position), f"id{position}", ref, alt, "30.50", "PASS", info, ends]) + "\n"


def records() -> list[str]:
    """Return lines of every kind of allele, sorted; what is odd but legal has to stay as it is."""
    c1, c2 = CONTIGS["chr1"], CONTIGS["chr2"]
    return [
        row("chr1", 1, c1[0], other("chr1", 1)),
        row("chr1", 500, c1[499], other("chr1", 500), "DP=007;AF=1.50e-01;DB"),
        row("chr1", 700, c1[699:703], c1[699], "DP=3;"),
        row("chr1", 800, c1[799].lower(), c1[799] + "ACGTT"),
        row("chr1", 900, c1[899:901], other("chr1", 900) + other("chr1", 901)),
        row("chr1", 1000, c1[999], f"{other('chr1', 1000)},<DEL>,{c1[999]}T,*", "AF=0.5,0.1,.,0.2", "GT\t1|2\t."),
        row("chr1", 1100, c1[1099], f"{c1[1099]}]chr2:300]"),
        row("chr1", 1100, c1[1099], "."),
        row("chr1", 1200, c1[1199], c1[1199]),
        row("chr1", 1300, other("chr1", 1300), c1[1299]),
        row("chr1", 1400, "N", "A"),
        row("chr1", 1500, c1[1499], "N"),
        row("chr1", 6000, c1[5999], other("chr1", 6000)),
        row("chr1", 6001, "A", "C"),
        row("chr2", 999, c2[998], other("chr2", 999)),
        row("chrUn", 10, "A", "C"),
    ]


SCORED = {0, 1, 2, 3, 4, 5, 8, 12, 14}


@pytest.fixture(scope="module")
def genome(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("genome") / "genome.fa"
    path.write_text("".join(f">{name}\n{text}\n" for name, text in CONTIGS.items()))
    return path


@pytest.fixture
def vcf(tmp_path: Path) -> Path:
    return write(tmp_path / "in.vcf", records())


def write(path: Path, lines: list[str], header: str = HEADER) -> Path:
    path.write_text(header + "".join(lines), newline="")
    return path


def config(**settings: Any) -> VariantsConfig:
    return VariantsConfig.model_validate({"threads": 1, "distance": 100} | settings)


def text(path: Path) -> str:
    raw = path.read_bytes()
    return (gzip.decompress(raw) if raw.startswith(b"\x1f\x8b") else raw).decode()


def body(path: Path) -> list[str]:
    return [line for line in text(path).splitlines(keepends=True) if not line.startswith("#")]


def without_ours(line: str) -> str:
    """Remove the fields of this command from a line."""
    columns = line.split("\t")
    kept = [value for value in columns[7].split(";") if not value.startswith(PREFIX)]
    columns[7] = ";".join(kept) or "."
    return "\t".join(columns)


def info(line: str) -> dict[str, str]:
    given = dict(value.partition("=")[::2] for value in line.split("\t")[7].split(";"))
    return {key.removeprefix(PREFIX): value for key, value in given.items() if key.startswith(PREFIX)}


def bcftools(*arguments: object) -> str:
    """Run bcftools, or the one that pysam brings along where there is none."""
    given = [str(argument) for argument in arguments]
    if shutil.which("bcftools"):
        return subprocess.run(["bcftools", *given], check=True, capture_output=True, text=True).stdout
    return str(getattr(pysam.bcftools, given[0])(*given[1:], catch_stdout="-o" not in given))


@pytest.mark.parametrize("name", ["out.vcf", "out.vcf.gz", "out.vcf.bgz"])
def test_records_are_kept_byte_for_byte(tiny_track: Path, genome: Path, vcf: Path, tmp_path: Path, name: str) -> None:
    out = variants(config(), tiny_track, genome, vcf, tmp_path / name)
    found = body(out)
    assert [bool(info(line)) for line in found] == [i in SCORED for i in range(len(found))]
    for before, after in zip(records(), found, strict=True):
        assert without_ours(after) == before.replace("DP=3;\t", "DP=3\t")
    lines = text(out).splitlines(keepends=True)
    assert [line for line in lines if line.startswith("#") and "CAPSIGHT_" not in line and "capsight" not in line] == (
        HEADER.splitlines(keepends=True)
    )
    (told,) = (line for line in lines if line.startswith("##capsight_variants="))
    assert re.search(r"model model \(SHA-256 [0-9a-f]{64}\), genome genome\.fa, distance 100\n$", told)
    assert out.with_name(f"{name}.tbi").exists() == name.endswith("gz")


def test_bcftools_takes_our_fields_off_again(tiny_track: Path, genome: Path, vcf: Path, tmp_path: Path) -> None:
    out = variants(config(), tiny_track, genome, vcf, tmp_path / "out.vcf.gz")
    assert bcftools("view", "-H", out).count("\n") == len(records())
    assert re.search(r"number of records:\t16\n", bcftools("stats", out))
    assert bcftools("view", "-H", "-r", "chr1:700-900", out).count("\n") == 3
    packed = tmp_path / "in.vcf.gz"
    pysam.tabix_compress(str(vcf), str(packed))
    assert bcftools("view", "-H", packed) == bcftools("annotate", "-x", OURS, out).partition("second one\n")[2]
    with pysam.VariantFile(str(out)) as file:
        for record in file:
            for name, of, _ in FIELDS:
                assert file.header.info[PREFIX + name].number == "A"
                assert file.header.info[PREFIX + name].type == of
                if PREFIX + name in record.info:
                    assert len(record.info[PREFIX + name]) == len(record.alts or ())


def test_effects_are_those_of_the_alleles(tiny_track: Path, genome: Path, vcf: Path, tmp_path: Path) -> None:
    found = body(variants(config(), tiny_track, genome, vcf, tmp_path / "out.vcf"))
    network, card = load_track(tiny_track)
    scorer = TrackScorer(network, card.calibration)
    codes = Genome.open(genome).contig(0)
    summary = Summary(card.calibration, 0.3, 50, 100)
    moved = 0
    for i in (1, 2, 3, 4):
        (variant,) = [one for n, one in enumerate(VariantFile.open(vcf).records()) if n == i]
        (change,) = Places(Genome.open(genome)).alleles(variant)
        assert isinstance(change, Change)
        pairs = list(AlleleScorer(scorer, 100).alleles(codes, [change]))
        (effect,) = summary.effects([change], pairs, len(codes))
        values = info(found[i])
        assert float(values["LOG2_PLUS"]) == pytest.approx(effect.log2[0], abs=1e-4)
        assert float(values["LOG2_MINUS"]) == pytest.approx(effect.log2[1], abs=1e-4)
        for name, move in (("GAIN", effect.gain), ("LOSS", effect.loss), ("TSS_LOG2", effect.tss)):
            at = values[name.replace("TSS_LOG2", "TSS") + "_AT"]
            if move and abs(move.change) > 1e-4:
                moved += 1
                assert at == f"{move.position + 1}:{'+-'[move.strand]}"
                assert float(values[name]) == pytest.approx(
                    abs(move.change) if name != "TSS_LOG2" else move.change, abs=1e-4
                )
    assert moved >= 8


def code(letters: str) -> np.ndarray:
    return np.array(["ACGT".index(letter) for letter in letters], np.uint8)


@pytest.mark.parametrize(
    ("ref", "alt", "expected"),
    [
        ("A", "C", (99, 100, "C")), ("ACG", "A", (100, 102, "")), ("A", "ATT", (100, 100, "TT")),
        ("AC", "GT", (99, 101, "GT")), ("ACGT", "AGGT", (100, 101, "G")), ("CAA", "CA", (100, 101, "")),
        ("A", "A", (99, 99, "")), ("ACGT", "TA", (99, 103, "TA")), ("acg", "aTg", (100, 101, "T")),
    ],
)  # fmt: skip
def test_changes_have_no_bases_that_both_alleles_share(
    genome: Path, ref: str, alt: str, expected: tuple[int, int, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    places = Places(Genome.open(genome))
    monkeypatch.setattr(places, "_fault", lambda *_: None)
    variant = Variant(b"", b"", 1, "chr1", 99, ref.upper().encode(), (alt.upper().encode(),))
    ((start, end, alternative),) = places.alleles(variant)
    assert (start, end, "".join("ACGT"[c] for c in alternative)) == expected


def test_reference_as_alternative_is_exactly_zero(tiny_track: Path, genome: Path, vcf: Path, tmp_path: Path) -> None:
    found = body(variants(config(), tiny_track, genome, vcf, tmp_path / "out.vcf"))
    assert info(found[8]) == {
        "LOG2_PLUS": "0", "LOG2_MINUS": "0", "GAIN": "0", "GAIN_AT": ".", "LOSS": "0", "LOSS_AT": ".",
        "TSS_LOG2": ".", "TSS_AT": ".",
    }  # fmt: skip


def test_alleles_of_a_record_are_answered_one_by_one(tiny_track: Path, genome: Path, vcf: Path, tmp_path: Path) -> None:
    several = info(body(variants(config(), tiny_track, genome, vcf, tmp_path / "out.vcf"))[5])
    alone = [
        info(
            body(variants(config(), tiny_track, genome, write(tmp_path / f"{i}.vcf", [line]), tmp_path / f"o{i}.vcf"))[
                0
            ]
        )
        for i, line in enumerate(
            [
                row("chr1", 1000, base("chr1", 1000), other("chr1", 1000)),
                row("chr1", 1000, base("chr1", 1000), base("chr1", 1000) + "T"),
            ]
        )
    ]
    for name, values in several.items():
        assert values.split(",") == [alone[0][name], ".", alone[1][name], "."]


def test_what_has_no_answer_is_counted_and_named(
    tiny_track: Path, genome: Path, vcf: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "capsight")
    variants(config(), tiny_track, genome, vcf, tmp_path / "out.vcf")
    assert "variants: 10 of 19 alleles of 16 records scored" in caplog.messages
    for why, n, line in (
        ("symbolic allele, such as <DEL>", 1, 17), ("*, an allele that another record deletes", 1, 17),
        ("breakend", 1, 18), ("no alternative allele", 1, 19), ("REF differs from the genome", 1, 21),
        ("REF has letters other than A, C, G, T", 1, 22), ("ALT has letters other than A, C, G, T", 1, 23),
        ("the record lies beyond the end of its contig", 1, 25), ("the genome has no such contig", 1, 27),
    ):  # fmt: skip
        assert any(
            message.startswith(f"variants: not scored: {why} ({n}); the first is {vcf}:{line}: ")
            for message in caplog.messages
        ), (why, caplog.messages)


STRICT = {
    "contig": (("chrUn", 10, "A", "C"), "the genome has no such contig: chrUn:10 A>C"),
    "beyond": (("chr1", 6000, "AA", "C"), "lies beyond the end .*: chr1:6000 AA>C, but the contig has 6,000 bases"),
    "differs": (("chr1", 500, other("chr1", 500), "T"), "REF differs from the genome: .*, but the genome has ."),
    "N": (("chr1", 500, "N", "T"), "REF has letters other than"),
    "letters": (("chr1", 500, base("chr1", 500), "N"), "ALT has letters other than"),
    "long": (("chr1", 500, base("chr1", 500), "A" * 10_001), "more than 10,000 bases"),
    "zero": (("chr1", 0, "A", "C"), "position 0: chr1:0 A>C: positions count from 1"),
}


@pytest.mark.parametrize("case", STRICT)
@pytest.mark.parametrize("kind", ["vcf", "tsv"])
def test_strict_stops_at_the_first(tiny_track: Path, genome: Path, tmp_path: Path, case: str, kind: str) -> None:
    (chrom, position, ref, alt), says = STRICT[case]
    good = records()[1]
    if kind == "vcf":
        source = write(tmp_path / "in.vcf", [good, row(chrom, position, ref, alt)])
        where = r"in\.vcf:13: cannot be scored: .*"
    else:
        source = tmp_path / "in.tsv"
        source.write_text(f"chrom\tposition\tref\talt\n{chrom}\t{position}\t{ref}\t{alt}\n")
        where = r"in\.tsv:2: cannot be scored: .*"
    before = sorted(tmp_path.iterdir())
    with pytest.raises(InputError, match=where + says):
        variants(config(fail_on_error=True), tiny_track, genome, source, tmp_path / f"out.{kind}")
    assert sorted(tmp_path.iterdir()) == before
    out = variants(config(), tiny_track, genome, source, tmp_path / f"out.{kind}")
    assert len(body(out)) == 2


def test_legal_alleles_that_cannot_be_scored_do_not_stop_strict(tiny_track: Path, genome: Path, tmp_path: Path) -> None:
    kept = [line for i, line in enumerate(records()) if i in (1, 5, 6, 7)]
    source = write(tmp_path / "in.vcf", kept)
    assert len(body(variants(config(fail_on_error=True), tiny_track, genome, source, tmp_path / "out.vcf"))) == 4


COLUMN_LINE = HEADER.splitlines(keepends=True)[-1]
MALFORMED: dict[str, tuple[str, str]] = {
    "empty": ("", "holds no variants"),
    "no format line": (HEADER.partition("\n")[2], r":1: is no VCF: it does not begin with ##fileformat=VCF"),
    "no column line": (HEADER.replace(COLUMN_LINE, "") + records()[0], r":11: the VCF has no line of column names"),
    "column names": (HEADER.replace("\tINFO\t", "\tinfo\t"), r":11: the VCF's column names are not #CHROM POS"),
    "spaces": (
        HEADER.replace("#CHROM\tPOS", "#CHROM POS"),
        r":11: the VCF's column names .*tabs separate them",
    ),
    "sample twice": (HEADER.replace("second one", "first"), "htslib cannot read the header .*'first' occurs more than"),
    "columns": (
        HEADER + records()[0] + records()[1].rpartition("\t")[0] + "\n",
        r":13: 10 columns, but the header has 11",
    ),
    "blank line": (HEADER + "\n" + records()[0], r":12: 1 columns, but the header has 11"),
    "position": (HEADER + records()[1].replace("\t500\t", "\t5e2\t"), r":12: the position '5e2' is not a whole number"),
    "negative": (HEADER + records()[1].replace("\t500\t", "\t-5\t"), r":12: the position '-5' is not a whole number"),
    "huge": (HEADER + records()[1].replace("\t500\t", "\t9999999999\t"), r":12: the position '9999999999' is not"),
    "carriage returns": (
        (HEADER + records()[0]).replace("\n", "\r"),
        "its lines end with carriage returns alone",
    ),
    "carriage returns in a table": (
        "chrom\tpos\tref\talt\rchr1\t5\tA\tC\r",
        "its lines end with carriage returns alone",
    ),
    "scored before": (
        HEADER.replace("##ALT", '##INFO=<ID=CAPSIGHT_GAIN,Number=A,Type=Float,Description="">\n##ALT') + records()[0],
        "was scored before: it has INFO/CAPSIGHT_.*bcftools annotate -x",
    ),
    "table without alt": (
        "chrom\tpos\tref\nchr1\t5\tA\n",
        "neither VCF nor a table .*: it has no column 'alt'",
    ),
    "table, two positions": ("chrom\tpos\tposition\tref\talt\n", "it has 2 columns 'position'"),
    "comma-separated": ("chrom,position,ref,alt\n", "it has no column 'chrom'.*separated by tabs"),
    "table columns": ("chrom\tpos\tref\talt\nchr1\t5\tA\n", r":2: 3 columns, but the header has 4"),
    "table position": ("chrom\tpos\tref\talt\nchr1\t5.0\tA\tC\n", r":2: the position '5\.0' is not a whole number"),
    "table scored before": (
        "chrom\tpos\tref\talt\tgain\n",
        r"was scored before: it has column 'gain' \(remove that column first",
    ),
}


@pytest.mark.parametrize("case", MALFORMED)
def test_malformed_files_are_refused_by_line(tiny_track: Path, genome: Path, tmp_path: Path, case: str) -> None:
    content, says = MALFORMED[case]
    source = tmp_path / "in.txt"
    source.write_text(content, newline="")
    with pytest.raises(InputError, match=says):
        variants(config(), tiny_track, genome, source, tmp_path / "out")
    assert list(tmp_path.iterdir()) == [source]


def test_htslib_says_nothing_on_the_terminal(
    tiny_track: Path, genome: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    source = write(tmp_path / "in.vcf", [], HEADER.replace("second one", "first"))
    with pytest.raises(InputError):
        variants(config(), tiny_track, genome, source, tmp_path / "out.vcf")
    assert "Duplicated sample" not in capfd.readouterr().err


def test_a_telomere_is_indexed_without_a_word_of_htslib(
    tiny_track: Path, genome: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    source = write(tmp_path / "in.vcf", [row("chr1", 0, "N", ".[chr2:300["), *records()])
    out = variants(config(), tiny_track, genome, source, tmp_path / "out.vcf.gz")
    assert (tmp_path / "out.vcf.gz.tbi").is_file()
    assert body(out)[0] == row("chr1", 0, "N", ".[chr2:300[")
    assert "Coordinate" not in capfd.readouterr().err


TABLE = (
    "#Chrom\tnote\tPOS\tref\talt\n"
    f"chr1\tx\t500\t{base('chr1', 500)}\t{other('chr1', 500)}\n"
    f'\nchr1\t"y\t1000\t{base("chr1", 1000)}\t{other("chr1", 1000)},<DEL>\r\n'
    "chrUn\té\t3\tA\tC"
)


def test_a_table_keeps_its_columns_and_lines(tiny_track: Path, genome: Path, tmp_path: Path, vcf: Path) -> None:
    source = tmp_path / "in.tsv"
    source.write_bytes(TABLE.encode())
    out = variants(config(), tiny_track, genome, source, tmp_path / "out.tsv.gz")
    found = text(out).split("\n")
    assert found[0] == "#Chrom\tnote\tPOS\tref\talt\t" + "\t".join(COLUMNS)
    assert found[2] == ""
    for before, after in zip(TABLE.split("\n"), found, strict=True):
        assert after.startswith(before.rstrip("\r"))
        assert after.endswith("\r") == before.endswith("\r")
    as_vcf = info(body(variants(config(), tiny_track, genome, vcf, tmp_path / "out.vcf"))[1])
    assert found[1].split("\t")[5:] == list(as_vcf.values())
    assert found[3].split("\t")[5].endswith(",.")
    assert found[4].split("\t")[5:] == ["."] * len(COLUMNS)
    assert not (tmp_path / "out.tsv.gz.tbi").exists()


def test_a_vcf_becomes_a_table_by_the_name_of_the_output(
    tiny_track: Path, genome: Path, vcf: Path, tmp_path: Path
) -> None:
    table = variants(config(), tiny_track, genome, vcf, tmp_path / "out.tsv")
    found = [line.split("\t") for line in text(table).splitlines()]
    assert found[0] == ["chrom", "position", "id", "ref", "alt", *COLUMNS]
    lines = body(variants(config(), tiny_track, genome, vcf, tmp_path / "out.vcf"))
    for line, cells in zip(lines, found[1:], strict=True):
        assert line.split("\t")[:5] == cells[:5]
        assert cells[5:] == list(info(line).values()) or not info(line)


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("out.vcf", "a table is not written as VCF .name it .tsv"),
        ("out.parquet", r"\.parquet is not a format of this output"),
        ("in.tsv", "is an input"),
    ],
)
def test_outputs_that_cannot_be_made(tiny_track: Path, genome: Path, tmp_path: Path, name: str, says: str) -> None:
    source = tmp_path / "in.tsv"
    source.write_text("chrom\tpos\tref\talt\n")
    with pytest.raises(InputError, match=says):
        variants(config(), tiny_track, genome, source, tmp_path / name)
    assert list(tmp_path.iterdir()) == [source]


def test_bcf_is_not_written(tiny_track: Path, genome: Path, vcf: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"\.bcf is not a format of this output .name it \.vcf"):
        variants(config(), tiny_track, genome, vcf, tmp_path / "out.bcf")


def test_bcf_and_gzip_are_read(tiny_track: Path, genome: Path, vcf: Path, tmp_path: Path) -> None:
    plain = variants(config(), tiny_track, genome, vcf, tmp_path / "plain.vcf")
    packed = tmp_path / "in.vcf.gz"
    packed.write_bytes(gzip.compress(vcf.read_bytes()))
    assert text(variants(config(), tiny_track, genome, packed, tmp_path / "gzip.vcf")) == text(plain)
    bcf = tmp_path / "in.bcf"
    bcftools("view", "--no-version", "-Ob", "-o", bcf, write(tmp_path / "known.vcf", [records()[1], records()[2]]))
    found = body(variants(config(), tiny_track, genome, bcf, tmp_path / "bcf.vcf"))
    assert [info(line) for line in found] == [info(line) for line in body(plain)[1:3]]
    bcf.write_bytes(bcf.read_bytes()[:-60])
    with pytest.raises(InputError, match=r"in\.bcf: is (BCF, and )?truncated or damaged"):
        variants(config(), tiny_track, genome, bcf, tmp_path / "damaged.vcf")


def test_unsorted_records_are_answered_in_their_order_and_get_no_index(
    tiny_track: Path, genome: Path, vcf: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    ordered = body(variants(config(), tiny_track, genome, vcf, tmp_path / "sorted.vcf.gz"))
    source = write(tmp_path / "unsorted.vcf", records()[::-1])
    out = tmp_path / "out.vcf.gz"
    assert body(variants(config(), tiny_track, genome, source, out)) == ordered[::-1]
    assert not (tmp_path / "out.vcf.gz.tbi").exists()
    assert any("are not sorted, so" in message for message in caplog.messages)
    variants(config(), tiny_track, genome, vcf, out)  # replaces it, with an index
    assert (tmp_path / "out.vcf.gz.tbi").exists()
    variants(config(), tiny_track, genome, source, out)  # and now the index would be wrong
    assert not (tmp_path / "out.vcf.gz.tbi").exists()


def test_an_index_of_the_users_own_is_not_overwritten(
    tiny_track: Path, genome: Path, vcf: Path, tmp_path: Path
) -> None:
    (tmp_path / "out.vcf.gz.tbi").write_text("mine")
    with pytest.raises(InputError, match=r"out\.vcf\.gz\.tbi: is in the way"):
        variants(config(), tiny_track, genome, vcf, tmp_path / "out.vcf.gz")
    assert (tmp_path / "out.vcf.gz.tbi").read_text() == "mine"


def test_work_that_is_done_is_not_done_again(
    tiny_track: Path, genome: Path, vcf: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "capsight")
    out = variants(config(), tiny_track, genome, vcf, tmp_path / "out.vcf.gz")
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    variants(config(), tiny_track, genome, vcf, out)
    assert any("is done already" in message for message in caplog.messages)
    (tmp_path / "out.vcf.gz.tbi").unlink()
    variants(config(), tiny_track, genome, vcf, out)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_long_contigs_are_indexed_as_csi(tiny_track: Path, genome: Path, tmp_path: Path) -> None:
    header = HEADER.replace("##contig=<ID=chrUn,length=300>", "##contig=<ID=chrUn,length=900000000>")
    source = write(tmp_path / "in.vcf", [records()[1], row("chrUn", 800_000_000, "A", "C")], header)
    out = variants(config(), tiny_track, genome, source, tmp_path / "out.vcf.gz")
    assert not (tmp_path / "out.vcf.gz.tbi").exists()
    with pysam.TabixFile(str(out), index=f"{out}.csi") as file:
        assert len(list(file.fetch("chrUn", 799_999_999, 800_000_000))) == 1


@pytest.mark.parametrize("shards", [2, 3, 7])
@pytest.mark.parametrize("kind", ["vcf", "tsv"])
def test_shards_together_are_the_whole(
    tiny_track: Path, genome: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shards: int, kind: str
) -> None:
    monkeypatch.setattr(scoring, "BATCH", 4)
    source = write(tmp_path / "in.vcf", records())
    whole = variants(config(), tiny_track, genome, source, tmp_path / f"whole.{kind}")
    header = text(whole)[: -len("".join(rows_of(whole, kind)))]
    found: list[str] = []
    for i in range(shards):
        part = variants(config(shard=f"{i + 1}/{shards}"), tiny_track, genome, source, tmp_path / f"{i}.{kind}")
        assert text(part).startswith(header)
        found += rows_of(part, kind)
    assert found == rows_of(whole, kind)


def rows_of(path: Path, kind: str) -> list[str]:
    return body(path) if kind == "vcf" else text(path).splitlines(keepends=True)[1:]


def test_shards_of_a_file_with_fewer_batches_are_empty(
    tiny_track: Path, genome: Path, vcf: Path, tmp_path: Path
) -> None:
    parts = [variants(config(shard=f"{i}/2"), tiny_track, genome, vcf, tmp_path / f"{i}.vcf") for i in (1, 2)]
    assert [len(body(part)) for part in parts] == [0, len(records())]
    assert text(parts[0]).endswith("second one\n")


def test_shards_join_by_bcftools_concat(
    tiny_track: Path, genome: Path, vcf: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scoring, "BATCH", 4)
    whole = variants(config(), tiny_track, genome, vcf, tmp_path / "whole.vcf.gz")
    parts = [variants(config(shard=f"{i}/3"), tiny_track, genome, vcf, tmp_path / f"{i}.vcf.gz") for i in (1, 2, 3)]
    bcftools("concat", "--naive", "-o", tmp_path / "joined.vcf.gz", *parts)
    assert text(tmp_path / "joined.vcf.gz") == text(whole)


def test_threads_change_no_byte(
    tiny_track: Path, genome: Path, vcf: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scoring, "BATCH", 3)
    one = variants(config(), tiny_track, genome, vcf, tmp_path / "one.vcf")
    assert text(variants(config(threads=3), tiny_track, genome, vcf, tmp_path / "three.vcf")) == text(one)


def test_names_of_contigs_by_convention_and_by_aliases(tiny_track: Path, genome: Path, tmp_path: Path) -> None:
    lines = [records()[1], records()[-2]]
    plain = body(variants(config(), tiny_track, genome, write(tmp_path / "in.vcf", lines), tmp_path / "out.vcf"))
    bare = [line.removeprefix("chr") for line in lines]
    found = body(variants(config(), tiny_track, genome, write(tmp_path / "bare.vcf", bare), tmp_path / "o.vcf"))
    assert [line.removeprefix("chr") for line in plain] == found
    (tmp_path / "aliases.txt").write_text("chr1\tNC_1\nchr2\tNC_2\n")
    named = [line.replace("chr", "NC_") for line in lines]
    settings = config(aliases=tmp_path / "aliases.txt")
    found = body(variants(settings, tiny_track, genome, write(tmp_path / "named.vcf", named), tmp_path / "a.vcf"))
    assert [line.replace("chr", "NC_") for line in plain] == found


def test_a_hint_where_most_ref_differ(
    tiny_track: Path, genome: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    rows = [f"chr1\t{p - 1}\t{base('chr1', p)}\t.\n" for p in range(100, 140) if base("chr1", p) != base("chr1", p - 1)]
    source = tmp_path / "in.tsv"
    source.write_text("chrom\tposition\tref\talt\n" + "".join(rows))
    variants(config(), tiny_track, genome, source, tmp_path / "out.tsv")
    assert any("do positions not count from 1?" in message for message in caplog.messages)


RIGHT = [row("chr1", p, base("chr1", p), other("chr1", p)) for p in (500, 540, 580)]
WRONG = [row("chr1", p, other("chr1", p), base("chr1", p)) for p in (700, 740)]
OTHER = [row("chrUn", p, "A", "C") for p in range(10, 90, 10)]


@pytest.mark.parametrize(
    ("lines", "sounds"),
    [(RIGHT + WRONG[:1], False), (RIGHT + WRONG, False), (RIGHT[:1] + WRONG + OTHER, True)],
    ids=["one", "fewer than half", "most of those that were compared"],
)
@pytest.mark.parametrize("haplotypes", [False, True])
def test_the_hint_counts_alleles_whose_ref_was_compared(
    tiny_track: Path,
    genome: Path,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    lines: list[str],
    sounds: bool,
    haplotypes: bool,
) -> None:
    source = write(tmp_path / "in.vcf", lines)
    variants(config(haplotypes=haplotypes), tiny_track, genome, source, tmp_path / "out.tsv")
    assert any("REF differs from the genome (" in message for message in caplog.messages)
    assert any("most REF differ" in message for message in caplog.messages) == sounds


PHASED = [
    row("chr1", 500, base("chr1", 500), other("chr1", 500), ends="GT\t0|1\t1|1"),
    row("chr1", 560, base("chr1", 560), base("chr1", 560) + "AC", ends="GT\t0|1\t0|1"),
    row("chr1", 580, base("chr1", 580), other("chr1", 580), ends="GT\t1|0\t0/1"),
    row("chr1", 590, CONTIGS["chr1"][589:592], base("chr1", 590), ends="GT\t0|1\t0|0"),
    row("chr1", 591, base("chr1", 591), other("chr1", 591), ends="GT\t0|1\t0|0"),
    row("chr1", 2000, base("chr1", 2000), other("chr1", 2000), ends="GT\t0|1\t0|1"),
]


def test_haplotypes_are_scored_together(
    tiny_track: Path, genome: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    source = write(tmp_path / "in.vcf", PHASED)
    out = variants(config(haplotypes=True), tiny_track, genome, source, tmp_path / "out.tsv")
    found = pd.read_csv(out, sep="\t", dtype=str)
    b, o = (lambda p: base("chr1", p)), (lambda p: other("chr1", p))
    first, second, third = (
        f"500:{b(500)}>{o(500)}",
        f"560:{b(560)}>{b(560)}AC",
        f"590:{CONTIGS['chr1'][589:592]}>{b(590)}",
    )
    assert found[["first", "last", "variants", "n_carriers", "carriers"]].to_numpy().tolist() == [
        ["500", "560", f"{first},{second}", "1", "second one:2"],
        ["500", "592", f"{first},{second},{third}", "1", "first:2"],
    ]
    for why, line in (("unphased genotype", 14), ("variant that overlaps one before it on the same copy", 16)):
        assert any(
            m.startswith(f"variants: not scored: {why} (1); the first is {source}:{line}: 0") for m in caplog.messages
        )
    network, card = load_track(tiny_track)
    codes = Genome.open(genome).contig(0)
    both = np.concatenate([codes[:499], code(o(500)), codes[500:560], code("AC"), codes[560:]])
    tracks = [TrackScorer(network, card.calibration).score(one[None]).expected_tags[0] for one in (codes, both)]
    sums = [
        track[:, 399 : 560 + inserted + 100].sum(axis=1) + LEAST_TAGS
        for track, inserted in zip(tracks, (0, 2), strict=True)
    ]
    log2 = found.loc[0, ["log2_plus", "log2_minus"]].astype(float)
    np.testing.assert_allclose(log2, np.log2(sums[1] / sums[0]), atol=2e-4)


def test_a_genotype_that_is_left_out_is_a_missing_one(tiny_track: Path, genome: Path, tmp_path: Path) -> None:
    lines = [
        row("chr1", p, base("chr1", p), other("chr1", p), ends=f"DP:GT\t{first}\t3:0|1")
        for p, first in ((500, "."), (510, "3"), (520, ""))
    ]
    source = write(tmp_path / "in.vcf", lines)
    found = pd.read_csv(variants(config(haplotypes=True), tiny_track, genome, source, tmp_path / "out.tsv"), sep="\t")
    assert found["carriers"].tolist() == ["second one:2"]


def test_phase_sets_are_kept_apart(tiny_track: Path, genome: Path, tmp_path: Path) -> None:
    lines = [
        row("chr1", p, base("chr1", p), other("chr1", p), ends=f"GT:PS\t0|1:{ps}\t.:.")
        for p, ps in ((500, 1), (510, 1), (520, 2), (530, 2))
    ]
    header = HEADER.replace("##ALT", '##FORMAT=<ID=PS,Number=1,Type=Integer,Description="Phase set">\n##ALT')
    source = write(tmp_path / "in.vcf", lines, header)
    out = variants(config(haplotypes=True), tiny_track, genome, source, tmp_path / "out.tsv")
    found = pd.read_csv(out, sep="\t")
    assert found[["first", "last"]].to_numpy().tolist() == [[500, 510], [520, 530]]


@pytest.mark.parametrize(
    ("header", "lines", "name", "says"),
    [
        (HEADER, PHASED[::-1], "out.tsv", "the records are not sorted"),
        (HEADER, PHASED, "out.vcf", "haplotypes are written as a table"),
        (HEADER.replace("\tFORMAT\tfirst\tsecond one", ""), [], "out.tsv", "has no genotypes"),
    ],
)
def test_haplotypes_need_sorted_genotypes(
    tiny_track: Path, genome: Path, tmp_path: Path, header: str, lines: list[str], name: str, says: str
) -> None:
    source = write(tmp_path / "in.vcf", lines, header)
    with pytest.raises(InputError, match=says):
        variants(config(haplotypes=True), tiny_track, genome, source, tmp_path / name)
    assert list(tmp_path.iterdir()) == [source]


def test_haplotypes_and_shards_exclude_each_other() -> None:
    with pytest.raises(ConfigError, match="leave shard out"):
        parse(VariantsConfig, {"haplotypes": True, "shard": "1/2"})
    with pytest.raises(ConfigError, match="there is no share 3 of 2"):
        parse(VariantsConfig, {"shard": "3/2"})


def test_from_python(tiny_track: Path, genome: Path, vcf: Path, tmp_path: Path) -> None:
    model = api.load(tiny_track)
    table = model.variants(vcf, genome, distance=100)
    assert len(table) == 19
    assert table["log2_plus"].notna().sum() == 10
    variants(config(), tiny_track, genome, vcf, tmp_path / "out.vcf")
    line = info(body(tmp_path / "out.vcf")[1])
    (found,) = table[table["position"] == 500].to_dict("records")
    assert found["log2_plus"] == pytest.approx(float(line["LOG2_PLUS"]), abs=1e-4)
    assert f"{found['gain_position']}:{found['gain_strand']}" == line["GAIN_AT"]
    frame = pd.DataFrame(
        {"chrom": ["chr1"], "position": [500], "ref": [base("chr1", 500)], "alt": [other("chr1", 500)]}
    )
    pd.testing.assert_frame_equal(
        model.variants(frame, genome, distance=100), table[table["position"] == 500].reset_index(drop=True)
    )
    same = table[table["position"] == 1200].iloc[0]
    assert (same[["log2_plus", "log2_minus", "gain", "loss"]] == 0).all()
    with pytest.raises(InputError, match="REF differs"):
        model.variants(frame.assign(ref=other("chr1", 500)), genome, fail_on_error=True)
    assert model.variants(frame[:0], genome).columns.tolist() == table.columns.tolist()


def test_names_in_alleles_keep_their_case(tiny_track: Path, genome: Path, tmp_path: Path) -> None:
    alts = ["<DEL:ME:Alu>", "g]chr2:300]", other("chr1", 500).lower()]
    source = write(tmp_path / "in.vcf", [row("chr1", 500, base("chr1", 500), ",".join(alts))])
    table = api.load(tiny_track).variants(source, genome, distance=100)
    assert table["alt"].tolist() == [*alts[:2], other("chr1", 500)]
    assert table["log2_plus"].notna().tolist() == [False, False, True]


@pytest.mark.parametrize(("lines", "sounds"), [(OTHER, True), (RIGHT[:1] + OTHER, False), ([], False)])
@pytest.mark.parametrize("how", ["records", "haplotypes", "Python"])
def test_contigs_of_the_genome_are_named_where_no_record_has_one(
    tiny_track: Path,
    genome: Path,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    lines: list[str],
    sounds: bool,
    how: str,
) -> None:
    source = write(tmp_path / "in.vcf", lines)
    if how == "Python":
        api.load(tiny_track).variants(source, genome)
    else:
        variants(config(haplotypes=how == "haplotypes"), tiny_track, genome, source, tmp_path / "out.tsv")
    says = "no record lies on a contig of genome.fa, which has chr1, chr2: .*--aliases"
    assert any(re.search(says, message) for message in caplog.messages) == sounds


@pytest.mark.parametrize("kind", ["float64", "float32", "Float64", "Int64", "object"])
def test_whole_floats_are_positions(tiny_track: Path, genome: Path, kind: str) -> None:
    model, positions = api.load(tiny_track), [500, 540]
    frame = pd.DataFrame(
        {
            "chrom": "chr1",
            "pos": positions,
            "ref": [base("chr1", p) for p in positions],
            "alt": [other("chr1", p) for p in positions],
        }
    )
    expected = model.variants(frame, genome, distance=100)
    assert expected["log2_plus"].notna().all()
    given = frame.astype({"pos": "float64"}).astype({"pos": kind})
    pd.testing.assert_frame_equal(model.variants(given, genome, distance=100), expected)
    assert given["pos"].dtype == kind


def test_other_columns_of_a_frame_may_hold_anything(tiny_track: Path, genome: Path) -> None:
    model = api.load(tiny_track)
    frame = pd.DataFrame({"chrom": ["chr1"], "pos": 500, "ref": base("chr1", 500), "alt": other("chr1", 500)})
    given = frame.assign(note='a tab\t, a "line"\nand\r more', gain=[["a", "list"]])
    expected = model.variants(frame, genome, distance=100)
    pd.testing.assert_frame_equal(model.variants(given, genome, distance=100), expected)
    with pytest.raises(InputError, match="the table: a contig, REF or ALT has a tab or a line break"):
        model.variants(frame.assign(alt="A\tC"), genome)


FRAMES: dict[str, tuple[dict[str, object], str]] = {
    "fraction": ({"pos": [500.0, 500.5]}, "row 1 of the table: the position '500.5' is not a whole number"),
    "missing": ({"pos": [500.0, None]}, "row 1 of the table: the position '' is not a whole number"),
    "no column": ({"start": [500, 501]}, "the table: is neither VCF nor a table of variants: it has no column 'pos"),
    "differs": ({"pos": [0, 500]}, "row 0 of the table: cannot be scored: position 0"),
}


@pytest.mark.parametrize("case", FRAMES)
def test_what_is_wrong_with_a_frame_is_reported_of_its_rows(tiny_track: Path, genome: Path, case: str) -> None:
    columns, says = FRAMES[case]
    frame = pd.DataFrame({"chrom": "chr1", **columns, "ref": base("chr1", 500), "alt": other("chr1", 500)})
    with pytest.raises(InputError, match=f"^{re.escape(says)}") as error:
        api.load(tiny_track).variants(frame, genome, fail_on_error=case == "differs")
    assert "frame" not in str(error.value)


def test_what_of_a_frame_is_not_scored_is_named_by_row(
    tiny_track: Path, genome: Path, caplog: pytest.LogCaptureFixture
) -> None:
    frame = pd.DataFrame({"chrom": ["chr1", "chrUn"], "pos": 500, "ref": base("chr1", 500), "alt": other("chr1", 500)})
    api.load(tiny_track).variants(frame, genome)
    assert any("(1); the first is row 1 of the table: chrUn:500" in message for message in caplog.messages)


def command(tiny_track: Path, genome: Path, source: object, out: object) -> list[str]:
    code = "import sys; from capsight.cli import main; sys.exit(main())"
    given = ["variants", "--model", tiny_track, "--genome", genome, source, "-o", out, "--set", "threads=1"]
    return [sys.executable, "-c", code, *map(str, given), "--distance", "100"]


@pytest.mark.pipeline
def test_pipes_in_and_out(tiny_track: Path, genome: Path, vcf: Path, tmp_path: Path) -> None:
    plain = variants(config(), tiny_track, genome, vcf, tmp_path / "out.vcf")
    done = subprocess.run(
        command(tiny_track, genome, "-", "-"), input=vcf.read_bytes(), capture_output=True, check=True
    )
    assert done.stdout.decode() == text(plain)


def many(path: Path, n: int) -> Path:
    positions = np.linspace(200, 5800, n).astype(int)
    return write(path, [row("chr1", p, base("chr1", p), other("chr1", p)) for p in positions])


@pytest.mark.pipeline
def test_killed_and_run_again(tiny_track: Path, genome: Path, tmp_path: Path) -> None:
    source = many(tmp_path / "in.vcf", 1500)
    whole = variants(config(), tiny_track, genome, source, tmp_path / "whole.vcf.gz")
    out = tmp_path / "out.vcf.gz"
    process = subprocess.Popen(command(tiny_track, genome, source, out), stderr=subprocess.DEVNULL)
    while process.poll() is None and not [p for p in tmp_path.glob(".out*partial") if p.stat().st_size > 50_000]:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert not out.exists()
    variants(config(), tiny_track, genome, source, out)
    assert out.read_bytes() == whole.read_bytes()
    assert (tmp_path / "out.vcf.gz.tbi").read_bytes() == (tmp_path / "whole.vcf.gz.tbi").read_bytes()
    names = ["out.vcf.gz", "out.vcf.gz.provenance.yaml", "out.vcf.gz.tbi"]
    assert sorted(path.name for path in tmp_path.glob("*out*")) == names


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="peak memory is read from /proc")
@pytest.mark.pipeline
def test_memory_does_not_grow_with_the_file(tiny_track: Path, genome: Path, tmp_path: Path) -> None:
    def peak(n: int) -> int:
        code = (
            "import sys; from capsight.variants import scoring; from capsight.cli import main\n"
            "from capsight.variants.effects import NO_EFFECT\n"
            "scoring.effects_of = lambda contig, changes, *rest: iter([NO_EFFECT] * len(changes))\n"
            "try: main()\nexcept SystemExit: pass\n"
            # getrusage would count this process too, which the other one was forked from
            "print(next(line.split()[1] for line in open('/proc/self/status') if line.startswith('VmHWM')))"
        )
        given = command(tiny_track, genome, many(tmp_path / f"{n}.vcf", n), tmp_path / f"{n}.out.vcf.gz")
        given[2] = code
        done = subprocess.run(given, capture_output=True, text=True, check=True)
        assert len(body(tmp_path / f"{n}.out.vcf.gz")) == n
        return int(done.stdout) // 1024

    small, large = peak(1_000), peak(100_000)
    assert large < 1000
    assert large - small < 60
