"""`explain`: one score per base for each window and method, and how far to trust each method."""

import logging
from collections.abc import Mapping
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
    POSITIVE_FROM,
    WINDOW_LENGTH,
    WINDOWS_SHA256,
    Attributions,
)
from capsight.data.genome.store import genome_inputs
from capsight.data.io.text import given
from capsight.data.naming import region_names
from capsight.errors import ConfigError, InputError
from capsight.explain.attention import attention
from capsight.explain.faithfulness import faithfulness
from capsight.explain.gradients import integrated_gradients, shuffled
from capsight.explain.mutagenesis import importance, saturate
from capsight.explain.reader import Codes, Explained, ModelWrapper, PerBase, Sequences, TrackWrapper
from capsight.explain.sources import Source, of_records, of_windows
from capsight.extras import need
from capsight.model.track_folder import is_track
from capsight.shipped import find_model

logger = logging.getLogger(__name__)

#: Convergence deltas above this share of the difference of the target are reported.
LARGE_DELTA = 0.05
#: Repeats that a message names.
NAMED = 5
#: Key of `Attributions.meta` for the convergence delta of every window.
IG_DELTA = "ig_delta"


def explain(config: ExplainConfig, model: Path, source: Path, out: Path) -> Path:
    """Explain windows, or the surroundings of TSSs, and write an attributions file.

    Parameters
    ----------
    config
        What is explained, by which methods, and how much work each may be.
    model
        Model folder (a baseline has nothing to explain). Of a track model, the target is the logarithm of the expected
        tags within 10 bases of the middle; of a window model, the log-odds of a cap site.
    source
        Folder of the `windows` stage, or its ``windows.parquet``. With a track model also regions of a genome
        (BED, with ``config.genome``), or sequences (FASTA, or CSV with a ``sequence`` column).
    out
        ``.npz`` file to write (see `capsight.data.attributions`).

    Raises
    ------
    InputError
        If model and windows differ in length, no window is predicted positive, or a file cannot be used.
    """
    if "ig" in config.method:
        need("captum")
    model, source = find_model(model), given(source)
    is_windows = source.is_dir() or source.suffix == ".parquet"
    _check(config, model, source, is_windows)
    inputs = {"model": model, "windows" if is_windows else "source": source}
    inputs |= genome_inputs(config.genome) if config.genome else {}
    inputs |= {"aliases": config.aliases} if config.aliases else {}
    reader: Explained
    if is_track(model):
        if set(config.method) == {"attention"}:
            raise InputError("has no attention to show", where=model, remedy="name other methods: --method ig,ism")
        reader = TrackWrapper.open(model)
    else:
        reader = ModelWrapper.open(model, config.batch_size)
    if artefact.is_done(out, "explain", config, inputs):
        logger.info("explain: %s is done already", out)
        return out
    with artefact.atomic_file(out, "explain", config, inputs, suffix=".npz") as partial:
        rng = np.random.default_rng([config.seed, 8])
        if isinstance(reader, TrackWrapper) and not is_windows:
            found = of_records(config, reader, source, rng)
        else:
            found = of_windows(config, reader, model, source, rng)
        origin = {
            MODEL_SHA256: artefact.sha256(model),
            WINDOWS_SHA256: artefact.sha256(source),
            FOLD: config.fold if is_windows else None,
        }
        _explain(config, reader, found, origin, rng).write(partial)
    return out


def _check(config: ExplainConfig, model: Path, source: Path, is_windows: bool) -> None:
    """Refuse settings that are not for this source, and sources that are not for this model."""
    if is_windows and config.genome is not None:
        raise ConfigError("windows have a genome of their own: leave --genome out", where=source)
    if config.aliases is not None and config.genome is None:
        raise ConfigError("--aliases is for the regions of a genome: leave it out", where=source)
    if is_windows and config.length is not None:
        raise ConfigError("windows have a length of their own: leave --length out", where=source)
    if not is_windows and "fold" in config.model_fields_set:
        raise ConfigError("only windows have folds: leave --fold out", where=source)
    if not is_windows and not is_track(model):
        raise InputError("is no track model: it explains windows alone", where=model, remedy="name a folder of windows")


def _explain(
    config: ExplainConfig, reader: Explained, found: Source, origin: Mapping[str, object], rng: np.random.Generator
) -> Attributions:
    """Explain what was chosen."""
    sequences, table, score = found
    _tell_of_repeats(sequences.codes, table, config.seed)
    scores, full, delta = _scores(reader, sequences, config)
    rows = np.flatnonzero(score >= reader.threshold)
    rows = rows if len(rows) else np.arange(len(score))
    tested = np.sort(rng.permutation(rows)[: config.n_faithfulness])
    among = sequences.subset(tested)
    trust = {name: faithfulness(reader, among, each[tested], seed=config.seed) for name, each in scores.items()}
    for name, measured in sorted(trust.items(), key=lambda item: -item[1].score):
        logger.info("explain: %-18s faithfulness %.3f (0: no better than random bases)", name, measured.score)
    return Attributions(
        codes=sequences.codes,
        score=score.astype(np.float32),
        label=table[schema.LABEL].to_numpy(np.int8),
        chrom=table[schema.CHROM].to_numpy(str),
        strand=table[schema.STRAND].to_numpy(str),
        start=table[schema.START].to_numpy(np.int64),
        end=table[schema.END].to_numpy(np.int64),
        methods=scores,
        spans_width=reader.resolution(sequences.codes),
        ism_full=full,
        meta={
            **origin,
            POSITIVE_FROM: reader.threshold,
            WINDOW_LENGTH: sequences.codes.shape[1],
            FAITHFULNESS: {name: measured._asdict() for name, measured in trust.items()},
            BEST_METHOD: max(trust, key=lambda name: trust[name].score),
            IG_DELTA: None if delta is None else [round(float(d), 5) for d in delta],
        },
    )


def _tell_of_repeats(codes: Codes, table: pd.DataFrame, seed: int) -> None:
    """Count and name the windows whose dinucleotides cannot be shuffled."""
    repeats = shuffled(codes, 1, seed).repeats
    if repeats.any():
        names = region_names(table[repeats].iloc[:NAMED])
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


def _scores(reader: Explained, sequences: Sequences, config: ExplainConfig) -> _Scores:
    """Run every method that the config names."""
    methods: dict[str, PerBase] = {}
    full = delta = None
    if "attention" in config.method and isinstance(reader, ModelWrapper):
        methods |= attention(reader, sequences.codes)
    elif "attention" in config.method:
        logger.info("explain: a track network has no attention: it is left out")
    if "ig" in config.method:
        methods["ig"], delta = integrated_gradients(
            reader, sequences, baselines=config.n_references, steps=config.n_steps, seed=config.seed
        )
        if large := int((delta > LARGE_DELTA).sum()):
            logger.warning(
                "explain: ig: in %d of %d windows the scores are more than 5 %% off their sum (convergence delta): "
                "more steps are more exact", large, len(delta),
            )  # fmt: skip
    if "ism" in config.method:
        full = saturate(reader, sequences)
        methods["ism"] = importance(full)
    return _Scores(methods, full, delta)
