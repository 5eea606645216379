"""`capsight audit`."""

from pathlib import Path
from typing import Annotated

import typer

from capsight.cli.options import Assignments, ConfigFile, OutputFolder, Seed, described, settings
from capsight.cli.shared import Answer, document_of
from capsight.config import AuditConfig
from capsight.extras import need_for_stage

EXAMPLE = "capsight audit windows -o audit"


def command(
    windows: Annotated[Path, typer.Argument(help="Folder of the windows stage.", show_default=False)],
    output: OutputFolder,
    min_identity: Annotated[float | None, described(AuditConfig, "min_identity", "--min-identity")] = None,
    min_coverage: Annotated[float | None, described(AuditConfig, "min_coverage", "--min-coverage")] = None,
    fail_on_error: Annotated[
        bool, typer.Option("--fail-on-error", help="Exit code 1 if any check fails (for CI).")
    ] = False,
    seed: Seed = None,
    config: ConfigFile = None,
    assignments: Assignments = None,
) -> Answer:
    """Look for leaks between folds and for shortcuts: duplicates, similar windows, GC, repeats, coordinates."""
    checked = settings(
        AuditConfig, config, assignments, min_identity=min_identity, min_coverage=min_coverage, seed=seed
    )
    need_for_stage("audit")
    from capsight.cli.show import show_audit
    from capsight.data.audit.stage import audit
    from capsight.report.results import read_audit

    out = audit(checked, windows, output)
    failed = fail_on_error and any(check["verdict"] == "fail" for check in read_audit(out)["checks"])
    return Answer(lambda: show_audit(out), lambda: document_of(out), code=1 if failed else 0)
