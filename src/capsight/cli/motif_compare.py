"""`capsight motif-compare`."""

from pathlib import Path
from typing import Annotated

import typer

from capsight.cli.options import Assignments, ConfigFile, Output, described, settings
from capsight.config import MotifCompareConfig
from capsight.extras import need_for_stage

EXAMPLE = "capsight motif-compare motifs/motifs.meme --taxon fungi -o matches.tsv"


def command(
    motifs: Annotated[Path, typer.Argument(metavar="MOTIFS", help="PWMs in MEME format to name.", show_default=False)],
    output: Output,
    motif_db: Annotated[str | None, described(MotifCompareConfig, "motif_db", "--motif-db")] = None,
    taxon: Annotated[str | None, described(MotifCompareConfig, "taxon", "--taxon")] = None,
    max_q: Annotated[float | None, described(MotifCompareConfig, "max_q", "--max-q")] = None,
    config: ConfigFile = None,
    assignments: Assignments = None,
) -> Path:
    """Find the known motifs that resemble yours, as Tomtom does."""
    checked = settings(MotifCompareConfig, config, assignments, motif_db=motif_db, taxon=taxon, max_q=max_q)
    need_for_stage("motif_compare")
    from capsight.motifs.known.motif_compare import motif_compare

    return motif_compare(checked, motifs, output)
