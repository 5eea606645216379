"""Models by name: folders of the user's own, and those that come with the package under ``capsight/models``."""

import json
import logging
import re
from difflib import get_close_matches
from importlib import resources
from pathlib import Path
from typing import Final

from capsight import __version__
from capsight.artefact import RECORD, read_record
from capsight.errors import InputError

logger = logging.getLogger(__name__)

_FOLDER = Path(str(resources.files("capsight"))) / "models"
#: A folder with any of these is, or was, a model or a baseline.
_SIGNS: Final = ("capsight.json", "model.safetensors", "baseline.json")


def shipped_models() -> list[str]:
    """Return the names of the models that come with this version."""
    return sorted(path.name for path in _FOLDER.iterdir() if path.is_dir()) if _FOLDER.is_dir() else []


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
