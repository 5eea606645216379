import gzip
import logging

import numpy as np
import pandas as pd
import pytest

from capsight.config import WindowsConfig
from capsight.data.genome.genome import Genome
from capsight.data.peaks.reader import read_peaks
from capsight.data.windows.peaks_table import read_windows_peaks
from capsight.data.windows.stage import windows
from capsight.data.windows.windows import Windows
from capsight.errors import InputError


@pytest.fixture
def read(tmp_path, write_fasta):
    genome = Genome.open(write_fasta({"chrI": "ACGT" * 50, "chrII": "ACGT" * 25}))

    def run(text, **options):
        path = tmp_path / "genes.gtf"
        path.write_text(text)
        return read_peaks(path, genome, **options)

    return run


ROW = "{chrom}\tx\t{feature}\t{first}\t{last}\t.\t{strand}\t.\t{names}\n"


def row(feature, first, last, strand, names="", chrom="chrI"):
    return ROW.format(chrom=chrom, feature=feature, first=first, last=last, strand=strand, names=names)


def test_gtf_gives_one_peak_for_each_distinct_5_prime_end(read, caplog):
    text = (
        "#!genome-build x\n"
        + row("gene", 11, 60, "+", 'gene_id "g";')
        + row("transcript", 11, 60, "+", 'gene_id "g"; transcript_id "t1"; tag "basic";')
        + row("exon", 11, 30, "+", 'gene_id "g"; transcript_id "t1";')
        + row("transcript", 11, 40, "+", 'gene_id "g"; transcript_id "t2";')
        + row("transcript", 21, 60, "+", 'gene_id "g"; transcript_id "t3";')
        + row("transcript", 1, 11, "-", 'gene_id "h"; transcript_id "t4";')
        + row("transcript", 1, 100, "-", 'gene_id "i"; transcript_id "t5";', chrom="chrII")
    )
    with caplog.at_level(logging.INFO):
        table = read(text)
    assert table.drop(columns="summit").to_numpy().tolist() == [
        ["chrI", 10, 11, "t1", 2, "+"],
        ["chrI", 20, 21, "t3", 1, "+"],
        ["chrI", 10, 11, "t4", 1, "-"],
        ["chrII", 99, 100, "t5", 1, "-"],
    ]
    assert table.summit.tolist() == [10, 20, 10, 99]
    assert "5' ends of 5 transcript: 4 places, 1 begin where another one does" in caplog.text
    assert "not taken: 1 gene, 1 exon" in caplog.text
    assert "look like 5'-end counts" not in caplog.text


def test_gff3_takes_capped_transcripts_and_stops_at_the_sequences(read, caplog):
    text = (
        "##gff-version 3\n##sequence-region chrI 1 200\n"
        + row("gene", 1, 90, "+", "ID=g;Name=x")
        + row("mRNA", 5, 90, "+", "ID=m1;Parent=g")
        + row("tRNA", 50, 90, "+", "ID=r")
        + row("lnc_RNA", 7, 20, "-", "Parent=g;ID=l;x=y")
        + row("ncRNA", 30, 40, "-", "")
        + "###\n##FASTA\n>chrI\nACGT\n"
    )
    with caplog.at_level(logging.INFO):
        table = read(text)
    assert table[["start", "name", "strand"]].to_numpy().tolist() == [[4, "m1", "+"], [19, "l", "-"], [39, ".", "-"]]
    assert "5' ends of 1 mRNA, 1 lnc_RNA, 1 ncRNA: 3 places\n" in caplog.text
    assert "not taken: 1 gene, 1 tRNA" in caplog.text


def test_unstranded_transcripts_keep_their_5_prime_end(read):
    table = read(row("mRNA", 11, 60, "-", "ID=m"), assume_plus_strand=True)
    assert table[["start", "strand", "summit"]].to_numpy().tolist() == [[59, "+", 59]]


GOOD = row("mRNA", 11, 60, "+", "ID=m")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (row("gene", 1, 9, "+") + row("CDS", 1, 9, "+"), r"has no transcripts, but 1 gene, 1 CDS \(transcript, mRNA"),
        (GOOD + row("mRNA", 11, 60, "."), r"genes.gtf:2: strand '\.': a transcript without a strand has no 5' end"),
        (GOOD + row("mRNA", 0, 60, "+"), r"genes.gtf:2: 0 to 60 is no interval"),
        (GOOD + row("mRNA", 61, 60, "+"), r"genes.gtf:2: 61 to 60 is no interval"),
        (GOOD + row("mRNA", "x", 60, "+"), r"genes.gtf:2: start 'x' is not an integer"),
        (GOOD + "chrI\tx\tmRNA\t5\n", r"genes.gtf:2: 4 columns, but GTF and GFF3 have 9"),
        (GOOD + row("mRNA", 11, 201, "-"), r"genes.gtf:2: it ends at 201, but chrI has 200 bases"),
        (GOOD + row("mRNA", 11, 60, "+", chrom="I"), r"genes.gtf:2: contig 'I' is not in genome.fa, which has 'chrI'"),
    ],
)
def test_refuses_bad_records_with_file_and_line(read, text, message):
    with pytest.raises(InputError, match=message):
        read(text)


