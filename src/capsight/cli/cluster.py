"""`capsight cluster`."""

from pathlib import Path
from typing import Annotated

import typer

from capsight.cli.options import Assignments, ConfigFile, Output, described, file_of, settings
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
    min_tpm: Annotated[float | None, described(ClusterConfig, "min_tpm", "--min-tpm")] = None,
    min_tags: Annotated[float | None, described(ClusterConfig, "min_tags", "--min-tags")] = None,
    min_cluster_tpm: Annotated[float | None, described(ClusterConfig, "min_cluster_tpm", "--min-cluster-tpm")] = None,
    min_cluster_tags: Annotated[
        float | None, described(ClusterConfig, "min_cluster_tags", "--min-cluster-tags")
    ] = None,
    max_length: Annotated[int | None, described(ClusterConfig, "max_length", "--max-length")] = None,
    min_fold_density: Annotated[
        float | None, described(ClusterConfig, "min_fold_density", "--min-fold-density")
    ] = None,
    config: ConfigFile = None,
    assignments: Assignments = None,
) -> Path:
    """Make peaks of 5'-end counts: clusters by distance or by density, with their summits."""
    checked = settings(
        ClusterConfig, config, assignments, method=method, distance=distance, min_tpm=min_tpm,
        min_tags=min_tags, min_cluster_tpm=min_cluster_tpm, min_cluster_tags=min_cluster_tags, max_length=max_length,
        min_fold_density=min_fold_density,
    )  # fmt: skip
    from capsight.data.ctss.stage import cluster

    files = [file_of(path, "ctss", "COUNTS") for path in counts or []]
    return cluster(checked, output, files, plus or [], minus or [])
