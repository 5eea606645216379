"""Ctrl-C and SIGTERM: one line, the shell's exit code and never a traceback, whenever they come."""

import hashlib
import signal
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.pipeline

SIGNALS = pytest.mark.parametrize(
    ("sent", "line"),
    [
        (signal.SIGINT, "interrupted: the same command continues where this stopped"),
        (signal.SIGTERM, "terminated: the same command continues where this stopped"),
    ],
    ids=["SIGINT", "SIGTERM"],
)
SMALL = [
    "model.width=16",
    "model.mlp_size=16",
    "model.layers=1",
    "model.heads=2",
    "model.stem_channels=0",
    "checkpoint_every=2",
    "full_rank_phase.steps=6",
    "full_rank_phase.batch_size=4",
    "relora_phase.steps=0",
]


def run(code: str, *arguments: object) -> "subprocess.CompletedProcess[str]":
    """Run `code`, then the command line as its own script does."""
    start = "import sys; sys.argv[0] = 'capsight'\nimport capsight.cli\n"
    command = [sys.executable, "-c", f"{start}{code}\ncapsight.cli.main()", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


def when_imported(module: str, sent: int) -> str:
    """Return code that sends a signal when a module is about to be imported."""
    return (
        "import os\nclass Finder:\n    def find_spec(self, name, path=None, target=None):\n"
        f"        if name == {module!r}: os.kill(os.getpid(), {sent})\n"
        "sys.meta_path.insert(0, Finder())"
    )


@SIGNALS
@pytest.mark.parametrize("module", ["typer", "pydantic", "capsight.cli.report", "torch", "capsight.train.loop"])
def test_while_modules_are_imported(module: str, sent: int, line: str, tmp_path: Path) -> None:
    done = run(when_imported(module, int(sent)), "pretrain", tmp_path / "none", "-o", tmp_path / "out")
    assert done.stderr == f"{line}\n"
    assert done.returncode == 128 + sent
    assert not list(tmp_path.iterdir())


def in_step(number: int, sent: int) -> str:
    return (
        "import os\nfrom capsight.train import loop\nold = loop._Loop._step\n"
        "def step(self, rate):\n"
        f"    if self.state.step == {number}: os.kill(os.getpid(), {sent})\n"
        "    return old(self, rate)\n"
        "loop._Loop._step = step"
    )


@pytest.fixture(scope="module")
def options(motif_windows: Path) -> list[object]:
    return [motif_windows, *(part for setting in SMALL for part in ("--set", setting))]


@pytest.fixture(scope="module")
def uninterrupted(options: list[object], tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """Return the weights of a training that no signal reached."""
    out = tmp_path_factory.mktemp("whole") / "out"
    assert run("", "pretrain", *options, "-o", out).returncode == 0
    return (out / "model.safetensors").read_bytes()


@SIGNALS
def test_while_a_network_is_trained(
    sent: int, line: str, options: list[object], uninterrupted: bytes, tmp_path: Path
) -> None:
    done = run(in_step(5, int(sent)), "pretrain", *options, "-o", tmp_path / "out")
    assert done.returncode == 128 + sent
    assert done.stderr.splitlines()[-1] == line
    assert "Traceback" not in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["out.partial"]
    again = run("", "pretrain", *options, "-o", tmp_path / "out")
    assert "full_rank_phase: continuing after step 4 of 6" in again.stderr
    weights = (tmp_path / "out" / "model.safetensors").read_bytes()
    assert hashlib.sha256(weights).hexdigest() == hashlib.sha256(uninterrupted).hexdigest()


@SIGNALS
def test_where_a_library_makes_another_error_of_it(sent: int, line: str, tmp_path: Path) -> None:
    code = (
        "import os\nfrom capsight import simulate as _\nimport capsight.simulate\n"
        "def swallow(*_):\n    try:\n"
        f"        os.kill(os.getpid(), {int(sent)})\n        [0 for _ in range(10**6)]\n"
        "    except BaseException as error:\n        raise RuntimeError('failed') from error\n"
        "sys.modules['capsight.simulate'].simulate = swallow"
    )
    done = run(code, "simulate", "-o", tmp_path / "out")
    assert (done.returncode, done.stderr) == (128 + sent, f"{line}\n")


def test_another_program_that_imports_the_command_line_keeps_its_own_signals() -> None:
    # in a job in the background of a script Ctrl-C is switched off
    code = (
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); import capsight.cli\n"
        "print(signal.getsignal(signal.SIGINT) is signal.default_int_handler)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout == "True\n"


def test_python_m_capsight_is_the_command_line() -> None:
    done = subprocess.run([sys.executable, "-m", "capsight", "--version"], capture_output=True, text=True, timeout=60)
    assert done.stdout.startswith("capsight ")
    assert done.returncode == 0
