"""`capsight variants`."""

from pathlib import Path
from typing import Annotated

import typer

from capsight.cli.options import GENOME, Assignments, ConfigFile, Output, described, file_of, settings
from capsight.config import VariantsConfig

EXAMPLE = "capsight variants --model yeast --genome sacCer3.fa variants.vcf.gz -o scored.vcf.gz"


def command(
    source: Annotated[
        Path,
        typer.Argument(
            metavar="VARIANTS",
            help="VCF, BCF, or a table with the columns chrom, position (from 1, as in VCF), ref, alt; - is standard "
            "input.",
        ),
    ],
    model: Annotated[
        Path, typer.Option("--model", help="Folder of a track model, or a shipped model (yeast).", show_default=False)
    ],
    genome: Annotated[Path, typer.Option("--genome", help=GENOME)],
    output: Output,
    distance: Annotated[int | None, described(VariantsConfig, "distance", "--distance")] = None,
    aliases: Annotated[Path | None, described(VariantsConfig, "aliases", "--aliases")] = None,
    haplotypes: Annotated[bool | None, described(VariantsConfig, "haplotypes", "--haplotypes")] = None,
    fail_on_error: Annotated[bool | None, described(VariantsConfig, "fail_on_error", "--fail-on-error")] = None,
    shard: Annotated[str | None, described(VariantsConfig, "shard", "--shard")] = None,
    precision: Annotated[str | None, described(VariantsConfig, "precision", "--precision")] = None,
    config: ConfigFile = None,
    assignments: Assignments = None,
) -> Path:
    """Score variants: how each allele changes transcription initiation around it, as VCF or a table."""
    given = {
        "distance": distance,
        "aliases": aliases,
        "haplotypes": haplotypes,
        "fail_on_error": fail_on_error,
        "shard": shard,
    }
    checked = settings(VariantsConfig, config, assignments, **given, precision=precision)
    from capsight.variants.variants import variants

    return variants(checked, model, file_of(genome, "genome", "--genome"), source, output)
