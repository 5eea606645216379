"""Folds: whole chromosomes, so that what is tested was never on a chromosome that was trained on, or parts of them."""

import logging
import math
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Final, Self

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from capsight.data import schema
from capsight.data.genome.alphabet import Ints, Mask
from capsight.data.genome.genome import Genome, match_contig_name
from capsight.data.genome.stretches import Stretches
from capsight.errors import InputError

logger = logging.getLogger(__name__)

#: Below this many positives, a fold is said to be small.
FEW: Final = 100
#: A chromosome with fewer positives is not left out: its metrics would say nothing.
SMALLEST_LEFT_OUT: Final = 20
#: What belongs to no fold.
EXCLUDE: Final = "exclude"
_MITOCHONDRIAL: Final = ("chrM",)


@dataclass(frozen=True, eq=False)
class Folds:
    """Which stretches of a genome belong to each fold, and which to none.

    Attributes
    ----------
    train, validation, test
        The folds; all that is named nowhere is for training.
    exclude
        Stretches of which nothing is known.
    """

    train: Stretches
    validation: Stretches
    test: Stretches
    exclude: Stretches

    @classmethod
    def from_names(
        cls, genome: Genome, validation: Collection[str], test: Collection[str], exclude: Collection[str] = ()
    ) -> Self:
        """Read chromosomes and regions (`read_span`); what is excluded is taken out of every fold.

        Raises
        ------
        InputError
            Naming the fold, and the chromosome or region that does not lie in the genome, lies in both folds, or has
            nothing left.
        """
        excluded = _read(genome, exclude, f"{EXCLUDE}:")
        left = []
        for fold, chosen in ((schema.VALIDATION, validation), (schema.TEST, test)):
            left.append(_read(genome, chosen, f"{fold} fold:").without(excluded))
            if chosen and not len(left[-1].contig):
                raise InputError(f"{fold} fold ({_listed(chosen)}): all of it is excluded", remedy="see exclude")
        if len((both := left[0].shared(left[1])).contig):
            raise InputError(f"{_listed(both.names)}: in both validation and test")
        everything = Stretches.whole(genome, np.arange(len(genome.names)))
        train = everything.without(left[0]).without(left[1]).without(excluded)
        return cls(train, left[0], left[1], excluded)

    @property
    def are_whole(self) -> bool:
        """Tell whether every fold consists of whole chromosomes, and nothing is excluded."""
        folds = (self.train, self.validation, self.test)
        return not len(self.exclude.contig) and all(bool(fold.is_whole.all()) for fold in folds)

    def at(self, contig: Ints, position: Ints) -> NDArray[np.str_]:
        """Return the fold of each base, or `EXCLUDE`, ``(n,)``."""
        names = (schema.TEST, schema.VALIDATION, EXCLUDE)
        return np.select([getattr(self, name).find(contig, position) >= 0 for name in names], names, schema.TRAIN)

    def holds(self, contig: Ints, start: Ints, length: int) -> Mask:
        """Tell which windows lie wholly in a stretch of one fold, ``(n_windows,)``."""
        folds = (self.train, self.validation, self.test)
        return np.any([fold.holds(contig, start, length) for fold in folds], axis=0)


def _read(genome: Genome, chosen: Collection[str], what: str) -> Stretches:
    """Read what is named; of a chromosome that the genome lacks, say what it may have meant."""
    for name in chosen:
        if name in genome.names or ":" in name:
            continue
        near = match_contig_name(name, genome.names) or next(iter(get_close_matches(name, genome.names, n=1)), None)
        listed = ", ".join(genome.names[:5]) + (", …" if len(genome.names) > 5 else "")
        remedy = f"did you mean {near!r}?" if near else f"it has {listed}"
        raise InputError(f"{what} {name!r} is not in {genome.path.name}", remedy=remedy)
    return Stretches.named(genome, chosen, what)


