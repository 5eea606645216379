"""A convolution along a sequence that keeps each base's channels side by side."""

import torch
from torch import Tensor, nn
from torch.nn import functional


class Convolution(nn.Conv1d):
    """`torch.nn.Conv1d` with padding "same", of the same weights, on ``(n_windows, channels, 1, length)``.

    In two dimensions PyTorch keeps a base's channels side by side (``channels_last``) where the input has them so,
    which on a CPU takes a quarter off the time of forward and backward together; in one dimension it does not.
    """

    def __init__(self, channels: int, out_channels: int, kernel_size: int, dilation: int = 1) -> None:
        super().__init__(channels, out_channels, kernel_size, padding="same", dilation=dilation)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(n_windows, channels, 1, length)`` to ``(n_windows, out_channels, 1, length)``."""
        weight = self.weight.unsqueeze(2).contiguous(memory_format=torch.channels_last)
        return functional.conv2d(x, weight, self.bias, padding="same", dilation=(1, self.dilation[0]))


def side_by_side(one_hot: Tensor) -> Tensor:
    """Lay ``(n_windows, length, channels)`` out as a `Convolution` reads it, ``(n_windows, channels, 1, length)``."""
    return one_hot.transpose(1, 2).unsqueeze(2).contiguous(memory_format=torch.channels_last)
