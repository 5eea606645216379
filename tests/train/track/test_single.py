"""Training on single TSSs and background: what a batch holds, and that promoters of sequences alone are learned."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from capsight.config.track import CropsConfig, TrackConfig
from capsight.data import schema
from capsight.data.ctss.ctss import Ctss
from capsight.data.ctss.table import ctss_from_summits
from capsight.data.genome.alphabet import N_CODE, encode, reverse_complement
from capsight.data.genome.genome import Genome
from capsight.data.genome.stretches import Stretches
from capsight.data.peaks.promoters import Promoters
from capsight.model.track import TrackNetwork
from capsight.train.track.single import CODES, LABELS, NEAR, SingleTask

HALO = 32
SHAPE = TrackConfig(
    width=4, first_kernel=3, dilations=(), head_kernel=1, average_radius=0, kmer=3, stretch=16, stretches=(2, 1),
    hidden=8, dropout=0.0, kmer_dropout=0.2,
)  # fmt: skip
#: Promoters are rich in it before the TSS.
UNIT = "GCGATCGG"
PEAKS = [(name, at, "+-"[i % 2]) for name in ("chr1", "chr2") for i, at in enumerate(range(700, 29_500, 900))]


@pytest.fixture(scope="module")
def genome(tmp_path_factory: pytest.TempPathFactory) -> Genome:
    """Return a genome whose peaks, on either strand, have a promoter before them; chr1 begins with 300 N."""
    rng, lines = np.random.default_rng(0), []
    for name in ("chr1", "chr2"):
        letters = rng.choice(list("ACGT"), 30_000)
        for at, strand in [(at, strand) for contig, at, strand in PEAKS if contig == name]:
            promoter = list(UNIT * 4)
            if strand == "+":
                letters[at - 32 : at] = promoter
            else:
                letters[at + 1 : at + 33] = [dict(zip("ACGT", "TGCA", strict=True))[base] for base in promoter[::-1]]
        letters[: 300 if name == "chr1" else 0] = "N"
        lines.append(f">{name}\n{''.join(letters)}\n")
    path: Path = tmp_path_factory.mktemp("single") / "genome.fa"
    path.write_text("".join(lines))
    return Genome.open(path)


@pytest.fixture(scope="module")
def promoters() -> Promoters:
    """Return promoters that are known from 24 bases before to 4 behind their TSS."""
    rng, found = np.random.default_rng(1), []
    for _ in range(60):
        found.append(encode(UNIT * 3 + "".join(rng.choice(list("ACGT"), 5))))
    return Promoters(found, [24] * 60, [1.0] * 60)


@pytest.fixture(scope="module")
def summits(genome: Genome) -> Ctss:
    return ctss_from_summits(pd.DataFrame(PEAKS, columns=[schema.CHROM, schema.SUMMIT, schema.STRAND]), genome)


def made(genome: Genome, summits: Ctss, promoters: Promoters | None, where: str = "chr1", size: int = 64) -> SingleTask:
    config = CropsConfig(batch_size=size, promoters=0.25)
    folds = Stretches.named(genome, [where]), Stretches.named(genome, ["chr2"])
    return SingleTask(folds[0], summits, promoters, folds[1], HALO, config, 3)


def test_a_batch_holds_tss_of_both_strands_and_background(genome: Genome, summits: Ctss) -> None:
    task = made(genome, summits, None, size=4_000)
    batch = task.batch(0)
    codes, labels = batch[CODES].numpy(), batch[LABELS].numpy()
    assert labels.sum() == task.n_tss == 1_000
    known = {
        (reverse_complement(around) if strand == "-" else around).tobytes()
        for name, at, strand in PEAKS if name == "chr1"
        for around in [genome.contig(0)[at - HALO : at + HALO + 1]]
    }  # fmt: skip
    found = [row.tobytes() for row in codes[labels == 1]]
    assert set(found) == known
    assert not known & {row.tobytes() for row in codes[labels == 0]}
    text = genome.contig(0).tobytes(), reverse_complement(genome.contig(0)).tobytes()
    strands = [[row.tobytes() in strand for strand in text] for row in codes[labels == 0]]
    assert all(any(each) for each in strands)
    assert np.mean(strands, axis=0) == pytest.approx([0.5, 0.5], abs=0.05)
    assert not (codes == N_CODE).any()


def test_background_keeps_away_from_summits_of_its_strand(genome: Genome, summits: Ctss) -> None:
    task = made(genome, summits, None)
    text = genome.contig(0).tobytes(), reverse_complement(genome.contig(0)).tobytes()
    for row in task._background(2_000, np.random.default_rng(0)):
        for minus in (0, 1):
            at = text[minus].find(row.tobytes()) + HALO
            if at < HALO:
                continue
            position = len(text[0]) - 1 - at if minus else at
            own = [site for name, site, strand in PEAKS if name == "chr1" and strand == "+-"[minus]]
            assert min(abs(site - position) for site in own) > NEAR


def test_background_has_n_where_promoter_sequences_end(genome: Genome, summits: Ctss, promoters: Promoters) -> None:
    batch = made(genome, summits, promoters, size=4_000).batch(0)
    codes, labels = batch[CODES].numpy(), batch[LABELS].numpy()
    ends = {tuple(row) for row in np.unique(codes == N_CODE, axis=0).tolist()}
    assert len(ends) == 2, "known from 24 before to 4 behind, or everywhere"
    share = [(codes[labels == label] == N_CODE).any(axis=1).mean() for label in (0, 1)]
    assert share == pytest.approx([60 / 92, 60 / 92], abs=0.05), "as often as among TSSs"
    cut = codes[(labels == 1) & (codes == N_CODE).any(axis=1)][0]
    assert (cut != N_CODE).tolist() == [HALO - 24 <= i <= HALO + 4 for i in range(2 * HALO + 1)]
    assert any((cut[HALO - 24 : HALO + 5] == each).all() for each in promoters.codes)


def test_tss_are_drawn_by_weight(genome: Genome, summits: Ctss, promoters: Promoters) -> None:
    alone = promoters._replace(weight=[0.0] * 59 + [32.0])
    batch = made(genome, summits, alone, size=4_000).batch(0)
    cut = batch[CODES][:1_000][(batch[CODES][:1_000] == N_CODE).any(dim=1)]
    assert len(cut) == pytest.approx(500, abs=60)
    assert (cut[:, HALO - 24 : HALO + 5].numpy() == promoters.codes[-1]).all()


def test_batches_are_a_pure_function_of_seed_and_number(genome: Genome, summits: Ctss, promoters: Promoters) -> None:
    one, again = (made(genome, summits, promoters) for _ in range(2))
    again.batch(1)
    assert torch.equal(one.batch(3)[CODES], again.batch(3)[CODES])
    assert not torch.equal(one.batch(3)[CODES], one.batch(4)[CODES])
    assert not torch.equal(one.batch(3)[CODES], replace(one, seed=4).batch(3)[CODES])


def test_nothing_outside_of_its_stretches_is_a_tss(genome: Genome, summits: Ctss) -> None:
    task = made(genome, summits, None, where="chr1:1001-9000")
    inside = [at for name, at, _ in PEAKS if name == "chr1" and 1_000 <= at < 9_000]
    assert len(task._windows) == len(inside)
    assert task.batches_per_pass == len(inside) / 16


def test_promoters_of_sequences_are_found_on_a_chromosome(genome: Genome, summits: Ctss, promoters: Promoters) -> None:
    """No peak of the training stretch is drawn more than in passing: what is learned is learned from sequences."""
    torch.manual_seed(0)
    task = made(genome, summits, promoters._replace(weight=[100.0] * 60))
    model = TrackNetwork(SHAPE)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    before = task.validate(model, torch.device("cpu"))["auprc"]
    for i in range(150):
        loss = task.loss(model, task.batch(i))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    model.eval()
    after = task.validate(model, torch.device("cpu"))["auprc"]
    assert before < 0.1
    assert after > 0.4
    assert float(loss.detach()) < 0.3


def test_expected_summits_are_of_the_chromosomes_not_of_the_batches(genome: Genome, summits: Ctss) -> None:
    """A network that cannot tell bases apart learns how frequent summits are among the bases of both strands."""
    task = made(genome, summits, None)
    bases = 2 * 30_000
    rate = 32 / bases
    constant = torch.full((64, 1), float(np.log(rate)))

    class Constant(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> object:
            return type("T", (), {"log_summits": constant + self.shift})

    model, losses = Constant(), []
    for shift in (-0.5, 0.0, 0.5):
        model.shift = shift
        losses.append(float(task.loss(model, task.batch(0))))
    assert losses[1] == min(losses)
