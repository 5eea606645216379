"""What the folders of all networks have in common: the names of their files, and a card that is read with care."""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeVar

from pydantic import BaseModel

from capsight.errors import InputError
from capsight.shipped import check_version, newer_version

logger = logging.getLogger(__name__)

ARCHITECTURE: Final = "config.json"
WEIGHTS: Final = "model.safetensors"
CARD: Final = "capsight.json"

Card = TypeVar("Card", bound=BaseModel)


def read_checked(folder: Path, parse: Callable[[str], Card]) -> Card:
    """Read the card of a model folder that has all its files.

    Parameters
    ----------
    parse
        Makes the card of the text of its file.

    Raises
    ------
    InputError
        If the folder lacks a file, or this version cannot read the card; of `parse`.
    """
    for name in (CARD, ARCHITECTURE, WEIGHTS):
        if not (folder / name).is_file():
            raise InputError(
                f"is not a model folder: {name} is missing", where=folder, remedy="copy it whole, or train it anew"
            )
    try:
        card = parse((folder / CARD).read_text(encoding="utf-8"))
    except (ValueError, RecursionError):
        check_version(folder)
        raise InputError("is not a model card that this version of capsight can read", where=folder / CARD) from None
    if card.model_extra:  # what a newer version means by it would be left out
        check_version(folder)
    elif made_by := newer_version(folder):
        logger.warning("model: %s was made by capsight %s, which is newer than this one", folder, made_by)
    return card
