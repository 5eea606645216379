"""The tables that a terminal shows of answers base by base."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.table import Table

from capsight.errors import InputError

METRICS_FILE = "metrics-base.json"
#: Who says where the summit is.
RULES = {
    "predicted": "model",
    "predicted_whole": "model, whole window",
    "most_probable": "model, largest share",
    "centre": "window centre",
    "pyrimidine_purine": "pyrimidine-purine",
}


def base_tables(folder: Path) -> list[Table]:
    """Return how far summits are off, and how alike profiles are, with 95 % intervals.

    Raises
    ------
    InputError
        If the folder holds no evaluation base by base.
    """
    try:
        result = json.loads((folder / METRICS_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        raise InputError(f"holds no evaluation by base: {METRICS_FILE} is missing or broken", where=folder) from None
    return [_summits(result), _profiles(result)]


def _summits(result: Mapping[str, Any]) -> Table:
    """Return how far each rule is from the observed summits."""
    title = f"{result['fold']} fold: where is the summit? {result['n']:,} windows, moved at random"
    caption = "[] 95 % bootstrap interval; peaks of so many 5' ends: the model, in quarters of the windows"
    table = Table(
        title=title, title_justify="left", caption=caption, caption_justify="left",
        box=SIMPLE_HEAD, padding=(0, 1, 0, 0),
    )  # fmt: skip
    for column in ("who says", "median distance", "exact", "within 5", "within 10"):
        table.add_column(column, justify="left" if column == "who says" else "right")
    rows = [(name, result["summits"][rule]) for rule, name in RULES.items()]
    strengths = result["by_peak_tags"]
    rows += [("peaks of {:,}-{:,}".format(*part["tags"]), part) for part in strengths]
    if (strongest := result.get("strongest", {})).get("n"):  # early versions had none
        rows.append(("model: strongest base", strongest))
    rows += [(f"{_pair(pair)} ({pair['n']:,})", pair["summits"]) for pair in result["replicates"]]
    for name, values in rows:
        shares = (_cell(values, key, ".2f", interval=False) for key in ("exact", "within_5"))
        table.add_row(name, _cell(values, "median_distance", ".1f"), *shares, _cell(values, "within_10", ".2f"))
    return table


def _profiles(result: Mapping[str, Any]) -> Table:
    """Return how alike profiles are, and how well presence tells positives from negatives."""
    counts = "5' ends" if result["five_ends"] == "ctss" else "summits, one 5' end each"
    title = f"How alike are profiles? Median correlation (Pearson); counts: {counts}"
    told = f"two replicates: windows where both have {result['least_tags']} tags\n"
    told += f"presence of a cap site: AUROC {_cell(result['presence'], 'auroc', '.3f')}"
    table = Table(
        title=title, title_justify="left", caption=told, caption_justify="left", box=SIMPLE_HEAD, padding=(0, 1, 0, 0)
    )
    for column in ("windows", "n", "two replicates", "predicted, all", "predicted, one"):
        table.add_column(column, justify="left" if column == "windows" else "right")
    whole = result["profile"]
    table.add_row("all with tags", f"{whole['n']:,}", "", _cell(whole, "median", ".2f"), "")
    for pair in result["replicates"]:
        cells = (_cell(pair[name], "median", ".2f") for name in ("between", "predicted", "predicted_single"))
        table.add_row(_pair(pair), f"{pair['n']:,}", *cells)
    return table


def _pair(pair: Mapping[str, Any]) -> str:
    """Name two replicates, in the order given."""
    return "replicates {}, {}".format(*pair["pair"])


def _cell(values: Mapping[str, Any], name: str, form: str, *, interval: bool = True) -> str:
    """Show a value, and its interval where there is one."""
    if values[name] is None:
        return "undefined"
    limits = values.get("intervals", {}).get(name) if interval else None
    return f"{values[name]:{form}}" + (f" [{limits[0]:{form}}, {limits[1]:{form}}]" if limits else "")
