import gzip

import pytest

from capsight.data.genome.genome import Genome
from capsight.data.peaks.regions import read_regions
from capsight.errors import InputError


@pytest.fixture
def read(write_fasta, tmp_path):
    genome = Genome.open(write_fasta({"chrI": "ACGT" * 25, "chrII": "ACGT" * 5}))

    def parse(content):
        path = tmp_path / "neg.bed"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return read_regions(path, genome)

    return parse


def test_bed3_to_bed12_with_comments_and_either_line_end(read):
    text = "# mine\ntrack name=x\nbrowser hide\nchrII\t0\t20\tn\t0\t*\r\n\nchrI 5 9 name 0 -\nchrI\t1\t2\tn\t0\t.\n"
    expected = [["chrII", 0, 20, ".", "n", -1], ["chrI", 5, 9, "-", "name", -1], ["chrI", 1, 2, ".", "n", -1]]
    assert read(text).to_numpy().tolist() == expected
    assert read(gzip.compress(text.encode())).to_numpy().tolist() == expected


def test_thick_start_is_the_summit_where_it_is_one_base(read):
    text = "chrI\t5\t9\tn\t0\t-\t7\t8\t0\nchrI\t5\t9\tn\t0\t-\t5\t9\t0\n"
    assert read(text)["summit"].tolist() == [7, -1]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"neg.bed: holds no intervals"),
        ("chrI\t1\t2\nchrI\t1\n", r"neg.bed:2: is not BED: 2 columns, at least 3"),
        ("chrI\t-1\t2\n", r"neg.bed:1: start -1 is negative"),
        ("chrI\t1\t2.5\n", r"neg.bed:1: end '2.5' is not an integer"),
        ("chrI\t1\t" + "9" * 30 + "\n", r"neg.bed:1: end 9+ is beyond the end of any contig"),
        ("chrI\t9\t9\n", r"start 9 is not below end 9 \(coordinates are 0-based half-open"),
        ("chrI\t9\t101\n", r"it ends at 101, but chrI has 100 bases"),
        ("I\t1\t2\n", r"contig 'I' is not in genome.fa, which has 'chrI'"),
        ("plasmid\t1\t2\n", r"contig 'plasmid' is not in genome.fa, which has"),
        ("chrI\t1\t2\tn\t0\tx\n", r"strand 'x' is neither \+ nor -"),
    ],
)
def test_bad_records_are_named(read, text, message):
    with pytest.raises(InputError, match=message):
        read(text)
