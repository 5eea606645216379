"""What numba compiles is imported wherever capsight runs."""

import logging
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numba
import pytest

from capsight import compiled

SOURCE = Path(compiled.__file__).parents[1]


@pytest.fixture(autouse=True)
def places(monkeypatch: pytest.MonkeyPatch) -> Iterator[set[str]]:
    """Return the ends of the places that can be written, which a test fills; numba's own setting is put back."""
    can: set[str] = set()
    monkeypatch.setattr(compiled, "_can_be_written", lambda folder: any(str(folder).endswith(end) for end in can))
    monkeypatch.setattr(numba.config, "CACHE_DIR", "")
    monkeypatch.setenv("CAPSIGHT_CACHE", "/ours")
    compiled._find_cache.cache_clear()
    yield can
    compiled._find_cache.cache_clear()


@pytest.mark.parametrize(
    ("can", "cache"),
    [
        ({"json/__pycache__"}, ""),
        ({".cache/numba"}, ""),
        ({"/ours/numba"}, "/ours/numba"),
        ({"/ours/numba", ".cache/numba"}, ""),
    ],
)
def test_the_first_place_that_can_be_written_is_taken(places: set[str], can: set[str], cache: str) -> None:
    places |= can
    compiled.load_compiled("json")
    assert cache == numba.config.CACHE_DIR


def test_a_temporary_folder_is_the_last_resort_and_is_reported(
    places: set[str], caplog: pytest.LogCaptureFixture
) -> None:
    compiled.load_compiled("json")
    folder = Path(numba.config.CACHE_DIR)
    assert folder.is_dir()
    assert (folder.stat().st_mode & 0o077) == 0  # numba trusts what lies in it
    assert "set CAPSIGHT_CACHE to a folder that can be written" in caplog.text
    shutil.rmtree(folder)


def test_what_the_user_chose_stays(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr(numba.config, "CACHE_DIR", "/chosen")
    with caplog.at_level(logging.INFO):
        compiled.load_compiled("json")
    assert numba.config.CACHE_DIR == "/chosen"
    assert not caplog.text


@pytest.mark.pipeline
@pytest.mark.parametrize("library", ["memelite", "modiscolite.tfmodisco"])
@pytest.mark.parametrize("user", [65534, 12345], ids=["nobody", "no-name"])
def test_libraries_load_for_users_who_can_write_nowhere(library: str, user: int, tmp_path: Path) -> None:
    if os.geteuid() != 0 or not shutil.which("setpriv"):
        pytest.skip("only root can become another user")
    setpriv = ["setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups"]
    env = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "PYTHONPATH": str(SOURCE), "OMP_NUM_THREADS": "1"}
    if subprocess.run([*setpriv, sys.executable, "-c", "import numba, capsight"], env=env, check=False).returncode:
        pytest.skip("other users cannot read this installation")
    code = (
        f"from capsight.compiled import load_compiled as l; import numba; l({library!r}); print(numba.config.CACHE_DIR)"
    )
    done = subprocess.run(
        [*setpriv, sys.executable, "-c", code, library], env=env, capture_output=True, text=True, check=False, cwd="/"
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()
    assert not Path(done.stdout.strip()).exists()  # removed at the end
