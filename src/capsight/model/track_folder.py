"""The folder of a track model: `config.json`, `model.safetensors`, and `capsight.json`, the card with its calibration.

Weights are safetensors, never pickle. Nothing in a folder says how long sequences are: a track network reads any.
"""

import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from capsight import artefact
from capsight.config.track import TrackConfig
from capsight.errors import InputError
from capsight.model.card import ARCHITECTURE, CARD, WEIGHTS, read_checked
from capsight.model.track import TrackModel
from capsight.shipped import check_version
from capsight.version import __version__

logger = logging.getLogger(__name__)

TASK: Final = "track"
_MODEL_TYPE: Final = "capsight_track"
#: More networks in one model than anybody would wait for.
_MOST_MEMBERS: Final = 100


class Calibration(BaseModel):
    """Logistic regression from expected counts around a base to the probability that a call there is right.

    Right is a call with the summit of a peak within 10 bases on its strand. The features are natural logarithms of
    sums over the bases around the call (`capsight.predict.track.features`).
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    intercept: float
    summits_within_10: float
    tags_within_10: float
    tags_within_50: float


class Calling(BaseModel):
    """From which probability on a scan calls a TSS, and what that was worth on the validation chromosomes."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    min_probability: float = Field(ge=0, le=1)
    distance: int = Field(ge=0)
    precision: float = Field(ge=0, le=1)
    recall: float = Field(ge=0, le=1)


class Ancestor(BaseModel):
    """The model whose convolutions another one started from.

    Attributes
    ----------
    model
        Its name, or the end of its path.
    sha256
        Checksum of its weights.
    train, lengths, init
        Of its own card.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: str
    sha256: str
    train: tuple[str, ...] = ()
    lengths: dict[str, int] = {}
    init: "Ancestor | None" = None


class TrackCard(BaseModel):
    """What `capsight.json` says of a track model.

    Attributes
    ----------
    halo
        Bases on either side that an answer depends on.
    counts
        What its expected tags are counts of: ``ctss`` (5' ends, in the unit of the training counts), ``summits``,
        ``peaks``, or ``sequences``.
    train, validation, test
        Contigs or regions (``chr1:1-2000000``) that it learned from, that calibration and threshold were fitted on, and
        that were left out.
    exclude
        Those of which nothing was known.
    lengths
        Bases of the contigs that these lie on; models of earlier versions have none.
    init
        The model that it started from.
    calibration, calling
        Without a validation chromosome there is neither: probabilities are those of the network.
    metrics
        On the validation contigs.
    """

    model_config = ConfigDict(frozen=True, extra="allow")

    capsight: str = __version__
    task: Literal["track"] = "track"
    halo: int = Field(gt=0)
    members: int = Field(1, ge=1, le=_MOST_MEMBERS)
    counts: str = "ctss"
    train: tuple[str, ...] = ()
    validation: tuple[str, ...] = ()
    test: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    lengths: dict[str, int] = {}
    init: Ancestor | None = None
    calibration: Calibration | None = None
    calling: Calling | None = None
    metrics: dict[str, Any] = {}

    def learned(self, contigs: Mapping[str, int]) -> tuple[str, ...]:
        """Return which contigs and regions of a genome this model, or one that it started from, learned from.

        Parameters
        ----------
        contigs
            Name and bases of each contig of the genome. Contigs of other genomes may have the same names: lengths tell
            them apart, where the card has them.
        """
        found: dict[str, None] = {}
        model: TrackCard | Ancestor | None = self
        while model is not None:
            for region in model.train:
                contig = region if region in contigs else region.rpartition(":")[0]
                if contig in contigs and model.lengths.get(contig, contigs[contig]) == contigs[contig]:
                    found[region] = None
            model = model.init
        return tuple(sorted(found))


def is_track(folder: Path) -> bool:
    """Tell the folder of a track model from any other."""
    try:
        card = json.loads((folder / CARD).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(card, dict) and card.get("task") == TASK


class _Kind(BaseModel):
    """What the card of any network names: what it was trained for."""

    task: str


def check_card(folder: Path) -> None:
    """Refuse the folder of a network whose card is missing or names no kind of model: it is damaged.

    Raises
    ------
    InputError
        Of `read_checked`.
    """
    if any((folder / name).is_file() for name in (CARD, WEIGHTS)):
        read_checked(folder, _Kind.model_validate_json)


def save_track(model: TrackModel, card: TrackCard, folder: Path) -> None:
    """Write networks, weights and card into an existing folder."""
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()}
    save_file(tensors, folder / WEIGHTS, metadata={"format": "pt"})
    shape = {"model_type": _MODEL_TYPE, "members": len(model.networks), **model.config.model_dump(mode="json")}
    (folder / ARCHITECTURE).write_text(json.dumps(shape, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    text = card.model_dump_json(indent=2, exclude=None if card.exclude else {"exclude"})
    (folder / CARD).write_text(text + "\n", encoding="utf-8")


def read_track_card(folder: Path) -> TrackCard:
    """Read the card of a track model.

    Raises
    ------
    InputError
        If the folder lacks a file, or the card cannot be read.
    """
    return read_checked(folder, TrackCard.model_validate_json)


def load_track(folder: Path) -> tuple[TrackModel, TrackCard]:
    """Load a track model, in evaluation mode, on the CPU.

    Raises
    ------
    InputError
        If the folder is incomplete or damaged.
    """
    card = read_track_card(folder)
    try:
        shape = json.loads((folder / ARCHITECTURE).read_text(encoding="utf-8"))
        if shape.pop("model_type") != _MODEL_TYPE or shape.pop("members") != card.members:
            raise ValueError("another kind of network")
        model = TrackModel(TrackConfig.model_validate(shape), card.members)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        check_version(folder)
        raise InputError("does not describe a network that capsight knows", where=folder / ARCHITECTURE) from None
    try:
        weights = load_file(folder / WEIGHTS)
        model.load_state_dict(weights)
    except (SafetensorError, RuntimeError, OSError) as error:
        check_version(folder)
        reason = str(error).splitlines()[0]
        raise InputError(f"weights cannot be read: {reason}", where=folder / WEIGHTS) from None
    if not all(bool(weight.isfinite().all()) for weight in weights.values()):
        raise InputError(
            "holds weights that are not finite: its training went wrong", where=folder / WEIGHTS,
            remedy="train it anew, with a lower learning rate",
        )  # fmt: skip
    artefact.check_unchanged(folder)
    return model.eval(), card
