"""`capsight evaluate`."""

from pathlib import Path
from typing import Annotated

import typer

from capsight.cli.options import Assignments, ConfigFile, Seed, Verbose, described, settings
from capsight.config import EvaluateConfig

EXAMPLE = "capsight evaluate --model model --windows windows --fold test -o evaluation"


def command(
    model: Annotated[
        Path, typer.Option("--model", help="Model or baseline folder, or a shipped model (yeast).", show_default=False)
    ],
    windows: Annotated[Path, typer.Option("--windows", help="Folder of the windows stage.", show_default=False)],
    output: Annotated[Path, typer.Option("-o", "--output", help="What to write.")] = Path("evaluation"),
    fold: Annotated[str | None, described(EvaluateConfig, "fold", "--fold")] = None,
    bootstrap: Annotated[int | None, described(EvaluateConfig, "bootstrap", "--bootstrap")] = None,
    audit: Annotated[
        Path | None,
        typer.Option(
            "--audit", help="Folder of the audit stage: metrics by similarity to training.", show_default=False
        ),
    ] = None,
    seed: Seed = None,
    config: ConfigFile = None,
    assignments: Assignments = None,
    verbose: Verbose = False,
) -> None:
    """Measure a model on one fold: metrics.json and a table, with bootstrap intervals."""
    checked = settings(EvaluateConfig, config, assignments, fold=fold, bootstrap=bootstrap, seed=seed)
    from capsight.cli.show import show_metrics
    from capsight.train.evaluate import evaluate

    show_metrics({"model": evaluate(checked, model, windows, output, audit)})
