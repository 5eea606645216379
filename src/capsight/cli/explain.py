"""`capsight explain`."""

from pathlib import Path
from typing import Annotated

import typer

from capsight.cli.options import Assignments, ConfigFile, Output, Seed, Verbose, described, settings
from capsight.config import ExplainConfig
from capsight.errors import ConfigError

EXAMPLE = "capsight explain --model yeast --genome sacCer3.fa --regions tss.bed --method ig,ism -o attributions.npz"


def command(
    model: Annotated[
        Path, typer.Option("--model", help="Model folder, or a shipped model (yeast).", show_default=False)
    ],
    output: Output,
    windows: Annotated[
        Path | None, typer.Option("--windows", help="Explain windows: folder of the windows stage.", show_default=False)
    ] = None,
    regions: Annotated[
        Path | None,
        typer.Option(
            "--regions", help="Explain a TSS in each region of a BED file; needs --genome.", show_default=False
        ),
    ] = None,
    sequences: Annotated[
        Path | None,
        typer.Option("--sequences", help="Explain a TSS in each sequence of a FASTA file.", show_default=False),
    ] = None,
    genome: Annotated[Path | None, described(ExplainConfig, "genome", "--genome")] = None,
    aliases: Annotated[Path | None, described(ExplainConfig, "aliases", "--aliases")] = None,
    length: Annotated[int | None, described(ExplainConfig, "length", "--length", default="300")] = None,
    fold: Annotated[str | None, described(ExplainConfig, "fold", "--fold")] = None,
    method: Annotated[str | None, described(ExplainConfig, "method", "--method", default="attention,ig,ism")] = None,
    max_windows: Annotated[int | None, described(ExplainConfig, "max_windows", "--max-windows")] = None,
    seed: Seed = None,
    config: ConfigFile = None,
    assignments: Assignments = None,
    verbose: Verbose = False,
) -> None:
    """Say which bases the network's answers rest on, and how far to trust each method."""
    given = {
        "genome": genome,
        "aliases": aliases,
        "length": length,
        "fold": fold,
        "method": method,
        "max_windows": max_windows,
    }
    checked = settings(ExplainConfig, config, assignments, **given, seed=seed)
    named = [path for path in (windows, regions, sequences) if path is not None]
    if len(named) != 1:
        raise ConfigError("name one of --windows, --regions and --sequences: what is explained")
    if regions is not None and checked.genome is None:
        raise ConfigError("--regions lie in a genome: name it by --genome", where=regions)
    if sequences is not None and checked.genome is not None:
        raise ConfigError("--genome is for --regions: leave it out", where=sequences)
    from capsight.explain.explain import explain

    explain(checked, model, named[0], output)
