"""Classifiers made of model folders: fine-tuned ones to predict with, pre-trained ones to fine-tune."""

from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from capsight import artefact
from capsight.errors import InputError
from capsight.model.card import WEIGHTS
from capsight.model.llama import CapsightForClassification
from capsight.model.llama_folder import ModelCard, read_architecture, read_card, unknown_network
from capsight.shipped import check_version


def load_classifier(folder: Path) -> tuple[CapsightForClassification, ModelCard]:
    """Load a fine-tuned model, ready for prediction.

    Raises
    ------
    InputError
        If the folder is incomplete, damaged, or holds a pre-trained model without a classifier.
    """
    card = read_card(folder)
    if card.task != "classification":
        raise InputError(
            f"holds a model for {card.task}, not for classification",
            where=folder,
            remedy="run capsight finetune first",
        )
    model = _make(folder)
    _restore(model, folder / WEIGHTS)
    artefact.check_unchanged(folder)
    return model.eval(), card


def start_classifier(folder: Path, seed: int, dropout: float | None = None) -> CapsightForClassification:
    """Make a classifier from a pre-trained folder: backbone loaded, head drawn from `seed`.

    Parameters
    ----------
    folder
        A pre-trained folder, or an earlier model, whose head is loaded too.
    seed
        Of the head.
    dropout
        In place of that of pre-training.

    Raises
    ------
    InputError
        If the folder cannot be used.
    """
    read_card(folder)
    changes = {} if dropout is None else {"hidden_dropout": dropout}
    torch.manual_seed(seed)
    model = _make(folder, **changes)
    _restore(model, folder / WEIGHTS, spared=("score.", "pooling.", "lm_head."))
    artefact.check_unchanged(folder)
    return model


def _make(folder: Path, **changes: Any) -> CapsightForClassification:
    """Make the network that `config.json` describes, but for `changes`; weights are not yet loaded."""
    config = read_architecture(folder)
    for name, value in changes.items():
        setattr(config, name, value)
    try:
        return CapsightForClassification(config)
    except (ValueError, TypeError, AttributeError, ArithmeticError, LookupError, RuntimeError, AssertionError):
        raise unknown_network(folder) from None


def _restore(model: nn.Module, path: Path, *, spared: tuple[str, ...] = ()) -> None:
    """Load weights into `model`; names that begin with those `spared` may be absent, or be left over."""
    try:
        weights = load_file(path)
        report = model.load_state_dict(weights, strict=False)
    except (SafetensorError, RuntimeError, OSError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"weights cannot be read: {reason}", where=path) from None
    if any(weight.is_floating_point() and not weight.isfinite().all() for weight in weights.values()):
        raise InputError(
            "holds weights that are not finite: its training went wrong", where=path,
            remedy="train it anew, with a lower learning rate",
        )  # fmt: skip
    missing = [k for k in report.missing_keys if not k.startswith(spared)]
    spare = [k for k in report.unexpected_keys if not k.startswith(spared)]
    if missing or spare:
        check_version(path.parent)
        raise InputError(
            f"weights and config.json disagree about {(missing + spare)[0]}",
            where=path.parent,
            remedy="train it anew",
        )
