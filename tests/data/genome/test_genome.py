import gzip
import json
import logging
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from subprocess import PIPE, Popen

import numpy as np
import pysam
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from capsight.data.genome import genome as module
from capsight.data.genome.alphabet import N_CODE, composition, decode, encode, reverse_complement
from capsight.data.genome.genome import Genome, match_contig_name
from capsight.data.io.fasta import read_fasta
from capsight.errors import InputError

COMPLEMENT = str.maketrans("ACGTN", "TGCAN")


def one(genome, contig, start, length, strand="+"):
    """Fetch a single window as text."""
    numbers = genome.index([contig])
    return decode(genome.fetch(numbers, np.array([start]), length, np.array([strand == "-"])))[0]


def test_fetches_windows_5_to_3_on_both_strands(write_fasta):
    genome = Genome.open(write_fasta({"a": "ACGTTGCANN", "b": "GGGGCCAT"}))
    assert genome.names == ("a", "b")
    assert genome.lengths.tolist() == [10, 8]
    assert one(genome, "a", 1, 4) == "CGTT"
    assert one(genome, "a", 1, 4, "-") == "AACG"
    assert one(genome, "b", 4, 4) == "CCAT"
    assert one(genome, "b", 4, 4, "-") == "ATGG"
    assert one(genome, "a", 6, 4, "-") == "NNTG"


def test_positions_outside_a_contig_are_n_and_never_the_neighbouring_contig(write_fasta):
    genome = Genome.open(write_fasta({"a": "AAAA", "b": "CCCC", "c": "GGGG"}))
    assert one(genome, "b", -2, 8) == "NNCCCCNN"
    assert one(genome, "b", -2, 5, "-") == "GGGNN"
    assert one(genome, "b", 3, 4) == "CNNN"
    assert one(genome, "b", 400, 3) == "NNN"
    assert one(genome, "b", -400, 3) == "NNN"
    assert one(genome, "a", -10, 30) == "N" * 10 + "AAAA" + "N" * 16


def test_mixed_windows_keep_their_order(write_fasta):
    genome = Genome.open(write_fasta({"a": "ACGT", "b": "TTTGGG"}))
    codes = genome.fetch(np.array([1, 0, 1, 0]), np.array([0, -1, 2, 0]), 4, np.array([False, False, True, True]))
    assert decode(codes) == ["TTTG", "NACG", "CCCA", "ACGT"]
    assert codes.dtype == np.uint8
    codes[:] = 0  # a copy: the store must not change
    assert one(genome, "b", 0, 4) == "TTTG"


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_fetch_equals_string_slices(tmp_path_factory, data):
    contigs = data.draw(st.lists(st.text("ACGTNacgtn", min_size=1, max_size=60), min_size=1, max_size=4))
    path = tmp_path_factory.mktemp("g") / "genome.fa"
    path.write_text("".join(f">c{i}\n{text}\n" for i, text in enumerate(contigs)))
    genome = Genome.open(path)
    length = data.draw(st.integers(1, 30))
    place = st.tuples(st.integers(0, len(contigs) - 1), st.integers(-40, 80), st.booleans())
    places = data.draw(st.lists(place, min_size=1, max_size=8))
    expected, masks = [], []
    for contig, start, minus in places:
        padded = "N" * 100 + contigs[contig] + "N" * 200
        text = padded[100 + start : 100 + start + length]
        masks.append([letter.islower() for letter in text])
        text = text.upper()
        expected.append(text.translate(COMPLEMENT)[::-1] if minus else text)
    contig, start, minus = (np.array(column) for column in zip(*places, strict=True))
    assert decode(genome.fetch(contig, start, length, minus)) == expected
    assert genome.masked(contig, start, length).tolist() == masks
    measured = genome.composition(contig, start, length)
    assert measured.unknown.tolist() == [text.count("N") for text in expected]
    known = [text.replace("N", "") for text in expected]
    assert measured.gc == pytest.approx([(t.count("G") + t.count("C")) / len(t) if t else 0 for t in known])
    assert measured.repeat == pytest.approx([np.mean(m) for m in masks])


