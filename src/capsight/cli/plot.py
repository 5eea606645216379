"""`capsight plot`."""

from pathlib import Path
from typing import Annotated

import typer

from capsight.cli.options import Assignments, ConfigFile, Output, Seed, described, settings
from capsight.config import PlotConfig
from capsight.extras import need_for_stage

EXAMPLE = "capsight plot --model yeast --genome sacCer3.fa --region chrVII:883001-884500 --explain ism -o locus.svg"


def command(
    output: Output,
    region: Annotated[str | None, described(PlotConfig, "region", "--region", default=None)] = None,
    genome: Annotated[Path | None, described(PlotConfig, "genome", "--genome", default=None)] = None,
    model: Annotated[
        Path | None,
        typer.Option("--model", help="Folder of a track model, or a shipped model (yeast).", show_default=False),
    ] = None,
    ctss: Annotated[list[str] | None, described(PlotConfig, "ctss", "--ctss")] = None,
    ctss_plus: Annotated[list[str] | None, described(PlotConfig, "ctss_plus", "--ctss-plus")] = None,
    ctss_minus: Annotated[list[str] | None, described(PlotConfig, "ctss_minus", "--ctss-minus")] = None,
    genes: Annotated[Path | None, described(PlotConfig, "genes", "--genes")] = None,
    vcf: Annotated[Path | None, described(PlotConfig, "vcf", "--vcf")] = None,
    explain: Annotated[str | None, described(PlotConfig, "explain", "--explain")] = None,
    scan: Annotated[Path | None, described(PlotConfig, "scan", "--scan")] = None,
    aliases: Annotated[Path | None, described(PlotConfig, "aliases", "--aliases")] = None,
    min_probability: Annotated[float | None, described(PlotConfig, "min_probability", "--min-probability")] = None,
    seed: Seed = None,
    config: ConfigFile = None,
    assignments: Assignments = None,
) -> Path:
    """Draw a region: observed 5' ends, expected tags, TSSs, genes, variants, and the bases behind a TSS."""
    checked = settings(
        PlotConfig, config, assignments, region=region, genome=genome, ctss=ctss or None, ctss_plus=ctss_plus or None,
        ctss_minus=ctss_minus or None, genes=genes, vcf=vcf, explain=explain, scan=scan, aliases=aliases,
        min_probability=min_probability, seed=seed,
    )  # fmt: skip
    need_for_stage("plot")
    from capsight.plot.plot import plot

    return plot(checked, model, output)
