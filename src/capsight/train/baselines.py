"""`baseline`: the classical models that the paper compares with, on the same windows and folds."""

import json
import logging
from pathlib import Path

import numpy as np
from lightgbm import LGBMClassifier

from capsight import artefact
from capsight.config import BaselineConfig
from capsight.data import schema
from capsight.data.kmer_counts import count_kmers
from capsight.data.windows import Windows
from capsight.predict.scorer import BASELINE_CARD, BOOSTER

logger = logging.getLogger(__name__)


def baseline(config: BaselineConfig, windows: Path, out: Path) -> Path:
    """Train a classical model on k-mer counts of the training fold, with library defaults.

    Parameters
    ----------
    config
        Which model, and which k.
    windows
        Folder of the `windows` stage.
    out
        Folder to write; `evaluate` and `predict` take it like a model folder.
    """
    inputs = {"windows": windows}
    if artefact.is_done(out, "baseline", config, inputs):
        logger.info("baseline: %s is done already", out)
        return out
    data = Windows.open(windows)
    training = data.fold(schema.TRAIN)
    with artefact.building(out, "baseline", config, inputs) as folder:
        counts = count_kmers(training.codes(np.arange(len(training.table))), config.k)
        model = LGBMClassifier(
            random_state=config.seed,
            deterministic=True,
            force_row_wise=True,
            importance_type="gain",
            verbose=-1,
        )
        model.fit(counts, training.labels)
        model.booster_.save_model(str(folder / BOOSTER))
        card = {"model": config.model, "k": config.k, "length": data.length, "n_train": len(counts)}
        (folder / BASELINE_CARD).write_text(json.dumps(card, indent=2) + "\n", encoding="utf-8")
    logger.info("baseline: LightGBM on %d-mer counts of %d windows", config.k, len(counts))
    return out
