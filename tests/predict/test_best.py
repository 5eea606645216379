"""`predict` with a track model: one row a record, from whatever file."""

import gzip
import logging
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from capsight.config import PredictConfig, WindowsConfig
from capsight.data.genome.alphabet import encode
from capsight.data.windows.stage import windows
from capsight.errors import ConfigError, InputError
from capsight.model.track_folder import load_track
from capsight.predict import best
from capsight.predict.best import best_tss
from capsight.predict.predict import predict
from capsight.predict.records import open_records
from capsight.predict.stream import best_site
from capsight.predict.track import Tile, TrackScorer

from ..conftest import random_dna

LENGTHS = (400, 1, 37, 0, 2500, 90, 0)
SEQUENCES = {f"s{i}": random_dna(length, i) for i, length in enumerate(LENGTHS)}


def fasta(width: int = 60) -> str:
    return "".join(
        f">{name} a title\n" + "".join(f"{text[i : i + width]}\n" for i in range(0, len(text), width))
        for name, text in SEQUENCES.items()
    )


def run(model: Path, source: Path, tmp_path: Path, **settings: object) -> pd.DataFrame:
    out = predict(PredictConfig.model_validate({"threads": 1} | settings), model, source, tmp_path / "out.tsv")
    return pd.read_csv(out, sep="\t", na_values=".", keep_default_na=False, dtype={"chrom": str})


def expected(
    model: Path, text: str, start: int = 0, end: int | None = None, strands: tuple[int, ...] = (0, 1)
) -> tuple:
    """Return position, strand, probability and tags of the best TSS, from the whole track of a sequence."""
    network, card = load_track(model)
    scores = TrackScorer(network, card.calibration).score(encode(text)[None])
    tile = Tile(0, len(text), *(track[0] for track in scores))
    sites = best_site(tile, 50, slice(start, len(text) if end is None else end), strands)
    strand, position, probability, tags, _ = (column[0] for column in sites)
    return int(position), "+-"[int(strand)], float(probability), float(tags)


def check(row: pd.Series, found: tuple) -> None:
    assert (row["position"], row["strand"]) == found[:2]
    np.testing.assert_allclose(row[["probability", "expected_tags"]].astype(float), found[2:], rtol=1e-4, atol=2e-6)


