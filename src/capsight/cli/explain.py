"""`capsight explain`."""

from pathlib import Path
from typing import Annotated

import typer

from capsight.cli.options import Assignments, ConfigFile, Output, Seed, described, settings
from capsight.config import ExplainConfig

EXAMPLE = "capsight explain tss.bed --model yeast --genome sacCer3.fa --method ig,ism -o attributions.npz"


def command(
    source: Annotated[
        Path,
        typer.Argument(
            metavar="INPUT",
            help="What is explained: windows (folder of the windows stage), a TSS in each sequence of a FASTA file, "
            "or, with --genome, in each region of a BED file.",
            show_default=False,
        ),
    ],
    model: Annotated[
        Path, typer.Option("--model", help="Model folder, or a shipped model (yeast).", show_default=False)
    ],
    output: Output,
    genome: Annotated[Path | None, described(ExplainConfig, "genome", "--genome")] = None,
    aliases: Annotated[Path | None, described(ExplainConfig, "aliases", "--aliases")] = None,
    length: Annotated[int | None, described(ExplainConfig, "length", "--length", default="300")] = None,
    fold: Annotated[str | None, described(ExplainConfig, "fold", "--fold")] = None,
    method: Annotated[str | None, described(ExplainConfig, "method", "--method", default="attention,ig,ism")] = None,
    max_windows: Annotated[int | None, described(ExplainConfig, "max_windows", "--max-windows")] = None,
    seed: Seed = None,
    config: ConfigFile = None,
    assignments: Assignments = None,
) -> Path:
    """Score how much each prediction depends on every base, and measure how far to trust the scores."""
    given = {
        "genome": genome,
        "aliases": aliases,
        "length": length,
        "fold": fold,
        "method": method,
        "max_windows": max_windows,
    }
    checked = settings(ExplainConfig, config, assignments, **given, seed=seed)
    from capsight.explain.explain import explain

    return explain(checked, model, source, output)
