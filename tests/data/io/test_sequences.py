import gzip

import numpy as np
import pytest

from capsight.data.genome.alphabet import decode
from capsight.data.genome.genome import Genome
from capsight.data.io.sequences import read_labelled, read_sequences, sequence_store
from capsight.errors import InputError


@pytest.fixture
def write(tmp_path):
    def run(content, name="in.csv"):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return run


def test_labelled_sequences(write):
    text = '\ufeffid,sequence,label\r\nx,ACGT,1\r\n\r\ny,"acgtn",0\r\n'
    for path in (write(text), write(gzip.compress(text.encode()), "in.csv.gz")):
        names, sequences, labels = read_labelled(path)
        assert names == ["0", "1"]
        assert sequences == ["ACGT", "acgtn"]
        assert labels.tolist() == [1, 0]
        assert labels.dtype == np.int64


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "in.csv: is empty"),
        ("sequence,label\n", "in.csv: holds no sequences"),
        (
            "sequence,target\nACGT,1\n",
            "in.csv:1: has no column 'label'; its columns are 'sequence', 'target'",
        ),
        ("ACGT,1\n", "in.csv:1: has no column 'sequence'"),
        ("sequence,label\nACGT,1\nACGT,2\n", "in.csv:3: label '2' is neither 0 nor 1"),
        ("sequence,label\nACGT,\n", "in.csv:2: label '' is neither 0 nor 1"),
        ("sequence,label\nACGT\n", "in.csv:2: 1 fields, but the header has 2"),
        ("sequence,label\nACGT,1\n,0\n", "in.csv:3: the sequence is empty"),
        ("sequence,label\nMEEPQ,1\n", "in.csv:2: the sequence is not DNA: it has 'E'"),
        ("sequence,label\nAC-GT,1\n", "in.csv:2: the sequence is not DNA: it has '-'"),
        ("sequence,label\nACGU,1\n", r"in.csv:2: .* it has 'U' \(this is RNA"),
        ('sequence,label\n"ACGT' + "A" * 200_000 + '",1\n', "in.csv:2: is not CSV: field larger"),
        (b"\xff\xfe\x00\x01", "is not a text file"),
    ],
)
def test_refuses_bad_labelled_files(write, text, message):
    with pytest.raises(InputError, match=message):
        read_labelled(write(text))


def test_ambiguous_letters_are_said(write, caplog):
    read_labelled(write("sequence,label\nACGTRRy,1\nNNNN,0\n"))
    assert "in.csv: letters other than A, C, G, T, N are read as N: R 2, Y 1" in caplog.text


def test_sequences_from_csv_with_and_without_names(write):
    assert read_sequences(write("sequence\nACGT\nGG\n")) == (["0", "1"], ["ACGT", "GG"])
    assert read_sequences(write("name,sequence\na b,ACGT\nc,GG\n")) == (["a b", "c"], ["ACGT", "GG"])


def test_sequences_from_fasta(write):
    text = b"\n>a words\nAC\nGT\n>b\nggr\n"
    for path in (write(text, "in.fa"), write(gzip.compress(text), "in.fa.gz"), write(text, "odd.csv")):
        assert read_sequences(path) == (["a", "b"], ["ACGT", "ggr"])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (">a\nACGT\n>b\n", "in.fa: record 'b': the sequence is empty"),
        (">a\nACGT\n>b\nACGE\n", "in.fa: record 'b': the sequence is not DNA: it has 'E'"),
        ("just words\n", "in.fa:1: has no column 'sequence'"),
        ("", "in.fa: is empty"),
        (gzip.compress(b">a\n" + b"ACGT" * 9999, mtime=0)[:-9], "is truncated or damaged"),
    ],
)
def test_refuses_bad_sequence_files(write, text, message):
    with pytest.raises(InputError, match=message):
        read_sequences(write(text, "in.fa"))


def test_refuses_missing_files_and_folders(tmp_path):
    for read in (read_labelled, read_sequences):
        with pytest.raises(InputError, match="there is no such file"):
            read(tmp_path / "none.csv")
        with pytest.raises(InputError, match="is a folder"):
            read(tmp_path)


def test_store_serves_sequences_as_contigs(tmp_path):
    path = sequence_store([("train:0", "ACGTacgt"), ("test:0", "GG")], tmp_path)
    genome = Genome.open(path)
    assert genome.names == ("train:0", "test:0")
    numbers = genome.index(["test:0", "train:0"])
    codes = genome.fetch(numbers, np.array([-3, 0]), 8, np.zeros(2, bool))
    assert decode(codes) == ["NNNGGNNN", "ACGTACGT"]
    assert genome.masked(numbers, np.array([0, 0]), 8).sum(axis=1).tolist() == [0, 4]
