"""What a run folder says, read back from its files."""

import csv
import json
from math import log
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from capsight.artefact import RECORD, read_record
from capsight.data import schema
from capsight.data.genome.genome import Genome
from capsight.data.genome.stretches import Stretches
from capsight.errors import InputError

THRESHOLD = schema.THRESHOLD
#: Folder of the evaluation by a scan, in a run.
SCAN_EVALUATION = "evaluation-scan"
#: Tables of `crossval`.
CROSSVAL_FILE = "crossval.tsv"
#: Its folder with a folder for each chromosome left out.
CROSSVAL_FOLDS = "folds"
CROSSVAL_SUMMARY_FILE = "crossval-summary.tsv"
#: Area under the precision-recall curve of a scan; of recipes that train a track network.
SCAN_AUPRC = "scan_auprc"
CROSSVAL_TESTS_FILE = "crossval-tests.tsv"
BASELINE_NAMES = {
    "rf": "random forest", "xgb": "XGBoost", "lgbm": "LightGBM", "kmer-lr": "logistic regression",
    "kmer-gbm": "tuned LightGBM", "cnn": "CNN",
}  # fmt: skip


def read_metrics(folder: Path) -> dict[str, Any]:
    """Read the metrics of an evaluation folder.

    Raises
    ------
    InputError
        If there are none.
    """
    try:
        return json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        raise InputError("holds no evaluation: metrics.json is missing or broken", where=folder) from None


