"""`capsight evaluate`."""

from pathlib import Path
from typing import Annotated

import typer

from capsight.cli.options import Assignments, ConfigFile, Seed, described, settings
from capsight.cli.shared import Answer, document_of
from capsight.config import EvaluateConfig

EXAMPLE = "capsight evaluate windows --scan --model model --reference rep1.ctss.bed -o evaluation-scan"


def command(
    windows: Annotated[
        Path, typer.Argument(metavar="WINDOWS", help="Folder of the windows stage.", show_default=False)
    ],
    model: Annotated[
        Path, typer.Option("--model", help="Model or baseline folder, or a shipped model (yeast).", show_default=False)
    ],
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", help="Folder to write.", show_default="evaluation or evaluation-scan"),
    ] = None,
    scan: Annotated[bool | None, described(EvaluateConfig, "scan", "--scan")] = None,
    fold: Annotated[str | None, described(EvaluateConfig, "fold", "--fold")] = None,
    reference: Annotated[
        list[Path] | None,
        typer.Option(
            "--reference",
            help="scan: counts of 5' ends (CTSS) to measure as a prediction; repeatable.",
            show_default=False,
        ),
    ] = None,
    against: Annotated[
        list[Path] | None,
        typer.Option(
            "--against",
            help="scan: folder of another model or baseline to measure beside; repeatable.",
            show_default=False,
        ),
    ] = None,
    step: Annotated[int | None, described(EvaluateConfig, "step", "--step")] = None,
    pwm: Annotated[bool | None, described(EvaluateConfig, "pwm", "--pwm")] = None,
    bootstrap: Annotated[int | None, described(EvaluateConfig, "bootstrap", "--bootstrap")] = None,
    audit: Annotated[
        Path | None,
        typer.Option(
            "--audit", help="Folder of the audit stage: metrics by similarity to training.", show_default=False
        ),
    ] = None,
    seed: Seed = None,
    config: ConfigFile = None,
    assignments: Assignments = None,
) -> Answer:
    """Measure a model on one fold, by a scan or by windows: metrics.json and a table, with bootstrap intervals."""
    given = {"fold": fold, "scan": scan, "step": step, "pwm": pwm, "bootstrap": bootstrap, "seed": seed}
    checked = settings(EvaluateConfig, config, assignments, **given)
    from capsight.cli.show import show_metrics, show_scan_metrics
    from capsight.evaluate.evaluate import evaluate

    out = output or Path("evaluation-scan" if checked.scan else "evaluation")
    evaluate(checked, model, windows, out, audit, references=reference or (), against=against or ())
    show = show_scan_metrics if checked.scan else lambda out: show_metrics({"model": out})
    return Answer(lambda: show(out), lambda: document_of(out))
