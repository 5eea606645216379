"""Time and memory of `capsight audit` on windows of a simulated genome with interspersed repeats.

    python benchmarks/audit.py --windows 400000 --folder audit-scale

Half of the genome is unique random sequence, the rest copies of repeat families: 100 of 300 bases and 100 of 2,000,
each copy 5 to 20 % diverged from its family and on a random strand, as Alu and L1 elements are. Every third positive of
the test chromosome is a copy of a training positive with 10 % of its bases substituted; all of these must be named.
"""

import argparse
import resource
import time
from pathlib import Path

import numpy as np
import pandas as pd

from capsight.config import AuditConfig, WindowsConfig
from capsight.data.audit.stage import audit
from capsight.data.genome.alphabet import decode, reverse_complement
from capsight.data.windows.stage import windows

CONTIGS = 24
#: Bases of genome for every window, twice that for every peak.
SPACING = 540
LENGTH = 512


def mutate(codes: np.ndarray, share: float, rng: np.random.Generator) -> np.ndarray:
    """Substitute a share of the bases."""
    hit = rng.random(len(codes)) < share
    return np.where(hit, (codes + rng.integers(1, 4, len(codes))) % 4, codes).astype(np.uint8)


def make_contig(size: int, families: list[np.ndarray], rng: np.random.Generator) -> np.ndarray:
    """Return random bases, half of them covered by copies of repeats."""
    contig = rng.integers(0, 4, size, dtype=np.uint8)
    covered = 0
    while covered < size / 2:
        family = families[rng.integers(len(families))]
        start = rng.integers(0, size - len(family))
        copy = mutate(family, rng.uniform(0.05, 0.2), rng)
        contig[start : start + len(family)] = copy if rng.random() < 0.5 else reverse_complement(copy)
        covered += len(family)
    return contig


def make_inputs(n_windows: int, folder: Path) -> int:
    """Write ``genome.fa`` and ``peaks.bed``; return how many test positives are copies of training positives."""
    rng = np.random.default_rng(1)
    families = [rng.integers(0, 4, size, dtype=np.uint8) for size in [300] * 100 + [2_000] * 100]
    size = n_windows * SPACING // CONTIGS
    contigs = [make_contig(size, families, rng) for _ in range(CONTIGS)]
    summits = np.arange(LENGTH, size - LENGTH, 2 * SPACING)
    planted = summits[::3]
    for summit in planted:
        span = slice(summit - LENGTH // 2, summit + LENGTH // 2)
        contigs[-1][span] = mutate(contigs[0][span], 0.1, rng)
    with (folder / "genome.fa").open("w") as fasta, (folder / "peaks.bed").open("w") as bed:
        for i, contig in enumerate(contigs, 1):
            fasta.write(f">chr{i}\n{decode(contig[None])[0]}\n")
            bed.writelines(f"chr{i}\t{s}\t{s + 1}\tp\t0\t+\n" for s in summits)
    return len(planted)


def main() -> None:
    """Make the windows, audit them, and say what it took."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--windows", type=int, default=40_000)
    parser.add_argument("--folder", type=Path, required=True)
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    planted = make_inputs(options.windows, options.folder)
    config = WindowsConfig(
        genome=options.folder / "genome.fa", peaks=options.folder / "peaks.bed", exclusion_bp=0, length=LENGTH,
        validation=(f"chr{CONTIGS - 1}",), test=(f"chr{CONTIGS}",),
    )  # fmt: skip
    made = windows(config, options.folder / "windows")
    before = time.perf_counter(), time.process_time()
    out = audit(AuditConfig(), made, options.folder / "audit")
    seconds, busy = time.perf_counter() - before[0], time.process_time() - before[1]
    table = pd.read_parquet(made / "windows.parquet")
    pairs = pd.read_csv(out / "pairs.tsv", sep="\t")
    named = set(pairs.loc[(pairs["check"] == "similar") & (pairs["fold"] == "test") & (pairs["label"] == 1), "start"])
    summits = (np.arange(planted) * 3 * 2 * SPACING + LENGTH) - LENGTH // 2
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"{len(table):,} windows of {LENGTH}: {seconds:.0f} s ({busy:.0f} s of CPU), {peak:.2f} GiB at most; "
          f"{sum(s in named for s in summits):,} of {planted:,} planted copies named")  # fmt: skip


if __name__ == "__main__":
    main()
