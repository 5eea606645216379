"""`audit`: do folds leak into each other, and does anything but the sequence tell the labels?"""

import csv
import json
import logging
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd

from capsight import artefact
from capsight.config import AuditConfig
from capsight.data import schema
from capsight.data.audit import confounders, leakage
from capsight.data.audit.checks import Check, Verdict, overall_verdict
from capsight.data.audit.similarity import COVERAGE, FLIPPED, IDENTITY, QUERY, TARGET
from capsight.data.audit.similarity_bins import SIMILARITY_FILE
from capsight.data.windows.windows import SUMMARY_FILE, Windows

logger = logging.getLogger(__name__)

AUDIT_FILE: Final = "audit.json"
PAIRS_FILE: Final = "pairs.tsv"

_PLACE: Final = (schema.FOLD, schema.CHROM, schema.START, schema.END, schema.STRAND, schema.LABEL)
#: Columns of `similarity.parquet`: a window of validation or test, and its nearest training window.
SIMILARITY_COLUMNS: Final = (*_PLACE, IDENTITY, COVERAGE, "train_chrom", "train_start", "train_end", "train_strand")


def audit(config: AuditConfig, windows: Path, out: Path) -> Path:
    """Check windows, and write verdicts and the offending pairs; `report` shows them with pictures.

    Parameters
    ----------
    config
        What counts as similar, and the limits between pass, warn and fail.
    windows
        Folder of the `windows` stage.
    out
        Folder to write: ``audit.json`` (verdicts and numbers), ``pairs.tsv`` (every offending window and its
        partners), and ``similarity.parquet`` (the nearest training window of each window of validation and test).

    Raises
    ------
    InputError
        If `windows` is not a folder of the windows stage, or its genome is gone.
    """
    inputs = {"windows": windows}
    data = Windows.open(windows)
    if artefact.is_done(out, "audit", config, inputs):
        logger.info("audit: %s is done already", out)
        return out
    with artefact.atomic_dir(out, "audit", config, inputs) as folder:
        found = [leakage.compare_places(data), *leakage.compare_copies(data, config.max_fraction)]
        logger.info("audit: looking for windows that resemble one of an earlier fold")
        similar, nearest = leakage.compare_similar(data, config.min_identity, config.min_coverage, config.max_fraction)
        found.insert(2, similar)
        checks = [confounders.count_labels(data, _negatives_wanted(windows)), *(item.check for item in found)]
        checks.append(confounders.check_negatives(data, config.max_fraction))
        checks += confounders.compare_distributions(data, config) + confounders.classify_by_confounders(data, config)
        pairs = pd.concat([_describe_pairs(data, item) for item in found], ignore_index=True)
        pairs.to_csv(
            folder / PAIRS_FILE, sep="\t", index=False, quoting=csv.QUOTE_NONE, float_format="%.4f", lineterminator="\n"
        )
        rows = leakage.rows_of(data, *leakage.BEFORE)
        table = data.table.iloc[rows][list(_PLACE)].reset_index(drop=True)
        similar_to = nearest.set_index(QUERY).reindex(rows).reset_index(drop=True)
        partner = data.table.iloc[nearest[TARGET].to_numpy(np.int64)].set_index(nearest[QUERY].to_numpy(np.int64))
        partner = partner[[schema.CHROM, schema.START, schema.END, schema.STRAND]].add_prefix("train_").reindex(rows)
        partner = partner.astype({"train_start": "Int64", "train_end": "Int64"}).reset_index(drop=True)
        similarity = pd.concat([table, similar_to[[IDENTITY, COVERAGE]], partner], axis=1)[list(SIMILARITY_COLUMNS)]
        similarity.to_parquet(folder / SIMILARITY_FILE, index=False)
        verdict = overall_verdict(check.verdict for check in checks)
        result = _summarise(data, verdict, checks)
        text = json.dumps(result, indent=2, allow_nan=False)
        (folder / AUDIT_FILE).write_text(text + "\n", encoding="utf-8")
    return out


def _negatives_wanted(windows: Path) -> dict[str, int]:
    """Return how many negatives were asked for in each fold; nothing where that was not noted."""
    folder = windows.parent if windows.is_file() else windows
    try:
        wanted = json.loads((folder / SUMMARY_FILE).read_text(encoding="utf-8")).get("negatives_wanted", {})
        return {str(fold): int(n) for fold, n in wanted.items()}
    except (OSError, ValueError, AttributeError, TypeError):
        return {}


def _summarise(data: Windows, verdict: Verdict, checks: list[Check]) -> dict[str, Any]:
    """Return the content of `audit.json`."""
    counts = data.table.groupby([schema.FOLD, schema.LABEL]).size()
    folds = {
        fold: {name: int(counts.get((fold, label), 0)) for label, name in ((1, "positive"), (0, "negative"))}
        for fold in schema.FOLDS
    }
    return {"verdict": verdict, "length": data.length, "folds": folds, "checks": [check._asdict() for check in checks]}


def _describe_pairs(data: Windows, found: leakage.Found) -> pd.DataFrame:
    """Return the pairs behind a check as rows of `pairs.tsv`."""
    sides = []
    for column, prefix in ((QUERY, ""), (TARGET, "other_")):
        rows = data.table.iloc[found.pairs[column].to_numpy(np.int64)][list(_PLACE)]
        sides.append(rows.add_prefix(prefix).reset_index(drop=True))
    measures = found.pairs[[IDENTITY, COVERAGE]].reset_index(drop=True)
    orientation = pd.Series(np.where(found.pairs[FLIPPED], "-", "+"), name="orientation", dtype=object)
    table = pd.concat([*sides, measures, orientation], axis=1)
    table.insert(0, "check", found.check.name)
    return table
