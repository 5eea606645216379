"""`capsight train`."""

from pathlib import Path
from typing import Annotated

import typer

from capsight.cli.options import Assignments, ConfigFile, OutputFolder, Restart, Seed, described, settings
from capsight.config import TrainConfig

EXAMPLE = "capsight train windows -o model"


def command(
    windows: Annotated[
        Path, typer.Argument(metavar="WINDOWS", help="Folder of the windows stage.", show_default=False)
    ],
    output: OutputFolder,
    init: Annotated[Path | None, described(TrainConfig, "init", "--init")] = None,
    epochs: Annotated[float | None, described(TrainConfig, "epochs", "--epochs")] = None,
    seed: Seed = None,
    config: ConfigFile = None,
    assignments: Assignments = None,
    restart: Restart = False,
) -> Path:
    """Train a model that predicts every base of any DNA, and calibrate its probabilities."""
    checked = settings(TrainConfig, config, assignments, init=init, epochs=epochs, seed=seed)
    from capsight.train.track.train import train

    return train(checked, windows, output)
