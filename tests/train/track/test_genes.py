"""Open reading frames as a second lesson: targets base by base, the loss, and what is kept of it."""

from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from torch.nn import functional

from capsight.config.track import TrackConfig
from capsight.data.ctss.ctss import Ctss
from capsight.data.genome.alphabet import decode, encode, reverse_complement
from capsight.data.genome.genome import Genome
from capsight.data.genome.orfs import CONTIG, END, MINUS, START
from capsight.data.genome.stretches import Stretches
from capsight.model.track import TrackNetwork, one_hot
from capsight.train.track.genes import (
    DOWNSTREAM,
    FIRST_BASE,
    FIRST_BASE_WEIGHT,
    N_TARGETS,
    OTHER_STRAND,
    STRENGTH,
    STRENGTH_COLUMN,
    STRENGTH_WEIGHT,
    UPSTREAM,
    GeneTargets,
    WithGenes,
    gene_loss,
)

FRAMES = [
    (0, 3, 12, False, 0.5),
    (0, 10, 40, True, -1.0),
    (0, 50, 65, False, 2.0),
    (2, 0, 9, True, 0.25),
    (2, 7, 31, False, 1.0),
]


@pytest.fixture(scope="module")
def targets() -> GeneTargets:
    return GeneTargets(pd.DataFrame(FRAMES, columns=[CONTIG, START, END, MINUS, STRENGTH_COLUMN]))


def by_hand(contig: int, minus: bool, position: int) -> list[float]:
    found = [0.0] * N_TARGETS
    for number, start, end, strand, strength in FRAMES:
        if number == contig and start <= position < end:
            if strand != minus:
                found[OTHER_STRAND] = 1
            else:
                into = end - 1 - position if minus else position - start
                found[into % 3] = 1
                found[STRENGTH] = strength
                if into == 0:
                    found[FIRST_BASE] = 1
    return found


@pytest.mark.parametrize("minus", [False, True])
@pytest.mark.parametrize("contig", [0, 1, 2])
@pytest.mark.parametrize("start", [-10, 0, 5, 11, 30, 39, 64, 65])
def test_targets_are_those_of_each_base(targets: GeneTargets, contig: int, minus: bool, start: int) -> None:
    found = targets.at(np.array([contig]), np.array([minus]), np.array([start]), 25)
    order = range(start + 24, start - 1, -1) if minus else range(start, start + 25)
    assert found[0].tolist() == [by_hand(contig, minus, position) for position in order]


def test_several_crops_are_those_of_each(targets: GeneTargets) -> None:
    contig, minus, start = np.array([0, 2, 0]), np.array([True, False, False]), np.array([20, -5, 30])
    together = targets.at(contig, minus, start, 18)
    for i in range(3):
        assert np.array_equal(together[[i]], targets.at(contig[[i]], minus[[i]], start[[i]], 18))


def test_the_loss_is_its_formula() -> None:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(2, 7, N_TARGETS, generator=generator)
    truth = (torch.rand(2, 7, N_TARGETS, generator=generator) < 0.3).float()
    entropy = functional.binary_cross_entropy_with_logits
    each = [float(entropy(logits[..., k], truth[..., k])) for k in range(STRENGTH)]
    expected = sum(each[:FIRST_BASE]) / FIRST_BASE + each[FIRST_BASE] * FIRST_BASE_WEIGHT
    for row in range(2):
        for i in range(7):
            if truth[row, i, :OTHER_STRAND].any():
                error = float(logits[row, i, STRENGTH] - truth[row, i, STRENGTH]) ** 2
                expected += STRENGTH_WEIGHT * error / 14
    assert float(gene_loss(logits, truth)) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("minus", [False, True])
