"""One way to score windows, whatever was trained: a network, a classical baseline or the CNN."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from scipy.special import expit
from torch import Tensor, nn

from capsight import artefact
from capsight.config import CnnConfig, TokenizerConfig
from capsight.data.tokenizer import Tokenizer, make_tokenizer
from capsight.model.checkpoint import load_classifier
from capsight.model.cnn import load_cnn
from capsight.predict.classical import BASELINE_CARD, load_classical, read_baseline_card, unreadable
from capsight.predict.trees import Trees, with_trees

Scores = NDArray[np.float64]

#: The CNN of `baseline` reads single bases.
CNN_TOKENS = TokenizerConfig(kind="kmer", k=1, stride=1)
CNN_WEIGHTS = "cnn.safetensors"


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
def log_odds(model: nn.Module, tokens: Tensor, device: torch.device, batch_size: int = 256) -> Scores:
    """Return the log-odds in nats of the positive class for tokens ``(n_windows, n_tokens)``."""
    parts = [model(input_ids=part.to(device)).logits.double().cpu() for part in tokens.split(batch_size)]
    if not parts:
        return np.zeros(0)
    logits = torch.cat(parts)
    return (logits[:, 1] - logits[:, 0]).numpy()


def load_scorer(folder: Path, batch_size: int = 256) -> Scorer:
    """Load a model folder or a baseline folder.

    Raises
    ------
    InputError
        If `folder` is neither, or is damaged.
    """
    if (folder / BASELINE_CARD).is_file():
        return _load_baseline(folder, batch_size)
    model, card = load_classifier(folder)
    trees = Trees.load(folder, card.trees)
    return _network_scorer(model, trees, make_tokenizer(card.tokenizer, folder), card.length, batch_size)


def _load_baseline(folder: Path, batch_size: int) -> Scorer:
    """Load a classical model or the CNN."""
    card = read_baseline_card(folder)
    if card["model"] != "cnn":
        return Scorer(card["length"], load_classical(folder, card))
    tokenizer = make_tokenizer(CNN_TOKENS)
    try:
        shape = CnnConfig.model_validate(card["cnn"])
        artefact.check_unchanged(folder)
        model = load_cnn(shape, card["length"], tokenizer.vocabulary, folder / CNN_WEIGHTS)
        n_trees = int(card.get("trees", 0))
    except (KeyError, ValueError, RuntimeError, OSError, SafetensorError):
        raise unreadable(folder) from None
    return _network_scorer(model, Trees.load(folder, n_trees), tokenizer, card["length"], batch_size)


def _network_scorer(
    model: nn.Module, trees: Trees | None, tokenizer: Tokenizer, length: int, batch_size: int
) -> Scorer:
    """Return how a network, and the trees beside it, score windows, on the best device."""
    device = best_device()
    model.to(device)

    def score(codes: NDArray[np.uint8]) -> Scores:
        step = 16 * batch_size  # bounds the memory of tokens
        parts = [
            log_odds(model, torch.from_numpy(tokenizer.encode(codes[i : i + step])), device, batch_size)
            for i in range(0, len(codes), step)
        ]
        odds = np.concatenate([np.zeros(0), *parts])
        return np.asarray(expit(with_trees(odds, trees, codes)))

    return Scorer(length, score)
