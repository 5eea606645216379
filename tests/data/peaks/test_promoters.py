"""Promoters from sequences: what is read, what is left out, and that none stands on a chromosome that is held out."""

import gzip
import logging
from pathlib import Path

import numpy as np
import pytest

from capsight.config import WindowsConfig
from capsight.data.genome.alphabet import decode, reverse_complement
from capsight.data.genome.genome import Genome
from capsight.data.genome.stretches import Stretches
from capsight.data.peaks.promoters import Promoters, read_promoters, standing_on, windows_promoters
from capsight.data.windows.stage import windows
from capsight.errors import InputError

RNG = np.random.default_rng(0)


def drawn(n: int) -> str:
    return "".join(RNG.choice(list("ACGT"), n))


def written(path: Path, *rows: tuple[str, int | str, str], header: str = "id\ttss\tsequence") -> Path:
    text = "".join(f"{name}\t{tss}\t{sequence}\n" for name, tss, sequence in rows)
    opener = gzip.open if path.suffix == ".gz" else open
    with opener(path, "wt") as out:  # type: ignore[operator]
        out.write(f"{header}\n{text}")
    return path


def text_of(found: Promoters) -> list[tuple[str, int]]:
    return [(decode(codes[None])[0], tss) for codes, tss in zip(found.codes, found.tss, strict=True)]


@pytest.mark.parametrize("name", ["p.tsv", "p.tsv.gz"])
def test_sequences_are_read_without_the_n_at_their_ends(tmp_path: Path, name: str) -> None:
    first, second = drawn(250), drawn(300)
    path = written(tmp_path / name, ("a", 200, first.lower()), ("b", 260, "NNNNN" + second + "NN"))
    assert text_of(read_promoters(path, {})) == [(first, 200), (second, 255)]


def test_what_cannot_be_used_is_counted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    good = drawn(250)
    path = written(
        tmp_path / "p.tsv", ("a", 200, good), ("b", 200, good), ("c", 200, good[:100] + "N" + good[100:]),
        ("d", 20, good), ("e", 245, good), ("f", 3, "N" * 250),
    )  # fmt: skip
    with caplog.at_level(logging.INFO):
        assert text_of(read_promoters(path, {})) == [(good, 200)]
    assert "promoters p.tsv: 1; 1 with N between known bases left out; 3 with too few bases" in caplog.text
    assert "1 twice left out" in caplog.text


@pytest.mark.parametrize(
    ("tss", "sequence", "header", "message"),
    [
        ("251", "A" * 251, "id\ttss\tsequence", "tss '251' is no index of a base of the sequence, 0 to 250"),
        ("-1", "A" * 251, "id\ttss\tsequence", "tss '-1' is no index"),
        ("1.5", "A" * 251, "id\ttss\tsequence", "tss '1.5' is no index"),
        ("9", "ACGZ", "id\ttss\tsequence", "the sequence is not DNA: it has 'Z'"),
        ("9", "", "id\ttss\tsequence", "the sequence is empty"),
        ("9", "ACGT", "id\tsummit\tsequence", "has no column 'tss'"),
    ],
)
def test_a_wrong_record_is_named_with_its_line(
    tmp_path: Path, tss: str, sequence: str, header: str, message: str
) -> None:
    path = written(tmp_path / "p.tsv", ("bad", tss, sequence), header=header)
    with pytest.raises(InputError, match=message) as caught:
        read_promoters(path, {})
    assert f"{path}:{1 if 'summit' in header else 2}" in str(caught.value)


def test_weights_are_those_of_the_source(tmp_path: Path) -> None:
    rows = [("tata", 200, drawn(250)), ("epd", 200, drawn(250)), ("tata", 200, drawn(250))]
    path = written(tmp_path / "p.tsv", *rows, header="source\ttss\tsequence")
    assert read_promoters(path, {"tata": 0.1}).weight == [0.1, 1.0, 0.1]
    assert read_promoters(path, {}).weight == [1.0, 1.0, 1.0]
    with pytest.raises(InputError, match="has no promoters of the source 'TATA', which promoter_weights names; it has"):
        read_promoters(path, {"TATA": 0.1})


def test_a_file_without_promoters_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no promoters; 1 with too few bases"):
        read_promoters(written(tmp_path / "p.tsv", ("a", 3, "ACGTACGT")), {})


@pytest.fixture
def genome_file(tmp_path: Path) -> Path:
    path = tmp_path / "genome.fa"
    path.write_text("".join(f">chr{name}\n{drawn(4_000)}\n" for name in "ABC"))
    return path


def place(genome: Genome, contig: int, start: int, *, flipped: bool = False) -> str:
    codes = genome.contig(contig)[start : start + 260]
    return decode((reverse_complement(codes) if flipped else codes)[None])[0]


def test_promoters_are_found_on_chromosomes_by_their_bases(genome_file: Path, tmp_path: Path) -> None:
    genome = Genome.open(genome_file)
    changed = list(place(genome, 1, 500))
    changed[200] = "A" if changed[200] != "A" else "C"
    cut = place(genome, 1, 3_740)  # up to the last base of the chromosome
    rows = [place(genome, 0, 100), place(genome, 1, 100), place(genome, 1, 300, flipped=True), "".join(changed), cut]
    rows.append(drawn(260))
    found = read_promoters(written(tmp_path / "p.tsv", *((str(i), 200, row) for i, row in enumerate(rows))), {})
    assert standing_on(found, Stretches.whole(genome, [1])) == [False, True, True, True, True, False]
    assert standing_on(found, Stretches.whole(genome, [0, 2])) == [True, False, False, False, False, False]


def test_windows_keeps_promoters_that_stand_on_no_held_out_chromosome(
    genome_file: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    genome, own = Genome.open(genome_file), drawn(260)
    rows = [own, place(genome, 0, 100), place(genome, 1, 100), place(genome, 2, 100, flipped=True)]
    promoters = written(tmp_path / "p.tsv", *((str(i), 200, row) for i, row in enumerate(rows)))
    peaks = tmp_path / "peaks.bed"
    peaks.write_text(
        "".join(f"chr{name}\t{at}\t{at + 12}\tp\t0\t+\n" for name in "ABC" for at in range(600, 3_400, 700))
    )
    config = WindowsConfig(
        genome=genome_file, peaks=peaks, promoters=promoters, summit_offset=5, length=64, exclusion_bp=10,
        validation="chrB", test="chrC", negatives="uniform",
    )  # fmt: skip
    with caplog.at_level(logging.INFO):
        windows(config, tmp_path / "windows")
    assert "2 left out: they stand on validation or test chromosomes" in caplog.text
    assert "their base 5 from the 5' end is used" in caplog.text
    found = windows_promoters(tmp_path / "windows")
    assert found is not None
    assert text_of(found) == [(own, 200), (rows[1], 200)]
    alone = written(tmp_path / "alone.tsv", ("0", 200, rows[2]))
    with pytest.raises(InputError, match="all promoters stand on validation or test chromosomes"):
        windows(config.model_copy(update={"promoters": alone}), tmp_path / "other")
