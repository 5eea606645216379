"""`capsight motif-scan`."""

from pathlib import Path
from typing import Annotated

import typer

from capsight.cli.options import Assignments, ConfigFile, Output, described, settings
from capsight.config import MotifScanConfig
from capsight.extras import need_for_stage

EXAMPLE = "capsight motif-scan motifs/seqlets/positives.fa --taxon fungi -o hits.tsv"


def command(
    sequences: Annotated[Path, typer.Argument(metavar="FASTA", help="Sequences to scan.", show_default=False)],
    output: Output,
    motif_db: Annotated[str | None, described(MotifScanConfig, "motif_db", "--motif-db")] = None,
    taxon: Annotated[str | None, described(MotifScanConfig, "taxon", "--taxon")] = None,
    threshold: Annotated[float | None, described(MotifScanConfig, "threshold", "--threshold")] = None,
    config: ConfigFile = None,
    assignments: Assignments = None,
) -> Path:
    """Find known motifs in sequences, on both strands, as FIMO does."""
    checked = settings(MotifScanConfig, config, assignments, motif_db=motif_db, taxon=taxon, threshold=threshold)
    need_for_stage("motif_scan")
    from capsight.motifs.known.motif_scan import motif_scan

    return motif_scan(checked, sequences, output)
