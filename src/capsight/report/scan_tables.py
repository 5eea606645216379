"""The tables of a scan that a terminal shows."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from capsight.report.results import planted_calls, read_metrics

#: Figures in the order shown: how they are written, their name, and what they mean in plain words.
_FIGURES: Final = {
    "auprc": (".3f", "AUPRC, bins of 50 bases", "precision averaged over recall; 1 is perfect"),
    "auroc": (".3f", "AUROC, bins of 50 bases", "chance that a bin with a peak scores above one without; 0.5 is luck"),
    "precision_at_recall_0.5": (
        ".3f", "precision at recall 0.5", "share of right calls, at the threshold where half of the peaks are found",
    ),
    "precision_at_recall_0.8": (".3f", "precision at recall 0.8", "the same, where four in five peaks are found"),
    "false_per_megabase_at_recall_0.5": (
        ".1f", "false calls per Mb, recall 0.5", "wrong calls in a million bases, where half of the peaks are found",
    ),
    "false_per_megabase_at_recall_0.8": (
        ".1f", "false calls per Mb, recall 0.8", "the same, where four in five peaks are found",
    ),
    "best_calls_with_tag": (
        ".3f", "best calls with a tag",
        "share of the best calls with an observed 5' end within 50 bases; there are as many calls as peaks",
    ),
    "precision_within_50": (".3f", "precision within 50 bases", "share of calls within 50 bases of a peak's summit"),
    "recall_within_50": (".3f", "recall within 50 bases", "share of peaks with a call within 50 bases"),
    "precision_within_10": (".3f", "precision within 10 bases", "share of calls within 10 bases of a peak's summit"),
    "recall_within_10": (".3f", "recall within 10 bases", "share of peaks with a call within 10 bases"),
    "profile_correlation": (
        ".3f", "profile correlation", "of expected and observed 5' ends around a peak, base by base; median over peaks",
    ),
    "jensen_shannon_distance": (".3f", "Jensen-Shannon distance", "between these two profiles; 0 if they are equal"),
    "log_total_correlation_strength": (
        ".3f", "log totals, strength", "correlation of predicted strength and observed 5' ends of peaks, both as logs",
    ),
    "log_total_correlation_expected_tags": (
        ".3f", "log totals, expected tags", "correlation of expected and observed 5' ends of peaks, both as logs",
    ),
    "named_median_distance": (
        ".1f", "named base, median distance", "bases between a peak's summit and the most probable base near it",
    ),
    "named_within_10": (".3f", "named base within 10 bases", "share of peaks where that distance is at most 10"),
    "calibration_error": (".3f", "calibration error", "mean gap between probability and share of right calls; 0: none"),
    "calibration_error_called": (".3f", "calibration error of calls", "the same, for calls above the threshold"),
}  # fmt: skip
#: Figures that stand out on the page, with what each means to a reader who knows none of the terms.
KEY_FIGURES: Final = {
    "auprc": "Precision averaged over recall. 1 is perfect; guessing gives {prevalence:.3f}, the share of bins with "
    "a peak.",
    "precision_at_recall_0.5": "Of the best calls that together find half of the peaks, this share is within 50 "
    "bases of one.",
    "best_calls_with_tag": "Take as many of the best calls as there are peaks: this share of them has an observed 5' "
    "end within 50 bases.",
    "named_within_10": "Where a peak is known, the most probable base is within 10 bases of its summit in this share "
    "of cases.",
}


def scan_tables(folder: Path, *, explained: bool = False) -> list[Table]:
    """Return the figures of a scan, the model with 95 % intervals, other predictions beside it.

    Parameters
    ----------
    folder
        Of `evaluate` by a scan.
    explained
        Whether a last column says what each figure means.

    Raises
    ------
    InputError
        If there are none.
    """
    result = read_metrics(folder)
    chromosomes = ", ".join(result["chromosomes"][:5]) + (", …" if len(result["chromosomes"]) > 5 else "")
    title = f"{result['fold']} fold, {chromosomes}: {result['bases']:,} bases, {result['n_peaks']:,} peaks"
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    if result["min_probability"] is not None:
        table.caption = (
            f"precision and recall within 50 and 10 bases: calls of probability {result['min_probability']:g}"
        )
        table.caption_justify = "left"
    for name in ("figure", "model", "95 % interval"):
        table.add_column(name, justify="left" if name == "figure" else "right", no_wrap=True)
    for name in result["compared"]:
        table.add_column(Text(name), justify="right", overflow="fold")
    if explained:
        table.add_column("what it is")
    for key, (form, name, meaning) in _FIGURES.items():
        values = [each.get(key) for each in (result["scan"], *result["compared"].values())]
        cells = ["" if value is None else format(value, form) for value in values]
        if any(cells):
            between = interval(result["scan"], key, form)
            table.add_row(name, cells[0], between, *cells[1:], *([meaning] if explained else []))
    return [table]


def key_figures(folder: Path) -> list[tuple[str, str, str, str]]:
    """Return value, interval, name and plain meaning of the figures of a scan that stand out."""
    scan = read_metrics(folder)["scan"]
    found = []
    for key, meaning in KEY_FIGURES.items():
        form, name, _ = _FIGURES[key]
        if scan.get(key) is not None:
            between = interval(scan, key, form)
            told = f"95 % interval {between}" if between else ""
            found.append((format(scan[key], form), told, name, meaning.format(prevalence=scan["prevalence"])))
    return found


def interval(figures: Mapping[str, Any], key: str, form: str = ".3f") -> str:
    """Return the interval of a figure, as text; empty where it has none."""
    found = (figures.get("intervals") or {}).get(key)
    return "–".join(format(end, form) for end in found) if found else ""


def planted_table(run: Path) -> Table | None:
    """Return the calls of a scan beside what was planted, for a run on a simulated genome."""
    counts = planted_calls(run)
    if counts is None:
        return None
    title = "planted promoters, and the calls of the scan on the test chromosomes"
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for name in ("planted", "start sites", "called within 10 bases"):
        table.add_column(name, justify="left" if name == "planted" else "right")
    for content, sites, called in counts.itertuples(index=False, name=None):
        if sites:
            table.add_row(content, f"{sites:,}", f"{called:,} ({called / sites:.0%})")
        else:
            table.add_row("calls near none of these", "", f"{called:,}")
    return table
