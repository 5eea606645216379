"""Metrics of answers base by base: how far predicted summits are off, how alike profiles are, and two trivial rules."""

from collections.abc import Callable, Mapping
from itertools import combinations
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from capsight.config import EvaluateConfig
from capsight.data import schema
from capsight.data.bases import Codes
from capsight.data.loci import Loci

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Statistic = Callable[[Ints], float]

#: Columns of the table of moved windows, beside those of `schema`; positions are 0-based on the contig.
OBSERVED: Final = "observed"
STRONGEST: Final = "strongest"
PREDICTED: Final = "predicted"
PREDICTED_WHOLE: Final = "predicted_whole"
MOST_PROBABLE: Final = "most_probable"
CENTRE: Final = "centre"
PYRIMIDINE_PURINE: Final = "pyrimidine_purine"
PRESENCE: Final = "presence"
TAGS: Final = "tags"
PEAK_TAGS: Final = "peak_tags"
CORRELATION: Final = "correlation"

#: Who says where the summit is, by column.
RULES: Final = (PREDICTED, PREDICTED_WHOLE, MOST_PROBABLE, CENTRE, PYRIMIDINE_PURINE)
#: Bases to either side of a summit within which tags are its peak's.
PEAK_REACH: Final = 25
#: Groups of positives by the number of tags of their peak, of equal size.
STRENGTHS: Final = 4
#: Two replicates are compared in windows where both have so many tags in the middle half.
LEAST_TAGS: Final = 10


