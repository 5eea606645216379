"""A small network to start from."""

from pathlib import Path

import pytest

from capsight.config import ModelConfig, PhaseConfig, PretrainConfig
from capsight.train.pretrain import pretrain


@pytest.fixture(scope="session")
def pretrained(motif_windows: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a network of random weights that reads the windows of `motif_windows`."""
    none = PhaseConfig(steps=0)
    model = ModelConfig(width=32, mlp=48, layers=1, heads=2, stem=16, pool=4, pooling="position")
    config = PretrainConfig(model=model, warmup=none, main=none)
    return pretrain(config, motif_windows, tmp_path_factory.mktemp("pretrained") / "out")
