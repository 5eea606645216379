"""`evaluate --scan`: the chromosomes or regions of a fold, scanned against peaks and 5' ends unseen in training."""

import json
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd

from capsight import artefact
from capsight.config import EvaluateConfig
from capsight.data import schema
from capsight.data.ctss.reader import check_named_once
from capsight.data.ctss.table import CTSS, CTSS_FILE, ctss_from_summits, read_ctss_table
from capsight.data.genome.contig_names import Aliases
from capsight.data.windows.peaks_table import read_windows_peaks
from capsight.data.windows.windows import SUMMARY_FILE, Windows
from capsight.errors import InputError
from capsight.evaluate.collect import BLOCK, WITHIN, Found, Truth, collect
from capsight.evaluate.predictions import Prediction, counted_prediction, model_prediction, pwm_prediction
from capsight.evaluate.scan_metrics import ScanMetrics, summarise
from capsight.progress import progress
from capsight.shipped import find_model

logger = logging.getLogger(__name__)

METRICS_FILE: Final = "metrics.json"
CALLS_FILE: Final = "calls.parquet"
PWM: Final = "TATA + initiator"
#: Intervals of fewer blocks say little.
_FEW_BLOCKS: Final = 20


def evaluate_scan(
    config: EvaluateConfig,
    model: Path,
    windows: Path,
    out: Path,
    references: Sequence[Path] = (),
    against: Sequence[Path] = (),
) -> Path:
    """Scan the chromosomes or regions of one fold, both strands, and write ``metrics.json`` and ``calls.parquet``.

    Parameters
    ----------
    config
        Fold and bootstrap; step of models of windows; whether to compare with a PWM.
    model
        Folder of a track model, or its shipped name. A model of windows (network or baseline) is slid along.
    windows
        Folder of the `windows` stage: genome, chromosomes of the fold, peaks, and 5' ends.
    out
        Folder to write.
    references
        Files of 5'-end counts (CTSS): each is measured as if it were a prediction.
    against
        Folders of other models and baselines to measure beside.

    Raises
    ------
    InputError
        If a file or folder cannot be used, or the fold has no peaks.
    """
    model = find_model(model)
    others = [find_model(folder) for folder in against]
    check_named_once(references)
    if twice := [folder for folder in others if others.count(folder) > 1]:
        raise InputError("is named twice", where=twice[0])
    inputs = {"model": model, "windows": windows}
    inputs |= {f"reference/{i}": path for i, path in enumerate(references, start=1)}
    inputs |= {f"against/{i}": folder for i, folder in enumerate(others, start=1)}
    if artefact.is_done(out, "evaluate", config, inputs):
        logger.info("evaluate: %s is done already", out)
        return out
    data = Windows.open(windows)
    truth = _truth(data, config)
    predictions = _predictions(config, data, model, references, others)
    for prediction in predictions:
        if seen := truth.stretches.touched(prediction.learned):
            logger.warning(
                "evaluate: %s was trained on %s of the %s fold: its metrics here are optimistic",
                prediction.name, ", ".join(seen), config.fold,
            )  # fmt: skip
    with artefact.atomic_dir(out, "evaluate", config, inputs) as folder:
        found = []
        for prediction in predictions:
            with progress(f"scan: {prediction.name}", int(truth.block_bases.sum())) as bar:
                found.append(collect(prediction, truth, bar.update))
        text = json.dumps(_results(found, predictions, truth, config), indent=2, allow_nan=False)
        (folder / METRICS_FILE).write_text(text + "\n", encoding="utf-8")
        _table(found[0], truth).to_parquet(folder / CALLS_FILE, index=False)
    return out


def _predictions(
    config: EvaluateConfig, data: Windows, model: Path, references: Sequence[Path], others: Sequence[Path]
) -> list[Prediction]:
    """Open the model and what it is compared with; two files of one name are called by their paths."""
    names = [path.name for path in (*references, *others)]
    called = {path: path.name if names.count(path.name) == 1 else str(path) for path in (*references, *others)}
    aliases = _aliases(data)

    def load(folder: Path, name: str) -> Prediction:
        return model_prediction(folder, data.genome, config.step, config.batch_size, name)

    return [
        load(model, "model"),
        *(counted_prediction(path, data.genome, aliases, called[path]) for path in references),
        *(load(folder, called[folder]) for folder in others),
        *([pwm_prediction(data.genome, PWM)] if config.pwm else []),
    ]


def _aliases(data: Windows) -> Aliases:
    """Read the other names of contigs that the windows were made with, if the table is still there."""
    recorded = artefact.read_record(data.folder / artefact.RECORD)["inputs"].get("aliases")
    path = Path(recorded["path"]) if recorded else None
    return Aliases.read(path, data.genome) if path and path.is_file() else Aliases()


def _truth(data: Windows, config: EvaluateConfig) -> Truth:
    """Read peaks and 5' ends of the fold."""
    stretches, genome = data.fold(config.fold).stretches(config.fold), data.genome
    peaks = read_windows_peaks(data.folder, genome)
    summary = json.loads((data.folder / SUMMARY_FILE).read_text(encoding="utf-8"))
    counted = summary["ctss"]["source"] == CTSS
    tags = read_ctss_table(data.folder / CTSS_FILE, genome) if counted else None
    truth = Truth.from_tags(stretches, ctss_from_summits(peaks, genome), tags, config.seed)
    if not len(truth.summits.position):
        raise InputError(f"the chromosomes of the {config.fold} fold have no peaks", where=data.folder)
    blocks = len(truth.block_bases)
    if config.bootstrap and blocks < _FEW_BLOCKS:
        logger.warning("evaluate: the fold has %d blocks of %s bases: intervals say little", blocks, f"{BLOCK:,}")
    return truth


def _results(
    found: Sequence[Found], predictions: Sequence[Prediction], truth: Truth, config: EvaluateConfig
) -> dict[str, Any]:
    """Return the content of ``metrics.json``."""
    results = []
    with progress("bootstrap", len(found) * config.bootstrap, " draws") as bar:
        for one, prediction in zip(found, predictions, strict=True):
            metrics = ScanMetrics(one, truth, prediction.calling)
            results.append(summarise(metrics, config.bootstrap, config.seed, bar.update))
    calling = predictions[0].calling
    names = [prediction.name for prediction in predictions]
    return {
        "fold": config.fold,
        "chromosomes": list(truth.stretches.names),
        "bases": int(truth.block_bases.sum()),
        "n_peaks": len(truth.summits.position),
        "ctss_source": CTSS if truth.counts else "summits",
        "min_probability": calling.min_probability if calling else None,
        "block": BLOCK,
        "scan": results[0],
        "compared": dict(zip(names[1:], results[1:], strict=True)),
    }


def _table(found: Found, truth: Truth) -> pd.DataFrame:
    """Return the calls of the model as a table, the best first."""
    calls = found.calls
    chroms = np.array(truth.stretches.genome.names, dtype=object)[calls.contig]
    columns = {
        schema.CHROM: chroms,
        schema.POSITION: calls.position,
        schema.STRAND: np.where(calls.strand == 1, "-", "+"),
        "probability": calls.score,
        "uncalibrated": calls.uncalibrated,
        "summit_distance": found.summit_distance,
        "has_tag": calls.has_tag,
    }
    return pd.DataFrame(columns | {f"within_{d}": hit for d, hit in zip(WITHIN, found.matched, strict=True)})
