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
from capsight.errors import InputError

#: Answers that are made one by one. Of more, those that are neighbours share their sums.
_FEW = 1


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
        """Read one-hot bases ``(n, length, 4)``; return ``(n, length - 2 * halo, answers)``.

        Raises
        ------
        InputError
            If gradients of the bases are asked for: a table of k-mers has none.
        """
        if bases.requires_grad:
            raise InputError(
                "a model that reads k-mers has no gradients of its bases", remedy="use mutagenesis: --method ism"
            )
        length = bases.shape[1] - 2 * self.halo
        before, behind = self.config.stretches
        first = self.halo - before * self.config.stretch
        read = bases[:, first : first + length + (before + behind) * self.config.stretch + self.config.kmer - 2]
        kmers, known = self._kmers(read)
        if self.training and self.config.kmer_dropout:
            kept = torch.rand_like(known) >= self.config.kmer_dropout
            known = known * kept / (1 - self.config.kmer_dropout)
        sums = self._each(kmers, known) if length <= _FEW else self._neighbours(kmers, known)
        hidden = functional.relu(sums / sqrt(self.config.stretch) + self.bias)
        answers: Tensor = self.answers(functional.dropout(hidden, self.config.dropout, self.training))
        return answers

    def _kmers(self, bases: Tensor) -> tuple[Tensor, Tensor]:
        """Return number, and 1.0 where all bases are known, of the k-mer that begins at each base but the last."""
        code, known = bases.argmax(dim=-1), bases.detach().sum(dim=-1, dtype=torch.float32)
        end = code.shape[1] - self.config.kmer + 1
        kmers, all_known = torch.zeros_like(code[:, :end]), torch.ones_like(known[:, :end])
        for i in range(self.config.kmer):
            kmers, all_known = 4 * kmers + code[:, i : i + end], all_known * known[:, i : i + end]
        return kmers, all_known

    def _each(self, kmers: Tensor, known: Tensor) -> Tensor:
        """Add up what k-mers are worth, for each answer anew: ``(n, length, hidden)``."""
        size = self.n_stretches * self.config.stretch
        kmers, known = kmers.unfold(1, size, 1), known.unfold(1, size, 1)
        stretch = torch.arange(size, device=kmers.device) // self.config.stretch
        rows = (kmers * self.n_stretches + stretch).flatten(0, 1)
        sums = functional.embedding_bag(
            rows, self.worth.flatten(0, 1), mode="sum", per_sample_weights=known.flatten(0, 1).contiguous()
        )
        return sums.unflatten(0, kmers.shape[:2])

    def _neighbours(self, kmers: Tensor, known: Tensor) -> Tensor:
        """Return the same, from sums of pairs of sums of pairs: always the same additions, wherever a base lies."""
        sums = functional.embedding(kmers, self.worth.flatten(1)) * known[..., None]
        reach, size = 1, self.config.stretch
        while reach < size:
            sums = sums[:, : sums.shape[1] - reach] + sums[:, reach:]
            reach *= 2
        sums = sums.unflatten(-1, self.worth.shape[1:])
        length = sums.shape[1] - (self.n_stretches - 1) * size
        total = sums[:, :length, 0]
        for i in range(1, self.n_stretches):
            total = total + sums[:, i * size : i * size + length, i]
        return total
