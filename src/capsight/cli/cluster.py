"""`capsight cluster`."""

from pathlib import Path
from typing import Annotated

import typer

from capsight.cli.options import Assignments, ConfigFile, Output, Verbose, described, file_of, settings
from capsight.config import ClusterConfig

EXAMPLE = "capsight cluster rep1.ctss.bed.gz rep2.ctss.bed.gz --method paraclu -o peaks.bed"


def command(
    output: Output,
    counts: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="COUNTS",
            help="BED6 files of 5'-end counts (CTSS), or assets; several are summed.",
            show_default=False,
        ),
    ] = None,
    plus: Annotated[
        list[Path] | None,
        typer.Option("--plus", help="bigWig or bedGraph, plus strand; repeatable.", show_default=False),
    ] = None,
    minus: Annotated[
        list[Path] | None,
        typer.Option("--minus", help="bigWig or bedGraph, minus strand; repeatable.", show_default=False),
    ] = None,
    method: Annotated[str | None, described(ClusterConfig, "method", "--method")] = None,
    distance: Annotated[int | None, described(ClusterConfig, "distance", "--distance")] = None,
    position_tpm: Annotated[float | None, described(ClusterConfig, "position_tpm", "--position-tpm")] = None,
    position_tags: Annotated[float | None, described(ClusterConfig, "position_tags", "--position-tags")] = None,
    cluster_tpm: Annotated[float | None, described(ClusterConfig, "cluster_tpm", "--cluster-tpm")] = None,
    cluster_tags: Annotated[float | None, described(ClusterConfig, "cluster_tags", "--cluster-tags")] = None,
    max_length: Annotated[int | None, described(ClusterConfig, "max_length", "--max-length")] = None,
    density_rise: Annotated[float | None, described(ClusterConfig, "density_rise", "--density-rise")] = None,
    config: ConfigFile = None,
    assignments: Assignments = None,
    verbose: Verbose = False,
) -> None:
    """Make peaks of 5'-end counts: clusters by distance or by density, with their summits."""
    checked = settings(
        ClusterConfig, config, assignments, method=method, distance=distance, position_tpm=position_tpm,
        position_tags=position_tags, cluster_tpm=cluster_tpm, cluster_tags=cluster_tags, max_length=max_length,
        density_rise=density_rise,
    )  # fmt: skip
    from capsight.data.ctss.stage import cluster

    files = [file_of(path, "ctss", "COUNTS") for path in counts or []]
    cluster(checked, output, files, plus or [], minus or [])
