"""One network, trained by one process and by two: how much less each has to do, and whether the result is the same.

    python benchmarks/together.py --out /tmp/together --steps 100

Every process has one thread. Seconds of the processor are those of the first process, which also validates and writes:
they say what each has to do, whatever else the machine does; seconds by the clock say how long it took.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path

import yaml
from safetensors.numpy import load_file

SETTINGS = {
    "model": {
        "width": 96,
        "mlp_size": 256,
        "layers": 3,
        "heads": 4,
        "stem_channels": 96,
        "stem_blocks": 3,
        "downsample": 8,
    },
    "corpus": "windows",
    "full_rank_phase": {"steps": 0},
    "relora_phase": {"batch_size": 32, "gradient_accumulation_steps": 2, "warmup_steps": 10},
    "relora": {"rank": 16, "alpha": 16, "merge_every": 20, "restart_warmup_steps": 5},
    "checkpoint_every": 100_000,
    "evaluate_every": 10,
    "validation_windows": 16,
    "precision": "fp32",
    "tracking": "none",
}


def capsight(processes: int, *arguments: object) -> None:
    """Run a command in so many processes."""
    together = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)]
    start = [sys.executable, *(together if processes > 1 else []), "-m", "capsight"]
    subprocess.run([*start, *map(str, arguments)], check=True, capture_output=True)


def main(out: Path, steps: int) -> list[dict[str, float]]:
    """Train once by one process and once by two; return a row of each."""
    settings = SETTINGS | {"relora_phase": {**SETTINGS["relora_phase"], "steps": steps}}
    (out / "pretrain.yaml").write_text(yaml.safe_dump(settings), encoding="utf-8")
    simulation, windows = out / "simulation", out / "windows"
    sizes = ("bases=300000", "chromosomes=3", "spacing=1000")
    capsight(1, "simulate", *(part for size in sizes for part in ("--set", size)), "-o", simulation)
    capsight(1, "windows", "--genome", simulation / "genome.fa", "--peaks", simulation / "peaks.bed", "--length", 512,
             "--validation", "chr2", "--test", "chr3", "-o", windows)  # fmt: skip
    rows, first = [], {}
    for n in (1, 2):
        folder = out / f"by-{n}"
        capsight(n, "pretrain", windows, "--config", out / "pretrain.yaml", "-o", folder)
        row = json.loads((folder / "logs" / "relora_phase" / "seconds.json").read_text(encoding="utf-8"))
        log = [json.loads(line) for line in (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
        losses, weights = [record["train_loss"] for record in log], load_file(folder / "model.safetensors")
        first = first or {"row": row, "losses": losses, "weights": weights}
        rows.append({
            "processes": n,
            "windows_per_update": 64,
            "seconds": row["seconds"],
            "cpu_seconds": row["cpu_seconds"],
            "cpu_ratio": first["row"]["cpu_seconds"] / row["cpu_seconds"],
            "clock_ratio": first["row"]["seconds"] / row["seconds"],
            "largest_loss_gap": max(abs(a - b) for a, b in zip(losses, first["losses"], strict=True)),
            "largest_weight_gap": max(float(abs(a - first["weights"][k]).max()) for k, a in weights.items()),
        })  # fmt: skip
    return rows


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="Folder to work in; must not exist.")
    parser.add_argument("--steps", type=int, default=100)
    given = parser.parse_args()
    given.out.mkdir(parents=True)
    for row in main(given.out, given.steps):
        print(json.dumps(row))
