"""`capsight recipe`."""

from pathlib import Path
from typing import Annotated

import typer

EXAMPLE = "capsight recipe yeast > mine.yaml"


def command(
    name: Annotated[
        str, typer.Argument(help="Name of a shipped recipe: capsight run --list shows them.", show_default=False)
    ],
    output: Annotated[Path, typer.Option("-o", "--output", help="File to write; - is standard output.")] = Path("-"),
) -> None:
    """Print a shipped recipe, comments included: copy it, change the copy, run it."""
    from capsight.run.recipe import recipe

    recipe(name, output)
