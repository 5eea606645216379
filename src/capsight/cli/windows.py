"""`capsight windows`."""

from pathlib import Path
from typing import Annotated

from capsight.cli.options import Assignments, ConfigFile, Output, Seed, Verbose, described, settings
from capsight.config import WindowsConfig

EXAMPLE = "capsight windows --genome sacCer3.fa --peaks peaks.bed --validation chrVII --test chrIV -o windows"


def command(
    output: Output,
    genome: Annotated[Path | None, described(WindowsConfig, "genome", "--genome")] = None,
    peaks: Annotated[Path | None, described(WindowsConfig, "peaks", "--peaks")] = None,
    peak_format: Annotated[str | None, described(WindowsConfig, "peak_format", "--peak-format")] = None,
    summit_offset: Annotated[int | None, described(WindowsConfig, "summit_offset", "--summit-offset")] = None,
    aliases: Annotated[Path | None, described(WindowsConfig, "aliases", "--aliases")] = None,
    ctss: Annotated[list[str] | None, described(WindowsConfig, "ctss", "--ctss")] = None,
    ctss_plus: Annotated[list[str] | None, described(WindowsConfig, "ctss_plus", "--ctss-plus")] = None,
    ctss_minus: Annotated[list[str] | None, described(WindowsConfig, "ctss_minus", "--ctss-minus")] = None,
    promoters: Annotated[Path | None, described(WindowsConfig, "promoters", "--promoters")] = None,
    promoter_weights: Annotated[
        str | None, described(WindowsConfig, "promoter_weights", "--promoter-weights", default="none")
    ] = None,
    unstranded: Annotated[bool | None, described(WindowsConfig, "unstranded", "--unstranded", default=None)] = None,
    protocol: Annotated[str | None, described(WindowsConfig, "protocol", "--protocol")] = None,
    length: Annotated[int | None, described(WindowsConfig, "length", "--length")] = None,
    train: Annotated[Path | None, described(WindowsConfig, "train", "--train")] = None,
    validation: Annotated[str | None, described(WindowsConfig, "validation", "--validation")] = None,
    test: Annotated[str | None, described(WindowsConfig, "test", "--test")] = None,
    exclude: Annotated[str | None, described(WindowsConfig, "exclude", "--exclude")] = None,
    ratio: Annotated[float | None, described(WindowsConfig, "ratio", "--ratio")] = None,
    exclusion: Annotated[int | None, described(WindowsConfig, "exclusion", "--exclusion")] = None,
    negatives: Annotated[str | None, described(WindowsConfig, "negatives", "--negatives", default="matched")] = None,
    match: Annotated[str | None, described(WindowsConfig, "match", "--match", default="gc,repeat")] = None,
    flank: Annotated[str | None, described(WindowsConfig, "flank", "--flank", default="0,2000")] = None,
    negatives_bed: Annotated[Path | None, described(WindowsConfig, "negatives_bed", "--negatives-bed")] = None,
    loco: Annotated[bool | None, described(WindowsConfig, "loco", "--loco/--no-loco")] = None,
    seed: Seed = None,
    config: ConfigFile = None,
    assignments: Assignments = None,
    verbose: Verbose = False,
) -> None:
    """Lay labelled windows: cap sites, negatives, and chromosomes (or regions) for validation and test."""
    given = {
        "genome": genome, "peaks": peaks, "peak_format": peak_format, "aliases": aliases, "unstranded": unstranded,
        "promoters": promoters, "promoter_weights": promoter_weights, "summit_offset": summit_offset,
        "ctss": ctss or None, "ctss_plus": ctss_plus or None, "ctss_minus": ctss_minus or None,
        "protocol": protocol, "length": length, "train": train, "validation": validation, "test": test,
        "exclude": exclude,
        "ratio": ratio, "exclusion": exclusion, "seed": seed,
        "negatives": negatives, "match": match, "flank": flank, "negatives_bed": negatives_bed, "loco": loco,
    }  # fmt: skip
    checked = settings(WindowsConfig, config, assignments, **given)
    from capsight.data.windows.stage import windows

    windows(checked, output)
