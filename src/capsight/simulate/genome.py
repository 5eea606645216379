"""Where the cap sites of a simulated genome are, and its DNA before elements are planted.

The background is an order-1 Markov chain in AT-rich and GC-rich isochores, both poor in CpG, with CpG islands that hold
no promoter, a few soft-masked repeat families, and a short run of N at the start of each chromosome.
"""

from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from capsight.simulate.grammar import PROMOTERS, Floats, Ints, Names

Codes = npt.NDArray[np.uint8]
Mask = npt.NDArray[np.bool_]

#: No cap site is nearer than this to the next, on either strand, so that promoters never overlap.
MIN_DISTANCE: Final = 300
#: Nor nearer than this to the end of a chromosome, so that windows of 2,048 bases fit around it.
MARGIN: Final = 1_200

#: The code of N; A, C, G, T are 0 to 3, so that 3 - code is the complement.
N: Final = 4
#: Bases either side of a cap site where nothing but its own elements is planted.
CORE: Final = 60

_GAP = 100  # bases of N at the start of each chromosome

_CHUNK = 200  # bases drawn as one Markov chain
_ISOCHORE = 25  # mean length of an isochore in chunks
_ISOCHORES = ((0.38, 0.20), (0.56, 0.20))  # G+C fraction, and CpG relative to chance
_ISLAND = (0.58, 0.85)
_ISLAND_LENGTHS = (320, 560)
_EMPTY_ISLANDS = 0.4  # CpG islands without a promoter, for each with one

_REPEAT_FAMILIES = 4
_REPEAT_LENGTH = 250
_REPEAT_SHARE = 0.04  # of the genome
_REPEAT_DIVERGENCE = 0.12


@dataclass(frozen=True)
class Genome:
    """All chromosomes end to end; positions on it are called places, to tell them from coordinates."""

    codes: Codes
    masked: Mask
    starts: Ints

    @property
    def names(self) -> Names:
        """Names of the chromosomes."""
        return np.array([f"chr{number + 1}" for number in range(len(self.starts))])

    def locate(self, places: Ints) -> tuple[Names, Ints]:
        """Return chromosome and coordinate of each place."""
        which = np.searchsorted(self.starts, places, side="right") - 1
        return self.names[which], places - self.starts[which]


class Caps(NamedTuple):
    """Cap sites, in order: their places, strands (+1 or -1) and classes (index into `PROMOTERS`)."""

    places: Ints
    strands: Ints
    classes: Ints

    @property
    def broad(self) -> Mask:
        """Which of them are of broad promoters."""
        return np.array([promoter.broad for promoter in PROMOTERS.values()])[self.classes]


def draw_caps(lengths: Ints, spacing: int, rng: np.random.Generator) -> Caps:
    """Scatter cap sites, `MIN_DISTANCE` apart at least; every chromosome gets each class in its share."""
    places, classes = [], []
    shares = np.cumsum([promoter.share for promoter in PROMOTERS.values()])
    for start, length in zip(np.cumsum(lengths) - lengths, lengths, strict=True):
        usable = length - 2 * MARGIN
        count = usable // spacing
        # Points with a minimum distance are uniform points on what is left once the distances are cut out.
        free = np.sort(rng.integers(0, usable - (count - 1) * MIN_DISTANCE, count))
        places.append(start + MARGIN + free + np.arange(count) * MIN_DISTANCE)
        ranks = (rng.permutation(count) + rng.random()) / count
        classes.append(np.searchsorted(shares[:-1], ranks, side="right"))
    total = sum(map(len, places))
    return Caps(np.concatenate(places), rng.choice([-1, 1], total), np.concatenate(classes))


