"""A progress bar with the time left; log lines go above it."""

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager

from tqdm import tqdm
from tqdm.contrib.logging import logging_redirect_tqdm


def no_bars() -> bool:
    """Tell whether the logger of capsight was set to warnings only, as by ``--quiet``: then nothing moves either."""
    return logging.getLogger("capsight").level > logging.INFO


@contextmanager
def progress(what: str, total: int, unit: str = " bases", done: int = 0) -> Iterator[tqdm]:
    """Show how much of `total` is done, from two seconds on: often on a terminal, once a minute in a log file."""
    interval = 0.2 if os.isatty(2) else 60.0
    with (
        logging_redirect_tqdm([logging.getLogger("capsight")]),
        tqdm(
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
