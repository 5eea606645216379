"""A second opinion on a window, by the words in it: for data too few to learn convolutions from.

A few thousand windows teach a table of words what they do not teach a convolution, which has to find the words first.
Every base gets the sum of learned vectors of the words of up to k bases around it, normalised and through a GELU; sums
over `pool` bases are weighted by where they stand, as in pooling ``position``, and one linear map scores the result.

Where bases are mixtures (integrated gradients walk from one window to another), a word has the product of its bases'
shares: the same for whole bases, and differentiable.
"""

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
        """Return the sum of the vectors of the words around every base, ``(n_windows, length, width)``.

        Only bases that have a share, and get a gradient, are looked at: two at a place between two windows, so that
        there are 2 words to the power of their length, not 4.
        """
        length = bases.shape[1]
        share, base = bases.topk(max(1, int(bases.count_nonzero(dim=2).max())), dim=2)
        word, weight = torch.zeros_like(base[..., :1]), torch.ones_like(share[..., :1])
        total = torch.zeros((*bases.shape[:2], self.words[0].shape[1]), device=bases.device)
        for shorter, table in enumerate(self.words[:length]):
            n = length - shorter
            word = (N_BASES * word[:, :n, :, None] + base[:, shorter:, None, :]).flatten(2)
            weight = (weight[:, :n, :, None] * share[:, shorter:, None, :]).flatten(2)
            total = total + functional.pad(_weighted(table, word, weight), (0, 0, shorter // 2, shorter - shorter // 2))
        return total


def _weighted(table: Tensor, word: Tensor, weight: Tensor) -> Tensor:
    """Sum rows `word` of `table` by `weight`, ``(n_windows, length, n_words)`` both, over the words."""
    if word.shape[2] == 1:
        return functional.embedding(word.squeeze(2), table) * weight
    flat, weights = word.flatten(0, 1), weight.flatten(0, 1)
    return functional.embedding_bag(flat, table, mode="sum", per_sample_weights=weights).unflatten(0, word.shape[:2])
