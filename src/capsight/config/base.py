"""What all settings have in common."""

import os
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator
from pydantic.fields import FieldInfo


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
    """Accept ``true`` where settings with defaults are expected.

    Raises
    ------
    ValueError
        If nothing is given: that may mean either.
    """
    if value is None:
        raise ValueError("is empty: write true for its defaults, or false")
    return {} if value is True else value


def at_most(limit: float) -> AfterValidator:
    """Return a limit above which training is known to diverge, and the error that says so."""

    def check(value: float) -> float:
        if value > limit:
            raise ValueError(f"must be at most {limit:,.0f}: training diverges above")
        return value

    return AfterValidator(check)


#: NumPy and PyTorch take no seeds beyond.
LARGEST_SEED = 2**32 - 1
#: More of anything fits into no memory.
MOST = 1_000_000_000_000

Seed = Annotated[int, Field(ge=0, le=LARGEST_SEED)]
#: Learning rates, weight decays, scales and weights of a loss: numbers beyond are no longer finite in single precision.
Moderate = Annotated[float, at_most(1_000_000)]
Names = Annotated[tuple[str, ...], BeforeValidator(names)]
Paths = Annotated[tuple[Path, ...], BeforeValidator(split_paths)]

#: Marks a field that changes no result: ``Field(500, json_schema_extra=BOOKKEEPING)``.
BOOKKEEPING: dict[str, Any] = {"bookkeeping": True}


def is_bookkeeping(field: FieldInfo) -> bool:
    """Tell whether a setting changes no byte of the result, so that unfinished work goes on under another value."""
    extra = field.json_schema_extra
    return isinstance(extra, dict) and bool(extra.get("bookkeeping"))


class Config(BaseModel):
    """Base of all settings: frozen, and strict about unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, defer_build=True)

    @model_validator(mode="before")
    @classmethod
    def _take_empty(cls, values: Any) -> Any:
        """Take a section without a line in it, which YAML reads as null, for its defaults."""
        return {} if values is None else values
