"""One way to score windows, whatever was trained: a network or a classical baseline."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from capsight.data.tokenizer import make_tokenizer
from capsight.model.checkpoint import load_classifier
from capsight.predict.classical import BASELINE_CARD, load_baseline

Scores = NDArray[np.float64]


class Scorer(NamedTuple):
    """A trained model, reduced to what prediction needs.

    Attributes
    ----------
    length
        Bases that it reads.
    score
        Maps base codes ``(n_windows, length)`` to probabilities ``(n_windows,)``.
    """

    length: int
    score: Callable[[NDArray[np.uint8]], Scores]


def best_device() -> torch.device:
    """Return the GPU where there is one, else the CPU."""
    if torch.cuda.is_available():
        return torch.device("cuda")
    return torch.device("cpu")


@torch.inference_mode()
def probabilities(model: nn.Module, tokens: Tensor, device: torch.device, batch_size: int = 256) -> Scores:
    """Return the probability of the positive class for tokens ``(n_windows, n_tokens)``."""
    parts = [model(input_ids=part.to(device)).logits.double().cpu() for part in tokens.split(batch_size)]
    if not parts:
        return np.zeros(0)
    return torch.softmax(torch.cat(parts), dim=1)[:, 1].numpy()


def load_scorer(folder: Path, batch_size: int = 256) -> Scorer:
    """Load a model folder or a baseline folder.

    Raises
    ------
    InputError
        If `folder` is neither, or is damaged.
    """
    if (folder / BASELINE_CARD).is_file():
        return Scorer(*load_baseline(folder))
    model, card = load_classifier(folder)
    tokenizer = make_tokenizer(card.tokenizer, folder)
    device = best_device()
    model.to(device)

    def score(codes: NDArray[np.uint8]) -> Scores:
        step = 16 * batch_size  # bounds the memory of tokens
        parts = [
            probabilities(model, torch.from_numpy(tokenizer.encode(codes[i : i + step])), device, batch_size)
            for i in range(0, len(codes), step)
        ]
        return np.concatenate(parts) if parts else np.zeros(0)

    return Scorer(card.length, score)
