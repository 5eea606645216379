"""The picture of all single changes of a region: a heat map, and the reference as a logo of their mean effect."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Final

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from numpy.typing import NDArray

from capsight.report.drawing import BASE_COLOURS, save_picture

#: Bases side by side; a longer region is broken into lines.
_LINE: Final = 100
_BASES: Final = "ACGT"
_STRANDS: Final = {"log2_plus": "+", "log2_minus": "−"}
_LOGO_INCHES, _MAP_INCHES, _WIDTH_INCHES = 0.75, 0.65, 11.0


def draw_mutations(table: pd.DataFrame, chrom: str, start: int, end: int, path: Path, kind: str) -> None:
    """Draw the change of log2 expected tags by base and position, line by line, for every strand of the table.

    Parameters
    ----------
    table
        As `capsight.variants.changes.changes_of` yields it.
    chrom, start, end
        The region, 0-based half-open.
    path, kind
        File to write, and its format: ``png`` or ``svg``.
    """
    panels: list[Callable[[Axes], None]] = []
    columns = [column for column in _STRANDS if column in table]
    limit = max(float(np.nanmax(np.abs(table[columns].to_numpy()))), 0.01)
    effects = {column: effect_of_bases(table, start, end, column) for column in columns}
    heights = {column: -np.nansum(each, axis=1) / (len(_BASES) - 1) for column, each in effects.items()}
    highest = max(float(np.abs(each).max()) for each in heights.values()) or 1.0
    reference = table.drop_duplicates("position").set_index("position")["ref"]
    for first in range(start, end, _LINE):
        part = slice(first - start, first - start + _LINE)
        for column in columns:
            title = f"{chrom}, strand {_STRANDS[column]}" if first == start else ""
            panels.append(partial(_logo, heights[column][part], reference, first, highest, title))
            panels.append(partial(_heat_map, effects[column][part], first, limit))
    inches = [_LOGO_INCHES, _MAP_INCHES] * (len(panels) // 2)
    save_picture(path, panels, (_WIDTH_INCHES, 1.4 * sum(inches)), heights=inches, kind=kind)


def effect_of_bases(table: pd.DataFrame, start: int, end: int, column: str) -> NDArray[np.float64]:
    """Return what changing to A, C, G and T does, ``(bases, 4)``: nothing for the base itself, NaN for N."""
    found = np.full((end - start, len(_BASES)), np.nan)
    rows = table["position"].to_numpy() - start
    found[rows, table["ref"].map(_BASES.index)] = 0
    found[rows, table["alt"].map(_BASES.index)] = table[column]
    return found


def _logo(
    heights: NDArray[np.float64], reference: pd.Series, first: int, highest: float, title: str, axes: Axes
) -> None:
    """Draw the bases of a line as high as their mean loss of log2 expected tags when they are changed."""
    from logomaker import Logo

    letters = pd.DataFrame(0.0, index=range(len(heights)), columns=list(_BASES))
    for number, height in enumerate(heights):
        if (base := reference.get(first + number)) is not None:
            letters.loc[number, base] = height
    Logo(letters, ax=axes, color_scheme=BASE_COLOURS, flip_below=False)
    axes.set(xlim=(-0.5, _LINE - 0.5), ylim=(-1.05 * highest, 1.05 * highest), xticks=[], ylabel="mean loss")
    axes.set_title(title, fontsize=9, loc="left")
    axes.spines["bottom"].set_visible(False)


def _heat_map(effects: NDArray[np.float64], first: int, limit: float, axes: Axes) -> None:
    """Draw the changes of a line: blue is less, red is more, grey is N."""
    colours = mpl.colormaps["RdBu_r"].with_extremes(bad="0.8")
    image = axes.imshow(effects.T, cmap=colours, vmin=-limit, vmax=limit, aspect="auto", interpolation="nearest")
    ticks = np.flatnonzero((first + 1 + np.arange(len(effects))) % 10 == 0)
    axes.set_xticks(ticks, [f"{first + 1 + tick:,}" for tick in ticks], fontsize=6)
    axes.set_yticks(range(len(_BASES)), list(_BASES), fontsize=6, family="monospace")
    axes.set(xlim=(-0.5, _LINE - 0.5), ylabel="changed to")
    assert axes.figure is not None
    bar = axes.figure.colorbar(image, ax=axes, pad=0.005, aspect=8)
    bar.ax.tick_params(labelsize=6)
    bar.set_label("change of\nlog2 tags", fontsize=6)
