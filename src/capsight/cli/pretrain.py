"""`capsight pretrain`."""

from pathlib import Path
from typing import Annotated

import typer

from capsight.cli.options import Assignments, ConfigFile, OutputFolder, Restart, Seed, settings
from capsight.config import PretrainConfig

EXAMPLE = "capsight pretrain windows -o pretrained --set full_rank_phase.steps=500 --set relora_phase.steps=2000"


def command(
    windows: Annotated[
        Path, typer.Argument(metavar="WINDOWS", help="Folder of the windows stage.", show_default=False)
    ],
    output: OutputFolder,
    seed: Seed = None,
    config: ConfigFile = None,
    assignments: Assignments = None,
    restart: Restart = False,
) -> Path:
    """Pre-train LLaMA on the training chromosomes' DNA: a full-rank warm-up, then ReLoRA."""
    checked = settings(PretrainConfig, config, assignments, seed=seed)
    from capsight.train.pretrain import pretrain

    return pretrain(checked, windows, output)
