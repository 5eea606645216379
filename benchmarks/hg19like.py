"""A FASTA of hg19's contig lengths with simulated bases: as large and as uneven as the real one, and free to make.

GC content changes every 1,000 bases and is higher around peaks, so that matching negatives is work, as it is in a real
genome; 45 % of these blocks are soft-masked; N stand at the contig ends and in 7 % of the rest, never at a peak.
"""

import gzip
from pathlib import Path

import numpy as np

LENGTHS = Path(__file__).with_name("hg19.lengths.tsv")
BLOCK = 1_000
LINE = 50
CHUNK = 8_000 * BLOCK
LETTERS = np.frombuffer(b"ATCG", dtype=np.uint8)
N, NEWLINE, LOWER = ord("N"), ord("\n"), 32


def read_lengths() -> dict[str, int]:
    """Return the contigs of hg19 that have FANTOM5 peaks, with their lengths."""
    rows = (line.split("\t") for line in LENGTHS.read_text().splitlines())
    return {name: int(length) for name, length in rows}


def write_genome(path: Path, peaks: Path, seed: int = 1) -> None:
    """Write the FASTA, unless it is there already; the same seed gives the same bytes."""
    if path.exists():
        return
    starts: dict[str, list[int]] = {}
    with gzip.open(peaks, "rt") as handle:
        for line in handle:
            chrom, start, _ = line.split("\t", 2)
            starts.setdefault(chrom, []).append(int(start))
    partial = path.with_name(f"{path.name}.partial")
    with partial.open("wb") as out:
        for number, (name, length) in enumerate(read_lengths().items()):
            out.write(f">{name}\n".encode())
            _write_contig(out, length, np.array(starts.get(name, []), np.int64), np.random.default_rng([seed, number]))
    partial.rename(path)


def _write_contig(out, length: int, starts: np.ndarray, rng: np.random.Generator) -> None:
    blocks = -(-length // BLOCK)
    busy = np.zeros(blocks + 4, dtype=bool)
    for shift in range(5):  # the block of a peak and two on either side
        busy[starts // BLOCK + shift] = True
    busy = busy[2 : blocks + 2]
    gc = np.where(busy, rng.normal(0.55, 0.10, blocks), rng.normal(0.41, 0.06, blocks)).clip(0.25, 0.8)
    soft = rng.random(blocks) < 0.45
    unknown = (rng.random(blocks) < 0.07) | (np.arange(blocks) < 10) | (np.arange(blocks) >= blocks - 10)
    unknown &= ~busy
    for first in range(0, length, CHUNK):
        size = min(CHUNK, length - first)
        part = slice(first // BLOCK, -(-(first + size) // BLOCK))
        threshold, lower, n = (
            np.repeat(values[part], BLOCK)[:size] for values in ((gc * 256).astype(np.uint8), soft * LOWER, unknown)
        )
        strong = np.frombuffer(rng.bytes(size), np.uint8) < threshold
        either = np.unpackbits(np.frombuffer(rng.bytes(-(-size // 8)), np.uint8))[:size]
        letters = LETTERS[2 * strong + either] | lower.astype(np.uint8)
        letters[n] = N
        whole = size // LINE * LINE
        lines = np.full((whole // LINE, LINE + 1), NEWLINE, dtype=np.uint8)
        lines[:, :LINE] = letters[:whole].reshape(-1, LINE)
        out.write(lines.tobytes())
        if size > whole:
            out.write(letters[whole:].tobytes() + b"\n")
