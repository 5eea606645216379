import gzip
import logging
import tracemalloc

import numpy as np
import pybigtools
import pysam
import pytest

from capsight.data.ctss.reader import read_ctss
from capsight.errors import InputError


@pytest.fixture
def write(tmp_path):
    def run(text, name="x.ctss.bed"):
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return run


@pytest.fixture
def bigwig(tmp_path):
    """Return a function that writes ``[(chrom, start, end, value)]`` as bigWig."""

    def run(rows, name, sizes=(("chrI", 3_000_000), ("chrII", 50))):
        path = tmp_path / name
        pybigtools.open(str(path), "w").write(dict(sizes), ((*row[:3], float(row[3])) for row in rows))
        return path

    return run


def rows(ends):
    names, ctss = ends
    columns = (np.array(names)[ctss.contig], ctss.position, np.where(ctss.minus, "-", "+"), ctss.counts)
    return list(zip(*(column.tolist() for column in columns), strict=True))


TEXT = "chrII\t7\t8\t.\t2\t-\nchrI\t9\t10\tx\t1\t+\nchrI\t3\t4\t.\t5\t-\nchrI\t3\t4\t.\t4\t+\nchrI\t9\t10\ty\t2\t+\n"
ROWS = [("chrII", 7, "-", 2), ("chrI", 3, "+", 4), ("chrI", 9, "+", 3), ("chrI", 3, "-", 5)]


def test_places_are_sorted_and_those_listed_twice_summed(write):
    ends = read_ctss([write(TEXT)])
    assert ends.names == ("chrII", "chrI")
    assert rows(ends) == ROWS
    assert ends.ctss.counts.sum() == 14


ODD = {
    "header and comments": "browser x\ntrack name=y\n# words\nchrom\tstart\tend\tname\tscore\tstrand\n" + TEXT,
    "comments inside": TEXT.replace("chrI\t3", "# words\nchrI\t3", 1),
    "a record that is a comment": TEXT + "#chrI\t3\t4\t.\t4\t+\n",
    "crlf": TEXT.replace("\n", "\r\n"),
    "no last line end": TEXT.rstrip("\n"),
    "byte order mark": "\ufeff" + TEXT,
    "spaces": TEXT.replace("\t", " "),
    "more columns": TEXT.replace("\n", "\t0\t0\n"),
    "blank lines": TEXT.replace("\n", "\n\n"),
    "quotes": TEXT.replace("x\t", '"x\t'),
    "zeros": TEXT + "chrI\t8\t9\t.\t0\t+\n",
}


@pytest.mark.parametrize("case", ODD)
def test_odd_files_say_the_same(write, case):
    assert rows(read_ctss([write(ODD[case])])) == ROWS


def test_packed_files_say_the_same(write, tmp_path):
    with pysam.BGZFile(str(tmp_path / "b.gz"), "wb") as out:
        out.write(TEXT.encode())
    assert rows(read_ctss([tmp_path / "b.gz"])) == ROWS
    assert rows(read_ctss([write(gzip.compress(TEXT.encode()), "g.bed")])) == ROWS


