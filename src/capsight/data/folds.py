"""Folds by whole chromosomes: what is tested was never on a chromosome that was trained on."""

from collections.abc import Collection
from difflib import get_close_matches

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from capsight.data import schema
from capsight.data.genome import Genome, namesake
from capsight.errors import InputError


def assign_folds(chroms: ArrayLike, validation: Collection[str], test: Collection[str]) -> NDArray[np.str_]:
    """Return the fold of every chromosome name in `chroms`: what is not named is for training."""
    names = pd.Series(np.asarray(chroms, dtype=object))
    choices = [names.isin(list(test)).to_numpy(), names.isin(list(validation)).to_numpy()]
    return np.select(choices, [schema.TEST, schema.VALIDATION], schema.TRAIN)


def check_chromosomes(genome: Genome, validation: Collection[str], test: Collection[str]) -> None:
    """Refuse a fold that names a chromosome which the genome lacks.

    Raises
    ------
    InputError
        Naming the fold, the chromosome, and what it may have meant.
    """
    for fold, chosen in ((schema.VALIDATION, validation), (schema.TEST, test)):
        for name in chosen:
            if name in genome.names:
                continue
            near = namesake(name, genome.names) or next(iter(get_close_matches(name, genome.names, n=1)), None)
            listed = ", ".join(genome.names[:5]) + (", …" if len(genome.names) > 5 else "")
            remedy = f"did you mean {near!r}?" if near else f"it has {listed}"
            raise InputError(f"{fold} fold: {name!r} is not in {genome.path.name}", remedy=remedy)


def check_positives(folds: NDArray[np.str_], validation: Collection[str], test: Collection[str]) -> None:
    """Refuse a fold without a positive window; `folds` holds the fold of every positive.

    Raises
    ------
    InputError
        Naming the fold and its chromosomes.
    """
    named = {schema.TEST: test, schema.VALIDATION: validation}
    for fold, chosen in named.items():
        if chosen and not (folds == fold).any():
            raise InputError(f"{fold} fold ({', '.join(chosen)}): no positives", remedy="choose other chromosomes")
    if not (folds == schema.TRAIN).any():
        raise InputError(
            "train fold: no positives",
            remedy="leave a chromosome that has peaks to neither validation nor test",
        )
