"""A progress bar with the time left; log lines go above it."""

import logging
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tqdm import tqdm
from tqdm.contrib.logging import logging_redirect_tqdm


def no_bars() -> bool:
    """Tell whether the logger of capsight was set to warnings only, as by ``--quiet``: then nothing moves either."""
    return logging.getLogger("capsight").level > logging.INFO


class _Bar(tqdm):
    """A bar that a log line does not bring up before its delay is over, and that ends its line if it did later on."""

    def display(self, *given: Any, **options: Any) -> None:
        """Show the bar, unless it is too early."""
        shown_from = self.start_t + (self.delay or 0)
        if time.time() < shown_from:
            return
        self.last_print_t = max(self.last_print_t, shown_from)  # or `close` takes it for one that was never shown
        super().display(*given, **options)


@contextmanager
def progress(what: str, total: int, unit: str = " bases", done: int = 0) -> Iterator[tqdm]:
    """Show how much of `total` is done, from two seconds on: often on a terminal, once a minute in a log file."""
    interval = 0.2 if os.isatty(2) else 60.0
    with (
        logging_redirect_tqdm([logging.getLogger("capsight")]),
        _Bar(
            total=total,
            initial=done,
            desc=what,
            unit=unit,
            unit_scale=True,
            mininterval=interval,
            delay=2,
            disable=no_bars(),
        ) as bar,  # fmt: skip
    ):
        yield bar
