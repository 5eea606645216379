"""`capsight mutate`."""

from pathlib import Path
from typing import Annotated

import typer

from capsight.cli.options import GENOME, Assignments, ConfigFile, Output, described, file_of, settings
from capsight.config import MutateConfig

EXAMPLE = "capsight mutate --model yeast --genome sacCer3.fa --region chrIV:1000-1400 -o changes.tsv"


def command(
    model: Annotated[
        Path, typer.Option("--model", help="Folder of a track model, or a shipped model (yeast).", show_default=False)
    ],
    genome: Annotated[Path, typer.Option("--genome", help=GENOME)],
    output: Output,
    region: Annotated[str | None, described(MutateConfig, "region", "--region", default=None)] = None,
    distance: Annotated[int | None, described(MutateConfig, "distance", "--distance")] = None,
    picture: Annotated[
        Path | None,
        typer.Option("--picture", help="PNG or SVG to draw: a heat map of the changes of up to 2,000 bases."),
    ] = None,
    precision: Annotated[str | None, described(MutateConfig, "precision", "--precision")] = None,
    config: ConfigFile = None,
    assignments: Assignments = None,
) -> Path:
    """Change every base of a region to the three others, and score how transcription initiation changes, as a table."""
    checked = settings(MutateConfig, config, assignments, region=region, distance=distance, precision=precision)
    from capsight.variants.mutate import mutate

    return mutate(checked, model, file_of(genome, "genome", "--genome"), output, picture)
