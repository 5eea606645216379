"""Ctrl-C and SIGTERM: one line and the shell's exit code at any moment, never a traceback.

While modules are being imported nothing can be cleaned up and an exception may be swallowed or turned into another: the
process then ends at once. Otherwise an exception goes up, so that temporary files are removed and locks released; what
is unfinished stays in its ``.partial`` folder, and the same command continues there. This module imports next to
nothing (`_signal` is `signal` without enum, which takes as long as all else here), for it is to be in force early.
"""

import os
import sys
from _signal import SIGINT, SIGTERM, getsignal, signal  # type: ignore[import-not-found]
from types import FrameType

#: What is said of each signal. The exit code is 128 and its number, as in a shell.
LINES = {
    int(SIGINT): "interrupted: the same command continues where this stopped",
    int(SIGTERM): "terminated: the same command continues where this stopped",
}
#: Exit code after Ctrl-C.
INTERRUPTED = 130
#: Names under which this program is started: by its own script, or by ``python -m capsight``.
_SCRIPTS = ("capsight", "capsight.exe", "capsight-script.py")

_received: int | None = None


def received() -> int | None:
    """Return the exit code of the signal that has come, where one has."""
    return None if _received is None else 128 + _received


def catch() -> None:
    """Take care of both signals from now on."""
    for number in LINES:
        signal(number, _stop)


def catch_if_program() -> None:
    """Take care of both signals if this process runs the command line, and no other program that imports it."""
    if os.path.basename(sys.argv[0] if sys.argv else "") in _SCRIPTS:
        catch()


def end() -> None:
    """From now on, where signals are taken care of, end at once and in silence: the result stands, or was told of."""
    for number in LINES:
        if getsignal(number) is _stop:
            signal(number, lambda number, _: os._exit(128 + number))


def _stop(number: int, frame: FrameType | None) -> None:
    """End the process while it imports modules, else raise what Python raises by itself."""
    global _received
    _received = number
    if _is_importing(frame):
        os.write(2, f"{LINES[number]}\n".encode())
        os._exit(128 + number)
    raise KeyboardInterrupt if number == SIGINT else SystemExit(128 + number)


def _is_importing(frame: FrameType | None) -> bool:
    """Tell whether an import is under way."""
    while frame is not None:
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            return True
        frame = frame.f_back
    return False
