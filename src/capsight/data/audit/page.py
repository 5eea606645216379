"""The page of an audit: verdicts, pictures and examples in one HTML file that needs no other."""

import io
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

import matplotlib as mpl
import numpy as np
import pandas as pd
from jinja2 import Environment, PackageLoader
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

from capsight.config import AuditConfig
from capsight.config.yaml_files import dump
from capsight.data import schema
from capsight.data.audit.similarity import COVERAGE, IDENTITY

#: Windows shown of each check, the most alike first; `pairs.tsv` has all, with all their partners.
SHOWN: Final = 15

#: Colours that colour-blind readers can tell apart (Okabe and Ito 2008).
_BLUE, _ORANGE, _GREY = "#0072B2", "#E69F00", "#999999"
_PANEL: Final = 3.2  # inches
_BINS: Final = 40

Panel = Callable[[Axes], None]


class _Picture(NamedTuple):
    """A figure of the page."""

    svg: str
    caption: str


def write_page(
    path: Path,
    config: AuditConfig,
    result: Mapping[str, Any],
    table: pd.DataFrame,
    similarity: pd.DataFrame,
    pairs: pd.DataFrame,
) -> None:
    """Write the page.

    Parameters
    ----------
    path
        HTML file to write.
    config
        Settings of the audit.
    result
        Content of `audit.json`.
    table
        The windows, columns `schema.WINDOW_COLUMNS`.
    similarity, pairs
        Content of `similarity.parquet` and of `pairs.tsv`.
    """
    figures = [
        _distributions(table, schema.GC, "GC share"),
        *([_distributions(table, schema.REPEAT, "soft-masked share")] if table[schema.REPEAT].any() else []),
        *_blind(config, result),
        *_nearest(config, similarity),
    ]
    page = Environment(loader=PackageLoader("capsight"), autoescape=True, trim_blocks=True, lstrip_blocks=True)
    text = page.get_template("audit.html").render(
        result=result, settings=dump(config), figures=figures, columns=list(pairs.columns[1:]),
        examples=[_examples(check, rows) for check, rows in pairs.groupby("check", sort=False)],
    )  # fmt: skip
    path.write_text(text + "\n", encoding="utf-8")


def _examples(check: object, rows: pd.DataFrame) -> dict[str, Any]:
    """Return the worst windows of a check, each with its most similar partner, as the page shows them."""
    ordered = rows.sort_values([IDENTITY, COVERAGE], ascending=False, kind="stable")
    windows = ordered.drop_duplicates([schema.CHROM, schema.START, schema.STRAND])
    worst = windows.head(SHOWN)
    cells = [[f"{value:.3f}" if isinstance(value, float) else value for value in row] for row in
             worst.iloc[:, 1:].itertuples(index=False)]  # fmt: skip
    cells = [["" if value == "nan" else value for value in row] for row in cells]
    return {"check": check, "of": len(windows), "shown": len(worst), "rows": cells}


def _distributions(table: pd.DataFrame, column: str, name: str) -> _Picture:
    """Draw a column of positives against that of negatives, fold by fold."""
    folds = [fold for fold in schema.FOLDS if (table[schema.FOLD] == fold).any()]
    edges = np.linspace(0, 1, _BINS + 1)

    def panel(fold: str) -> Panel:
        def draw(axes: Axes) -> None:
            rows = table[table[schema.FOLD] == fold]
            for label, colour, what in ((1, _BLUE, "positives"), (0, _ORANGE, "negatives")):
                values = rows.loc[rows[schema.LABEL] == label, column].to_numpy()
                share = np.histogram(values, edges)[0] / max(len(values), 1)
                axes.stairs(share, edges, color=colour, lw=1.5, label=f"{what} ({len(values):,})")
            axes.set(title=fold, xlabel=name, ylabel="share of windows")
            axes.legend(frameon=False, fontsize=7)

        return draw

    caption = f"{name} of positives and negatives. Where the lines differ, a model can tell labels by it alone."
    return _Picture(_svg([panel(fold) for fold in folds]), caption)


def _blind(config: AuditConfig, result: Mapping[str, Any]) -> list[_Picture]:
    """Draw the AUROC of the classifiers that see no sequence."""
    checks = [check for check in result["checks"] if "fold" in check["numbers"]]
    if not checks:
        return []

    def draw(axes: Axes) -> None:
        value = np.array([check["numbers"]["auroc"] for check in checks])
        interval = np.array([check["numbers"]["interval"] for check in checks])
        place = np.arange(len(checks))[::-1]
        axes.barh(place, value - 0.5, left=0.5, color=_BLUE, height=0.5)
        axes.errorbar(value, place, xerr=np.abs(interval.T - value), fmt="none", ecolor="black", capsize=3, lw=1)
        for limit, style, what in ((config.warn_auroc, ":", "warn"), (config.fail_auroc, "--", "fail")):
            axes.axvline(limit, color=_GREY, ls=style, lw=1, label=f"{what} above {limit:g}")
        axes.axvline(0.5, color="black", lw=0.8)
        axes.set_yticks(place, [check["name"].removeprefix("blind: ") for check in checks])
        axes.set(xlabel="AUROC (0.5 is chance)", xlim=(min(0.4, value.min() - 0.05), 1))
        axes.legend(frameon=False, fontsize=7, loc="lower right", bbox_to_anchor=(1, 1), ncols=2)

    caption = "Classifiers that see no sequence, only what is named; with 95 % intervals. They should be at chance."
    return [_Picture(_svg([draw], width=2 * _PANEL, height=0.9 + 0.5 * len(checks)), caption)]


def _nearest(config: AuditConfig, similarity: pd.DataFrame) -> list[_Picture]:
    """Draw how similar windows of validation and test are to the nearest training window."""
    folds = [fold for fold in schema.FOLDS if (similarity[schema.FOLD] == fold).any()]
    if not folds:
        return []
    edges = np.linspace(0.6, 1, 21)

    def panel(fold: str) -> Panel:
        def draw(axes: Axes) -> None:
            identity = similarity.loc[similarity[schema.FOLD] == fold, IDENTITY]
            found = identity.dropna()
            axes.stairs(np.histogram(found, edges)[0], edges, fill=True, color=_BLUE)
            axes.axvline(config.min_identity, color=_GREY, ls="--", lw=1)
            axes.set(title=fold, xlabel="identity with the nearest training window", ylabel="windows", ylim=(0, None))
            none = f"{len(identity) - len(found):,} of {len(identity):,}\nhave none"
            axes.text(0.03, 0.95, none, transform=axes.transAxes, va="top", fontsize=8)

        return draw

    caption = (
        f"Identity of the best stretch that covers at least {config.min_coverage:.0%} of a window; right of the dashed "
        "line windows count as similar. Below about 0.75 not all such pairs are found."
    )
    return [_Picture(_svg([panel(fold) for fold in folds]), caption)]


def _svg(panels: list[Panel], width: float | None = None, height: float = 2.6) -> str:
    """Draw panels side by side; the same content gives the same text."""
    with mpl.rc_context(
        {
            "font.size": 9, "axes.spines.top": False, "axes.spines.right": False, "svg.fonttype": "none",
            "svg.hashsalt": "capsight", "font.family": "sans-serif", "text.parse_math": False,
        }
    ):  # fmt: skip
        figure = Figure(figsize=(width or _PANEL * len(panels), height), layout="constrained")
        FigureCanvasSVG(figure)
        for axes, panel in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels, strict=True):
            panel(axes)
        text = io.StringIO()
        figure.savefig(text, format="svg", metadata={"Date": None, "Creator": None})
    svg = text.getvalue()
    return svg[svg.index("<svg") :]
