"""Kill a run at random moments (`kill -9`), start it again, and compare every byte with a run that nobody killed.

Long, by hand:  python tests/kills.py --kills 50 --seed 1 --recipe windows (or track)
Short, in the suite:  tests/test_kills.py
"""

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import yaml

#: A user's own files beside the outputs of a run, and what is in them.
OWN = {"notes.txt": b"mine", "results/table.xlsx": b"days of work", ".hidden": b"mine", "predictions.bak.tsv": b"old"}


def start(recipe: Path, out: Path) -> subprocess.Popen[bytes]:
    """Start a run."""
    code = "import sys; from capsight.cli import main; main()"
    command = [sys.executable, "-c", code, "run", str(recipe), "-o", str(out)]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, start_new_session=True)


def finish(process: subprocess.Popen[bytes]) -> None:
    """Wait for a run to end well."""
    _, said = process.communicate()
    if process.returncode:
        raise SystemExit(f"exit code {process.returncode}: {said.decode(errors='replace')[-2000:]}")


def content(folder: Path) -> dict[str, bytes]:
    """Return the bytes of all files below a folder but logs and genome stores, which hold the time of day."""
    found = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_file() and not any(part == "logs" or part.endswith(".capsight") for part in path.parts):
            found[name] = path.read_bytes()
    return found


def lay_own_files(out: Path) -> None:
    """Put the user's files beside the outputs of a run that has begun."""
    for name, data in OWN.items():
        (out / name).parent.mkdir(parents=True, exist_ok=True)
        (out / name).write_bytes(data)


def outputs_in_order(out: Path) -> list[str]:
    """Return the outputs of a finished run in the order in which they were made."""
    made = {path: path / "provenance.yaml" if path.is_dir() else path for path in out.iterdir() if path.name != "logs"}
    times = {path.name: record.stat().st_mtime_ns for path, record in made.items() if record.is_file()}
    return sorted(times, key=lambda name: times[name])


def main(kills: int, seed: int, recipe: dict[str, object], place: Path, *, report: bool = True) -> int:
    """Kill runs of a recipe `kills` times in all, each at a random moment; return the number of runs that it took.

    Raises
    ------
    SystemExit
        If a run fails, differs from the one that was not killed, or harms the user's files.
    """
    path, out = place / "recipe.yaml", place / "run"  # always the same place: peft's adapters name their base's path
    path.write_text(yaml.safe_dump(recipe))
    began = time.monotonic()
    finish(start(path, out))
    seconds = time.monotonic() - began
    expected, order = content(out), outputs_in_order(out)
    rng, left, runs, moments = random.Random(seed), kills, 0, Counter[str]()
    while left:
        shutil.rmtree(out)
        for _ in range(min(left, 5)):  # of one run: five kills, then it may end
            process = start(path, out)
            try:  # what is done stays done, so half the time of a whole run reaches each of its moments
                process.communicate(timeout=rng.uniform(0.1, seconds / 2))
                break
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.communicate()
                left -= 1
                moments[next((name for name in order if not (out / name).exists()), "the end")] += 1
            if (out / "provenance.yaml").is_file():
                lay_own_files(out)
        finish(start(path, out))
        runs += 1
        found = content(out)
        harmed = [name for name, data in OWN.items() if found.pop(name, data) != data]
        differ = sorted(name for name in {*expected, *found} if expected.get(name) != found.get(name))
        if harmed or differ:
            raise SystemExit(json.dumps({"harmed": harmed, "differ": differ, "seed": seed, "run": runs}))
        if report:
            print(f"{kills - left} kills, {runs} runs: all as it should be", flush=True)
    if report:
        print("killed before this was there:", ", ".join(f"{name} {n}" for name, n in moments.most_common()))
    return runs


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--recipe", choices=("windows", "track"), default="windows", help="Which network is trained.")
    given = parser.parse_args()
    sys.path.insert(0, str(Path(__file__).parent))
    from conftest import TINY, TINY_TRACK

    with tempfile.TemporaryDirectory() as folder:
        main(given.kills, given.seed, TINY if given.recipe == "windows" else TINY_TRACK, Path(folder))
