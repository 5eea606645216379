"""Variables of a recipe: ``${name}`` in a string stands for one of several texts; ``--set name=choice`` chooses.

A choice may bring settings of its own, which go before those of the recipe.
"""

import logging
import re
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, Field

from capsight.config.base import Config, Names
from capsight.config.recipe import Recipe
from capsight.config.yaml_files import parse
from capsight.errors import ConfigError

logger = logging.getLogger(__name__)

VARIABLES = "variables"
_USE = re.compile(r"\$\{(\w+)\}")


def _names(value: object) -> object:
    """Return the choices where each has settings of its own."""
    return list(value) if isinstance(value, dict) else value


class _Declared(Config):
    """The section of a recipe that declares its variables."""

    variables: dict[str, Annotated[Names, BeforeValidator(_names), Field(min_length=1)]]


def fill_variables(
    values: Mapping[str, Any], assignments: Sequence[str], *, where: object, model: type[BaseModel] = Recipe
) -> tuple[dict[str, Any], list[str]]:
    """Put the choice of each variable into the strings of a recipe that name it.

    Without a section `variables`, ``${name}`` is text like any other.

    Parameters
    ----------
    values
        A recipe as read. Its section `variables` gives the choices of each variable, as a list, or as a mapping to the
        settings that each brings; the first is the default.
    assignments
        ``key=value`` assignments, some of which may choose.
    where
        The recipe, for messages.
    model
        What the other assignments set.

    Returns
    -------
    values, assignments
        The recipe without that section, and the assignments to its settings.

    Raises
    ------
    ConfigError
        If a choice is none of the variable's, or the recipe names a variable that it does not declare, or the reverse.
    """
    declared = declared_variables(values, where=where)
    chosen, rest = dict[str, str](), list[str]()
    for assignment in assignments:
        key, separator, text = assignment.partition("=")
        if key in declared and separator:
            if text not in declared[key]:
                raise ConfigError(f"--set {assignment!r}: {key} is one of {', '.join(declared[key])}")
            chosen[key] = text
        elif key not in model.model_fields and (near := get_close_matches(key, declared, n=1)):
            raise ConfigError(f"--set {assignment!r}: unknown key {key!r}; did you mean {near[0]!r}?")
        else:
            rest.append(assignment)
    for name, choices in declared.items():
        if name not in chosen and len(choices) > 1:
            logger.info("recipe: %s is %s; --set %s= takes %s too", name, choices[0], name, ", ".join(choices[1:]))
    filled: dict[str, Any] = {key: value for key, value in values.items() if key != VARIABLES}
    if not declared:
        return filled, rest
    for name, choices in declared.items():
        if isinstance(choice := values[VARIABLES][name], dict):
            filled = _joined(filled, choice[chosen.get(name, choices[0])] or {}, f"{VARIABLES}.{name}", where)
    if unknown := _used(filled) - set(declared):
        raise ConfigError(f"{VARIABLES} has no {sorted(unknown)[0]!r}, which the recipe uses", where=where)
    if unused := set(declared) - _used(filled):
        raise ConfigError(f"{VARIABLES}.{sorted(unused)[0]}: is used nowhere in the recipe", where=where)
    return _filled(filled, {name: chosen.get(name, choices[0]) for name, choices in declared.items()}), rest


def declared_variables(values: Mapping[str, Any], *, where: object) -> dict[str, tuple[str, ...]]:
    """Return the variables of a recipe, as read, with the choices of each.

    Raises
    ------
    ConfigError
        If one has no choices, or a name that cannot be set.
    """
    declared = parse(_Declared, {VARIABLES: values.get(VARIABLES) or {}}, where=where).variables
    for name in declared:
        if name in Recipe.model_fields:
            raise ConfigError(f"{VARIABLES}.{name}: is the name of a section", where=where)
        if not re.fullmatch(r"\w+", name):
            raise ConfigError(f"{VARIABLES}.{name}: a name has letters, digits and _ only", where=where)
    return declared


def _joined(values: Mapping[str, Any], others: Any, name: str, where: object) -> dict[str, Any]:
    """Return settings with others in their place, section by section."""
    if not isinstance(others, dict):
        raise ConfigError(f"{name}: a choice has a mapping of settings, or nothing", where=where)
    return dict(values) | {
        key: _joined(values[key], value, name, where)
        if isinstance(value, dict) and isinstance(values.get(key), dict)
        else value
        for key, value in others.items()
    }


def _used(value: Any) -> set[str]:
    """Return the variables that the strings of a recipe name."""
    if isinstance(value, str):
        return set(_USE.findall(value))
    items = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return set[str]().union(*map(_used, items))


def _filled(value: Any, chosen: Mapping[str, str]) -> Any:
    """Return settings with every variable in their strings replaced."""
    if isinstance(value, str):
        return _USE.sub(lambda found: chosen[found[1]], value)
    if isinstance(value, dict):
        return {key: _filled(item, chosen) for key, item in value.items()}
    return [_filled(item, chosen) for item in value] if isinstance(value, list) else value
