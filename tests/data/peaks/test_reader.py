import gzip
import logging

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from capsight.data import schema
from capsight.data.genome.contig_names import Aliases
from capsight.data.genome.genome import Genome
from capsight.data.peaks.index import PeakIndex
from capsight.data.peaks.reader import read_peaks
from capsight.errors import InputError


@pytest.fixture
def genome(write_fasta):
    return Genome.open(write_fasta({"chrI": "ACGT" * 50, "chrII": "ACGT" * 25}))


@pytest.fixture
def read(tmp_path, genome):
    def run(text, **options):
        path = tmp_path / "peaks.bed"
        path.write_bytes(text.encode() if isinstance(text, str) else text)
        return read_peaks(path, genome, **options)

    return run


def test_bed9_summits_and_bed6_five_prime_ends(read):
    table = read(
        "chrI\t10\t20\tp1\t5\t+\t13\t14\t255,0,0\n"
        "chrI\t10\t20\tp2\t5\t-\t13\t14\t0,0,255\n"
        "chrI\t10\t20\tp3\t5.5\t+\t10\t20\t0\n"
        "chrII\t10\t20\tp4\t.\t-\t10\t20\t.\n"
    )
    assert tuple(table.columns) == schema.PEAK_COLUMNS
    assert table.chrom.tolist() == ["chrI", "chrI", "chrI", "chrII"]
    assert table.name.tolist() == ["p1", "p2", "p3", "p4"]
    assert table.summit.tolist() == [13, 13, 10, 19]
    assert table.score.tolist()[:3] == [5, 5, 5.5]
    assert np.isnan(table.score[3])


@pytest.mark.parametrize(
    "thick",
    ["10\t20", "10\t10", "0\t0", "12\t14", "30\t31", "9\t10", "20\t21"],
    ids=["whole", "empty", "zero", "wide", "outside", "before", "after"],
)
def test_thick_ends_that_are_no_summit_are_not_taken_for_one(read, thick):
    assert read(f"chrI\t10\t20\tp\t0\t-\t{thick}\t0\n").summit.tolist() == [19]


def test_thick_start_on_the_edges_of_the_peak_counts(read):
    table = read("chrI\t10\t20\tp\t0\t-\t10\t11\t0\nchrI\t10\t20\tp\t0\t+\t19\t20\t0\n")
    assert table.summit.tolist() == [10, 19]


def test_skips_headers_and_accepts_crlf_spaces_and_bed12(read):
    table = read(
        'track name="x"\r\nbrowser position chrI\r\n# words\r\n\r\n'
        "chrI 1 5 p 0 + 1 1 0 1 4 0\r\n"
        "chrI\t1\t5\tp\t0\t-\t3\t4\t0\t1\t4\t0\r\n"
    )
    assert table.summit.tolist() == [1, 3]
    assert table.strand.tolist() == ["+", "-"]


def test_reads_gzip_whatever_its_name(read):
    assert read(gzip.compress(b"chrI\t1\t5\tp\t0\t+\n")).start.tolist() == [1]


def test_repeated_peaks_stay_and_are_said(read, caplog):
    with caplog.at_level(logging.INFO):
        table = read("chrI\t1\t5\tp\t0\t+\nchrI\t1\t5\tq\t0\t+\nchrI\t1\t5\tr\t0\t-\n")
    assert table.name.tolist() == ["p", "q", "r"]
    assert "3 peaks on 1 contigs" in caplog.text
    assert "no summit for 3 of 3: their 5' end is used" in caplog.text
    assert "1 peaks repeat the place of an earlier one" in caplog.text


