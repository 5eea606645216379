"""Settings as YAML and as ``key=value``: read strictly, and written as they were used."""

from collections.abc import Iterable, Iterator, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any, TypeVar, get_args

import yaml
from pydantic import BaseModel, ValidationError

from capsight.config import plain_yaml
from capsight.config.base import is_bookkeeping
from capsight.data.io.text import readable
from capsight.errors import ConfigError

AnyConfig = TypeVar("AnyConfig", bound=BaseModel)

#: Characters of a setting that a message quotes.
LONGEST_SHOWN = 60
#: Tag of a key that merges another mapping into its own (``<<: *anchor``).
MERGE = "tag:yaml.org,2002:merge"
_ABSENT = object()


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


class _Loader(plain_yaml.PlainLoader):
    """A safe loader, which in addition refuses a key that is given twice and names the line of any bad value."""

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        """Compose a mapping, each of whose keys is there once; those of a merge (``<<``) may be given anew."""
        node = super().compose_mapping_node(anchor)
        lines: dict[tuple[str, str], int] = {}
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode) or key.tag == MERGE:
                continue
            if first := lines.get((key.tag, key.value)):
                raise _GivenTwice(
                    None, None, f"key {key.value!r} is given twice, first in line {first}", key.start_mark
                )
            lines[key.tag, key.value] = key.start_mark.line + 1
        return node

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        """Make a value; what Python cannot make of it (a number of 5,000 digits, the 13th month) has a line too."""
        try:
            return super().construct_object(node, deep=deep)
        except (ValueError, TypeError, AttributeError, LookupError, ArithmeticError) as error:
            raise yaml.constructor.ConstructorError(None, None, f"{error}", node.start_mark) from None


class _GivenTwice(yaml.constructor.ConstructorError):
    """A key stands twice in one mapping."""


def load_yaml(path: Path) -> dict[str, Any]:
    """Read a YAML mapping with the safe loader.

    Raises
    ------
    ConfigError
        If the file is missing, is not YAML, gives a key twice, or does not hold a mapping.
    """
    try:
        text = readable(path).read_text(encoding="utf-8-sig")
        values = yaml.load(text, _Loader)  # noqa: S506 (derived from the safe one)
    except OSError as error:
        raise ConfigError(f"cannot be read: {error.strerror}", where=path) from None
    except UnicodeDecodeError:
        raise ConfigError("is not a text file in UTF-8", where=path) from None
    except RecursionError:
        raise ConfigError("is nested too deep for a file of settings", where=path) from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"{path}:{mark.line + 1}" if mark else path
        raise ConfigError(_yaml_problem(error), where=where) from None
    if not isinstance(values, dict):
        raise ConfigError("holds no settings: a mapping of stages to settings is expected", where=path)
    try:
        return {key: _apart(value) for key, value in values.items()}
    except RecursionError:  # an anchor inside of itself
        raise ConfigError("is nested too deep for a file of settings", where=path) from None


def _yaml_problem(error: yaml.YAMLError) -> str:
    """Say in one line why a text is not YAML."""
    reason = str(getattr(error, "problem", None) or error).splitlines()[0]
    return reason if isinstance(error, _GivenTwice) else f"is not valid YAML: {reason}"


def override(values: dict[str, Any], assignments: Iterable[str]) -> dict[str, Any]:
    """Return `values` with ``key.subkey=value`` assignments applied; values are read as YAML.

    Raises
    ------
    ConfigError
        If an assignment is none, or sets something inside of a value that is no section.
    """
    result: dict[str, Any] = _apart(values)
    for assignment in assignments:
        key, separator, text = assignment.partition("=")
        if not separator or not key:
            raise ConfigError(f"--set {assignment!r} is not of the form key=value")
        *parents, last = key.split(".")
        if not all(part.strip() == part != "" for part in (*parents, last)):
            raise ConfigError(f"--set {assignment!r}: {key!r} is not a key, or keys joined by single dots")
        target = result
        for number, parent in enumerate(parents, start=1):
            child = target.get(parent)
            if child is None or isinstance(child, bool):  # false, true and nothing may stand for a section
                child = target[parent] = {}
            elif not isinstance(child, dict):
                section = ".".join(parents[:number])
                raise ConfigError(f"--set {assignment!r}: {section} is {_shown(child)}, not a section with settings")
            target = child
        try:
            target[last] = yaml.load(text, _Loader)  # noqa: S506 (derived from the safe one)
        except RecursionError:
            raise ConfigError(f"--set {key}: the value is nested too deep") from None
        except yaml.YAMLError as error:
            raise ConfigError(f"--set {assignment!r}: {_yaml_problem(error)}") from None
    return result


def _apart(value: Any) -> Any:
    """Copy settings such that sections which share an anchor are each changed alone."""
    if isinstance(value, dict):
        return {key: _apart(item) for key, item in value.items()}
    return [_apart(item) for item in value] if isinstance(value, list) else value


