"""The command line: one thin file per command, help in pipeline order.

Nothing heavy is imported before a command runs, so that help answers at once.
"""

import logging
import sys

import typer

from capsight.cli import (
    audit,
    baseline,
    cluster,
    crossval,
    evaluate,
    explain,
    fetch,
    finetune,
    match,
    motifs,
    predict,
    pretrain,
    report,
    run,
    simulate,
    windows,
)  # fmt: skip
from capsight.cli.options import print_version
from capsight.data.text import shown
from capsight.errors import CapsightError

#: Exit code after Ctrl-C, by the shell's convention (128 + SIGINT).
INTERRUPTED = 130

app = typer.Typer(
    name="capsight",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,  # rich takes longer to load than all the rest of the help
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,
)
for module in (
    run,
    fetch,
    simulate,
    cluster,
    windows,
    audit,
    pretrain,
    finetune,
    baseline,
    evaluate,
    crossval,
    predict,
    explain,
    motifs,
    match,
    report,
):
    name = module.__name__.rpartition(".")[2]
    app.command(name, epilog=f"Example:  {module.EXAMPLE}", short_help=module.command.__doc__)(module.command)


@app.callback(epilog="Example:  capsight run recipes/demo.yaml -o demo")
def capsight(
    version: bool = typer.Option(False, "--version", callback=print_version, is_eager=True, help="Print the version."),
) -> None:
    """Predict RNA 5' cap sites from DNA sequence, and show which DNA says so."""


def main() -> None:
    """Run the command line: the user's mistakes give one line and exit code 2."""
    try:
        app()
    except CapsightError as error:
        _say(f"error: {error}")
        sys.exit(2)
    except SystemExit as stop:
        if stop.code == INTERRUPTED:  # typer turns Ctrl-C into this
            _say("interrupted: the same command continues where this stopped")
        raise
    except BrokenPipeError:
        sys.exit(141)
    except Exception as error:
        if isinstance(error, UnicodeEncodeError) and error.reason == "surrogates not allowed":
            _say(f"error: {shown(error.object)}: the name is not UTF-8 (give the file or folder a name in UTF-8)")
            sys.exit(2)
        if logging.getLogger("capsight").isEnabledFor(logging.DEBUG):
            raise
        _say(f"internal error: {type(error).__name__}: {error} (this is a bug in capsight: -v shows where)")
        sys.exit(1)


def _say(line: str) -> None:
    """Write one line; what a file made us quote cannot steer the terminal."""
    line = " ".join(line.split("\n"))
    typer.echo("".join(c if c.isprintable() else repr(c)[1:-1] for c in line), err=True)
