"""Boosted trees that answer beside a network, on counts of words; the model says the mean of both.

The trees that taught a network (`capsight.train.teacher`) may stay in its folder, as LightGBM writes them: text, never
pickle. Few windows teach trees more than a network, and the two err differently.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Self

import lightgbm
import numpy as np
from numpy.typing import NDArray

from capsight.data.bases import Codes
from capsight.data.kmer_counts import KmerFeatures
from capsight.errors import InputError

Floats = NDArray[np.float32]

#: What trees read. Another choice would need a place in the card of the model.
FEATURES = KmerFeatures(6, shorter=True, bins=8, symmetric=True)
#: Windows that are counted together, for the memory that counts take.
STEP = 1_000


class Trees:
    """Boosters whose log-odds are averaged."""

    def __init__(self, boosters: Sequence[lightgbm.Booster]) -> None:
        self.boosters = boosters

    @classmethod
    def load(cls, folder: Path, n: int) -> Self | None:
        """Load the `n` boosters that the card of a model folder tells of, which is known to be unchanged.

        Raises
        ------
        InputError
            If one is missing, or is not a booster on these counts.
        """
        return cls([_load(folder / _name(i)) for i in range(n)]) if n else None

    def save(self, folder: Path) -> None:
        """Write the boosters into an existing folder."""
        for i, booster in enumerate(self.boosters):
            booster.save_model(str(folder / _name(i)))

    def log_odds(self, codes: Codes) -> Floats:
        """Return the log-odds in nats ``(n_windows,)`` of a cap site in the middle of codes ``(n_windows, length)``."""
        parts = [FEATURES.matrix(codes[i : i + STEP]) for i in range(0, len(codes), STEP)]
        said = [np.mean([b.predict(part, raw_score=True) for b in self.boosters], axis=0) for part in parts]
        return np.concatenate([np.zeros(0), *said]).astype(np.float32)


def with_trees(odds: NDArray[np.floating], trees: Trees | None, codes: Codes) -> NDArray[np.floating]:
    """Return what a model says where a network says `odds`: the mean with the trees' log-odds, where there are any.

    Parameters
    ----------
    odds
        ``(n_windows,)`` log-odds in nats.
    codes
        ``(n_windows, length)`` base codes of the same windows.
    """
    return odds if trees is None else (odds + trees.log_odds(codes)) / 2


def _name(i: int) -> str:
    return f"trees-{i + 1}.txt"


def _load(path: Path) -> lightgbm.Booster:
    """Read a booster."""
    try:
        booster = lightgbm.Booster(model_file=str(path))
    except lightgbm.basic.LightGBMError:
        booster = None
    if booster is None or booster.num_feature() != FEATURES.size:
        raise InputError("these are not trees that this version of capsight can read", where=path)
    return booster
