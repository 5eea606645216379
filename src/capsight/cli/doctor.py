"""`capsight doctor`."""

from pathlib import Path
from typing import Annotated

import typer

from capsight.cli.options import GENOME
from capsight.cli.shared import Answer

EXAMPLE = "capsight doctor peaks.bed --genome genome.fa --model yeast"


def command(
    peaks: Annotated[
        Path | None, typer.Argument(help="Peaks, to see whether they lie in the genome.", show_default=False)
    ] = None,
    genome: Annotated[Path | None, typer.Option("--genome", help=GENOME, show_default=False)] = None,
    model: Annotated[
        Path | None, typer.Option("--model", help="Model folder, or a shipped model.", show_default=False)
    ] = None,
    output: Annotated[
        Path, typer.Option("-o", "--output", help="Where results would go: is there room?", show_default="here")
    ] = Path(),
) -> Answer:
    """Check this machine and installation, and whether inputs fit together; exit code 2 if they do not."""
    from capsight.cli.show import show_findings
    from capsight.doctor import doctor

    findings = doctor(model=model, genome=genome, peaks=peaks, out=output)
    return Answer(
        lambda: show_findings(findings),
        lambda: [each._asdict() for each in findings],
        asked=True,
        code=2 if any(each.state == "fault" for each in findings) else 0,
    )
