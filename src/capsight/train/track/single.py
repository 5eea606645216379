"""Training of the track network on single TSSs and single bases of background, each with its surroundings.

For genomes of which more promoters are known than peaks on the training chromosomes: a promoter that is given as a
sequence with its TSS is no place on a chromosome, and nothing is known beside it. So the network answers for one base
at a time: a TSS, of a peak or of a promoter sequence, or a base from anywhere on the training chromosomes that is none.

Where a sequence ends, N follows, and N must not tell a promoter: each background has N wherever a TSS has it that is
drawn for this alone.

Among the bases read, TSSs are far more frequent than on chromosomes. By how much is known, and added to the network's
logarithms in training, so that without it they are of expected TSSs per base of the chromosomes.
"""

from dataclasses import dataclass
from functools import cached_property
from math import ceil, log
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from capsight.config.track import CropsConfig
from capsight.data.ctss.ctss import Ctss
from capsight.data.ctss.table import place_numbers
from capsight.data.genome.alphabet import N_CODE, Codes, Ints
from capsight.data.genome.stretches import Stretches
from capsight.data.peaks.promoters import Promoters
from capsight.model.track import TrackNetwork, one_hot
from capsight.predict.track import Precision, TrackScorer
from capsight.train.loop import Batch
from capsight.train.track.task import scanned

CODES: Final = "codes"
LABELS: Final = "labels"
#: Bases around a summit, on its strand, that are no background: most promoters have more TSSs than are listed.
NEAR: Final = 150
#: Places that are drawn for each base of background; those near summits, and with N around, are passed over.
_DRAWN: Final = 3


@dataclass(frozen=True, eq=False)
class SingleTask:
    """TSSs and background in, cross-entropy of which is which out; AUPRC in a scan of the validation fold.

    Attributes
    ----------
    stretches
        What background and peaks are read from.
    summits
        Summits of peaks; a count below 1 is a part of a summit.
    promoters
        Promoters that were given as sequences.
    validation
        Stretches to scan.
    halo
        Bases read on either side.
    config
        Size of a batch, and share of TSSs.
    seed
        Of the draws.
    precision
        Of the scan.
    """

    stretches: Stretches
    summits: Ctss
    promoters: Promoters | None
    validation: Stretches
    halo: int
    config: CropsConfig
    seed: int
    precision: Precision = "fp32"

    @property
    def tokens_per_batch(self) -> int:
        """Bases that are answered for in one batch."""
        return self.config.batch_size

    @property
    def n_tss(self) -> int:
        """TSSs of a batch."""
        return ceil(self.config.promoters * self.config.batch_size)

    @property
    def batches_per_pass(self) -> float:
        """Batches that have as many TSSs as there are."""
        return len(self._windows) / self.n_tss

    def batch(self, index: int) -> Batch:
        """Return micro-batch number `index`, a pure function of it."""
        rng = np.random.default_rng([self.seed, 5, index])
        tss = self._draw(self.n_tss, rng)
        background = self._background(self.config.batch_size - self.n_tss, rng)
        background[self._draw(len(background), rng) == N_CODE] = N_CODE
        labels = np.arange(self.config.batch_size) < self.n_tss
        codes = torch.from_numpy(np.concatenate([tss, background]))
        return {CODES: codes, LABELS: torch.from_numpy(labels.astype(np.float32))}

    def loss(self, model: nn.Module, batch: Batch) -> Tensor:
        """Return the mean cross-entropy in nats per base."""
        autocast = torch.is_autocast_enabled(batch[CODES].device.type)
        track = model(one_hot(batch[CODES], torch.bfloat16 if autocast else torch.float32))
        return functional.binary_cross_entropy_with_logits(track.log_summits[:, 0] + self._excess, batch[LABELS])

    def validate(self, model: nn.Module, device: torch.device) -> dict[str, float]:
        """Scan the validation fold: AUPRC of summits in stranded bins, with the expected summits as the score."""
        assert isinstance(model, TrackNetwork)
        return scanned(TrackScorer(model, precision=self.precision), self.validation, self.summits)

    @cached_property
    def _excess(self) -> float:
        """Logarithm of how much more frequent TSSs are in a batch than on the chromosomes, by background bases."""
        on_chromosomes = float(self.summits.counts[self._here].sum()) / (2 * float(self.stretches.sizes.sum()))
        return log(self.n_tss / (self.config.batch_size - self.n_tss) / on_chromosomes)

    @cached_property
    def _here(self) -> Ints:
        """Rows of the summits in the stretches."""
        rows: Ints = np.flatnonzero(self.stretches.find(self.summits.contig, self.summits.position) >= 0)
        return rows

    @cached_property
    def _windows(self) -> Codes:
        """The surroundings of all TSSs, those of promoter sequences first, N where nothing is known."""
        peaks, here = self.summits, self._here
        around = self._around(peaks.contig[here], peaks.position[here], peaks.minus[here].astype(bool))
        if self.promoters is None:
            return around
        given = np.full((len(self.promoters.tss), 2 * self.halo + 1), N_CODE, np.uint8)
        for row, (codes, tss) in enumerate(zip(self.promoters.codes, self.promoters.tss, strict=True)):
            first = max(tss - self.halo, 0)
            part = codes[first : tss + self.halo + 1]
            start = self.halo - tss + first
            given[row, start : start + len(part)] = part
        return np.concatenate([given, around])

    @cached_property
    def _shares(self) -> NDArray[np.float64]:
        """How often each TSS, or one before it, is drawn; the last, which is always, is left out."""
        given = [] if self.promoters is None else self.promoters.weight
        weights = np.concatenate([given, self.summits.counts[self._here]])
        return np.asarray(np.cumsum(weights / weights.sum())[:-1])

    def _draw(self, n: int, rng: np.random.Generator) -> Codes:
        """Draw surroundings of TSSs."""
        return self._windows[np.searchsorted(self._shares, rng.random(n), side="right")]

    def _background(self, n: int, rng: np.random.Generator) -> Codes:
        """Draw surroundings of bases from anywhere: as far as there are any, without N and away from summits."""
        sizes = self.stretches.sizes
        stretch = rng.choice(len(sizes), _DRAWN * n, p=sizes / sizes.sum())
        position = self.stretches.start[stretch] + (rng.random(_DRAWN * n) * sizes[stretch]).astype(np.int64)
        contig, minus = self.stretches.contig[stretch], rng.integers(2, size=_DRAWN * n)
        number = place_numbers(self.stretches.genome, contig, minus, position)
        after = np.searchsorted(self._numbers, number).clip(max=len(self._numbers) - 1)
        distance = np.minimum(abs(self._numbers[after] - number), abs(self._numbers[(after - 1).clip(min=0)] - number))
        codes = self._around(contig, position, minus.astype(bool))
        worse = (distance <= NEAR) * 2 + (codes == N_CODE).any(axis=1)
        return codes[np.argsort(worse, kind="stable")[:n]]

    @cached_property
    def _numbers(self) -> Ints:
        """Places of all summits, in order."""
        peaks = self.summits
        return np.sort(place_numbers(self.stretches.genome, peaks.contig, peaks.minus, peaks.position))

    def _around(self, contig: Ints, position: Ints, minus: NDArray[np.bool_]) -> Codes:
        """Read bases and their surroundings, 5'→3'."""
        return self.stretches.genome.fetch(contig, position - self.halo, 2 * self.halo + 1, minus)
