"""`predict --resolution base`: every base from one tile, places right on both strands, no record lost."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from capsight.config import PredictConfig, WindowsConfig
from capsight.data.bases import decode, encode, reverse_complement
from capsight.data.profiles import middle_half
from capsight.data.windows import windows
from capsight.errors import InputError
from capsight.predict.base import predict_bases
from capsight.predict.base_scorer import BaseScorer
from capsight.predict.tiles import Record, cut_tiles

LENGTH = 32
WORD = "CAGTCA"  # of `Planted`
RECORD = Record("x", ".", ".", 0, 1)


def predicted(scorer: BaseScorer, source: Path, **settings: Any) -> pd.DataFrame:
    out = source.parent / "p.tsv"
    n = predict_bases(PredictConfig(resolution="base", **settings), scorer, source, out)
    table = pd.read_csv(out, sep="\t", dtype={"name": str})
    assert len(table) == n
    assert list(table.columns) == ["name", "chrom", "position", "strand", "probability", "strength"]
    return table


def background(n: int, seed: int = 0) -> str:
    return "".join(np.random.default_rng(seed).choice(list("AT"), n))  # has no WORD, on either strand


def with_words(text: str, sites: tuple[int, ...]) -> str:
    for site in sites:
        text = text[: site - 1] + WORD + text[site - 1 + len(WORD) :]
    return text


@pytest.mark.parametrize("length", [16, 18, 32])
@pytest.mark.parametrize("n", [1, 7, 15, 16, 17, 18, 31, 32, 33, 34, 48, 49, 100, 129])
def test_every_base_comes_from_one_tile(n: int, length: int) -> None:
    codes = np.random.default_rng(n).integers(0, 4, n).astype(np.uint8)
    seen = []
    tiles = list(cut_tiles(RECORD, codes, length))
    for tile in tiles:
        places = np.arange(tile.kept.start, tile.kept.stop)
        assert tile.codes.shape == (length,)
        assert (tile.codes[places] == codes[places + tile.offset]).all()
        assert (np.sort(tile.codes)[::-1][: np.count_nonzero(tile.codes == 4)] == 4).all()
        inside = np.arange(length) + tile.offset
        assert ((tile.codes == 4) == ((inside < 0) | (inside >= n))).all()
        if n > length:
            assert set(places.tolist()) <= set(range(length)[middle_half(length)])
        seen += (places + tile.offset).tolist()
    assert seen == list(range(n))
    assert [tile.last for tile in tiles] == [False] * (len(tiles) - 1) + [True]
    assert (len(tiles) == 1) is (n <= length)


def test_sites_of_a_long_sequence_are_found_once_wherever_they_lie(scorer: BaseScorer, tmp_path: Path) -> None:
    sites = (1, 40, 63, 90, 118, 140)
    records = {"long": with_words(background(150), sites), "none": background(70, 1)}
    records["one"] = with_words("A" * 99, (50,))
    (tmp_path / "x.fa").write_text("".join(f">{name}\n{text}\n" for name, text in records.items()))
    table = predicted(scorer, tmp_path / "x.fa", least=0.5, batch_size=2)
    found = table.groupby("name", sort=False)["position"].apply(list).to_dict()
    assert found["long"] == list(sites)
    assert found["one"] == [50]
    assert len(found["none"]) == 1  # its best base, however bad
    assert list(found) == list(records)
    assert set(table["chrom"]) == set(table["strand"]) == {"."}
    sure = table[table["name"] != "none"]
    assert (sure["probability"] > 0.99).all()
    assert sure["strength"].to_numpy() == pytest.approx(10, abs=1e-3)
    assert table.loc[table["name"] == "none", "probability"].max() < 1e-5
    assert table.loc[table["name"] == "none", "strength"].max() == 0


def test_the_best_base_is_the_best_of_all_tiles(scorer: BaseScorer, tmp_path: Path) -> None:
    text = with_words(background(150), (90,))
    (tmp_path / "x.csv").write_text(f"sequence\n{text}\n")
    table = predicted(scorer, tmp_path / "x.csv", least=1.0, batch_size=1)
    assert table["position"].tolist() == [90]
    assert table["name"].tolist() == ["0"]


def test_least_keeps_what_it_says(scorer: BaseScorer, tmp_path: Path) -> None:
    text = with_words(background(30), (10, 18))  # one tile, two sites: each has half of the probability
    (tmp_path / "x.fa").write_text(f">a\n{text}\n")
    half = predicted(scorer, tmp_path / "x.fa", least=0.4)
    assert half["position"].tolist() == [10, 18]
    assert half["probability"].to_numpy() == pytest.approx(0.5, abs=1e-3)
    assert half["strength"].to_numpy() == pytest.approx(5, abs=1e-2)
    assert predicted(scorer, tmp_path / "x.fa", least=0.6)["position"].tolist() == [10]
    every = predicted(scorer, tmp_path / "x.fa", least=0)
    assert every["position"].tolist() == list(range(30))
    assert every["probability"].sum() <= 1


def test_batch_size_does_not_matter(scorer: BaseScorer, tmp_path: Path) -> None:
    texts = [background(n, n) for n in (5, 32, 33, 200)]
    (tmp_path / "x.fa").write_text("".join(f">s{i}\n{text}\n" for i, text in enumerate(texts)))
    files = []
    for size in (1, 4, 100):
        predicted(scorer, tmp_path / "x.fa", least=0, batch_size=size)
        files.append((tmp_path / "p.tsv").read_bytes())
    assert files[0] == files[1] == files[2]


@pytest.fixture
def laid(write_fasta: Callable[..., Path], tmp_path: Path) -> Path:
    """Return windows whose peaks carry a word, 5'→3' on their strand, two bases 3' of the summit."""
    genome, peaks = {}, []
    for i, chrom in enumerate(("chr1", "chr2", "chr3")):
        text = background(400, i)
        for at, strand in ((100, "+"), (200, "-"), (300, "+")):
            word, first = (WORD, at + 1) if strand == "+" else ("TGACTG", at - 1 - len(WORD) + 1)
            text = text[:first] + word + text[first + len(word) :]
            peaks.append(f"{chrom}\t{at}\t{at + 1}\tp\t0\t{strand}\n")
        genome[chrom] = text
    assert decode(reverse_complement(encode(WORD)[None])) == ["TGACTG"]
    path = write_fasta(genome)
    (tmp_path / "peaks.bed").write_text("".join(peaks))
    config = WindowsConfig(
        genome=path, peaks=tmp_path / "peaks.bed", length=LENGTH, validation="chr2", test="chr3", exclusion=5,
        negatives="uniform",
    )  # fmt: skip
    return windows(config, tmp_path / "windows")