NARROW = "chrI\t10\t20\tp\t900\t{strand}\t8.1\t5\t3\t{offset}\n"
BED9 = "chrI\t10\t20\tp\t900\t+\t13\t14\t255,0,0\n"
GOOD = "# header\nchrI\t1\t5\tp\t0\t+\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "holds no peaks"),
        ("# only words\n\n", "holds no peaks"),
        ("chrI\t1\t5\n", r"peaks.bed:1: no strand"),
        (GOOD + "chrI\t1\t5\n", r"peaks.bed:3: 3 columns, but line 2 has 6"),
        (GOOD + "chrI\t1\t5\tp\t0\t.\n", r"peaks.bed:3: no strand"),
        (GOOD + "words\n", r"peaks.bed:3: is not BED: 1 columns, at least 3"),
        (BED9 * 2 + "chrI\t1\t5\tp\t0\t+\t0.1\t9.5\t0\n", r"peaks.bed:3: thickStart .* are not integers"),
        (NARROW.format(strand="+", offset=4) + "chrI\t1\t5\tp\t0\t+\t5.3\t2.1\t1\t4\n",
         r"peaks.bed:2: the summit \(narrowPeak column 10\), start \+ 4, is outside .*--peak-format bed"),
        (GOOD + "chrI\t1\t" + "9" * 5_000 + "\tp\t0\t+\n", r"peaks.bed:3: end 9{30} is beyond"),
        (GOOD + "\t1\t5\tp\t0\t+\n", r"peaks.bed:3: names no contig"),
        (b"\x26\xfc\x8f\x88" + b"\x00" * 90, r"is bigWig, .*\(.*capsight cluster --plus"),
        (b"\xeb\xf2\x89\x87" + b"\x00" * 90, r"is bigBed, .*bigBedToBed"),
        (b"PK\x03\x04" + b"\x00" * 90, r"is packed with zip \(unpack it"),
        ("chrI\t1\t5\n".encode("utf-16"), r"in UTF-16 \(save it as UTF-8"),
        (GOOD + "chrI\t1\t5\tp\t0\t*\n", r"peaks.bed:3: no strand"),
        (GOOD + "chrI\t1\t5\tp\t0\t**\n", r"peaks.bed:3: strand '\*\*' is neither"),
        (GOOD + "chrI\tone\t5\tp\t0\t+\n", r"peaks.bed:3: start 'one' is not an integer"),
        (GOOD + "chrI\t1\t5.5\tp\t0\t+\n", r"peaks.bed:3: end '5.5' is not an integer"),
        (GOOD + "chrI\t1_0\t50\tp\t0\t+\n", r"peaks.bed:3: start '1_0' is not an integer"),
        (GOOD + "chrI\t7\t5\tp\t0\t+\n", r"peaks.bed:3: start 7 is not below end 5"),
        (GOOD + "chrI\t5\t5\tp\t0\t+\n", r"peaks.bed:3: start 5 is not below end 5"),
        (GOOD + "chrI\t-3\t5\tp\t0\t+\n", r"peaks.bed:3: start -3 is negative"),
        (GOOD + "chrI\t1\t5\tp\tmuch\t+\n", r"peaks.bed:3: score 'much' is not a number"),
        (GOOD + "chrI\t1\t201\tp\t0\t+\n", r"peaks.bed:3: it ends at 201, but chrI has 200 bases"),
        (
            "I\t1\t5\tp\t0\t+\n",
            r"peaks.bed:1: contig 'I' is not in genome.fa, which has 'chrI' \(rename the contigs so that "
            r"both files agree, or name a table of aliases: --aliases\)",
        ),
        (
            GOOD + "chrIX\t1\t5\tp\t0\t+\nchrV\t1\t5\tp\t0\t+\nchrV\t2\t5\tp\t0\t+\n",
            r"peaks.bed:3: contig 'chrIX' is not in genome.fa, which has chrI, chrII "
            r"\(3 of 4 records lie on contigs that it lacks: chrIX, chrV\)",
        ),
        (b"\xff\xfe\x00", "is not a text file"),
        (gzip.compress(GOOD.encode() * 9999)[:-20], "is truncated or damaged"),
    ],
)  # fmt: skip
def test_refuses_bad_records_with_file_and_line(read, text, message):
    with pytest.raises(InputError, match=message):
        read(text)


