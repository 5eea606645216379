"""The convolutional network that `baseline` compares with, read top to bottom.

Choices:

* Bases are read one-hot; N is a row of zeros. One wide convolution can hold a whole motif; a maximum over every
  `downsample` bases halves (or more) the work of all that follows.
* Residual blocks: a dilated convolution, then two of one position through twice the width. Dilations double from block
  to block while the convolution's span fits into the window, then start from 1 again (as in WaveNet, van den Oord et
  al. 2016): a wider one would read padding.
* Normalisation is over all positions and features of one window, never over a batch: a window's score depends on that
  window alone.
* One vector per window is made as in the other network (`capsight.model.llama.Pooling`).
"""

from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional

from capsight.config import CnnConfig
from capsight.model.convolution import Convolution, side_by_side
from capsight.model.llama import Output, Pooling

#: Bases that the first convolution spans: enough for a TATA box with its flanks.
FIRST_KERNEL = 15
N_BASES = 4


def dilations(config: CnnConfig, n_positions: int) -> list[int]:
    """Return the dilation of every block: 1, 2, 4, … while it spans no more than `n_positions`, then from 1 again."""
    fitting = [1]
    while 2 * fitting[-1] * (config.kernel - 1) < n_positions:
        fitting.append(2 * fitting[-1])
    return [fitting[i % len(fitting)] for i in range(config.blocks)]


class Block(nn.Module):
    """A residual block: what stands around a position, then what follows from it."""

    def __init__(self, config: CnnConfig, dilation: int) -> None:
        super().__init__()
        width = config.width
        self.norm = nn.GroupNorm(1, width)
        self.around = Convolution(width, width, config.kernel, dilation)
        self.widen = Convolution(width, 2 * width, 1)
        self.narrow = Convolution(2 * width, width, 1)
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(n_windows, width, 1, n_positions)`` to the same shape."""
        change = functional.gelu(self.around(functional.gelu(self.norm(x))))
        return x + self.narrow(self.dropout(functional.gelu(self.widen(change))))


class DilatedCnn(nn.Module):
    """Is there a cap site in the middle of this window?

    Parameters
    ----------
    config
        The shape.
    length
        Bases of a window.
    vocabulary
        Distinct tokens; the last four are A, C, G and T, one for every base.
    """

    def __init__(self, config: CnnConfig, length: int, vocabulary: int) -> None:
        super().__init__()
        n_positions = -(-length // config.downsample)
        self.vocabulary, self.downsample = vocabulary, config.downsample
        self.motifs = Convolution(N_BASES, config.width, FIRST_KERNEL)
        self.blocks = nn.ModuleList(Block(config, dilation) for dilation in dilations(config, n_positions))
        self.norm = nn.GroupNorm(1, config.width)
        self.pooling = Pooling(config.pooling, config.width, n_positions)
        self.dropout = nn.Dropout(config.dropout)
        self.score = nn.Linear(config.width, 2)

    def forward(self, input_ids: Tensor) -> Output:
        """Score tokens ``(n_windows, length)``: logits ``(n_windows, 2)``."""
        one_hot = functional.one_hot(input_ids, self.vocabulary)[..., -N_BASES:].to(self.motifs.weight.dtype)
        x = functional.max_pool2d(self.motifs(side_by_side(one_hot)), (1, self.downsample), ceil_mode=True)
        for block in self.blocks:
            x = block(x)
        states = self.norm(x).squeeze(2).transpose(1, 2)
        return Output(self.score(self.dropout(self.pooling(states))), states)


def save_cnn(model: DilatedCnn, path: Path) -> None:
    """Write the weights as safetensors."""
    save_file({name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()}, path)


def load_cnn(config: CnnConfig, length: int, vocabulary: int, path: Path) -> DilatedCnn:
    """Read weights that `save_cnn` wrote, ready for prediction.

    Raises
    ------
    RuntimeError, ValueError, SafetensorError, OSError
        If they cannot be read, or are not those of a network of this shape.
    """
    weights = load_file(path)
    if not all(tensor.dtype == torch.float32 and bool(tensor.isfinite().all()) for tensor in weights.values()):
        raise ValueError("weights that are no numbers")
    with torch.device("meta"):  # no memory, and no random numbers, before the file is known to fit
        model = DilatedCnn(config, length, vocabulary)
    model.load_state_dict(weights, assign=True)
    return model.eval()
