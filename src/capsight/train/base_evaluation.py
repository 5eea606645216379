"""Evaluation base by base: windows of a fold are moved at random, and the model says where in them the summit is.

A centred window would give the answer away. The observed summit is that of the peak, the middle of the window before
it is moved; it may lie anywhere in the middle half of the moved one, and there the predicted one is looked for.
"""

import json
import logging
from collections.abc import Sequence
from itertools import combinations
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from capsight import artefact
from capsight.config import EvaluateConfig
from capsight.data import schema
from capsight.data.aliases import Aliases
from capsight.data.five_ends import check_named_once
from capsight.data.profiles import Counts, Profiles, draw_shifts, middle_half
from capsight.data.tags import counted_tags
from capsight.data.windows import SUMMARY_FILE, Windows
from capsight.errors import InputError
from capsight.predict.base_scorer import BaseScorer
from capsight.predict.summits import named_summits
from capsight.train import base_metrics

logger = logging.getLogger(__name__)

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

METRICS_FILE: Final = "metrics-base.json"
MOVED_FILE: Final = "moved.parquet"
#: Windows whose bases are in memory at once.
_STEP: Final = 2048


def evaluate_bases(
    config: EvaluateConfig, model: Path, windows: Path, out: Path, replicates: Sequence[Path] = ()
) -> Path:
    """Measure answers base by base on one fold, and write ``metrics-base.json`` and ``moved.parquet``.

    Parameters
    ----------
    config
        Fold, bootstrap, and the seed of both moves and bootstrap.
    model
        Model folder, with a head for single bases.
    windows
        Folder of the `windows` stage, with ``five_ends.parquet``.
    out
        Folder to write.
    replicates
        Files of 5'-end counts (CTSS, BED6), two or more: how alike these are tells how well anything can be predicted.

    Raises
    ------
    InputError
        If a folder or file cannot be used, the model does not read windows of this length, or the fold has no
        positives.
    """
    inputs = {"model": model, "windows": windows, **{f"replicate/{i}": p for i, p in enumerate(replicates, start=1)}}
    if len(replicates) == 1:
        raise InputError("is the only replicate: there is nothing to compare it with", where=replicates[0])
    check_named_once(replicates)
    scorer = BaseScorer.open(model, config.batch_size)
    if artefact.is_done(out, "evaluate", config, inputs):
        logger.info("evaluate: %s is done already", out)
        return out
    if config.fold in scorer.folds:
        said = "evaluate: the model learned single bases from its %s fold: if this is the same, the figures flatter it"
        logger.warning(said, config.fold)
    fold = Windows.open(windows).fold(config.fold)
    if fold.length != scorer.length:
        raise InputError(f"the model reads {scorer.length} bases and the windows have {fold.length}", where=model)
    if not fold.labels.any():
        raise InputError(f"the {config.fold} fold has no positives: no summit can be looked for", where=windows)
    profiles = Profiles.open(fold)
    singles = [profiles.of(counted_tags([path], fold.genome, Aliases())) for path in replicates]
    with artefact.building(out, "evaluate", config, inputs) as folder:
        table = moved_windows(scorer, profiles, singles, config.seed)
        told = {"fold": config.fold, "five_ends": _source(fold.folder), "least_tags": base_metrics.LEAST_TAGS}
        told |= {"replicate_files": [path.name for path in replicates]}
        result = told | base_metrics.measure(table, len(replicates), config)
        text = json.dumps(result, indent=2, allow_nan=False)
        (folder / METRICS_FILE).write_text(text + "\n", encoding="utf-8")
        table.to_parquet(folder / MOVED_FILE, index=False)
    return out


def _source(windows: Path) -> str:
    """Return what the 5' ends of a folder of windows are: counts, or summits."""
    summary = json.loads((windows / SUMMARY_FILE).read_text(encoding="utf-8"))
    return str(summary["five_ends"]["source"])


