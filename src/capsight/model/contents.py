"""What the stretches around a base hold: k-mers, whatever their order in a stretch.

Broad promoters of large genomes have few bases in a fixed place; what sets them apart is which k-mers are frequent
before and behind the TSS. Of a k-mer the network learns what it is worth in each stretch: a row of numbers, one for
each hidden channel. What all k-mers of a stretch are worth is added up, so a base depends on no place but its own, and
N is worth nothing. In training, some k-mers at random count for nothing, and the others for more: some thousands of
promoters are soon known by heart.
"""

from math import sqrt

import torch
from torch import Tensor, nn
from torch.nn import functional

from capsight.config.track import TrackConfig


class Contents(nn.Module):
    """K-mer contents of stretches, and one hidden layer over them.

    Parameters
    ----------
    config
        The shape.
    answers
        Numbers for each base.
    """

    def __init__(self, config: TrackConfig, answers: int) -> None:
        super().__init__()
        self.config = config
        self.n_stretches = sum(config.stretches)
        self.worth = nn.Parameter(torch.randn(4**config.kmer, self.n_stretches, config.hidden) * 0.1)
        self.bias = nn.Parameter(torch.zeros(config.hidden))
        self.answers = nn.Linear(config.hidden, answers)
        nn.init.zeros_(self.answers.bias)

    @property
    def halo(self) -> int:
        """Bases on either side that an answer depends on."""
        before, behind = self.config.stretches
        return max(before * self.config.stretch, behind * self.config.stretch + self.config.kmer - 2)

    def forward(self, bases: Tensor) -> Tensor:
        """Read one-hot bases ``(n, length, 4)``; return ``(n, length - 2 * halo, answers)``."""
        length = bases.shape[1] - 2 * self.halo
        before, behind = self.config.stretches
        first = self.halo - before * self.config.stretch
        read = bases[:, first : first + length + (before + behind) * self.config.stretch + self.config.kmer - 2]
        kept: float | Tensor = 1.0
        if self.training and self.config.kmer_dropout:
            drawn = torch.rand(read.shape[0], read.shape[1] - self.config.kmer + 1, device=read.device)
            kept = (drawn >= self.config.kmer_dropout) / (1 - self.config.kmer_dropout)
        if bases.requires_grad:
            sums = self._neighbours(self._mixed(read) * kept)
        else:
            kmers, known = self._kmers(read)
            weight = known * kept
            sums = self._alone(kmers, weight) if length == 1 else self._neighbours(self._worth(kmers, weight))
        hidden = functional.relu(sums / sqrt(self.config.stretch) + self.bias)
        answers: Tensor = self.answers(functional.dropout(hidden, self.config.dropout, self.training))
        return answers

    def _kmers(self, bases: Tensor) -> tuple[Tensor, Tensor]:
        """Return number, and 1.0 where all bases are known, of the k-mer that begins at each base but the last."""
        code, known = bases.argmax(dim=-1), bases.sum(dim=-1, dtype=torch.float32)
        end = code.shape[1] - self.config.kmer + 1
        kmers, all_known = torch.zeros_like(code[:, :end]), torch.ones_like(known[:, :end])
        for i in range(self.config.kmer):
            kmers, all_known = 4 * kmers + code[:, i : i + end], all_known * known[:, i : i + end]
        return kmers, all_known

    def _worth(self, kmers: Tensor, weight: Tensor) -> Tensor:
        """Return what the k-mer at each base is worth in each stretch, ``(n, length, n_stretches * hidden)``."""
        return functional.embedding(kmers, self.worth.flatten(1)) * weight[..., None]

    def _mixed(self, bases: Tensor) -> Tensor:
        """Return the same for mixtures of bases, as a mixture of what all k-mers are worth: it has gradients."""
        end = bases.shape[1] - self.config.kmer + 1
        shares = bases[:, :end]
        for i in range(1, self.config.kmer):
            shares = (shares[..., None] * bases[:, i : i + end, None, :]).flatten(2)
        return shares @ self.worth.flatten(1)

    def _alone(self, kmers: Tensor, weight: Tensor) -> Tensor:
        """Add up what the k-mers around one base of each sequence are worth: ``(n, 1, hidden)``."""
        stretch = torch.arange(kmers.shape[1], device=kmers.device) // self.config.stretch
        rows = kmers * self.n_stretches + stretch
        return functional.embedding_bag(rows, self.worth.flatten(0, 1), mode="sum", per_sample_weights=weight)[:, None]

    def _neighbours(self, worth: Tensor) -> Tensor:
        """Add up for many bases: sums of pairs of sums of pairs, always the same additions, wherever a base lies."""
        sums, reach, size = worth, 1, self.config.stretch
        while reach < size:
            sums = sums[:, : sums.shape[1] - reach] + sums[:, reach:]
            reach *= 2
        sums = sums.unflatten(-1, self.worth.shape[1:])
        length = sums.shape[1] - (self.n_stretches - 1) * size
        total = sums[:, :length, 0]
        for i in range(1, self.n_stretches):
            total = total + sums[:, i * size : i * size + length, i]
        return total
