"""`capsight baseline`."""

from pathlib import Path
from typing import Annotated

import typer

from capsight.cli.options import Assignments, ConfigFile, OutputFolder, Restart, Seed, described, settings
from capsight.config import BaselineConfig

EXAMPLE = "capsight baseline windows --model lgbm -o baseline"


def command(
    windows: Annotated[
        Path, typer.Argument(metavar="WINDOWS", help="Folder of the windows stage.", show_default=False)
    ],
    output: OutputFolder,
    model: Annotated[str | None, described(BaselineConfig, "model", "--model")] = None,
    k: Annotated[int | None, described(BaselineConfig, "k", "-k", default=None)] = None,
    bins: Annotated[int | None, described(BaselineConfig, "bins", "--bins", default=None)] = None,
    seed: Seed = None,
    config: ConfigFile = None,
    assignments: Assignments = None,
    restart: Restart = False,
) -> Path:
    """Train a model to compare with: a classical one on k-mer counts, or a dilated CNN."""
    checked = settings(BaselineConfig, config, assignments, model=model, k=k, bins=bins, seed=seed)
    from capsight.train.baselines.baseline import baseline

    return baseline(checked, windows, output)
