"""Open reading frames as a second lesson: targets base by base, the loss, and what is kept of it."""

import numpy as np
import pandas as pd
import pytest
import torch
from torch.nn import functional

from capsight.config.track import TrackConfig
from capsight.data.orfs import CONTIG, END, MINUS, START
from capsight.model.track import TrackNetwork, one_hot
from capsight.train.genes import (
    FIRST_BASE,
    FIRST_BASE_WEIGHT,
    N_TARGETS,
    OTHER_STRAND,
    GeneTargets,
    WithGenes,
    gene_loss,
)

FRAMES = [(0, 3, 12, False), (0, 10, 40, True), (0, 50, 65, False), (2, 0, 9, True), (2, 7, 31, False)]


@pytest.fixture(scope="module")
def targets() -> GeneTargets:
    return GeneTargets(pd.DataFrame(FRAMES, columns=[CONTIG, START, END, MINUS]))


def by_hand(contig: int, minus: bool, position: int) -> list[float]:
    found = [0.0] * N_TARGETS
    for number, start, end, strand in FRAMES:
        if number == contig and start <= position < end:
            if strand != minus:
                found[OTHER_STRAND] = 1
            else:
                into = end - 1 - position if minus else position - start
                found[into % 3] = 1
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
    each = [functional.binary_cross_entropy_with_logits(logits[..., k], truth[..., k]) for k in range(N_TARGETS)]
    expected = sum(float(loss) for loss in each[:FIRST_BASE]) / (N_TARGETS - 1)
    expected += float(each[FIRST_BASE]) * FIRST_BASE_WEIGHT
    assert float(gene_loss(logits, truth)) == pytest.approx(expected, rel=1e-5)


def test_the_track_is_that_of_the_network_itself() -> None:
    torch.manual_seed(0)
    network = TrackNetwork(TrackConfig(width=8, dilations=(1, 2))).eval()
    both = WithGenes(network).eval()
    bases = one_hot(torch.randint(0, 4, (2, 60)))
    track, logits = both(bases)
    assert torch.equal(track.log_tags, network(bases).log_tags)
    assert logits.shape == (2, 60 - 2 * network.halo, N_TARGETS)
    gene_loss(logits, torch.zeros_like(logits)).backward()
    assert network.first.weight.grad is not None  # the shared convolutions learn from it
    assert network.head.weight.grad is None