def moved_windows(scorer: BaseScorer, profiles: Profiles, singles: Sequence[Profiles], seed: int) -> pd.DataFrame:
    """Move every window of a fold by a random number of bases and ask the model.

    Returns
    -------
    table
        One row per window: where the moved one lies, its label, the presence of a cap site, and the number of tags
        around the observed summit. Of its middle half the number of tags, the summit as observed and as predicted
        (and over the whole window), the bases with the largest share and with most tags, what the two trivial rules
        say, and the correlation of the predicted with the observed profile. The same tags, summit and correlation for
        each replicate, and the correlation of each two. What a negative says of a summit means nothing.
    """
    n, length = len(profiles.windows.table), profiles.windows.length
    shift = draw_shifts(n, length, np.random.default_rng([seed, 11]))
    parts = [
        _ask(scorer, profiles, singles, np.arange(i, min(i + _STEP, n)), shift[i : i + _STEP])
        for i in range(0, n, _STEP)
    ]
    return pd.concat(parts, ignore_index=True)


def _ask(scorer: BaseScorer, profiles: Profiles, singles: Sequence[Profiles], rows: Ints, shift: Ints) -> pd.DataFrame:
    """Return the rows of some windows."""
    data, middle = profiles.windows, middle_half(profiles.windows.length)
    codes = data.codes(rows, shift)
    said = scorer.score(codes)
    counts = profiles.counts(rows, shift)
    share, observed = said.share[:, middle], counts[:, middle]
    single = [profile.counts(rows, shift)[:, middle] for profile in singles]
    minus = data.places.minus[rows]
    start = data.places.start[rows] + np.where(minus, -shift, shift)
    indices = {
        base_metrics.OBSERVED: data.length // 2 - shift,
        base_metrics.STRONGEST: middle.start + observed.argmax(axis=1),
        base_metrics.PREDICTED: middle.start + named_summits(share),
        base_metrics.PREDICTED_WHOLE: named_summits(said.share),
        base_metrics.MOST_PROBABLE: middle.start + share.argmax(axis=1),
        base_metrics.CENTRE: np.full(len(rows), data.length // 2),
        base_metrics.PYRIMIDINE_PURINE: base_metrics.nearest_pyrimidine_purine(codes),
    }
    indices |= {f"{base_metrics.OBSERVED}_{i}": middle.start + c.argmax(axis=1) for i, c in enumerate(single, start=1)}
    where = {name: start + np.where(minus, data.length - 1 - at, at) for name, at in indices.items()}
    table = data.table.iloc[rows][[schema.CHROM, schema.STRAND, schema.LABEL]].reset_index(drop=True)
    placed = {schema.START: start, schema.END: start + data.length, base_metrics.PRESENCE: said.presence}
    peak = {base_metrics.PEAK_TAGS: near_tags(counts, data.length // 2 - shift)}
    return table.assign(**placed, **where, **peak, **_compared(share, observed, single))


def near_tags(counts: Counts, summit: Ints) -> NDArray[np.float32]:
    """Return the number of tags around the observed summits, ``(n_windows,)``."""
    distance = np.abs(np.arange(counts.shape[1]) - summit[:, None])
    near: NDArray[np.float32] = np.where(distance <= base_metrics.PEAK_REACH, counts, 0).sum(axis=1)
    return near


def _compared(share: Floats, observed: Counts, single: Sequence[Counts]) -> dict[str, NDArray[np.floating]]:
    """Return tags and correlations of the middle halves of windows, by column: of all counts and each replicate."""
    columns = {
        base_metrics.TAGS: observed.sum(axis=1),
        base_metrics.CORRELATION: base_metrics.correlations(share, observed),
    }
    for i, counts in enumerate(single, start=1):
        columns[f"{base_metrics.TAGS}_{i}"] = counts.sum(axis=1)
        columns[f"{base_metrics.CORRELATION}_{i}"] = base_metrics.correlations(share, counts)
    for (i, one), (j, other) in combinations(enumerate(single, start=1), 2):
        columns[base_metrics.between(i, j)] = base_metrics.correlations(one, other)
    return columns
