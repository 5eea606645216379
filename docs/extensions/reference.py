"""Directives that write the reference from the code, so that no table of it is kept by hand.

``{command} scan`` lists arguments and options as the command's ``--help`` does (typer), ``{settings} scan`` every
setting with its kind, default and limits (pydantic), ``{stages}`` the function of every stage.
"""

import types
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from annotated_types import Ge, Gt, Le, Lt
from docutils import nodes
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

LIMITS = {Ge: ("ge", "≥"), Gt: ("gt", ">"), Le: ("le", "≤"), Lt: ("lt", "<")}
#: Limits beyond are there to refuse nonsense; nobody needs to read them.
LARGE = 10_000
KINDS = {str: "text", int: "whole number", float: "number", bool: "true or false", Path: "path", type(None): "none"}


def settings_of(model: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, FieldInfo]]:
    """Yield all settings of a model by their keys; those of its parts are ``part.key``."""
    for name, field in model.model_fields.items():
        yield prefix + name, field
        for part in _models(field.annotation):
            yield from settings_of(part, f"{prefix}{name}.")


def _models(annotation: Any) -> list[type[BaseModel]]:
    """Return the settings models in an annotation."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    found = [part for argument in typing.get_args(annotation) for part in _models(argument)]
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
    if _models(annotation):
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


def _item(key: str, anchor: str, notes: list[str], text: str) -> nodes.definition_list_item:
    """Return one entry of a list of options or settings."""
    term = nodes.term("", "", nodes.literal(key, key), ids=[anchor])
    about = "; ".join(note for note in notes if note)
    if about:
        term += [nodes.Text(" "), nodes.inline("", about, classes=["kind"])]
    return nodes.definition_list_item("", term, nodes.definition("", nodes.paragraph("", text)))


class Settings(SphinxDirective):
    """``{settings} train``: all settings of a stage."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Return the list."""
        from capsight import config

        stage = self.arguments[0]
        name = "".join(part.capitalize() for part in stage.split("-")) + "Config"
        entries = nodes.definition_list(classes=["settings"])
        for key, field in settings_of(getattr(config, name)):
            default = default_of(field)
            notes = [
                kind_of(field.annotation),
                default if default in ("", "required") else f"default {default}",
                limits_of(field),
            ]
            anchor = nodes.make_id(f"setting {stage} {key}")
            entries += _item(key, anchor, notes, field.description or self._about(field))
        return [entries]

    @staticmethod
    def _about(field: FieldInfo) -> str:
        """Return the first line of the docstring of a part."""
        parts = _models(field.annotation)
        return (parts[0].__doc__ or "").strip().splitlines()[0] if parts else ""


class Command(SphinxDirective):
    """``{command} scan``: what it does, usage, arguments, options and example."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Return the paragraphs."""
        import typer

        from capsight.cli.commands import app

        group = typer.main.get_command(app)
        name = self.arguments[0]
        command = group.commands[name]  # type: ignore[attr-defined]
        context = type(command).context_class(command, info_name=f"capsight {name}")
        usage = " ".join(command.collect_usage_pieces(context))
        entries = nodes.definition_list(classes=["settings"])
        for parameter in command.params:
            if record := parameter.get_help_record(context):
                key, text = record
                anchor = nodes.make_id(f"option {name} {parameter.name}")
                entries += _item(key, anchor, [], text)
        example = (command.epilog or "").removeprefix("Example:").strip()
        blocks = [nodes.literal_block("", text, language="console") for text in (f"capsight {name} {usage}", example)]
        about = nodes.paragraph("", " ".join((command.help or "").split()))
        return [about, blocks[0], entries, nodes.paragraph("", "Example:"), blocks[1]]


class Stages(SphinxDirective):
    """``{stages}``: the function of every stage, with its docstring."""

    def run(self) -> list[nodes.Node]:
        """Return the functions."""
        from docutils.statemachine import StringList

        import capsight

        lines = [f".. autofunction:: capsight.{name}" for name in capsight._STAGES]
        text = ["```{eval-rst}", *[part for line in lines for part in (line, "")], "```"]
        holder = nodes.section()
        self.state.nested_parse(StringList(text), self.content_offset, holder)
        return holder.children


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the directives."""
    app.add_directive("settings", Settings)
    app.add_directive("command", Command)
    app.add_directive("stages", Stages)
    return {"version": "1", "parallel_read_safe": True, "env_version": 1}
