"""`capsight run`."""

from pathlib import Path
from typing import Annotated

import typer

from capsight.cli.options import Assignments, Restart
from capsight.cli.shared import Answer, document_of_run

EXAMPLE = "capsight run yeast -o runs/yeast --set train.epochs=8"


def command(
    recipe: Annotated[
        Path | None,
        typer.Argument(
            metavar="RECIPE",
            help="YAML file with one section per stage, or the name of a shipped one.",
            show_default=False,
        ),
    ] = None,
    output: Annotated[Path | None, typer.Option("-o", "--output", help="Folder to write.", show_default=False)] = None,
    assignments: Assignments = None,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="List the stages, what is done already, and the time left; write nothing."),
    ] = False,
    restart: Restart = False,
    show: Annotated[bool, typer.Option("--list", help="List the shipped recipes and stop.")] = False,
) -> Answer:
    """Run all stages of a recipe; done work is skipped, interrupted work continued."""
    if show:
        from capsight.cli.show import show_recipes
        from capsight.run.recipe import summaries

        found = summaries()
        return Answer(lambda: show_recipes(found), lambda: [each._asdict() for each in found], asked=True)
    if recipe is None:
        raise typer.BadParameter("name one, or --list", param_hint="RECIPE")
    if output is None:
        raise typer.BadParameter("name the folder to write", param_hint="-o")
    if dry_run:
        from capsight.cli.show import show_preview
        from capsight.run.preview import preview

        plan = preview(recipe, output, assignments or [])
        document = plan._asdict() | {"output": str(output), "stages": [each._asdict() for each in plan.stages]}
        return Answer(lambda: show_preview(plan, output), lambda: document, asked=True)
    from capsight.cli.show import show_run
    from capsight.run.pipeline import run

    out = run(recipe, output, assignments or [])
    return Answer(lambda: show_run(out, brief=True), lambda: document_of_run(out))