def test_index_finds_contigs_and_says_minus_one_for_others(write_fasta):
    genome = Genome.open(write_fasta({"chrI": "ACGT", "chrII": "ACGT"}))
    assert genome.index(["chrII", "nowhere", "chrI"]).tolist() == [1, -1, 0]
    assert genome.index([]).tolist() == []
    with pytest.raises(ValueError, match="contig -1"):
        genome.fetch(np.array([-1]), np.array([0]), 2, np.array([False]))


def test_contig_is_a_copy_without_mask(write_fasta):
    genome = Genome.open(write_fasta({"a": "AC", "b": "gTnN"}))
    assert genome.contig(1).tolist() == [2, 3, N_CODE, N_CODE]
    assert genome.masked(np.array([1]), np.array([0]), 4).tolist() == [[True, False, True, False]]


@pytest.mark.parametrize("kind", ["plain", "bgzip"])
def test_reads_plain_and_bgzip_with_crlf_and_blank_lines(tmp_path, kind):
    text = ">a some words\r\nACGT\r\nacgt\r\n\r\n>b\r\nNNGG\r\n"
    path = tmp_path / "genome.fa.gz"
    if kind == "plain":
        path.write_bytes(text.encode())
    else:
        with pysam.BGZFile(str(path), "wb") as out:
            out.write(text.encode())
    genome = Genome.open(path)
    assert genome.names == ("a", "b")
    assert one(genome, "a", 0, 8) == "ACGTACGT"
    assert genome.masked(np.array([0]), np.array([0]), 8).sum() == 4


def test_store_is_built_once_beside_the_fasta(write_fasta, caplog):
    path = write_fasta({"a": "ACGT" * 10})
    with caplog.at_level(logging.INFO):
        first = Genome.open(path)
        second = Genome.open(path)
    assert caplog.text.count("1 contigs, 40 bases") == 1
    folder = path.with_name("genome.fa.capsight")
    assert sorted(p.name for p in folder.iterdir()) == [f"bases.{first.sha256[:16]}.u8", "index.json"]
    assert second.sha256 == first.sha256
    assert second.bases.tolist() == first.bases.tolist()


def test_store_is_rebuilt_when_the_fasta_changes(write_fasta):
    path = write_fasta({"a": "ACGT"})
    old = Genome.open(path)
    state = path.stat()
    write_fasta({"a": "TTTT"})  # the same size
    os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns + 1))
    new = Genome.open(path)
    assert one(new, "a", 0, 4) == "TTTT"
    assert new.sha256 != old.sha256
    assert one(old, "a", 0, 4) == "ACGT"  # who has it open keeps it
    assert len(list(path.with_name("genome.fa.capsight").glob("bases.*"))) == 1


@pytest.mark.parametrize("damage", ["no index", "broken index", "other format", "short bases", "no bases"])
def test_damaged_store_is_rebuilt(write_fasta, damage):
    path = write_fasta({"a": "ACGTACGT"})
    Genome.open(path)
    folder = path.with_name("genome.fa.capsight")
    index, bases = folder / "index.json", next(folder.glob("bases.*"))
    if damage == "no index":
        index.unlink()
    elif damage == "broken index":
        index.write_text("{")
    elif damage == "other format":
        index.write_text(json.dumps(json.loads(index.read_text()) | {"format": 0}))
    elif damage == "short bases":
        bases.write_bytes(bases.read_bytes()[:-1])
    else:
        bases.unlink()
    assert one(Genome.open(path), "a", 0, 8) == "ACGTACGT"


