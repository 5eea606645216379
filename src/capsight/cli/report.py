"""`capsight report`."""

from pathlib import Path
from typing import Annotated

import typer

from capsight.cli.options import OutputFolder
from capsight.cli.shared import Answer, document_of_run
from capsight.extras import need_for_stage

EXAMPLE = "capsight report runs/yeast -o runs/yeast/report"


def command(
    run: Annotated[Path, typer.Argument(help="Folder of a run, or of a cross-validation.")],
    output: OutputFolder,
) -> Answer:
    """Draw the pictures of a run, put them and its tables on one page, and print the tables."""
    need_for_stage("report")
    from capsight.cli.show import show_crossval, show_run
    from capsight.report.report import report
    from capsight.report.results import CROSSVAL_FILE

    report(run, output)
    is_crossval = (run / CROSSVAL_FILE).is_file()
    show = (lambda: show_crossval(run, output)) if is_crossval else (lambda: show_run(run))
    return Answer(show, lambda: document_of_run(run) | {"output": str(output)})
