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
from capsight.data.sequence.tokenizer import Tokenizer, make_tokenizer
from capsight.machine import best_device
from capsight.model.classifier import load_classifier
from capsight.model.cnn import load_cnn
from capsight.model.llama import CapsightForClassification
from capsight.predict.classical import BASELINE_CARD, load_classical, read_baseline_card, unreadable

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


class Network(NamedTuple):
    """What a model folder holds, ready to be asked: the network is on `device` and in evaluation mode.

    Attributes
    ----------
    length
        Bases that it reads.
    """

    model: CapsightForClassification
    tokenizer: Tokenizer
    length: int
    device: torch.device


def load_network(folder: Path) -> Network:
    """Load a model folder onto the best device.

    Raises
    ------
    InputError
        If `folder` is no model folder, is damaged, or holds a pre-trained model without a classifier.
    """
    model, card = load_classifier(folder)
    device = best_device(mps=False)
    return Network(model.to(device), make_tokenizer(card.tokenizer, folder), card.length, device)


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
    network = load_network(folder)
    return _network_scorer(network.model, network.tokenizer, network.length, network.device, batch_size)


def _load_baseline(folder: Path, batch_size: int) -> Scorer:
    """Load a classical model or the CNN."""
    card = read_baseline_card(folder)
    if card["model"] != "cnn":
        return Scorer(card["length"], load_classical(folder, card))
    tokenizer, device = make_tokenizer(CNN_TOKENS), best_device(mps=False)
    try:
        shape = CnnConfig.model_validate(card["cnn"])
        artefact.check_unchanged(folder)
        model = load_cnn(shape, card["length"], tokenizer.vocabulary, folder / CNN_WEIGHTS)
    except (KeyError, ValueError, RuntimeError, OSError, SafetensorError):
        raise unreadable(folder) from None
    return _network_scorer(model.to(device), tokenizer, card["length"], device, batch_size)


def _network_scorer(
    model: nn.Module, tokenizer: Tokenizer, length: int, device: torch.device, batch_size: int
) -> Scorer:
    """Return how a network on `device` scores windows."""

    def score(codes: NDArray[np.uint8]) -> Scores:
        step = 16 * batch_size  # bounds the memory of tokens
        parts = [
            log_odds(model, torch.from_numpy(tokenizer.encode(codes[i : i + step])), device, batch_size)
            for i in range(0, len(codes), step)
        ]
        return np.asarray(expit(np.concatenate([np.zeros(0), *parts])))

    return Scorer(length, score)