RING = row("region", 1, 100, "+", "ID=r;{}", chrom="chrII")


@pytest.mark.parametrize("mark", ["Is_circular=true", "Name=x; is_circular=TRUE;gbkey=Src"])
def test_transcripts_go_on_behind_the_origin_of_a_ring(read, caplog, mark):
    text = (
        row("mRNA", 91, 120, "-", "ID=over", chrom="chrII")
        + RING.format(mark)
        + row("mRNA", 91, 120, "+", "ID=before", chrom="chrII")
        + row("mRNA", 101, 120, "+", "ID=behind", chrom="chrII")
        + row("mRNA", 1, 20, "-", "ID=same", chrom="chrII")
    )
    with caplog.at_level(logging.INFO):
        table = read(text)
    assert table[["name", "start", "end", "summit", "strand", "score"]].to_numpy().tolist() == [
        ["over", 19, 20, 19, "-", 2.0], ["before", 90, 91, 90, "+", 1.0], ["behind", 0, 1, 0, "+", 1.0],
    ]  # fmt: skip
    assert "2 5' ends lie behind the origin of a circular contig" in caplog.text


@pytest.mark.parametrize("mark", ["", "Is_circular=false"])
def test_without_the_mark_the_way_out_is_said(read, mark):
    with pytest.raises(InputError, match=r"genes.gtf:2: it ends at 120, but chrII has 100 .*Is_circular=true"):
        read(RING.format(mark) + row("mRNA", 91, 120, "-", "ID=over", chrom="chrII"))


@pytest.mark.parametrize("end", ["\r\n", "\r"])
def test_any_line_end_and_semicolons_in_values(read, end):
    text = row("transcript", 11, 40, "+", 'gene_id "a;b"; note "x; y"; transcript_id "t;1";').replace("\n", end)
    assert read(text * 2)[["name", "start", "score"]].to_numpy().tolist() == [["t;1", 10, 2.0]]


@pytest.mark.parametrize(("name", "packed"), [("genes.gff3", False), ("genes.gff3.gz", True), ("genes", True)])
def test_windows_are_laid_on_an_annotation(tmp_path, write_fasta, name, packed, caplog):
    rng = np.random.default_rng(0)
    genome = write_fasta({chrom: "".join(rng.choice(list("ACGT"), 3000)) for chrom in ("chrI", "chrII", "chrIII")})
    text = "##gff-version 3\n" + "".join(
        row("gene", 500, 1500, "+", "ID=g", chrom)
        + row("mRNA", 500, 1500, "+", "ID=a;Parent=g", chrom)
        + row("mRNA", 500, 1400, "+", "ID=b;Parent=g", chrom)
        + row("CDS", 600, 1400, "+", "Parent=a", chrom)
        + row("mRNA", 2000, 2500, "-", "ID=c", chrom)
        for chrom in ("chrI", "chrII", "chrIII")
    )
    path = tmp_path / name
    path.write_bytes(gzip.compress(text.encode()) if packed else text.encode())
    config = WindowsConfig(
        genome=genome, peaks=path, length=40, validation=("chrII",), test=("chrIII",), exclusion_bp=20
    )
    with caplog.at_level(logging.INFO):
        data = Windows.open(windows(config, tmp_path / "windows"))
    found = data.table[data.table.label == 1]
    assert found[["chrom", "start", "end", "strand"]].to_numpy().tolist() == [
        [chrom, *place] for chrom in ("chrI", "chrII", "chrIII") for place in ([479, 519, "+"], [2480, 2520, "-"])
    ]
    peaks = read_windows_peaks(data.folder, data.genome)
    assert peaks[["summit", "strand", "score"]].to_numpy().tolist() == 3 * [[499, "+", 2.0], [2499, "-", 1.0]]
    ends = pd.read_parquet(data.folder / "ctss.parquet")
    assert ends["count"].tolist() == 6 * [1.0]  # a transcript more is no 5' end more
    assert "5' ends of 9 mRNA: 6 places, 3 begin where another one does" in caplog.text


@pytest.mark.parametrize(("other", "warned"), [(79, True), (81, False)], ids=["above", "below"])
@pytest.mark.parametrize("strand", ["+", "-"])
@pytest.mark.parametrize("kind", ["gff3", "bed"])
def test_start_codons_for_cap_sites_are_warned_of(tmp_path, write_fasta, caplog, other, warned, strand, kind):
    unit = "CCATGGTTCC"  # ATG begins at 2 on +, and at 3 on -
    genome = Genome.open(write_fasta({"chrI": unit * 200}))
    at = [10 * i + (2 if strand == "+" else 3) for i in range(20)] + [10 * i + 8 for i in range(20, 20 + other)]
    lines = {
        "gff3": lambda p: row("mRNA", p + 1, p + 5, "+", "ID=m") if strand == "+" else row("mRNA", p - 2, p + 1, "-"),
        "bed": lambda p: f"chrI\t{p}\t{p + 1}\tp\t0\t{strand}\n",
    }
    path = tmp_path / f"peaks.{kind}"
    path.write_text("".join(map(lines[kind], at)))
    read_peaks(path, genome)
    assert (f"20 of {20 + other} begin with ATG: these look like start codons" in caplog.text) == warned
