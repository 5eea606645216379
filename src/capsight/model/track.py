"""The track network, read top to bottom: DNA of any length in, three numbers for every base out.

Choices:

* One-hot bases (N is a row of zeros), one wide convolution that can hold a whole motif, then residual dilated
  convolutions whose span doubles from one to the next, as in BPNet (Avsec et al. 2021, Nat. Genet. 53, 354-366).
  Beyond the first few, dilations are multiples of three, so that a position of the reading frame is compared with the
  same position of other codons: stop codons, and which codons a gene uses, are within reach.
* *No padding.* Every convolution gives only the positions that it has seen all neighbours of, so that the output is
  shorter than the input by `halo` on either side, and an answer depends on the bases within `halo` of it and on
  nothing else. There are no learned positions, no pooling, and no norm over positions or batches.
* One strand at a time: the network answers for the strand that it is given, 5'→3'. The other strand is the same
  network on the reverse complement (`capsight.predict.track`), so both are treated alike.
* Tensors are ``(n, length, channels)``: contiguous for the element-wise steps, and what PyTorch calls channels-last
  for the convolutions, which are run in two dimensions of height 1. On CPUs this is several times faster than
  `torch.nn.Conv1d`.
* How strong a promoter is shows in which codons its gene uses, over hundreds of bases. So linear functions of the
  states are averaged over the `average_radius` bases behind and before each base, and added to what is answered of
  5' ends. The averages are sums of pairs of sums of pairs: always the same additions, wherever a base lies in its tile.
* What k-mers the stretches around a base hold can be read beside (`capsight.model.contents`), and is added to what is
  answered of 5' ends and summits.
* Dropout stands before every convolution but the first. A few thousand promoters are soon known by heart.

The first two numbers are logarithms of expected counts per base: of 5' ends (`Track.log_tags`) and of summits of peaks
(`Track.log_summits`). Expected counts add up, so the number of 5' ends or summits in any interval is a sum over its
bases, and 1 - exp(-sum) is the probability of at least one. Expected 5' ends are few both where a promoter is weak and
where it is doubtful whether there is one. The third number, `Track.log_strength`, parts the two: how many 5' ends a
promoter here has, if there is one.
"""

from math import log, sqrt
from typing import Final, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from capsight.config.track import TrackConfig
from capsight.model.contents import Contents

N_BASES: Final = 4
#: Code of an unknown base.
N_CODE: Final = 4
#: Expected 5' ends and summits per base, and 5' ends of a promoter, before training: those of a compact genome, within
#: a factor of ten or so.
_PRIOR: Final = (0.05, 0.00025, 100.0)
#: Bases to either side of a summit whose 5' ends are its promoter's.
PROMOTER_REACH: Final = 128


#: Convolutions of a dilation up to this predict in single precision, even where the others have bfloat16: with bfloat16
#: for all, the named base of one call in 150 is another (`docs/log.md`, 2026-11-28).
FINE: Final = 12

#: A convolution to fewer channels than this is filled up with zeros: on CPUs it takes a fifth of the time then.
_LEAST_CHANNELS: Final = 16


class Track(NamedTuple):
    """Natural logarithms of what the network expects at every base, each ``(n, length)``.

    Attributes
    ----------
    log_tags
        Expected 5' ends (tags), in the unit of the counts that the network was trained on.
    log_summits
        Expected summits of peaks.
    log_strength
        One more than the 5' ends within `PROMOTER_REACH` bases, if the summit of a peak is here.
    """

    log_tags: Tensor
    log_summits: Tensor
    log_strength: Tensor


