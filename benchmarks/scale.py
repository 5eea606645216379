"""A genome of hg19's size with all FANTOM5 peaks: base store, windows, and reading them as tokens.

    python benchmarks/scale.py FOLDER hg19.cage_peak_phase1and2combined_coord.bed.gz

FOLDER takes 7 GB (3.2 GB FASTA, 3.1 GB store); --delete removes them at the end.
"""

import argparse
import shutil
import sys
from pathlib import Path

from hg19like import write_genome
from measure import GIB, Measured, run

STORE = """
import sys
from pathlib import Path
from capsight.data.genome.genome import (Genome)
print(int(Genome.open(Path(sys.argv[1])).lengths.sum()))
"""

WINDOWS = """
import sys
from capsight.cli import main
genome, peaks, out = sys.argv[1:]
sys.argv = ["capsight", "windows", "--genome", genome, "--peaks", peaks, "--validation", "chr8", "--test", "chr9"]
sys.argv += ["--length", "512", "--ratio", "1", "-o", out]
main()
"""

READ = """
import json, sys, time
from pathlib import Path
import numpy as np
from capsight.config import (TokenizerConfig)
from capsight.data.sequence.tokenizer import make_tokenizer
from capsight.data.windows.windows import Windows
windows = Windows.open(Path(sys.argv[1]))
tokenizer = make_tokenizer(TokenizerConfig(kind="kmer", k=int(sys.argv[2]), stride=int(sys.argv[3])))
rows = np.random.default_rng(1).permutation(len(windows.table))[:400_000]
speeds = []
for turn in range(3):  # the first turn warms the page cache
    began, cpu, read = time.perf_counter(), time.process_time(), 0
    for i in range(0, len(rows), 256):
        read += len(tokenizer.encode(windows.codes(rows[i : i + 256])))
    speeds.append((read, time.perf_counter() - began, time.process_time() - cpu))
print(json.dumps(speeds[1:]))
"""


def main() -> None:
    """Make the genome, then measure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("peaks", type=Path)
    parser.add_argument("--delete", action="store_true", help="remove what was written into the folder at the end")
    given = parser.parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    genome, windows = given.folder / "hg19like.fa", given.folder / "windows"
    if shutil.disk_usage(given.folder).free < 8 * GIB and not genome.exists():
        sys.exit(f"{given.folder}: 8 GB are needed")
    write_genome(genome, given.peaks)
    store = genome.with_name(f"{genome.name}.capsight")
    for old in (store, windows):
        shutil.rmtree(old, ignore_errors=True)
    _say("genome store, built once", run(STORE, genome), "< 180 s")
    _say("windows, 1:1 matched", run(WINDOWS, genome, given.peaks, windows), "< 180 s, < 3 GiB resident")
    for k, stride in ((1, 1), (6, 1)):
        for read, seconds, cpu in run(READ, windows, k, stride).result:
            print(f"reading as tokens ({k}, {stride}): {read:,} windows, {read / seconds:,.0f} a second, "
                  f"{read / cpu:,.0f} per second of one core (wanted: >= 100,000)")  # fmt: skip
    if given.delete:
        for made in (store, windows):
            shutil.rmtree(made)
        genome.unlink()


def _say(what: str, measured: Measured, wanted: str) -> None:
    memory = f"{measured.resident / GIB:.2f} GiB resident, {measured.private / GIB:.2f} GiB private"
    time = f"{measured.seconds:.0f} s ({measured.cpu:.0f} s of CPU)"
    print(f"{what}: {time}, {memory} (wanted: {wanted})", flush=True)


if __name__ == "__main__":
    main()
