"""`capsight fetch`."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from capsight.cli.options import Assignments, ConfigFile, described, settings
from capsight.cli.shared import Answer
from capsight.config import FetchConfig

EXAMPLE = "capsight fetch hg19"


def command(
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="NAME...", help=FetchConfig.model_fields["name"].description, show_default=False),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="Folder to copy the files into.", show_default=False)
    ] = None,
    cache: Annotated[Path | None, described(FetchConfig, "cache", "--cache")] = None,
    table: Annotated[Path | None, described(FetchConfig, "table", "--table")] = None,
    only: Annotated[str | None, described(FetchConfig, "only", "--only")] = None,
    show: Annotated[bool, typer.Option("--list", help="List what there is, and stop; fetches nothing.")] = False,
    config: ConfigFile = None,
    assignments: Assignments = None,
) -> Answer:
    """Fetch genomes, peaks and 5'-end counts by name, from a mirror or their public address; checked and resumable."""
    if show:
        from capsight.cli.show import show_assets
        from capsight.data.assets import read_table

        return Answer(lambda: show_assets(table), lambda: [asdict(each) for each in read_table(table)], asked=True)
    if not names:
        raise typer.BadParameter("name at least one, or --list", param_hint="NAME...")
    wanted = [
        settings(FetchConfig, config, assignments, name=name, cache=cache, table=table, only=only) for name in names
    ]
    from capsight.cli.show import show_fetched
    from capsight.data.assets import choose, read_table
    from capsight.data.fetch.stage import fetch

    for each in wanted:  # a misspelt name is reported before the first download
        choose(read_table(each.table), each.name)
    fetched = [fetch(each, output) for each in wanted]
    document = [each._asdict() | {"paths": {kind: str(path) for kind, path in each.paths.items()}} for each in fetched]
    return Answer(lambda: show_fetched(fetched), lambda: document)
