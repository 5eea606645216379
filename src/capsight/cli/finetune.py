"""`capsight finetune`."""

from pathlib import Path
from typing import Annotated

import typer

from capsight.cli.options import Assignments, ConfigFile, OutputFolder, Restart, Seed, described, settings
from capsight.config import FinetuneConfig

EXAMPLE = "capsight finetune windows --pretrained pretrained -o model"


def command(
    windows: Annotated[
        Path, typer.Argument(metavar="WINDOWS", help="Folder of the windows stage.", show_default=False)
    ],
    pretrained: Annotated[Path, typer.Option("--pretrained", help="Folder of the pretrain stage.", show_default=False)],
    output: OutputFolder,
    epochs: Annotated[float | None, described(FinetuneConfig, "epochs", "--epochs")] = None,
    seed: Seed = None,
    config: ConfigFile = None,
    assignments: Assignments = None,
    restart: Restart = False,
) -> Path:
    """Train the classifier, all weights or by LoRA (--set lora.rank=16)."""
    checked = settings(FinetuneConfig, config, assignments, epochs=epochs, seed=seed)
    from capsight.train.finetune import finetune

    return finetune(checked, windows, pretrained, output)
