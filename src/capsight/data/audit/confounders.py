"""Shortcuts: what tells positives from negatives without reading the sequence.

A model that learns them looks good on these windows and fails on a genome.
"""

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from capsight.config import AuditConfig
from capsight.data import schema
from capsight.data.audit.checks import (
    FAIL,
    PASS,
    SKIPPED,
    WARN,
    Check,
    Verdict,
    overall_verdict,
    verdict_by_fraction,
    verdict_by_limits,
    without_coordinates,
)
from capsight.data.windows.windows import Windows

#: Names of the checks.
GC: Final = "gc"
REPEAT: Final = "repeat"
BLIND_COMPOSITION: Final = "blind: composition"
BLIND_REPEAT: Final = "blind: repeat"
BLIND_PLACE: Final = "blind: place"
BLIND_GRID: Final = "blind: grid"
NEAR_PEAKS: Final = "negatives on peaks"
LABELS: Final = "labels"

#: Windows on a grid show in their starts modulo these, or modulo their length, which is added.
MODULI: Final = (2, 3, 4, 5, 7, 10, 16, 64, 100)

#: Fewer negatives than this share of those that were asked for are a warning.
SHORT: Final = 0.8
#: Fewer windows of a label than this say nothing.
_FEWEST: Final = 10
_Z: Final = 1.96
_TREES: Final = 50
_LEAVES: Final = 15
_FEWEST_PER_LEAF: Final = 20

Floats = NDArray[np.float64]
Labels = NDArray[np.int64]


class Auroc(NamedTuple):
    """Area under the ROC curve, and its 95 % interval (Hanley and McNeil 1982)."""

    value: float
    low: float
    high: float

    @classmethod
    def from_scores(cls, labels: Labels, score: Floats) -> "Auroc":
        """Measure scores against labels, both of which must occur."""
        from sklearn.metrics import roc_auc_score

        value = float(roc_auc_score(labels, score))
        positives, negatives = int(labels.sum()), int((1 - labels).sum())
        first, second = value / (2 - value), 2 * value**2 / (1 + value)
        spread = value * (1 - value) + (positives - 1) * (first - value**2) + (negatives - 1) * (second - value**2)
        margin = _Z * float(np.sqrt(spread / (positives * negatives)))
        return cls(value, max(value - margin, 0.0), min(value + margin, 1.0))

    def numbers(self) -> dict[str, Any]:
        """Return what the audit's JSON says of it."""
        return {"auroc": self.value, "interval": [self.low, self.high]}


def compare_distributions(data: Windows, config: AuditConfig) -> list[Check]:
    """Compare GC and repeat content of positives with that of negatives, fold by fold.

    The verdict is that of the fold where one number alone tells most: of the lower end of the interval of its AUROC,
    or, where it is negatives that have more, of 1 - AUROC.
    """
    return [_distribution(data, config, GC, schema.GC, "GC content"),
            _distribution(data, config, REPEAT, schema.REPEAT, "repeat content")]  # fmt: skip


def _distribution(data: Windows, config: AuditConfig, name: str, column: str, what: str) -> Check:
    values, labels = data.table[column].to_numpy(np.float64), data.labels
    if column == schema.REPEAT and not values.any():
        return Check(name, SKIPPED, "the genome is not soft-masked (no lower case)", {})
    numbers: dict[str, Any] = {}
    verdicts, told = [], []
    for fold in schema.FOLDS:
        here = (data.table[schema.FOLD] == fold).to_numpy()
        if _too_few(labels[here]):
            continue
        auroc = Auroc.from_scores(labels[here], values[here])
        least = max(auroc.low, 1 - auroc.high)
        positive, negative = (np.sort(values[here & (labels == label)]) for label in (1, 0))
        means = {"mean_positive": float(positive.mean()), "mean_negative": float(negative.mean())}
        shares = [np.searchsorted(side, values[here], side="right") / len(side) for side in (positive, negative)]
        # the two-sample Kolmogorov-Smirnov statistic: the largest gap of the cumulative shares
        numbers[fold] = means | {"ks": float(np.abs(shares[0] - shares[1]).max())} | auroc.numbers()
        verdicts.append(verdict_by_limits(least, config.warn_auroc, config.fail_auroc))
        told.append(f"{fold} {auroc.value:.3f}")
    if not numbers:
        return Check(name, SKIPPED, f"no fold has {_FEWEST} windows of either label", {})
    return Check(name, overall_verdict(verdicts), f"{what} alone, AUROC: {', '.join(told)}", numbers)


def _too_few(labels: Labels) -> bool:
    return min(int(labels.sum()), int((1 - labels).sum())) < _FEWEST


def classify_by_confounders(data: Windows, config: AuditConfig) -> list[Check]:
    """Train classifiers that see no sequence, and measure them on the test fold (validation where there is no test)."""
    unmasked = None if data.table[schema.REPEAT].any() else "the genome is not soft-masked (no lower case)"
    place = "place on the contig, and strand"
    return [
        _blind(data, config, BLIND_COMPOSITION, "GC content and length", composition_features(data)),
        _blind(data, config, BLIND_REPEAT, "repeat content", data.table[[schema.REPEAT]].to_numpy(), unmasked),
        _blind(data, config, BLIND_PLACE, place, place_features(data), without_coordinates(data)),
        _blind(
            data, config, BLIND_GRID, "the start modulo some numbers", grid_features(data), without_coordinates(data)
        ),
    ]


