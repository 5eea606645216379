"""Answers base by base: the probability that a base is the cap site, and how many 5' ends to expect there."""

import csv
from pathlib import Path
from typing import TextIO

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from capsight.config import PredictConfig
from capsight.data import schema
from capsight.predict.base_scorer import BaseScorer
from capsight.predict.tiles import Record, Tile, batches, tiles_of

Floats = NDArray[np.float64]


def predict_bases(config: PredictConfig, scorer: BaseScorer, source: Path, out: Path) -> int:
    """Score every base of `source` and write those that matter, in input order and 5'→3'; return their number.

    Parameters
    ----------
    config
        Fold (of windows), batch size, and the least probability that is written.
    scorer
        The model.
    source
        FASTA, CSV with a ``sequence`` column, or ``windows.parquet`` (or its folder).
    out
        TSV to write, columns `schema.BASE_PREDICTION_COLUMNS`. The best base of a record is always written.

    Raises
    ------
    InputError
        If the source cannot be used.
    """
    with out.open("w", encoding="utf-8", newline="") as handle:
        writer = _Writer(handle, config.least)
        for batch in batches(tiles_of(source, config.fold, scorer.length), config.batch_size):
            scores = scorer.score(np.stack([tile.codes for tile in batch]))
            writer.write(batch, scores.probability, scores.strength)
    return writer.n


class _Writer:
    """Writes the bases of records as their tiles come, and the best base of those that had none to write."""

    def __init__(self, handle: TextIO, least: float) -> None:
        self.handle, self.least = handle, least
        self.n = 0
        self.written = False  # a base of the record whose tiles are coming
        self.best: tuple[float, float, int] | None = None  # of that record: probability, strength, index
        pd.DataFrame(columns=list(schema.BASE_PREDICTION_COLUMNS)).to_csv(
            handle, sep="\t", index=False, quoting=csv.QUOTE_NONE
        )

    def write(self, tiles: list[Tile], probability: Floats, strength: Floats) -> None:
        """Write the bases of some tiles."""
        rows: list[tuple[object, ...]] = []
        for tile, p, s in zip(tiles, probability, strength, strict=True):
            place = np.arange(tile.kept.start, tile.kept.stop)
            chosen = place[p[place] >= self.least]
            rows += [_row(tile.record, i + tile.offset, p[i], s[i]) for i in chosen.tolist()]
            self.written = self.written or bool(len(chosen))
            top = int(place[p[place].argmax()])
            if self.best is None or p[top] > self.best[0]:
                self.best = float(p[top]), float(s[top]), top + tile.offset
            if tile.last:
                if not self.written:
                    best_p, best_s, index = self.best
                    rows.append(_row(tile.record, index, best_p, best_s))
                self.written, self.best = False, None
        table = pd.DataFrame(rows, columns=list(schema.BASE_PREDICTION_COLUMNS))
        table.to_csv(self.handle, sep="\t", index=False, quoting=csv.QUOTE_NONE, header=False, float_format="%.6f")
        self.n += len(rows)


def _row(record: Record, index: int, probability: float, strength: float) -> tuple[object, ...]:
    """Return what is written of the base at `index` of a record, counted from its 5' end."""
    return *record.place(index), probability, strength
