"""Places of motifs in windows, and their offsets from the cap site, which is 0."""

from dataclasses import dataclass
from typing import Any, Final, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from capsight.data.attributions import Ints, Mask

#: A motif stands in its place if it begins within this many bases of its preferred offset.
PLACE_TOLERANCE: Final = 2

#: Columns of `positions.tsv`: how many predicted positives and negatives have the motif begin at the offset.
MOTIF: Final = "motif"
KIND: Final = "kind"
OFFSET: Final = "offset"
POSITIVES: Final = "positives"
NEGATIVES: Final = "negatives"
POSITION_COLUMNS: Final = (MOTIF, KIND, OFFSET, POSITIVES, NEGATIVES)
#: Values of the kind column.
KMER: Final = "kmer"
DE_NOVO: Final = "de_novo"


@dataclass(frozen=True, eq=False)
class Sites:
    """Places of one motif: rows of windows, and index of its first base in each, 5'→3' of the window."""

    window: Ints
    start: Ints
    width: int

    def __len__(self) -> int:
        return len(self.window)

    def moved(self, by: int, width: int) -> Self:
        """Return the same sites with the first base elsewhere."""
        return type(self)(self.window, self.start + by, width)

    def inside(self, length: int) -> Self:
        """Return the sites that lie wholly in their window, each once."""
        kept = (self.start >= 0) & (self.start + self.width <= length)
        places = np.unique(np.stack([self.window[kept], self.start[kept]], axis=1), axis=0)
        return type(self)(places[:, 0], places[:, 1], self.width)

    def gather(self, values: NDArray[Any]) -> NDArray[Any]:
        """Return what `values`, ``(n, length)``, holds at every site: ``(sites, width)``."""
        return values[self.window[:, None], self.start[:, None] + np.arange(self.width)]

    def mode(self, cap: int) -> int:
        """Return the preferred offset of the first base from the cap site."""
        return preferred_offset(self.start - cap)

    def share_in_place(self, cap: int) -> float:
        """Return the share of sites within `PLACE_TOLERANCE` of the preferred offset."""
        return float((np.abs(self.start - cap - self.mode(cap)) <= PLACE_TOLERANCE).mean())

    def subset(self, chosen: Mask) -> Self:
        """Return the sites in some windows, ``(n,)``."""
        kept = chosen[self.window]
        return type(self)(self.window[kept], self.start[kept], self.width)


def preferred_offset(offsets: Ints) -> int:
    """Return the offset with most sites at it or near it, nearer ones weighing more (a smoothed mode).

    A plain mode would be an accident for elements that stand a base or two to either side, as GC boxes do.
    """
    low = int(offsets.min()) - PLACE_TOLERANCE
    counts = np.bincount(offsets - low, minlength=int(offsets.max()) - low + PLACE_TOLERANCE + 1)
    weights = PLACE_TOLERANCE + 1 - np.abs(np.arange(-PLACE_TOLERANCE, PLACE_TOLERANCE + 1))
    near = np.convolve(counts, weights, mode="same")
    places = np.arange(len(counts)) + low
    return int(places[np.lexsort((places, np.abs(places), -near))[0]])


def profile(name: str, kind: str, sites: Sites, positive: Mask, cap: int) -> pd.DataFrame:
    """Count the predicted positives and negatives that have the motif at each offset (only where any has)."""
    sides = [sites.subset(chosen).start - cap for chosen in (positive, ~positive)]
    offsets = np.unique(np.concatenate(sides))
    tallies = [np.bincount(np.searchsorted(offsets, side), minlength=len(offsets)) for side in sides]
    columns = (name, kind, offsets, *tallies)
    return pd.DataFrame(dict(zip(POSITION_COLUMNS, columns, strict=True)))