def test_replicates_are_summed_and_said(write, caplog):
    with caplog.at_level(logging.INFO):
        ends = read_ctss([write(TEXT, "a.bed"), write("chrIII\t1\t2\t.\t1\t+\nchrI\t3\t4\t.\t0.5\t-\n", "b.bed")])
    assert rows(ends) == [*ROWS[:3], ("chrI", 3, "-", 5.5), ("chrIII", 1, "+", 1)]
    assert "5' ends a.bed: 14 tags at 5 positions" in caplog.text
    assert "5' ends: 15.5 tags at 5 positions of 2 files" in caplog.text


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "x.ctss.bed: holds no counts"),
        ("# words\n", "x.ctss.bed: holds no counts"),
        ("chrI\t1\t2\t.\t0\t+\n", "x.ctss.bed: holds no counts above zero"),
        (TEXT + "chrI\t3\t9\t.\t4\t+\n", r"x.ctss.bed:6: is 6 bases wide.*\(peaks need no clustering"),
        (TEXT + "chrI\t3\t4\t.\t4\t.\n", r"x.ctss.bed:6: no strand"),
        ("chrI\t3\t4\n" * 2, r"x.ctss.bed:1: no strand"),
        (TEXT + "chrI\t3\t4\n", r"x.ctss.bed:6: 3 columns, but line 1 has 6"),
        (TEXT + "chrI\t3\t4\t.\t4\t*\n", r"x.ctss.bed:6: no strand"),
        ("chrI\t3\t4\t5\n", r"x.ctss.bed: is bedGraph \(4 columns\), which has no strands.*--plus and --minus"),
        ("track type=wiggle_0\nfixedStep chrom=chrI start=1\n5\n", r"x.ctss.bed: is wiggle.*wigToBigWig"),
        (TEXT + "chrI\t3\t4\t.\t-4\t+\n", r"x.ctss.bed:6: the score -4 is no count"),
        (TEXT + "chrI\t3\t4\t.\t.\t+\n", r"x.ctss.bed:6: the score nan is no count"),
        (TEXT + "chrI\t3\t4\t.\tinf\t+\n", r"x.ctss.bed:6: the score inf is no count"),
        (TEXT + "chrI\t3\t4\t.\tmany\t+\n", r"x.ctss.bed:6: score 'many' is not a number"),
        (TEXT + "chrI\t9999999999999\t10000000000000\t.\t4\t+\n", r"x.ctss.bed:6: start 9999999999999 is beyond"),
        (TEXT + "chrI\t-3\t-2\t.\t4\t+\n", r"x.ctss.bed:6: start -3 is negative"),
        (TEXT + "chrI\t3\t4\t.\t4\tplus\n", r"x.ctss.bed:6: strand 'plus' is neither"),
        (TEXT + "\t3\t4\t.\t4\t+\n", r"x.ctss.bed:6: names no contig"),
        (TEXT + "chrom\tstart\tend\tname\tscore\tstrand\n", r"x.ctss.bed:6: start 'start' is not an integer"),
        (TEXT + "words\n", r"x.ctss.bed:6: is not BED"),
        (gzip.compress(TEXT.encode() * 9999)[:-20], "is truncated or damaged"),
        (b"\x26\xfc\x8f\x88" + b"\x00" * 90, r"is bigWig.*\(name both files: --plus and --minus\)"),
        (b"\xff\xff\xff", "is not a text file"),
    ],
)
def test_refuses_what_is_no_count_with_file_and_line(write, text, message):
    with pytest.raises(InputError, match=message):
        read_ctss([write(text)])


def test_bigwigs_are_read_base_by_base(bigwig):
    border = 1 << 20  # where one piece ends and the next begins
    plus = bigwig([("chrI", 3, 4, 4), ("chrI", border - 2, border + 2, 7), ("chrII", 49, 50, 1)], "p.bw")
    minus = bigwig([("chrI", 3, 4, -5), ("chrI", 2_999_999, 3_000_000, -2)], "m.bw")
    assert rows(read_ctss(plus=[plus], minus=[minus])) == [
        ("chrI", 3, "+", 4), *((("chrI", border + i, "+", 7)) for i in (-2, -1, 0, 1)),
        ("chrI", 3, "-", 5), ("chrI", 2_999_999, "-", 2), ("chrII", 49, "+", 1),
    ]  # fmt: skip


def test_bigwigs_and_bed_say_the_same(bigwig, write):
    plus = bigwig([("chrI", 3, 4, 4), ("chrI", 9, 10, 3)], "p.bw")
    minus = bigwig([("chrI", 3, 4, 5), ("chrII", 7, 8, 2)], "m.bw")
    assert sorted(rows(read_ctss(plus=[plus], minus=[minus]))) == sorted(ROWS)


GRAPHS = {
    "as CAGEr writes them": (
        "track type=bedGraph name=p\nchrI\t3\t4\t4\nchrI\t9\t10\t3\n",
        "track type=bedGraph name=m\nchrII\t7\t8\t-2\nchrI\t3\t4\t-5\n",
    ),
    "zeros, wide intervals, and carriage returns": (
        "chrI\t0\t3\t0\rchrI\t3\t4\t4\rchrI\t9\t10\t3\rchrII\t0\t999999999\t0\r", "chrII 7 8 2\r\n\r\nchrI 3 4 5\r\n",
    ),
    "spaces and a header": ("chrom start end value\nchrI 3 4 4\nchrI 9 10 3\n", "chrII\t7\t8\t2.0\nchrI\t3\t4\t5\n"),
}  # fmt: skip


