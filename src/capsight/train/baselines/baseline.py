"""`baseline`: the models that the paper compares with and stronger ones, on the same windows and folds."""

import json
import logging
import time
from collections.abc import Callable
from itertools import accumulate
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save_file
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from threadpoolctl import threadpool_limits

from capsight import artefact
from capsight.config import BaselineConfig
from capsight.data import schema
from capsight.data.sequence.kmer_counts import KmerFeatures
from capsight.data.windows.windows import Windows
from capsight.errors import InputError
from capsight.extras import need_for_baseline
from capsight.predict.classical import BASELINE_CARD, BOOSTER, FOREST, LINEAR, XGBOOST_BOOSTER, Forest
from capsight.train.launch import check_alone

logger = logging.getLogger(__name__)

#: What `kmer-lr` tries: inverse strengths of the L2 penalty, on standardised counts.
PENALTIES = (1e-5, 1e-4, 1e-3, 1e-2)
#: What `kmer-gbm` tries: leaves per tree, and fewest windows in a leaf.
SHAPES = ((15, 50), (31, 20))
#: LightGBM's settings in `kmer-gbm`, beside these. Few features per tree: there are thousands, and most are alike.
BOOSTING = {"learning_rate": 0.05, "feature_fraction": 0.1, "bagging_fraction": 0.8, "bagging_freq": 1, "lambda_l2": 1}
MOST_ROUNDS = 1_500
#: LightGBM gives the same trees on any number of threads.
REPEATABLE = {"deterministic": True, "force_row_wise": True, "verbose": -1}
#: Rounds without a better validation AUROC after which boosting stops.
PATIENCE = 75


class Counted(NamedTuple):
    """A fold as features ``(n_windows, n_features)`` and labels ``(n_windows,)``."""

    features: NDArray[np.float32]
    labels: NDArray[np.int64]


#: Fits a model, writes it into a folder, and returns what is worth telling on its card.
Fit = Callable[[Counted, Counted, int, Path], dict[str, Any]]


def baseline(config: BaselineConfig, windows: Path, out: Path) -> Path:
    """Train a classical model on k-mer counts of the training fold, or a convolutional network on its bases.

    Parameters
    ----------
    config
        Which model, and which words are counted where, or the shape and the training of the network.
    windows
        Folder of the `windows` stage. ``kmer-lr`` and ``kmer-gbm`` choose their hyper-parameters on its validation
        fold and ``cnn`` its weights; the others do not read it.
    out
        Folder to write; `evaluate` and `predict` take it like a model folder.

    Raises
    ------
    InputError
        If a fold that is needed has no windows, or only one label.
    """
    need_for_baseline(config.model)
    inputs = {"windows": windows}
    if artefact.is_done(out, "baseline", config, inputs):
        logger.info("baseline: %s is done already", out)
        return out
    if config.model == "cnn":
        check_alone("baseline")
    data = Windows.open(windows)
    with artefact.atomic_dir(out, "baseline", config, inputs) as folder:
        fit = _fit_network if config.model == "cnn" else _fit_counts
        card = {"model": config.model, "length": data.length, **fit(config, data, folder)}
        (folder / BASELINE_CARD).write_text(json.dumps(card, indent=2) + "\n", encoding="utf-8")
    return out


def _fit_network(config: BaselineConfig, data: Windows, folder: Path) -> dict[str, Any]:
    """Train the CNN; torch is loaded for it alone."""
    from capsight.train.baselines.cnn import fit_cnn

    return fit_cnn(config, data, folder)


def _fit_counts(config: BaselineConfig, data: Windows, folder: Path) -> dict[str, Any]:
    """Count k-mers and fit a classical model; return what its card says."""
    began = time.monotonic(), time.process_time()
    features = KmerFeatures(config.k, config.model in _TUNED, config.bins, config.symmetric)
    training = _count(data, schema.TRAIN, features)
    validation = _count(data, schema.VALIDATION, features) if config.model in _TUNED else training
    told = _FITS[config.model](training, validation, config.seed, folder)
    artefact.write_seconds(folder, config.model, time.monotonic() - began[0], time.process_time() - began[1])
    logger.info("baseline: %s on %d counts of %d windows", config.model, features.size, len(training.labels))
    return {**features._asdict(), "n_features": features.size, "n_train": len(training.labels), **told}


def _count(data: Windows, fold: str, features: KmerFeatures) -> Counted:
    """Read a fold."""
    part = data.fold(fold)
    if len(np.unique(part.labels)) < 2:
        raise InputError(f"the {fold} fold holds only one label: nothing can be learnt", where=data.folder)
    return Counted(features.matrix(part.codes(np.arange(len(part.table)))), part.labels)


