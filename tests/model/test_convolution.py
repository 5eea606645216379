"""The convolution with a base's channels side by side is PyTorch's, in another layout."""

import pytest
import torch
from torch import nn

from capsight.model.convolution import Convolution, side_by_side


@pytest.mark.parametrize(("kernel", "dilation"), [(1, 1), (7, 1), (7, 4), (15, 2)])
def test_it_says_and_learns_what_conv1d_does(kernel: int, dilation: int) -> None:
    torch.manual_seed(0)
    ours, theirs = Convolution(5, 3, kernel, dilation), nn.Conv1d(5, 3, kernel, padding="same", dilation=dilation)
    theirs.load_state_dict(ours.state_dict())
    x = torch.randn(2, 20, 5)
    said, expected = ours(side_by_side(x)), theirs(x.transpose(1, 2))
    torch.testing.assert_close(said.squeeze(2), expected)
    said.square().sum().backward()
    expected.square().sum().backward()
    torch.testing.assert_close(ours.weight.grad, theirs.weight.grad, atol=1e-5, rtol=1e-5)


def test_channels_of_a_base_stay_side_by_side() -> None:
    x = Convolution(4, 6, 7)(side_by_side(torch.randn(2, 20, 4)))
    assert x.shape == (2, 6, 1, 20)
    assert x.is_contiguous(memory_format=torch.channels_last)
