"""A disk that fills up in the middle of a command: one line, nothing half-written, and what was there stays."""

import errno
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from capsight.output import LEAST_FREE, full, lack_of_room

pytestmark = pytest.mark.pipeline

COMMANDS = {
    "cluster": "cluster {run}/simulation/ctss.bed --set min_cluster_tpm=0 --set min_tpm=0 -o {out}",
    "predict": "predict --model {run}/model {run}/many.fa -o {out}",
    "explain": "explain {run}/windows --model {run}/model --method ig --set n_steps=2 -o {out}",
    "simulate": "simulate --set bases=3000000 --set chromosomes=3 --set spacing=700 -o {out}",
    "windows": "windows --genome {run}/simulation/genome.fa --peaks {run}/simulation/peaks.bed --length 64"
    " --validation chr2 --test chr3 -o {out}",
    "pretrain": "pretrain {run}/windows --config {run}/tiny.yaml -o {out}",
    "baseline": "baseline {run}/windows --model rf -o {out}",
    "motifs": "motifs {run}/attributions.npz --set k=4 -o {out}",
}
#: Those that need more than there is.
IN_THE_MIDDLE = ("simulate", "predict")

#: Mounts a small disk, fills it but for some bytes, and runs a command on it; lists what the command leaves.
SCRIPT = """
disk=$1; free=$2; shift 2
mount -t tmpfs -o size=16m none "$disk" || exit 77
mkdir "$disk/place"
"$PYTHON" -c '
import os, sys
found = os.statvfs(sys.argv[1])
open(os.path.join(sys.argv[1], "filler"), "wb").write(bytes(found.f_bavail * found.f_frsize - int(sys.argv[2])))
' "$disk" "$free"
"$PYTHON" -c 'from capsight.cli import main; main()' "$@"; code=$?
find "$disk/place" -type f > "$disk.left"
exit $code
"""


class Done(NamedTuple):
    code: int
    err: str
    left: list[str]


@pytest.fixture(scope="module")
def on_a_small_disk(
    finished: Path, recipe: Path, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str, int], Done]:
    """Return a function that runs a command on a disk with so many free bytes."""
    if os.geteuid() or not shutil.which("unshare"):
        pytest.skip("mounting a small file system needs root and unshare")
    (finished / "tiny.yaml").write_text(recipe.read_text())
    (finished / "many.fa").write_text("".join(f">sequence-{i}\n{'ACGTTGCATT' * 6}\n" for i in range(50_000)))

    def run(command: str, free: int) -> Done:
        disk = tmp_path_factory.mktemp("disk")
        arguments = COMMANDS[command].format(run=finished, out=disk / "place" / "out").split()
        done = subprocess.run(
            ["unshare", "-m", "bash", "-c", SCRIPT, "-", str(disk), str(free), *arguments],
            capture_output=True, text=True, check=False, env=os.environ | {"PYTHON": sys.executable},
        )  # fmt: skip
        if done.returncode == 77 or "unshare failed" in done.stderr:
            pytest.skip(f"no mount namespaces here: {done.stderr.strip()}")
        left = Path(f"{disk}.left").read_text().split()
        return Done(done.returncode, done.stderr, [Path(name).name for name in left])

    return run


@pytest.mark.parametrize("command", COMMANDS)
def test_a_disk_that_fills_up(command: str, on_a_small_disk: Callable[[str, int], Done]) -> None:
    done = on_a_small_disk(command, LEAST_FREE + (1 << 14))
    if done.code == 0:
        assert command not in IN_THE_MIDDLE
        assert done.left
        assert not [name for name in done.left if name.endswith((".partial", ".lock"))]
        return
    errors = [line for line in done.err.splitlines() if line.startswith("error: ")]
    assert (done.code, len(errors)) == (2, 1), done.err
    assert "no space is left on the disk" in errors[0]
    assert "bytes are free" not in errors[0], "this is the refusal before the work"
    assert "Traceback" not in done.err
    if command != "pretrain":  # of which a whole checkpoint is kept
        assert done.left == []


def test_a_disk_that_fills_up_at_random_bytes(tmp_path: Path) -> None:
    """Run the short form of `full_disk.py`: half of its trials limit the size of a file."""
    if os.geteuid() or not shutil.which("unshare"):
        pytest.skip("mounting a small file system needs root and unshare")
    script = Path(__file__).parents[1] / "full_disk.py"
    done = subprocess.run(
        ["unshare", "-m", sys.executable, str(script), "--trials", "2", "--stages", "windows", "scan", "variants"],
        capture_output=True, text=True, check=False,
        env=os.environ | {"TMPDIR": str(tmp_path), "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)},
    )  # fmt: skip
    if "unshare failed" in done.stderr or "mount" in done.stderr:
        pytest.skip(f"no mount namespaces here: {done.stderr.strip()}")
    assert done.returncode == 0, done.stderr
    for stage in ("windows", "scan", "variants"):
        assert f"{stage}: 2 trials, " in done.stdout


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "no space is left on the disk"),
        (OSError(errno.EDQUOT, "Disk quota exceeded"), "no space is left on the disk"),
        (OSError(errno.EFBIG, "File too large"), "the file would be larger than its file system"),
        (RuntimeError("Error while serializing: I/O error: No space left on device (os error 28)"), "no space is left"),
        (RuntimeError("I/O error: File too large (os error 27)"), "the file would be larger than its file system"),
    ],
)
def test_what_libraries_say_of_a_full_disk_is_understood(error: Exception, message: str) -> None:
    wrapped = ValueError("could not be saved")
    wrapped.__cause__ = error
    for found in (error, wrapped):
        reason = lack_of_room(found)
        assert reason is not None
        assert str(full("out", reason)).startswith(f"out: {message}")
    assert lack_of_room(OSError(errno.EACCES, "Permission denied")) is None
