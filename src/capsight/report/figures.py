"""The pictures of a run."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from sklearn.metrics import auc, precision_recall_curve, roc_curve

from capsight.data import schema
from capsight.report.drawing import save_picture
from capsight.report.results import (
    CROSSVAL_FILE,
    SCAN_EVALUATION,
    THRESHOLD,
    evaluations,
    guessing_loss,
    planted,
    read_log,
    read_scores,
)

#: Colours that colour-blind readers can tell apart (Okabe and Ito 2008).
BLUE, ORANGE, GREEN, GREY = "#0072B2", "#E69F00", "#009E73", "#999999"
MODEL_COLOURS = (BLUE, ORANGE)
SIZE = 3.6  # inches, one panel
#: Metrics of a cross-validation that are drawn, as the axis names them.
BOXES = {"auroc": "AUROC", "auprc": "AUPRC", "accuracy": "accuracy", "f1": "F1", "mcc": "MCC"}
#: A point of the reliability curve stands for at least this many windows.
FEWEST = 10


def draw_crossval(run: Path, out: Path) -> None:
    """Draw the metrics of every model over the chromosomes left out."""
    table = pd.read_csv(run / CROSSVAL_FILE, sep="\t")
    _draw(out / "crossval.png", [partial(_boxes, table=table, metric=name) for name in BOXES], width=0.66)


def _boxes(axes: Axes, table: pd.DataFrame, metric: str) -> None:
    """Draw a box and a point per chromosome for each model: quartiles, and whiskers to 1.5 times their distance."""
    models = list(dict.fromkeys(table["model"]))
    values = [table.loc[table["model"] == model, metric].dropna().to_numpy() for model in models]
    axes.boxplot(values, widths=0.6, showfliers=False, medianprops={"color": "black"})
    for place, (model, points) in enumerate(zip(models, values, strict=True), start=1):
        colour = BLUE if model == "capsight" else ORANGE
        axes.plot(np.full(len(points), place), points, "o", ms=3, color=colour, alpha=0.6)
    axes.set_xticks(range(1, len(models) + 1), models, rotation=45, ha="right", rotation_mode="anchor")
    axes.set_ylabel(BOXES[metric])


def draw_run(run: Path, out: Path) -> None:
    """Draw the pictures of a run."""
    scores = {name: read_scores(folder) for name, folder in evaluations(run).items()}
    _draw(out / "accuracy.png", [lambda a: _roc(a, scores), lambda a: _precision_recall(a, scores)])
    first = next(iter(scores.values()))
    _draw(out / "scores.png", [lambda a: _histogram(a, first), lambda a: _reliability(a, scores)])
    logs = read_log(run / "pretrained"), read_log(run / "model")
    panels: list[Callable[[Axes], None]] = []
    if len(logs[0]):
        panels.append(lambda a: _pretraining(a, logs[0], guessing_loss(run / "pretrained")))
    if "auprc" in logs[1]:
        panels.append(lambda a: _scans(a, logs[1]))
    elif len(logs[1]):
        panels.append(lambda a: _finetuning(a, logs[1]))
    if panels:
        _draw(out / "training.png", panels)
    contents = {name: planted(run, table) for name, table in scores.items()}
    known = {name: table for name, table in contents.items() if table is not None}
    if known and not (run / SCAN_EVALUATION).is_dir():  # there calls tell more than windows
        _draw(out / "truth.png", [lambda a: _truth(a, known)], width=2.2)


def _draw(path: Path, panels: list[Callable[[Axes], None]], width: float = 1.0) -> None:
    """Draw panels side by side into a PNG file, each `width` times as wide as high."""
    save_picture(path, panels, (SIZE * width * len(panels), SIZE))


def _roc(axes: Axes, scores: dict[str, pd.DataFrame]) -> None:
    for colour, (name, table) in zip(MODEL_COLOURS, scores.items(), strict=False):
        false, true, _ = roc_curve(table[schema.LABEL], table[schema.SCORE])
        axes.plot(false, true, color=colour, label=f"{name}, area {auc(false, true):.3f}")
    axes.plot([0, 1], [0, 1], color=GREY, lw=0.8, ls=":", label="chance")
    axes.set(xlabel="negatives called (false positive rate)", ylabel="cap sites called (recall)", aspect="equal")
    axes.legend(frameon=False, loc="lower right")


def _precision_recall(axes: Axes, scores: dict[str, pd.DataFrame]) -> None:
    for colour, (name, table) in zip(MODEL_COLOURS, scores.items(), strict=False):
        precision, recall, _ = precision_recall_curve(table[schema.LABEL], table[schema.SCORE])
        axes.plot(recall, precision, color=colour, label=name)
    share = next(iter(scores.values()))[schema.LABEL].mean()
    axes.axhline(share, color=GREY, lw=0.8, ls=":", label=f"chance at {share:.0%} positives")
    axes.set(
        xlabel="cap sites called (recall)",
        ylabel="calls that are cap sites (precision)",
        ylim=(0, 1.02),
        aspect="equal",
    )
    axes.legend(frameon=False, loc="lower left")


def _histogram(axes: Axes, table: pd.DataFrame) -> None:
    bins = np.linspace(0, 1, 41).tolist()
    for label, name, colour in ((0, "negatives", GREY), (1, "cap sites", BLUE)):
        axes.hist(table.loc[table[schema.LABEL] == label, schema.SCORE], bins, color=colour, alpha=0.6, label=name)
    axes.axvline(THRESHOLD, color="black", lw=0.8, ls=":")
    axes.set(xlabel="probability of a cap site", ylabel="windows")
    axes.legend(frameon=False, loc="upper center")


def _reliability(axes: Axes, scores: dict[str, pd.DataFrame]) -> None:
    axes.plot([0, 1], [0, 1], color=GREY, lw=0.8, ls=":", label="perfectly calibrated")
    for colour, (name, table) in zip(MODEL_COLOURS, scores.items(), strict=False):
        bins = np.minimum((table[schema.SCORE] * 10).astype(int), 9)
        groups = table.groupby(bins)[[schema.SCORE, schema.LABEL]]
        means = groups.mean()[groups.size() >= FEWEST]
        axes.plot(means[schema.SCORE], means[schema.LABEL], "o-", ms=3, color=colour, label=name)
    axes.set(xlabel="predicted probability", ylabel="share that are cap sites", aspect="equal")
    axes.legend(frameon=False, loc="upper left")


def _pretraining(axes: Axes, log: pd.DataFrame, guess: float | None) -> None:
    """Draw the language model's loss; `guess` is that of drawing bases at random."""
    steps = log["step"].to_numpy().astype(float)
    offset = np.where(log["phase"] == "relora_phase", steps[log["phase"] == "full_rank_phase"].max(initial=0), 0)
    axes.plot(steps + offset, log["train_loss"], color=GREY, label="training")
    axes.plot(steps + offset, log["validation_loss"], color=GREEN, label="validation fold")
    if guess:
        axes.axhline(guess, color="black", lw=0.8, ls=":", label="guessing")
    if offset.any():
        axes.axvline(offset.max(), color=ORANGE, lw=0.8, ls="--", label="full-rank warm-up ends")
    axes.set(xlabel="pre-training step", ylabel="loss (nats)")
    axes.legend(frameon=False, loc="upper right")


