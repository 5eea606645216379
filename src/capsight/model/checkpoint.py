"""The model folder: `config.json`, `model.safetensors`, and `capsight.json` with all that prediction needs.

Without a stem the folder is a plain LLaMA folder that Hugging Face's `AutoModel` reads; with pooling ``last``
`AutoModelForSequenceClassification` gives the same logits. Weights are safetensors, never pickle.
"""

import json
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

import torch
from huggingface_hub.errors import StrictDataclassError
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from capsight import __version__, artefact
from capsight.config import KmersConfig, ModelConfig, TokenizerConfig
from capsight.errors import InputError
from capsight.model.llama import CapsightConfig, CapsightForClassification, CapsightForPretraining, architecture
from capsight.shipped import check_version, newer_version

logger = logging.getLogger(__name__)

ARCHITECTURE = "config.json"
WEIGHTS = "model.safetensors"
CARD = "capsight.json"

_KNOWN_TYPES = ("llama", CapsightConfig.model_type)
_EXTRA_HEADS = ("base_head.", "kmer_head.")
#: Parts of a classifier that say nothing of single bases.
_OF_WINDOWS = ("score.", "pooling.", "kmer_head.", "stem.positions.")

#: Which way windows are read, said in every model folder.
STRANDED = "5'->3': minus-strand windows are reverse-complemented"


class ModelCard(BaseModel):
    """What `capsight.json` holds beside the network: how to make its input, and what it was worth.

    `base_folds` are what any of its networks learned single bases from; none where that was not noted.
    """

    model_config = ConfigDict(frozen=True, extra="allow")

    capsight: str = __version__
    task: str
    length: int = Field(gt=0)
    strand: str = STRANDED
    tokenizer: TokenizerConfig
    base: bool = False
    base_folds: tuple[str, ...] = ()
    trees: int = Field(0, ge=0, le=100)
    specialists: int = Field(0, ge=0, le=100)
    metrics: dict[str, Any] = {}


AnyModel = TypeVar("AnyModel", CapsightForClassification, CapsightForPretraining)


def save_model(model: nn.Module, card: ModelCard, folder: Path) -> None:
    """Write network, weights and card into an existing folder."""
    save_file(
        {name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()},
        folder / WEIGHTS,
        metadata={"format": "pt"},
    )
    _write_architecture(model, folder)
    (folder / CARD).write_text(card.model_dump_json(indent=2) + "\n", encoding="utf-8")


def save_specialists(models: Sequence[nn.Module], folder: Path) -> int:
    """Write networks for single bases into folders of their own in a model folder; return how many there are.

    In half precision, and without what says nothing of single bases.
    """
    for number, model in enumerate(models):
        own = folder / _specialist(number)
        own.mkdir(exist_ok=True)
        kept = {k: v for k, v in model.state_dict().items() if not k.startswith(_OF_WINDOWS)}
        half = {k: v.detach().cpu().to(torch.float16).contiguous() for k, v in kept.items()}
        save_file(half, own / WEIGHTS, metadata={"format": "pt"})
        _write_architecture(model, own)
    return len(models)


def load_specialists(folder: Path, card: ModelCard) -> list[CapsightForClassification]:
    """Load the networks for single bases beside that of a model folder, which is known to be unchanged.

    Raises
    ------
    InputError
        If one is missing, or does not read what the network of the folder reads.
    """
    network = read_architecture(folder)
    models = []
    for number in range(card.specialists):
        own = folder / _specialist(number)
        model = _make(CapsightForClassification, own)
        config: CapsightConfig = model.config
        if (config.n_tokens, config.vocab_size) != (network.n_tokens, network.vocab_size) or model.base_head is None:
            raise InputError("does not say single bases of what the model reads", where=own, remedy="train it anew")
        _restore(model, own / WEIGHTS, spared=_OF_WINDOWS)
        models.append(model.eval())
    return models


def _specialist(number: int) -> str:
    return f"specialist-{number + 1}"


