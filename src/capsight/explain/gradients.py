"""Integrated gradients (Sundararajan et al. 2017) on the embeddings, through captum.

The baseline is the window's own bases with dinucleotides shuffled, which keeps composition and takes away all motifs;
the result is the mean over several shuffles. The convergence delta, how far the scores fail to add up to the
difference of the target, is returned with them.
"""

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from capsight.data.sequence.shuffle import dinucleotide_shuffle
from capsight.explain.reader import Codes, Explained, PerBase, Sequences
from capsight.extras import need
from capsight.progress import progress


class Gradients(NamedTuple):
    """Scores, and how far they can be off.

    Attributes
    ----------
    scores
        ``(n_windows, length)``, in nats.
    delta
        ``(n_windows,)``: sum of the scores minus the difference of the target, as a share of that difference.
    """

    scores: PerBase
    delta: NDArray[np.float32]


class Shuffles(NamedTuple):
    """Shuffles of windows.

    Attributes
    ----------
    codes
        ``(n_windows, n, length)``.
    repeats
        ``(n_windows,)``: no shuffle of their dinucleotides differs from them, so that their single bases were shuffled.
    """

    codes: Codes
    repeats: NDArray[np.bool_]


def shuffled(codes: Codes, n: int, seed: int) -> Shuffles:
    """Return `n` dinucleotide shuffles of every window; N stay where they are.

    Single bases are shuffled where dinucleotides cannot be: in windows with N, since a dinucleotide with N has no
    place, and in repeats such as (CA)n, of which there is one order only. A window of one base is its own shuffle. The
    draws of a window depend on `seed` and on its number.
    """
    whole = (codes < 4).all(axis=1)
    rows = np.repeat(np.flatnonzero(whole), n)
    result = np.repeat(codes[:, None], n, axis=1)
    keys = np.column_stack([rows, np.arange(len(rows)) % n])
    result[whole] = dinucleotide_shuffle(codes[rows], seed, keys).reshape(-1, n, codes.shape[1])
    repeats = whole & (result == codes[:, None]).all(axis=(1, 2))
    rng = np.random.default_rng([seed, 6])
    for row in np.flatnonzero(~whole | repeats):
        known = np.flatnonzero(codes[row] < 4)
        for i in range(n):
            result[row, i, known] = codes[row, rng.permutation(known)]
    return Shuffles(result, repeats)


def integrated_gradients(
    reader: Explained, sequences: Sequences, *, baselines: int, steps: int, seed: int
) -> Gradients:
    """Attribute the target of every sequence to its bases; the neighbours that it is read with stay as they are."""
    need("captum")
    from captum.attr import IntegratedGradients

    method = IntegratedGradients(reader.from_embedding)
    codes = sequences.codes
    drawn = shuffled(codes, baselines, seed).codes
    scores = np.zeros(codes.shape, np.float32)
    delta = np.zeros(len(codes), np.float32)
    with progress("integrated gradients", len(codes) * baselines, " sequences") as bar:
        for rows in reader.batches(len(codes)):
            batch = sequences.subset(rows)
            target = reader.embed(batch.reads)
            for i in range(baselines):
                start = reader.embed(batch.reading(drawn[rows, i]))
                parts: Tensor = method.attribute(
                    target, start, n_steps=steps, internal_batch_size=max(reader.batch_size, len(target))
                )
                with torch.no_grad():
                    gain = (reader.from_embedding(target) - reader.from_embedding(start)).cpu().numpy()
                per_position = parts.sum(dim=2).detach().cpu().numpy()
                scores[rows] += reader.per_base(per_position, batch.codes) / baselines
                delta[rows] += np.abs((per_position.sum(axis=1) - gain) / np.maximum(np.abs(gain), 1.0)) / baselines
                bar.update(len(target))
    return Gradients(scores, delta)
