"""Libraries that numba compiles, imported so that they work wherever capsight runs, and leave other libraries alone."""

import atexit
import logging
import shutil
import tempfile
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

import platformdirs

from capsight.data.io.cache import cache_folder
from capsight.errors import InputError

logger = logging.getLogger(__name__)


def load_compiled(name: str) -> ModuleType:
    """Import a library that numba compiles, such as ``memelite``.

    numba's OpenMP layer resets OpenMP's number of threads for everybody, PyTorch included, and with it the last bits of
    whatever is trained afterwards; its own work queue leaves them alone.

    numba keeps what it compiled beside the library, or else below the home folder, and refuses to import the library
    where neither can be written: in containers, on clusters. Then it is kept in the cache of capsight, or else in a
    temporary folder, for this process only.
    """
    import numba

    numba.config.THREADING_LAYER = "workqueue"
    if not numba.config.CACHE_DIR:  # $NUMBA_CACHE_DIR
        spec = find_spec(name.partition(".")[0])
        numba.config.CACHE_DIR = _find_cache(Path(spec.origin).parent) if spec and spec.origin else ""
    return import_module(name)


@cache
def _find_cache(package: Path) -> str:
    """Return where numba shall keep what it compiles; nothing where the places that it finds itself will do."""
    own = platformdirs.user_cache_path("numba")
    if _can_be_written(package / "__pycache__") or _can_be_written(own):
        return ""
    ours = cache_folder() / "numba"
    if _can_be_written(ours):
        return str(ours)
    try:
        folder = tempfile.mkdtemp(prefix="capsight-")  # not one for all runs: numba trusts what it finds in its cache
    except OSError:
        remedy = "set NUMBA_CACHE_DIR to one that can"
        raise InputError("no folder can be written to for code that is compiled", remedy=remedy) from None
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    logger.warning(
        "neither %s nor %s can be written: code is compiled anew in every run, which takes up to a minute "
        "(set CAPSIGHT_CACHE to a folder that can be written)", own, ours,
    )  # fmt: skip
    return folder


def _can_be_written(folder: Path) -> bool:
    """Tell whether a file can be written into a folder, which is made where there is none."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError:
        return False