def read_audit(folder: Path) -> dict[str, Any]:
    """Read the verdicts of an audit folder.

    Raises
    ------
    InputError
        If there are none.
    """
    try:
        return json.loads((folder / "audit.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        raise InputError("holds no audit: audit.json is missing or broken", where=folder) from None


def evaluations(run: Path) -> dict[str, Path]:
    """Return the evaluation folders of a run by model name."""
    if not (run / "evaluation").is_dir():
        raise InputError("is not a finished run: it has no evaluation", where=run)
    found = {"capsight": run / "evaluation"}
    if (run / "evaluation-baseline").is_dir():
        card = json.loads((run / "baseline" / "baseline.json").read_text(encoding="utf-8"))
        name = BASELINE_NAMES.get(card["model"], card["model"])
        found[f"{card['k']}-mer {name}" if "k" in card else name] = run / "evaluation-baseline"
    return found


def read_scores(folder: Path) -> pd.DataFrame:
    """Read the windows of an evaluation with their scores."""
    return pd.read_parquet(folder / "scores.parquet")


def read_log(folder: Path) -> pd.DataFrame:
    """Read a training log, `metrics.jsonl`; empty where there was no training."""
    path = folder / "metrics.jsonl"
    return pd.read_json(path, lines=True) if path.is_file() and path.stat().st_size else pd.DataFrame()


def planted(run: Path, scores: pd.DataFrame) -> pd.DataFrame | None:
    """Say for every window of a simulated run what was planted in it.

    Returns
    -------
    table
        `scores` with a column ``content``: for positives the elements of the promoter at their centre, for
        negatives ``lone or misplaced elements`` or ``background only``; `None` if the run simulated no genome.
    """
    path = run / "simulation" / "truth.tsv"
    if not path.is_file():
        return None
    truth = pd.read_csv(path, sep="\t", na_values=["."])
    promoter = truth[truth["kind"] == "promoter"]
    keys = [schema.CHROM, "cap_site", schema.STRAND]
    names = promoter.sort_values("offset").groupby(keys)["element"].agg(" + ".join).rename("content")
    middle = scores[schema.START] + (scores[schema.END] - scores[schema.START]) // 2
    middle -= (scores[schema.STRAND] == "-").astype(int)
    table = scores.assign(cap_site=middle).merge(names.reset_index(), on=keys, how="left")
    negative = table[schema.LABEL] == 0
    table.loc[negative, "content"] = "background only"
    table.loc[negative & _holds(table, truth[truth["kind"] == "decoy"]), "content"] = "lone or misplaced elements"
    return table.dropna(subset=["content"])


def _holds(table: pd.DataFrame, elements: pd.DataFrame) -> pd.Series:
    """Tell which windows hold a whole element."""
    held = pd.Series(False, index=table.index)
    for chrom, rows in table.groupby(schema.CHROM):
        here = elements[elements[schema.CHROM] == chrom].sort_values(schema.START)
        first = here[schema.START].searchsorted(rows[schema.START])
        last = here[schema.END].searchsorted(rows[schema.END], side="right")
        held.loc[rows.index] = last > first
    return held


def planted_calls(run: Path, reach: int = 10) -> pd.DataFrame | None:
    """Compare the calls of a scan with what a simulated run has planted on the test chromosomes.

    Returns
    -------
    table
        A row for each kind of promoter, with ``content`` (its elements), ``sites``, and ``called``, the number of
        those with a call within `reach` bases on their strand; and one for calls that are near no site, with 0 sites.
        `None` if the run simulated no genome or did not scan it.
    """
    truth_file, calls_file = run / "simulation" / "truth.tsv", run / "scan" / "tss.bed"
    if not (truth_file.is_file() and calls_file.is_file() and (run / SCAN_EVALUATION).is_dir()):
        return None
    truth = pd.read_csv(truth_file, sep="\t", na_values=["."])
    promoter = truth[truth["kind"] == "promoter"].sort_values("offset")
    keys = [schema.CHROM, "cap_site", schema.STRAND]
    sites = promoter.groupby(keys)["element"].agg(" + ".join).rename("content").reset_index()
    columns = [schema.CHROM, schema.START, schema.END, schema.NAME, schema.SCORE, schema.STRAND, schema.POSITION]
    calls = pd.read_csv(calls_file, sep="\t", names=columns, usecols=range(len(columns)))
    genome = Genome.open(run / "simulation" / "genome.fa")
    tested = Stretches.named(genome, read_metrics(run / SCAN_EVALUATION)["chromosomes"])
    sites, calls = (
        table[tested.find(genome.index(table[schema.CHROM]), table[position].to_numpy(np.int64)) >= 0]
        for table, position in ((sites, "cap_site"), (calls, schema.POSITION))
    )
    pairs = sites.reset_index().merge(calls.reset_index(), on=[schema.CHROM, schema.STRAND], suffixes=("_site", ""))
    near = pairs[(pairs["cap_site"] - pairs[schema.POSITION]).abs() <= reach]
    found = sites.assign(called=sites.index.isin(near["index_site"]))
    table = found.groupby("content")["called"].agg(sites="size", called="sum").reset_index()
    elsewhere = len(calls) - near["index"].nunique()
    return pd.concat(
        [table, pd.DataFrame({"content": ["none"], "sites": [0], "called": [elsewhere]})], ignore_index=True
    )


def guessing_loss(pretrained: Path) -> float | None:
    """Return the loss in nats per token of guessing among equally frequent k-mers; `None` for other tokens.

    Where whole windows are told apart (objective ``substituted``), that of guessing which are real.
    """
    if read_record(pretrained / RECORD).get("config", {}).get("objective") == "substituted":
        return log(2)
    tokenizer = json.loads((pretrained / "capsight.json").read_text(encoding="utf-8"))["tokenizer"]
    return tokenizer["k"] * log(4) if tokenizer["kind"] == "kmer" else None


def faithfulness(run: Path) -> dict[str, dict[str, float]]:
    """Return how faithful each explanation is, best first; empty where the run explained nothing."""
    path = run / "motifs" / "summary.json"
    if not path.is_file():
        return {}
    found = json.loads(path.read_text(encoding="utf-8"))["attributions"]["faithfulness"]
    return dict(sorted(found.items(), key=lambda item: -item[1]["score"]))


def known_motifs(run: Path) -> pd.DataFrame:
    """Return the de novo motifs of a run, each with the PWM of the database that it matches best, if any does.

    Returns
    -------
    table
        Columns of ``de_novo.tsv``, and ``match``, ``match_q``; empty where there are no motifs.
    """
    path = run / "motifs" / "de_novo.tsv"
    if not path.is_file():
        return pd.DataFrame()
    found = _read_tsv(path, ("motif", "consensus"))
    matches = run / "matches.tsv"
    if not matches.is_file():
        return found.assign(match="", match_q=float("nan"))
    best = _read_tsv(matches, ("Query_ID", "Target_ID")).drop_duplicates("Query_ID")
    columns = {"Query_ID": "motif", "Target_ID": "match", "q-value": "match_q"}
    best = best[list(columns)].rename(columns=columns)
    if len(known := factors(run)):
        names = dict(zip(known["motif_id"], known["factor"], strict=True))
        best["match"] = [f"{names[i]} ({i})" if names.get(i, i) != i else i for i in best["match"]]
    return found.merge(best, on="motif", how="left").fillna({"match": ""})


def factors(run: Path) -> pd.DataFrame:
    """Return which known factors hit positives more than negatives, best first; empty where none were looked for.

    Columns of ``factors.tsv``, and ``factor``: the second name of the PWM, or its first where it has none.
    """
    path = run / "factors.tsv"
    if not path.is_file():
        return pd.DataFrame()
    table = _read_tsv(path, ("motif_id", "motif_alt_id"))
    return table.assign(factor=table["motif_alt_id"].where(table["motif_alt_id"] != "", table["motif_id"]))


def _read_tsv(path: Path, names: tuple[str, ...]) -> pd.DataFrame:
    """Read a table of capsight; what stands in the columns `names` is text as it is, ``NA`` and ``007`` too."""
    table = pd.read_csv(
        path, sep="\t", quoting=csv.QUOTE_NONE, dtype=dict.fromkeys(names, str), keep_default_na=False, na_values=[""]
    )
    return table.fillna(dict.fromkeys(names, ""))
