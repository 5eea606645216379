import os
import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from capsight.data.genome.genome import Genome
from capsight.data.io import twobit
from capsight.data.io.fasta import read_fasta
from capsight.data.io.twobit import read_twobit
from capsight.errors import InputError


def runs(flags):
    """Starts and lengths of the runs of true flags."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], np.asarray(flags, np.int8), [0]])))
    return edges[::2].tolist(), (edges[1::2] - edges[::2]).tolist()


def packed(contigs, order="<", version=0):
    """Return the bytes of a 2bit file, written as UCSC's page describes it."""
    size = 4 + 4 * version  # of a place
    place = 16 + sum(1 + len(name) + size for name in contigs)
    index, body = b"", b""
    for name, text in contigs.items():
        index += (
            bytes([len(name)]) + name.encode() + (place + len(body)).to_bytes(size, "little" if order == "<" else "big")
        )
        words = [len(text)]
        for flags in ([c in "nN" for c in text], [c.islower() for c in text]):
            starts, lengths = runs(flags)
            words += [len(starts), *starts, *lengths]
        body += struct.pack(f"{order}{len(words) + 1}I", *words, 0)
        codes = ["TCAG".index(c) if c in "TCAG" else 0 for c in text.upper()] + [0] * (-len(text) % 4)
        body += bytes(sum(code << shift for code, shift in zip(codes[i : i + 4], (6, 4, 2, 0), strict=True))
                      for i in range(0, len(codes), 4))  # fmt: skip
    return struct.pack(f"{order}4I", 0x1A412743, version, len(contigs), 0) + index + body


def letters(path):
    return {name: b"".join(piece.tobytes() for piece in pieces).decode() for name, pieces in read_twobit(path)}


CONTIGS = st.dictionaries(
    st.text("abc_.1", min_size=1, max_size=9), st.text("ACGTNacgtn", max_size=70), min_size=1, max_size=4
)


@settings(max_examples=60, deadline=None)
@given(CONTIGS, st.sampled_from("<>"), st.integers(0, 1))
def test_letters_and_case_come_back(tmp_path_factory, contigs, order, version):
    path = tmp_path_factory.mktemp("t") / "g.2bit"
    path.write_bytes(packed(contigs, order, version))
    assert letters(path) == contigs


def test_pieces_join_without_a_seam(tmp_path, monkeypatch):
    monkeypatch.setattr(twobit, "_BASES_AT_ONCE", 8)
    text = "ACGTNNNNNNNNNNNNNNNNNNacgtacgtGGGGccccNNaNNACGTACGtttttttttttt"
    (tmp_path / "g.2bit").write_bytes(packed({"a": text, "b": text[3:]}))
    assert letters(tmp_path / "g.2bit") == {"a": text, "b": text[3:]}


def test_a_genome_from_2bit_equals_that_from_fasta(tmp_path, write_fasta):
    rng = np.random.default_rng(0)
    contigs = {f"chr{i}": "".join(rng.choice(list("ACGTNacgt"), 999 + i)) for i in range(3)}
    (tmp_path / "g.2bit").write_bytes(packed(contigs))
    one, other = Genome.open(tmp_path / "g.2bit"), Genome.open(write_fasta(contigs))
    assert one.names == other.names
    assert one.lengths.tolist() == other.lengths.tolist()
    assert one.bases.tobytes() == other.bases.tobytes()


def test_py2bit_reads_the_same(tmp_path):
    py2bit = pytest.importorskip("py2bit")
    rng = np.random.default_rng(1)
    contigs = {name: "".join(rng.choice(list("ACGTNacgt"), 5_001)) for name in "ab"}  # py2bit has no n
    (tmp_path / "g.2bit").write_bytes(packed(contigs))
    reader = py2bit.open(str(tmp_path / "g.2bit"), True)
    assert {name: reader.sequence(name) for name in reader.chroms()} == letters(tmp_path / "g.2bit") == contigs


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda b: b[:2], "is truncated or damaged|is not FASTA|not a 2bit"),
        (lambda b: b[:20], "is truncated or damaged"),
        (lambda b: b[:-3], "is truncated or damaged"),
        (lambda b: b[:4] + b"\x07" + b[5:], "is 2bit of version 7"),
        (lambda b: b[:8] + b"\xff" * 4 + b[12:], "is truncated or damaged"),
        (lambda b: b[:17] + b"\xe9" + b[18:], "is truncated or damaged"),
    ],
)
def test_refuses_damaged_files(tmp_path, change, message):
    path = tmp_path / "g.2bit"
    path.write_bytes(change(packed({"a": "ACGTNNacgt"})))
    with pytest.raises(InputError, match=message) as caught:
        Genome.open(path)
    assert str(caught.value).startswith(str(path))
    assert [p.name for p in tmp_path.iterdir()] == ["g.2bit"]


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_no_damage_gives_a_traceback(tmp_path_factory, data):
    content = bytearray(packed({"a": "ACGTNNacgt" * 5, "bb": "ACGTN"}))
    for _ in range(data.draw(st.integers(1, 3))):
        content[data.draw(st.integers(4, len(content) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.mktemp("d") / "g.2bit"
    path.write_bytes(content[: data.draw(st.integers(16, len(content)))])
    error = None
    try:
        letters(path)
    except InputError as caught:
        error = caught
    assert error is None or str(error).startswith(str(path))


@pytest.mark.real
def test_the_yeast_genome_in_2bit(yeast, tmp_path):
    source = Path(os.path.realpath(yeast.genome))
    contigs = {name: text for name, text in read_fasta(source) if name in ("chrI", "chrM")}
    (tmp_path / "g.2bit").write_bytes(packed(contigs))
    assert letters(tmp_path / "g.2bit") == contigs
