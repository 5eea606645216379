"""Directives that write the reference from the code, so that no table of it is kept by hand.

``{command} scan`` lists arguments and options as the command's ``--help`` does (typer), ``{settings} scan`` every
setting with its kind, default and limits (pydantic), ``{stages}`` the function of every stage.
"""

import re
from typing import Any

from docutils import nodes
from pydantic.fields import FieldInfo
from settings_text import default_of, kind_of, limits_of, models_in, settings_of
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective


def _item(key: str, anchor: str, notes: list[str], text: str) -> nodes.definition_list_item:
    """Return one entry of a list of options or settings."""
    term = nodes.term("", "", nodes.literal(key, key), ids=[anchor])
    about = "; ".join(note for note in notes if note)
    if about:
        term += [nodes.Text(" "), nodes.inline("", about, classes=["kind"])]
    # Options stay as they are typed: in running text, two hyphens would become a dash.
    parts = re.split(r"(--[a-z][\w-]*)", text)
    words = [nodes.literal(part, part) if number % 2 else nodes.Text(part) for number, part in enumerate(parts)]
    return nodes.definition_list_item("", term, nodes.definition("", nodes.paragraph("", "", *words)))


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
        parts = models_in(field.annotation)
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
                key = key.replace("<list[str]>", "<text>").replace("<str>", "<text>")
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