def test_a_bit_that_flips_in_the_store_is_found_where_it_is_read(write_fasta, monkeypatch):
    monkeypatch.setattr("capsight.data.genome.store.BLOCK", 16)
    monkeypatch.setattr("capsight.data.genome.genome.BLOCK", 16)
    monkeypatch.setattr("capsight.data.genome.genome._BLOCKS_MAPPED", 2)
    text = "".join(np.random.default_rng(1).choice(list("ACGT"), 100))
    path = write_fasta({"a": text[:70], "b": text[70:]})
    Genome.open(path)
    bases = next(path.with_name("genome.fa.capsight").glob("bases.*"))
    whole = bases.read_bytes()
    for at in range(len(whole)):
        bases.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        genome, contig = Genome.open(path), int(at >= 70)
        with pytest.raises(
            InputError, match=r"bases\..*\.u8: the genome store is damaged \(delete the folder .*capsight: "
        ):
            genome.contig(contig)
        with pytest.raises(InputError, match="the genome store is damaged"):
            one(genome, "ab"[contig], at - 70 * contig, 1)
        if at < 48:
            assert one(genome, "b", 5, 20) == text[75:95]  # other blocks can be read
    bases.write_bytes(whole)
    genome = Genome.open(path)
    assert one(genome, "a", -5, 80) == "NNNNN" + text[:70] + "NNNNN"
    assert one(genome, "b", 100, 3) == "NNN"
    assert decode(genome.contig(1)[None])[0] == text[70:]


def test_store_goes_to_the_cache_where_the_folder_is_read_only(write_fasta, tmp_path, monkeypatch):
    monkeypatch.setenv("CAPSIGHT_CACHE", str(tmp_path / "cache"))
    folder = tmp_path / "fixed"
    folder.mkdir()
    path = write_fasta({"a": "ACGT"}, name="fixed/genome.fa")
    folder.chmod(0o555)
    try:
        assert one(Genome.open(path), "a", 0, 4) == "ACGT"
        assert [p.name for p in folder.iterdir()] == ["genome.fa"]
        assert len(list((tmp_path / "cache").glob("*/index.json"))) == 1
        (tmp_path / "cache").rename(tmp_path / "gone")
        (tmp_path / "cache").write_text("a file where the cache should be")
        with pytest.raises(InputError, match="set CAPSIGHT_CACHE"):
            Genome.open(path)
    finally:
        folder.chmod(0o755)


@pytest.mark.parametrize("workers", ["threads", pytest.param("processes", marks=pytest.mark.pipeline)])
def test_builds_at_the_same_time_agree(write_fasta, workers):
    text = "".join(np.random.default_rng(0).choice(list("ACGT"), 500_000))
    path = write_fasta({"a": text})
    if workers == "threads":
        with ThreadPoolExecutor(8) as pool:
            genomes = list(pool.map(Genome.open, [path] * 8))
        assert all(decode(g.contig(0)[None])[0] == text for g in genomes)
    else:
        lines = "import sys, pathlib; from capsight.data.genome.genome import Genome; sys.stdin.read()"
        code = f"{lines}; print(Genome.open(pathlib.Path(sys.argv[1])).contig(0).sum())"
        command = [sys.executable, "-c", code, str(path)]
        children = [Popen(command, stdin=PIPE, stdout=PIPE, stderr=PIPE, text=True) for _ in range(3)]
        answers = [child.communicate("go") for child in children]
        assert answers == [(f"{encode(text).sum()}\n", "")] * 3
    assert decode(Genome.open(path).contig(0)[None])[0] == text
    assert len(list(path.with_name("genome.fa.capsight").iterdir())) == 2


def test_other_letters_are_read_as_n_and_said(write_fasta, caplog):
    path = write_fasta({"a": "ACGTRYrNACGTACGTACGT", "b": "ACGTMACGT"})
    genome = Genome.open(path)
    assert one(genome, "a", 3, 6) == "TNNNNA"
    assert "are read as N: M 1, R 2, Y 1" in caplog.text
    index = json.loads((path.with_name("genome.fa.capsight") / "index.json").read_text())
    assert index["replaced"] == {"M": 1, "R": 2, "Y": 1}


