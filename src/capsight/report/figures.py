"""The pictures of a run and of a cross-validation: one SVG file each, so that a page lays them out by its width."""

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from sklearn.metrics import auc, precision_recall_curve, roc_curve

from capsight.data import schema
from capsight.report.drawing import BLUE, GREEN, GREY, ORANGE, RED, save_picture
from capsight.report.results import (
    CROSSVAL_FILE,
    SCAN_EVALUATION,
    THRESHOLD,
    evaluations,
    guessing_loss,
    planted,
    read_log,
    read_metrics,
    read_scores,
)

MODEL_COLOURS: Final = (BLUE, ORANGE, GREEN, RED)
MODEL_LINES: Final = ("-", "--", "-.", ":")
SIZE: Final = 3.6  # inches, one panel
#: Metrics of a cross-validation that are drawn, as the axis names them.
BOXES: Final = {"auroc": "AUROC", "auprc": "AUPRC", "accuracy": "accuracy", "f1": "F1", "mcc": "MCC"}
#: A point of the reliability curve stands for at least this many windows.
FEWEST: Final = 10


class Drawn(NamedTuple):
    """A picture on the page.

    Attributes
    ----------
    path
        SVG or PNG file.
    caption
        Below it.
    alt
        What it shows, for who cannot see it.
    """

    path: Path
    caption: str
    alt: str


Panel = Callable[[Axes], None]


def draw(path: Path, panel: Panel, caption: str, alt: str, size: tuple[float, float] = (SIZE, SIZE)) -> Drawn:
    """Draw one panel into an SVG file."""
    save_picture(path, [panel], size, kind="svg")
    return Drawn(path, caption, alt)


def draw_crossval(run: Path, out: Path) -> list[Drawn]:
    """Draw the metrics of every model over the chromosomes left out."""
    table = pd.read_csv(run / CROSSVAL_FILE, sep="\t")
    medians = table.groupby("model", sort=False)[list(BOXES)].median()
    drawn = []
    for metric, name in BOXES.items():
        values = ", ".join(f"{model} {value:.3f}" for model, value in medians[metric].items())
        drawn.append(draw(
            out / f"crossval-{metric}.svg", partial(_boxes, table=table, metric=metric),
            f"{name}: a point for each chromosome left out; the box spans the quartiles.",
            f"Box plot of {name} by model; medians: {values}.", (SIZE * 0.8, SIZE),
        ))  # fmt: skip
    return drawn


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


def draw_scan_curves(run: Path, out: Path) -> list[Drawn]:
    """Draw precision against recall, and the ROC curve, of the scan and of what was measured beside it."""
    folder = run / SCAN_EVALUATION
    if not folder.is_dir():
        return []
    result = read_metrics(folder)
    found = {"model": result["scan"], **result["compared"]}
    curves = {name: each for name, each in found.items() if each.get("curve")}
    if not curves:
        return []
    areas = {key: ", ".join(f"{name} {each[key]:.3f}" for name, each in curves.items()) for key in ("auprc", "auroc")}
    return [
        draw(
            out / "scan-precision-recall.svg", partial(_scan_precision_recall, curves=curves),
            "Precision against recall of the scan: which bins of 50 bases, on either strand, hold a peak.",
            f"Precision-recall curves of the scan; area: {areas['auprc']}.",
        ),
        draw(
            out / "scan-roc.svg", partial(_scan_roc, curves=curves),
            "ROC curve of the same bins. Most bins hold no peak, so that precision against recall tells more.",
            f"ROC curves of the scan; area: {areas['auroc']}.",
        ),
    ]  # fmt: skip


def _scan_precision_recall(axes: Axes, curves: Mapping[str, Any]) -> None:
    for colour, line, (name, each) in zip(MODEL_COLOURS, MODEL_LINES, curves.items(), strict=False):
        label = f"{name}, area {each['auprc']:.3f}"
        axes.plot(each["curve"]["recall"], each["curve"]["precision"], line, color=colour, label=label)
    share = next(iter(curves.values()))["prevalence"]
    axes.axhline(share, color=GREY, lw=0.8, ls=":", label=f"chance at {share:.1%} of bins")
    axes.set(
        xlabel="bins with a peak that are found (recall)", ylabel="found bins with a peak (precision)", ylim=(0, 1.02)
    )
    axes.legend(frameon=False, loc="upper right")


