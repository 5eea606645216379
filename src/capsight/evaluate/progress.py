"""The progress bar of what takes more than two seconds."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tqdm import tqdm
from tqdm.contrib.logging import logging_redirect_tqdm


@contextmanager
def showing_progress(what: str, total: int, unit: str) -> Iterator["tqdm[Any]"]:
    """Show a bar with the time left, where there is a terminal and after two seconds; log lines go above it."""
    with (
        logging_redirect_tqdm([logging.getLogger("capsight")]),
        tqdm(total=total, desc=what, unit=unit, unit_scale=True, delay=2, disable=None, leave=False) as bar,
    ):
        yield bar
