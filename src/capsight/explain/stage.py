"""`explain`: one score per base for each window and method, and how far to trust each method."""

import logging
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from capsight import artefact
from capsight.config import ExplainConfig
from capsight.data import schema
from capsight.data.attributions import (
    BEST_METHOD,
    FAITHFULNESS,
    FOLD,
    MODEL_SHA256,
    THRESHOLD,
    WINDOW_LENGTH,
    WINDOWS_SHA256,
    Attributions,
)
from capsight.data.bases import Ints
from capsight.data.independent import independent
from capsight.data.windows import Windows
from capsight.errors import InputError, NothingPredicted
from capsight.explain.attention import attention
from capsight.explain.faithfulness import Faithfulness, faithfulness
from capsight.explain.gradients import integrated_gradients, shuffled
from capsight.explain.mutagenesis import importance, saturate
from capsight.explain.reader import Codes, Explained, PerBase, Reader, TrackReader
from capsight.model.track_folder import is_track, read_track_card
from capsight.predict.score import window_names
from capsight.shipped import find_model

logger = logging.getLogger(__name__)

#: Convergence deltas above this share of the difference of log-odds are reported.
LARGE_DELTA = 0.05
#: Windows of either label that are looked at for each that may be explained, to find some without DNA in common.
POOL = 2
#: Repeats that a message names.
NAMED = 5
#: Key of `Attributions.meta` for the convergence delta of every window.
IG_DELTA = "ig_delta"


def explain(config: ExplainConfig, model: Path, windows: Path, out: Path) -> Path:
    """Explain the windows of one fold and write an attributions file.

    Parameters
    ----------
    config
        Fold, methods, and how much work each may be.
    model
        Model folder (a baseline has nothing to explain). A track model is asked for the middle of each window.
    windows
        Folder of the `windows` stage.
    out
        ``.npz`` file to write (see `capsight.data.attributions`).

    Raises
    ------
    InputError
        If model and windows differ in length, or no window is predicted positive.
    """
    model = find_model(model)
    inputs = {"model": model, "windows": windows}
    reader: Explained
    if is_track(model):
        if set(config.method) == {"attention"}:
            raise InputError("has no attention to show", where=model, remedy="name other methods: --method ig,ism")
        read_track_card(model)  # first: a folder that is no model has the clearer error
        reader = TrackReader.open(model, Windows.open(windows).length)
    else:
        reader = Reader.open(model, config.batch_size)
    if artefact.is_done(out, "explain", config, inputs):
        logger.info("explain: %s is done already", out)
        return out
    with artefact.building_file(out, "explain", config, inputs, suffix=".npz") as partial:
        _explain(config, reader, model, windows).write(partial)
    return out


def _explain(config: ExplainConfig, reader: Explained, model: Path, windows: Path) -> Attributions:
    """Explain the windows of one fold."""
    fold = Windows.open(windows).fold(config.fold)
    if fold.length != reader.length:
        raise InputError(f"the model reads {reader.length} bases and the windows have {fold.length}", where=model)
    everything = fold.codes(np.arange(len(fold.table)))
    odds = reader.log_odds(everything)
    if not (odds >= 0).any():
        raise NothingPredicted(
            f"no window of the {config.fold} fold is predicted positive: nothing to explain", where=model,
            remedy="train longer, or explain another fold",
        )  # fmt: skip
    rng = np.random.default_rng([config.seed, 8])
    rows = choose(everything, odds, config.most, rng)
    codes, score = everything[rows], 1 / (1 + np.exp(-odds[rows].astype(np.float64)))
    table = fold.table.iloc[rows]
    _tell_of_repeats(codes, table, config.seed)
    scores, full, delta = _scores(reader, codes, config)
    tested = np.sort(rng.permutation(np.flatnonzero(score >= THRESHOLD))[: config.tested])
    trust = _trust(reader, codes[tested], {name: values[tested] for name, values in scores.items()}, config.seed)
    return Attributions(
        codes=codes,
        score=score.astype(np.float32),
        label=fold.labels[rows].astype(np.int8),
        chrom=table[schema.CHROM].to_numpy(str),
        strand=table[schema.STRAND].to_numpy(str),
        start=table[schema.START].to_numpy(np.int64),
        end=table[schema.END].to_numpy(np.int64),
        methods=scores,
        spans_width=reader.resolution(codes),
        ism_full=full,
        meta={
            MODEL_SHA256: artefact.sha256(model),
            WINDOWS_SHA256: artefact.sha256(windows),
            FOLD: config.fold,
            WINDOW_LENGTH: fold.length,
            FAITHFULNESS: {name: measured._asdict() for name, measured in trust.items()},
            BEST_METHOD: max(trust, key=lambda name: trust[name].score),
            IG_DELTA: None if delta is None else [round(float(d), 5) for d in delta],
        },
    )


