"""`predict`: the probability of a cap site for every sequence or window of a file."""

import logging
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from capsight import artefact
from capsight.config import PredictConfig
from capsight.data import schema
from capsight.data.bases import N_CODE, encode
from capsight.data.sequences import read_sequences
from capsight.data.windows import Windows
from capsight.errors import InputError
from capsight.predict.scorer import load_scorer
from capsight.shipped import find_model

logger = logging.getLogger(__name__)

UNKNOWN = "."


class Loaded(NamedTuple):
    """What is to be scored: base codes ``(n, length)`` and the coordinate columns of the output."""

    codes: NDArray[np.uint8]
    table: pd.DataFrame


def predict(config: PredictConfig, model: Path, source: Path, out: Path) -> Path:
    """Score every record of `source` and write a table, in input order.

    Parameters
    ----------
    config
        Fold (of windows) and batch size.
    model
        Model folder, baseline folder, or the name of a shipped model.
    source
        FASTA, CSV with a ``sequence`` column, or ``windows.parquet`` (or its folder).
    out
        TSV to write: name, chrom, start, end, strand, score; ``.`` where a coordinate is unknown.

    Notes
    -----
    A sequence longer than the window is scored in its central window, a shorter one is padded with N on both
    sides; both are counted in the log.
    """
    model = find_model(model)
    inputs = {"model": model, "source": source}
    scorer = load_scorer(model, config.batch_size)
    if not source.exists():
        raise InputError("there is no such file", where=source)
    if artefact.is_done(out, "predict", config, inputs):
        logger.info("predict: %s is done already", out)
        return out
    is_windows = source.is_dir() or source.suffix == ".parquet"
    loaded = _load_windows(source, config.fold, scorer.length) if is_windows else _load_sequences(source, scorer.length)
    table = loaded.table.assign(**{schema.SCORE: scorer.score(loaded.codes)})
    with artefact.writing(out) as partial:
        table.to_csv(partial, sep="\t", index=False, float_format="%.6f", columns=list(schema.PREDICTION_COLUMNS))
    artefact.record_file(out, "predict", config, inputs)
    logger.info("predict: %d scores, %d of them at least 0.5", len(table), (table[schema.SCORE] >= 0.5).sum())
    return out


def _load_windows(source: Path, fold: str | None, length: int) -> Loaded:
    """Read windows; each is named by its place."""
    data = Windows.open(source)
    data = data.fold(fold) if fold else data
    if data.length != length:
        raise InputError(f"the model reads {length} bases and the windows have {data.length}", where=source)
    table = data.table[[schema.CHROM, schema.START, schema.END, schema.STRAND]].astype(str)
    place = table[schema.CHROM] + ":" + table[schema.START] + ".." + table[schema.END] + "," + table[schema.STRAND]
    return Loaded(data.codes(np.arange(len(table))), table.assign(name=place))


def _load_sequences(source: Path, length: int) -> Loaded:
    """Read sequences, brought to `length` bases around their middle."""
    names, sequences = read_sequences(source)
    codes = np.full((len(sequences), length), N_CODE, dtype=np.uint8)
    for row, sequence in zip(codes, sequences, strict=True):
        bases = encode(sequence)
        cut = max(0, (len(bases) - length) // 2)
        bases = bases[cut : cut + length]
        pad = (length - len(bases)) // 2
        row[pad : pad + len(bases)] = bases
    sizes = np.array([len(s) for s in sequences])
    for count, what in (
        ((sizes > length).sum(), f"longer than the model's {length} bases: their middle was scored"),
        ((sizes < length).sum(), f"shorter than the model's {length} bases: padded with N on both sides"),
    ):
        if count:
            logger.warning("predict: %s: %d of %d sequences are %s", source.name, count, len(sizes), what)
    return Loaded(
        codes,
        pd.DataFrame({schema.NAME: names}).assign(chrom=UNKNOWN, start=UNKNOWN, end=UNKNOWN, strand=UNKNOWN),
    )
