"""The tables of a scan that a terminal shows."""

from pathlib import Path
from typing import Final

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from capsight.report.results import planted_calls, read_metrics

#: Figures in the order shown, with how they are written and what they mean.
_FIGURES: Final = {
    "auprc": (".3f", "AUPRC, bins of 50 bases"),
    "auroc": (".3f", "AUROC, bins of 50 bases"),
    "precision_at_recall_0.5": (".3f", "precision at recall 0.5"),
    "precision_at_recall_0.8": (".3f", "precision at recall 0.8"),
    "false_per_megabase_at_recall_0.5": (".1f", "false calls per Mb, recall 0.5"),
    "false_per_megabase_at_recall_0.8": (".1f", "false calls per Mb, recall 0.8"),
    "best_calls_with_tag": (".3f", "best calls with a tag"),
    "precision_within_50": (".3f", "precision within 50 bases"),
    "recall_within_50": (".3f", "recall within 50 bases"),
    "precision_within_10": (".3f", "precision within 10 bases"),
    "recall_within_10": (".3f", "recall within 10 bases"),
    "profile_correlation": (".3f", "profile correlation"),
    "jensen_shannon_distance": (".3f", "Jensen-Shannon distance"),
    "log_total_correlation_strength": (".3f", "log totals, strength"),
    "log_total_correlation_expected_tags": (".3f", "log totals, expected tags"),
    "named_median_distance": (".1f", "named base, median distance"),
    "named_within_10": (".3f", "named base within 10 bases"),
    "calibration_error": (".3f", "calibration error"),
    "calibration_error_called": (".3f", "calibration error of calls"),
}


def scan_tables(folder: Path) -> list[Table]:
    """Return the figures of a scan, the model with 95 % intervals, other predictions beside it.

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
    for key, (form, meaning) in _FIGURES.items():
        cells = [_number(each.get(key), form) for each in (result["scan"], *result["compared"].values())]
        if any(cells):
            interval = result["scan"].get("intervals", {}).get(key)
            between = "–".join(format(end, form) for end in interval) if interval else ""
            table.add_row(meaning, cells[0], between, *cells[1:])
    return [table]


def _number(value: float | None, form: str) -> str:
    """Write a figure; nothing where it is undefined."""
    return "" if value is None else format(value, form)


def planted_table(run: Path) -> Table | None:
    """Return the calls of a scan beside what was planted, for a run on a simulated genome."""
    counts = planted_calls(run)
    if counts is None:
        return None
    table = Table(title="Planted truth, and the calls of the scan on the test chromosomes", title_justify="left")
    for name in ("planted", "start sites", "called within 10 bases"):
        table.add_column(name, justify="left" if name == "planted" else "right")
    for content, sites, called in counts.itertuples(index=False, name=None):
        if sites:
            table.add_row(content, f"{sites:,}", f"{called:,} ({called / sites:.0%})")
        else:
            table.add_row("calls near no planted start site", "", f"{called:,}")
    return table