def nearest_pyrimidine_purine(codes: Codes) -> Ints:
    """Return the index nearest to the middle at which a purine follows a pyrimidine, ``(n_windows,)``.

    Of two equally near, the 5' one; the middle where a window has none.
    """
    length = codes.shape[1]
    pyrimidine, purine = (codes == 1) | (codes == 3), (codes == 0) | (codes == 2)
    distance = np.broadcast_to(np.abs(np.arange(length) - length // 2), codes.shape)
    step = np.zeros(codes.shape, bool)
    step[:, 1:] = pyrimidine[:, :-1] & purine[:, 1:]
    nearest = np.where(step, distance, length).argmin(axis=1)
    return np.where(step.any(axis=1), nearest, length // 2)


def correlations(one: NDArray[np.floating], other: NDArray[np.floating]) -> Floats:
    """Return Pearson's correlation of each two rows ``(n, length)``; NaN where one of them is constant."""
    a, b = (rows - rows.mean(axis=1, keepdims=True, dtype=np.float64) for rows in (one, other))
    norm = np.sqrt((a * a).sum(axis=1) * (b * b).sum(axis=1))
    return np.divide((a * b).sum(axis=1), norm, out=np.full(len(a), np.nan), where=norm > 0)


def measure(table: pd.DataFrame, replicates: int, config: EvaluateConfig) -> dict[str, Any]:
    """Return every metric of a table of moved windows (`base_evaluation.moved_windows`), with 95 % intervals.

    Parameters
    ----------
    table
        One row per window.
    replicates
        How many replicates the table has columns of.
    config
        Bootstrap and its seed.
    """
    positives = table[table[schema.LABEL] == 1]
    result: dict[str, Any] = {"n": len(positives), "n_negative": len(table) - len(positives)}
    loci = Loci.of(positives)
    result["summits"] = {rule: summit_metrics(_distance(positives, rule), config, loci) for rule in RULES}
    result["strongest"] = _of_strongest(positives[positives[TAGS] > 0], config)
    result["by_peak_tags"] = _by_peak_tags(positives, config)
    result["profile"] = _median(positives, CORRELATION, config)
    pairs = combinations(range(1, replicates + 1), 2)
    result["replicates"] = [{"pair": [a, b], **agreement(positives, a, b, config)} for a, b in pairs]
    result["presence"] = _presence(table, config)
    return result


def _distance(table: pd.DataFrame, rule: str, truth: str = OBSERVED) -> Ints:
    """Return by how many bases a rule is off, ``(n_windows,)``."""
    return np.abs(table[rule].to_numpy(np.int64) - table[truth].to_numpy(np.int64))


def _of_strongest(positives: pd.DataFrame, config: EvaluateConfig) -> dict[str, Any]:
    """Return how far predicted summits are from the bases with most tags, whose peak ever: as replicates are compared.

    Nothing is defined where no window has tags.
    """
    if positives.empty:
        return {"n": 0}
    distance = _distance(positives, PREDICTED, STRONGEST)
    return {"n": len(positives), **summit_metrics(distance, config, Loci.of(positives))}


def _by_peak_tags(positives: pd.DataFrame, config: EvaluateConfig) -> list[dict[str, Any]]:
    """Return how far predicted summits are off in quarters of the windows, from the weakest to the strongest peaks.

    A weak peak has stronger neighbours, and a summit that another experiment would put elsewhere.
    """
    tags = positives[PEAK_TAGS]
    if tags.nunique() < STRENGTHS:
        return []
    quarter = pd.qcut(tags, STRENGTHS, labels=False, duplicates="drop")
    return [
        {
            "tags": [int(part[PEAK_TAGS].min()), int(part[PEAK_TAGS].max())],
            "n": len(part),
            **summit_metrics(_distance(part, PREDICTED), config, Loci.of(part)),
        }
        for _, part in positives.groupby(quarter)
    ]


def summit_metrics(distance: Ints, config: EvaluateConfig, loci: Loci | None = None) -> dict[str, Any]:
    """Return the median distance in bases, and the shares of windows that are exact, within 5 and within 10 bases."""
    statistics: dict[str, Statistic] = {
        "median_distance": lambda rows: float(np.median(distance[rows])),
        "exact": lambda rows: float((distance[rows] == 0).mean()),
        "within_5": lambda rows: float((distance[rows] <= 5).mean()),
        "within_10": lambda rows: float((distance[rows] <= 10).mean()),
    }
    return _with_intervals(statistics, Loci.single(len(distance)) if loci is None else loci, config)


def agreement(table: pd.DataFrame, a: int, b: int, config: EvaluateConfig) -> dict[str, Any]:
    """Compare two replicates, and the prediction with them, in the windows where both have `LEAST_TAGS`.

    Returns
    -------
    agreement
        ``between``: median correlation of the two replicates. ``predicted``: of prediction and all counts that the
        windows carry. ``predicted_single``: of prediction and one replicate (the mean of both, window by window), the
        fair match of ``between``. ``summits``: how far the replicates' own summits are apart.
    """
    rows = table[(table[f"{TAGS}_{a}"] >= LEAST_TAGS) & (table[f"{TAGS}_{b}"] >= LEAST_TAGS)]
    rows = rows.assign(single=(rows[f"{CORRELATION}_{a}"] + rows[f"{CORRELATION}_{b}"]) / 2)
    compared = {"between": between(a, b), "predicted": CORRELATION, "predicted_single": "single"}
    found: dict[str, Any] = {name: _median(rows, column, config) for name, column in compared.items()}
    apart = _distance(rows, f"{OBSERVED}_{a}", f"{OBSERVED}_{b}")
    return {"n": len(rows), **found, "summits": summit_metrics(apart, config, Loci.of(rows))}


def between(a: int, b: int) -> str:
    """Return the column with the correlation of two replicates."""
    return f"{CORRELATION}_{a}_{b}"


def _median(table: pd.DataFrame, column: str, config: EvaluateConfig) -> dict[str, Any]:
    """Return number and median of what is defined in a column."""
    part = table[table[column].notna()]
    known = part[column].to_numpy(float)
    found = _with_intervals({"median": lambda rows: float(np.median(known[rows]))}, Loci.of(part), config)
    return {"n": len(known), **found}


def _presence(table: pd.DataFrame, config: EvaluateConfig) -> dict[str, Any]:
    """Return how well presence tells moved positives from moved negatives."""
    truth, score = table[schema.LABEL].to_numpy(), table[PRESENCE].to_numpy()

    def auroc(rows: Ints) -> float:
        here = truth[rows]
        return float(roc_auc_score(here, score[rows])) if 0 < here.sum() < len(here) else np.nan

    return _with_intervals({"auroc": auroc}, Loci.of(table), config)


def _with_intervals(statistics: Mapping[str, Statistic], loci: Loci, config: EvaluateConfig) -> dict[str, Any]:
    """Return statistics of all windows and their 95 % bootstrap intervals over loci; null where undefined."""
    n = len(loci.number)
    every = np.arange(n)
    values = {name: _or_none(statistic(every)) if n else None for name, statistic in statistics.items()}
    if not config.bootstrap:
        return values
    rng = np.random.default_rng([config.seed, 12])
    drawn: dict[str, list[float]] = {name: [] for name in statistics}
    for _ in range(config.bootstrap if n else 0):
        rows = loci.draw(rng)
        for name, statistic in statistics.items():
            drawn[name].append(statistic(rows))
    return {**values, "intervals": {name: _interval(np.array(found)) for name, found in drawn.items()}}


def _or_none(value: float) -> float | None:
    """Return a number, or nothing for NaN, which is no JSON."""
    return None if np.isnan(value) else value


def _interval(drawn: Floats) -> list[float] | None:
    """Return the 2.5 % and 97.5 % quantiles of what is defined."""
    known = drawn[~np.isnan(drawn)]
    return [float(q) for q in np.quantile(known, [0.025, 0.975])] if len(known) else None