def dump(config: BaseModel) -> dict[str, Any]:
    """Return a config as plain YAML-ready values."""
    return config.model_dump(mode="json")


def results_only(config: BaseModel, values: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Return the settings that a result depends on: all but bookkeeping, such as how often a checkpoint is written.

    Parameters
    ----------
    config
        Says which settings are bookkeeping.
    values
        Settings of the same stage as an earlier record has them; default those of `config`.
    """
    return _without_bookkeeping([type(config)], dump(config) if values is None else values)


def _without_bookkeeping(models: list[type[BaseModel]], values: Mapping[str, Any]) -> dict[str, Any]:
    """Drop the bookkeeping from the settings of any of several models, at every depth."""
    fields = {name: field for model in models for name, field in model.model_fields.items()}
    kept: dict[str, Any] = {}
    for name, value in values.items():
        if name in fields and is_bookkeeping(fields[name]):
            continue
        nested = list(_nested_models(fields[name].annotation)) if name in fields else []
        if isinstance(value, Mapping):
            value = _without_bookkeeping(nested, value)
        elif isinstance(value, list | tuple):
            value = [_without_bookkeeping(nested, item) if isinstance(item, Mapping) else item for item in value]
        kept[name] = value
    return kept


def _nested_models(annotation: Any) -> Iterator[type[BaseModel]]:
    """Yield the config models that a field's annotation names, inside of unions and tuples too."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in get_args(annotation):
        yield from _nested_models(part)


def differences(old: Mapping[str, Any], new: Mapping[str, Any], prefix: str = "") -> list[str]:
    """Return what differs between two dumps of settings, such as ``relora_phase.steps was 900, is 300``."""
    found = []
    for name in dict.fromkeys([*old, *new]):
        before, after = (values.get(name, _ABSENT) for values in (old, new))
        if isinstance(before, Mapping) and isinstance(after, Mapping):
            found += differences(before, after, f"{prefix}{name}.")
        elif before != after:
            found.append(f"{prefix}{name} was {_shown(before)}, is {_shown(after)}")
    return found


def _shown(value: object) -> str:
    """Return a setting as one would write it in a recipe, cut where it is long."""
    if value is _ABSENT:
        return "absent"
    text = yaml.safe_dump(value, default_flow_style=True, sort_keys=False, width=10_000).removesuffix("\n...\n").strip()
    return text if len(text) <= LONGEST_SHOWN else f"{text[:LONGEST_SHOWN]}…"


def _explain(model: type[BaseModel], error: ValidationError) -> str:
    """Say the first problem of a validation error in one line."""
    problems = [e for e in error.errors() if "literal[" not in str(e["loc"])] or error.errors()
    first = problems[0]
    *within, last = first["loc"] or ("",)
    path = [part for part in within if not _is_union_tag(part)]
    if first["type"] == "extra_forbidden" or not _is_union_tag(last):  # a key of the user's may look like a tag
        path.append(last)
    key = ".".join(str(part) for part in path)
    more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
    if first["type"] == "extra_forbidden":
        return f"unknown key {key!r}{_hint(model, path)}{more}"
    if first["type"] == "missing":
        return f"{key!r} is missing{more}"
    message = first["msg"].removeprefix("Value error, ")
    shown = f", not {first['input']!r}" if isinstance(first["input"], str | int | float | bool) else ""
    return f"{key}: {message}{shown}{more}" if key else f"{message}{more}"


def _is_union_tag(part: str | int) -> bool:
    """Tell pydantic's names of union members (``function-after[…, ReloraConfig]``) from keys."""
    return isinstance(part, str) and ("[" in part or part.endswith("Config"))


def _hint(model: type[BaseModel], path: list[str | int]) -> str:
    """Return the setting that an unknown key may have meant: one of its own section, or its namesake in another."""
    *section, name = path
    models = [model]
    for part in section:  # numbers are places in a list, whose items the annotation of the list names
        if isinstance(part, str):
            found = [m.model_fields[part].annotation for m in models if part in m.model_fields]
            models = [nested for annotation in found for nested in _nested_models(annotation)]
    own = {key: ".".join(map(str, (*section, key))) for m in models for key in m.model_fields}
    near = get_close_matches(str(name), own, n=1)
    elsewhere = [place for place in _places(model) if place.rpartition(".")[2] == name]
    meant = own[near[0]] if near else min(elsewhere, key=lambda place: place.count("."), default=None)
    return f"; did you mean {meant!r}?" if meant else ""


def _places(model: type[BaseModel], prefix: str = "") -> Iterator[str]:
    """Yield the dotted paths of all settings of a model, and of the models nested in it."""
    for name, field in model.model_fields.items():
        yield f"{prefix}{name}"
        for nested in _nested_models(field.annotation):
            yield from _places(nested, f"{prefix}{name}.")
