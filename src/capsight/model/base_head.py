"""The head for single bases: where in a window RNA 5' ends are, how many, and whether a cap site is there at all.

After BPNet (Avsec et al., Nat. Genet. 53, 354-366, 2021), which parts a profile into its shape (where) and its total
(how many). Shape: the stem's states before pooling, which know every base, and the states of the last block, which
know the whole window, are added at every base; one convolution makes a logit of each. Total comes from the mean of
the last block's states, presence from the mean of those in the middle half of the window.
"""

from typing import NamedTuple

from torch import Tensor, nn
from torch.nn import functional

from capsight.model.convolution import Convolution

#: Bases that the last convolution spans: as many as the first of the stem.
PROFILE_KERNEL = 15


class BaseOutput(NamedTuple):
    """What the head says of windows.

    Attributes
    ----------
    profile
        ``(n_windows, length)`` logits: their softmax is the share of the window's 5' ends at each base.
    total
        ``(n_windows,)`` log(1 + number of 5' ends in the window).
    presence
        ``(n_windows,)`` log-odds that a cap site is in the middle half of the window, in nats.
    """

    profile: Tensor
    total: Tensor
    presence: Tensor


class BaseHead(nn.Module):
    """States before and after the blocks to a profile, its total, and the presence of a cap site."""

    def __init__(self, stem: int, width: int, pool: int, dropout: float) -> None:
        super().__init__()
        self.pool = pool
        self.spread = nn.Linear(width, pool * stem, bias=False)
        self.dropout = nn.Dropout(dropout)
        self.profile = Convolution(stem, 1, PROFILE_KERNEL)
        self.total = nn.Linear(width, 1)
        self.presence = nn.Linear(width, 1)

    def forward(self, unpooled: Tensor, states: Tensor) -> BaseOutput:
        """Map ``(n_windows, stem, length)`` and ``(n_windows, n_positions, width)`` to what is said of every base."""
        spread = self.spread(states).unflatten(-1, (self.pool, -1)).flatten(1, 2).transpose(1, 2)
        x = functional.gelu(unpooled + spread[..., : unpooled.shape[-1]])
        profile = self.profile(self.dropout(x).unsqueeze(2)).flatten(1)
        quarter = states.shape[1] // 4
        middle = states[:, quarter : states.shape[1] - quarter]
        total, presence = self.total(states.mean(dim=1)), self.presence(middle.mean(dim=1))
        return BaseOutput(profile, total.squeeze(1), presence.squeeze(1))
