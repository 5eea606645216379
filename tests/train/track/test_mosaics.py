"""Mosaics: what pieces hold, what of them is known, and that their number says all."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from numpy.typing import NDArray

from capsight.config.track import CropsConfig, TrackConfig, TrackLossConfig
from capsight.data import schema
from capsight.data.ctss.table import ctss_from_summits
from capsight.data.genome.alphabet import reverse_complement
from capsight.data.genome.genome import Genome
from capsight.data.peaks.promoters import Promoters
from capsight.model.track import TrackNetwork
from capsight.train.track.crops import Crops, CropSource
from capsight.train.track.genes import GeneTargets, WithGenes
from capsight.train.track.mosaics import (
    DOUBT,
    DOWNSTREAM,
    KEPT_DOWNSTREAM,
    KEPT_UPSTREAM,
    UPSTREAM,
    Mosaics,
    Piece,
    lay,
)
from capsight.train.track.task import GENES, GENES_KNOWN, KNOWN, SUMMITS, TAGS, TrackTask

SIZES = {"chrA": 9_000, "chrB": 5_000, "chrC": 4_000}
SHAPE = TrackConfig(width=8, dilations=(1, 2), average_radius=8, dropout=0.0)
HALO = TrackNetwork(SHAPE).halo
SUMMITS_AT = [("chrA", position, "+-"[i % 2]) for i, position in enumerate(range(100, 8_900, 40))]


@pytest.fixture(scope="module")
def genome(tmp_path_factory: pytest.TempPathFactory) -> Genome:
    rng = np.random.default_rng(0)
    path: Path = tmp_path_factory.mktemp("mosaics") / "genome.fa"
    path.write_text("".join(f">{name}\n{''.join(rng.choice(list('ACGT'), n))}\n" for name, n in SIZES.items()))
    return Genome.open(path)


@pytest.fixture(scope="module")
def promoters() -> Promoters:
    rng = np.random.default_rng(1)
    return Promoters(
        [rng.integers(0, 4, size, dtype=np.uint8) for size in (300, 251, 600)], [249, 200, 499], [1.0, 0.5, 1.0]
    )


def mosaics(genome: Genome, given: Promoters | None, **settings: Any) -> Mosaics:
    config = CropsConfig(**{"length": 1024, "batch_size": 3, "mosaics": 1.0, **settings})
    peaks = pd.DataFrame(SUMMITS_AT, columns=[schema.CHROM, schema.SUMMIT, schema.STRAND])
    summits = ctss_from_summits(peaks, genome)
    source = CropSource.from_windows(genome, summits, peaks, ["chrA", "chrB"], HALO, config, 5)
    return Mosaics(source, given)


def laid(found: Mosaics, piece: Piece) -> tuple[Crops, NDArray[np.bool_]]:
    crops = found.crops.batch(0)
    known = np.ones(crops.tags.shape, bool)
    found.lay(crops, known, [piece])
    return crops, known


def test_pieces_lie_end_to_end_from_before_the_halo_to_behind_it(genome: Genome, promoters: Promoters) -> None:
    found = mosaics(genome, promoters, promoters=0.5)
    rows = pd.DataFrame(found.pieces(0))
    assert set(rows.row) == {0, 1, 2}
    for _, crop in rows.groupby("row"):
        assert crop.start.iloc[0] <= -HALO
        assert crop.end.iloc[-1] >= 1024 + HALO
        assert (crop.start.iloc[1:].to_numpy() == crop.end.iloc[:-1].to_numpy()).all()
    assert set(rows.contig) == {-1, 0, 1}, "promoters, and pieces of the training chromosomes alone"


def test_pieces_are_a_pure_function_of_seed_and_number(genome: Genome, promoters: Promoters) -> None:
    found = mosaics(genome, promoters)
    assert found.pieces(7) == mosaics(genome, promoters).pieces(7)
    assert found.pieces(7) != found.pieces(8)


def test_a_share_of_the_crops_is_pieced_together(genome: Genome) -> None:
    found = mosaics(genome, None, mosaics=0.25, batch_size=400)
    assert len({piece.row for piece in found.pieces(0)}) == pytest.approx(100, abs=30)
    assert mosaics(genome, None, mosaics=0.0).pieces(0) == []


def test_a_piece_of_the_genome_has_the_bases_and_summits_of_its_place(genome: Genome) -> None:
    found = mosaics(genome, None)
    crops, _ = laid(found, Piece(1, 200, 500, 0, 1, 3_000))
    assert (crops.codes[1, HALO + 200 : HALO + 500] == reverse_complement(genome.contig(0)[3_000:3_300])).all()
    minus = [position for _, position, strand in SUMMITS_AT if strand == "-" and 3_000 <= position < 3_300]
    assert np.flatnonzero(crops.summits[1, 200:500]).tolist() == [3_299 - position for position in reversed(minus)]
    natural = found.crops.batch(0)
    assert (crops.codes[1, : HALO + 200] == natural.codes[1, : HALO + 200]).all()
    assert (crops.codes[2] == natural.codes[2]).all()


def test_summits_near_a_junction_are_not_known_and_the_others_are(genome: Genome) -> None:
    found = mosaics(genome, None)
    _, known = laid(found, Piece(0, 0, 600, 0, 0, 3_000))
    plus = np.array([position - 3_000 for _, position, strand in SUMMITS_AT if strand == "+"])
    cut = plus[((plus >= 0) & (plus < UPSTREAM)) | ((plus >= 600 - DOWNSTREAM) & (plus < 600))]
    far = np.abs(np.arange(600)[:, None] - cut).min(axis=1) > DOUBT
    assert (known[0, :600] == far).all()
    assert 0 < far.sum() < 600
    assert known[0, 600:].all()


def test_a_promoter_has_its_tss_and_its_bases_wherever_its_ends_are_cut(genome: Genome, promoters: Promoters) -> None:
    found = mosaics(genome, promoters, promoters=1.0)
    pieces = [piece for index in range(20) for piece in found.pieces(index)]
    assert {piece.promoter for piece in pieces} == {0, 1, 2}
    assert len({(piece.promoter, piece.first, piece.end - piece.start) for piece in pieces}) > 100
    for piece in pieces:
        tss = promoters.tss[piece.promoter] - piece.first
        assert tss >= KEPT_UPSTREAM
        assert piece.end - piece.start - tss > KEPT_DOWNSTREAM
    size, first = pieces[0].end - pieces[0].start, pieces[0].first
    crops, known = laid(found, pieces[0]._replace(row=0, start=0, end=size))
    assert (crops.codes[0, HALO : HALO + size] == promoters.codes[pieces[0].promoter][first : first + size]).all()
    assert np.flatnonzero(crops.summits[0, :size]).tolist() == [promoters.tss[pieces[0].promoter] - first]
    assert known.all()


@pytest.mark.parametrize(
    ("start", "expected"), [(-2, "cd......"), (3, "...abcd."), (6, "......ab"), (-9, "........"), (9, "........")]
)
def test_what_reaches_beyond_an_end_is_cut(start: int, expected: str) -> None:
    over = np.array(list("........"))
    lay(np.array(list("abcd")), over, start)
    assert "".join(over) == expected


def test_nothing_unknown_is_learned_and_genes_follow_the_pieces(genome: Genome, promoters: Promoters) -> None:
    found = mosaics(genome, promoters, promoters=0.5)
    losses = TrackLossConfig(block_size=64, min_orf_codons=10)
    genes = GeneTargets.from_stretches(found.crops.stretches, losses.min_orf_codons, found.crops.tags)
    task = TrackTask(found.crops, losses, genes, genome.index(["chrC"]), found.crops.summits, mosaics=found)
    batch = dict(task.batch(0))
    for row, start, end, contig, minus, first, _ in found.pieces(0):
        inside = slice(max(start, 0), max(min(end, 1024), 0))
        if contig < 0:
            assert not batch[GENES_KNOWN][row, inside].any()
        else:
            there = genes.at(np.array([contig]), np.array([minus], bool), np.array([first]), end - start)[0]
            assert (batch[GENES][row, inside].numpy() == there[inside.start - start : inside.stop - start]).all()
            assert batch[GENES_KNOWN][row, inside].all()
    torch.manual_seed(0)
    model = WithGenes(TrackNetwork(SHAPE))
    before = task.loss(model, batch).item()
    unknown = ~batch[KNOWN]
    assert unknown.any()
    changed = batch | {name: torch.where(unknown, 9.0, batch[name]) for name in (TAGS, SUMMITS)}
    changed[GENES] = torch.where(batch[GENES_KNOWN][..., None], batch[GENES], 1.0)
    assert task.loss(model, changed).item() == pytest.approx(before, rel=1e-6)
    known = batch | {TAGS: torch.where(unknown, batch[TAGS], batch[TAGS] + 1)}
    assert task.loss(model, known).item() != pytest.approx(before, rel=1e-3)


@pytest.mark.parametrize("near", [0, 9])
def test_around_summits_nothing_is_known_but_near_them(genome: Genome, near: int) -> None:
    found = mosaics(genome, None, exclusion=15).crops
    start, length = 2_950, 400
    for minus in (False, True):
        known = found.known(np.array([0]), np.array([minus]), np.array([start]), length, near)[0]
        places = np.arange(start, start + length)[:: -1 if minus else 1]
        distance = {
            strand: np.abs(places[:, None] - [p for _, p, s in SUMMITS_AT if s == strand]).min(axis=1)
            for strand in "+-"
        }
        far = np.minimum(distance["+"], distance["-"]) > 15
        assert (known == (far | (distance["-" if minus else "+"] <= near))).all()
        assert 0 < known.sum() < length


def test_around_the_tss_of_a_promoter_nothing_is_known_but_near_it(genome: Genome, promoters: Promoters) -> None:
    found = replace(mosaics(genome, promoters, exclusion=60), near=10)
    _, known = laid(found, Piece(0, 0, 251, -1, 0, 0, 1))
    distance = np.abs(np.arange(251) - 200)
    assert (known[0, :251] == ((distance <= 10) | (distance > 60))).all()


def test_promoters_are_drawn_by_their_weights(genome: Genome, promoters: Promoters) -> None:
    found = mosaics(genome, promoters._replace(weight=[1.0, 0.25, 0.75]), promoters=1.0, batch_size=200)
    drawn = np.array([piece.promoter for piece in found.pieces(0)])
    assert np.bincount(drawn) / len(drawn) == pytest.approx([0.5, 0.125, 0.375], abs=0.05)


def test_where_all_is_known_the_loss_is_that_without_a_mask(genome: Genome) -> None:
    found = mosaics(genome, None)
    task = TrackTask(found.crops, TrackLossConfig(block_size=64), None, genome.index(["chrC"]), found.crops.summits)
    torch.manual_seed(0)
    network, batch = TrackNetwork(SHAPE), dict(task.batch(0))
    whole = batch | {KNOWN: torch.ones_like(batch[TAGS], dtype=torch.bool)}
    assert task.loss(network, whole).item() == pytest.approx(task.loss(network, batch).item(), rel=1e-6)


def test_settings_that_contradict_themselves_are_refused() -> None:
    with pytest.raises(ValueError, match="piece_length: the least, 700"):
        CropsConfig(piece_length=(700, 600))
