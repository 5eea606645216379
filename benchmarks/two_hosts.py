"""Train on two hosts, kill one in the middle, start both again: does the training end as one that nobody killed?

The hosts are two network namespaces of this machine, joined by a virtual cable; each runs one process. Needs root and
iproute2; says so and ends with 77 where namespaces are not to be had.

    python benchmarks/two_hosts.py --out /tmp/two-hosts
    python benchmarks/two_hosts.py --stage train --out /tmp/two-hosts
"""

import argparse
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import yaml

HOSTS = {"capsight-a": "10.77.0.1", "capsight-b": "10.77.0.2"}
PORT = 29577
PRETRAIN = {
    "tokenizer": {"k": 1},
    "model": {
        "width": 32,
        "mlp_size": 48,
        "layers": 2,
        "heads": 2,
        "stem_channels": 16,
        "stem_blocks": 2,
        "downsample": 4,
    },
    "corpus": "windows",
    "full_rank_phase": {"steps": 20, "batch_size": 8, "gradient_accumulation_steps": 2, "warmup_steps": 5},
    "relora_phase": {"steps": 120, "batch_size": 8, "gradient_accumulation_steps": 2, "warmup_steps": 5},
    "relora": {"rank": 4, "alpha": 4, "merge_every": 20, "restart_warmup_steps": 5},
    "checkpoint_every": 10,
    "evaluate_every": 20,
    "validation_windows": 64,
}
TRAIN = {
    "model": {"width": 16, "dilations": [1, 2, 4, 8], "average_radius": 16, "dropout": 0.1},
    "crops": {"length": 1024, "batch_size": 4, "gradient_accumulation_steps": 2},
    "loss": {"strength_weight": 0},
    "epochs": 8.6,
    "warmup_steps": 5,
    "checkpoint_every": 10,
    "evaluate_every": 20,
}
#: Of each stage its settings, and the phase in which a host is killed.
STAGES = {"pretrain": (PRETRAIN, "relora_phase"), "train": (TRAIN, "train")}


def capsight(*arguments: object) -> list[str]:
    """Return a command in one process."""
    return [sys.executable, "-m", "capsight", *map(str, arguments)]


def on_host(number: int, *arguments: object) -> list[str]:
    """Return a command of the training on one of the hosts."""
    name, first = list(HOSTS)[number], next(iter(HOSTS.values()))
    torchrun = ["-m", "torch.distributed.run", "--nnodes", "2", "--node-rank", str(number), "--nproc-per-node", "1",
                "--master-addr", first, "--master-port", str(PORT)]  # fmt: skip
    return ["ip", "netns", "exec", name, sys.executable, *torchrun, "-m", "capsight", *map(str, arguments)]


def ip(*arguments: str) -> None:
    """Run ``ip``."""
    subprocess.run(["ip", *arguments], check=True, capture_output=True, text=True)


def lay_cable() -> None:
    """Make two hosts and a cable between them."""
    first, second = HOSTS
    for name in HOSTS:
        ip("netns", "add", name)
    ip("link", "add", "capsight0", "netns", first, "type", "veth", "peer", "name", "capsight0", "netns", second)
    for name, address in HOSTS.items():
        ip("-n", name, "addr", "add", f"{address}/24", "dev", "capsight0")
        ip("-n", name, "link", "set", "capsight0", "up")
        ip("-n", name, "link", "set", "lo", "up")


def remove_hosts() -> None:
    """Remove what `lay_cable` made."""
    for name in HOSTS:
        subprocess.run(["ip", "netns", "del", name], check=False, capture_output=True)


def begin(out: Path, common: list[object]) -> list[subprocess.Popen[bytes]]:
    """Start the training on both hosts; the second has an output folder of its own, which stays empty."""
    started = []
    for number in (0, 1):
        log = (out / f"host-{number}.log").open("ab")
        command = on_host(number, *common, "-o", out / f"host-{number}" / "result")
        environment = os.environ | {"GLOO_SOCKET_IFNAME": "capsight0", "OMP_NUM_THREADS": "1"}
        started.append(
            subprocess.Popen(command, stdout=log, stderr=log, env=environment, start_new_session=True)
        )  # fmt: skip
    return started


