"""`capsight fetch`."""

import shlex
from pathlib import Path
from typing import Annotated

import typer

from capsight.cli.options import Assignments, ConfigFile, Verbose, described, settings
from capsight.config import FetchConfig

EXAMPLE = "capsight fetch hg19"


def command(
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="NAME...", help=FetchConfig.model_fields["name"].description, show_default=False),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="Folder to link the files into.", show_default=False)
    ] = None,
    cache: Annotated[Path | None, described(FetchConfig, "cache", "--cache")] = None,
    table: Annotated[Path | None, described(FetchConfig, "table", "--table")] = None,
    only: Annotated[str | None, described(FetchConfig, "only", "--only")] = None,
    show: Annotated[bool, typer.Option("--list", help="List what there is, and stop; fetches nothing.")] = False,
    config: ConfigFile = None,
    assignments: Assignments = None,
    verbose: Verbose = False,
) -> None:
    """Fetch genomes, peaks and 5'-end counts by name, from a mirror or their public address; checked and resumable."""
    if show:
        from capsight.cli.show import show_assets

        return show_assets(table)
    if not names:
        raise typer.BadParameter("name at least one, or --list", param_hint="NAME...")
    wanted = [
        settings(FetchConfig, config, assignments, name=name, cache=cache, table=table, only=only) for name in names
    ]
    from capsight.data.assets import choose, read_table
    from capsight.data.fetch.stage import fetch

    for each in wanted:  # a misspelt name is reported before the first download
        choose(read_table(each.table), each.name)
    fetched = []
    for each in wanted:
        fetched.append(fetch(each, output))
        for kind, path in fetched[-1].paths.items():
            typer.echo(f"{kind}\t{path}")
    if genome := next((one for one in fetched if one.genome), None):
        peaks = next((one.peaks for one in fetched if one.peaks and one.assembly == genome.assembly), "PEAKS.bed")
        words = ["capsight", "windows", "--genome", genome.genome, "--peaks", peaks]
        words += ["--validation", genome.validation] if genome.validation else []
        words += ["--test", genome.test] if genome.test else []
        typer.echo("\nNext, lay windows:\n  " + shlex.join([*map(str, words), "-o", "windows"]))
