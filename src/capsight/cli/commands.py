"""All commands, in pipeline order: one thin file for each. Nothing heavy is imported before one of them runs."""

import typer

from capsight.cli import (
    audit,
    baseline,
    cluster,
    crossval,
    doctor,
    evaluate,
    explain,
    fetch,
    finetune,
    merge,
    models,
    motif_compare,
    motif_enrich,
    motif_scan,
    motifs,
    mutate,
    plot,
    predict,
    pretrain,
    recipe,
    report,
    run,
    scan,
    simulate,
    train,
    variants,
    windows,
)  # fmt: skip
from capsight.cli.options import print_version
from capsight.cli.shared import with_shared

app = typer.Typer(
    name="capsight",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,  # rich takes longer to load than all the rest of the help
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,
)
#: Commands that train networks, or run them: they take ``--device`` and ``--threads``.
TRAININGS = (run, train, pretrain, finetune, baseline, crossval)
NETWORKS = (*TRAININGS, evaluate, predict, scan, variants, mutate, plot, explain)
#: Commands that calculate without networks: they take ``--threads``.
CALCULATIONS = (windows, audit, motifs, motif_scan, motif_compare, motif_enrich)
for module in (
    run,
    recipe,
    models,
    fetch,
    simulate,
    cluster,
    windows,
    audit,
    train,
    pretrain,
    finetune,
    baseline,
    evaluate,
    crossval,
    predict,
    scan,
    variants,
    merge,
    mutate,
    plot,
    explain,
    motifs,
    motif_scan,
    motif_compare,
    motif_enrich,
    report,
    doctor,
):
    name = module.__name__.rpartition(".")[2].replace("_", "-")
    command = with_shared(
        module.command,
        json_output=module is not recipe,  # prints a file
        threads=module in (*NETWORKS, *CALCULATIONS),
        device=module in NETWORKS,
        trains=module in TRAININGS,
    )
    app.command(name, epilog=f"Example:  {module.EXAMPLE}", short_help=module.command.__doc__)(command)


@app.callback(epilog="Example:  capsight run demo -o demo")
def capsight(
    version: bool = typer.Option(False, "--version", callback=print_version, is_eager=True, help="Print the version."),
) -> None:
    """Predict RNA 5' cap sites (TSSs) from DNA sequence, and show which bases drive each prediction."""
