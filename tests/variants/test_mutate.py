"""`mutate`: every single change of a region, the same as one by one, as a table and a picture."""

import logging
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import capsight
from capsight import api
from capsight.config import MutateConfig
from capsight.data import schema
from capsight.data.genome.genome import Genome
from capsight.data.genome.stretches import Span
from capsight.errors import ConfigError, InputError
from capsight.variants import changes as scoring
from capsight.variants.changes import find_region
from capsight.variants.effects import LEAST_TAGS
from capsight.variants.mutate import mutate
from capsight.variants.mutate_figure import effect_of_bases

from ..conftest import random_dna

REGION = "chr1:151-270"
#: Of which a picture is drawn fast.
SHORT = "chr1:151-170"


@pytest.fixture(scope="module")
def genome(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("mutated") / "genome.fa"
    path.write_text(f">chr1\n{random_dna(400, 3)}\n>a:1-2:+\nACGT\n>none\nNNNNNNNNNN\n")
    return path


@pytest.fixture(scope="module")
def model(tiny_track: Path) -> api.Model:
    return capsight.load(tiny_track, device="cpu")


@pytest.fixture(scope="module")
def table(model: api.Model, genome: Path) -> pd.DataFrame:
    return model.mutate(genome, REGION, distance=60)


def config(region: str, **settings: object) -> MutateConfig:
    return MutateConfig.model_validate({"region": region, "distance": 60, "threads": 1} | settings)


def read(path: Path) -> pd.DataFrame:
    return pd.read_csv(path, sep="\t", na_values=".")


def test_every_base_is_changed_to_the_three_others(table: pd.DataFrame, genome: Path) -> None:
    letters = random_dna(400, 3).upper()
    known = [position for position in range(150, 270) if letters[position] != "N"]
    assert 0 < len(known) < 120
    assert list(table.columns) == list(schema.EFFECT_COLUMNS)
    assert table["position"].tolist() == [position for position in known for _ in range(3)]
    assert set(table["chrom"]) == {"chr1"}
    for position, rows in table.groupby("position"):
        assert set(rows["ref"]) == {letters[int(str(position))]}
        assert [*rows["alt"]] == [base for base in "ACGT" if base != letters[int(str(position))]]


def test_effects_are_those_of_the_changed_sequence_read_whole(
    model: api.Model, genome: Path, table: pd.DataFrame
) -> None:
    scorer, codes = model._scorer, Genome.open(genome).view(0) & np.uint8(7)
    for row in table.iloc[::17].to_dict("records"):
        at = row["position"]
        changed = codes.copy()
        changed[at] = "ACGT".index(row["alt"])
        inside = slice(max(at - 60, 0), at + 61)
        tags = [scorer.counts(each[None], 0, len(codes)).tags[0, :, inside].sum(axis=1) for each in (codes, changed)]
        log2 = np.log2(tags[1] + LEAST_TAGS) - np.log2(tags[0] + LEAST_TAGS)
        assert [row["log2_plus"], row["log2_minus"]] == pytest.approx(log2.tolist(), abs=1e-4)
        probability = [scorer.score(each[None]).probability[0, :, inside] for each in (codes, changed)]
        assert row["gain"] == pytest.approx((probability[1] - probability[0]).max(), abs=1e-5)
        assert row["loss"] == pytest.approx((probability[0] - probability[1]).max(), abs=1e-5)
        strand, place = np.unravel_index((probability[1] - probability[0]).argmax(), probability[0].shape)
        assert (row["gain_position"], row["gain_strand"]) == (place + inside.start, "+-"[strand])


@pytest.mark.parametrize("strand", [0, 1])
def test_of_one_strand_nothing_is_read_of_the_other(
    model: api.Model, genome: Path, table: pd.DataFrame, strand: int
) -> None:
    found = model.mutate(genome, f"{REGION}:{'+-'[strand]}", distance=60)
    columns = ["log2_plus", "log2_minus"]
    assert columns[1 - strand] not in found
    np.testing.assert_allclose(found[columns[strand]], table[columns[strand]], atol=1e-6)
    for move in ("gain", "loss", "tss"):
        assert set(found[f"{move}_strand"].dropna()) <= {"+-"[strand]}
        same = (table[f"{move}_strand"] == "+-"[strand]).to_numpy()
        assert found[f"{move}_position"][same].equals(table[f"{move}_position"][same])
    assert set(table["gain_strand"]) == {"+", "-"}


def test_the_table_has_four_decimals_of_it(
    tiny_track: Path, genome: Path, table: pd.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scoring, "_PIECE", 50)
    found = read(mutate(config(REGION), tiny_track, genome, tmp_path / "changes.tsv"))
    assert list(found.columns) == list(table.columns)
    for column in ("log2_plus", "log2_minus", "gain", "loss"):
        np.testing.assert_allclose(found[column], table[column].fillna(0), atol=6e-5)
    moved = (found["gain"] > 0) & (found["gain"] < 1)
    assert (found["gain_position"][moved] == table["gain_position"][moved]).mean() > 0.99
    assert "-0\t" not in (tmp_path / "changes.tsv").read_text()
    threads = mutate(config(REGION, threads=3), tiny_track, genome, tmp_path / "threads.tsv")
    assert threads.read_bytes() == (tmp_path / "changes.tsv").read_bytes()


def test_what_changes_by_nothing_has_no_position(tmp_path: Path, table: pd.DataFrame) -> None:
    small = table.head(2).copy()
    small[["gain", "tss_log2", "log2_plus"]] = [[0.00004, 0.00004, -0.00004], [0.25, -0.5, -1.0]]
    small[["tss_position", "tss_strand"]] = [7, "+"]
    scoring.write_table(iter([small]), tmp_path / "small.tsv")
    header, one, two = ((line.split("\t")) for line in (tmp_path / "small.tsv").read_text().splitlines())
    one, two = (dict(zip(header, each, strict=True)) for each in (one, two))  # type: ignore[assignment]
    assert [one[name] for name in ("log2_plus", "gain", "gain_position", "tss_log2", "tss_strand")] == [  # type: ignore[call-overload]
        "0", "0", ".", ".", "."
    ]  # fmt: skip
    assert [two[name] for name in ("log2_plus", "gain", "tss_log2", "tss_position")] == ["-1", "0.25", "-0.5", "7"]  # type: ignore[call-overload]


def test_n_is_counted_and_left_out(
    tiny_track: Path, genome: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    n = random_dna(400, 3)[150:270].upper().count("N")
    with caplog.at_level(logging.INFO, logger="capsight"):
        mutate(config(REGION), tiny_track, genome, tmp_path / "changes.tsv")
    assert f"{n} of 120 bases are N, and left out" in caplog.text
    assert f"chr1:151-270: {3 * (120 - n)} changes of {120 - n} bases" in caplog.text


@pytest.mark.parametrize(
    ("region", "says"),
    [
        ("none", "none:1-10 has no base but N"),
        ("chr2:1-5", "the genome has no contig 'chr2'"),
        ("chr1:300-401", "ends beyond chr1"),
        ("chr1:0-5", "has no bases"),
        ("chr1:9-5:+", "has no bases"),
        ("chr1:1-5:.", "the genome has no contig"),
        ("chr1:5", "'5' is not a range of bases \\(write one base as chr1:5-5\\)"),
        ("chr1:5:-", "'5' is not a range of bases \\(write one base as chr1:5-5\\)"),
    ],
)
def test_a_wrong_region_is_refused_before_anything_is_written(
    tiny_track: Path, genome: Path, tmp_path: Path, region: str, says: str
) -> None:
    with pytest.raises(InputError, match=says):
        mutate(config(region), tiny_track, genome, tmp_path / "changes.tsv", tmp_path / "changes.png")
    assert not list(tmp_path.iterdir())


def test_a_contig_may_be_named_like_a_region(genome: Path) -> None:
    opened = Genome.open(genome)
    assert find_region(opened, "a:1-2:+") == (Span("a:1-2:+", 1, 0, 4), None)
    assert find_region(opened, "a:1-2:+:3-4:-") == (Span("a:1-2:+", 1, 2, 4), 1)
    assert find_region(opened, "chr1:-") == (Span("chr1", 0, 0, 400), 1)


@pytest.mark.pipeline
@pytest.mark.parametrize(("name", "starts"), [("changes.png", b"\x89PNG"), ("changes.svg", b"<?xml")])
def test_pictures_have_the_same_bytes_every_time(
    tiny_track: Path, genome: Path, tmp_path: Path, name: str, starts: bytes
) -> None:
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        mutate(config(SHORT), tiny_track, genome, tmp_path / folder / "changes.tsv", tmp_path / folder / name)
    one, two = ((tmp_path / folder / name).read_bytes() for folder in ("one", "two"))
    assert one.startswith(starts)
    assert one == two


def test_a_picture_that_is_lost_is_drawn_anew_and_the_table_stays(
    tiny_track: Path, genome: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    table, picture = tmp_path / "changes.tsv", tmp_path / "changes.png"
    mutate(config(SHORT), tiny_track, genome, table, picture)
    drawn, made = picture.read_bytes(), table.stat().st_mtime_ns
    picture.unlink()
    mutate(config(SHORT), tiny_track, genome, table, picture)
    assert (picture.read_bytes(), table.stat().st_mtime_ns) == (drawn, made)
    with caplog.at_level(logging.INFO, logger="capsight"):
        mutate(config(SHORT), tiny_track, genome, table, picture)
    assert "is done already" in caplog.text


@pytest.mark.parametrize(
    ("out", "picture", "says"),
    [
        ("a.tsv", "a.jpg", "no name of a picture"),
        ("a.png", "a.png", "the table as well"),
        ("a.tsv", "x/a.png", "no such folder"),
        ("x/a.tsv", "a.png", "no such folder"),
    ],
)
def test_a_picture_that_cannot_be_drawn_is_refused_first(
    tiny_track: Path, genome: Path, tmp_path: Path, out: str, picture: str, says: str
) -> None:
    with pytest.raises(InputError, match=says):
        mutate(config(REGION), tiny_track, genome, tmp_path / out, tmp_path / picture)
    assert not list(tmp_path.iterdir())


def test_a_long_region_is_no_picture(
    tiny_track: Path, genome: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.modules["capsight.variants.mutate"], "LONGEST_PICTURE", 119)
    with pytest.raises(InputError, match="too long for a picture: at most 119 bases"):
        mutate(config(REGION), tiny_track, genome, tmp_path / "changes.tsv", tmp_path / "changes.png")
    assert not list(tmp_path.iterdir())


def test_what_is_drawn_is_the_effect_of_each_base(table: pd.DataFrame) -> None:
    drawn = effect_of_bases(table, 150, 270, "log2_plus")
    letters = random_dna(400, 3).upper()
    for number in range(120):
        base = letters[150 + number]
        if base == "N":
            assert np.isnan(drawn[number]).all()
        else:
            assert drawn[number, "ACGT".index(base)] == 0
            assert np.isfinite(drawn[number]).all()
    row = table.iloc[40]
    assert drawn[row["position"] - 150, "ACGT".index(row["alt"])] == row["log2_plus"]


def test_a_region_is_needed() -> None:
    with pytest.raises(ValueError, match="region"):
        MutateConfig.model_validate({})
    assert issubclass(ConfigError, InputError)