def background(lengths: Ints, caps: Caps, rng: np.random.Generator) -> Genome:
    """Draw isochores, then CpG islands, repeats and the runs of N upon them."""
    total = int(lengths.sum())
    chunks = -(-total // _CHUNK)
    changes = rng.random(chunks) < 1 / _ISOCHORE
    isochores = rng.integers(0, len(_ISOCHORES), chunks)[np.maximum.accumulate(changes * np.arange(chunks))]
    codes = _markov(np.array(_ISOCHORES)[isochores], _CHUNK, rng).ravel()[:total]
    genome = Genome(codes, np.zeros(total, dtype=bool), np.cumsum(lengths) - lengths)
    _add_islands(genome, caps.places[caps.broad], rng)
    _add_repeats(genome, caps, rng)
    gaps = (genome.starts[:, None] + np.arange(_GAP)).ravel()
    genome.codes[gaps] = N
    genome.masked[gaps] = False
    return genome


def _markov(compositions: Floats, length: int, rng: np.random.Generator) -> Codes:
    """Draw order-1 Markov chains, one for each composition (G+C fraction, weight of CpG): (n, length)."""
    kinds, which = np.unique(compositions, axis=0, return_inverse=True)
    strong, weak = kinds[:, 0] / 2, (1 - kinds[:, 0]) / 2
    base = np.stack([weak, strong, strong, weak], axis=1)
    step = np.repeat(base[:, None, :], 4, axis=1)
    step[:, 1, 2] *= kinds[:, 1]
    first = np.cumsum(base, axis=1)[which, :3]
    following = np.cumsum(step / step.sum(axis=2, keepdims=True), axis=2)[which, :, :3]
    chains = np.empty((length, len(which)), dtype=np.uint8)
    rows = np.arange(len(which))
    for position in range(length):
        thresholds = following[rows, chains[position - 1]] if position else first
        chains[position] = (rng.random(len(which))[:, None] > thresholds).sum(axis=1)
    return np.ascontiguousarray(chains.T)


def _add_islands(genome: Genome, centres: Ints, rng: np.random.Generator) -> None:
    """Lay a CpG island about each broad promoter, and some where there is no promoter."""
    empty = rng.integers(0, len(genome.codes), round(_EMPTY_ISLANDS * len(centres)))
    middles = np.concatenate([centres, empty])
    sizes = rng.integers(*_ISLAND_LENGTHS, len(middles), endpoint=True)
    # The promoter stands near the middle, not at it: the borders must not tell where it is.
    first = middles - (sizes * rng.uniform(0.4, 0.6, len(middles))).astype(np.int64)
    islands = _markov(np.tile(_ISLAND, (len(middles), 1)), _ISLAND_LENGTHS[1], rng)
    columns = np.arange(_ISLAND_LENGTHS[1])
    places = first[:, None] + columns
    inside = (columns < sizes[:, None]) & (places >= 0) & (places < len(genome.codes))
    genome.codes[places[inside]] = islands[inside]


def _add_repeats(genome: Genome, caps: Caps, rng: np.random.Generator) -> None:
    """Scatter diverged copies of a few families, soft-masked, on both strands, clear of the promoters."""
    total = len(genome.codes)
    families = _markov(np.tile(_ISOCHORES[1], (_REPEAT_FAMILIES, 1)), _REPEAT_LENGTH, rng)
    first = rng.integers(0, total - _REPEAT_LENGTH, round(total * _REPEAT_SHARE / _REPEAT_LENGTH))
    places = first[:, None] + np.arange(_REPEAT_LENGTH)
    places = places[~core(total, caps)[places].any(axis=1)]
    copies = families[rng.integers(0, _REPEAT_FAMILIES, len(places))]
    changed = rng.random(copies.shape) < _REPEAT_DIVERGENCE
    copies[changed] = rng.integers(0, 4, int(changed.sum()), dtype=np.uint8)
    genome.codes[places] = oriented(copies, rng.choice([-1, 1], len(places)))
    genome.masked[places] = True


def oriented(sequences: Codes, strands: Ints) -> Codes:
    """Reverse-complement the rows (n, length) that are meant for the minus strand."""
    return np.where(strands[:, None] > 0, sequences, 3 - sequences[:, ::-1])


def core(total: int, caps: Caps) -> Mask:
    """Mark the places about cap sites that belong to their promoters."""
    mask = np.zeros(total, dtype=bool)
    mask[caps.places[:, None] + np.arange(-CORE, CORE + 1)] = True
    return mask
