"""`capsight motifs`."""

from pathlib import Path
from typing import Annotated

import typer

from capsight.cli.options import Assignments, ConfigFile, OutputFolder, Seed, described, settings
from capsight.config import MotifsConfig
from capsight.extras import need_for_stage

EXAMPLE = "capsight motifs attributions.npz -o motifs"


def command(
    attributions: Annotated[
        Path, typer.Argument(metavar="ATTRIBUTIONS", help="File of the explain stage.", show_default=False)
    ],
    output: OutputFolder,
    model: Annotated[
        Path | None,
        typer.Option("--model", help="Refuse attributions of another model than this.", show_default=False),
    ] = None,
    windows: Annotated[
        Path | None,
        typer.Option("--windows", help="Refuse attributions of other windows than these.", show_default=False),
    ] = None,
    method: Annotated[str | None, described(MotifsConfig, "method", "--method")] = None,
    k: Annotated[int | None, described(MotifsConfig, "k", "-k")] = None,
    elements: Annotated[Path | None, described(MotifsConfig, "elements", "--elements")] = None,
    seed: Seed = None,
    config: ConfigFile = None,
    assignments: Assignments = None,
) -> Path:
    """Find what bases that drive predictions have in common: k-mers, known elements, and de novo motifs."""
    checked = settings(MotifsConfig, config, assignments, method=method, k=k, elements=elements, seed=seed)
    need_for_stage("motifs")
    from capsight.motifs.motifs import motifs

    return motifs(checked, attributions, output, model, windows)
