"""`capsight run`."""

from pathlib import Path
from typing import Annotated

import typer

from capsight.cli.options import Assignments, Output, Restart, Verbose

EXAMPLE = "capsight run recipes/yeast.yaml -o runs/yeast --set finetune.epochs=3"


def command(
    recipe: Annotated[Path, typer.Argument(help="YAML file with one section per stage.")],
    output: Output,
    assignments: Assignments = None,
    restart: Restart = False,
    verbose: Verbose = False,
) -> None:
    """Run all stages of a recipe; done work is skipped, interrupted work continued."""
    from capsight.cli.show import show_run
    from capsight.pipeline import run

    show_run(run(recipe, output, assignments or []))
