"""Classical models as files that are safe to read, and how they score windows."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file
from scipy.special import expit

from capsight import artefact
from capsight.data.sequence.kmer_counts import KmerFeatures
from capsight.errors import InputError
from capsight.extras import need
from capsight.shipped import check_version

Floats = NDArray[np.float64]
Features = NDArray[np.float32]
Predict = Callable[[Features], Floats]

#: Says which model a folder holds; a folder with it is a baseline folder.
BASELINE_CARD = "baseline.json"
BOOSTER = "booster.txt"
XGBOOST_BOOSTER = "booster.ubj"
FOREST = "forest.safetensors"
LINEAR = "linear.safetensors"
#: Longest words and most bins of a baseline (`BaselineConfig`).
MOST_K, MOST_BINS = 8, 64
#: What reading a damaged baseline raises.
_BROKEN = (ValueError, LookupError, TypeError, ArithmeticError, OSError, SafetensorError)
#: Windows whose features are in memory at once.
STEP = 4096


class Forest(NamedTuple):
    """Decision trees as arrays, their nodes one after another.

    scikit-learn itself stores forests by pickle only, which can run code when it is read.

    Attributes
    ----------
    n_features
        Features that it reads, ``(1,)``.
    roots
        Number of the first node of every tree, ``(n_trees,)``.
    feature
        Feature that each node asks for, ``(n_nodes,)``; -1 in leaves.
    threshold
        A window goes to the left where the feature is not above this, ``(n_nodes,)``.
    left, right
        Numbers of the next nodes, ``(n_nodes,)``, always greater than that of the node itself; -1 in leaves.
    value
        Share of positives among the training windows of each node, ``(n_nodes,)``.
    """

    n_features: NDArray[np.int64]
    roots: NDArray[np.int64]
    feature: NDArray[np.int64]
    threshold: Floats
    left: NDArray[np.int64]
    right: NDArray[np.int64]
    value: Floats

    @classmethod
    def read(cls, path: Path, n_features: int) -> Self:
        """Read and check a forest.

        Raises
        ------
        ValueError
            If a walk through it would leave the arrays or never end.
        """
        forest = cls(**load_file(path))
        n = len(forest.value)
        floats = (forest.threshold, forest.value)
        inner, here = forest.feature >= 0, np.arange(n)
        children = np.stack([forest.left, forest.right])[:, inner]
        sound = (
            all(a.dtype == np.int64 and a.ndim == 1 for a in (forest.roots, forest.feature, forest.left, forest.right))
            and all(a.dtype == np.float64 and a.shape == (n,) for a in floats)
            and {len(forest.feature), len(forest.left), len(forest.right)} == {n}
            and len(forest.roots) > 0
            and 0 <= forest.roots.min() <= forest.roots.max() < n
            and forest.n_features.tolist() == [n_features]
            and forest.feature.max() < n_features
            and bool((children > here[inner]).all() and (children < n).all())
        )
        if not sound:
            raise ValueError("not a forest of this many features")
        return forest

    def write(self, path: Path) -> None:
        """Write as safetensors."""
        save_file(self._asdict(), path)

    def predict(self, features: Features) -> Floats:
        """Return the mean over trees of the share of positives in the leaf that a window ends in."""
        total = np.zeros(len(features))
        for root in self.roots:
            node = np.full(len(features), root)
            while len(rows := np.flatnonzero(self.feature[node] >= 0)):
                at = node[rows]
                goes_left = features[rows, self.feature[at]] <= self.threshold[at]
                node[rows] = np.where(goes_left, self.left[at], self.right[at])
            total += self.value[node]
        return total / len(self.roots)


def read_baseline_card(folder: Path) -> dict[str, Any]:
    """Read what a baseline folder says of itself; its ``model`` and ``length`` are sound.

    Raises
    ------
    InputError
        If it is damaged.
    """
    try:
        card = json.loads((folder / BASELINE_CARD).read_text(encoding="utf-8"))
        if not isinstance(card["model"], str) or not isinstance(card["length"], int) or card["length"] <= 0:
            raise ValueError(f"{card}")
    except (ValueError, LookupError, TypeError, OSError):
        raise unreadable(folder) from None
    return card


def unreadable(folder: Path) -> InputError:
    """Return the error of a baseline folder that is damaged."""
    check_version(folder)
    return InputError("is not a baseline that this version of capsight can read", where=folder)


def load_classical(folder: Path, card: dict[str, Any]) -> Callable[[NDArray[np.uint8]], Floats]:
    """Load a classical model: what maps base codes ``(n_windows, length)`` to probabilities.

    Raises
    ------
    InputError
        If it is damaged, or does not fit the features that its card names.
    """
    try:
        # Early versions count words of one length only.
        features = KmerFeatures(
            int(card["k"]),
            bool(card.get("shorter", False)),
            int(card.get("bins", 1)),
            bool(card.get("symmetric", False)),
        )
        if not (1 <= features.k <= MOST_K and 1 <= features.bins <= MOST_BINS):
            raise ValueError(f"{features}")
        artefact.check_unchanged(folder)  # LightGBM reads half a booster without complaint, and some crash it
        predict = _LOADERS[card["model"]](folder, features.size)
    except _BROKEN:
        raise unreadable(folder) from None

    def score(codes: NDArray[np.uint8]) -> Floats:
        parts = [predict(features.matrix(codes[i : i + STEP])) for i in range(0, len(codes), STEP)]
        return np.concatenate(parts) if parts else np.zeros(0)

    return score


def _load_lightgbm(folder: Path, n_features: int) -> Predict:
    need("lightgbm")
    import lightgbm

    try:
        booster = lightgbm.Booster(model_file=str(folder / BOOSTER))
    except lightgbm.basic.LightGBMError as error:
        raise ValueError(str(error)) from None
    if booster.num_feature() != n_features:
        raise ValueError(f"{booster.num_feature()} features, not {n_features}")
    return lambda features: np.asarray(booster.predict(features))


def _load_xgboost(folder: Path, n_features: int) -> Predict:
    need("xgboost")
    import xgboost

    # XGBoost's own error is a ValueError
    booster = xgboost.Booster(params={"nthread": 1}, model_file=str(folder / XGBOOST_BOOSTER))
    if booster.num_features() != n_features:
        raise ValueError(f"{booster.num_features()} features, not {n_features}")
    return lambda features: np.asarray(booster.inplace_predict(features), dtype=np.float64)


def _load_linear(folder: Path, n_features: int) -> Predict:
    arrays = load_file(folder / LINEAR)
    weight, bias = arrays["weight"], arrays["bias"]
    if weight.shape != (n_features,) or bias.shape != (1,) or not np.isfinite([*weight, *bias]).all():
        raise ValueError(f"{weight.shape} weights, not {n_features}")
    return lambda features: np.asarray(expit(features @ weight + bias), dtype=np.float64)


_LOADERS: dict[str, Callable[[Path, int], Predict]] = {
    "lgbm": _load_lightgbm,
    "kmer-gbm": _load_lightgbm,
    "xgb": _load_xgboost,
    "rf": lambda folder, n_features: Forest.read(folder / FOREST, n_features).predict,
    "kmer-lr": _load_linear,
}
