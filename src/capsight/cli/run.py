"""`capsight run`."""

from pathlib import Path
from typing import Annotated

import typer

from capsight.cli.options import Assignments, OutputFolder, Restart
from capsight.cli.shared import Answer, document_of_run

EXAMPLE = "capsight run yeast -o runs/yeast --set train.epochs=8"


def _list(wanted: bool) -> None:
    """Print the shipped recipes and stop."""
    if wanted:
        from capsight.cli.show import show_recipes
        from capsight.run.recipe import summaries

        show_recipes(summaries())
        raise typer.Exit


def command(
    recipe: Annotated[
        Path,
        typer.Argument(help="YAML file with one section per stage, or the name of a shipped one.", show_default=False),
    ],
    output: OutputFolder,
    assignments: Assignments = None,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="List the stages, what is done already, and the time left; write nothing."),
    ] = False,
    restart: Restart = False,
    listed: Annotated[
        bool, typer.Option("--list", callback=_list, is_eager=True, help="List the shipped recipes and stop.")
    ] = False,
) -> Answer:
    """Run all stages of a recipe; done work is skipped, interrupted work continued."""
    if dry_run:
        from capsight.cli.show import show_preview
        from capsight.run.preview import preview

        found = preview(recipe, output, assignments or [])
        document = found._asdict() | {"output": str(output), "stages": [each._asdict() for each in found.stages]}
        return Answer(lambda: show_preview(found, output), lambda: document, asked=True)
    from capsight.cli.show import show_run
    from capsight.run.pipeline import run

    out = run(recipe, output, assignments or [])
    return Answer(lambda: show_run(out, brief=True), lambda: document_of_run(out))