def _finetuning(axes: Axes, log: pd.DataFrame) -> None:
    axes.plot(log["step"], log["auroc"], "o-", ms=3, color=BLUE)
    axes.set(xlabel="fine-tuning step", ylabel="AUROC, validation fold")


def _scans(axes: Axes, log: pd.DataFrame) -> None:
    for _, part in log.groupby("member"):
        axes.plot(part["step"], part["auprc"], "o-", ms=3, color=BLUE)
    axes.set(xlabel="training step", ylabel="AUPRC of a scan, validation chromosomes", ylim=(0, 1))


def _truth(axes: Axes, contents: dict[str, pd.DataFrame]) -> None:
    """Draw the share of windows called a cap site, by what was planted in them."""
    kinds: list[str] = []
    for i, (colour, (name, table)) in enumerate(zip(MODEL_COLOURS, contents.items(), strict=False)):
        what = np.where(table[schema.LABEL] == 1, "cap site: ", "no cap site: ") + table["content"]
        rates = (table[schema.SCORE] >= THRESHOLD).groupby(what).mean().sort_index(ascending=False)
        kinds = list(rates.index)
        axes.barh(np.arange(len(rates)) + 0.4 * i, rates, 0.38, color=colour, label=name)
    axes.set_yticks(np.arange(len(kinds)) + 0.2, kinds)
    axes.set(xlabel="share of test windows called a cap site", xlim=(0, 1))
    axes.legend(frameon=False, loc="upper center", bbox_to_anchor=(0.5, 1.12), ncols=2)
