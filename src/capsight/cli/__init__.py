"""The command line. Its commands are in `capsight.cli.commands`, which is imported when they run."""

from capsight.cli import stopping

stopping.catch_if_program()  # before anything else is imported: that takes a while

import sys  # noqa: E402
from typing import Any  # noqa: E402


def __getattr__(name: str) -> Any:
    """Load the commands when they are first asked for (PEP 562)."""
    if name == "app":
        from capsight.cli.commands import app

        return app
    raise AttributeError(f"module 'capsight.cli' has no attribute {name!r}")


def main() -> None:
    """Run the command line: the user's mistakes give one line and exit code 2, Ctrl-C one line and 130."""
    try:
        code = _run()
    except KeyboardInterrupt:  # once more, while the first was being answered
        code = stopping.INTERRUPTED
    finally:
        stopping.end()
    sys.exit(code)


def _run() -> int | str | None:
    """Run the command that was asked for; return the exit code."""
    import logging

    from capsight.cli.commands import app
    from capsight.errors import CapsightError

    try:
        app()
    except CapsightError as error:
        _say(f"error: {error}")
        return 2
    except (KeyboardInterrupt, SystemExit) as stop:
        code = stopping.INTERRUPTED if isinstance(stop, KeyboardInterrupt) else stop.code
        _say_stopped(code)
        return code
    except BrokenPipeError:
        return 141
    except MemoryError:
        _say("error: there is not enough memory")
        return 2
    except Exception as error:
        if code := stopping.received():  # a library has turned the interruption into an error of its own
            _say_stopped(code)
            return code
        if isinstance(error, UnicodeEncodeError) and error.reason == "surrogates not allowed":
            from capsight.data.io.text import shown

            _say(f"error: {shown(error.object)}: the name is not UTF-8 (give the file or folder a name in UTF-8)")
            return 2
        if logging.getLogger("capsight").isEnabledFor(logging.DEBUG):
            raise
        if line := _of_the_machine(error):
            _say(f"error: {line}")
            return 2
        _say(f"internal error: {type(error).__name__}: {error} (this is a bug in capsight: -v shows where)")
        return 1
    return 0


def _of_the_machine(error: Exception) -> str | None:
    """Return what to report of an error of the machine: a full disk, a file that may not be read."""
    import errno

    from capsight.output import full, lack_of_room

    named = getattr(error, "filename", None) or "an output"
    if why := lack_of_room(error):
        return str(full(named, why))
    kinds = "EACCES EPERM EROFS EIO ENAMETOOLONG ELOOP EMFILE ENFILE ENOTDIR EISDIR ESTALE"
    if isinstance(error, OSError) and error.errno in {getattr(errno, kind) for kind in kinds.split()}:
        return f"{named}: {error.strerror}"
    return None


def _say_stopped(code: object) -> None:
    """Say what stopped the command, if a signal did."""
    from capsight.cli.options import follows

    for number, line in stopping.LINES.items():
        if code == 128 + number and not follows():
            _say(line)


def _say(line: str) -> None:
    """Write one line; what a file made us quote cannot steer the terminal."""
    import typer

    from capsight.cli.options import follows

    line = " ".join(line.split("\n"))
    line = f"process {rank}: {line}" if (rank := follows()) else line
    typer.echo("".join(c if c.isprintable() else repr(c)[1:-1] for c in line), err=True)
