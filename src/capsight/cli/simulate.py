"""`capsight simulate`."""

from pathlib import Path
from typing import Annotated

from capsight.cli.options import Assignments, ConfigFile, OutputFolder, Seed, described, settings
from capsight.config import SimulateConfig

EXAMPLE = "capsight simulate -o simulation --bases 3000000 --seed 1"


def command(
    output: OutputFolder,
    bases: Annotated[int | None, described(SimulateConfig, "bases", "--bases")] = None,
    seed: Seed = None,
    config: ConfigFile = None,
    assignments: Assignments = None,
) -> Path:
    """Make a genome with planted promoters: genome.fa, peaks.bed, ctss.bed, truth.tsv."""
    checked = settings(SimulateConfig, config, assignments, bases=bases, seed=seed)
    from capsight.simulate import simulate

    return simulate(checked, output)
