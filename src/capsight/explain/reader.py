"""A trained network as explanations need it: bases in, one number out, and the way from what it reads back to bases.

`ModelWrapper` is of a window network, `TrackWrapper` of a track network. What differs is said by `Explained`.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from capsight.data.attributions import THRESHOLD
from capsight.data.genome.alphabet import N_CODE, Ints, Mask
from capsight.data.sequence.tokenizer import Tokenizer
from capsight.machine import best_device
from capsight.model.llama import CapsightForClassification
from capsight.model.track import Track, one_hot
from capsight.model.track_folder import TrackCard, load_track
from capsight.predict.alleles import AlleleScorer, Change
from capsight.predict.calls import SCORE_REACH
from capsight.predict.stream import working_threads
from capsight.predict.track import REACH, Precision, TrackScorer, flank, probabilities, with_flanks
from capsight.predict.windows import load_network

Codes = NDArray[np.uint8]
PerBase = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Sequences:
    """Sequences to explain, and what the network reads of each.

    Attributes
    ----------
    codes
        ``(n, length)`` 5'→3': the bases that are explained. N are never changed.
    reads
        ``(n, margin + length + margin)``: the same with their neighbours; random DNA beyond the end of a sequence.
    """

    codes: Codes
    reads: Codes

    def __len__(self) -> int:
        return len(self.codes)

    def subset(self, rows: slice | Ints | Mask) -> Self:
        """Return some of them."""
        return type(self)(self.codes[rows], self.reads[rows])

    def reading(self, codes: Codes) -> Codes:
        """Return what is read with other bases, ``(n, length)``, between the same neighbours."""
        reads = self.reads.copy()
        margin = (reads.shape[1] - codes.shape[1]) // 2
        np.copyto(reads[:, margin : margin + codes.shape[1]], codes, where=codes < N_CODE)
        return reads


class Explained(Protocol):
    """What explanations ask of a network; `reads` are those of `Sequences`."""

    @property
    def threshold(self) -> float:
        """Probability from which on a window is predicted positive."""

    @property
    def batch_size(self) -> int:
        """Sequences per forward pass."""

    def batches(self, n: int) -> Iterator[slice]:
        """Cut `n` sequences into batches."""

    def sequences(self, codes: Codes) -> Sequences:
        """Return windows without neighbours, ``(n_windows, length)``, as they are read."""

    def probability(self, codes: Codes) -> NDArray[np.float64]:
        """Return the probability of a cap site in the middle of windows without neighbours, ``(n_windows,)``."""

    def target(self, reads: Codes) -> NDArray[np.float32]:
        """Return the number that is explained, in nats, ``(n,)``."""

    def substituted(self, one: Sequences, position: Ints, base: Codes) -> NDArray[np.float32]:
        """Return how the target of one sequence changes when its base at a position is another, ``(n_changes,)``."""

    def response(self, reads: Codes) -> NDArray[np.float64]:
        """Return the number whose fall shows how faithful an explanation is, ``(n,)``."""

    def embed(self, reads: Codes) -> Tensor:
        """Return what the network calculates with, ``(n, n_positions, channels)``."""

    def from_embedding(self, embedded: Tensor) -> Tensor:
        """Return the target for what `embed` returned; gradients flow through."""

    def per_base(self, values: NDArray[np.floating], codes: Codes) -> PerBase:
        """Turn values at the positions of `embed`, ``(n, n_positions)``, into values of bases, ``(n, length)``."""

    def resolution(self, codes: Codes) -> int:
        """Bases behind one position of the network."""


@dataclass(frozen=True)
class ModelWrapper:
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

    #: Probability from which on a window is predicted positive.
    threshold = THRESHOLD

    @classmethod
    def open(cls, folder: Path, batch_size: int) -> "ModelWrapper":
        """Load a model folder."""
        return cls(*load_network(folder), batch_size)

    def tokens(self, codes: Codes) -> Tensor:
        """Return tokens ``(n_windows, n_tokens)`` on the device."""
        return torch.from_numpy(self.tokenizer.encode(codes)).to(self.device)

    def batches(self, n: int) -> Iterator[slice]:
        """Cut `n` rows into batches."""
        return (slice(i, min(i + self.batch_size, n)) for i in range(0, n, self.batch_size))

    def sequences(self, codes: Codes) -> Sequences:
        """Return windows as they are read: nothing but themselves."""
        return Sequences(codes, codes)

    def probability(self, codes: Codes) -> NDArray[np.float64]:
        """Return the probability of a cap site, ``(n_windows,)``."""
        return np.asarray(1 / (1 + np.exp(-self.log_odds(codes).astype(np.float64))))

    def target(self, reads: Codes) -> NDArray[np.float32]:
        """Return the log-odds of a cap site in nats, ``(n_windows,)``."""
        return self.log_odds(reads)

    def substituted(self, one: Sequences, position: Ints, base: Codes) -> NDArray[np.float32]:
        """Return how the log-odds of one window change when its base at a position is another, ``(n_changes,)``."""
        mutants = np.repeat(one.reads, len(position) + 1, axis=0)
        mutants[np.arange(len(position)), position] = base
        odds = self.log_odds(mutants)  # the last row is the window itself
        return odds[:-1] - odds[-1]

    def response(self, reads: Codes) -> NDArray[np.float64]:
        """Return the probability of a cap site, ``(n_windows,)``."""
        return self.probability(reads)

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

        Without a stem a position is a token; with one it is `downsample` tokens, from the first's start to the last's
        end.
        """
        spans = self.tokenizer.spans(codes)
        pool = self.model.config.downsample
        first = spans[:, ::pool, 0]
        last = np.minimum(np.arange(first.shape[1]) * pool + pool, spans.shape[1]) - 1
        return np.stack([first, spans[:, last, 1]], axis=2)


