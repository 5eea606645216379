"""Settings as YAML and as ``key=value``: read strictly, and written as they were used."""

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from capsight import plain_yaml
from capsight.data.text import readable
from capsight.errors import ConfigError

AnyConfig = TypeVar("AnyConfig", bound=BaseModel)


def parse(model: type[AnyConfig], values: Mapping[str, Any], *, where: object = None) -> AnyConfig:
    """Validate `values` against a config model.

    Raises
    ------
    ConfigError
        Naming the first wrong key or value, and the nearest known key.
    """
    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise ConfigError(_explain(model, error), where=where) from None


def load_yaml(path: Path) -> dict[str, Any]:
    """Read a YAML mapping with the safe loader.

    Raises
    ------
    ConfigError
        If the file is missing, is not YAML, or does not hold a mapping.
    """
    try:
        values = plain_yaml.load(readable(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"cannot be read: {error.strerror}", where=path) from None
    except UnicodeDecodeError:
        raise ConfigError("is not a text file", where=path) from None
    except RecursionError:
        raise ConfigError("is nested too deep for a file of settings", where=path) from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"{path}:{mark.line + 1}" if mark else path
        raise ConfigError(f"is not valid YAML: {getattr(error, 'problem', error)}", where=where) from None
    if not isinstance(values, dict):
        raise ConfigError("holds no settings: a mapping of stages to settings is expected", where=path)
    return values


def override(values: dict[str, Any], assignments: Iterable[str]) -> dict[str, Any]:
    """Return `values` with ``key.subkey=value`` assignments applied; values are read as YAML."""
    result = plain_yaml.load(yaml.safe_dump(values))
    for assignment in assignments:
        key, separator, text = assignment.partition("=")
        if not separator or not key:
            raise ConfigError(f"--set {assignment!r} is not of the form key=value")
        *parents, last = key.split(".")
        target = result
        for parent in parents:
            child = target.get(parent)
            if not isinstance(child, dict):
                child = target[parent] = {}
            target = child
        try:
            target[last] = plain_yaml.load(text)
        except yaml.YAMLError:
            raise ConfigError(f"--set {assignment!r}: the value is not valid YAML") from None
    return result


def dump(config: BaseModel) -> dict[str, Any]:
    """Return a config as plain YAML-ready values."""
    return config.model_dump(mode="json")


def _explain(model: type[BaseModel], error: ValidationError) -> str:
    """Say the first problem of a validation error in one line."""
    problems = [e for e in error.errors() if "literal[" not in str(e["loc"])] or error.errors()
    first = problems[0]
    key = ".".join(str(part) for part in first["loc"] if not _is_union_tag(part))
    more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
    if first["type"] == "extra_forbidden":
        known = _known_keys(model)
        near = get_close_matches(str(first["loc"][-1]), known, n=1)
        hint = f"; did you mean {known[near[0]]!r}?" if near else ""
        return f"unknown key {key!r}{hint}{more}"
    if first["type"] == "missing":
        return f"{key!r} is missing{more}"
    message = first["msg"].removeprefix("Value error, ")
    shown = f", not {first['input']!r}" if isinstance(first["input"], str | int | float | bool) else ""
    return f"{key}: {message}{shown}{more}" if key else f"{message}{more}"


def _is_union_tag(part: str | int) -> bool:
    """Tell pydantic's names of union members (``function-after[…, ReloraConfig]``) from keys."""
    return isinstance(part, str) and ("[" in part or part.endswith("Config"))


def _known_keys(model: type[BaseModel]) -> dict[str, str]:
    """Map every key of a model, and of the models nested in it, to its dotted path (the shortest one)."""
    keys: dict[str, str] = {}
    pending: list[tuple[str, type[BaseModel]]] = [("", model)]
    for prefix, nested in pending:
        for name, field in nested.model_fields.items():
            keys.setdefault(name, f"{prefix}{name}")
            options = getattr(field.annotation, "__args__", (field.annotation,))
            pending += [(f"{prefix}{name}.", o) for o in options if isinstance(o, type) and issubclass(o, BaseModel)]
    return keys
