"""`capsight windows`."""

from pathlib import Path
from typing import Annotated

from capsight.cli.options import Assignments, ConfigFile, OutputFolder, Seed, described, settings
from capsight.config import WindowsConfig

EXAMPLE = "capsight windows --genome sacCer3.fa --peaks peaks.bed --validation chrVII --test chrIV -o windows"


def command(
    output: OutputFolder,
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
    assume_plus_strand: Annotated[
        bool | None, described(WindowsConfig, "assume_plus_strand", "--assume-plus-strand", default=None)
    ] = None,
    protocol: Annotated[str | None, described(WindowsConfig, "protocol", "--protocol")] = None,
    length: Annotated[int | None, described(WindowsConfig, "length", "--length")] = None,
    train: Annotated[Path | None, described(WindowsConfig, "train", "--train")] = None,
    validation: Annotated[str | None, described(WindowsConfig, "validation", "--validation")] = None,
    test: Annotated[str | None, described(WindowsConfig, "test", "--test")] = None,
    exclude: Annotated[str | None, described(WindowsConfig, "exclude", "--exclude")] = None,
    ratio: Annotated[float | None, described(WindowsConfig, "ratio", "--ratio")] = None,
    exclusion_bp: Annotated[int | None, described(WindowsConfig, "exclusion_bp", "--exclusion-bp")] = None,
    negatives: Annotated[str | None, described(WindowsConfig, "negatives", "--negatives", default="matched")] = None,
    match_on: Annotated[str | None, described(WindowsConfig, "match_on", "--match-on", default="gc,repeat")] = None,
    flank_range: Annotated[
        str | None, described(WindowsConfig, "flank_range", "--flank-range", default="0,2000")
    ] = None,
    negatives_file: Annotated[Path | None, described(WindowsConfig, "negatives_file", "--negatives-file")] = None,
    leave_one_chromosome_out: Annotated[
        bool | None, described(WindowsConfig, "leave_one_chromosome_out", "--leave-one-chromosome-out")
    ] = None,
    seed: Seed = None,
    config: ConfigFile = None,
    assignments: Assignments = None,
) -> Path:
    """Make labelled windows: TSSs, negatives, and chromosomes (or regions) held out for validation and test."""
    given = {
        "genome": genome, "peaks": peaks, "peak_format": peak_format, "aliases": aliases,
        "assume_plus_strand": assume_plus_strand,
        "promoters": promoters, "promoter_weights": promoter_weights, "summit_offset": summit_offset,
        "ctss": ctss or None, "ctss_plus": ctss_plus or None, "ctss_minus": ctss_minus or None,
        "protocol": protocol, "length": length, "train": train, "validation": validation, "test": test,
        "exclude": exclude,
        "ratio": ratio, "exclusion_bp": exclusion_bp, "seed": seed,
        "negatives": negatives, "match_on": match_on, "flank_range": flank_range, "negatives_file": negatives_file,
        "leave_one_chromosome_out": leave_one_chromosome_out,
    }  # fmt: skip
    checked = settings(WindowsConfig, config, assignments, **given)
    from capsight.data.windows.stage import windows

    return windows(checked, output)
