"""Time and memory of a piece of Python, in a process of its own."""

import json
import os
import subprocess
import sys
import time
from typing import Any, NamedTuple

GIB = 1 << 30


class Measured(NamedTuple):
    """What a child process took.

    Attributes
    ----------
    seconds
        From start to end, the interpreter's start included.
    cpu
        Seconds of one core: what the same work takes on a machine that does nothing else.
    resident
        Largest resident memory in bytes (getrusage): pages of mapped files that are in memory count too, although
        they belong to the page cache and are given back whenever memory is short.
    private
        Largest memory in bytes that is the process's own (RssAnon, looked at every 20 ms; Linux only).
    result
        What the code printed last, as JSON, or None.
    """

    seconds: float
    cpu: float
    resident: int
    private: int
    result: Any


def run(code: str, *arguments: object) -> Measured:
    """Run `code` with `arguments` (``sys.argv[1:]``) and measure it."""
    began = time.perf_counter()
    child = subprocess.Popen([sys.executable, "-c", code, *map(str, arguments)], stdout=subprocess.PIPE, text=True)
    private = 0
    while True:
        pid, status, usage = os.wait4(child.pid, os.WNOHANG)
        if pid:
            break
        private = max(private, _private(child.pid))
        time.sleep(0.02)
    seconds = time.perf_counter() - began
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        raise SystemExit(f"the measured process failed: exit code {child.returncode}")
    assert child.stdout is not None
    lines = child.stdout.read().splitlines()
    unit = 1 if sys.platform == "darwin" else 1024
    return Measured(
        seconds,
        usage.ru_utime + usage.ru_stime,
        usage.ru_maxrss * unit,
        private,
        json.loads(lines[-1]) if lines else None,
    )


def _private(pid: int) -> int:
    """Return the anonymous memory of a process in bytes."""
    try:
        with open(f"/proc/{pid}/status", encoding="ascii") as handle:
            return next((int(line.split()[1]) * 1024 for line in handle if line.startswith("RssAnon")), 0)
    except (OSError, ValueError):
        return 0
