"""`capsight scan`."""

from pathlib import Path
from typing import Annotated

import typer

from capsight.cli.options import GENOME, Assignments, ConfigFile, Restart, described, file_of, settings
from capsight.config import ScanConfig

EXAMPLE = "capsight scan genome.fa --model model -o scan"


def command(
    source: Annotated[Path, typer.Argument(metavar="GENOME", help=GENOME)],
    model: Annotated[
        Path, typer.Option("--model", help="Folder of a track model, or a shipped model (yeast).", show_default=False)
    ],
    output: Annotated[Path, typer.Option("-o", "--output", help="Folder to write.")] = Path("scan"),
    region: Annotated[str | None, described(ScanConfig, "region", "--region")] = None,
    min_probability: Annotated[float | None, described(ScanConfig, "min_probability", "--min-probability")] = None,
    distance: Annotated[int | None, described(ScanConfig, "distance", "--distance")] = None,
    minus_negative: Annotated[bool | None, described(ScanConfig, "minus_negative", "--minus-negative")] = None,
    precision: Annotated[str | None, described(ScanConfig, "precision", "--precision")] = None,
    shard: Annotated[str | None, described(ScanConfig, "shard", "--shard")] = None,
    config: ConfigFile = None,
    assignments: Assignments = None,
    restart: Restart = False,
) -> Path:
    """Scan a genome: expected tags of every base as bigWig, and called TSSs as BED and GFF3."""
    given = {"region": region, "min_probability": min_probability, "distance": distance, "shard": shard}
    given |= {"minus_negative": minus_negative, "precision": precision}
    checked = settings(ScanConfig, config, assignments, **given)
    from capsight.predict.scan import scan

    return scan(checked, model, file_of(source, "genome", "GENOME"), output)
