"""`capsight audit`."""

from pathlib import Path
from typing import Annotated

import typer

from capsight.cli.options import Assignments, ConfigFile, Output, Seed, Verbose, described, settings
from capsight.config import AuditConfig
from capsight.extras import need_for_stage

EXAMPLE = "capsight audit windows -o audit"


def command(
    windows: Annotated[Path, typer.Argument(help="Folder of the windows stage.", show_default=False)],
    output: Output,
    identity: Annotated[float | None, described(AuditConfig, "identity", "--identity")] = None,
    coverage: Annotated[float | None, described(AuditConfig, "coverage", "--coverage")] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Exit code 1 if any check fails (for CI).")] = False,
    seed: Seed = None,
    config: ConfigFile = None,
    assignments: Assignments = None,
    verbose: Verbose = False,
) -> None:
    """Look for leaks between folds and for shortcuts: duplicates, similar windows, GC, repeats, coordinates."""
    checked = settings(AuditConfig, config, assignments, identity=identity, coverage=coverage, seed=seed)
    need_for_stage("audit")
    from capsight.cli.show import show_audit
    from capsight.data.audit.stage import audit

    failed = show_audit(audit(checked, windows, output))
    if strict and failed:
        raise typer.Exit(1)
