"""`capsight doctor`."""

import json
from pathlib import Path
from typing import Annotated

import typer

from capsight.cli.options import GENOME, Verbose

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
    as_json: Annotated[bool, typer.Option("--json", help="Print all findings as JSON.")] = False,
    verbose: Verbose = False,
) -> None:
    """Check this machine and installation, and whether inputs fit together; exit code 2 if they do not."""
    from capsight.cli.show import show_findings
    from capsight.doctor import doctor

    findings = doctor(model=model, genome=genome, peaks=peaks, out=output)
    if as_json:
        typer.echo(json.dumps([each._asdict() for each in findings], indent=2))
    else:
        show_findings(findings)
    if any(each.state == "fault" for each in findings):
        raise typer.Exit(2)