def _scan_roc(axes: Axes, curves: Mapping[str, Any]) -> None:
    for colour, line, (name, each) in zip(MODEL_COLOURS, MODEL_LINES, curves.items(), strict=False):
        label = f"{name}, area {each['auroc']:.3f}"
        axes.plot(each["curve"]["false_positive_rate"], each["curve"]["recall"], line, color=colour, label=label)
    axes.plot([0, 1], [0, 1], color=GREY, lw=0.8, ls=":", label="chance")
    axes.set(
        xlabel="bins without a peak that are found\n(false positive rate)",
        ylabel="bins with a peak that are found (recall)",
    )
    axes.legend(frameon=False, loc="lower right")


def draw_window_curves(run: Path, out: Path) -> list[Drawn]:
    """Draw the ROC curve and precision against recall of windows."""
    scores = {name: read_scores(folder) for name, folder in evaluations(run).items()}
    share = next(iter(scores.values()))[schema.LABEL].mean()
    areas = ", ".join(
        f"{name} {auc(*roc_curve(table[schema.LABEL], table[schema.SCORE])[:2]):.3f}" for name, table in scores.items()
    )
    return [
        draw(
            out / "roc.svg", partial(_roc, scores=scores), "ROC curve of windows of the test fold.",
            f"ROC curves of windows; area: {areas}.",
        ),
        draw(
            out / "precision-recall.svg", partial(_precision_recall, scores=scores),
            f"Precision against recall of windows; {share:.0%} of them are positives, which is chance.",
            "Precision-recall curves of windows.",
        ),
    ]  # fmt: skip


def draw_reliability(run: Path, out: Path) -> list[Drawn]:
    """Draw predicted probability against the share that is right: of the scan's calls, and of windows."""
    drawn = []
    if (run / SCAN_EVALUATION).is_dir():
        curves = read_metrics(run / SCAN_EVALUATION)["scan"].get("reliability") or {}
        curves = {name: curves[name] for name in ("calibrated", "uncalibrated") if curves.get(name)}
        if curves:
            drawn.append(draw(
                out / "scan-reliability.svg", partial(_scan_reliability, curves=curves),
                "Reliability of the scan: of calls with a predicted probability (across), the share with a peak summit "
                "within 10 bases (up). On the diagonal, the probability can be taken at its word.",
                "Reliability curve of the calls of the scan, before and after calibration, beside the diagonal.",
            ))  # fmt: skip
    scores = {name: read_scores(folder) for name, folder in evaluations(run).items()}
    first = next(iter(scores.values()))
    rare = (
        " Cap sites are far more common among windows than on a chromosome, so that the model, which is calibrated for "
        "a scan, gives them too low a probability."
    )
    drawn.append(draw(
        out / "reliability.svg", partial(_reliability, scores=scores),
        "Reliability of windows: the share that are cap sites, in ten bins of the predicted probability."
        + (rare if drawn else ""),
        "Reliability curve of windows beside the diagonal.",
    ))  # fmt: skip
    drawn.append(draw(
        out / "scores.svg", partial(_histogram, table=first),
        f"Probabilities of positive and negative windows; the dotted line is the threshold, {THRESHOLD:g}.",
        "Histogram of the predicted probability of positive and negative windows.",
    ))  # fmt: skip
    return drawn


def draw_training(run: Path, out: Path) -> list[Drawn]:
    """Draw what was logged while the networks were trained."""
    logs, drawn = (read_log(run / "pretrained"), read_log(run / "model")), []
    if len(logs[0]):
        guess = guessing_loss(run / "pretrained")
        drawn.append(draw(
            out / "pretraining.svg", partial(_pretraining, log=logs[0], guess=guess),
            "Loss of the language model during pre-training.", "Pre-training loss by step, training and validation.",
        ))  # fmt: skip
    if "auprc" in logs[1]:
        drawn.append(draw(
            out / "training.svg", partial(_scans, log=logs[1]),
            "AUPRC of a scan of the validation chromosomes during training; the weights of the best are kept.",
            f"AUPRC on the validation chromosomes by training step; at best {logs[1]['auprc'].max():.3f}.",
        ))  # fmt: skip
    elif len(logs[1]):
        drawn.append(draw(
            out / "training.svg", partial(_finetuning, log=logs[1]),
            "AUROC on the validation fold during fine-tuning.", "AUROC on the validation fold by step.",
        ))  # fmt: skip
    if "train_loss" in logs[1] and "auprc" in logs[1]:
        drawn.append(draw(
            out / "training-loss.svg", partial(_training_loss, log=logs[1]), "Training loss.", "Training loss by step.",
        ))  # fmt: skip
    return drawn