def reached(out: Path, phase: str) -> int:
    """Return the step of the last checkpoint of a phase."""
    try:
        state = out / "host-0" / "result.partial" / "checkpoint" / phase / "state.json"
        return int(json.loads(state.read_text(encoding="utf-8"))["step"])
    except (OSError, ValueError):
        return 0


def kill_host(number: int) -> int:
    """End all processes of a host as a power cut would; return how many there were."""
    name = list(HOSTS)[number]
    pids = subprocess.run(["ip", "netns", "pids", name], check=True, capture_output=True, text=True).stdout.split()
    for pid in pids:
        os.kill(int(pid), signal.SIGKILL)
    return len(pids)


def losses(folder: Path) -> list[float]:
    """Return the training losses of a log."""
    return [json.loads(line)["train_loss"] for line in (folder / "metrics.jsonl").read_text().splitlines()]


def largest_gap(one: Path, other: Path) -> float:
    """Return the largest difference of a weight of two models."""
    from safetensors.numpy import load_file

    a, b = load_file(one / "model.safetensors"), load_file(other / "model.safetensors")
    return max(float(abs(a[name] - b[name]).max()) for name in a)


def main(stage: str, out: Path) -> dict[str, object]:
    """Do all of it; return what was seen."""
    settings, phase = STAGES[stage]
    recipe = out / "settings.yaml"
    recipe.write_text(yaml.safe_dump(settings), encoding="utf-8")
    simulation = out / "simulation"
    for command in (
        capsight("simulate", "--set", "bases=200000", "--set", "chromosomes=3", "--set", "spacing=700",
                 "-o", simulation),
        capsight("windows", "--genome", simulation / "genome.fa", "--peaks", simulation / "peaks.bed", "--length", 64,
                 "--validation", "chr2", "--test", "chr3", "-o", out / "windows"),
    ):  # fmt: skip
        subprocess.run(command, check=True, capture_output=True)
    common = [stage, out / "windows", "--config", recipe]
    subprocess.run(capsight(*common, "-o", out / "alone"), check=True, capture_output=True)
    for number in (0, 1):
        (out / f"host-{number}").mkdir(exist_ok=True)
    first = begin(out, common)
    while reached(out, phase) < 40 and all(process.poll() is None for process in first):
        time.sleep(0.1)
    step, killed = reached(out, phase), kill_host(1)
    codes = [process.wait(timeout=300) for process in first]
    told = re.findall(r"^error: .*", (out / "host-0.log").read_text(encoding="utf-8"), re.MULTILINE)
    second = begin(out, common)
    again = [process.wait(timeout=3000) for process in second]
    log = (out / "host-0.log").read_text(encoding="utf-8")
    continued = re.findall(rf"{phase}: continuing after step (\d+)", log)
    both, alone = out / "host-0" / "result", out / "alone"
    gap = max(abs(a - b) for a, b in zip(losses(both), losses(alone), strict=True))
    return {
        "processes killed on the second host": killed, "checkpoint then": step, "exit codes then": codes,
        "message of the first host": told, "exit codes after the second start": again,
        "continued after step": continued, "largest difference of a loss from one process": gap,
        "largest difference of a weight": largest_gap(both, alone),
        "files of the second host": [path.name for path in (out / "host-1").iterdir()],
    }  # fmt: skip


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="Folder to work in; must not exist.")
    parser.add_argument("--stage", choices=STAGES, default="pretrain", help="What is trained.")
    given = parser.parse_args()
    place = given.out
    if os.geteuid() or not shutil.which("ip"):
        print("network namespaces need root and iproute2")
        sys.exit(77)
    place.mkdir(parents=True)
    try:
        lay_cable()
    except subprocess.CalledProcessError as error:
        remove_hosts()
        print(f"no network namespaces here: {error.stderr.strip()}")
        sys.exit(77)
    try:
        for what, seen in main(given.stage, place).items():
            print(f"{what}: {seen}")
    finally:
        remove_hosts()
