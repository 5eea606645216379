"""Which base to name as the summit, where a model gives each base a share.

The base with the largest share is the best guess for who asks for the very base and for nothing else: where the shares
of a promoter lie on many bases, one base of another, narrower promoter beats them all. Here the base is named that can
expect the most credit: a summit within `NEAR` bases earns 1, one within `CLOSE` bases a little more, the very base a
little more again (the choice of an action by expected utility; Berger 1985, Statistical Decision Theory, chapter 1).
"""

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.ndimage import convolve1d

from capsight.config import PredictConfig
from capsight.data import schema
from capsight.data.bases import N_CODE
from capsight.predict.base_scorer import BaseScorer, BaseScores
from capsight.predict.tiles import Tile, batches, tiles_of

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

#: Bases to either side of a summit within which a named base is taken for right.
NEAR: Final = 10
#: Bases to either side within which it is taken for nearly exact.
CLOSE: Final = 4
#: What is earned for each beside 1 for `NEAR`; chosen on a validation fold (docs/base_resolution.md).
CREDIT_CLOSE: Final = 0.3
CREDIT_EXACT: Final = 0.1
#: A base with twice the share is more than twice as likely to be the summit, which is the strongest base: how likely a
#: base is to be it goes with its share to this power. Chosen with the credits.
SHARPNESS: Final = 2.0


def expected_credit(share: Floats) -> Floats:
    """Return what each base would earn, were it named: ``(n_windows, length)``, of shares of the same shape.

    Bases beyond the ends of what is given count as having no share.
    """
    likely = share**SHARPNESS
    likely = likely / np.maximum(likely.sum(axis=1, keepdims=True), np.finfo(float).tiny)
    distance = np.abs(np.arange(-NEAR, NEAR + 1))
    earned = 1 + CREDIT_CLOSE * (distance <= CLOSE) + CREDIT_EXACT * (distance == 0)
    credit: Floats = convolve1d(likely, earned, axis=1, mode="constant")
    return credit


def named_summits(share: Floats) -> Ints:
    """Return the index of the base to name in each window, ``(n_windows,)``, of shares ``(n_windows, length)``."""
    named: Ints = expected_credit(share).argmax(axis=1)
    return named


def share_near(share: Floats) -> Floats:
    """Return the share of all bases within `NEAR` bases of each, ``(n_windows, length)``."""
    near: Floats = convolve1d(share, np.ones(2 * NEAR + 1), axis=1, mode="constant")
    return near


class _Named(NamedTuple):
    """A base that may be named: what it would earn, where in the record it is, and what is written of it.

    `near` and `strength` are of all bases within `NEAR`, `strongest` is the most probable of these, and `probability`
    that base's own.
    """

    credit: float
    at: int
    near: float
    strength: float
    strongest: int
    probability: float


def predict_summits(config: PredictConfig, scorer: BaseScorer, source: Path, out: Path) -> int:
    """Name the summit of every record of `source` and write it, in input order; return the number of records.

    Parameters
    ----------
    config
        Fold (of windows) and batch size.
    scorer
        The model.
    source
        FASTA, CSV with a ``sequence`` column, or ``windows.parquet`` (or its folder).
    out
        TSV to write, columns `schema.SUMMIT_PREDICTION_COLUMNS`.

    Raises
    ------
    InputError
        If the source cannot be used.
    """
    rows: list[tuple[object, ...]] = []
    best: _Named | None = None  # of the record whose tiles are coming
    for batch in batches(tiles_of(source, config.fold, scorer.length), config.batch_size):
        for tile, named in zip(batch, _best_of_tiles(batch, scorer), strict=True):
            best = named if best is None else max(best, named, key=lambda one: one.credit)
            if tile.last:
                strongest = tile.record.place(best.strongest)[2]
                rows.append((*tile.record.place(best.at), best.near, best.strength, strongest, best.probability))
                best = None
    table = pd.DataFrame(rows, columns=list(schema.SUMMIT_PREDICTION_COLUMNS))
    table.to_csv(out, sep="\t", index=False, quoting=csv.QUOTE_NONE, float_format="%.6f")
    return len(table)


def _best_of_tiles(tiles: Sequence[Tile], scorer: BaseScorer) -> list[_Named]:
    """Return the base to name among those that are taken from each tile."""
    said: BaseScores = scorer.score(np.stack([tile.codes for tile in tiles]))
    credit = said.presence[:, None] * expected_credit(said.share)
    near = share_near(said.share)
    named = []
    for row, tile in enumerate(tiles):
        at = tile.kept.start + int(credit[row, tile.kept].argmax())
        reach = slice(max(0, at - NEAR), at + NEAR + 1)
        known = np.where(tile.codes[reach] == N_CODE, -1, said.share[row, reach])  # there is N beyond a record's ends
        strongest = reach.start + int(known.argmax())
        there, presence, total = float(near[row, at]), float(said.presence[row]), float(said.total[row])
        own = presence * float(said.share[row, strongest])
        places = at + tile.offset, strongest + tile.offset
        named.append(_Named(float(credit[row, at]), places[0], presence * there, total * there, places[1], own))
    return named
