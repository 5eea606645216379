"""How a place is drawn: panels below each other that share the positions of the genome, and a logo."""

import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import ConnectionPatch, Polygon
from matplotlib.ticker import FuncFormatter, MaxNLocator

from capsight.data.genome.genes import Gene
from capsight.plot.locus import Floats, Locus, Logo, Variant
from capsight.report.drawing import BASE_COLOURS, BLUE, DPI, GREY, RED, STYLE

#: Colours of the strands.
COLOURS: Final = {"+": BLUE, "-": RED, ".": GREY}
WIDTH: Final = 10.0  # inches
_MARGINS: Final = 0.9, 0.35  # inches to the left and right of the panels
_GAP: Final = 0.14  # inches between panels
_SMALL: Final = 7.5  # points
#: A line is no thinner than this, in points.
_THINNEST: Final = 0.9
#: Tracks of longer places are drawn by the highest value of so many bins.
_BINS: Final = 2000
#: Values of less than this share of the highest would be invisible.
_LEAST: Final = 0.002
#: Inches of a letter of small text, in the mean.
_LETTER: Final = 0.065
_LANE: Final = 0.27  # inches
_MOST_LANES: Final = 8


class _Panel(NamedTuple):
    """A panel: its height in inches, and what draws it."""

    height: float
    draw: Callable[[Axes], None]


def draw_locus(locus: Locus, path: Path, kind: str) -> None:
    """Draw a place into a file, free of dates.

    Parameters
    ----------
    path
        File to write.
    kind
        ``svg`` or ``png``.
    """
    style: Any = STYLE | {
        "svg.fonttype": "none",
        "svg.hashsalt": "capsight",
        "font.family": ["DejaVu Sans", "sans-serif"],
    }
    metadata: Any = {"Date": None, "Creator": None} if kind == "svg" else {"Software": None}
    with mpl.rc_context(style), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing", UserWarning)  # letters that the font lacks are boxes
        figure = _figure(locus)
        figure.savefig(path, format=kind, dpi=DPI, metadata=metadata)


def _figure(locus: Locus) -> Figure:
    """Draw all panels."""
    panels = _panels(locus)
    logo = locus.logo
    shares = logo is not None and len(logo.letters) == locus.end - locus.start
    above, below = 0.3, 0.5
    zoom = 0.0 if logo is None else 1.45 if shares else 1.45 + 0.5
    height = above + sum(panel.height for panel in panels) + _GAP * (len(panels) - 1) + below + zoom
    figure = Figure(figsize=(WIDTH, height))
    FigureCanvasAgg(figure)
    left, width = _MARGINS[0] / WIDTH, 1 - sum(_MARGINS) / WIDTH
    top = height - above
    drawn: list[Axes] = []
    if logo is not None and shares:
        panels = [*panels, _Panel(1.3, lambda axes: _logo(axes, logo, shares=True))]
    for panel in panels:
        box = (left, (top - panel.height) / height, width, panel.height / height)
        axes = figure.add_axes(box, sharex=drawn[0] if drawn else None)
        panel.draw(axes)
        axes.tick_params(bottom=False, labelbottom=False, labelsize=_SMALL)
        drawn.append(axes)
        top -= panel.height + _GAP
    drawn[0].set_xlim(locus.start + 0.5, locus.end + 0.5)
    drawn[0].set_title(locus.name, loc="left", fontsize=9, fontweight="bold")
    for x, strand, text in ((0.905, "+", "+ strand"), (1.0, "-", "− strand")):
        drawn[0].text(
            x, 1.04, text, transform=drawn[0].transAxes, color=COLOURS[strand], fontsize=_SMALL, ha="right", va="bottom"
        )  # fmt: skip
    _positions(drawn[-1], locus)
    if logo is not None and not shares:
        axes = figure.add_axes((left, 0.5 / height, width, 1.2 / height))
        _logo(axes, logo, shares=False)
        _connect(figure, drawn, axes, logo)
    figure.align_ylabels(figure.axes)
    return figure


def _panels(locus: Locus) -> list[_Panel]:
    """Return the panels that share the positions of the genome, from the top."""
    panels = []
    if locus.observed is not None:
        observed = locus.observed
        panels.append(_Panel(1.15, lambda axes: _track(axes, locus, observed, "observed\n5′ ends")))
    panels.append(_Panel(1.15, lambda axes: _track(axes, locus, locus.expected, "expected\ntags")))
    panels.append(_Panel(0.62, lambda axes: _tss(axes, locus)))
    if locus.variants is not None:
        variants = locus.variants
        panels.append(_Panel(1.0, lambda axes: _variants(axes, variants, locus)))
    if locus.genes is not None:
        lanes = _lanes(locus.genes, locus)
        panels.append(_Panel(_LANE * max(len(lanes), 1) + 0.05, lambda axes: _genes(axes, lanes, locus)))
    return panels


