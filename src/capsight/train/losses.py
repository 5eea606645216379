"""What the track network's answers cost: the shape of profiles, their totals, and where summits are.

A crop is cut into blocks. Parting the counts of a block into their shape (multinomial likelihood) and their total
(squared error of log(1 + n)) is BPNet's loss (Avsec et al. 2021, Nat. Genet. 53, 354-366); doing so in blocks of long
crops from anywhere on the chromosomes is Borzoi's (Linder et al. 2025, Nat. Genet. 57, 949-961), which has a Poisson
likelihood in place of the squared error. Different here:

* The likelihood of a profile is divided by its number of 5' ends n, and weighs n / (n + doubt). So a giant promoter
  weighs no more than one, and a handful of 5' ends, whose profile is mostly chance, little.
* Blocks with a peak are few. The squared error of log(1 + n) is also taken in windows around summits, where n is the
  strength of the promoter.
* Summits of peaks are a point process: the Poisson likelihood of one count per base, 0 or 1. Its sum over an interval
  is the expected number of summits there, whatever the interval, and crops at their true prevalence need no weights.
"""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from capsight.config.track import TrackLossConfig
from capsight.model.track import Track

#: Bases that the summit loss is given per: about one summit in a compact genome, so that the losses are of one size.
SUMMIT_BASES = 40_000
#: Bases to either side of a summit that count as its promoter's.
PEAK_REACH = 128
#: Bases that the loss of totals around summits is given per, for the same reason.
PEAK_BASES = 4096


class TrackLosses(NamedTuple):
    """Losses of a batch, each a scalar; the sum is weighted.

    Attributes
    ----------
    profile
        Cross-entropy in nats of observed and predicted shares, ten times its weighted sum per block.
    total
        Squared error of log(1 + 5' ends) of a block.
    peak_total
        Squared error of log(1 + 5' ends within `PEAK_REACH` bases of a summit), per `PEAK_BASES` bases; summits closer
        to an end of the crop are left out.
    summit
        Negative log-likelihood of summits, per `SUMMIT_BASES` bases, without its constant.
    weighted
        What is minimised.
    """

    profile: Tensor
    total: Tensor
    peak_total: Tensor
    summit: Tensor
    weighted: Tensor


def track_losses(track: Track, tags: Tensor, summits: Tensor, config: TrackLossConfig, offset: int = 0) -> TrackLosses:
    """Compare answers with observed counts.

    Parameters
    ----------
    track
        Answers of the network, ``(n, length)``.
    tags, summits
        5' ends and summits at each base, ``(n, length)``.
    config
        Weights and block size.
    offset
        Bases before the first block, so that blocks begin anywhere; bases outside whole blocks take part in the summit
        loss alone.

    Raises
    ------
    ValueError
        If not one block fits.
    """
    n_blocks = (tags.shape[1] - offset) // config.block
    if offset < 0 or n_blocks < 1:
        raise ValueError(f"no block of {config.block} bases fits into {tags.shape[1]} from {offset}")
    inside = slice(offset, offset + n_blocks * config.block)
    log_tags = track.log_tags[:, inside].reshape(-1, config.block)
    counts = tags[:, inside].reshape(-1, config.block)
    totals = counts.sum(dim=1)
    likelihood = (counts * functional.log_softmax(log_tags, dim=1)).sum(dim=1)
    # n / (n + doubt) times the mean over n 5' ends; a block without any has none
    profile = -10 * (likelihood / (totals + config.doubt).clamp_min(1e-6)).mean()
    expected = functional.softplus(torch.logsumexp(log_tags, dim=1))  # log(1 + sum of expected 5' ends)
    total = functional.mse_loss(expected, torch.log1p(totals))
    summit = (track.log_summits.exp() - summits * track.log_summits).mean() * SUMMIT_BASES
    peak_total = _peak_totals(track.log_tags, tags, summits).sum() * PEAK_BASES / tags.numel()
    weighted = (
        config.profile * profile + config.total * total + config.peak_total * peak_total + config.summit * summit / 100
    )
    return TrackLosses(profile, total, peak_total, summit, weighted)


def _peak_totals(log_tags: Tensor, tags: Tensor, summits: Tensor) -> Tensor:
    """Return the squared error of log(1 + 5' ends) around each summit, ``(n_summits,)``."""
    if tags.shape[1] <= 2 * PEAK_REACH:
        return log_tags.new_zeros(0)
    row, start = torch.nonzero(summits[:, PEAK_REACH : summits.shape[1] - PEAK_REACH], as_tuple=True)
    around = start[:, None] + torch.arange(2 * PEAK_REACH + 1, device=start.device)
    expected = functional.softplus(torch.logsumexp(log_tags[row[:, None], around], dim=1))
    return (expected - torch.log1p(tags[row[:, None], around].sum(dim=1))) ** 2
