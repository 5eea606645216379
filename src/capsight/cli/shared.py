"""Options that every command has alike: ``-v``, ``-q``, ``--json``, ``--threads``, ``--device``.

A command does not declare them. It returns what it made, the path or an `Answer`, and what is printed of it, and how,
is decided here.
"""

import inspect
import json
import logging
import sys
from collections.abc import Callable
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import typer

from capsight.cli.options import follows

Verbose = Annotated[bool, typer.Option("-v", "--verbose", help="Show more messages, and tracebacks.")]
Quiet = Annotated[
    bool, typer.Option("-q", "--quiet", help="Show errors and warnings only: no progress bars, no summary tables.")
]
Json = Annotated[
    bool, typer.Option("--json", help="Print one JSON document on standard output instead of summary and tables.")
]
Threads = Annotated[
    int | None,
    typer.Option(
        "--threads", metavar="N", min=1, max=1024, help="CPU threads to calculate with.", show_default="all cores"
    ),
]
#: Of commands that train: other numbers of threads give other last digits, so the default is not what is there.
TrainingThreads = Annotated[
    int | None,
    typer.Option(
        "--threads", metavar="N", min=1, max=1024, help="CPU threads to calculate with.", show_default="1 for training"
    ),
]
Device = Annotated[
    str,
    typer.Option(
        "--device",
        metavar="DEVICE",
        help="Where networks run: auto (a GPU if there is one), cpu, cuda, cuda:1 (by number), or mps.",
    ),
]

#: Files in which stages keep their figures.
_FIGURES = ("metrics.json", "audit.json", "summary.json")


class Answer(NamedTuple):
    """What a command has to show when it is done.

    Attributes
    ----------
    show
        Prints it for people.
    document
        Returns it for ``--json``.
    asked
        The command is there to print it: ``--quiet`` shows it too.
    code
        Exit code.
    """

    show: Callable[[], object]
    document: Callable[[], object]
    asked: bool = False
    code: int = 0


def with_shared(
    command: Callable[..., Any], *, json_output: bool, threads: bool, device: bool, trains: bool
) -> Callable[..., None]:
    """Return a command with the shared options that mean something in it, after its own."""
    kinds: dict[str, tuple[Any, object]] = {}
    if threads:
        kinds["threads"] = (TrainingThreads if trains else Threads, None)
    if device:
        kinds["device"] = (Device, "auto")
    if json_output:
        kinds["as_json"] = (Json, False)
    kinds |= {"quiet": (Quiet, False), "verbose": (Verbose, False)}
    own = list(inspect.signature(command).parameters.values())

    def run(**given: Any) -> None:
        common = {name: given.pop(name, default) for name, (_, default) in kinds.items()}
        as_json = common.get("as_json", False)
        _set_up_logging(common["verbose"], common["quiet"])
        if as_json:
            _check_free(given.get("output"))
        with _limits(common):
            answer = command(**given)
            if isinstance(answer, Path):
                answer = Answer(lambda: None, partial(document_of, answer))
            if answer is None:
                return
            if as_json:
                typer.echo(json.dumps(answer.document(), indent=2, allow_nan=False))
            elif answer.asked or not common["quiet"]:
                answer.show()
        if answer.code:
            raise typer.Exit(answer.code)

    more = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=kind)
        for name, (kind, default) in kinds.items()
    ]
    keywords = [parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in own]
    run.__signature__ = inspect.Signature([*keywords, *more])  # type: ignore[attr-defined]
    run.__doc__ = command.__doc__
    return run


def document_of(made: Path) -> dict[str, Any]:
    """Return what ``--json`` prints of a result: its path, its files, and the figures that the stage wrote."""
    from capsight.artefact import read_record, record_path

    files = sorted(read_record(record_path(made)).get("outputs") or {})
    return _figures_of(made) | {"output": str(made), "files": files}


def document_of_run(run: Path) -> dict[str, Any]:
    """Return what ``--json`` prints of a run or a cross-validation: its path, and the figures of what was measured."""
    from capsight.report.results import CROSSVAL_FILE, CROSSVAL_SUMMARY_FILE

    document: dict[str, Any] = {"output": str(run)}
    if (run / CROSSVAL_FILE).is_file():
        import pandas as pd

        table = pd.read_csv(run / CROSSVAL_SUMMARY_FILE, sep="\t", na_values=["."])
        return document | {"summary": json.loads(table.to_json(orient="records", double_precision=15))}
    found = {folder.name: _figures_of(folder) for folder in sorted(run.iterdir()) if folder.is_dir()}
    return document | {"results": {name: figures for name, figures in found.items() if figures}}


def _figures_of(folder: Path) -> dict[str, Any]:
    for name in _FIGURES:
        if (folder / name).is_file():
            found = json.loads((folder / name).read_text(encoding="utf-8"))
            return found if isinstance(found, dict) else {}
    return {}


def _set_up_logging(verbose: bool, quiet: bool) -> None:
    """Send what the library reports to the terminal: with ``-v`` all of it, with ``-q`` warnings and errors."""
    if verbose and quiet:
        raise typer.BadParameter("choose one of --verbose and --quiet", param_hint="--quiet")
    logger = logging.getLogger("capsight")
    logger.handlers = [logging.StreamHandler(sys.stderr)]
    least = logging.WARNING if quiet else logging.INFO
    least = logging.ERROR if follows() else least  # of several processes the first one reports
    logger.setLevel(logging.DEBUG if verbose else least)


def _check_free(output: Path | None) -> None:
    """Refuse a document and a result that would both go to standard output."""
    from capsight.errors import InputError
    from capsight.output import is_stream

    if output is not None and is_stream(output):
        what = "the result and the document of --json would both go there"
        raise InputError(what, where=f"-o {output}", remedy="name a file with -o")


def _limits(common: dict[str, Any]) -> Any:
    """Return the block in which a command keeps to a device and a number of threads, where some were asked for."""
    device, threads = common.get("device", "auto"), common.get("threads")
    if device == "auto" and threads is None:
        return nullcontext()
    from capsight.machine import limited

    return limited(device, threads)
