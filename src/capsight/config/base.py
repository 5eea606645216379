"""What all settings have in common."""

from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict
from pydantic.fields import FieldInfo


def split(value: object) -> object:
    """Accept ``chrI,chrII`` where a list of names is expected."""
    return [part for part in value.split(",") if part] if isinstance(value, str) else value


def switched_on(value: object) -> object:
    """Accept ``true`` where settings with defaults are expected."""
    return {} if value is True else value


Names = Annotated[tuple[str, ...], BeforeValidator(split)]
Paths = Annotated[tuple[Path, ...], BeforeValidator(split)]

#: Marks a field that changes no result: ``Field(500, json_schema_extra=BOOKKEEPING)``.
BOOKKEEPING: dict[str, Any] = {"bookkeeping": True}


def is_bookkeeping(field: FieldInfo) -> bool:
    """Tell whether a setting changes no byte of the result, so that unfinished work goes on under another value."""
    extra = field.json_schema_extra
    return isinstance(extra, dict) and bool(extra.get("bookkeeping"))


class Config(BaseModel):
    """Base of all settings: frozen, and strict about unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
