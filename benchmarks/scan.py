"""How fast a genome is scanned, from file to bigWig, beside what the processor could do; and in how much memory.

    python benchmarks/scan.py MODEL sacCer3.fa.gz

Each scan is a process of its own. Its seconds are those of `capsight.scan`, without the start of Python.
"""

import argparse
import json
import shutil
import sys
import tempfile
import time
from pathlib import Path

import torch
from measure import GIB, run
from torch import nn

from capsight.data.genome.genome import Genome
from capsight.model.track_folder import load_track
from capsight.shipped import find_model

SCAN = """
import json, sys, time
from pathlib import Path
from capsight.config import ScanConfig
from capsight.predict.scan import scan
model, genome, out, settings = sys.argv[1:]
config = ScanConfig.model_validate(json.loads(settings))
began, cpu = time.perf_counter(), time.process_time()
scan(config, Path(model), Path(genome), Path(out))
print(json.dumps([time.perf_counter() - began, time.process_time() - cpu]))
"""

#: Letters of codes.
LETTERS = b"ACGT".ljust(256, b"N")
#: Bases of one measured convolution; its numbers fit into the cache.
POSITIONS = 1 << 14


def main(arguments: list[str] | None = None) -> None:
    """Measure, and print what was found."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path, help="folder of a track model, or a shipped one")
    parser.add_argument("genome", type=Path)
    parser.add_argument("--region", default="chrIV", help="what one thread scans")
    parser.add_argument("--megabases", type=float, default=4, help="length of the contig that memory is measured on")
    parser.add_argument("--threads", type=int, default=2, help="with which the whole genome is scanned")
    given = parser.parse_args(arguments)
    model = find_model(given.model)
    genome = Genome.open(given.genome)
    flops = 2 * flops_per_base(load_track(model)[0])
    print(f"{flops / 1e3:,.0f} thousand operations for a base on both strands", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        for precision in ("fp32", "bf16"):
            print(speed_line(model, genome, given.region, precision, flops, Path(folder)), flush=True)
        for times in (1, 4):
            print(memory_line(model, genome, times, given.megabases, Path(folder)), flush=True)
        seconds, cpu = scan(model, genome.path, Path(folder) / "whole", threads=given.threads)[:2]
        bases, threads = f"{genome.lengths.sum():,}", given.threads
        print(f"whole genome, {bases} bases, fp32, {threads} threads: {seconds:.0f} s by the clock, {cpu:.0f} s of CPU")


def speed_line(model: Path, genome: Genome, region: str, precision: str, flops: float, folder: Path) -> str:
    """Scan a region on one thread; return speed, and share of the measured rate of convolutions."""
    _, cpu, _, _ = scan(model, genome.path, folder / precision, region=region, precision=precision, threads=1)
    bases = int(genome.lengths[genome.names.index(region)]) / cpu
    rates = {channels: convolution_rate(channels, precision) for channels in (64, 96)}
    shares = ", ".join(
        f"{bases * flops / rate:.0%} of {rate / 1e9:.0f} GFLOP/s ({channels} channels)"
        for channels, rate in rates.items()
    )
    return f"{region}, {precision}, one thread: {bases:,.0f} bases per second of CPU; {shares}"


def memory_line(model: Path, genome: Genome, times: int, megabases: float, folder: Path) -> str:
    """Scan one contig of so many megabases; return peak memory."""
    path, length = folder / f"{times}.fa", round(times * megabases * 1e6)
    longest = genome.contig(int(genome.lengths.argmax())).tobytes().translate(LETTERS)
    path.write_bytes(b">long\n" + (longest * (length // len(longest) + 1))[:length] + b"\n")
    Genome.open(path)  # its store is built before
    _, _, resident, private = scan(model, path, folder / f"long{times}", precision="bf16", threads=1)
    path.unlink()
    shutil.rmtree(f"{path}.capsight")
    return f"contig of {length:,} bases: {resident / GIB:.2f} GiB resident, {private / GIB:.2f} GiB private"


def scan(model: Path, genome: Path, out: Path, **settings: object) -> tuple[float, float, int, int]:
    """Scan in a process of its own; return seconds, seconds of CPU, and bytes of resident and private memory."""
    measured = run(SCAN, model, genome, out, json.dumps(settings))
    shutil.rmtree(out)
    return *measured.result, measured.resident, measured.private


def flops_per_base(model: nn.Module) -> int:
    """Return floating-point operations of all convolutions for a base on one strand, without halo."""
    return sum(2 * module.weight.numel() for module in model.modules() if isinstance(module, nn.Conv2d))


def convolution_rate(channels: int, precision: str, seconds: float = 2.0) -> float:
    """Return operations per second of CPU of one convolution of kernel 3 and height 1, channels last, one thread."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    layer = nn.Conv2d(channels, channels, (1, 3)).to(dtype=dtype, memory_format=torch.channels_last)
    x = torch.randn(1, channels, 1, POSITIONS, dtype=dtype).to(memory_format=torch.channels_last)
    best = 0.0
    with torch.inference_mode():
        end = time.process_time() + seconds
        while time.process_time() < end:
            began = time.process_time()
            for _ in range(20):
                layer(x)
            best = max(best, 20 * 2 * layer.weight.numel() * POSITIONS / (time.process_time() - began))
    torch.set_num_threads(before)
    return best


if __name__ == "__main__":
    main(sys.argv[1:])