@pytest.mark.parametrize("case", GRAPHS)
def test_bed_graphs_are_pairs_of_strands(write, case):
    plus, minus = GRAPHS[case]
    packed = write(gzip.compress(minus.encode()), "m.bedGraph.gz")
    assert sorted(rows(read_ctss(plus=[write(plus, "p.bedGraph")], minus=[packed]))) == sorted(ROWS)


def test_intervals_of_bed_graphs_are_laid_out_base_by_base(write):
    ends = read_ctss(plus=[write("chrI\t3\t6\t4\n", "p")], minus=[write("chrI\t1\t2\t1\n", "m")])
    assert rows(ends) == [("chrI", 3, "+", 4), ("chrI", 4, "+", 4), ("chrI", 5, "+", 4), ("chrI", 1, "-", 1)]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "p.bg: holds no counts"),
        ("track type=bedGraph\nchrI\t3\t4\t0\n", "p.bg: holds no counts above zero"),
        ("chrI\t3\t4\t-1\n", r"p.bg: chrI:3: the value -1 is no count \(--plus takes numbers from 0 on"),
        ("chrI\t3\t4\tmany\n", "p.bg:1: the value 'many' is not a number"),
        ("chrI\t3\t4\t1\nchrI\t4\t5\tnan\n", "p.bg:2: the value nan is no count"),
        ("chrI\t3\t4\t1\nchrI\t5\t6\n", "p.bg:2: 3 columns, but bedGraph has 4"),
        ("chrI\t4\t4\t1\n", "p.bg:1: start 4 is not below end 4"),
        ("chrI\t3\t5\t1\nchrI\t4\t6\t1\n", r"p.bg: chrI:4: has two values \(one file for each strand"),
        ("track a\nchrI\t3\t4\t1\ntrack b\nchrI\t3\t4\t-1\n", r"p.bg:3: a second track begins"),
        ("fixedStep chrom=chrI start=1\n5\n", r"p.bg: is wiggle.*wigToBigWig"),
        ("chrI\t0\t900000000\t1\n", r"p.bg: has values at more than 268,435,456 positions: this is coverage"),
    ],
)
def test_refuses_bad_bed_graphs(write, text, message):
    with pytest.raises(InputError, match=message):
        read_ctss(plus=[write(text, "p.bg")], minus=[write("chrI\t1\t2\t1\n", "m.bg")])


def test_zeros_of_a_bigwig_take_no_memory(bigwig):
    size = 250_000_000
    plus = bigwig([("chrI", 0, 7, 0), ("chrI", 7, 8, 3), ("chrI", 8, size, 0)], "p.bw", [("chrI", size)])
    minus = bigwig([("chrI", 3, 4, 1)], "m.bw", [("chrI", size)])
    tracemalloc.start()
    ends = read_ctss(plus=[plus], minus=[minus])
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert rows(ends) == [("chrI", 7, "+", 3), ("chrI", 3, "-", 1)]
    assert most < 50 << 20


def test_refuses_bad_bigwigs(bigwig, write, tmp_path):
    good = bigwig([("chrI", 3, 4, 4)], "p.bw")
    with pytest.raises(InputError, match=r"m.bw: chrI:8: the value -2 is no count"):
        read_ctss(plus=[good], minus=[bigwig([("chrI", 3, 4, 4), ("chrI", 8, 9, -2)], "m.bw")])
    with pytest.raises(InputError, match=r"n.bw: chrI:3: the value -4 is no count"):
        read_ctss(plus=[bigwig([("chrI", 3, 4, -4)], "n.bw")], minus=[good])
    with pytest.raises(InputError, match=r"x.bed:1: has 6 columns: is neither bigWig nor bedGraph, which has 4"):
        read_ctss(plus=[good], minus=[write(TEXT, "x.bed")])
    with pytest.raises(InputError, match=r"x.2bit: is 2bit, neither bigWig nor bedGraph"):
        read_ctss(plus=[good], minus=[write(b"\x43\x27\x41\x1a" + bytes(9), "x.2bit")])
    (tmp_path / "cut.bw").write_bytes(good.read_bytes()[:200])
    with pytest.raises(InputError, match=r"cut.bw: is truncated or damaged"):
        read_ctss(plus=[tmp_path / "cut.bw"], minus=[good])
    with pytest.raises(InputError, match="there is no such file"):
        read_ctss(plus=[tmp_path / "none.bw"], minus=[good])
