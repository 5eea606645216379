"""A second opinion on a window, by the words in it: for data too few to learn convolutions from.

A few thousand windows teach a table of words what they do not teach a convolution, which has to find the words first.
Every base gets the sum of learned vectors of the words of up to k bases around it, normalised and through a GELU; sums
over `pool` bases are weighted by where they stand, as in pooling ``position``, and one linear map scores the result.

Words are looked up. Where bases are mixtures (integrated gradients walk from one window to another), a word has the
product of its bases' shares: the same for whole bases, and differentiable.
"""

from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional

#: Standard deviation of the words' vectors at the start: small, because they are normalised after, and so learn faster.
INIT = 0.005
#: A, C, G and T: the last tokens of a vocabulary of single bases.
N_BASES = 4
#: Longest word: its table has 65,536 rows.
LONGEST = 8


class KmerHead(nn.Module):
    """Bases to logits, by the words that they form.

    Parameters
    ----------
    k, width
        Longest word, and features of each.
    n_positions, pool
        Positions that a window has, and bases that each of them has.

    Raises
    ------
    ValueError
        If `k` is not in 1 to `LONGEST`.
    """

    def __init__(self, k: int, width: int, n_positions: int, pool: int, dropout: float, n_labels: int) -> None:
        super().__init__()
        if not 1 <= k <= LONGEST:
            raise ValueError(f"words have 1 to {LONGEST} bases, not {k}")
        self.pool = pool
        self.words = nn.ParameterList(INIT * torch.randn(N_BASES**size, width) for size in range(1, k + 1))
        self.norm = nn.RMSNorm(width)
        self.place = nn.Parameter(torch.full((n_positions, width), 1 / n_positions))
        self.dropout = nn.Dropout(dropout)
        self.score = nn.Linear(width, n_labels, bias=False)

    def forward(self, bases: Tensor) -> Tensor:
        """Map shares of A, C, G, T ``(n_windows, length, 4)``, none where unknown, to ``(n_windows, n_labels)``."""
        x = functional.gelu(self.norm(self.read(bases)))
        x = functional.pad(x, (0, 0, 0, -x.shape[1] % self.pool)).unflatten(1, (-1, self.pool)).sum(dim=2)
        logits: Tensor = self.score(self.dropout((x * self.place).sum(dim=1)))
        return logits

    def read(self, bases: Tensor) -> Tensor:
        """Return the sum of the vectors of the words around every base, ``(n_windows, length, width)``."""
        mixed = bases.requires_grad or bool(((bases != 0) & (bases != 1)).any())
        total = torch.zeros((*bases.shape[:2], self.words[0].shape[1]), device=bases.device)
        for shorter, vectors in enumerate(self._multiplied(bases) if mixed else self._looked_up(bases)):
            total = total + functional.pad(vectors, (0, 0, shorter // 2, shorter - shorter // 2))
        return total

    def _looked_up(self, bases: Tensor) -> Iterator[Tensor]:
        """Yield the vectors of the words of 1 to k bases, where every base is whole or unknown."""
        base, known = bases.argmax(dim=2), bases.any(dim=2)
        index, whole = torch.zeros_like(base), torch.ones_like(known)
        for shorter, table in enumerate(self.words[: base.shape[1]]):
            n = base.shape[1] - shorter
            index = N_BASES * index[:, :n] + base[:, shorter:]
            whole = whole[:, :n] & known[:, shorter:]
            yield functional.embedding(index, table) * whole[..., None]

    def _multiplied(self, bases: Tensor) -> Iterator[Tensor]:
        """Yield the same for mixtures."""
        shares = torch.ones_like(bases[..., :1])
        for shorter, table in enumerate(self.words[: bases.shape[1]]):
            n = bases.shape[1] - shorter
            shares = (shares[:, :n, :, None] * bases[:, shorter:, None, :]).flatten(2)
            yield shares @ table
