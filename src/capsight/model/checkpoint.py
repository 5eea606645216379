"""The model folder: `config.json`, `model.safetensors`, and `capsight.json` with all that prediction needs.

Without a stem the folder is a plain LLaMA folder that Hugging Face's `AutoModel` reads; with pooling ``last``
`AutoModelForSequenceClassification` gives the same logits. Weights are safetensors, never pickle.
"""

import json
import logging
from pathlib import Path
from typing import Any, TypeVar

import torch
from huggingface_hub.errors import StrictDataclassError
from pydantic import BaseModel, ConfigDict, Field
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from capsight import artefact
from capsight.config import TokenizerConfig
from capsight.errors import InputError
from capsight.model.llama import CapsightConfig, CapsightForClassification, CapsightForPretraining
from capsight.shipped import check_version, newer_version
from capsight.version import __version__

logger = logging.getLogger(__name__)

ARCHITECTURE = "config.json"
WEIGHTS = "model.safetensors"
CARD = "capsight.json"

_KNOWN_TYPES = ("llama", CapsightConfig.model_type)
#: Parts that models of earlier versions could have, by the key in the card or `config.json` that tells of them.
_FORMER_PARTS = {
    "base": "a head for single bases",
    "specialists": "networks for single bases alone",
    "trees": "boosted trees beside the network",
    "kmers": "a head that reads k-mers",
}
#: With these go keys that say nothing of how a model answers.
_FORMER_KEYS = (*_FORMER_PARTS, "base_folds", "kmer_width", "stem_dropout")

#: Which way windows are read, said in every model folder.
STRANDED = "5'->3': minus-strand windows are reverse-complemented"


class ModelCard(BaseModel):
    """What `capsight.json` holds beside the network: how to make its input, and what it was worth."""

    model_config = ConfigDict(frozen=True, extra="allow")

    capsight: str = __version__
    task: str
    length: int = Field(gt=0)
    strand: str = STRANDED
    tokenizer: TokenizerConfig
    metrics: dict[str, Any] = {}


AnyModel = TypeVar("AnyModel", CapsightForClassification, CapsightForPretraining)


def save_model(model: nn.Module, card: ModelCard, folder: Path) -> None:
    """Write network, weights and card into an existing folder."""
    save_file(
        {name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()},
        folder / WEIGHTS,
        metadata={"format": "pt"},
    )
    text = json.dumps(_architecture(model), indent=2, sort_keys=True)
    (folder / ARCHITECTURE).write_text(text + "\n", encoding="utf-8")
    (folder / CARD).write_text(card.model_dump_json(indent=2) + "\n", encoding="utf-8")


def _architecture(model: nn.Module) -> dict[str, Any]:
    """Return the content of `config.json`; a network without a stem is declared as the LLaMA that it is."""
    config: CapsightConfig = model.config  # type: ignore[assignment]
    values = config.to_diff_dict() | {"dtype": "float32"}
    values.pop("transformers_version", None)
    if config.stem:
        return values | {"architectures": [type(model).__name__]}
    same = isinstance(model, CapsightForPretraining) or config.pooling == "last"
    task = "LlamaForCausalLM" if isinstance(model, CapsightForPretraining) else "LlamaForSequenceClassification"
    return values | {"model_type": "llama", "architectures": [task if same else "LlamaModel"]}


def read_card(folder: Path) -> ModelCard:
    """Read `capsight.json` of a model folder.

    Raises
    ------
    InputError
        If `folder` is no model folder, lacks its weights, or has a part that only earlier versions knew.
    """
    if not folder.is_dir():
        raise InputError("there is no such model folder", where=folder)
    for name in (CARD, ARCHITECTURE, WEIGHTS):
        if not (folder / name).is_file():
            raise InputError(
                f"is not a model folder: {name} is missing", where=folder, remedy="copy it whole, or train it anew"
            )
    try:
        values = json.loads((folder / CARD).read_text(encoding="utf-8"))
        card = ModelCard.model_validate(without_former_parts(values, folder))
    except (ValueError, RecursionError):
        check_version(folder)
        raise InputError("is not a model card that this version of capsight can read", where=folder / CARD) from None
    if card.model_extra:  # what a newer version means by it would be left out
        check_version(folder)
    elif made_by := newer_version(folder):
        logger.warning("model: %s was made by capsight %s, which is newer than this one", folder, made_by)
    return card


def read_architecture(folder: Path) -> CapsightConfig:
    """Read `config.json` of a model folder."""
    try:
        values = without_former_parts(json.loads((folder / ARCHITECTURE).read_text(encoding="utf-8")), folder)
        if values.pop("model_type") not in _KNOWN_TYPES:
            raise _unknown_network(folder)
        return CapsightConfig(**values)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, StrictDataclassError):
        raise _unknown_network(folder) from None


def without_former_parts(values: Any, folder: Path) -> Any:
    """Return what a card or `config.json` holds, but for the keys of parts that only earlier versions knew.

    Raises
    ------
    InputError
        If the model has such a part: without it, it would give other answers.
    """
    if not isinstance(values, dict):
        return values
    if former := [part for key, part in _FORMER_PARTS.items() if values.get(key)]:
        raise InputError(
            f"was made by an earlier version, with {' and '.join(former)}: this one has no such part", where=folder,
            remedy="train it anew",
        )  # fmt: skip
    return {key: value for key, value in values.items() if key not in _FORMER_KEYS}


def _unknown_network(folder: Path) -> InputError:
    check_version(folder)
    return InputError("does not describe a network that capsight knows", where=folder / ARCHITECTURE)


def _make(kind: type[AnyModel], folder: Path, **changes: Any) -> AnyModel:
    """Make the network that `config.json` describes, but for `changes`; weights are not yet loaded."""
    config = read_architecture(folder)
    for name, value in changes.items():
        setattr(config, name, value)
    try:
        return kind(config)
    except (ValueError, TypeError, AttributeError, ArithmeticError, LookupError, RuntimeError, AssertionError):
        raise _unknown_network(folder) from None


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
    model = _make(CapsightForClassification, folder)
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
    model = _make(CapsightForClassification, folder, **changes)
    _restore(model, folder / WEIGHTS, spared=("score.", "pooling.", "lm_head."))
    artefact.check_unchanged(folder)
    return model


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