def _track(axes: Axes, locus: Locus, values: Floats, label: str) -> None:
    """Draw + upwards and - downwards, on one scale."""
    step = -(-values.shape[1] // _BINS)
    lacking = -values.shape[1] % step
    highest = np.pad(values, ((0, 0), (0, lacking))).reshape(2, -1, step).max(axis=2)
    centre = locus.start + 1 + np.arange(highest.shape[1]) * step + (step - 1) / 2
    width = max(_THINNEST, step * 72 * (WIDTH - sum(_MARGINS)) / (locus.end - locus.start))
    for strand, sign, track in zip("+-", (1, -1), highest, strict=True):
        shown = np.flatnonzero(track > _LEAST * highest.max())
        axes.vlines(centre[shown], 0, sign * track[shown], color=COLOURS[strand], lw=width)
    most = highest.max(axis=1)
    least = 0.12 * float(most.max()) or 1.0
    axes.set_ylim(-1.08 * max(float(most[1]), least), 1.08 * max(float(most[0]), least))
    axes.axhline(0, color="black", lw=0.6)
    axes.set_ylabel(label, fontsize=_SMALL + 0.5)
    axes.yaxis.set_major_locator(MaxNLocator(4, steps=[1, 2, 5, 10]))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{abs(value):,.10g}"))
    axes.spines["bottom"].set_visible(False)


def _inch(locus: Locus) -> float:
    """Return how many bases there are in an inch."""
    return (locus.end - locus.start) / (WIDTH - sum(_MARGINS))


def _bare(axes: Axes, label: str) -> None:
    """Leave a panel without a vertical axis."""
    axes.set_yticks([])
    for side in ("left", "bottom"):
        axes.spines[side].set_visible(False)
    axes.set_ylabel(label, fontsize=_SMALL + 0.5, rotation=0, ha="right", va="center", labelpad=6)


def _tss(axes: Axes, locus: Locus) -> None:
    """Draw an arrow for every TSS, + above and - below, and its probability where there is room: the higher first."""
    inch = _inch(locus)
    arrow, gap, text = 0.16 * inch, 0.05 * inch, 4.2 * _LETTER * inch
    taken = {"+": [(locus.end + 0.5, np.inf)], "-": [(-np.inf, locus.start + 0.5)]}
    for strand, x in ((tss.strand, tss.position + 1) for tss in locus.tss):
        sign = 1 if strand == "+" else -1
        axes.plot([x, x, x + sign * arrow], [0, 0.6 * sign, 0.6 * sign], color=COLOURS[strand], lw=1.2)
        axes.plot(x + sign * arrow, 0.6 * sign, ">" if sign > 0 else "<", color=COLOURS[strand], ms=4, mew=0)
        first, last = sorted((x, x + sign * (arrow + gap)))
        taken[strand].append((first, last))
    for tss in sorted(locus.tss, key=lambda one: (-one.probability, one.position)):
        sign = 1 if tss.strand == "+" else -1
        near = tss.position + 1 + sign * (arrow + gap)
        first, last = sorted((near + sign * 0.01 * inch, near + sign * text))
        if all(last < start or first > end for start, end in taken[tss.strand]):
            axes.text(
                near, 0.6 * sign, f"{tss.probability:.2f}", fontsize=_SMALL, color=COLOURS[tss.strand],
                ha="left" if sign > 0 else "right", va="center",
            )  # fmt: skip
            taken[tss.strand].append((first, last))
    axes.axhline(0, color="black", lw=0.6)
    axes.set_ylim(-1, 1)
    _bare(axes, "TSSs\n(probability)")
    if not locus.tss:
        axes.text(0.5, 0.72, "none called", transform=axes.transAxes, ha="center", va="center", fontsize=_SMALL)


def _lanes(genes: Sequence[Gene], locus: Locus) -> list[list[Gene]]:
    """Lay genes into lanes in which neither they nor their names overlap; what finds no lane goes into the last."""
    lanes: list[list[Gene]] = []
    ends: list[float] = []
    for gene in genes:
        seen = min(gene.end, locus.end) - max(gene.start, locus.start)
        name, inch = len(gene.name) * _LETTER, _inch(locus)
        beside = 0.0 if name * inch < 0.75 * seen else (name + 0.1) * inch
        start, end = max(gene.start, locus.start), min(gene.end, locus.end) + beside + 0.05 * _inch(locus)
        lane = next((i for i, last in enumerate(ends) if last <= start), len(lanes))
        if lane == len(lanes) and lane < _MOST_LANES:
            lanes.append([])
            ends.append(0.0)
        lane = min(lane, _MOST_LANES - 1)
        lanes[lane].append(gene)
        ends[lane] = max(ends[lane], end)
    return lanes


def _genes(axes: Axes, lanes: Sequence[Sequence[Gene]], locus: Locus) -> None:
    """Draw genes as arrows, thick where they are translated."""
    inch = _inch(locus)
    for lane, genes in enumerate(lanes):
        for gene in genes:
            colour = COLOURS[gene.strand]
            axes.plot([gene.start + 0.5, gene.end + 0.5], [-lane, -lane], color=colour, lw=1.2, solid_capstyle="butt")
            for start, end in gene.blocks:
                last = end == gene.end if gene.strand == "+" else start == gene.start
                axes.add_patch(_block(start + 0.5, end + 0.5, -lane, gene.strand if last else "", inch, colour))
            if gene.strand == "-" and gene.blocks[0][0] > gene.start:
                axes.plot(gene.start + 0.5, -lane, "<", color=colour, ms=4, mew=0)
            if gene.strand == "+" and gene.blocks[-1][1] < gene.end:
                axes.plot(gene.end + 0.5, -lane, ">", color=colour, ms=4, mew=0)
            _name(axes, gene, -lane, locus)
    axes.set_ylim(-max(len(lanes), 1) + 0.45, 0.55)
    _bare(axes, "genes")
    if not lanes:
        axes.text(0.5, 0.5, "none", transform=axes.transAxes, ha="center", va="center", fontsize=_SMALL)


def _block(start: float, end: float, lane: float, tip: str, inch: float, colour: str) -> Polygon:
    """Return a block of a gene, with a tip where the gene ends."""
    half, point = 0.32, min(0.1 * inch, end - start)
    right = end - point if tip == "+" else end
    left = start + point if tip == "-" else start
    low, high = lane - half, lane + half
    corners = [(left, low), (right, low), (end, lane), (right, high), (left, high), (start, lane)]
    return Polygon(corners, closed=True, facecolor=colour, edgecolor="none", zorder=3)


def _name(axes: Axes, gene: Gene, lane: float, locus: Locus) -> None:
    """Write the name of a gene into its longest block, or beside it."""
    seen = [(max(start, locus.start), min(end, locus.end)) for start, end in gene.blocks]
    start, end = max(seen, key=lambda block: block[1] - block[0])
    style: dict[str, Any] = {
        "fontsize": _SMALL,
        "va": "center_baseline",
        "style": "italic",
        "clip_on": True,
        "zorder": 4,
    }
    if len(gene.name) * _LETTER * _inch(locus) < 0.75 * (end - start):
        axes.text((start + end) / 2 + 0.5, lane, gene.name, color="white", ha="center", **style)
    else:
        x = min(gene.end, locus.end) + 0.5 + 0.06 * _inch(locus)
        axes.text(x, lane, gene.name, color=COLOURS[gene.strand], ha="left", **style)


def _variants(axes: Axes, variants: Sequence[Variant], locus: Locus) -> None:
    """Draw the change of expected tags by every variant, on the strand where it is larger, and the largest by name."""
    most = max((abs(value) for variant in variants for value in variant.log2), default=0.0) or 1.0
    taken: list[tuple[float, float]] = []
    for variant in sorted(variants, key=lambda one: -max(map(abs, one.log2))):
        strand = "+" if abs(variant.log2[0]) >= abs(variant.log2[1]) else "-"
        value, x = variant.log2["+-".index(strand)], variant.position + 1
        axes.plot([x, x], [0, value], color=COLOURS[strand], lw=1.0)
        axes.plot(x, value, "o", color=COLOURS[strand], ms=3.5, mew=0)
        text = variant.name if variant.name != "." else f"{_short(variant.ref)}>{_short(variant.alt)}"
        half = (len(text) * _LETTER / 2 + 0.04) * _inch(locus)
        near, far = x - half, x + half
        if locus.start < near and far < locus.end and all(far < a or near > b for a, b in taken):
            axes.annotate(
                text, (x, value), (0, 5 if value >= 0 else -5), textcoords="offset points", fontsize=_SMALL - 0.5,
                ha="center", va="bottom" if value >= 0 else "top",
            )  # fmt: skip
            taken.append((near, far))
    axes.axhline(0, color="black", lw=0.6)
    axes.set_ylim(-1.5 * most, 1.5 * most)
    axes.yaxis.set_major_locator(MaxNLocator(4, steps=[1, 2, 5, 10]))
    axes.set_ylabel("variants\nlog2 change", fontsize=_SMALL + 0.5)
    axes.spines["bottom"].set_visible(False)
    if not variants:
        axes.text(0.5, 0.7, "none", transform=axes.transAxes, ha="center", va="center", fontsize=_SMALL)


def _short(allele: str) -> str:
    """Return an allele, or its beginning and length."""
    return allele if len(allele) <= 6 else f"{allele[:3]}…({len(allele)})"


def _positions(axes: Axes, locus: Locus) -> None:
    """Draw the axis of positions, counted from 1."""
    axes.tick_params(bottom=True, labelbottom=True)
    axes.spines["bottom"].set_visible(True)
    axes.xaxis.set_major_locator(MaxNLocator(8, integer=True, steps=[1, 2, 5, 10], min_n_ticks=1))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    axes.set_xlabel(f"position on {locus.chrom}", fontsize=_SMALL + 0.5, labelpad=2)
    axes.xaxis.label.set_bbox({"facecolor": "white", "edgecolor": "none", "pad": 1})


def _logo(axes: Axes, logo: Logo, *, shares: bool) -> None:
    """Draw the letters of a logo, at their positions in the genome or 5'→3' from the TSS."""
    from logomaker import Logo as Letters

    index = logo.positions + 1 if shares else logo.offset + np.arange(len(logo.letters))
    heights = pd.DataFrame(0.0, index=index, columns=list("ACGT"))
    for row, (letter, height) in enumerate(zip(logo.letters, logo.heights, strict=True)):
        if letter in "ACGT":
            heights.iloc[row, "ACGT".index(letter)] = height
    Letters(heights.sort_index(), ax=axes, color_scheme=BASE_COLOURS, flip_below=False, fade_below=0.4)
    axes.axhline(0, color="black", lw=0.6)
    low, high = float(logo.heights.min(initial=0)), float(logo.heights.max(initial=0))
    axes.set_ylim(1.05 * low, (1.3 if shares else 1.08) * high if high > 0 else 1.0)
    axes.yaxis.set_major_locator(MaxNLocator(4, steps=[1, 2, 5, 10]))
    names = {"ism": "mutagenesis", "ig": "integrated\ngradients"}
    axes.set_ylabel(f"{names.get(logo.method, logo.method)}\n(nats)", fontsize=_SMALL + 0.5)
    axes.tick_params(labelsize=_SMALL)
    sign = "+" if logo.tss.strand == "+" else "−"
    if shares:
        axes.axvline(logo.tss.position + 1, color=COLOURS[logo.tss.strand], lw=5, alpha=0.18, zorder=0)
        reading = "" if logo.tss.strand == "+" else ", 5′→3′ from right to left"
        text = f"letters of the {sign} strand{reading}; TSS at {logo.tss.position + 1:,}"
        axes.text(0.995, 0.98, text, transform=axes.transAxes, fontsize=_SMALL, ha="right", va="top", color=GREY)
    else:
        axes.set_xlim(index[0] - 0.5, index[-1] + 0.5)
        axes.xaxis.set_major_locator(MaxNLocator(14, integer=True, steps=[1, 2, 5, 10]))
        axes.axvline(0, color=COLOURS[logo.tss.strand], lw=5, alpha=0.18, zorder=0)
        text = f"bases from the TSS at {logo.tss.position + 1:,}, {sign} strand, 5′→3′"
        axes.set_xlabel(text, fontsize=_SMALL + 0.5, labelpad=2)


def _connect(figure: Figure, drawn: Sequence[Axes], axes: Axes, logo: Logo) -> None:
    """Show in the panels above what the logo is of."""
    first, last = sorted((logo.positions[0], logo.positions[-1]))
    for panel in drawn:
        panel.axvspan(first + 0.5, last + 1.5, color="black", alpha=0.06, lw=0, zorder=0)
    edges = (first + 0.5, last + 1.5)
    for position, x in zip(edges if logo.tss.strand == "+" else edges[::-1], (0.0, 1.0), strict=True):
        line = ConnectionPatch(
            (position, 0), (x, 1.0), drawn[-1].get_xaxis_transform(), "axes fraction", axesB=axes, color=GREY, lw=0.6,
            ls=":", zorder=-1,
        )  # fmt: skip
        figure.add_artist(line)
