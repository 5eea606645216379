"""Paired tests of models on the same held-out windows: over chromosomes, and over loci.

The two say different things. The signed-rank test over chromosomes asks whether another chromosome would show the same
order of two models; with fewer than six it cannot answer. The bootstrap over loci asks whether other windows of the
same chromosomes would; windows that overlap are one locus.
"""

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.stats import wilcoxon

from capsight.stats.bootstrap import OverlapClusters, interval

Floats = NDArray[np.float64]

#: Resamples behind p and interval of a difference over loci.
DRAWS = 2_000
#: Numbers in memory at once while windows are drawn.
CELLS = 4_000_000


class HeldOut(NamedTuple):
    """A chromosome that was left out, as every model scored it.

    Attributes
    ----------
    labels
        ``(n_windows,)``, 0 or 1, both present.
    scores
        By model, ``(n_windows,)``.
    loci
        Windows that overlap, which are drawn together; without, each window is one.
    """

    labels: NDArray[np.int64]
    scores: Mapping[str, Floats]
    loci: OverlapClusters | None = None


def paired_tests(table: pd.DataFrame, metrics: Sequence[str]) -> pd.DataFrame:
    """Compare every two models, chromosome by chromosome, with Wilcoxon's signed-rank test (1945), two-sided.

    Parameters
    ----------
    table
        One row per chromosome and model, with the columns `metrics`.
    metrics
        What is compared.

    Returns
    -------
    tests
        One row per metric and pair of models: the median over chromosomes of `model` minus `other`, the smaller rank
        sum, p (not corrected for the number of tests), and the least p that so many chromosomes can give.
    """
    models = list(dict.fromkeys(table["model"]))
    rows = []
    for metric in metrics:
        wide = table.pivot(index="chromosome", columns="model", values=metric)
        for model, other in combinations(models, 2):
            difference = (wide[model] - wide[other]).to_numpy()
            statistic, p = wilcoxon(difference) if difference.any() else (0.0, 1.0)
            rows.append(
                {
                    "metric": metric, "model": model, "other": other, "n": len(difference),
                    "median_difference": np.median(difference), "statistic": float(statistic), "p": float(p),
                    "min_attainable_p": min_attainable_p(len(difference)),
                }
            )  # fmt: skip
    columns = ["metric", "model", "other", "n", "median_difference", "statistic", "p", "min_attainable_p"]
    return pd.DataFrame(rows, columns=columns)


def min_attainable_p(n: int) -> float:
    """Return the two-sided p of `n` differences of one sign."""
    return float(min(1.0, 2.0 ** (1 - n)))


def window_tests(held_out: Sequence[HeldOut], seed: int, draws: int = DRAWS) -> pd.DataFrame:
    """Compare the AUROC of every two models by a paired bootstrap over loci (Efron and Tibshirani 1993).

    Parameters
    ----------
    held_out
        The chromosomes that were left out, all scored by the same models.
    seed
        Of the draws.
    draws
        Resamples. In each, the loci of every chromosome are drawn with replacement, as many as there are, and the same
        ones for all models; draws without positives or without negatives do not count.

    Returns
    -------
    tests
        One row per pair of models: `mean_difference`, the mean over chromosomes of the AUROC of `model` minus that of
        `other`; `low` and `high`, its 95 % percentile interval; `p_windows`, two-sided: twice the share of draws in
        which the difference is not of its sign, the observed one counted as a draw, at most 1 (not corrected for the
        number of pairs).

    Notes
    -----
    The chromosomes and the trained models are taken as they are: what another training, or another chromosome, would
    have given is not covered.
    """
    rng = np.random.default_rng([seed, 9])
    pairs = list(combinations(held_out[0].scores, 2))
    found: list[dict[str, float]] = []
    for one in held_out:
        positive = one.labels == 1
        every = np.ones((1, positive.sum())), np.ones((1, (~positive).sum()))
        scores = one.scores.items()
        found.append({name: float(_auroc(score[positive], score[~positive], *every)[0]) for name, score in scores})
    drawn = [_drawn(one, draws, rng) for one in held_out if pairs]
    rows = []
    for model, other in pairs:
        observed = float(np.mean([auroc[model] - auroc[other] for auroc in found]))
        differences = np.mean([auroc[model] - auroc[other] for auroc in drawn], axis=0)
        differences = differences[~np.isnan(differences)]
        least = min((differences <= 0).sum(), (differences >= 0).sum())
        low, high = interval(differences) or (np.nan, np.nan)
        rows.append(
            {
                "metric": "auroc", "model": model, "other": other, "mean_difference": observed,
                "low": low, "high": high, "p_windows": min(1.0, 2 * (1 + least) / (1 + len(differences))),
            }
        )  # fmt: skip
    columns = ["metric", "model", "other", "mean_difference", "low", "high", "p_windows"]
    return pd.DataFrame(rows, columns=columns)


def _drawn(one: HeldOut, draws: int, rng: np.random.Generator) -> dict[str, Floats]:
    """Return the AUROC of every model in every draw, ``(draws,)``, on the same draws."""
    positive = one.labels == 1
    loci = OverlapClusters.single(len(positive)) if one.loci is None else one.loci
    step = max(1, CELLS // len(positive))
    parts: dict[str, list[Floats]] = {model: [] for model in one.scores}
    for start in range(0, draws, step):
        times = loci.draw_times(min(step, draws - start), rng)
        for model, score in one.scores.items():
            parts[model].append(_auroc(score[positive], score[~positive], times[:, positive], times[:, ~positive]))
    return {model: np.concatenate(part) for model, part in parts.items()}


def _auroc(positives: Floats, negatives: Floats, n_positive: ArrayLike, n_negative: ArrayLike) -> Floats:
    """Return the AUROC of windows that count several times.

    Parameters
    ----------
    positives, negatives
        Their scores, ``(n_positives,)`` and ``(n_negatives,)``.
    n_positive, n_negative
        How often each counts, ``(draws, n_positives)`` and ``(draws, n_negatives)``.

    Returns
    -------
    auroc
        ``(draws,)``: the share of pairs in which the positive scores higher, ties counted half; NaN without pairs.
    """
    order = np.argsort(negatives, kind="stable")
    up_to = np.pad(np.cumsum(np.asarray(n_negative)[:, order], axis=1), ((0, 0), (1, 0)))
    below, not_above = (np.searchsorted(negatives[order], positives, side) for side in ("left", "right"))
    times = np.asarray(n_positive)
    beaten = (times * (up_to[:, below] + up_to[:, not_above])).sum(axis=1) / 2
    pairs = times.sum(axis=1) * up_to[:, -1]
    return np.divide(beaten, pairs, out=np.full(len(pairs), np.nan), where=pairs > 0)
