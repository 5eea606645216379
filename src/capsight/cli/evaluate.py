"""`capsight evaluate`."""

from pathlib import Path
from typing import Annotated

import typer

from capsight.cli.options import Assignments, ConfigFile, Seed, Verbose, described, settings
from capsight.config import EvaluateConfig

EXAMPLE = "capsight evaluate --scan --model model --windows windows --reference rep1.ctss.bed -o evaluation-scan"


def command(
    model: Annotated[
        Path, typer.Option("--model", help="Model or baseline folder, or a shipped model (yeast).", show_default=False)
    ],
    windows: Annotated[Path, typer.Option("--windows", help="Folder of the windows stage.", show_default=False)],
    output: Annotated[
        Path | None,
        typer.Option(
            "-o", "--output", help="What to write.", show_default="evaluation, evaluation-scan or evaluation-base"
        ),
    ] = None,
    scan: Annotated[bool | None, described(EvaluateConfig, "scan", "--scan")] = None,
    fold: Annotated[str | None, described(EvaluateConfig, "fold", "--fold")] = None,
    resolution: Annotated[str | None, described(EvaluateConfig, "resolution", "--resolution")] = None,
    replicate: Annotated[
        list[Path] | None,
        typer.Option(
            "--replicate", help="base: counts of 5' ends (CTSS, BED6) of one replicate; repeatable.", show_default=False
        ),
    ] = None,
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
    verbose: Verbose = False,
) -> None:
    """Measure a model on one fold, by a scan or by windows: metrics.json and a table, with bootstrap intervals."""
    given = {"fold": fold, "resolution": resolution, "bootstrap": bootstrap, "seed": seed}
    given |= {"scan": scan, "step": step, "pwm": pwm}
    checked = settings(EvaluateConfig, config, assignments, **given)
    from capsight.cli.show import show_base_metrics, show_metrics, show_scan_metrics
    from capsight.train.evaluate import evaluate

    beside = {"references": reference or (), "against": against or ()}
    if checked.scan:
        out = output or Path("evaluation-scan")
        show_scan_metrics(evaluate(checked, model, windows, out, audit, **beside))
    elif checked.resolution == "base":
        out = output or Path("evaluation-base")
        show_base_metrics(evaluate(checked, model, windows, out, audit, replicate or (), **beside))
    else:
        out = output or Path("evaluation")
        show_metrics({"model": evaluate(checked, model, windows, out, audit, replicate or (), **beside)})