def check_positives(
    folds: NDArray[np.str_],
    validation: Collection[str],
    test: Collection[str],
    lost: Callable[[str], Counter[str]] | None = None,
) -> None:
    """Refuse a fold without a positive window.

    Parameters
    ----------
    folds
        The fold of every positive, ``(n_positives,)``.
    validation, test
        The chromosomes of these folds.
    lost
        Counts, by reason, the positives that a fold had before they were dropped.

    Raises
    ------
    InputError
        Naming the fold, its chromosomes, and what emptied it.
    """
    named = {schema.TEST: test, schema.VALIDATION: validation, schema.TRAIN: ()}
    for fold, chosen in named.items():
        if (folds == fold).any() or not (chosen or fold == schema.TRAIN):
            continue
        reasons = Counter() if lost is None else +lost(fold)
        told = ", ".join(f"{count:,} {reason}" for reason, count in sorted(reasons.items()))
        why = f": {reasons.total():,} were dropped ({told})" if reasons else ""
        remedy = "choose other chromosomes" if chosen else "leave a chromosome that has peaks to neither of the others"
        raise InputError(f"{fold} fold{f' ({_listed(chosen)})' if chosen else ''}: no positives{why}", remedy=remedy)


def leave_one_out(names: Sequence[str]) -> list[tuple[str, str]]:
    """Return validation and test chromosome of every fold of leave-one-chromosome-out.

    Each is tested once, and the one before it validates, as in Haldar et al. 2026; before the first stands the last.

    Parameters
    ----------
    names
        Chromosomes to test, in order.

    Raises
    ------
    InputError
        If there are fewer than three: one has to be left for training.
    """
    if len(names) < 3:
        raise InputError(
            f"leaving one chromosome out needs three with at least {SMALLEST_LEFT_OUT} positives, not {len(names)}",
            remedy="name the chromosomes of validation and test",
        )
    return [(names[i - 1], names[i]) for i in range(len(names))]


def can_be_left_out(chroms: ArrayLike, names: Sequence[str]) -> list[str]:
    """Return those of `names` that can be tested: enough positives, and not mitochondrial; say which cannot.

    Parameters
    ----------
    chroms
        The chromosome of every positive, ``(n_positives,)``.
    names
        All chromosomes, in order.
    """
    counts = pd.Series(np.asarray(chroms, dtype=object)).value_counts()
    tested = [
        n for n in names if counts.get(n, 0) >= SMALLEST_LEFT_OUT and match_contig_name(n, _MITOCHONDRIAL) is None
    ]
    if others := [f"{name} {counts[name]:,}" for name in names if counts.get(name, 0) and name not in tested]:
        logger.info(
            "folds: for training only (mitochondrial, or fewer than %d positives): %s",
            SMALLEST_LEFT_OUT, _listed(others),
        )  # fmt: skip
    return tested


def accuracy_interval(n: int, accuracy: float = 0.8) -> tuple[float, float]:
    """Return the 95 % interval of an accuracy that was measured on `n` windows (Wilson 1927)."""
    z = 1.959964
    middle = accuracy + z * z / (2 * n)
    half = z * math.sqrt(accuracy * (1 - accuracy) / n + z * z / (4 * n * n))
    return (middle - half) / (1 + z * z / n), (middle + half) / (1 + z * z / n)


def warn_of_small(fold: str, positives: int, negatives: int) -> None:
    """Say so where a fold has too few positives for its metrics to mean much."""
    if 0 < positives < FEW:
        low, high = accuracy_interval(positives + negatives)
        logger.warning(
            "folds: %s has only %d positives: if its accuracy is 0.80, the 95 %% interval is %.2f to %.2f",
            fold, positives, low, high,
        )  # fmt: skip


def _listed(names: Collection[str]) -> str:
    """Name the first few of many."""
    shown = ", ".join(list(names)[:8])
    return shown + (f" and {len(names) - 8} more" if len(names) > 8 else "")
