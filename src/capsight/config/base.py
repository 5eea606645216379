"""What all settings have in common."""

import os
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict


def split(value: object) -> object:
    """Accept ``chrI,chrII`` where a list of names is expected."""
    return [part for part in value.split(",") if part] if isinstance(value, str) else value


def split_paths(value: object) -> object:
    """Accept ``a.bed,b.bed`` where a list of files is expected; a file that exists may have commas."""
    parts = [value] if isinstance(value, str) else value
    if not isinstance(parts, list | tuple):
        return value
    return [path for part in parts for path in (split(part) if _is_list(part) else [part])]  # type: ignore[attr-defined]


def _is_list(value: object) -> bool:
    """Tell several paths with commas between them from one path."""
    return isinstance(value, str) and "," in value and not os.path.lexists(value)


def names(value: object) -> object:
    """Accept names as `split` does, and whole numbers, as which YAML reads the names of many chromosomes.

    Raises
    ------
    ValueError
        If YAML made something else of a name: which one it was cannot be known any more.
    """
    parts = split(value) if isinstance(value, str) else value
    parts = list(parts) if isinstance(parts, list | tuple) else [parts]
    for part in parts:
        if isinstance(part, bool | float) or part is None:
            raise ValueError(
                f"{part!r} is no name: so YAML reads on, off, yes, no, null and numbers with a point. Put the name in "
                "quotes, such as 'on'"
            )
    return [str(part) if isinstance(part, int) else part for part in parts]


def switched_on(value: object) -> object:
    """Accept ``true`` where settings with defaults are expected."""
    return {} if value is True else value


Names = Annotated[tuple[str, ...], BeforeValidator(names)]
Paths = Annotated[tuple[Path, ...], BeforeValidator(split_paths)]


class Config(BaseModel):
    """Base of all settings: frozen, and strict about unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
