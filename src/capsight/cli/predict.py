"""`capsight predict`."""

from pathlib import Path
from typing import Annotated

import typer

from capsight.cli.options import Assignments, ConfigFile, Verbose, described, settings
from capsight.config import PredictConfig

EXAMPLE = "capsight predict --model model promoters.fa -o predictions.tsv"


def command(
    source: Annotated[
        Path, typer.Argument(metavar="INPUT", help="FASTA, CSV with a sequence column, or windows.parquet.")
    ],
    model: Annotated[
        Path, typer.Option("--model", help="Model or baseline folder, or a shipped model (yeast).", show_default=False)
    ],
    output: Annotated[Path, typer.Option("-o", "--output", help="Table to write.")] = Path("predictions.tsv"),
    fold: Annotated[str | None, described(PredictConfig, "fold", "--fold")] = None,
    config: ConfigFile = None,
    assignments: Assignments = None,
    verbose: Verbose = False,
) -> None:
    """Score sequences or windows: a table with one probability per record, in input order."""
    checked = settings(PredictConfig, config, assignments, fold=fold)
    from capsight.predict.score import predict

    predict(checked, model, source, output)
