"""`evaluate`: metrics of a model on one fold, with bootstrap intervals, over all, per chromosome and by similarity."""

import json
import logging
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn import metrics as sk

from capsight import artefact
from capsight.config import EvaluateConfig
from capsight.data import schema
from capsight.data.audit.similarity_bins import IDENTITY_BINS, NO_RELATIVE, similarity_bins
from capsight.data.windows.windows import Windows
from capsight.errors import ConfigError, InputError
from capsight.evaluate.evaluate_scan import evaluate_scan
from capsight.evaluate.window_scores import window_scores
from capsight.progress import progress
from capsight.shipped import find_model
from capsight.stats.bootstrap import OverlapClusters, intervals

logger = logging.getLogger(__name__)

METRICS_FILE = "metrics.json"
SCORES_FILE = "scores.parquet"
#: Equal-width bins of the expected calibration error (Guo et al. 2017).
ECE_BINS = 15
#: More groups than this are names of sequences, not chromosomes: no table per group.
MOST_CHROMOSOMES = 100

Truth = NDArray[np.int64]
Scores = NDArray[np.float64]


def evaluate(
    config: EvaluateConfig,
    model: Path,
    windows: Path,
    out: Path,
    audit: Path | None = None,
    references: Sequence[Path] = (),
    against: Sequence[Path] = (),
) -> Path:
    """Score one fold and write ``metrics.json`` and ``scores.parquet``.

    With `config.scan`, the chromosomes of the fold are scanned whole: `capsight.evaluate.evaluate_scan.evaluate_scan`.

    Parameters
    ----------
    config
        Fold and bootstrap.
    model
        Model folder, baseline folder, or the name of a shipped model.
    windows
        Folder of the `windows` stage.
    out
        Folder to write.
    audit
        Folder of the `audit` stage of the same windows: metrics are then also given by similarity to training.
    references, against
        Of a scan: files of 5'-end counts, and folders of other models, to measure beside.

    Raises
    ------
    InputError
        If the model does not read windows of this length, the fold has only one label, or the audit is of others.
    """
    if config.scan:
        if audit:
            raise ConfigError("a scan is not measured by similarity to training: leave the audit out")
        return evaluate_scan(config, model, windows, out, references, against)
    if references or against:
        raise ConfigError("references and other models are measured beside a scan", remedy="set scan to true")
    model = find_model(model)
    inputs = {"model": model, "windows": windows} | ({"audit": audit} if audit else {})
    scores = window_scores(model, config.batch_size)  # first: a folder that is no model has the clearer error
    if artefact.is_done(out, "evaluate", config, inputs):
        logger.info("evaluate: %s is done already", out)
        return out
    fold = Windows.open(windows).fold(config.fold)
    truth = fold.labels.astype(np.int64)
    if len(np.unique(truth)) < 2:
        raise InputError(f"the {config.fold} fold holds only one label: nothing can be measured", where=windows)
    strata = similarity_bins(audit, fold) if audit else None
    with artefact.atomic_dir(out, "evaluate", config, inputs) as folder:
        score = scores(fold)
        result = {
            "fold": config.fold,
            "threshold": schema.THRESHOLD,
            **summarise(truth, score, config, OverlapClusters.from_table(fold.table)),
        }
        scored = fold.table.assign(score=score)
        chroms = fold.table[schema.CHROM].to_numpy()
        if len(names := list(dict.fromkeys(chroms))) <= MOST_CHROMOSOMES:
            result["per_chromosome"] = _by_group(names, chroms, scored, config)
        if strata is not None:
            result["per_similarity"] = _by_group([NO_RELATIVE, *IDENTITY_BINS], strata, scored, config)
        text = json.dumps(result, indent=2, allow_nan=False)
        (folder / METRICS_FILE).write_text(text + "\n", encoding="utf-8")
        scored.to_parquet(folder / SCORES_FILE, index=False)
    return out


def _by_group(
    names: Sequence[str], group: NDArray[np.str_], scored: pd.DataFrame, config: EvaluateConfig
) -> dict[str, Any]:
    """Return the metrics of every group that has windows."""
    parts = {name: scored[group == name] for name in names}
    return {
        name: summarise(
            part[schema.LABEL].to_numpy(np.int64),
            part[schema.SCORE].to_numpy(),
            config,
            OverlapClusters.from_table(part),
        )
        for name, part in parts.items()
        if len(part)
    }


def summarise(
    truth: Truth, score: Scores, config: EvaluateConfig, loci: OverlapClusters | None = None
) -> dict[str, Any]:
    """Return every metric, its 95 % percentile-bootstrap interval, and the counts.

    The bootstrap draws whole `loci`, windows that overlap together; without, each window is one. A metric that is
    undefined (one label only) is null.
    """
    if loci is None:
        loci = OverlapClusters.single(len(truth))
    values = compute(truth, score)
    result: dict[str, Any] = {"n": len(truth), "n_positive": int(truth.sum()), **values}
    if config.bootstrap:
        rng = np.random.default_rng([config.seed, 5])
        with progress("bootstrap", config.bootstrap, " draws") as bar:

            def draws() -> Iterator[Mapping[str, float | None]]:
                for rows in loci.draws(config.bootstrap, rng):
                    yield compute(truth[rows], score[rows])
                    bar.update()

            result["intervals"] = intervals(values, draws())
    return result


def compute(truth: Truth, score: Scores) -> dict[str, float | None]:
    """Return every metric of probabilities against labels; `None` where it is undefined."""
    called = (score >= schema.THRESHOLD).astype(np.int64)
    both = 0 < truth.sum() < len(truth)
    precision, recall, f1, _ = sk.precision_recall_fscore_support(truth, called, average="binary", zero_division=0)
    return {
        "accuracy": float((truth == called).mean()),
        "precision": float(precision),
        "recall": float(recall),
        "f1": float(f1),
        "mcc": _matthews(truth, called),
        "auroc": _if(both, sk.roc_auc_score, truth, score),
        "auprc": _if(both, sk.average_precision_score, truth, score),
        "brier": float(np.mean((score - truth) ** 2)),
        "ece": expected_calibration_error(truth, score),
    }


def _if(defined: bool, metric: Callable[..., float], truth: Truth, score: Scores) -> float | None:
    return float(metric(truth, score)) if defined else None


def _matthews(truth: Truth, called: Truth) -> float:
    """Return Matthews' correlation; 0 where a margin is empty, which scikit-learn also says with a warning."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        return float(sk.matthews_corrcoef(truth, called))


def expected_calibration_error(truth: Truth, score: Scores) -> float:
    """Return the mean gap between score and share of positives over equal-width bins, weighted by bin size."""
    which = np.minimum((score * ECE_BINS).astype(np.int64), ECE_BINS - 1)
    gap = np.bincount(which, weights=score - truth, minlength=ECE_BINS)
    return float(np.abs(gap).sum() / len(truth))
