"""All settings of a stage as text: keys, kinds, defaults, limits. Needs nothing but pydantic."""

import inspect
import types
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from annotated_types import Ge, Gt, Le, Lt
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

LIMITS = {Ge: ("ge", "≥"), Gt: ("gt", ">"), Le: ("le", "≤"), Lt: ("lt", "<")}
#: Limits beyond are there to refuse nonsense; nobody needs to read them.
LARGE = 10_000
KINDS = {str: "text", int: "whole number", float: "number", bool: "true or false", Path: "path", type(None): "none"}


def settings_of(model: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, FieldInfo]]:
    """Yield all settings of a model by their keys, shared ones last; those of its parts are ``part.key``."""
    own = inspect.get_annotations(model)
    for name, field in sorted(model.model_fields.items(), key=lambda item: item[0] not in own):
        yield prefix + name, field
        for part in models_in(field.annotation):
            yield from settings_of(part, f"{prefix}{name}.")


def models_in(annotation: Any) -> list[type[BaseModel]]:
    """Return the settings models in an annotation."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    found = [part for argument in typing.get_args(annotation) for part in models_in(argument)]
    return list(dict.fromkeys(found))


def kind_of(annotation: Any) -> str:
    """Return what a setting takes, in words."""
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Annotated:
        return kind_of(arguments[0])
    if origin in (typing.Union, types.UnionType):
        return " or ".join(dict.fromkeys(kind_of(part) for part in arguments if part is not type(None)))
    if origin is typing.Literal:
        return " | ".join(str(value) for value in arguments)
    if origin in (tuple, list):
        inner = [kind_of(part) for part in arguments if part is not Ellipsis]
        return f"list of: {inner[0]}" if Ellipsis in arguments or origin is list else ", ".join(inner)
    if models_in(annotation):
        return "settings below"
    return KINDS.get(annotation, getattr(annotation, "__name__", str(annotation)))


def default_of(field: FieldInfo) -> str:
    """Return a setting's default as YAML has it; empty for none, and for a part, whose settings have their own."""
    value = field.get_default(call_default_factory=True)
    if value is PydanticUndefined:
        return "required"
    if value is None or value == () or value == "" or isinstance(value, BaseModel):
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple | list):
        return "[" + ", ".join(str(part) for part in value) + "]"
    return f"{value:g}" if isinstance(value, float) else str(value)


def limits_of(field: FieldInfo) -> str:
    """Return the limits of a number."""
    found = []
    for limit in field.metadata:
        if type(limit) in LIMITS:
            name, sign = LIMITS[type(limit)]
            value = getattr(limit, name)
            if abs(value) <= LARGE and value not in (-1,):
                found.append(f"{sign} {value:g}")
    return ", ".join(found)