def test_gaps_and_stops_are_counted_and_read_as_n(tmp_path, caplog):
    path = tmp_path / "genome.fa"
    path.write_bytes(b">a\nACGTACGT-*ACGT\n")
    assert one(Genome.open(path), "a", 6, 5) == "GTNNA"
    assert "are read as N: * 1, - 1" in caplog.text


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"\n \n", "is empty"),
        (b"chrI\t1\t2\tp\t0\t+\n", r"is not FASTA: it begins with 'chrI\\t1"),
        (b">a\n>b\n", "holds no bases"),
        (b">a\nACGT\n>a\nACGT\n", "contig 'a' occurs more than once"),
        (b">\nACGT\n", "a record has no name"),
        (b">a\nMKVLAAGIVPLLR\n", "is not DNA"),
        (b">a\nACGUACGGUACG\n", r"is not DNA: it has U in place of T \(this is RNA: write T for U\)"),
        (b">a\nacguacgguacgt\n", "this is RNA"),
        (b"@r\nACGT\n+\nIIII\n", "is not FASTA"),
        (b">r\nACGT\n+\nIIII\n", "FASTQ, not FASTA"),
        (b"\x00\xff\xfe\x80", "is not a text file"),
    ],
)
def test_refuses_what_is_no_genome(tmp_path, content, message):
    path = tmp_path / "genome.fa"
    path.write_bytes(content)
    with pytest.raises(InputError, match=message) as error:
        Genome.open(path)
    assert str(error.value).startswith(str(path))
    assert [p.name for p in tmp_path.iterdir()] == ["genome.fa"]


def test_refuses_missing_files_and_folders(tmp_path):
    with pytest.raises(InputError, match="there is no such file"):
        Genome.open(tmp_path / "genome.fa")
    with pytest.raises(InputError, match=r"is a folder without FASTA files \(their names end in .fa"):
        Genome.open(tmp_path)


def test_refuses_gzip_with_the_remedy(tmp_path):
    path = tmp_path / "genome.fa.gz"
    path.write_bytes(gzip.compress(b">a\nACGT\n"))
    with pytest.raises(InputError, match=r"is gzip.*bgzip is needed \(gunzip genome.fa.gz && bgzip genome.fa, or"):
        Genome.open(path)
    assert [p.name for p in tmp_path.iterdir()] == ["genome.fa.gz"]


def test_a_folder_of_fasta_files_is_one_genome(tmp_path):
    folder = tmp_path / "hg"
    folder.mkdir()
    (folder / "chr2.fa").write_text(">chr2\nGGGG\n>chr2_random\nTT\n")
    (folder / "chr1.fasta").write_text(">chr1\nACgt\n")
    (folder / "README.txt").write_text("no FASTA")
    genome = Genome.open(folder)
    assert genome.names == ("chr1", "chr2", "chr2_random")
    assert one(genome, "chr2", 0, 4) == "GGGG"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["hg", "hg.capsight"]
    (folder / "chr1.fasta.fai").write_text("of samtools")
    assert Genome.open(folder).sha256 == genome.sha256
    (folder / "chr3.fa").write_text(">chr3\nAAA\n")
    changed = Genome.open(folder)
    assert changed.names == ("chr1", "chr2", "chr2_random", "chr3")
    assert changed.sha256 != genome.sha256
    (folder / "chr4.fna").write_text(">chr1\nAAA\n")
    with pytest.raises(InputError, match=r"chr4.fna: contig 'chr1' occurs more than once"):
        Genome.open(folder)


@pytest.mark.parametrize("kind", ["bgzip", "bgzip without its last block"])
def test_refuses_truncated_files(tmp_path, capfd, kind):
    text = "".join(np.random.default_rng(0).choice(list("ACGT"), 300_000))
    path = tmp_path / "genome.fa.gz"
    with pysam.BGZFile(str(path), "wb") as out:
        out.write(f">a\n{text}\n".encode())
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2] if kind == "bgzip" else whole[:-28])
    with pytest.raises(InputError, match="is truncated or damaged"):
        Genome.open(path)
    assert capfd.readouterr().err == ""


def test_encode_and_decode():
    assert encode("acGTNxR").tolist() == [0, 1, 2, 3, 4, 4, 4]
    assert encode("aN", soft_mask=True).tolist() == [module.SOFT_MASK, N_CODE]
    assert encode("").tolist() == []
    assert decode(np.array([[0, 1, 2, 3, 4]], dtype=np.uint8)) == ["ACGTN"]
    assert decode(reverse_complement(encode("AACGTN")[None])) == ["NACGTT"]


def test_composition_of_codes():
    measured = composition(np.stack([encode("GCAT"), encode("gcNN", soft_mask=True)]))
    assert measured.gc.tolist() == [0.5, 1.0]
    assert measured.repeat.tolist() == [0.0, 0.5]
    assert measured.unknown.tolist() == [0, 2]


