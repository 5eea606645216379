"""`capsight crossval`."""

from pathlib import Path
from typing import Annotated

import typer

from capsight.cli.options import OutputFolder, Restart, described, settings
from capsight.cli.shared import Answer, document_of_run
from capsight.config import CrossvalConfig
from capsight.extras import need_for_stage

EXAMPLE = "capsight crossval yeast --models capsight,lgbm -o crossval"


def command(
    recipe: Annotated[
        Path, typer.Argument(metavar="RECIPE", help="A recipe, as in run: YAML file, or name.", show_default=False)
    ],
    output: OutputFolder,
    models: Annotated[str | None, described(CrossvalConfig, "models", "--models", default="capsight,lgbm")] = None,
    chromosomes: Annotated[str | None, described(CrossvalConfig, "chromosomes", "--chromosomes")] = None,
    assignments: Annotated[
        list[str] | None,
        typer.Option("--set", help="A setting of the recipe, as stage.key=value; repeatable.", show_default=False),
    ] = None,
    restart: Restart = False,
) -> Answer:
    """Leave one chromosome out at a time: models compared on the same folds."""
    checked = settings(CrossvalConfig, models=models, chromosomes=chromosomes)
    need_for_stage("crossval")
    from capsight.cli.show import show_crossval
    from capsight.report.report import report
    from capsight.run.crossval import crossval

    out = crossval(checked, recipe, output, assignments or [])
    report(out, out / "report")
    return Answer(lambda: show_crossval(out, out / "report"), lambda: document_of_run(out))
