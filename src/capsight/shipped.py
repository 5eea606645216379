"""Models by name: folders of the user's own, and those that come with the package under ``capsight/models``."""

import json
import logging
import re
from difflib import get_close_matches
from importlib import resources
from pathlib import Path
from typing import Final

from pydantic import Field, ValidationError

from capsight.artefact import RECORD, read_record
from capsight.config.base import Config
from capsight.errors import InputError
from capsight.version import __version__

logger = logging.getLogger(__name__)

_FOLDER = Path(str(resources.files("capsight"))) / "models"
#: A folder with any of these is, or was, a model or a baseline.
_SIGNS: Final = ("capsight.json", "model.safetensors", "baseline.json")
#: Beside a shipped model: its card as text, and what the card says as numbers and sentences.
CARD_TEXT: Final = "README.md"
CARD_FACTS: Final = "card.json"

#: A metric with the ends of its 95 % interval, where it has one.
Measured = tuple[float, float | None, float | None]


class ModelCard(Config):
    """What is known of a shipped model; `benchmarks/ship.py` writes it, and fills README.md from it."""

    name: str
    species: str = Field(description="Scientific name.")
    data: tuple[str, ...] = Field(description="What it was trained on, in sentences.")
    licence: str = Field(description="Of the model, as SPDX names it.")
    limits: tuple[str, ...] = Field(description="What it cannot do, in sentences.")
    command: str = Field(description="What made it.")
    train: tuple[str, ...] = Field(description="Chromosomes that it was trained on.")
    validation: tuple[str, ...] = Field(description="Chromosomes that calibration and threshold were chosen on.")
    test: tuple[str, ...] = Field(description="Chromosomes that it was measured on.")
    minutes: float | None = Field(description="Time of training by the clock.")
    cpu_minutes: float | None = Field(description="Time of training of the processor.")
    threads: int
    precision: str
    network: str = Field("on convolutions alone", description="What its predictions are based on.")
    members: int = Field(1, description="Networks whose answers are averaged.")
    weights: int = Field(description="Numbers in all networks.")
    halo: int = Field(description="Bases on either side that an answer depends on.")
    unit: str = Field(description="What its expected tags count.")
    min_probability: float = Field(description="Default threshold of a scan.")
    calling_precision: float = Field(description="Precision of calls on the validation chromosomes at that threshold.")
    calling_recall: float = Field(description="Recall of calls on the validation chromosomes at that threshold.")
    bases: int = Field(description="Bases that were scanned, of one strand.")
    n_peaks: int = Field(description="Peaks that were to be found there.")
    n_windows: int = Field(description="Balanced windows that it was measured on.")
    scan: dict[str, Measured] = Field(description="Metrics of the scan; docs/evaluate.md has what each is.")
    windows: dict[str, Measured] = Field(description="Metrics of the balanced windows.")

    @property
    def bytes(self) -> int:
        """Size of the model folder."""
        return sum(path.stat().st_size for path in (_FOLDER / self.name).rglob("*") if path.is_file())


def shipped_models() -> list[str]:
    """Return the names of the models that come with this version."""
    return sorted(path.name for path in _FOLDER.iterdir() if path.is_dir()) if _FOLDER.is_dir() else []


def models() -> list[ModelCard]:
    """Return the cards of the models that come with this version.

    Raises
    ------
    InputError
        If one has no card that can be read: the installation is damaged.
    """
    return [read_card(name) for name in shipped_models()]


def read_card(name: str) -> ModelCard:
    """Return the card of a shipped model.

    Raises
    ------
    InputError
        If there is no such model, or it has no card that can be read.
    """
    path = _check_shipped(name) / CARD_FACTS
    try:
        return ModelCard.model_validate_json(path.read_text(encoding="utf-8"))
    except (OSError, ValidationError):
        raise InputError(
            "is missing or is no model card of this version", where=path, remedy="install capsight anew"
        ) from None


def read_card_text(name: str) -> str:
    """Return the card of a shipped model as Markdown, without the YAML for registries of models that begins it."""
    text = (_check_shipped(name) / CARD_TEXT).read_text(encoding="utf-8")
    return text.partition("---\n")[2].partition("---\n")[2] if text.startswith("---\n") else text


def _check_shipped(name: str) -> Path:
    """Return the folder of a shipped model; refuse any other name."""
    names = shipped_models()
    if name not in names:
        near = get_close_matches(name, names, n=1)
        meant = f"did you mean {near[0]}? " if near else ""
        raise InputError(
            "there is no shipped model of this name", where=name, remedy=f"{meant}shipped are: {', '.join(names)}"
        )
    return _FOLDER / name


def find_model(given: Path) -> Path:
    """Return the folder of a model: `given`, or the shipped model of that name.

    A folder that is a model goes before a shipped model of the same name, and any other file or folder after it; the
    log reports which one is used.

    Raises
    ------
    InputError
        If it is neither.
    """
    names = shipped_models()
    shipped = str(given) in names
    if _is_model(given):
        if shipped:
            logger.warning(
                "model: the folder %s hides the shipped model of that name: rename the folder to use the shipped one",
                given,
            )
        return given
    if shipped:
        if given.exists():
            logger.warning("model: %s is no model folder: the shipped model of that name is used", given.absolute())
        return _FOLDER / given
    if given.is_file():
        raise InputError("is a file, not a model folder", where=given, remedy=_remedy(given.parent, names))
    if given.exists():
        raise InputError("is not a model folder: it has no capsight.json", where=given, remedy=_remedy(given, names))
    raise InputError(
        "there is no such model folder, nor a shipped model of this name", where=given, remedy=_remedy(given, names)
    )


def _is_model(folder: Path) -> bool:
    """Tell a model or baseline, whole or not, from any other folder."""
    return any((folder / name).is_file() for name in _SIGNS)


def _remedy(given: Path, names: list[str]) -> str:
    """Return what may have been meant: a model inside the folder, or beside it, or a shipped one."""
    inside = sorted(path for path in given.glob("*") if _is_model(path)) if given.is_dir() else []
    if inside or _is_model(given):
        return f"did you mean {inside[0] if inside else given}?"
    beside = [str(path) for path in given.parent.glob("*") if _is_model(path)] if given.parent.is_dir() else []
    near = get_close_matches(str(given), [*names, *beside], n=1)
    meant = f"did you mean {near[0]}? " if near else ""
    return f"{meant}shipped are: {', '.join(names)}"


def check_version(folder: Path) -> None:
    """Refuse a model folder that cannot be read because a newer version made it.

    Raises
    ------
    InputError
        If its card or its record names a newer version.
    """
    if made_by := newer_version(folder):
        raise InputError(
            f"was made by capsight {made_by}, which is newer than this one, {__version__}", where=folder,
            remedy="update capsight",
        )  # fmt: skip


def newer_version(folder: Path) -> str | None:
    """Return the version that made a model folder, where it is newer than this one."""
    try:
        card = json.loads((folder / "capsight.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        card = {}
    made_by = card.get("capsight") if isinstance(card, dict) else None
    made_by = str(made_by or read_record(folder / RECORD).get("capsight"))
    return made_by if _release(made_by) > _release(__version__) else None


def _release(version: str) -> tuple[int, ...]:
    """Return the numbers that a version begins with; none of what is no version."""
    found = re.match(r"\d+(\.\d+)*", version)
    return tuple(int(part) for part in found[0].split(".")) if found else ()
