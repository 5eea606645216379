"""How every picture of the report is drawn: names as they stand, and the same bytes for the same content."""

import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

DPI: Final = 150
#: Text is no mathematics: an element called ``$x_1$`` stands in a picture as it is.
STYLE: Final[Any] = {"font.size": 9, "axes.spines.top": False, "axes.spines.right": False, "text.parse_math": False}


def save_picture(path: Path, panels: Sequence[Callable[[Axes], None]], size: tuple[float, float]) -> None:
    """Draw panels side by side into a PNG file, free of dates, `size` inches wide and high."""
    with mpl.rc_context(STYLE), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing", UserWarning)  # letters that the font lacks are boxes
        warnings.filterwarnings("ignore", "Attempting to set identical", UserWarning)  # all values are the same
        figure = Figure(figsize=size, layout="constrained")
        FigureCanvasAgg(figure)
        for axes, panel in zip(np.atleast_1d(figure.subplots(1, len(panels))), panels, strict=True):
            panel(axes)
        figure.savefig(path, dpi=DPI, metadata={"Software": None})