def choose(codes: Codes, odds: NDArray[np.float32], most: int | None, rng: np.random.Generator) -> Ints:
    """Return the rows to explain, in order: all, or as many of either predicted label as there are, drawn at random.

    Not the best scored: those show the strongest promoters, and a rare or weak class would not be seen at all. Windows
    that have DNA in common with one drawn before are drawn last: `motifs` would count them once.
    """
    if most is None or most >= len(odds):
        return np.arange(len(odds))
    drawn = [rng.permutation(np.flatnonzero(label))[: POOL * most] for label in (odds >= 0, odds < 0)]
    order = np.concatenate(drawn)
    alone = independent(list(codes[order]), np.arange(len(order)))
    order = np.concatenate([order[alone], order[~alone]])
    positive, negative = order[odds[order] >= 0], order[odds[order] < 0]
    n_positive = min(len(positive), max(most // 2, most - len(negative), 1))
    return np.sort(np.concatenate([positive[:n_positive], negative[: most - n_positive]]))


def _tell_of_repeats(codes: Codes, table: pd.DataFrame, seed: int) -> None:
    """Count and name the windows whose dinucleotides cannot be shuffled."""
    repeats = shuffled(codes, 1, seed).repeats
    if repeats.any():
        names = window_names(table[repeats].iloc[:NAMED])
        more = f" and {repeats.sum() - NAMED} more" if repeats.sum() > NAMED else ""
        logger.warning(
            "explain: %d of %d windows are repeats with one order of their dinucleotides: their single bases are "
            "shuffled instead (%s%s)", repeats.sum(), len(codes), ", ".join(names), more,
        )  # fmt: skip


class _Scores(NamedTuple):
    """Scores per base by method, the whole of the mutagenesis, and the convergence deltas of the gradients."""

    methods: dict[str, PerBase]
    full: NDArray[np.float32] | None
    delta: NDArray[np.float32] | None


def _scores(reader: Explained, codes: Codes, config: ExplainConfig) -> _Scores:
    """Run every method that the config names."""
    methods: dict[str, PerBase] = {}
    full = delta = None
    if "attention" in config.method and isinstance(reader, Reader):
        methods |= attention(reader, codes)
    elif "attention" in config.method:
        logger.info("explain: a track network has no attention: it is left out")
    if "ig" in config.method:
        methods["ig"], delta = integrated_gradients(
            reader, codes, baselines=config.baselines, steps=config.steps, seed=config.seed
        )
        if large := int((delta > LARGE_DELTA).sum()):
            logger.warning("explain: ig: %d of %d windows have a convergence delta above 5 %%", large, len(delta))
    if "ism" in config.method:
        full = saturate(reader, codes)
        methods["ism"] = importance(full)
    return _Scores(methods, full, delta)


def _trust(reader: Explained, codes: Codes, scores: dict[str, PerBase], seed: int) -> dict[str, Faithfulness]:
    """Measure every method on the same windows, and say which is best."""
    trust = {name: faithfulness(reader, codes, values, seed=seed) for name, values in scores.items()}
    for name, measured in sorted(trust.items(), key=lambda item: -item[1].score):
        logger.info("explain: %-18s faithfulness %.3f (0: no better than random bases)", name, measured.score)
    return trust
