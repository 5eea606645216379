"""The pictures of an audit: GC of positives and negatives, classifiers that see no sequence, similar windows."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from capsight.artefact import RECORD, read_record
from capsight.data import schema
from capsight.data.audit.similarity import IDENTITY
from capsight.data.audit.similarity_bins import SIMILARITY_FILE
from capsight.report.drawing import BLUE, GREY, ORANGE
from capsight.report.figures import SIZE, Drawn, draw
from capsight.report.results import read_audit

_BINS: Final = 40


def draw_audit(windows: Path, audit: Path, out: Path) -> list[Drawn]:
    """Draw the pictures of an audit into the folder `out`.

    Parameters
    ----------
    windows, audit
        Folders of the two stages.
    """
    config = read_record(audit / RECORD)["config"]
    result = read_audit(audit)
    table = pd.read_parquet(windows / "windows.parquet", columns=[schema.FOLD, schema.LABEL, schema.GC])
    similarity = pd.read_parquet(audit / SIMILARITY_FILE, columns=[schema.FOLD, IDENTITY])
    drawn = []
    if checks := [check for check in result["checks"] if "fold" in check["numbers"]]:
        drawn.append(draw(
            out / "audit-blind.svg", partial(_blind, checks=checks, config=config),
            "Classifiers that see only what is named, and no sequence; with 95 % intervals. They should be at "
            "chance, 0.5.",
            "AUROC of classifiers that see no sequence: "
            + ", ".join(f"{check['name']} {check['numbers']['auroc']:.3f}" for check in checks) + ".",
            (SIZE, 1.2 + 0.5 * len(checks)),
        ))  # fmt: skip
    for fold in [fold for fold in schema.FOLDS if (table[schema.FOLD] == fold).any()]:
        drawn.append(draw(
            out / f"audit-gc-{fold}.svg", partial(_distributions, rows=table[table[schema.FOLD] == fold]),
            f"GC share of the windows of the {fold} fold. Where the lines differ, GC alone tells positives from "
            f"negatives.",
            f"Distribution of the GC share of positives and negatives, {fold} fold.", (SIZE, 2.8),
        ))  # fmt: skip
    for fold in [fold for fold in schema.FOLDS if (similarity[schema.FOLD] == fold).any()]:
        identity = similarity.loc[similarity[schema.FOLD] == fold, IDENTITY]
        drawn.append(draw(
            out / f"audit-similar-{fold}.svg", partial(_nearest, identity=identity, limit=config["min_identity"]),
            f"Windows of the {fold} fold by identity with the most similar training window, where a stretch covers "
            f"{config['min_coverage']:.0%} of the window; right of the dashed line they count as similar.",
            f"Histogram of the identity with the nearest training window, {fold} fold; {identity.isna().sum():,} of "
            f"{len(identity):,} windows have none.", (SIZE, 2.8),
        ))  # fmt: skip
    return drawn


def _distributions(axes: Axes, rows: pd.DataFrame) -> None:
    """Draw the GC share of positives against that of negatives."""
    edges = np.linspace(0, 1, _BINS + 1)
    for label, colour, line, what in ((1, BLUE, "-", "positives"), (0, ORANGE, "--", "negatives")):
        values = rows.loc[rows[schema.LABEL] == label, schema.GC].to_numpy()
        share = np.histogram(values, edges)[0] / max(len(values), 1)
        axes.stairs(share, edges, color=colour, ls=line, lw=1.5, label=f"{what} ({len(values):,})")
    axes.set(xlabel="GC share", ylabel="share of windows")
    axes.legend(frameon=False, fontsize=7)


def _blind(axes: Axes, checks: list[Mapping[str, Any]], config: Mapping[str, Any]) -> None:
    """Draw the AUROC of the classifiers that see no sequence."""
    value = np.array([check["numbers"]["auroc"] for check in checks])
    interval = np.array([check["numbers"]["interval"] for check in checks])
    place = np.arange(len(checks))[::-1]
    axes.barh(place, value - 0.5, left=0.5, color=BLUE, height=0.5)
    axes.errorbar(value, place, xerr=np.abs(interval.T - value), fmt="none", ecolor="black", capsize=3, lw=1)
    for key, style, what in (("warn_auroc", ":", "warn"), ("fail_auroc", "--", "fail")):
        axes.axvline(config[key], color=GREY, ls=style, lw=1, label=f"{what} above {config[key]:g}")
    axes.axvline(0.5, color="black", lw=0.8)
    axes.set_yticks(place, [check["name"].removeprefix("blind: ") for check in checks])
    axes.set(xlabel="AUROC (0.5 is chance)", xlim=(min(0.4, float(value.min()) - 0.05), 1))
    axes.legend(frameon=False, fontsize=7, loc="lower right", bbox_to_anchor=(1, 1), ncols=2)


def _nearest(axes: Axes, identity: pd.Series, limit: float) -> None:
    """Draw how similar windows are to the nearest training window."""
    edges = np.linspace(0.6, 1, 21)
    found = identity.dropna()
    axes.stairs(np.histogram(found, edges)[0], edges, fill=True, color=BLUE)
    axes.axvline(limit, color=GREY, ls="--", lw=1)
    axes.set(xlabel="identity with the nearest training window", ylabel="windows", ylim=(0, None))
    none = f"{len(identity) - len(found):,} of {len(identity):,}\nhave none"
    axes.text(0.03, 0.95, none, transform=axes.transAxes, va="top", fontsize=8)