def one_hot(codes: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
    """Return codes 0 to 4 ``(n, length)`` as ``(n, length, 4)``; N is a row of zeros."""
    table = torch.eye(N_CODE + 1, N_BASES, dtype=dtype, device=codes.device)
    return table[codes.long()]


def trimmed(x: Tensor, n: int) -> Tensor:
    """Return ``(n_sequences, length, channels)`` without the first and last `n` positions."""
    return x[:, n : x.shape[1] - n]


class Convolution(nn.Conv2d):
    """An unpadded convolution over ``(n, length, channels)``."""

    def __init__(self, channels: int, out_channels: int, kernel: int, dilation: int = 1) -> None:
        super().__init__(channels, out_channels, (1, kernel), dilation=(1, dilation))

    @property
    def trim(self) -> int:
        """Positions that are lost on either side."""
        return self.dilation[1] * (self.kernel_size[1] - 1) // 2

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(n, length, channels)`` to ``(n, length - 2 * trim, out_channels)``."""
        return self.convolve(x, self.bias)

    def convolve(self, x: Tensor, bias: Tensor | None = None, padding: int = 0) -> Tensor:
        """Convolve alone, with or without a bias; `padding` zeros are laid at either end before."""
        weight = self.weight
        if lacking := max(0, _LEAST_CHANNELS - self.out_channels):
            weight = functional.pad(weight, (0, 0, 0, 0, 0, 0, 0, lacking))
            bias = None if bias is None else functional.pad(bias, (0, lacking))
        weight = weight.contiguous(memory_format=torch.channels_last)
        y = functional.conv2d(x.transpose(1, 2).unsqueeze(2), weight, bias, 1, (0, padding), self.dilation)
        return y[:, : self.out_channels].squeeze(2).transpose(1, 2)


class Dropout(nn.Module):
    """Dropout from one random byte a number: three times as fast as PyTorch's on a CPU, where it takes most of a step.

    Parameters
    ----------
    p
        Share of numbers set to zero, to the nearest 1/256.
    """

    def __init__(self, p: float) -> None:
        super().__init__()
        self.cut = round(p * 256)

    def forward(self, x: Tensor) -> Tensor:
        """Set numbers to zero at random in training, and scale the others so that means stay."""
        if not self.training or not self.cut:
            return x
        words = torch.empty((x.numel() + 7) // 8, dtype=torch.int64, device=x.device).random_(-(2**63), None)
        kept = words.view(torch.uint8)[: x.numel()].view(x.shape) >= self.cut
        return x * kept.to(x.dtype).mul_(256 / (256 - self.cut))


class TrackNetwork(nn.Module):
    """The track network.

    Parameters
    ----------
    config
        The shape.
    """

    def __init__(self, config: TrackConfig) -> None:
        super().__init__()
        self.config = config
        self.first = Convolution(N_BASES, config.width, config.first_kernel)
        self.layers = nn.ModuleList(
            Convolution(config.width, config.width, config.kernel, dilation) for dilation in config.dilations
        )
        self.dropout = Dropout(config.dropout)
        self.head = Convolution(config.width, len(_PRIOR), config.head_kernel)
        self.averaged = Convolution(config.width, 4, 1) if config.average_radius else None
        self.contents = Contents(config, 2) if config.kmer else None
        self._initialise()

    @property
    def halo(self) -> int:
        """Bases on either side that an answer depends on."""
        return max(self.reach, self.contents.halo if self.contents is not None else 0)

    @property
    def reach(self) -> int:
        """Bases on either side that the convolutions, heads and averages of an answer see."""
        return self.first.trim + sum(layer.trim for layer in self.residual()) + self.margin

    @property
    def margin(self) -> int:
        """Positions on either side of a base whose states its answer depends on."""
        return max(self.head.trim, self.config.average_radius)

    def forward(self, bases: Tensor) -> Track:
        """Read one-hot bases ``(n, length, 4)``; answer for the ``length - 2 * halo`` in the middle.

        Raises
        ------
        ValueError
            If the sequences are not longer than two halos.
        """
        if bases.shape[1] <= 2 * self.halo:
            raise ValueError(f"{bases.shape[1]} bases are no more than the halo of {self.halo} on either side")
        states = self.states(bases)
        # heads in single precision: with bfloat16 for the rest, fewer calls near a threshold go another way
        with torch.autocast(states.device.type, enabled=False):
            return self.answer(states.float(), bases)

    def states(self, bases: Tensor) -> Tensor:
        """Read one-hot bases; return states of those in the middle, and of `margin` more on either side."""
        x = self._convolve(self.first, trimmed(bases, self.halo - self.reach))
        for layer in self.residual():
            x = trimmed(x, layer.trim) + self._convolve(layer, self.dropout(functional.relu(x)))
        return self.dropout(functional.relu(x))

    def _convolve(self, layer: Convolution, x: Tensor) -> Tensor:
        """Convolve; in prediction, convolutions of dilation up to `FINE` are exact, and so is the sum of all."""
        if self.training or layer.dilation[1] > FINE:
            return layer(x)
        with torch.autocast(x.device.type, enabled=False):
            return layer(x.float())

    def answer(self, states: Tensor, bases: Tensor) -> Track:
        """Turn states, and the bases that they are of, into the numbers of each base."""
        answer = trimmed(self.head(states), self.margin - self.head.trim).float()
        log_tags, log_summits, log_strength = answer.unbind(-1)
        if self.averaged is not None:
            of_tags, of_strength = self.averages(self.averaged(states).float()).unbind(-1)
            log_tags, log_strength = log_tags + of_tags, log_strength + of_strength
        if self.contents is not None:
            of_tags, of_summits = self.contents(trimmed(bases, self.halo - self.contents.halo)).unbind(-1)
            log_tags, log_summits = log_tags + of_tags, log_summits + of_summits
        return Track(log_tags, log_summits, log_strength)

    @torch.no_grad()
    def answer_alike(self) -> None:
        """Answer of 5' ends what is answered of summits: for where nothing else was learned of them."""
        for layer in (self.head, self.contents.answers if self.contents is not None else self.head):
            for parameter in layer.parameters():
                parameter[0] = parameter[1]

    def averages(self, values: Tensor) -> Tensor:
        """Add the means of half of the channels over `average_radius` bases from each on, and of the others before.

        Maps ``(n, length + 2 * margin, 4)`` to ``(n, length, 2)``.
        """
        values = trimmed(values, self.margin - self.config.average_radius)
        length, reach, sums = values.shape[1] - 2 * self.config.average_radius, 1, values
        while reach < self.config.average_radius:
            sums = sums[:, : sums.shape[1] - reach] + sums[:, reach:]
            reach *= 2
        return (sums[:, reach : reach + length, :2] + sums[:, :length, 2:]) / reach

    def residual(self) -> list[Convolution]:
        """Return the residual convolutions, from the first to the last."""
        return [layer for layer in self.layers if isinstance(layer, Convolution)]

    def _initialise(self) -> None:
        """Keep the variance of the sum of all residual convolutions that of one (He et al. 2015, and Fixup)."""
        for layer in (self.first, *self.residual()):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            nn.init.zeros_(layer.bias)  # type: ignore[arg-type]
        with torch.no_grad():
            for layer in self.residual():
                layer.weight /= sqrt(len(self.layers))
            self.head.weight *= 0.3
            if self.averaged is not None:
                nn.init.zeros_(self.averaged.weight)
                nn.init.zeros_(self.averaged.bias)  # type: ignore[arg-type]
            self.head.bias.copy_(torch.tensor([log(value) for value in _PRIOR]))  # type: ignore[union-attr]


class TrackModel(nn.Module):
    """One track network, or members of one shape whose expected counts are averaged, everywhere alike.

    Parameters
    ----------
    config
        The shape.
    members
        Number of networks.
    """

    def __init__(self, config: TrackConfig, members: int = 1) -> None:
        super().__init__()
        self.config = config
        self.networks = nn.ModuleList(TrackNetwork(config) for _ in range(members))

    @property
    def halo(self) -> int:
        """Bases on either side that an answer depends on."""
        first = self.networks[0]
        assert isinstance(first, TrackNetwork)
        return first.halo

    def forward(self, bases: Tensor) -> Track:
        """Read one-hot bases ``(n, length, 4)``; answer for the ``length - 2 * halo`` in the middle."""
        answers = [network(bases) for network in self.networks]
        if len(answers) == 1:
            return Track(*answers[0])
        return Track(
            *(torch.logsumexp(torch.stack(each), dim=0) - log(len(answers)) for each in zip(*answers, strict=True))
        )