@pytest.mark.parametrize("longest", [0, 300, 1 << 18])
def test_every_record_has_its_best_tss(
    tiny_track: Path, tmp_path: Path, longest: int, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(best, "LONGEST_PACKED", longest)
    (tmp_path / "in.fa").write_text(fasta())
    with caplog.at_level(logging.INFO, logger="capsight"):
        table = run(tiny_track, tmp_path / "in.fa", tmp_path)
    assert list(table) == ["name", "chrom", "start", "end", "position", "strand", "probability", "expected_tags"]
    assert table["name"].tolist() == list(SEQUENCES)
    assert table["end"].tolist() == list(LENGTHS)
    for (_, row), text in zip(table.iterrows(), SEQUENCES.values(), strict=True):
        if text:
            check(row, expected(tiny_track, text))
        else:
            assert row[["position", "strand", "probability", "expected_tags"]].isna().all()
    assert "2 of 7 records have no bases" in caplog.text


@pytest.mark.parametrize("kind", ["gzip", "csv", "one line", "old Mac"])
def test_the_same_answers_from_every_format(tiny_track: Path, tmp_path: Path, kind: str) -> None:
    (tmp_path / "in.fa").write_text(fasta())
    plain = run(tiny_track, tmp_path / "in.fa", tmp_path)
    source = tmp_path / "other"
    if kind == "gzip":
        source.write_bytes(gzip.compress(fasta().encode()))
    elif kind == "csv":
        source.write_text("name,sequence\n" + "".join(f"{n},{s}\n" for n, s in SEQUENCES.items()))
    elif kind == "one line":
        source.write_text(fasta(1 << 20))
    else:
        source.write_bytes(fasta().replace("\n", "\r").encode())
    out = predict(PredictConfig(threads=1), tiny_track, source, tmp_path / "other.tsv")
    assert pd.read_csv(out, sep="\t", na_values=".", keep_default_na=False, dtype={"chrom": str}).equals(plain)


@pytest.mark.parametrize("threads", [2, 3])
def test_threads_change_no_byte(tiny_track: Path, tmp_path: Path, threads: int) -> None:
    (tmp_path / "in.fa").write_text("".join(f">{i}\n{random_dna(300, i)}\n" for i in range(200)))
    outs = [
        predict(PredictConfig(threads=n), tiny_track, tmp_path / "in.fa", tmp_path / f"{n}.tsv").read_bytes()
        for n in (1, threads)
    ]
    assert outs[0] == outs[1]


BED = "chr1\t100\t180\tmine\t0\t-\nchr1\t0\t30\t.\t0\t+\nchr2\t590\t600\t.\t0\t.\nchr1\t500\t501\tone\t0\t.\n"


@pytest.mark.parametrize("stranded", [False, True])
def test_intervals_are_read_with_their_neighbours(tiny_track: Path, tmp_path: Path, stranded: bool) -> None:
    contigs = {"chr1": random_dna(900, 1), "chr2": random_dna(600, 2)}
    (tmp_path / "genome.fa").write_text("".join(f">{name}\n{text}\n" for name, text in contigs.items()))
    (tmp_path / "in.bed").write_text(BED)
    table = run(tiny_track, tmp_path / "in.bed", tmp_path, genome=tmp_path / "genome.fa", stranded=stranded)
    assert table["name"].tolist() == ["mine", "chr1:1-30:+", "chr2:591-600", "one"]
    for (_, row), line in zip(table.iterrows(), BED.splitlines(), strict=True):
        chrom, start, end, _, _, strand = line.split("\t")
        assert (row["chrom"], row["start"], row["end"]) == (chrom, int(start), int(end))
        strands = ("+-".index(strand),) if stranded and strand != "." else (0, 1)
        check(row, expected(tiny_track, contigs[chrom], int(start), int(end), strands))
        assert int(start) <= row["position"] < int(end)


def test_stranded_sequences_are_read_as_they_stand(tiny_track: Path, tmp_path: Path) -> None:
    (tmp_path / "in.fa").write_text(fasta())
    table = run(tiny_track, tmp_path / "in.fa", tmp_path, stranded=True)
    assert set(table["strand"].dropna()) == {"+"}
    check(table.iloc[0], expected(tiny_track, SEQUENCES["s0"], strands=(0,)))


def test_windows_are_intervals(tiny_track: Path, motif_windows: Path, tmp_path: Path) -> None:
    table = run(tiny_track, motif_windows, tmp_path, fold="test", stranded=True)
    made = pd.read_parquet(motif_windows / "windows.parquet")
    made = made[made["fold"] == "test"].reset_index(drop=True)
    for column in ("chrom", "start", "end"):
        assert table[column].tolist() == made[column].tolist()
    assert table["strand"].tolist() == made["strand"].tolist()


def test_shuffled_windows_have_no_position(tiny_track: Path, motif_windows: Path, tmp_path: Path) -> None:
    folder = motif_windows.parent
    config = WindowsConfig(
        genome=folder / "genome.fa", peaks=folder / "peaks.bed", length=64, validation=("chr2",), test=("chr3",),
        exclusion_bp=10, negatives={"shuffled": 1.0},
    )  # fmt: skip
    with pytest.raises(InputError, match="windows are shuffled DNA"):
        run(tiny_track, windows(config, tmp_path / "windows"), tmp_path)


REFUSED = {
    "RNA": (">a\nACGU\n", "in: record 'a': the sequence is not DNA: it has 'U'"),
    "digits": (">a\nACGT\nAC1T\n", "in:3: '1' inside a sequence is no base"),
    "NUL": (">a\nAC\0T\n", "in:2: has NUL bytes"),
    "gaps": (">a\nAC-T\n", "it has '-'"),
    "no records": (";only a comment\n", "in: is empty"),
    "an empty file": ("", "in: is empty"),
    "a table": ("name;sequence\na;ACGT\n", "has no column 'sequence'"),
    "a CSV of proteins": ("sequence\nACGT\nMEL\n", "in:3: the sequence is not DNA"),
    "BED without a genome": ("track x\nchr1\t5\t9\n", "in: is BED: name the genome"),
    "a CSV without records": ("sequence\n", "in: holds no sequences"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_is_refused_leaves_nothing(tiny_track: Path, tmp_path: Path, what: str) -> None:
    text, says = REFUSED[what]
    (tmp_path / "in").write_text(text)
    with pytest.raises(InputError) as error:
        run(tiny_track, tmp_path / "in", tmp_path)
    assert says in str(error.value)
    assert [path.name for path in tmp_path.iterdir()] == ["in"]


def test_options_that_do_not_go_together(
    tiny_track: Path, motif_windows: Path, pretrained: Path, tmp_path: Path
) -> None:
    (tmp_path / "in.fa").write_text(fasta())
    genome = motif_windows.parent / "genome.fa"
    for source, settings, says in (
        (tmp_path / "in.fa", {"genome": genome}, "is FASTA, and --genome is for intervals"),
        (motif_windows, {"genome": genome}, "windows have a genome of their own"),
        (tmp_path / "in.fa", {"fold": "test"}, "only windows have folds"),
    ):
        with pytest.raises(ConfigError, match=says):
            run(tiny_track, source, tmp_path, **settings)
    with pytest.raises(ConfigError, match="are for track models"):
        run(pretrained, tmp_path / "in.fa", tmp_path, stranded=True)


def test_letters_that_are_read_as_n_are_reported_once(
    tiny_track: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "in.fa").write_text(">a\nACGTRRY\n>b\nAC GT\n;comment\n")
    with caplog.at_level(logging.WARNING, logger="capsight"):
        run(tiny_track, tmp_path / "in.fa", tmp_path)
    assert caplog.text.count("are read as N: R 2, Y 1") == 1
    assert caplog.text.count("1 blanks inside sequences are left out") == 1


def test_a_second_call_finds_it_done(tiny_track: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "in.fa").write_text(fasta())
    run(tiny_track, tmp_path / "in.fa", tmp_path)
    with caplog.at_level(logging.INFO, logger="capsight"):
        run(tiny_track, tmp_path / "in.fa", tmp_path, threads=2)
    assert "is done already" in caplog.text


def test_memory_holds_some_records_at_a_time(tiny_track: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "in.fa").write_text("".join(f">{i}\n{random_dna(300, 1)}\n" for i in range(400)))
    records = open_records(tmp_path / "in.fa")
    network, card = load_track(tiny_track)
    ahead = []
    read = iter(records.read())
    taken = 0

    def counted() -> "object":
        nonlocal taken
        for record in read:
            taken += 1
            yield record

    for done, _ in enumerate(best_tss(TrackScorer(network, tile=2000), card, records._replace(read=counted))):  # type: ignore[arg-type]
        ahead.append(taken - done)
    assert len(ahead) == 400
    assert max(ahead) < 30


def test_a_contig_of_another_name_has_no_remedy_that_predict_lacks(tiny_track: Path, tmp_path: Path) -> None:
    (tmp_path / "genome.fa").write_text(f">chrI\n{random_dna(200)}\n")
    (tmp_path / "in.bed").write_text("I\t1\t5\n")
    with pytest.raises(InputError, match=r"which has 'chrI' \(rename the contigs so that both files agree\)$"):
        run(tiny_track, tmp_path / "in.bed", tmp_path, genome=tmp_path / "genome.fa")
