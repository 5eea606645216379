"""How many mutated copies of windows `capsight audit` finds among random ones, by length and kind of change.

    python benchmarks/similar_windows.py

Half of the queries are copies, on a random strand; the other half are random, and none of them should be found.
"""

import time

import numpy as np

from capsight.config import AuditConfig
from capsight.data.audit.similarity import IDENTITY, QUERY, find_similar
from capsight.data.genome.alphabet import reverse_complement

SIZES = {64: (1_000, 5_000), 128: (1_000, 5_000), 512: (2_600, 9_400), 2_048: (500, 2_000)}
CHANGES = ((0.1, 0), (0.1, 3), (0.15, 0), (0.2, 0))


def change(codes: np.ndarray, share: float, indels: int, rng: np.random.Generator) -> np.ndarray:
    """Substitute exactly this share of the bases, then insert or delete some."""
    row = codes.copy()
    at = rng.choice(len(row), round(len(row) * share), replace=False)
    row[at] = (row[at] + rng.integers(1, 4, len(at))) % 4
    out = row.tolist()
    for _ in range(indels):
        place = int(rng.integers(1, len(out) - 1))
        if rng.random() < 0.5:
            del out[place]
        else:
            out.insert(place, int(rng.integers(4)))
    return np.array((out + rng.integers(0, 4, indels).tolist())[: len(codes)], dtype=np.uint8)


def main() -> None:
    """Print one line per length and change."""
    settings = AuditConfig()
    for length, (n, n_targets) in SIZES.items():
        rng = np.random.default_rng(length)
        targets = rng.integers(0, 4, (n_targets, length), dtype=np.uint8)
        for share, indels in CHANGES:
            source = rng.integers(0, n_targets, n)
            copies = np.array([change(targets[s], share, indels, rng) for s in source])
            flipped = rng.random(n) < 0.5
            copies[flipped] = reverse_complement(copies[flipped])
            codes = np.concatenate([copies, rng.integers(0, 4, (n, length), dtype=np.uint8), targets])
            before = time.process_time()
            pairs = find_similar(
                codes.__getitem__, np.arange(2 * n), np.arange(2 * n, len(codes)), settings.min_coverage
            )
            busy = time.process_time() - before
            found = pairs.loc[pairs[IDENTITY] >= settings.min_identity, QUERY].unique()
            print(f"{length:5} bases, {share:.0%} substituted, {indels} indels: {(found < n).sum():,} of {n:,} copies, "
                  f"{(found >= n).sum()} of {n:,} strangers, {busy:.1f} s of CPU")  # fmt: skip


if __name__ == "__main__":
    main()