def test_a_peak_may_reach_the_contig_end(read):
    assert read("chrI\t190\t200\tp\t0\t-\n").summit.tolist() == [199]


def test_refuses_a_missing_file(tmp_path, genome):
    with pytest.raises(InputError, match="there is no such file"):
        read_peaks(tmp_path / "peaks.bed", genome)


def test_narrow_peak_says_its_summit_by_its_distance_from_start(read):
    table = read(NARROW.format(strand="+", offset=3) + NARROW.format(strand="-", offset=-1))
    assert table.summit.tolist() == [13, 19]
    assert table.score.tolist() == [900, 900]


def test_a_byte_order_mark_and_a_header_line_are_no_peaks(read, caplog):
    with caplog.at_level(logging.INFO):
        table = read("\ufeffchrom\tstart\tend\tname\tscore\tstrand\nchrI\t1\t5\tp\t0\t+\n")
    assert table[["chrom", "start", "end"]].to_numpy().tolist() == [["chrI", 1, 5]]
    assert "line 1 names the columns" in caplog.text


def test_a_contig_called_track_is_a_contig(tmp_path, write_fasta):
    path = tmp_path / "p.bed"
    path.write_text("track1\t1\t5\tp\t0\t+\ntrack\tname=x\n")
    assert len(read_peaks(path, Genome.open(write_fasta({"track1": "ACGTACGT"})))) == 1


@pytest.mark.parametrize("columns", [3, 4, 5, 6])
def test_peaks_without_a_strand_need_the_option(read, columns, caplog):
    text = "\t".join(["chrI", "10", "20", "p", "7", "."][:columns]) + "\n"
    with pytest.raises(
        InputError, match=r"peaks.bed:1: no strand.*--assume-plus-strand, in a recipe windows.assume_plus_strand: true"
    ):
        read(text)
    with caplog.at_level(logging.INFO):
        table = read(text + text.replace("20", "11"), assume_plus_strand=True)
    assert table.strand.tolist() == ["+", "+"]
    assert table.summit.tolist() == [15, 10]
    assert table.score.fillna(0).tolist() == [7 if columns >= 5 else 0] * 2
    assert "no summit for 2 of 2: their middle is used" in caplog.text


def test_unstranded_peaks_keep_a_summit_and_lose_their_strand(read, caplog):
    with caplog.at_level(logging.INFO):
        table = read(NARROW.format(strand="-", offset=3) + NARROW.format(strand=".", offset=9), assume_plus_strand=True)
    assert table.summit.tolist() == [13, 19]
    assert table.strand.tolist() == ["+", "+"]
    assert "1 peaks have a strand, which is not used: all are taken as +" in caplog.text


PAPER = "chromosomeID,start_coordinate,end_coordinate\n"


def test_the_csv_of_the_paper(read):
    with pytest.raises(InputError, match=r"peaks.bed:2: no strand.*--assume-plus-strand"):
        read(PAPER + "chrI,10,20\n")
    assert read(PAPER + "chrI,10,20\r\n\r\nchrII,3,4\r\n", assume_plus_strand=True)[
        ["chrom", "start", "end", "strand", "summit"]
    ].to_numpy().tolist() == [["chrI", 10, 20, "+", 15], ["chrII", 3, 4, "+", 3]]
    more = read(',start_coordinate,"chromosomeID",strand,end_coordinate,gene\n0,10,"chrI",-,20,x\n')
    assert more[["chrom", "start", "end", "strand", "summit"]].to_numpy().tolist() == [["chrI", 10, 20, "-", 19]]
    with pytest.raises(InputError, match=r"peaks.bed:3: 2 fields, but the header has 3"):
        read(PAPER + "chrI,10,20\nchrI,10\n", assume_plus_strand=True)
    with pytest.raises(InputError, match=r"peaks.bed:2: start 'ten' is not an integer"):
        read(PAPER + "chrI,ten,20\n", assume_plus_strand=True)
    with pytest.raises(InputError, match="holds no peaks"):
        read(PAPER, assume_plus_strand=True)


