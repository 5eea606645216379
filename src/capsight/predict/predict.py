"""`predict`: the probability of a cap site for every sequence or window of a file."""

import csv
import logging
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from capsight import artefact
from capsight.config import PredictConfig
from capsight.data import schema
from capsight.data.genome.alphabet import N_CODE, encode
from capsight.data.io.sequences import read_sequences
from capsight.data.io.text import given
from capsight.data.naming import region_names
from capsight.data.windows.windows import Windows
from capsight.errors import ConfigError, InputError
from capsight.model.track_folder import is_track
from capsight.predict.best import predict_track
from capsight.predict.windows import load_scorer
from capsight.shipped import find_model

logger = logging.getLogger(__name__)

#: Stands for a coordinate that is unknown.
UNKNOWN: Final = "."


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

    Raises
    ------
    InputError
        If a file cannot be used.

    Notes
    -----
    A sequence longer than the window is scored in its central window, a shorter one is padded with N on both
    sides; both are counted in the log.
    """
    model, source = find_model(model), given(source)
    if is_track(model):
        return predict_track(config, model, source, out)
    if config.genome is not None or config.stranded:
        raise ConfigError("--genome and --stranded are for track models, and this is a window model", where=model)
    inputs = {"model": model, "source": source}
    scorer = load_scorer(model, config.batch_size)
    if not source.exists():
        raise InputError("there is no such file", where=source)
    if artefact.is_done(out, "predict", config, inputs):
        logger.info("predict: %s is done already", out)
        return out
    with artefact.atomic_file(out, "predict", config, inputs) as partial:
        is_windows = source.is_dir() or source.suffix == ".parquet"
        length = scorer.length
        loaded = _load_windows(source, config.fold, length) if is_windows else _load_sequences(source, length)
        table = loaded.table.assign(**{schema.SCORE: scorer.score(loaded.codes)})
        with partial.open("w", encoding="utf-8", newline="") as handle:
            table.to_csv(
                handle, sep="\t", index=False, quoting=csv.QUOTE_NONE, float_format="%.6f",
                columns=list(schema.PREDICTION_COLUMNS),
            )  # fmt: skip
        called = (table[schema.SCORE] >= schema.THRESHOLD).sum()
        logger.info("predict: %d scores, %d of them at least %g", len(table), called, schema.THRESHOLD)
    return out


def _load_windows(source: Path, fold: str | None, length: int) -> Loaded:
    """Read windows; each is named by its place."""
    data = Windows.open(source)
    data = data.fold(fold) if fold else data
    if data.length != length:
        raise InputError(f"the model reads {length} bases and the windows have {data.length}", where=source)
    table = data.table[[schema.CHROM, schema.START, schema.END, schema.STRAND]]
    return Loaded(data.codes(np.arange(len(table))), table.assign(name=region_names(table)))


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
