"""`capsight predict`."""

from pathlib import Path
from typing import Annotated

import typer

from capsight.cli.options import Assignments, ConfigFile, described, settings
from capsight.config import PredictConfig

EXAMPLE = "capsight predict --model model promoters.fa -o predictions.tsv"


def command(
    source: Annotated[
        Path,
        typer.Argument(
            metavar="INPUT", help="FASTA, CSV with a sequence column, windows.parquet, or BED with --genome."
        ),
    ],
    model: Annotated[
        Path, typer.Option("--model", help="Model or baseline folder, or a shipped model (yeast).", show_default=False)
    ],
    output: Annotated[Path, typer.Option("-o", "--output", help="Table to write.")] = Path("predictions.tsv"),
    fold: Annotated[str | None, described(PredictConfig, "fold", "--fold")] = None,
    genome: Annotated[Path | None, described(PredictConfig, "genome", "--genome")] = None,
    stranded: Annotated[bool | None, described(PredictConfig, "stranded", "--stranded")] = None,
    precision: Annotated[str | None, described(PredictConfig, "precision", "--precision")] = None,
    config: ConfigFile = None,
    assignments: Assignments = None,
) -> Path:
    """Find the best TSS of each record, or score windows: a table with one row per record, in input order."""
    given = {"fold": fold, "genome": genome, "stranded": stranded}
    checked = settings(PredictConfig, config, assignments, **given, precision=precision)
    from capsight.predict.predict import predict

    return predict(checked, model, source, output)