def test_windows_give_places_of_the_genome_on_either_strand(scorer: BaseScorer, laid: Path) -> None:
    table = predicted(scorer, laid, least=0.5)
    sure = table[table["probability"] > 0.5]
    assert sorted(zip(sure["chrom"], sure["position"], sure["strand"], strict=True)) == sorted(
        (chrom, at, strand) for chrom in ("chr1", "chr2", "chr3") for at, strand in ((102, "+"), (198, "-"), (302, "+"))
    )
    assert len(table) == len(pd.read_parquet(laid / "windows.parquet"))  # a row for every window
    row = sure[(sure["chrom"] == "chr1") & (sure["strand"] == "-")].iloc[0]
    assert row["name"] == "chr1:185..217,-"
    assert set(predicted(scorer, laid / "windows.parquet", fold="test")["chrom"]) == {"chr3"}
    every = predicted(scorer, laid, least=0, fold="test").groupby("name")["position"]
    assert (every.nunique() == LENGTH).all()
    assert (every.max() - every.min() == LENGTH - 1).all()


def test_windows_of_another_length_are_refused(scorer: BaseScorer, laid: Path) -> None:
    other: Any = BaseScorer(scorer.models, scorer.tokenizer, 30, 3, scorer.device)
    with pytest.raises(InputError, match="the model reads 30 bases and the windows have 32"):
        predict_bases(PredictConfig(), other, laid, laid.parent / "p.tsv")