def composition_features(data: Windows) -> Floats:
    """Return GC share and number of known bases of every window, ``(n_windows, 2)``."""
    contig = data.genome.index(data.table[schema.CHROM])
    measured = data.genome.composition(contig, data.table[schema.START].to_numpy(np.int64), data.length)
    return np.column_stack([measured.gc, data.length - measured.unknown]).astype(np.float64)


def place_features(data: Windows) -> Floats:
    """Return start, share of the contig before it, distance to the nearer end, and strand, ``(n_windows, 4)``."""
    start = data.table[schema.START].to_numpy(np.int64)
    size = data.genome.lengths[data.genome.index(data.table[schema.CHROM])]
    after = size - start - data.length
    minus = (data.table[schema.STRAND] == "-").to_numpy()
    return np.column_stack([start, start / size, np.minimum(start, after), minus]).astype(np.float64)


def grid_features(data: Windows) -> Floats:
    """Return the start of every window modulo `MODULI` and its length, ``(n_windows, n_moduli)``."""
    start = data.table[schema.START].to_numpy(np.int64)
    return np.column_stack([start % modulus for modulus in (*MODULI, data.length)]).astype(np.float64)


def _blind(
    data: Windows, config: AuditConfig, name: str, what: str, features: Floats, skip: str | None = None
) -> Check:
    """Train on the training fold, measure on the other, and judge by the lower end of the interval.

    `skip` says why there is nothing to try.
    """
    if skip:
        return Check(name, SKIPPED, skip, {})
    folds = data.table[schema.FOLD].to_numpy()
    measured = next((fold for fold in (schema.TEST, schema.VALIDATION) if (folds == fold).any()), schema.TEST)
    train, held = folds == schema.TRAIN, folds == measured
    if _too_few(data.labels[train]) or _too_few(data.labels[held]):
        return Check(name, SKIPPED, f"training and {measured} do not both have {_FEWEST} windows of either label", {})
    score = _classify(features[train], data.labels[train], features[held], config.seed)
    auroc = Auroc.from_scores(data.labels[held], score)
    verdict = verdict_by_limits(auroc.low, config.warn_auroc, config.fail_auroc)
    message = f"a classifier that sees only {what}: AUROC {auroc.value:.3f} ({auroc.low:.3f} to {auroc.high:.3f})"
    return Check(name, verdict, f"{message}, {measured} fold", {"fold": measured, **auroc.numbers()})


def _classify(features: Floats, labels: Labels, held: Floats, seed: int) -> Floats:
    """Fit small boosted trees (LightGBM) and return the probabilities of `held`."""
    from lightgbm import LGBMClassifier

    model = LGBMClassifier(
        n_estimators=_TREES, num_leaves=_LEAVES, min_child_samples=_FEWEST_PER_LEAF, random_state=seed,
        deterministic=True, force_row_wise=True, verbose=-1,
    )  # fmt: skip
    model.fit(features, labels)
    return np.asarray(model.predict_proba(held), dtype=np.float64)[:, 1]


def count_labels(data: Windows, wanted: Mapping[str, int]) -> Check:
    """Count the windows of either label in every fold that has windows: one label alone teaches and measures nothing.

    `wanted` is how many negatives were asked for, by fold, where that is known.
    """
    numbers: dict[str, Any] = {}
    lacking, short = [], []
    for fold in schema.FOLDS:
        labels = data.labels[(data.table[schema.FOLD] == fold).to_numpy()]
        if not len(labels):
            continue
        counts = {"positive": int(labels.sum()), "negative": int((1 - labels).sum())}
        numbers[fold] = counts | {"wanted": wanted.get(fold)}
        lacking += [f"{fold} has no {label}s" for label in ("positive", "negative") if not counts[label]]
        if counts["negative"] < SHORT * wanted.get(fold, 0):
            short.append(f"{fold} has {counts['negative']:,} of {wanted[fold]:,} negatives wanted")
    verdict: Verdict = FAIL if lacking else WARN if short else PASS
    return Check(LABELS, verdict, ", ".join([*lacking, *short]) or "every fold has both labels", numbers)


def check_negatives(data: Windows, max_fraction: float) -> Check:
    """Count the negatives that touch a peak: their label is doubtful."""
    distance = data.table.loc[data.table[schema.LABEL] == 0, schema.DISTANCE]
    known = distance[distance >= 0]
    if not len(known):
        return Check(NEAR_PEAKS, SKIPPED, "no peaks are known, or there are no negatives", {})
    touching, total = int((known == 0).sum()), len(distance)
    share = touching / total
    message = (
        f"{touching:,} of {total:,} negatives ({share:.1%}) touch a peak" if touching else "no negative touches a peak"
    )
    return Check(
        NEAR_PEAKS,
        verdict_by_fraction(share, max_fraction),
        message,
        {"negatives": total, "found": touching, "share": share},
    )