def test_5_prime_end_counts_are_recognised(read, caplog):
    counts = "chrI\t3\t4\t.\t1\t+\nchrI\t9\t10\t.\t12\t-\n"
    assert len(read(counts)) == 2
    assert "these look like 5'-end counts; capsight cluster makes peaks of them" in caplog.text
    caplog.clear()
    for text in (counts.replace("12", "1"), counts.replace("12", "."), counts.replace("12", "1.5"),
                 counts + "chrI\t3\t5\t.\t1\t+\n"):  # fmt: skip
        read(text)
    assert "look like" not in caplog.text


def test_aliases_stand_for_the_contigs_of_the_genome(tmp_path, genome):
    path = tmp_path / "alias.txt"
    path.write_text("# ucsc\tensembl\trefseq\nchrI\tI\tNC_1\r\nchrII\tII\t\nchrIII\tIII\tNC_3\n")
    aliases = Aliases.read(path, genome)
    bed = tmp_path / "peaks.bed"
    bed.write_text("I\t1\t5\tp\t0\t+\nNC_1\t1\t5\tp\t0\t-\nchrII\t1\t5\tp\t0\t-\nII\t1\t5\tp\t0\t-\n")
    assert read_peaks(bed, genome, aliases).chrom.tolist() == ["chrI", "chrI", "chrII", "chrII"]
    assert aliases.names(("NC_1", "chrII", "chrX")) == ("chrI", "chrII", "chrX")
    bed.write_text("III\t1\t5\tp\t0\t+\n")
    with pytest.raises(InputError, match=r"peaks.bed:1: contig 'III' is not in genome.fa"):
        read_peaks(bed, genome, aliases)


def test_an_alias_of_several_contigs_stands_for_none(tmp_path, genome):
    path = tmp_path / "chromAlias.txt"  # UCSC's older layout: alias, name, source
    path.write_text("I\tchrI\tensembl\nII\tchrII\tensembl\nNC_1\tchrI\trefseq\n")
    assert dict(Aliases.read(path, genome).known) == {"I": "chrI", "II": "chrII", "NC_1": "chrI", "refseq": "chrI"}
    path.write_text("1\tone\n")
    with pytest.raises(InputError, match=r"chromAlias.txt: names no contig of genome.fa together with another"):
        Aliases.read(path, genome)


FIELDS = st.one_of(
    st.sampled_from(
        ["chrI", "chrII", "+", "-", ".", "", "0", "7", "20", "-1", "1e9", "nan", "9" * 30, "start", "#", ">", ","]
    ),
    st.text(max_size=4),
)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.lists(FIELDS, max_size=12), max_size=3), st.sampled_from("\t ,"), st.booleans())
def test_whatever_the_file_holds_there_is_no_traceback(
    tmp_path_factory, genome_of_three, rows, separator, assume_plus_strand
):
    path = tmp_path_factory.mktemp("odd") / "peaks.bed"
    path.write_bytes("\n".join(separator.join(row) for row in rows).encode("utf-8", "surrogatepass"))
    error = None
    try:
        read_peaks(path, genome_of_three, assume_plus_strand=assume_plus_strand)
    except InputError as caught:
        error = caught
    assert error is None or str(error).startswith(str(path))


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_overlap_and_distance_equal_their_definitions(genome_of_three, data):
    genome = genome_of_three
    contig = st.integers(0, 2)
    peaks = data.draw(st.lists(st.tuples(contig, st.integers(0, 59), st.integers(1, 20)), max_size=6))
    peaks = [(c, s, min(60, s + n)) for c, s, n in peaks]
    margin = data.draw(st.integers(0, 8))
    length = data.draw(st.integers(1, 12))
    windows = data.draw(st.lists(st.tuples(contig, st.integers(0, 60 - length)), min_size=1, max_size=9))
    table = pd.DataFrame(
        [(genome.names[c], s, e) for c, s, e in peaks], columns=[schema.CHROM, schema.START, schema.END]
    )
    index = PeakIndex.from_peaks(table.astype({schema.START: int, schema.END: int}), genome, margin)
    zones = [(c, max(0, s - margin), min(60, e + margin)) for c, s, e in peaks]
    expected = []
    for c, s in windows:
        gaps = [max(0, a - (s + length), s - b) for k, a, b in zones if k == c]
        expected.append(min(gaps, default=-1))
    shared = [any(k == c and a < s + length and s < b for k, a, b in zones) for c, s in windows]
    contigs, starts = (np.array(column) for column in zip(*windows, strict=True))
    assert index.overlaps(contigs, starts, length).tolist() == shared
    assert index.distance(contigs, starts, length).tolist() == expected


