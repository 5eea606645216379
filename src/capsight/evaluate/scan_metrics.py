"""Every figure of a scan, over the blocks of a fold as they are, or as often as a bootstrap draws each."""

from collections.abc import Callable, Iterator
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from capsight.evaluate import weighted
from capsight.evaluate.collect import WITHIN, Found, Truth
from capsight.evaluate.weighted import Calibration, Ranking
from capsight.model.track_folder import Calling
from capsight.stats.bootstrap import OverlapClusters, intervals

Floats = NDArray[np.float64]

#: Calls within so many bases of a summit count at a given recall.
REACH: Final = 50
RECALLS: Final = (0.5, 0.8)
#: Calls below this probability are no part of calibration: there are tens of thousands, and all are right to be low.
MINIMUM_PROBABILITY: Final = 0.01
#: Right, as calibration has it, is a summit within so many bases.
RIGHT: Final = 10


class ScanMetrics:
    """Figures of one prediction.

    Parameters
    ----------
    found
        What it says of the fold.
    truth
        What there is.
    calling
        Default threshold, where there is one.
    """

    def __init__(self, found: Found, truth: Truth, calling: Calling | None) -> None:
        self.found, self.calling = found, calling
        self.bases, self.summit_block = truth.block_bases, truth.summit_block
        bins, calls = found.bins, found.calls
        self._ranking = Ranking(bins.score, bins.holds)
        self._by_tags = None if np.isnan(bins.tags).any() else Ranking(bins.tags, bins.holds)
        probable = ~np.isnan(calls.uncalibrated)
        right = np.abs(found.summit_distance) <= RIGHT
        #: Calls whose probabilities are compared with how often they are right, by name.
        self.calibrations: dict[str, tuple[NDArray[np.int64], Calibration]] = {}
        kinds = [
            ("calibrated", calls.score, MINIMUM_PROBABILITY),
            ("uncalibrated", calls.uncalibrated, MINIMUM_PROBABILITY),
        ]
        if calling:
            kinds.append(("called", calls.score, calling.min_probability))
        for name, score, threshold in kinds if probable.any() else ():
            rows = np.flatnonzero(probable & (score >= threshold))
            self.calibrations[name] = rows, Calibration(score[rows], right[rows])

    def curve(self) -> weighted.Curve:
        """Return the precision-recall and the ROC curve over the bins."""
        return self._ranking.curve()

    def at(self, times: Floats) -> dict[str, float]:
        """Return every figure where each block counts so many `times`, ``(n_blocks,)``; NaN where undefined."""
        found, weights = self.found, times[self.found.calls.block]
        n_summits = float(times[self.summit_block].sum())
        areas = self._ranking.areas(times[found.bins.block])
        share = weighted.mean(found.bins.holds, times[found.bins.block])
        figures = {"auprc": areas.auprc, "auroc": areas.auroc, "prevalence": share}
        if self._by_tags:
            by_tags = self._by_tags.areas(times[found.bins.block])
            figures |= {"auprc_expected_tags": by_tags.auprc, "auroc_expected_tags": by_tags.auroc}
        hit = found.matched[WITHIN.index(REACH)]
        bases = float((times * self.bases).sum())
        for recall in RECALLS:
            there = weighted.at_recall(hit, weights, n_summits, recall, bases)
            figures[f"precision_at_recall_{recall}"] = there.precision
            figures[f"false_per_megabase_at_recall_{recall}"] = there.false_per_megabase
        figures["best_calls_with_tag"] = weighted.best_share(found.calls.has_tag, weights, n_summits)
        figures |= self._called(weights, n_summits) | self._at_peaks(times)
        for kind, (rows, each) in self.calibrations.items():
            name = "calibration_error" if kind == "calibrated" else f"calibration_error_{kind}"
            figures[name] = each.error(weights[rows])
        return figures

    def _called(self, weights: Floats, n_summits: float) -> dict[str, float]:
        """Return precision and recall of the calls at the default threshold."""
        if self.calling is None:
            return {}
        called = self.found.calls.score >= self.calling.min_probability
        figures: dict[str, float] = {}
        for reach, hit in zip(WITHIN, self.found.matched, strict=True):
            figures[f"precision_within_{reach}"] = weighted.mean(hit[called], weights[called])
            right = float((weights * (hit & called)).sum())
            figures[f"recall_within_{reach}"] = right / n_summits if n_summits else float("nan")
        return figures

    def _at_peaks(self, times: Floats) -> dict[str, float]:
        """Return how shapes and totals at peaks compare, and how far named bases are from summits."""
        peaks, named = self.found.peaks, self.found.named
        figures: dict[str, float] = {}
        if len(peaks.block):
            weights = times[peaks.block]
            figures["profile_correlation"] = weighted.median(peaks.correlation, weights)
            figures["jensen_shannon_distance"] = weighted.median(peaks.jensen_shannon, weights)
            totals = {"expected_tags": peaks.log_expected, "strength": peaks.log_strength}
            for name, values in totals.items():
                if not np.isnan(values).any():
                    figures[f"log_total_correlation_{name}"] = weighted.correlation(values, peaks.log_observed, weights)
        weights = times[named.block]
        figures["named_median_distance"] = float(np.mean([weighted.median(row, weights) for row in named.distance]))
        for name, reach in (("named_within_10", 10), ("named_exact", 0)):
            figures[name] = float(np.mean([weighted.mean(row <= reach, weights) for row in named.distance]))
        return figures


def summarise(metrics: ScanMetrics, bootstrap: int, seed: int, advance: Callable[[int], object]) -> dict[str, Any]:
    """Return every figure (null where undefined), its 95 % interval, the curves, and the counts.

    Intervals are percentiles of a block bootstrap (Künsch 1989, without overlap of blocks): as many blocks as there are
    are drawn with replacement. `advance` is told of each draw.
    """
    n = len(metrics.bases)
    values = metrics.at(np.ones(n))
    calls, calling = metrics.found.calls, metrics.calling
    result: dict[str, Any] = {
        "n_calls": int((calls.score >= calling.min_probability).sum()) if calling else None,
        "n_peaks_compared": len(metrics.found.peaks.block),
        "n_named": len(metrics.found.named.block),
        **{name: (None if np.isnan(value) else value) for name, value in values.items()},
    }
    if bootstrap:
        rng = np.random.default_rng([seed, 22])

        def draws() -> Iterator[dict[str, float]]:
            for times in OverlapClusters.single(n).draw_times(bootstrap, rng):
                yield metrics.at(times.astype(np.float64))
                advance(1)

        result["intervals"] = intervals(values, draws())
    curve = metrics.curve()
    result["curve"] = (
        {key: [round(value, 5) for value in column.tolist()] for key, column in curve._asdict().items()}
        if len(curve.recall)
        else None
    )
    result["reliability"] = {
        name: {key: column.tolist() for key, column in each.reliability()._asdict().items()}
        for name, (_, each) in metrics.calibrations.items()
    }
    return result
