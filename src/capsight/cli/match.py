"""`capsight match`."""

from pathlib import Path
from typing import Annotated

import typer

from capsight.cli.options import Assignments, ConfigFile, Output, Seed, Verbose, described, settings
from capsight.config import MatchConfig

EXAMPLE = "capsight match --motifs motifs/motifs.meme --database JASPAR2026 --taxon fungi -o hits.tsv"


def command(
    motifs: Annotated[
        Path,
        typer.Option("--motifs", help="FASTA (scanned) or PWMs in MEME format (compared).", show_default=False),
    ],
    output: Output,
    database: Annotated[str | None, described(MatchConfig, "database", "--database")] = None,
    taxon: Annotated[str | None, described(MatchConfig, "taxon", "--taxon")] = None,
    negatives: Annotated[
        Path | None,
        typer.Option(
            "--background",
            help="FASTA of negatives: also test which factors hit the motifs' sequences more (factors.tsv).",
            show_default=False,
        ),
    ] = None,
    threshold: Annotated[float | None, described(MatchConfig, "threshold", "--threshold")] = None,
    max_q: Annotated[float | None, described(MatchConfig, "max_q", "--max-q")] = None,
    engine: Annotated[str | None, described(MatchConfig, "engine", "--engine")] = None,
    seed: Seed = None,
    config: ConfigFile = None,
    assignments: Assignments = None,
    verbose: Verbose = False,
) -> None:
    """Name known factors: scan sequences with their PWMs, or compare PWMs with them."""
    checked = settings(
        MatchConfig, config, assignments, database=database, taxon=taxon, threshold=threshold, max_q=max_q,
        engine=engine, seed=seed,
    )  # fmt: skip
    from capsight.motifs.match import match

    match(checked, motifs, output, negatives)