@pytest.fixture(scope="module")
def genome_of_three(tmp_path_factory):
    path = tmp_path_factory.mktemp("three") / "genome.fa"
    path.write_text("".join(f">c{i}\n{'ACGT' * 15}\n" for i in range(3)))
    return Genome.open(path)


@pytest.mark.real
def test_real_yeast_peaks(yeast):
    genome = Genome.open(yeast.genome)
    table = read_peaks(yeast.peaks, genome)
    assert len(table) == 5_911
    assert table.iloc[0].to_dict() == {
        "chrom": "chrI", "start": 24_830, "end": 24_850, "name": "chrI:24830..24850,+", "score": 50.0,
        "strand": "+", "summit": 24_837,
    }  # fmt: skip
    assert ((table.start <= table.summit) & (table.summit < table.end)).all()


# What the columns of a record may be: for a peak at 10 to 20.
STRAND_0 = "chrI\t10\t20\tp\t900\t+\t"
FORMATS = {
    "BED9 and a count that may be an offset": (STRAND_0 + "13\t14\t255,0,0\t6\n", "BED of 10 columns", 13),
    "BED9 and a count beyond the peak": (STRAND_0 + "13\t14\t0\t77\n", "BED of 10 columns", 13),
    "BED9 and two columns": (STRAND_0 + "13\t14\t0,0,255\t6\tgene\n", "BED of 11 columns", 13),
    "BED12 of one block": (STRAND_0 + "13\t14\t0\t1\t10,\t0,\n", "BED of 12 columns", 13),
    "BED12 of two blocks, and more": (STRAND_0 + "13\t14\t0\t2\t2,3\t0,7\tx\n", "BED of 13 columns", 13),
    "gappedPeak": (STRAND_0 + "12\t18\t0\t1\t10\t0\t5.5\t3.1\t2.2\n", "BED of 15 columns", 10),
    "BED6 and four columns of text": (STRAND_0 + "a\tb\tc\td\n", "BED of 10 columns", 10),
    "BED6 and two columns of text": (STRAND_0 + "a\tb\n", "BED of 8 columns", 10),
    "narrowPeak": (STRAND_0 + "8.1\t5\t3\t7\n", "narrowPeak of 10 columns", 17),
    "narrowPeak of whole numbers": (STRAND_0 + "8\t5\t3\t7\n", "narrowPeak of 10 columns", 17),
    "narrowPeak without p-values": (STRAND_0 + "8.1\t-1\t-1\t7\n", "narrowPeak of 10 columns", 17),
    "IDR's narrowPeak": (
        STRAND_0 + "1.5\t-1\t-1\t7\t2.1\t4.7\t10\t20\t1.1\t7\t10\t20\t1.2\t7\n", "narrowPeak of 20 columns", 17,
    ),
    "broadPeak": (STRAND_0 + "8.1\t5\t3\n", "broadPeak of 9 columns", 10),
    "IDR's broadPeak": (STRAND_0 + "8.1\t5\t3\t2.15\t4.7\t10\t20\t1.1\n", "broadPeak of 14 columns", 10),
}  # fmt: skip


