import gzip
import logging

import pysam
import pytest

from capsight.data.genome.genome import Genome
from capsight.data.io import fasta
from capsight.data.io.fasta import fasta_pieces, read_fasta
from capsight.data.io.sequences import read_sequences
from capsight.errors import InputError

RECORDS = [("a", "ACGTACGTAC"), ("b", "GGnn")]
#: The same two records, as they come.
WRITTEN = {
    "plain": b">a first\nACGTACGT\nAC\n>b\nGGnn\n",
    "no last line end": b">a\nACGTACGT\nAC\n>b\nGGnn",
    "carriage returns and line feeds": b">a first\r\nACGTACGT\r\nAC\r\n>b\r\nGGnn\r\n",
    "carriage returns alone": b">a first\rACGTACGT\rAC\r>b\rGGnn\r",
    "byte order mark": b"\xef\xbb\xbf>a\nACGTACGTAC\n>b\nGGnn\n",
    "blank lines": b"\n\n>a\n\nACGTACGT\n\nAC\n\n>b\nGGnn\n\n",
    "blanks at the end": b">a\nACGTACGT  \nAC\t\n>b\t\nGGnn \n",
    "blanks inside": b">a\n ACGT ACGT\nAC\n>b\nGG nn\n",
    "comments": b"; made by hand\n>a\nACGTACGT\n;AC\nAC\n;\n>b\nGGnn\n; end",
    "a title with other titles": b">a\x01c >d\nACGTACGTAC\n>b\nGGnn\n".replace(b"\x01", b" "),
}


@pytest.fixture
def write(tmp_path):
    def run(content, name="x.fa"):
        path = tmp_path / name
        path.write_bytes(content)
        return path

    return run


@pytest.mark.parametrize("size", [4, 5, 7, 1 << 20])
@pytest.mark.parametrize("case", WRITTEN)
def test_the_same_bases_however_they_are_written(write, monkeypatch, case, size):
    monkeypatch.setattr(fasta, "_BYTES_AT_ONCE", size)
    assert list(read_fasta(write(WRITTEN[case]))) == RECORDS
    assert list(read_fasta(write(gzip.compress(WRITTEN[case]), "x.fa.gz"))) == RECORDS


@pytest.mark.parametrize("case", WRITTEN)
def test_genome_and_sequences_to_score_agree(write, case):
    genome = Genome.open(write(WRITTEN[case], f"{case}.fa"))
    assert genome.names == ("a", "b")
    assert genome.lengths.tolist() == [10, 4]
    assert read_sequences(write(WRITTEN[case])) == (["a", "b"], ["ACGTACGTAC", "GGnn"])


def test_bgzip_is_read_and_must_be_whole(write, tmp_path):
    path = tmp_path / "x.fa.gz"
    with pysam.BGZFile(str(path), "wb") as out:
        out.write(WRITTEN["plain"])
    (tmp_path / "x.fa.gz.fai").write_text("a\t999\t3\t60\t61\n")  # stale: it is not looked at
    assert list(read_fasta(path)) == RECORDS
    with pytest.raises(InputError, match=r"cut.fa.gz: is truncated or damaged"):
        list(read_fasta(write(path.read_bytes()[:-28], "cut.fa.gz")))


def test_what_is_left_out_is_counted_and_said(write, caplog):
    with caplog.at_level(logging.WARNING):
        list(read_fasta(write(WRITTEN["blanks at the end"])))
        list(read_fasta(write(WRITTEN["comments"])))
    assert caplog.messages == [
        "FASTA x.fa: 4 blanks inside sequences are left out", "FASTA x.fa: 4 lines of comments (;) are left out",
    ]  # fmt: skip


def test_records_without_letters_are_there(write):
    assert list(read_fasta(write(b">a\n>b\n\n>a\nAC\n>c"))) == [("a", ""), ("b", ""), ("a", "AC"), ("c", "")]
    assert [piece.record for piece in fasta_pieces(write(b">a\n>a\nAC\n"))] == [0, 1, 1]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "x.fa: is empty"),
        (b";only\n; words\n", "x.fa: is empty"),
        (b";old title\nACGT\n", r"x.fa: is not FASTA: after 1 lines of comments \(;\) it goes on with 'ACGT'"),
        (b"ACGT\n", "x.fa: is not FASTA: it begins with 'ACGT'"),
        (b">a\r\nACGT\r\n\r\n10 ACGT\r\n", "x.fa:4: '1' inside a sequence is no base"),
        (b">a\rACGT\r.ACGT\r", "x.fa:3: '.' inside a sequence is no base"),
        (b">a\nAC>GT\n", "x.fa:2: '>' inside a sequence is no base"),
        (b">a\nACGT\n+\nIIII\n", r"x.fa:3: '\+' inside a sequence is no base \(is this FASTQ, not FASTA\?"),
        (">a\nACGT\nA\u0663\n".encode(), "x.fa:3: '\u0663' inside a sequence is no base"),
        (b">a\nAC\x00\x00GT\n", "x.fa:2: has NUL bytes: it is damaged"),
        (b">a\nACGT\n> b\nAC\n", "x.fa:3: a record has no name"),
        (b">a\nACGT\n>\nAC\n", "x.fa:3: a record has no name"),
        (b">a\n>\xfc\nAC\n", "x.fa:2: the name of a record is not UTF-8"),
        (b"\xff\xfd\x00ab\n", "x.fa: is not a text file"),
    ],
)
@pytest.mark.parametrize("size", [16, 1 << 20])
def test_refuses_what_is_no_fasta_by_line(write, monkeypatch, content, message, size):
    path = write(content)
    monkeypatch.setattr(fasta, "_BYTES_AT_ONCE", size)
    with pytest.raises(InputError, match=message):
        list(read_fasta(path))
