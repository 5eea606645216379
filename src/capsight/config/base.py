"""What all settings have in common."""

from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict


def split(value: object) -> object:
    """Accept ``chrI,chrII`` where a list of names is expected."""
    return [part for part in value.split(",") if part] if isinstance(value, str) else value


def switched_on(value: object) -> object:
    """Accept ``true`` where settings with defaults are expected."""
    return {} if value is True else value


Names = Annotated[tuple[str, ...], BeforeValidator(split)]
Paths = Annotated[tuple[Path, ...], BeforeValidator(split)]


class Config(BaseModel):
    """Base of all settings: frozen, and strict about unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
