"""A small genome with peaks and counted 5' ends, and a track network of random weights."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import torch

from capsight import artefact
from capsight.config import EvaluateConfig, WindowsConfig
from capsight.config.track import TrackConfig
from capsight.data.windows.stage import windows
from capsight.model.track import TrackModel
from capsight.model.track_folder import Calibration, Calling, TrackCard, save_track
from capsight.predict.track import TrackScorer

#: chr3 is the test fold: five blocks, the last one shorter.
LENGTHS = {"chr1": 21_000, "chr2": 22_000, "chr3": 43_210}


class World(NamedTuple):
    """Files, and where the summits are: chromosome, strand, position."""

    folder: Path
    genome: Path
    peaks: Path
    ctss: Path
    windows: Path
    summits: list[tuple[str, str, int]]


def bed(counts: dict[tuple[str, str, int], float]) -> str:
    return "".join(f"{c}\t{p}\t{p + 1}\t.\t{n:g}\t{s}\n" for (c, s, p), n in sorted(counts.items()))


def swapped(counts: dict[tuple[str, str, int], float]) -> dict[tuple[str, str, int], float]:
    return {(c, "-" if s == "+" else "+", p): n for (c, s, p), n in counts.items()}


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    folder = tmp_path_factory.mktemp("scanned")
    rng = np.random.default_rng(7)
    (folder / "genome.fa").write_text(
        "".join(f">{name}\n{''.join(rng.choice(list('ACGT'), size))}\n" for name, size in LENGTHS.items())
    )
    summits = [
        (name, "+-"[i % 2], int(position))
        for name, size in LENGTHS.items()
        for i, position in enumerate(range(510, size - 300, 613))
    ]
    (folder / "peaks.bed").write_text(
        "".join(f"{c}\t{p - 5}\t{p + 5}\tp\t0\t{s}\t{p}\t{p + 1}\t0\n" for c, s, p in summits)
    )
    counts: dict[tuple[str, str, int], float] = {}
    for c, s, p in summits:
        total = int(rng.integers(20, 200))
        for offset, n in zip((-3, 0, 2), (total // 4, total, total // 5), strict=True):
            counts[c, s, p + offset] = n
    (folder / "ctss.bed").write_text(bed(counts))
    config = WindowsConfig(
        genome=folder / "genome.fa", peaks=folder / "peaks.bed", ctss=(folder / "ctss.bed",), length=64,
        validation="chr2", test="chr3", exclusion_bp=10,
    )  # fmt: skip
    made = windows(config, folder / "windows")
    return World(folder, folder / "genome.fa", folder / "peaks.bed", folder / "ctss.bed", made, summits)


@pytest.fixture(scope="session")
def track(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a track model of random weights, that claims to have learned from chr1."""
    torch.manual_seed(5)
    config = TrackConfig(width=8, first_kernel=9, dilations=(1, 2), head_kernel=3, average_radius=4)
    model = TrackModel(config).eval()
    with torch.no_grad():
        for weights in model.parameters():
            weights += 0.1 * torch.randn_like(weights)
        model.networks[0].head.bias[1] += 3  # more summits than there are
    card = TrackCard(
        halo=TrackScorer(model).halo,
        train=("chr1",),
        calibration=Calibration(intercept=2.0, summits_within_10=1.0, tags_within_10=0.2, tags_within_50=-0.1),
        calling=Calling(min_probability=0.02, distance=60, precision=0.5, recall=0.5),
    )
    out = tmp_path_factory.mktemp("track") / "model"
    with artefact.atomic_dir(out, "train", EvaluateConfig(), {}) as folder:
        save_track(model, card, folder)
    return out
