"""Pictures of motifs: k-mers in positives and negatives, volcano, positions, elements, logos."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from numpy.typing import NDArray

from capsight.report.drawing import BASE_COLOURS, BLUE, GREEN, GREY, ORANGE, save_picture

#: Names written beside the dots of the volcano plot.
LABELLED: Final = 12
#: p-values below this are drawn at it.
LEAST_P: Final = 1e-50


def draw_frequencies(kmers: pd.DataFrame, positives: int, negatives: int, path: Path) -> None:
    """Draw the share of predicted positives and negatives whose seqlets carry each k-mer.

    Parameters
    ----------
    kmers
        Rows of `motifs.tsv`, in the order to draw.
    positives, negatives
        How many windows were predicted so.
    path
        PNG file to write.
    """

    def panel(axes: Axes) -> None:
        places = np.arange(len(kmers))
        for shift, column, total, colour in ((-0.2, "positives", positives, BLUE), (0.2, "negatives", negatives, GREY)):
            rates = 100 * kmers[column] / total
            axes.bar(places + shift, rates, 0.4, color=colour, label=f"predicted {column} ({total:,})")
            for place, rate, count in zip(places + shift, rates, kmers[column], strict=True):
                axes.text(place, rate, f" {count}", ha="center", va="bottom", fontsize=6, rotation=90)
        axes.set_xticks(places, kmers["kmer"], rotation=90, family="monospace")
        axes.set(ylabel="% of windows with the k-mer in a seqlet")
        axes.margins(y=0.12)
        axes.legend(frameon=False, loc="upper right")

    save_picture(path, [panel], (max(4.0, 1.5 + 0.28 * len(kmers)), 3.6))


def draw_volcano(kmers: pd.DataFrame, alpha: float, path: Path) -> None:
    """Draw log2 odds against p-value of every k-mer, coloured by what its q-value calls; names for the best."""

    def panel(axes: Axes) -> None:
        height = -np.log10(np.maximum(kmers["p"].to_numpy(), LEAST_P))
        called = (kmers["q"] < alpha).to_numpy()
        up = (kmers["enriched_in"] == "positives").to_numpy()
        groups = ((~called, GREY, "not called"), (called & up, BLUE, f"q < {alpha:g}, more in positives"),
                  (called & ~up, ORANGE, f"q < {alpha:g}, more in negatives"))  # fmt: skip
        for chosen, colour, name in groups:
            label = f"{name}: {chosen.sum():,}"
            axes.scatter(kmers["log2_odds"][chosen], height[chosen], s=6, lw=0, color=colour, label=label)
        for row in np.flatnonzero(called)[:LABELLED]:
            axes.annotate(
                kmers["kmer"].iloc[row], (kmers["log2_odds"].iloc[row], height[row]), (3, 0),
                textcoords="offset points", fontsize=6, family="monospace", va="center",
            )  # fmt: skip
        axes.axvline(0, color="black", lw=0.8, ls=":")
        axes.set(xlabel="log2 odds, predicted positives : negatives", ylabel="−log10 p")
        axes.margins(x=0.12)
        axes.legend(frameon=False, fontsize=7, loc="upper center")

    save_picture(path, [panel], (5.0, 4.0))


def draw_positions(profiles: Sequence[tuple[str, pd.DataFrame]], positives: int, length: int, path: Path) -> None:
    """Draw where motifs begin in predicted positives, one line each, all in one picture.

    Parameters
    ----------
    profiles
        Name and rows of `positions.tsv` of each motif, in the order to draw, from the top.
    positives
        Number of predicted positives.
    length
        Bases per window.
    path
        PNG file to write.
    """

    def panel(axes: Axes) -> None:
        cap = length // 2
        for i, (_, rows) in enumerate(profiles):
            height = np.zeros(length)
            height[rows["offset"].to_numpy() + cap] = rows["positives"]
            base = len(profiles) - 1 - i
            scaled = 0.85 * height / max(height.max(), 1)
            axes.fill_between(np.arange(length) - cap, base, base + scaled, color=BLUE, lw=0, step="mid")
            peak = f"max {height.max():.0f} ({height.max() / positives:.1%})"
            axes.text(length - cap, base + 0.1, peak, ha="right", va="bottom", fontsize=6, color=GREY)
            axes.axhline(base, color=GREY, lw=0.4)
        axes.axvline(0, color="black", lw=0.8, ls=":")
        names = [name for name, _ in profiles][::-1]
        axes.set_yticks(np.arange(len(profiles)), names, family="monospace", fontsize=7)
        axes.set(xlabel="first base of the motif, in bases from the cap site (0)", xlim=(-cap, length - cap))

    save_picture(path, [panel], (6.0, 1.0 + 0.32 * len(profiles)))


def draw_elements(elements: pd.DataFrame, path: Path) -> None:
    """Draw the match rates of known elements at their expected place, in positives, negatives and background."""
    rows = elements[elements["scope"].str.startswith("expected")].iloc[::-1]

    def panel(axes: Axes) -> None:
        places = np.arange(len(rows))
        colours = {"positive": BLUE, "negative": GREY, "background": GREEN}
        for i, (group, colour) in enumerate(colours.items()):
            axes.barh(places + 0.26 * (1 - i), 100 * rows[f"{group}_rate"], 0.26, color=colour, label=group)
        axes.set_yticks(places, rows["element"] + " " + rows["offset"], fontsize=7)
        axes.set(xlabel="% of windows with the element where it is expected (± 2 bases)")
        axes.legend(frameon=False, loc="lower right")

    save_picture(path, [panel], (5.0, 1.0 + 0.32 * len(rows)))


def draw_logo(probabilities: NDArray[np.float64], background: NDArray[np.float64], title: str, path: Path) -> None:
    """Draw a sequence logo (Schneider and Stephens 1990): letters scaled by information against the background.

    Parameters
    ----------
    probabilities
        ``(width, 4)`` of A, C, G, T.
    background
        ``(4,)`` frequencies of A, C, G, T.
    title
        Written above.
    path
        PNG file to write.
    """
    from logomaker import Logo

    information = (probabilities * np.log2(probabilities / background)).sum(axis=1)
    heights = pd.DataFrame(probabilities * information[:, None], columns=list("ACGT"))

    def panel(axes: Axes) -> None:
        Logo(heights, ax=axes, color_scheme=BASE_COLOURS)
        axes.set_title(title, fontsize=8, family="monospace")
        axes.set_xticks(np.arange(len(heights)), np.arange(1, len(heights) + 1).astype(str), fontsize=6)
        axes.set(ylabel="bits", ylim=(0, max(2.0, float(information.max()))))

    save_picture(path, [panel], (max(2.0, 0.7 + 0.25 * len(heights)), 1.8))
