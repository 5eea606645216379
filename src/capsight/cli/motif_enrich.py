"""`capsight motif-enrich`."""

from pathlib import Path
from typing import Annotated

import typer

from capsight.cli.options import Assignments, ConfigFile, Output, Seed, described, settings
from capsight.config import MotifEnrichConfig
from capsight.extras import need_for_stage

EXAMPLE = "capsight motif-enrich positives.fa --negatives negatives.fa --taxon fungi -o factors.tsv"


def command(
    positives: Annotated[
        Path, typer.Argument(metavar="POSITIVES", help="FASTA in which motifs may be enriched.", show_default=False)
    ],
    negatives: Annotated[
        Path,
        typer.Option("--negatives", help="FASTA to compare with; sequences of the same length.", show_default=False),
    ],
    output: Output,
    motif_db: Annotated[str | None, described(MotifEnrichConfig, "motif_db", "--motif-db")] = None,
    taxon: Annotated[str | None, described(MotifEnrichConfig, "taxon", "--taxon")] = None,
    threshold: Annotated[float | None, described(MotifEnrichConfig, "threshold", "--threshold")] = None,
    seed: Seed = None,
    config: ConfigFile = None,
    assignments: Assignments = None,
) -> Path:
    """Find the known motifs that are in more positives than negatives of the same GC content."""
    checked = settings(
        MotifEnrichConfig, config, assignments, motif_db=motif_db, taxon=taxon, threshold=threshold, seed=seed
    )
    need_for_stage("motif_enrich")
    from capsight.motifs.known.motif_enrich import motif_enrich

    return motif_enrich(checked, positives, negatives, output)