def draw_truth(run: Path, out: Path) -> list[Drawn]:
    """Draw the share of windows called a cap site by what was planted; of a scan, a table of calls tells more."""
    scores = {name: read_scores(folder) for name, folder in evaluations(run).items()}
    contents = {name: planted(run, table) for name, table in scores.items()}
    known = {name: table for name, table in contents.items() if table is not None}
    if not known or (run / SCAN_EVALUATION).is_dir():
        return []
    return [draw(
        out / "truth.svg", partial(_truth, contents=known),
        "Share of windows called a cap site, by what was planted in them.",
        "Bar chart of the share of windows called a cap site, by what was planted.", (SIZE * 2.2, SIZE),
    )]  # fmt: skip


def _roc(axes: Axes, scores: dict[str, pd.DataFrame]) -> None:
    for colour, line, (name, table) in zip(MODEL_COLOURS, MODEL_LINES, scores.items(), strict=False):
        false, true, _ = roc_curve(table[schema.LABEL], table[schema.SCORE])
        axes.plot(false, true, line, color=colour, label=f"{name}, area {auc(false, true):.3f}")
    axes.plot([0, 1], [0, 1], color=GREY, lw=0.8, ls=":", label="chance")
    axes.set(xlabel="negatives called (false positive rate)", ylabel="cap sites called (recall)")
    axes.legend(frameon=False, loc="lower right")


def _precision_recall(axes: Axes, scores: dict[str, pd.DataFrame]) -> None:
    for colour, line, (name, table) in zip(MODEL_COLOURS, MODEL_LINES, scores.items(), strict=False):
        precision, recall, _ = precision_recall_curve(table[schema.LABEL], table[schema.SCORE])
        axes.plot(recall, precision, line, color=colour, label=name)
    share = next(iter(scores.values()))[schema.LABEL].mean()
    axes.axhline(share, color=GREY, lw=0.8, ls=":", label=f"chance at {share:.0%} positives")
    axes.set(xlabel="cap sites called (recall)", ylabel="calls that are cap sites (precision)", ylim=(0, 1.02))
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
    for colour, line, (name, table) in zip(MODEL_COLOURS, MODEL_LINES, scores.items(), strict=False):
        bins = np.minimum((table[schema.SCORE] * 10).astype(int), 9)
        groups = table.groupby(bins)[[schema.SCORE, schema.LABEL]]
        means = groups.mean()[groups.size() >= FEWEST]
        axes.plot(means[schema.SCORE], means[schema.LABEL], line, marker="o", ms=3, color=colour, label=name)
    axes.set(xlabel="predicted probability", ylabel="share that are cap sites")
    axes.legend(frameon=False, loc="lower right")


def _scan_reliability(axes: Axes, curves: Mapping[str, Any]) -> None:
    axes.plot([0, 1], [0, 1], color=GREY, lw=0.8, ls=":", label="perfectly calibrated")
    for colour, line, (name, curve) in zip(MODEL_COLOURS, MODEL_LINES, curves.items(), strict=False):
        axes.plot(curve["probability"], curve["right"], line, marker="o", ms=3, color=colour, label=name)
    axes.set(
        xlabel="predicted probability of a call",
        ylabel="calls with a summit within 10 bases",
        xlim=(-0.02, 1.02),
        ylim=(-0.02, 1.02),
    )
    axes.legend(frameon=False, loc="lower right")


def _pretraining(axes: Axes, log: pd.DataFrame, guess: float | None) -> None:
    """Draw the language model's loss; `guess` is that of drawing bases at random."""
    steps = log["step"].to_numpy().astype(float)
    offset = np.where(log["phase"] == "relora_phase", steps[log["phase"] == "full_rank_phase"].max(initial=0), 0)
    axes.plot(steps + offset, log["train_loss"], "--", color=GREY, label="training")
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


def _by_member(axes: Axes, log: pd.DataFrame, column: str) -> None:
    """Draw a column of the log, a line for each network of the model."""
    groups = log.groupby("member") if "member" in log else [(1, log)]
    for _, part in groups:
        axes.plot(part["step"], part[column], "o-", ms=3, color=BLUE)


def _scans(axes: Axes, log: pd.DataFrame) -> None:
    _by_member(axes, log, "auprc")
    axes.set(xlabel="training step", ylabel="AUPRC of a scan, validation", ylim=(0, 1))


def _training_loss(axes: Axes, log: pd.DataFrame) -> None:
    _by_member(axes, log, "train_loss")
    axes.set(xlabel="training step", ylabel="training loss")


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
