"""A trained network as explanations need it: bases in, log-odds out, and the way from what it reads back to bases.

`Reader` is of a window network, `TrackReader` of a track network. What differs is said by `Explained`.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from capsight.data.tokenizer import Tokenizer
from capsight.errors import NothingPredicted
from capsight.model.llama import CapsightForClassification
from capsight.model.track import Track, TrackModel, one_hot
from capsight.model.track_folder import Calibration, load_track
from capsight.predict.scorer import best_device, load_network
from capsight.predict.track import REACH, flank

Codes = NDArray[np.uint8]
PerBase = NDArray[np.float32]

#: What to do about a track model without calibration.
CALIBRATE: Final = "train it with a validation chromosome that has peaks"


class Explained(Protocol):
    """What explanations ask of a network."""

    @property
    def length(self) -> int:
        """Bases of a window."""

    @property
    def batch_size(self) -> int:
        """Windows per forward pass."""

    def batches(self, n: int) -> Iterator[slice]:
        """Cut `n` windows into batches."""

    def log_odds(self, codes: Codes) -> NDArray[np.float32]:
        """Return the log-odds of a cap site in the middle of windows, in nats, ``(n_windows,)``."""

    def embed(self, codes: Codes) -> Tensor:
        """Return what the network calculates with, ``(n_windows, n_positions, channels)``."""

    def from_embedding(self, embedded: Tensor) -> Tensor:
        """Return the log-odds for what `embed` returned; gradients flow through."""

    def per_base(self, values: NDArray[np.floating], codes: Codes) -> PerBase:
        """Turn values at the positions of `embed`, ``(n_windows, n_positions)``, into values of bases."""

    def resolution(self, codes: Codes) -> int:
        """Bases behind one position of the network."""


@dataclass(frozen=True)
class Reader:
    """A window network with its tokenizer, on a device, in evaluation mode.

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

    def embed(self, codes: Codes) -> Tensor:
        """Return the embeddings of tokens, ``(n_windows, n_tokens, width)``."""
        return self.model.embed(self.tokens(codes)).detach()

    def from_embedding(self, embedded: Tensor) -> Tensor:
        """Return the log-odds, ``(n_windows,)``; gradients flow through."""
        return difference(self.model(embedded=embedded).logits)

    def per_base(self, values: NDArray[np.floating], codes: Codes) -> PerBase:
        """Spread values of tokens over their bases, ``(n_windows, length)``."""
        return spread(values, self.tokenizer.spans(codes), self.length)

    def resolution(self, codes: Codes) -> int:
        """Bases behind one position of the blocks, on average in the first window: what attention can resolve."""
        spans = self.position_spans(codes[:1])[0]
        width = spans[:, 1] - spans[:, 0]
        return max(1, round(float(width[width > 0].mean())))

    def position_spans(self, codes: Codes) -> NDArray[np.int32]:
        """Return the bases behind every position of the blocks, ``(n_windows, n_positions, 2)``, half-open.

        Without a stem a position is a token; with one it is `pool` tokens, from the first's start to the last's end.
        """
        spans = self.tokenizer.spans(codes)
        pool = self.model.config.pool
        first = spans[:, ::pool, 0]
        last = np.minimum(np.arange(first.shape[1]) * pool + pool, spans.shape[1]) - 1
        return np.stack([first, spans[:, last, 1]], axis=2)


#: Bases that a track network reads at once: bounds the memory of gradients.
_AT_ONCE: Final = 1 << 17


@dataclass(frozen=True)
class TrackReader:
    """A track network that is asked for the base in the middle of windows, on their own strand.

    Beyond the ends of a window there is random DNA (`capsight.predict.track.flank`). The log-odds are those of the
    calibrated probability (`capsight.predict.track`).

    Attributes
    ----------
    length
        Bases of a window; any will do.
    """

    model: TrackModel
    calibration: Calibration
    length: int
    device: torch.device

    @classmethod
    def open(cls, folder: Path, length: int) -> "TrackReader":
        """Load a model folder.

        Raises
        ------
        InputError
            If it cannot be used.
        NothingPredicted
            If it has no calibration: it has learned too little for probabilities.
        """
        model, card = load_track(folder)
        if card.calibration is None:
            raise NothingPredicted("has no calibration, so no log-odds to explain", where=folder, remedy=CALIBRATE)
        device = best_device()
        return cls(model.to(device), card.calibration, length, device)

    def resolution(self, codes: Codes) -> int:
        """One: a track network has no positions but bases."""
        return 1

    def batches(self, n: int) -> Iterator[slice]:
        """Cut `n` rows into batches."""
        return (slice(i, min(i + self.batch_size, n)) for i in range(0, n, self.batch_size))

    @property
    def batch_size(self) -> int:
        """Windows per forward pass: memory is that of `_AT_ONCE` bases."""
        return max(1, _AT_ONCE // (2 * self._reach + 1))

    @torch.inference_mode()
    def log_odds(self, codes: Codes) -> NDArray[np.float32]:
        """Return the log-odds of a cap site in nats, ``(n_windows,)``."""
        parts = [self.from_embedding(self.embed(codes[rows])).cpu() for rows in self.batches(len(codes))]
        return torch.cat(parts).numpy().astype(np.float32) if parts else np.zeros(0, np.float32)

    def embed(self, codes: Codes) -> Tensor:
        """Return one-hot bases within reach of the middle, ``(n_windows, 2 * reach + 1, 4)``."""
        lacking = max(0, self._reach - self.length // 2), max(0, self._reach + 1 - (self.length - self.length // 2))
        beyond = np.broadcast_to(flank(self._reach), (len(codes), self._reach))
        padded = np.concatenate([beyond[:, self._reach - lacking[0] :], codes, beyond[:, : lacking[1]]], axis=1)
        first = lacking[0] + self.length // 2 - self._reach
        return one_hot(torch.from_numpy(padded[:, first : first + 2 * self._reach + 1]).to(self.device))

    def from_embedding(self, embedded: Tensor) -> Tensor:
        """Return the log-odds, ``(n_windows,)``; gradients flow through."""
        track: Track = self.model(embedded)
        tags, near, calibration = track.log_tags, slice(REACH - 10, REACH + 11), self.calibration
        return (
            calibration.intercept
            + calibration.summits_within_10 * torch.logsumexp(track.log_summits[:, near], dim=1)
            + calibration.tags_within_10 * torch.logsumexp(tags[:, near], dim=1)
            + calibration.tags_within_50 * torch.logsumexp(tags, dim=1)
        )

    def per_base(self, values: NDArray[np.floating], codes: Codes) -> PerBase:
        """Put values of bases within reach of the middle into their windows, ``(n_windows, length)``."""
        result = np.zeros(codes.shape, np.float32)
        first = self.length // 2 - self._reach
        inside = slice(max(first, 0), min(first + values.shape[1], self.length))
        result[:, inside] = values[:, inside.start - first : inside.stop - first]
        return result

    @property
    def _reach(self) -> int:
        """Bases on either side of the middle that are read."""
        return self.model.halo + REACH


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
