"""One way to score windows, whatever was trained: a network or a classical baseline."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import lightgbm
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from capsight import artefact
from capsight.data.kmer_counts import count_kmers
from capsight.data.tokenizer import make_tokenizer
from capsight.errors import InputError
from capsight.model.checkpoint import load_classifier

Scores = NDArray[np.float64]

#: A baseline folder's files; it has a booster where a model folder has weights.
BOOSTER = "booster.txt"
BASELINE_CARD = "baseline.json"
#: Longest k-mers that a baseline counts (`BaselineConfig.k`).
MOST_K = 8


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
        return _load_baseline(folder)
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


def _load_baseline(folder: Path) -> Scorer:
    """Load a booster; its card says which k-mers it counts."""
    try:
        card = json.loads((folder / BASELINE_CARD).read_text(encoding="utf-8"))
        k, length = int(card["k"]), int(card["length"])
        if not (1 <= k <= MOST_K and length > 0):
            raise ValueError(f"k = {k}, length = {length}")
        artefact.check_unchanged(folder)  # LightGBM reads half a booster without complaint, and some crash it
        booster = lightgbm.Booster(model_file=str(folder / BOOSTER))
        if booster.num_feature() != 4**k:
            raise ValueError(f"{booster.num_feature()} features for k = {k}")
    except (ValueError, KeyError, TypeError, lightgbm.basic.LightGBMError, OSError):
        raise InputError("is not a baseline that this version of capsight can read", where=folder) from None
    return Scorer(length, lambda codes: np.asarray(booster.predict(count_kmers(codes, k))))