def _fit_forest(training: Counted, _: Counted, seed: int, folder: Path) -> dict[str, Any]:
    """Fit scikit-learn's random forest with its defaults; write its trees as arrays."""
    model = RandomForestClassifier(random_state=seed, n_jobs=1).fit(*training)
    trees = [estimator.tree_ for estimator in model.estimators_]
    roots = np.array([0, *accumulate(tree.node_count for tree in trees)][:-1], dtype=np.int64)

    def joined(name: str) -> NDArray[np.int64]:
        return np.concatenate([getattr(tree, name) for tree in trees]).astype(np.int64)

    inner = joined("children_left") >= 0
    root = np.repeat(roots, [tree.node_count for tree in trees])
    values = np.concatenate([tree.value[:, 0, :] for tree in trees])
    Forest(
        n_features=np.array([training.features.shape[1]], dtype=np.int64),
        roots=roots,
        feature=np.where(inner, joined("feature"), -1),
        threshold=np.concatenate([tree.threshold for tree in trees]),
        left=np.where(inner, joined("children_left") + root, -1),
        right=np.where(inner, joined("children_right") + root, -1),
        value=values[:, 1] / values.sum(axis=1),
    ).write(folder / FOREST)
    return {"trees": len(trees)}


def _fit_xgboost(training: Counted, _: Counted, seed: int, folder: Path) -> dict[str, Any]:
    """Fit XGBoost with its defaults."""
    from xgboost import XGBClassifier

    model = XGBClassifier(random_state=seed, n_jobs=1).fit(*training)
    model.get_booster().save_model(folder / XGBOOST_BOOSTER)
    return {"trees": model.get_booster().num_boosted_rounds()}


def _fit_lightgbm(training: Counted, _: Counted, seed: int, folder: Path) -> dict[str, Any]:
    """Fit LightGBM with its defaults."""
    import lightgbm

    model = lightgbm.LGBMClassifier(random_state=seed, importance_type="gain", **REPEATABLE).fit(*training)
    model.booster_.save_model(str(folder / BOOSTER))
    return {"trees": model.booster_.num_trees()}


def _fit_tuned_lightgbm(training: Counted, validation: Counted, seed: int, folder: Path) -> dict[str, Any]:
    """Fit LightGBM in several shapes, each up to its best round on validation; write the best."""
    import lightgbm

    best, chosen = -1.0, {}
    for leaves, fewest in SHAPES:
        shape = {"num_leaves": leaves, "min_data_in_leaf": fewest}
        params = {"objective": "binary", "metric": "auc", "seed": seed, **REPEATABLE, **BOOSTING, **shape}
        data = lightgbm.Dataset(*training, params=params)
        held_out = lightgbm.Dataset(*validation, reference=data, params=params)
        stop = lightgbm.early_stopping(PATIENCE, verbose=False)
        booster = lightgbm.train(params, data, MOST_ROUNDS, valid_sets=[held_out], callbacks=[stop])
        auroc = float(booster.best_score["valid_0"]["auc"])
        logger.debug("baseline: %d leaves of %d windows: validation AUROC %.4f", leaves, fewest, auroc)
        if auroc > best:
            best = auroc
            booster.save_model(str(folder / BOOSTER), num_iteration=booster.best_iteration)
            chosen = {**BOOSTING, **shape, "trees": booster.best_iteration}
    return {"chosen": chosen, "validation_auroc": best}


def _fit_logistic(training: Counted, validation: Counted, seed: int, folder: Path) -> dict[str, Any]:
    """Fit logistic regressions on standardised counts; write the best on validation, as weights of plain counts."""
    mean = training.features.mean(axis=0, dtype=np.float64)
    scale = training.features.std(axis=0, dtype=np.float64)
    scale[scale == 0] = 1  # words that never vary
    standard = ((training.features - mean) / scale).astype(np.float32)
    best, chosen = -1.0, {}
    with threadpool_limits(1):  # sums over threads would differ in their last bits
        for penalty in PENALTIES:
            model = LogisticRegression(C=penalty, max_iter=2_000, random_state=seed).fit(standard, training.labels)
            weight = model.coef_[0].astype(np.float64) / scale
            bias = model.intercept_.astype(np.float64) - mean @ weight
            auroc = float(roc_auc_score(validation.labels, validation.features @ weight + bias))
            if auroc > best:
                best, chosen = auroc, {"C": penalty}
                save_file({"weight": weight, "bias": bias}, folder / LINEAR)
    return {"chosen": chosen, "validation_auroc": best}


_FITS: dict[str, Fit] = {
    "rf": _fit_forest,
    "xgb": _fit_xgboost,
    "lgbm": _fit_lightgbm,
    "kmer-lr": _fit_logistic,
    "kmer-gbm": _fit_tuned_lightgbm,
}
_TUNED = ("kmer-lr", "kmer-gbm")
