"""`capsight explain`."""

from pathlib import Path
from typing import Annotated

import typer

from capsight.cli.options import Assignments, ConfigFile, Output, Seed, Verbose, described, settings
from capsight.config import ExplainConfig

EXAMPLE = "capsight explain --model model --windows windows --fold test --method attention,ig,ism -o attributions.npz"


def command(
    model: Annotated[
        Path, typer.Option("--model", help="Model folder, or a shipped model (yeast).", show_default=False)
    ],
    windows: Annotated[Path, typer.Option("--windows", help="Folder of the windows stage.", show_default=False)],
    output: Output,
    fold: Annotated[str | None, described(ExplainConfig, "fold", "--fold")] = None,
    method: Annotated[str | None, described(ExplainConfig, "method", "--method", default="attention,ig,ism")] = None,
    most: Annotated[int | None, described(ExplainConfig, "most", "--most")] = None,
    seed: Seed = None,
    config: ConfigFile = None,
    assignments: Assignments = None,
    verbose: Verbose = False,
) -> None:
    """Say which bases the network's answers rest on, and how far to trust each method."""
    checked = settings(ExplainConfig, config, assignments, fold=fold, method=method, most=most, seed=seed)
    from capsight.explain.stage import explain

    explain(checked, model, windows, output)
