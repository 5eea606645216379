"""`capsight fetch`."""

import shlex
from pathlib import Path
from typing import Annotated

import typer

from capsight.cli.options import Assignments, ConfigFile, Verbose, described, settings
from capsight.config import FetchConfig

EXAMPLE = "capsight fetch hg19"


def command(
    assembly: Annotated[str, typer.Argument(help=FetchConfig.model_fields["assembly"].description)],
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="Folder to link the files into.", show_default=False)
    ] = None,
    cache: Annotated[Path | None, described(FetchConfig, "cache", "--cache")] = None,
    table: Annotated[Path | None, described(FetchConfig, "table", "--table")] = None,
    only: Annotated[str | None, described(FetchConfig, "only", "--only")] = None,
    config: ConfigFile = None,
    assignments: Assignments = None,
    verbose: Verbose = False,
) -> None:
    """Fetch a public genome (UCSC) and its CAGE peaks (FANTOM5), checked and resumable."""
    checked = settings(FetchConfig, config, assignments, assembly=assembly, cache=cache, table=table, only=only)
    from capsight.data.fetch import fetch

    fetched = fetch(checked, output)
    for kind, path in (("genome", fetched.genome), ("peaks", fetched.peaks)):
        if path:
            typer.echo(f"{kind}\t{path}")
    if fetched.genome:
        peaks = fetched.peaks or "PEAKS.bed"
        words = ["capsight", "windows", "--genome", fetched.genome, "--peaks", peaks]
        words += ["--validation", fetched.validation] if fetched.validation else []
        words += ["--test", fetched.test] if fetched.test else []
        typer.echo("\nNext, lay windows:\n  " + shlex.join([*map(str, words), "-o", "windows"]))
