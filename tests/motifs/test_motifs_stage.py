"""`motifs` on pretend attributions: what is planted is called, and nothing else."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from capsight.config import MotifsConfig
from capsight.data.attributions import Attributions
from capsight.errors import InputError
from capsight.motifs.motifs import motifs

MOTIF = np.array([3, 0, 3, 0, 0, 0, 2, 2], dtype=np.uint8)  # TATAAAGG
META = {"model_sha256": "m", "windows_sha256": "w", "fold": "test", "faithfulness": {}, "best_method": "ig"}


def pretend(path: Path, *, planted: bool, positive: int = 150, n: int = 300, length: int = 128) -> Path:
    """Write attributions that point at the motif (or at nothing) in predicted positives."""
    rng = np.random.default_rng(0)
    codes = rng.integers(0, 4, (n, length)).astype(np.uint8)
    scores = rng.random((n, length)).astype(np.float32)
    label = (np.arange(n) < positive).astype(np.int8)
    if planted:
        codes[:positive, 33:41] = MOTIF
        scores[:positive, 33:41] += 3
    return Attributions(
        codes=codes,
        score=np.where(label == 1, 0.9, 0.1).astype(np.float32),
        label=label,
        chrom=np.full(n, "chr1"),
        strand=np.full(n, "+"),
        start=np.arange(n) * 200,
        end=np.arange(n) * 200 + length,
        methods={"ig": scores},
        meta=META | {"window_length": length},
    ).write(path)


def called(folder: Path) -> pd.DataFrame:
    table = pd.read_csv(folder / "motifs.tsv", sep="\t")
    q = next(column for column in table.columns if column.startswith("q"))
    return table[table[q] < 0.05]


@pytest.mark.pipeline
def test_the_planted_kmer_is_called_and_random_ones_are_not(tmp_path: Path) -> None:
    config = MotifsConfig(de_novo=False)
    found = called(motifs(config, pretend(tmp_path / "a.npz", planted=True), tmp_path / "planted"))
    assert "TATAAAGG" in found.to_numpy().astype(str)
    none = called(motifs(config, pretend(tmp_path / "b.npz", planted=False), tmp_path / "none"))
    assert len(none) == 0


def test_no_predicted_positives_is_said(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="predicted positive"):
        motifs(MotifsConfig(), pretend(tmp_path / "a.npz", planted=False, positive=0), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_one_promoter_with_many_windows_is_one_observation(tmp_path: Path) -> None:
    """Fourteen overlapping windows: taken for as many observations, they would have its octamers called."""
    rng = np.random.default_rng(2)
    n, many, length = 120, 14, 128
    codes = rng.integers(0, 4, (n, length)).astype(np.uint8)
    promoter = rng.integers(0, 4, 200).astype(np.uint8)
    offset = 4 * np.arange(many)
    codes[:many] = promoter[offset[:, None] + np.arange(length)]
    scores = rng.random((n, length)).astype(np.float32)
    for row, first in enumerate(60 - offset):
        scores[row, first : first + 20] += 3
    start = np.arange(n) * 1_000
    start[:many] = offset
    table = Attributions(
        codes=codes,
        score=np.where(np.arange(n) < n // 2, 0.9, 0.1).astype(np.float32),
        label=(np.arange(n) < n // 2).astype(np.int8),
        chrom=np.full(n, "chr1"),
        strand=np.full(n, "+"),
        start=start,
        end=start + length,
        methods={"ig": scores},
        meta=META | {"window_length": length},
    ).write(tmp_path / "a.npz")
    folder = motifs(MotifsConfig(de_novo=False), table, tmp_path / "out")
    assert not len(called(folder))
    summary = json.loads((folder / "summary.json").read_text())
    assert (summary["n_positive"], summary["n_negative"], summary["n_redundant"]) == (
        n // 2 - many + 1,
        n // 2,
        many - 1,
    )