@pytest.mark.parametrize(
    ("name", "names", "other"),
    [
        ("I", ["chrI", "chrII"], "chrI"),
        ("chr1", ["1", "2"], "1"),
        ("MT", ["chr1", "chrM"], "chrM"),
        ("chrM", ["1", "MT"], "MT"),
        ("CHRX", ["chrX"], "chrX"),
        ("scaffold_1", ["chr1"], None),
    ],
)
def test_namesake(name, names, other):
    assert match_contig_name(name, names) == other


def test_many_short_contigs_open_fast(write_fasta):
    rng = np.random.default_rng(1)
    texts = ["".join(row) for row in rng.choice(list("ACGT"), (20_000, 70))]
    genome = Genome.open(write_fasta({f"s:{i}": text for i, text in enumerate(texts)}))
    rows = rng.integers(0, len(texts), 1_000)
    numbers = genome.index([f"s:{i}" for i in rows])
    codes = genome.fetch(numbers, np.zeros(len(rows), np.int64), 70, np.zeros(len(rows), bool))
    assert decode(codes) == [texts[i] for i in rows]


def test_many_windows_are_read_as_few_are(write_fasta, monkeypatch):
    rng = np.random.default_rng(3)
    texts = ["".join(row) for row in rng.choice(list("ACGTacgtN"), (3, 2_000))]
    genome = Genome.open(write_fasta({f"c{i}": text for i, text in enumerate(texts)}))
    contig, start, minus = rng.integers(0, 3, 300), rng.integers(-100, 2_100, 300), rng.random(300) < 0.5
    codes, measured = genome.fetch(contig, start, 80, minus), genome.composition(contig, start, 80)
    monkeypatch.setattr(module, "_ROWS_AT_ONCE", 37)
    monkeypatch.setattr(module, "_ROWS_MAPPED", 7)
    assert np.array_equal(genome.fetch(contig, start, 80, minus), codes)
    for column, again in zip(measured, genome.composition(contig, start, 80), strict=True):
        assert np.array_equal(column, again)
    one_by_one = [genome.composition(contig[[i]], start[[i]], 80) for i in range(300)]
    assert measured.gc.tolist() == [float(one.gc[0]) for one in one_by_one]
    assert measured.unknown.tolist() == [int(one.unknown[0]) for one in one_by_one]


@pytest.mark.skipif(not Path("/proc/self/smaps").exists(), reason="no /proc/self/smaps to look at")
def test_reading_many_windows_leaves_no_genome_in_memory(write_fasta):
    genome = Genome.open(write_fasta({"c": "ACGT" * 500_000}))

    def resident():
        lines = iter(Path("/proc/self/smaps").read_text().splitlines())
        mapped = next(line for line in lines if line.endswith(f"bases.{genome.sha256[:16]}.u8"))
        assert mapped
        return int(next(line for line in lines if line.startswith("Rss:")).split()[1])

    rows = np.random.default_rng(0).integers(0, 1_999_000, module._ROWS_MAPPED)
    zeros = np.zeros(len(rows), np.int64)
    genome.fetch(zeros[:100], rows[:100], 512, zeros[:100] > 0)
    assert resident() > 0  # few windows, as in training: the pages stay, and are there next time
    genome.fetch(zeros, rows, 512, zeros > 0)
    assert resident() == 0


@pytest.mark.real
def test_real_genome_agrees_with_faidx(yeast):
    genome = Genome.open(yeast.genome)
    assert (len(genome.names), int(genome.lengths.sum())) == (17, 12_157_105)
    assert sum(len(text) for _, text in read_fasta(yeast.genome)) == 12_157_105
    rng = np.random.default_rng(2)
    contig = rng.integers(0, 17, 200)
    start = (rng.random(200) * (genome.lengths[contig] - 512)).astype(np.int64)
    found = decode(genome.fetch(contig, start, 512, np.zeros(200, bool)))
    source = Path(os.path.realpath(yeast.genome))
    with pysam.FastaFile(str(source)) as faidx:
        for text, c, s in zip(found, contig, start, strict=True):
            assert text == faidx.fetch(genome.names[c], s, s + 512).upper()
