"""What the track network's answers cost: profiles, totals, summits, and the strength of promoters.

A crop is cut into blocks. Parting the counts of a block into their shape (multinomial likelihood) and their total is
BPNet's loss (Avsec et al. 2021, Nat. Genet. 53, 354-366); doing so in blocks of long crops from anywhere on the
chromosomes is Borzoi's (Linder et al. 2025, Nat. Genet. 57, 949-961). Different here:

* The likelihood of a profile is divided by its number of 5' ends n, and weighs n / (n + `TAG_PSEUDOCOUNT`). So a giant
  promoter weighs no more than one, and a handful of 5' ends, whose profile is mostly chance, little.
* Totals have the likelihood of a negative binomial distribution of dispersion 1. Its expectation is that of the counts,
  as with Poisson's (Borzoi), but an error of a factor of two costs the same for a strong promoter as for a weak one.
  (BPNet's squared error of log(1 + n) expects too little wherever it is doubtful whether there is a promoter.)
* Strength is learned at the summits of peaks alone, by the squared error of log(1 + n) there.
* Summits of peaks are a point process: the Poisson likelihood of one count per base, 0 or 1. Its sum over an interval
  is the expected number of summits there, whatever the interval, and crops at their true prevalence need no weights.
"""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from capsight.config.track import TrackLossConfig
from capsight.model.track import PROMOTER_REACH, Track

#: Bases over which 5' ends are counted and profiles compared.
BLOCK_SIZE = 256
#: 5' ends at which a profile weighs half: profiles of few are noisy.
TAG_PSEUDOCOUNT = 50.0
#: Weight of the shape of a profile; total and summits weigh 1.
PROFILE_WEIGHT = 2.0
#: Bases that the summit loss is given per: about one summit in a compact genome, so that the losses are of one size.
SUMMIT_BASES = 40_000
#: Bases that the loss of strengths is given per, for the same reason.
STRENGTH_BASES = 4096
#: Strength is asked for at so many bases to either side of a summit, as a call may be off by some.
CALL_REACH = 10


class TrackLosses(NamedTuple):
    """Losses of a batch, each a scalar; the sum is weighted.

    Attributes
    ----------
    profile
        Cross-entropy in nats of observed and predicted shares, ten times its weighted sum per block.
    total
        Negative log-likelihood of the 5' ends of a block, without its constant.
    strength
        Squared error of log(1 + 5' ends within `PROMOTER_REACH` bases of a summit), per `STRENGTH_BASES` bases; summits
        closer to an end of the crop are left out.
    summit
        Negative log-likelihood of summits, per `SUMMIT_BASES` bases, without its constant.
    weighted
        What is minimised.
    """

    profile: Tensor
    total: Tensor
    strength: Tensor
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
        Weight of the strengths.
    offset
        Bases before the first block, so that blocks begin anywhere; bases outside whole blocks take part in the summit
        loss alone.

    Raises
    ------
    ValueError
        If not one block fits.
    """
    n_blocks = (tags.shape[1] - offset) // BLOCK_SIZE
    if offset < 0 or n_blocks < 1:
        raise ValueError(f"no block of {BLOCK_SIZE} bases fits into {tags.shape[1]} from {offset}")
    inside = slice(offset, offset + n_blocks * BLOCK_SIZE)
    log_tags = track.log_tags[:, inside].reshape(-1, BLOCK_SIZE)
    counts = tags[:, inside].reshape(-1, BLOCK_SIZE)
    totals = counts.sum(dim=1)
    likelihood = (counts * functional.log_softmax(log_tags, dim=1)).sum(dim=1)
    # n / (n + TAG_PSEUDOCOUNT) times the mean over n 5' ends; a block without any has none
    profile = -10 * (likelihood / (totals + TAG_PSEUDOCOUNT)).mean()
    log_total = torch.logsumexp(log_tags, dim=1)
    total = ((totals + 1) * functional.softplus(log_total) - totals * log_total).mean()
    strength = _strengths(track.log_strength, tags, summits).sum() * STRENGTH_BASES / tags.numel()
    summit = (track.log_summits.exp() - summits * track.log_summits).mean() * SUMMIT_BASES
    weighted = PROFILE_WEIGHT * profile + total + config.strength_weight * strength + summit / 100
    return TrackLosses(profile, total, strength, summit, weighted)


def _strengths(log_strength: Tensor, tags: Tensor, summits: Tensor) -> Tensor:
    """Return the mean squared error of strengths near each summit, ``(n_summits,)``."""
    if tags.shape[1] <= 2 * PROMOTER_REACH:
        return log_strength.new_zeros(0)
    row, start = torch.nonzero(summits[:, PROMOTER_REACH : summits.shape[1] - PROMOTER_REACH], as_tuple=True)
    around = torch.arange(2 * PROMOTER_REACH + 1, device=start.device)
    near = slice(PROMOTER_REACH - CALL_REACH, PROMOTER_REACH + CALL_REACH + 1)
    total = tags[row[:, None], start[:, None] + around].sum(dim=1)
    answers = log_strength[row[:, None], start[:, None] + around[near]]
    return ((answers - torch.log1p(total)[:, None]) ** 2).mean(dim=1)