def test_the_strength_of_a_gene_is_that_of_its_promoter(tmp_path: Path, minus: bool) -> None:
    rng = np.random.default_rng(0)
    codons = [c for c in map("".join, product("ACGT", repeat=3)) if c not in ("TAA", "TAG", "TGA", "ATG")]
    frames = ["ATG" + "".join(rng.choice(codons, 200)) + "TAA" for _ in range(3)]
    text = "".join("TTAATTAATTAA" * 70 + frame for frame in frames) + "TTAATTAATTAA" * 70
    codes = encode(text)
    (tmp_path / "genome.fa").write_text(f">a\n{decode(reverse_complement(codes)[None])[0] if minus else text}\n")
    genome = Genome.open(tmp_path / "genome.fa")
    first = np.array([text.index(frame) for frame in frames])
    # one promoter with 7 tags, one with 30 at both of its ends and more just beyond, one with none
    found = {first[0] - 40: 7.0, first[1] - UPSTREAM: 10.0, first[1] + DOWNSTREAM - 1: 20.0}
    found |= {first[1] - UPSTREAM - 1: 99.0, first[1] + DOWNSTREAM: 99.0}
    position = np.array(list(found))
    position = np.sort(len(text) - 1 - position) if minus else np.sort(position)
    counts = [found[len(text) - 1 - p if minus else p] for p in position.tolist()]
    here = np.full(len(position), int(minus))
    tags = Ctss(np.zeros_like(here), position, here, np.array(counts))
    table = GeneTargets.from_stretches(Stretches.whole(genome, [0]), 150, tags).table
    expected = np.log1p([7.0, 30.0, 0.0])
    expected = (expected - expected.mean()) / expected.std()
    np.testing.assert_allclose(table[STRENGTH_COLUMN], expected[::-1] if minus else expected, rtol=1e-5)


def test_frames_and_their_tags_are_read_in_each_stretch_alone(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    codons = [c for c in map("".join, product("ACGT", repeat=3)) if c not in ("TAA", "TAG", "TGA", "ATG")]
    frame = "ATG" + "".join(rng.choice(codons, 200)) + "TAA"
    spacer = "TTAATTAATTAA" * 70
    text = "".join(spacer + frame for _ in range(4)) + spacer
    (tmp_path / "genome.fa").write_text(f">a\n{text}\n")
    genome = Genome.open(tmp_path / "genome.fa")
    first = [i for i in range(len(text)) if text.startswith(frame, i)]
    # cuts the third frame; begins 30 bases before the second
    stretches = Stretches.named(genome, [f"a:1-{first[0] + 700}", f"a:{first[1] - 29}-{first[2] + 300}"])
    position = np.array([first[0] - 10, first[1] - 31, first[1] - 30, first[2] - 5])
    here = np.zeros_like(position)
    tags = Ctss(here, position, here, np.array([3.0, 99.0, 8.0, 99.0]))
    table = GeneTargets.from_stretches(stretches, 150, tags).table
    assert table[START].tolist() == first[:2]
    assert (table[END] - table[START]).tolist() == [len(frame)] * 2
    assert table[CONTIG].tolist() == [0, 0]
    expected = np.log1p([3.0, 8.0])
    np.testing.assert_allclose(table[STRENGTH_COLUMN], (expected - expected.mean()) / expected.std(), rtol=1e-5)
    targets = GeneTargets.from_stretches(stretches, 150, tags)
    assert targets.at(np.array([0]), np.array([False]), np.array([first[1] - 20]), 64)[0, 20, FIRST_BASE] == 1


@pytest.mark.parametrize("average", [0, 4, 16])
def test_the_track_is_that_of_the_network_itself(average: int) -> None:
    torch.manual_seed(0)
    network = TrackNetwork(TrackConfig(width=8, dilations=(1, 2), average_radius=average)).eval()
    both = WithGenes(network).eval()
    bases = one_hot(torch.randint(0, 4, (2, 100)))
    track, logits = both(bases)
    assert torch.equal(track.log_tags, network(bases).log_tags)
    assert logits.shape == (2, 100 - 2 * network.halo, N_TARGETS)
    gene_loss(logits, torch.zeros_like(logits)).backward()
    assert network.first.weight.grad is not None  # the shared convolutions learn from it
    assert network.head.weight.grad is None
