"""The model folder: `config.json`, `model.safetensors`, and `capsight.json` with all that prediction needs.

Without a stem the folder is a plain LLaMA folder that Hugging Face's `AutoModel` reads; with pooling ``last``
`AutoModelForSequenceClassification` gives the same logits. Weights are safetensors, never pickle.
"""

import json
from pathlib import Path
from typing import Any

from huggingface_hub.errors import StrictDataclassError
from pydantic import BaseModel, ConfigDict, Field
from safetensors.torch import save_file
from torch import nn

from capsight.config import TokenizerConfig
from capsight.errors import InputError
from capsight.model.card import ARCHITECTURE, CARD, WEIGHTS, read_checked
from capsight.model.llama import CapsightConfig, CapsightForPretraining
from capsight.shipped import check_version
from capsight.version import __version__

_KNOWN_TYPES = ("llama", CapsightConfig.model_type)
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
    if config.stem_channels:
        return values | {"architectures": [type(model).__name__]}
    same = isinstance(model, CapsightForPretraining) or config.pooling == "last"
    task = "LlamaForCausalLM" if isinstance(model, CapsightForPretraining) else "LlamaForSequenceClassification"
    return values | {"model_type": "llama", "architectures": [task if same else "LlamaModel"]}


def read_card(folder: Path) -> ModelCard:
    """Read `capsight.json` of a model folder.

    Raises
    ------
    InputError
        If `folder` is no model folder, or lacks its weights.
    """
    if not folder.is_dir():
        raise InputError("there is no such model folder", where=folder)
    return read_checked(folder, ModelCard.model_validate_json)


def read_architecture(folder: Path) -> CapsightConfig:
    """Read `config.json` of a model folder."""
    try:
        values = json.loads((folder / ARCHITECTURE).read_text(encoding="utf-8"))
        if values.pop("model_type") not in _KNOWN_TYPES:
            raise unknown_network(folder)
        return CapsightConfig(**values)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, StrictDataclassError):
        raise unknown_network(folder) from None


def unknown_network(folder: Path) -> InputError:
    """Return what a user reads of a `config.json` that no network can be made of."""
    check_version(folder)
    return InputError("does not describe a network that capsight knows", where=folder / ARCHITECTURE)
