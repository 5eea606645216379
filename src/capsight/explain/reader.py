"""A trained network as explanations need it: bases in, log-odds out, and the map from tokens back to bases."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from capsight.data.tokenizer import Tokenizer
from capsight.model.llama import CapsightForClassification
from capsight.predict.scorer import load_network

Codes = NDArray[np.uint8]
PerBase = NDArray[np.float32]


@dataclass(frozen=True)
class Reader:
    """A network with its tokenizer, on a device, in evaluation mode.

    Attributes
    ----------
    length
        Bases that the network reads.
    batch_size
        Windows per forward pass.
    """

    model: CapsightForClassification
    tokenizer: Tokenizer
    length: int
    device: torch.device
    batch_size: int

    @classmethod
    def open(cls, folder: Path, batch_size: int) -> "Reader":
        """Load a model folder."""
        return cls(*load_network(folder), batch_size)

    def tokens(self, codes: Codes) -> Tensor:
        """Return tokens ``(n_windows, n_tokens)`` on the device."""
        return torch.from_numpy(self.tokenizer.encode(codes)).to(self.device)

    def batches(self, n: int) -> Iterator[slice]:
        """Cut `n` rows into batches."""
        return (slice(i, min(i + self.batch_size, n)) for i in range(0, n, self.batch_size))

    @torch.inference_mode()
    def log_odds(self, codes: Codes) -> NDArray[np.float32]:
        """Return the log-odds of a cap site in nats, ``(n_windows,)``."""
        parts = [difference(self.model(self.tokens(codes[rows])).logits).cpu() for rows in self.batches(len(codes))]
        return torch.cat(parts).numpy().astype(np.float32) if parts else np.zeros(0, np.float32)

    def position_spans(self, codes: Codes) -> NDArray[np.int32]:
        """Return the bases behind every position of the blocks, ``(n_windows, n_positions, 2)``, half-open.

        Without a stem a position is a token; with one it is `pool` tokens, from the first's start to the last's end.
        """
        spans = self.tokenizer.spans(codes)
        pool = self.model.config.pool
        first = spans[:, ::pool, 0]
        last = np.minimum(np.arange(first.shape[1]) * pool + pool, spans.shape[1]) - 1
        return np.stack([first, spans[:, last, 1]], axis=2)


def difference(logits: Tensor) -> Tensor:
    """Return the log-odds of the positive class from logits ``(n_windows, 2)``."""
    return logits[:, 1] - logits[:, 0]


def spread(values: NDArray[np.floating], spans: NDArray[np.int32], length: int) -> PerBase:
    """Spread a value per span evenly over exactly the bases of the span.

    Parameters
    ----------
    values
        ``(n_windows, n_spans)``.
    spans
        ``(n_windows, n_spans, 2)``, 0-based half-open; an empty span (an end-of-text mark) gives nothing.
    length
        Bases per window.

    Returns
    -------
    per_base
        ``(n_windows, length)``; where spans overlap their shares add up. Row sums are kept (but for empty spans).
    """
    width = spans[..., 1] - spans[..., 0]
    share = np.where(width > 0, values / np.maximum(width, 1), 0.0)
    steps = np.zeros((len(values), length + 1))
    rows = np.broadcast_to(np.arange(len(values))[:, None], width.shape)
    np.add.at(steps, (rows, spans[..., 0]), share)
    np.subtract.at(steps, (rows, spans[..., 1]), share)
    return np.cumsum(steps, axis=1)[:, :-1].astype(np.float32)