@pytest.mark.parametrize("case", FORMATS)
def test_a_format_is_told_by_all_columns_and_said(read, caplog, case):
    text, told, summit = FORMATS[case]
    with caplog.at_level(logging.INFO):
        table = read(text * 2 + text.replace("chrI", "chrII"))
    assert table.summit.tolist() == [summit] * 3
    assert f"peaks peaks.bed: {told}, recognised by its columns" in caplog.text


AMBIGUOUS = STRAND_0 + "12\t13\t0\t6\n"


def test_what_may_be_two_formats_must_be_said(read, caplog):
    with pytest.raises(InputError, match=r"may be narrowPeak .* as well as BED9 .*--peak-format narrowPeak or"):
        read(AMBIGUOUS * 3)
    with caplog.at_level(logging.INFO):
        assert read(AMBIGUOUS, peak_format="bed").summit.tolist() == [12]
    assert "BED of 10 columns, as asked for" in caplog.text
    assert read(AMBIGUOUS, peak_format="narrowPeak").summit.tolist() == [16]
    assert read(AMBIGUOUS, peak_format="broadPeak").summit.tolist() == [10]
    # one record that is no narrowPeak tells the others
    assert read(AMBIGUOUS + STRAND_0 + "12\t13\t0\t99\n").summit.tolist() == [12, 12]


@pytest.mark.parametrize(
    ("text", "peak_format", "message"),
    [
        (STRAND_0[:-1] + "\n", "narrowPeak", "peaks.bed: has 6 columns, but narrowPeak has 10"),
        (STRAND_0[:-1] + "\n", "broadPeak", "peaks.bed: has 6 columns, but broadPeak has 9"),
        (STRAND_0 + "a\tb\tc\td\n", "narrowPeak", r"peaks.bed:1: the summit \(narrowPeak column 10\), 'd', is not an"),
        (STRAND_0[:-1] + "\n", "gtf", "peaks.bed:1: 6 columns, but GTF and GFF3 have 9"),
        (STRAND_0[:-1] + "\n", "csv", "peaks.bed: has no column 'chromosomeID'"),
    ],
)
def test_a_format_that_is_asked_for_must_be_there(read, text, peak_format, message):
    with pytest.raises(InputError, match=message):
        read(text, peak_format=peak_format)


def test_a_record_unlike_most_others_is_refused_by_line(read):
    good = STRAND_0 + "13\t14\t255,0,0\t6\n"
    with pytest.raises(InputError, match=r"peaks.bed:3: thickStart and thickEnd, 'a' and 'b', are not integers"):
        read(good * 2 + STRAND_0 + "a\tb\tc\td\n" + good)


def test_the_star_of_genomic_ranges_is_no_strand(read):
    with pytest.raises(InputError, match=r"peaks.bed:1: no strand.*--assume-plus-strand"):
        read("chrI\t10\t20\tp\t0\t*\n")
    assert read("chrI\t10\t20\tp\t0\t*\n", assume_plus_strand=True).summit.tolist() == [15]
    assert read(PAPER.replace("\n", ",strand\n") + "chrI,10,20,*\n", assume_plus_strand=True).strand.tolist() == ["+"]


def test_a_bedgraph_for_peaks_is_said(read, caplog):
    with caplog.at_level(logging.WARNING), pytest.raises(InputError, match="no strand"):
        read("chrI\t10\t20\t1.5\nchrI\t30\t40\t7\n")
    assert "if this is bedGraph, capsight cluster --plus PLUS --minus MINUS makes peaks of it" in caplog.text
    caplog.clear()
    read("chrI\t10\t20\t1\nchrI\t30\t40\tp\n", assume_plus_strand=True)
    assert "bedGraph" not in caplog.text
