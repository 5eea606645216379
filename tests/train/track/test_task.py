"""The training task of the track network: it learns a planted signal, on training contigs alone, and scans others."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.metrics import average_precision_score

from capsight.config.track import CropsConfig, TrackConfig, TrackLossConfig
from capsight.data import schema
from capsight.data.ctss.ctss import Ctss
from capsight.data.ctss.table import ctss_from_summits
from capsight.data.genome.genome import Genome
from capsight.data.genome.stretches import Stretches
from capsight.model.track import Track, TrackNetwork
from capsight.predict.track import TrackScorer
from capsight.train.track.crops import CropSource
from capsight.train.track.genes import GeneTargets, WithGenes
from capsight.train.track.task import GENES, TrackTask

MOTIF = "TATAAAGGCACGTC"
SHAPE = TrackConfig(width=16, dilations=(1, 2), average_radius=8, dropout=0.0)


@pytest.fixture(scope="module")
def task(tmp_path_factory: pytest.TempPathFactory) -> TrackTask:
    """Return the task of a genome in which every cap site, on either strand, carries a motif, seven bases before it."""
    rng = np.random.default_rng(0)
    comp = str.maketrans("ACGT", "TGCA")
    lines, peaks = [], []
    for name in ("chr1", "chr2"):
        letters = rng.choice(list("ACGT"), 12_000)
        for i, summit in enumerate(range(300, 11_700, 300)):
            minus = i % 2 == 1
            letters[summit - 7 : summit + 7] = list(MOTIF.translate(comp)[::-1] if minus else MOTIF)
            peaks.append((name, summit - 1 if minus else summit, "-" if minus else "+"))
        lines.append(f">{name}\n{''.join(letters)}\n")
    path: Path = tmp_path_factory.mktemp("track") / "genome.fa"
    path.write_text("".join(lines))
    genome = Genome.open(path)
    table = pd.DataFrame(peaks, columns=[schema.CHROM, schema.SUMMIT, schema.STRAND])
    summits = ctss_from_summits(table, genome)
    tags = Ctss(summits.contig, summits.position, summits.minus, np.full(len(summits.contig), 40.0))
    config = CropsConfig(length=512, batch_size=8)
    crops = CropSource.from_windows(genome, tags, table, ["chr1"], TrackNetwork(SHAPE).halo, config, 3)
    losses = TrackLossConfig()
    genes = GeneTargets.from_stretches(crops.stretches, 10, tags)
    return TrackTask(crops, losses, genes, Stretches.named(genome, ["chr2"]), summits)


def test_it_learns_a_planted_signal_and_finds_it_on_another_contig(task: TrackTask) -> None:
    torch.manual_seed(0)
    model = WithGenes(TrackNetwork(SHAPE))
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    before = task.validate(model, torch.device("cpu"))["auprc"]
    losses = []
    for i in range(60):
        loss = task.loss(model, task.batch(i))
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        losses.append(float(loss.detach()))
    assert before < 0.3
    assert np.mean(losses[-10:]) < 0.7 * np.mean(losses[:10])
    assert task.validate(model, torch.device("cpu"))["auprc"] > 0.9


def test_batches_are_a_function_of_their_number(task: TrackTask) -> None:
    one, again = task.batch(4), task.batch(4)
    assert all(torch.equal(one[name], again[name]) for name in one)
    assert not torch.equal(one["codes"], task.batch(5)["codes"])
    offsets = {int(task.batch(i)["offset"]) for i in range(60)}
    assert offsets <= set(range(256))
    assert len(offsets) > 20


def test_without_genes_the_network_learns_alone(task: TrackTask) -> None:
    alone = replace(task, genes=None)
    batch = alone.batch(0)
    assert GENES not in batch
    torch.manual_seed(0)
    network = TrackNetwork(SHAPE)
    assert torch.isfinite(alone.loss(network, batch))
    with_genes = task.loss(WithGenes(network), task.batch(0)).detach()
    assert float(with_genes) > float(alone.loss(network, batch).detach())


def test_the_batch_is_read_in_bfloat16_as_well(task: TrackTask) -> None:
    torch.manual_seed(0)
    model = WithGenes(TrackNetwork(SHAPE))
    exact = task.loss(model, task.batch(0)).detach()
    with torch.autocast("cpu", torch.bfloat16):
        coarse = task.loss(model, task.batch(0)).detach()
    assert coarse.dtype == torch.float32
    assert float(coarse) == pytest.approx(float(exact), rel=0.02)


def test_validation_counts_each_summit_in_its_bin_and_strand(task: TrackTask) -> None:
    class Planted(TrackNetwork):
        """Expects summits where the motif is, at its eighth base."""

        def forward(self, bases: torch.Tensor) -> Track:
            motif = torch.tensor(["ACGT".index(letter) for letter in MOTIF])
            wanted = torch.nn.functional.one_hot(motif, 4).float()
            score = torch.einsum("nlck,kc->nl", bases.unfold(1, len(MOTIF), 1), wanted)  # at the motif's first base
            found = torch.full(bases.shape[:2], -20.0)
            found[:, 7 : 7 + score.shape[1]] = torch.where(score == len(MOTIF), 0.0, -20.0)
            found = found[:, self.halo : found.shape[1] - self.halo]
            return Track(found, found, found)

    torch.manual_seed(0)
    assert task.validate(Planted(SHAPE), torch.device("cpu"))["auprc"] > 0.98


def test_validation_reads_its_stretches_alone(task: TrackTask) -> None:
    torch.manual_seed(0)
    network = TrackNetwork(SHAPE)
    genome = task.crops.genome
    part = replace(task, validation=Stretches.named(genome, ["chr2:2001-7030", "chr2:9001-11000"]))
    found = part.validate(network, torch.device("cpu"))["auprc"]
    summits = task.validation_summits
    inside = part.validation.find(summits.contig, summits.position) >= 0
    assert 0 < inside.sum() < (summits.contig == 1).sum()
    alone = replace(part, validation_summits=Ctss(*(column[inside] for column in summits)))
    assert alone.validate(network, torch.device("cpu"))["auprc"] == found
    truth, score = [], []
    for start, end in ((2_000, 7_030), (9_000, 11_000)):
        for strand in (0, 1):
            for low in range(start, end, 50):
                there = (summits.contig == 1) & (summits.minus == strand)
                at = summits.position[there]
                truth.append(bool(((at >= low) & (at < min(low + 50, end))).any()))
                expected = TrackScorer(network).counts(genome.contig(1)[None], low, min(low + 50, end)).summits
                score.append(float(expected[0, strand].sum()))
    assert found == pytest.approx(average_precision_score(truth, score), rel=1e-3)


def test_another_network_is_refused(task: TrackTask) -> None:
    with pytest.raises(TypeError, match="Linear is no track network"):
        task.validate(torch.nn.Linear(1, 1), torch.device("cpu"))
