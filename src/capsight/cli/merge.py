"""`capsight merge`."""

from pathlib import Path
from typing import Annotated

import typer

EXAMPLE = "capsight merge scan-1 scan-2 scan-3 -o scan"


def command(
    shards: Annotated[
        list[Path],
        typer.Argument(metavar="SHARDS...", help="Results of all shards of one scan, or of one file of variants."),
    ],
    output: Annotated[
        Path,
        typer.Option(
            "-o", "--output", help="What to write: a folder for scans, a file for variants.", show_default=False
        ),
    ],
) -> Path:
    """Join the results of scan --shard or variants --shard: the same bytes as those of a run without shards."""
    from capsight.merge import merge

    return merge(shards, output)
