"""Trained models in one table: what they are worth, how large they are, how long they train, how fast they score.

    python benchmarks/compare.py RUN [RUN ...] [--crossval OUT] [--windows N]

A row for the model and one for the baseline of every run folder, and one for every model of a cross-validation (metrics
and training time: mean over its chromosomes). Tab-separated, then as Markdown. Speed is measured here and now: one
thread, windows in memory, bases to probabilities, after a warm-up, the best batch size of three, in seconds of the
processor, so that other work on the machine matters less. Training time is what the trainings wrote into their logs; of
the network, pre-training is part of it. An empty cell: not known, or it means nothing for this model.
"""

import os

os.environ["OMP_NUM_THREADS"] = "1"  # before anything reads it

import argparse
import json
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from safetensors import safe_open

from capsight.artefact import LOGS, SECONDS_FILE
from capsight.data import schema
from capsight.data.sequence.tokenizer import make_tokenizer
from capsight.data.windows.windows import Windows
from capsight.evaluate.evaluate import METRICS_FILE
from capsight.model.card import WEIGHTS
from capsight.model.llama_folder import read_card
from capsight.predict.classical import BASELINE_CARD, read_baseline_card
from capsight.predict.windows import best_device, load_scorer
from capsight.run.crossval import TABLE_FILE
from capsight.run.pipeline import BASELINE, BASELINE_EVALUATION, EVALUATION, MODEL, PRETRAINED, WINDOWS

METRICS = ("accuracy", "f1", "auroc", "auprc")
SECONDS = ("seconds", "cpu_seconds")
TRAINING_LOG = "metrics.jsonl"
#: Windows per forward pass that are tried; on a CPU the smallest often wins, as its numbers fit into the cache.
BATCHES = (16, 64, 256)
FORMATS = {**dict.fromkeys(METRICS, "{:.4f}"), **dict.fromkeys(("train_s", "train_cpu_s", "windows_per_s"), "{:,.0f}"),
           **dict.fromkeys(("chromosomes", "tested", "parameters", "tokens"), "{:,.0f}")}  # fmt: skip


def rows_of_run(run: Path, n: int) -> Iterator[dict[str, Any]]:
    """Yield the rows of a run folder."""
    for model, evaluation, before in ((MODEL, EVALUATION, [PRETRAINED]), (BASELINE, BASELINE_EVALUATION, [])):
        if not (run / evaluation / METRICS_FILE).is_file():
            continue
        metrics = json.loads((run / evaluation / METRICS_FILE).read_text(encoding="utf-8"))
        known = {name: metrics[name] for name in METRICS}
        yield {
            "folder": run.name, **size(run / model), "chromosomes": len(metrics.get("per_chromosome", ())) or None,
            "tested": metrics["n"], **known, **training([run / model, *(run / name for name in before)]),
            "windows_per_s": speed(run / model, run / WINDOWS, n),
        }  # fmt: skip


def rows_of_crossval(out: Path, n: int) -> Iterator[dict[str, Any]]:
    """Yield the rows of a cross-validation: means over its chromosomes; size and speed of the first."""
    table = pd.read_csv(out / TABLE_FILE, sep="\t")
    for model, rows in table.groupby("model", sort=False):
        names = [MODEL, PRETRAINED] if model == "capsight" else [str(model)]
        folds = [out / "folds" / name.replace("/", "_") for name in rows["chromosome"]]
        took = pd.DataFrame([training([fold / name for name in names]) for fold in folds]).mean()
        yield {
            "folder": out.name, **size(folds[0] / names[0]), "chromosomes": len(rows), "tested": rows["n"].sum(),
            **rows[list(METRICS)].mean(), **took, "windows_per_s": speed(folds[0] / names[0], folds[0] / WINDOWS, n),
        }  # fmt: skip


def size(folder: Path) -> dict[str, Any]:
    """Return name, parameters and tokens per window of a trained model, as far as it has them."""
    if (folder / BASELINE_CARD).is_file():
        card = read_baseline_card(folder)
        linear = card["n_features"] + 1 if card["model"] == "kmer-lr" else None
        tokens = card["length"] if card["model"] == "cnn" else None
        return {"model": card["model"], "parameters": card.get("n_parameters", linear), "tokens": tokens}
    with safe_open(folder / WEIGHTS, framework="numpy") as weights:
        parameters = sum(int(np.prod(weights.get_slice(name).get_shape())) for name in weights.keys())  # noqa: SIM118
    model = read_card(folder)
    tokens = make_tokenizer(model.tokenizer, folder).n_tokens(model.length)
    return {"model": "capsight", "parameters": parameters, "tokens": tokens}


def training(folders: Sequence[Path]) -> dict[str, float | None]:
    """Return how long the trainings took that left these folders, by the clock and of the processor."""
    logs = [folder / TRAINING_LOG for folder in folders]
    trained = [log.parent for log in logs if not log.is_file() or log.stat().st_size]  # no updates took no time
    found = [[json.loads(path.read_text()) for path in folder.glob(f"{LOGS}/*/{SECONDS_FILE}")] for folder in trained]
    if not all(found):
        return {"train_s": None, "train_cpu_s": None}
    seconds, cpu = (sum(record[key] for records in found for record in records) for key in SECONDS)
    return {"train_s": seconds, "train_cpu_s": cpu}


def speed(model: Path, windows: Path, n: int) -> float:
    """Return the windows that a model scores in a second of the processor, on one thread; on a GPU, of the clock."""
    clock = time.perf_counter if best_device().type == "cuda" else time.process_time
    fold = Windows.open(windows).fold(schema.TEST)
    codes = fold.codes(np.arange(len(fold.table)))
    codes = np.resize(codes, (n, codes.shape[1]))
    found = []
    for batch_size in BATCHES:
        scorer = load_scorer(model, batch_size)
        scorer.score(codes[:256])
        then = clock()
        scorer.score(codes)
        found.append(n / (clock() - then))
    return max(found)


def shown(table: pd.DataFrame) -> pd.DataFrame:
    """Return the table as text, nothing where a value is not known."""
    return table.apply(
        lambda column: ["" if pd.isna(value) else FORMATS.get(str(column.name), "{}").format(value) for value in column]
    )


def markdown(table: pd.DataFrame) -> str:
    """Return a table of text as Markdown."""
    lines = [list(table.columns), ["---"] * len(table.columns), *table.to_numpy().tolist()]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table of the folders that are named."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path, nargs="*")
    parser.add_argument("--crossval", type=Path, action="append", default=[])
    parser.add_argument("--windows", type=int, default=2_048, help="windows behind each speed")
    given = parser.parse_args(arguments)
    if not given.runs and not given.crossval:
        parser.error("name run folders, or a cross-validation with --crossval")
    torch.set_num_threads(1)
    rows = [row for run in given.runs for row in rows_of_run(run, given.windows)]
    rows += [row for out in given.crossval for row in rows_of_crossval(out, given.windows)]
    if not rows:
        parser.error("none of these folders holds an evaluation")
    table = pd.DataFrame(rows)
    print(table.to_csv(sep="\t", index=False, float_format="%.6g"))
    print(markdown(shown(table)))


if __name__ == "__main__":
    main()
