"""Where `capsight` keeps what it can make or fetch again."""

import os
from pathlib import Path

import platformdirs


def cache_folder() -> Path:
    """Return the cache: ``$CAPSIGHT_CACHE``, else the operating system's place (Linux: ``~/.cache/capsight``)."""
    return Path(os.environ.get("CAPSIGHT_CACHE") or platformdirs.user_cache_path("capsight"))
