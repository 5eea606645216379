"""How every picture of the report is drawn: names as they stand, and the same bytes for the same content."""

import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

#: Colours that colour-blind readers can tell apart (Okabe and Ito 2008): the only ones of all pictures.
BLUE, ORANGE, GREEN, RED, GREY = "#0072B2", "#E69F00", "#009E73", "#D55E00", "#999999"
#: One colour for each base, readable without colour too: logos have letters.
BASE_COLOURS: Final = {"A": GREEN, "C": BLUE, "G": ORANGE, "T": RED}
DPI: Final = 150
#: Text is no mathematics: an element called ``$x_1$`` stands in a picture as it is.
STYLE: Final[Any] = {
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "text.parse_math": False,
    "svg.hashsalt": "capsight",
}


def save_picture(
    path: Path,
    panels: Sequence[Callable[[Axes], None]],
    size: tuple[float, float],
    *,
    heights: Sequence[float] = (1,),
    kind: str = "png",
) -> None:
    """Draw panels into a PNG or SVG file, free of dates, `size` inches wide and high.

    They stand side by side, or in as many rows as there are `heights`, from the left to the right of each.
    """
    with mpl.rc_context(STYLE), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing", UserWarning)  # letters that the font lacks are boxes
        warnings.filterwarnings("ignore", "Attempting to set identical", UserWarning)  # all values are the same
        figure = Figure(figsize=size, layout="constrained")
        FigureCanvasAgg(figure)
        grid = figure.subplots(len(heights), len(panels) // len(heights), squeeze=False, height_ratios=heights)
        for axes, panel in zip(grid.flat, panels, strict=True):
            panel(axes)
        figure.savefig(path, dpi=DPI, format=kind, metadata={"Date" if kind == "svg" else "Software": None})