#: Bases that a track network reads at once: bounds the memory of gradients.
_AT_ONCE: Final = 1 << 17


@dataclass(frozen=True)
class TrackWrapper:
    """A track network that is asked for the base in the middle of sequences, on their own strand.

    The target is the natural logarithm of the expected tags within `SCORE_REACH` bases of it.
    """

    scorer: TrackScorer
    card: TrackCard

    @classmethod
    def open(cls, folder: Path, precision: Precision = "fp32") -> "TrackWrapper":
        """Load a model folder.

        Raises
        ------
        InputError
            If it cannot be used.
        """
        model, card = load_track(folder)
        return cls(TrackScorer(model.to(best_device(mps=False)), card.calibration, precision), card)

    @property
    def margin(self) -> int:
        """Bases that are read on either side of a sequence."""
        return self.scorer.halo

    def resolution(self, codes: Codes) -> int:
        """One: a track network has no positions but bases."""
        return 1

    def batches(self, n: int) -> Iterator[slice]:
        """Cut `n` rows into batches."""
        return (slice(i, min(i + self.batch_size, n)) for i in range(0, n, self.batch_size))

    @property
    def threshold(self) -> float:
        """Probability from which on a window is predicted positive: that of a call."""
        return self.card.calling.min_probability if self.card.calling else THRESHOLD

    @property
    def batch_size(self) -> int:
        """Sequences per forward pass: memory is that of `_AT_ONCE` bases."""
        return max(1, _AT_ONCE // (2 * self._reach + 1))

    def sequences(self, codes: Codes) -> Sequences:
        """Return windows as they are read: random DNA stands beyond their ends."""
        beyond = flank(self.margin)
        return Sequences(codes, with_flanks(codes, -self.margin, codes.shape[1] + self.margin, beyond))

    def probability(self, codes: Codes) -> NDArray[np.float64]:
        """Return the probability of a cap site, as a scan of the windows has it, ``(n_windows,)``."""
        middle, scorer = codes.shape[1] // 2, self.scorer
        found = np.zeros(len(codes))
        for rows in self.batches(len(codes)):
            around = scorer.counts(codes[rows], middle - REACH, middle + REACH + 1)
            found[rows] = probabilities(around, scorer.calibration)[:, 0, REACH]
        return found

    @torch.inference_mode()
    def target(self, reads: Codes) -> NDArray[np.float32]:
        """Return the logarithm of expected tags, ``(n,)``."""
        parts = [self.from_embedding(self.embed(reads[rows])).cpu() for rows in self.batches(len(reads))]
        return torch.cat(parts).numpy().astype(np.float32) if parts else np.zeros(0, np.float32)

    def substituted(self, one: Sequences, position: Ints, base: Codes) -> NDArray[np.float32]:
        """Return how the target of one sequence changes when its base at a position is another, ``(n_changes,)``.

        Only what a change can reach is computed (`capsight.predict.alleles`).
        """
        middle, position = self.margin + one.codes.shape[1] // 2, position + self.margin
        near = np.flatnonzero(np.abs(position - middle) <= self._reach)
        farthest = int(np.abs(position[near] - middle).max(initial=0)) + SCORE_REACH
        alleles = AlleleScorer(self.scorer, max(farthest - REACH, 0))
        changes = [Change(int(position[i]), int(position[i]) + 1, base[i : i + 1]) for i in near]
        found = np.zeros(len(position))
        with working_threads(1, self.scorer):  # convolutions this small only wait for one another's threads
            for i, change, pair in zip(near, changes, alleles.alleles(one.reads[0], changes), strict=True):
                first = middle - SCORE_REACH - change.start + alleles.flank
                sums = [allele.tags[0, first : first + 2 * SCORE_REACH + 1].sum(dtype=np.float64) for allele in pair]
                found[i] = np.log(sums[1] / sums[0]) if min(sums) > 0 else 0
        return found.astype(np.float32)

    def response(self, reads: Codes) -> NDArray[np.float64]:
        """Return the logarithm of expected tags, ``(n,)``: it follows weak promoters and strong ones alike."""
        return self.target(reads).astype(np.float64)

    def embed(self, reads: Codes) -> Tensor:
        """Return one-hot bases within reach of the middle, ``(n, 2 * reach + 1, 4)``."""
        middle = self.margin + (reads.shape[1] - 2 * self.margin) // 2
        seen = np.ascontiguousarray(reads[:, middle - self._reach : middle + self._reach + 1])
        return one_hot(torch.from_numpy(seen).to(self.scorer.device))

    def from_embedding(self, embedded: Tensor) -> Tensor:
        """Return the logarithm of expected tags, ``(n,)``; gradients flow through."""
        track: Track = self.scorer.network(embedded)
        return torch.logsumexp(track.log_tags, dim=1)

    def per_base(self, values: NDArray[np.floating], codes: Codes) -> PerBase:
        """Put values of bases within reach of the middle into their sequences, ``(n, length)``."""
        result = np.zeros(codes.shape, np.float32)
        length = codes.shape[1]
        first = length // 2 - self._reach
        inside = slice(max(first, 0), min(first + values.shape[1], length))
        result[:, inside] = values[:, inside.start - first : inside.stop - first]
        return result

    @property
    def _reach(self) -> int:
        """Bases on either side of the middle that the target depends on."""
        return self.scorer.network.halo + SCORE_REACH


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
