"""Models that come with the package: folders under ``capsight/models``, found by name."""

from importlib import resources
from pathlib import Path

from capsight.errors import InputError

_FOLDER = Path(str(resources.files("capsight"))) / "models"


def shipped_models() -> list[str]:
    """Return the names of the models that come with this version."""
    return sorted(path.name for path in _FOLDER.iterdir() if path.is_dir()) if _FOLDER.is_dir() else []


def find_model(given: Path) -> Path:
    """Return the folder of a model: `given`, or where there is none, the shipped model of that name.

    Raises
    ------
    InputError
        If it is neither.
    """
    if given.exists():
        return given
    names = shipped_models()
    if str(given) in names:
        return _FOLDER / given
    raise InputError(
        "there is no such model folder, nor a shipped model of this name", where=given,
        remedy=f"shipped are: {', '.join(names)}",
    )  # fmt: skip
