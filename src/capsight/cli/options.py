"""Options that several commands declare, and how they become settings; those that all have are in `shared`."""

import logging
import os
import re
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer
from pydantic import BaseModel

from capsight.config import ASSET_SETTINGS, Recipe
from capsight.version import __version__

logger = logging.getLogger(__name__)


def print_version(wanted: bool) -> None:
    """Print the version and stop."""
    if wanted:
        typer.echo(f"capsight {__version__}")
        raise typer.Exit


def follows() -> str:
    """Return the number of this process, where it is one of several that train together and not the first."""
    several = os.environ.get("WORLD_SIZE", "1") not in ("", "-1", "1")
    rank = os.environ.get("RANK", "0")
    return rank if several and rank not in ("", "-1", "0") else ""


def _give_up_unfinished(wanted: bool) -> bool:
    """Allow a stage to clear what an interrupted training of other settings left."""
    if wanted:
        from capsight.artefact import RESTART

        RESTART.set(True)
    return wanted


GENOME = "FASTA (plain or bgzip), 2bit, a folder of FASTA files, or an asset such as sacCer3."

Output = Annotated[
    Path,
    typer.Option("-o", "--output", help="File to write; - is standard output.", show_default=False),
]
OutputFolder = Annotated[Path, typer.Option("-o", "--output", help="Folder to write.", show_default=False)]
ConfigFile = Annotated[
    Path | None,
    typer.Option(
        "--config", help="YAML file with this stage's settings, or a recipe (a file or a name).", show_default=False
    ),
]
Assignments = Annotated[
    list[str] | None,
    typer.Option("--set", help="A setting, as key=value (nested: key.key=value). May be repeated.", show_default=False),
]
Seed = Annotated[int | None, typer.Option("--seed", help="Seed of the random numbers.", show_default="1")]

Restart = Annotated[
    bool,
    typer.Option("--restart", callback=_give_up_unfinished, help="Discard unfinished work of other settings."),
]

AnyConfig = TypeVar("AnyConfig", bound=BaseModel)


def settings(
    kind: type[AnyConfig], file: Path | None = None, assignments: list[str] | None = None, /, **given: Any
) -> AnyConfig:
    """Join a stage's settings: those of the file, then ``--set``, then options that were given (``--threads`` too).

    A recipe will do as the file, by name too: its section for the stage is taken, and the defaults where it has none.
    Names of assets become files.
    """
    from capsight.config.variables import fill_variables
    from capsight.config.yaml_files import load_yaml, override, parse
    from capsight.machine import with_threads
    from capsight.run.recipe import find_recipe

    values = load_yaml(find_recipe(file)) if file else {}
    values, assignments = fill_variables(values, assignments or [], where=file, model=kind)
    name = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", kind.__name__.removesuffix("Config")).lower()
    is_recipe = values.keys() <= Recipe.model_fields.keys() and not values.keys() <= kind.model_fields.keys()
    if is_recipe and values.get(name) is None:
        logger.info("recipe: %s has no section %s: defaults are used", file, name)
    section = values.get(name) if is_recipe or name in values else values
    values = section if isinstance(section, dict) else {} if section is None else values
    values = override(values, assignments)
    values |= {key: value for key, value in given.items() if value is not None}
    config = with_threads(parse(kind, values, where=file))
    if kind.model_fields.keys().isdisjoint(ASSET_SETTINGS):
        return config
    from capsight.data.fetch.named import with_files

    return with_files(config)


def file_of(path: Path, kind: str, argument: str) -> Path:
    """Return the file that an argument names: itself, or that of an asset."""
    from capsight.data.fetch.named import asset_file

    return asset_file(path, kind, argument)


def described(model: type[BaseModel], field: str, *names: str, default: object = ...) -> Any:
    """Return a command line option with the field's own description and default."""
    info = model.model_fields[field]
    shown = default if default is not ... else info.default
    text = False if shown is None or shown == () else str(shown)
    return typer.Option(*names, help=info.description, show_default=text)