def _write_architecture(model: nn.Module, folder: Path) -> None:
    text = json.dumps(_architecture(model), indent=2, sort_keys=True)
    (folder / ARCHITECTURE).write_text(text + "\n", encoding="utf-8")


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
        If `folder` is no model folder, or lacks its weights.
    """
    if not folder.is_dir():
        raise InputError("there is no such model folder", where=folder)
    for name in (CARD, ARCHITECTURE, WEIGHTS):
        if not (folder / name).is_file():
            raise InputError(
                f"is not a model folder: {name} is missing", where=folder, remedy="copy it whole, or train it anew"
            )
    try:
        card = ModelCard.model_validate_json((folder / CARD).read_text(encoding="utf-8"))
    except (ValidationError, UnicodeDecodeError):
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
        values = json.loads((folder / ARCHITECTURE).read_text(encoding="utf-8"))
        if values.pop("model_type") not in _KNOWN_TYPES:
            raise _unknown_network(folder)
        return CapsightConfig(**values)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, StrictDataclassError):
        raise _unknown_network(folder) from None


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


def start_classifier(
    folder: Path,
    seed: int,
    dropout: float | None = None,
    stem_dropout: float | None = None,
    *,
    base: bool = False,
    kmers: KmersConfig | None = None,
) -> CapsightForClassification:
    """Make a classifier from a pre-trained folder: backbone loaded, heads drawn from `seed`.

    Parameters
    ----------
    folder
        A pre-trained folder, or an earlier model: heads that it has are loaded too.
    seed
        Of the heads.
    dropout, stem_dropout
        In place of those of pre-training.
    base
        Whether the classifier gets a head for single bases.
    kmers
        Of the head that reads words, where the classifier gets one.

    Raises
    ------
    InputError
        If the folder cannot be used, or a head is wanted that reads single bases, and the network does not.
    """
    card, config = read_card(folder), read_architecture(folder)
    heads = (("base", "for single bases", config.base, base), ("kmers", "for words", config.kmers, kmers))
    for setting, what, there, wanted in heads:
        if wanted:
            _check_sees_bases(card, config, folder, setting)
        elif there:
            logger.info("the head %s of %s is left out: %s is not set", what, folder, setting)
    changes: dict[str, Any] = {"base": base, "kmers": 0, **_dropouts(dropout, stem_dropout)}
    if kmers:
        if config.kmers and (config.kmers, config.kmer_width) != (kmers.k, kmers.width):
            raise InputError(
                f"its head for words has k {config.kmers} and width {config.kmer_width}, not {kmers.k} and "
                f"{kmers.width}",
                where=folder, remedy="set kmers as there, or start from what it was trained from",
            )  # fmt: skip
        changes |= {"kmers": kmers.k, "kmer_width": kmers.width}
    torch.manual_seed(seed)
    model = _make(CapsightForClassification, folder, **changes)
    _restore(model, folder / WEIGHTS, spared=("score.", "pooling.", "lm_head.", *_EXTRA_HEADS))
    artefact.check_unchanged(folder)
    return model


def draw_classifier(
    folder: Path, shape: ModelConfig, seed: int, dropout: float | None = None, stem_dropout: float | None = None
) -> CapsightForClassification:
    """Make a classifier with a head for single bases that reads what the network of a folder reads, in another shape.

    All of its weights are drawn from `seed`; `dropout` and `stem_dropout` go before those of the shape.
    """
    there = read_architecture(folder)
    config = architecture(shape, there.vocab_size, there.n_tokens, there.pad_token_id)
    config.base = True
    for name, value in _dropouts(dropout, stem_dropout).items():
        setattr(config, name, value)
    torch.manual_seed(seed)
    return CapsightForClassification(config)


def _dropouts(dropout: float | None, stem_dropout: float | None) -> dict[str, float]:
    """Return those that are given, by their names in a network's configuration."""
    given = {"hidden_dropout": dropout, "stem_dropout": stem_dropout}
    return {name: value for name, value in given.items() if value is not None}


def _check_sees_bases(card: ModelCard, config: CapsightConfig, folder: Path, wanted: str) -> None:
    """Refuse the head `wanted` on a network without a stem, or one that reads anything but single bases."""
    tokenizer = card.tokenizer
    if not config.stem:
        raise InputError(
            "the network has no stem, and so no states of single bases", where=folder,
            remedy=f"set {wanted} to false, or pretrain with model.stem",
        )  # fmt: skip
    if (tokenizer.kind, tokenizer.k, tokenizer.stride) != ("kmer", 1, 1):
        raise InputError(
            "the network does not read one token per base", where=folder,
            remedy=f"set {wanted} to false, or pretrain with tokenizer.k: 1 and tokenizer.stride: 1",
        )  # fmt: skip


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
