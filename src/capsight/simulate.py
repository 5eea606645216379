"""Simulate a genome with planted promoter grammar: ground truth for the demo and the tests.

What makes a promoter here is the right combination of elements, at the right distance, on the right strand.
The same elements stand all over the background as decoys: alone, too near, too far, in the wrong order, on
the wrong strand. Counting k-mers or elements therefore says little.

Promoters (`PROMOTERS`) lie on both strands; `ELEMENTS` tells where their elements start. Literature counts
the cap site as +1, with no zero; files and code here count it as 0, so downstream positions are one lower:

* ``tata``: a TATA box [1]_ starting at -31 and an initiator, YYANWYY with C before the A [2]_ [3]_, starting
  at -2. Sharp initiation.
* ``dpe``: an initiator without a TATA box, and a downstream promoter element, RGWYVT [4]_, starting at +28
  from the initiator's A (offset 27). Sharp.
* ``cpg``: a GC box (Sp1) [5]_ starting at -55, give or take two bases, a BREu, SSRCGCC [6]_, at -38, and a
  weak initiator, hardly more than pyrimidine-purine. Broad initiation, in a CpG island.

Sharp promoters start mostly at one base, broad ones at many bases over some 40 to 80, preferably at the
purine of a pyrimidine-purine pair [7]_. The background is an order-1 Markov chain in AT-rich and GC-rich
isochores, both poor in CpG, with CpG islands that hold no promoter, a few soft-masked repeat families, and a
short run of N at the start of each chromosome.

References
----------
.. [1] Bucher, P. (1990) J. Mol. Biol. 212, 563-578.
.. [2] Smale, S. T. and Baltimore, D. (1989) Cell 57, 103-113.
.. [3] Vo Ngoc, L. et al. (2017) Genes Dev. 31, 6-11 (human initiator BBCABW).
.. [4] Burke, T. W. and Kadonaga, J. T. (1996) Genes Dev. 10, 711-724.
.. [5] Briggs, M. R. et al. (1986) Science 234, 47-52.
.. [6] Lagrange, T. et al. (1998) Genes Dev. 12, 34-44.
.. [7] Carninci, P. et al. (2006) Nat. Genet. 38, 626-635.
"""

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from capsight.artefact import building, is_done
from capsight.config import SimulateConfig
from capsight.data.schema import CHROM, END, NAME, SCORE, START, STRAND
from capsight.errors import ConfigError

logger = logging.getLogger(__name__)

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Codes = npt.NDArray[np.uint8]
Mask = npt.NDArray[np.bool_]
Names = npt.NDArray[np.str_]


class Element(NamedTuple):
    """A promoter element: probabilities (width, 4) in ACGT order, and where it stands in a promoter."""

    pwm: Floats
    offset: int
    """Of its first base (5' to 3') from the cap site, which is 0."""
    jitter: int
    """How far the offset varies, in bases, either way."""


class Promoter(NamedTuple):
    """A class of promoters: its elements, the initiator among them, and how it initiates."""

    elements: tuple[str, ...]
    initiator: str
    share: float
    broad: bool


def _pwm(*percent: tuple[int, int, int, int]) -> Floats:
    """Make a read-only PWM from percentages, one (A, C, G, T) for each position."""
    pwm = np.array(percent, dtype=np.float64) / 100
    pwm.setflags(write=False)
    return pwm


_Y = (3, 52, 3, 42)
_A = (94, 2, 2, 2)
_T = (3, 3, 2, 92)
_G = (3, 2, 92, 3)
_C = (2, 92, 3, 3)
_S = (4, 46, 46, 4)
_R = (46, 4, 46, 4)
_WEAK_G = (16, 4, 70, 10)
_WEAK_Y = (17, 34, 18, 31)
_ANY = (24, 26, 27, 23)

#: Every planted element, by name.
ELEMENTS: Final[dict[str, Element]] = {
    "TATA": Element(_pwm(_T, _A, _T, _A, (66, 1, 1, 32), _A, (66, 3, 5, 26), _R), -31, 0),
    "Inr": Element(_pwm(_Y, (2, 78, 3, 17), _A, (12, 28, 36, 24), (34, 3, 3, 60), _Y, _Y), -2, 0),
    "DPE": Element(_pwm((40, 3, 54, 3), _G, (58, 2, 2, 38), (3, 62, 3, 32), (30, 28, 38, 4), _T), 27, 0),
    "GCbox": Element(_pwm(_WEAK_G, _WEAK_G, _G, _G, _C, _G, _G, _WEAK_G, _WEAK_G, (5, 62, 5, 28)), -55, 2),
    "BREu": Element(_pwm(_S, _S, _R, _C, _G, _C, _C), -38, 0),
    "InrWeak": Element(_pwm(_WEAK_Y, (4, 62, 6, 28), (58, 3, 36, 3), _ANY, (30, 16, 20, 34), _WEAK_Y, _WEAK_Y), -2, 0),
}

#: Every class of promoters; the shares add up to one.
PROMOTERS: Final[dict[str, Promoter]] = {
    "tata": Promoter(("TATA", "Inr"), "Inr", 0.35, broad=False),
    "dpe": Promoter(("Inr", "DPE"), "Inr", 0.30, broad=False),
    "cpg": Promoter(("GCbox", "BREu", "InrWeak"), "InrWeak", 0.35, broad=True),
}

#: No cap site is nearer than this to the next, on either strand, so that promoters never overlap.
MIN_DISTANCE: Final = 300
#: Nor nearer than this to the end of a chromosome, so that windows of 2,048 bases fit around it.
MARGIN: Final = 1_200

_CORE = 60  # bases either side of a cap site where nothing but its own elements is planted
_REACH = 40  # bases either side of a cap site where 5' ends lie
_GAP = 100  # bases of N at the start of each chromosome
_N = 4  # the code of N; A, C, G, T are 0 to 3, so that 3 - code is the complement

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

_SLOT = 100  # bases that hold one decoy unit, a single element or a pair
_DECOYS = {"none": 0.40, "single": 0.25, "spacing": 0.15, "order": 0.10, "orientation": 0.10}
_SPACING_ERROR = (6, 14)  # beyond any jitter, and not so near that elements overlap
_SWAPPED_DISTANCE = (15, 40)


@dataclass(frozen=True)
class _Genome:
    """All chromosomes end to end; positions on it are called places, to tell them from coordinates."""

    codes: Codes
    masked: Mask
    starts: Ints

    @property
    def names(self) -> Names:
        return np.array([f"chr{number + 1}" for number in range(len(self.starts))])

    def locate(self, places: Ints) -> tuple[Names, Ints]:
        """Return chromosome and coordinate of each place."""
        which = np.searchsorted(self.starts, places, side="right") - 1
        return self.names[which], places - self.starts[which]


class _Caps(NamedTuple):
    """Cap sites, in order: their places, strands (+1 or -1) and classes (index into `PROMOTERS`)."""

    places: Ints
    strands: Ints
    classes: Ints

    @property
    def broad(self) -> Mask:
        return np.array([promoter.broad for promoter in PROMOTERS.values()])[self.classes]


def simulate(config: SimulateConfig, out: Path) -> Path:
    """Write a genome with planted promoters, its CAGE peaks, and the truth about both.

    Parameters
    ----------
    config
        Size, number of chromosomes, density of cap sites, and seed. The same settings give the same bytes.
    out
        The artefact folder to write: ``genome.fa``; ``peaks.bed`` (BED9 as FANTOM5's: score = tags,
        thickStart = summit); ``ctss.bed`` (BED6: tags for each base and strand); ``truth.tsv`` (every
        planted element, 0-based half-open; ``offset`` is that of its first base, 5' to 3', from the cap site,
        which is 0); ``motifs.meme``.

    Returns
    -------
    Path
        `out`.

    Raises
    ------
    ConfigError
        If the chromosomes would be too short for the spacing.
    """
    if is_done(out, "simulate", config, {}):
        logger.info("%s: already done", out)
        return out
    lengths = _chromosome_lengths(config)
    with building(out, "simulate", config, {}) as folder:
        rng = np.random.default_rng(config.seed)
        caps = _draw_caps(lengths, config.spacing, rng)
        genome = _background(lengths, caps, rng)
        truth = pd.concat([_promoter_elements(caps, rng), _decoy_elements(_reserved(genome, caps), rng)])
        _plant(genome, truth, rng)
        _write_fasta(folder / "genome.fa", genome)
        _write_cage(folder, genome, caps, _draw_tags(genome, caps, rng))
        _write_truth(folder / "truth.tsv", genome, truth)
        _write_motifs(folder / "motifs.meme", genome, truth)
        logger.info("%d cap sites, %d decoys", len(caps.places), (truth["kind"] == "decoy").sum())
    return out


def _chromosome_lengths(config: SimulateConfig) -> Ints:
    """Divide the bases over the chromosomes; the first is three times as long as the last."""
    weights = np.linspace(3, 1, config.chromosomes)
    ends = np.rint(np.cumsum(weights) / weights.sum() * config.bases).astype(np.int64)
    lengths = np.diff(ends, prepend=0)
    needed = 2 * MARGIN + config.spacing
    if lengths.min() < needed:
        raise ConfigError(
            f"the shortest of {config.chromosomes} chromosomes would get {lengths.min()} of {config.bases} "
            f"bases, but spacing {config.spacing} needs {needed}",
            remedy="give more bases, fewer chromosomes or a smaller spacing",
        )
    return lengths


def _draw_caps(lengths: Ints, spacing: int, rng: np.random.Generator) -> _Caps:
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
    return _Caps(np.concatenate(places), rng.choice([-1, 1], total), np.concatenate(classes))


def _background(lengths: Ints, caps: _Caps, rng: np.random.Generator) -> _Genome:
    """Draw isochores, then CpG islands, repeats and the runs of N upon them."""
    total = int(lengths.sum())
    chunks = -(-total // _CHUNK)
    changes = rng.random(chunks) < 1 / _ISOCHORE
    isochores = rng.integers(0, len(_ISOCHORES), chunks)[np.maximum.accumulate(changes * np.arange(chunks))]
    codes = _markov(np.array(_ISOCHORES)[isochores], _CHUNK, rng).ravel()[:total]
    genome = _Genome(codes, np.zeros(total, dtype=bool), np.cumsum(lengths) - lengths)
    _add_islands(genome, caps.places[caps.broad], rng)
    _add_repeats(genome, caps, rng)
    gaps = (genome.starts[:, None] + np.arange(_GAP)).ravel()
    genome.codes[gaps] = _N
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


def _add_islands(genome: _Genome, centres: Ints, rng: np.random.Generator) -> None:
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


def _add_repeats(genome: _Genome, caps: _Caps, rng: np.random.Generator) -> None:
    """Scatter diverged copies of a few families, soft-masked, on both strands, clear of the promoters."""
    total = len(genome.codes)
    families = _markov(np.tile(_ISOCHORES[1], (_REPEAT_FAMILIES, 1)), _REPEAT_LENGTH, rng)
    first = rng.integers(0, total - _REPEAT_LENGTH, round(total * _REPEAT_SHARE / _REPEAT_LENGTH))
    places = first[:, None] + np.arange(_REPEAT_LENGTH)
    places = places[~_core(total, caps)[places].any(axis=1)]
    copies = families[rng.integers(0, _REPEAT_FAMILIES, len(places))]
    changed = rng.random(copies.shape) < _REPEAT_DIVERGENCE
    copies[changed] = rng.integers(0, 4, int(changed.sum()), dtype=np.uint8)
    genome.codes[places] = _oriented(copies, rng.choice([-1, 1], len(places)))
    genome.masked[places] = True


def _oriented(sequences: Codes, strands: Ints) -> Codes:
    """Reverse-complement the rows (n, length) that are meant for the minus strand."""
    return np.where(strands[:, None] > 0, sequences, 3 - sequences[:, ::-1])


def _core(total: int, caps: _Caps) -> Mask:
    """Mark the places about cap sites that belong to their promoters."""
    mask = np.zeros(total, dtype=bool)
    mask[caps.places[:, None] + np.arange(-_CORE, _CORE + 1)] = True
    return mask


def _reserved(genome: _Genome, caps: _Caps) -> Mask:
    """Mark the places where no decoy may stand: promoters and N (which begins each chromosome)."""
    return _core(len(genome.codes), caps) | (genome.codes == _N)


def _elements(names: Names, first: Ints, strands: Ints) -> pd.DataFrame:
    """Tabulate elements by name, first place (lowest, whatever the strand) and strand, as decoys."""
    return pd.DataFrame(
        {"element": names, "place": first, STRAND: strands, "kind": "decoy", "offset": 0, "cap_site": -1}
    )


def _promoter_elements(caps: _Caps, rng: np.random.Generator) -> pd.DataFrame:
    """Lay out the elements of every promoter."""
    tables = []
    for number, promoter in enumerate(PROMOTERS.values()):
        chosen = caps.classes == number
        places, strands = caps.places[chosen], caps.strands[chosen]
        for name in promoter.elements:
            pwm, offset, jitter = ELEMENTS[name]
            offsets = offset + rng.integers(-jitter, jitter, len(places), endpoint=True)
            first = np.where(strands > 0, places + offsets, places - offsets - len(pwm) + 1)
            table = _elements(np.full(len(places), name), first, strands)
            tables.append(table.assign(kind="promoter", offset=offsets, cap_site=places))
    return pd.concat(tables)


def _decoy_elements(reserved: Mask, rng: np.random.Generator) -> pd.DataFrame:
    """Lay out decoys: in each free slot nothing, one element, or a pair that breaks one rule."""
    whole = len(reserved) // _SLOT
    slots = np.flatnonzero(~reserved[: whole * _SLOT].reshape(whole, _SLOT).any(axis=1)) * _SLOT
    modes = rng.choice(list(_DECOYS), len(slots), p=list(_DECOYS.values()))
    slots, modes = slots[modes != "none"], modes[modes != "none"]
    left, right, distance = _draw_pairs(modes, rng)
    left_width, right_width = _widths(left), _widths(right)
    first = rng.integers(0, _SLOT - distance - right_width, endpoint=True)
    second = first + distance
    strands = rng.choice([-1, 1], len(slots))
    left_places = slots + np.where(strands > 0, first, _SLOT - first - left_width)
    right_places = slots + np.where(strands > 0, second, _SLOT - second - right_width)
    right_strands = np.where(modes == "orientation", -strands, strands)
    pair = modes != "single"
    names = np.concatenate([left, right[pair]])
    places = np.concatenate([left_places, right_places[pair]])
    return _without_chance_pairs(_elements(names, places, np.concatenate([strands, right_strands[pair]])))


def _without_chance_pairs(decoys: pd.DataFrame) -> pd.DataFrame:
    """Drop decoys that, by chance of neighbouring slots, stand where an initiator has its partner."""
    names, strands = decoys["element"].to_numpy(dtype=str), decoys[STRAND].to_numpy()
    offsets = np.array([ELEMENTS[name].offset for name in names])
    five_prime = decoys["place"].to_numpy() + np.where(strands > 0, 0, _widths(names) - 1)
    caps = five_prime - strands * offsets  # where the cap site would be, were it no decoy
    dropped = np.zeros(len(decoys), dtype=bool)
    for promoter in PROMOTERS.values():
        for strand in (-1, 1):
            near = np.arange(1 - _SPACING_ERROR[0], _SPACING_ERROR[0])
            initiators = caps[(names == promoter.initiator) & (strands == strand)]
            partners = np.isin(names, promoter.elements) & (names != promoter.initiator) & (strands == strand)
            dropped |= partners & np.isin(caps, initiators[:, None] + near)
    return decoys[~dropped]


def _draw_pairs(modes: Names, rng: np.random.Generator) -> tuple[Names, Names, Ints]:
    """Draw an initiator and a partner as often as promoters have them: left, right, distance by `modes`."""
    pairs, shares = [], []
    for promoter in PROMOTERS.values():
        partners = [name for name in promoter.elements if name != promoter.initiator]
        pairs += [sorted((name, promoter.initiator), key=lambda n: ELEMENTS[n].offset) for name in partners]
        shares += [promoter.share / len(partners)] * len(partners)
    drawn = rng.choice(len(pairs), len(modes), p=shares)
    distance = np.array([ELEMENTS[right].offset - ELEMENTS[left].offset for left, right in pairs])[drawn]
    error = rng.integers(*_SPACING_ERROR, len(modes), endpoint=True) * rng.choice([-1, 1], len(modes))
    swapped_distance = rng.integers(*_SWAPPED_DISTANCE, len(modes), endpoint=True)
    distance = np.where(modes == "spacing", distance + error, distance)
    distance = np.where(modes == "order", swapped_distance, distance)
    left, right = np.array(pairs)[drawn].T
    swapped = (modes == "order") | ((modes == "single") & (rng.random(len(modes)) < 0.5))
    return np.where(swapped, right, left), np.where(swapped, left, right), distance


def _widths(names: Names) -> Ints:
    """Look up the width of each named element."""
    widths = {name: len(element.pwm) for name, element in ELEMENTS.items()}
    return np.array([widths[name] for name in names], dtype=np.int64)


def _plant(genome: _Genome, elements: pd.DataFrame, rng: np.random.Generator) -> None:
    """Draw every element from its PWM and write it into the genome."""
    for name, (pwm, _, _) in ELEMENTS.items():
        chosen = elements[elements["element"] == name]
        draws = rng.random((len(chosen), len(pwm), 1))
        bases = (draws > np.cumsum(pwm, axis=1)[:, :3]).sum(axis=2).astype(np.uint8)
        places = chosen["place"].to_numpy()[:, None] + np.arange(len(pwm))
        genome.codes[places] = _oriented(bases, chosen[STRAND].to_numpy())


def _draw_tags(genome: _Genome, caps: _Caps, rng: np.random.Generator) -> Ints:
    """Draw tags, 5' to 3' about each cap site: (n, 2 * _REACH + 1). The cap site has the most, alone."""
    steps = np.arange(-_REACH - 1, _REACH + 1)
    bases = genome.codes[caps.places[:, None] + caps.strands[:, None] * steps]
    bases = np.where(caps.strands[:, None] > 0, bases, 3 - bases)
    starts_here = np.isin(bases[:, :-1], [1, 3]) & np.isin(bases[:, 1:], [0, 2])
    spread = np.where(caps.broad, rng.uniform(11, 15, len(bases)), 1.5)
    weights = np.exp(-0.5 * (steps[1:] / spread[:, None]) ** 2) * (1 + 3 * starts_here)
    weights[:, _REACH] = 0
    share = np.where(caps.broad, 0.1, 0.7)
    weights *= ((1 - share) / weights.sum(axis=1))[:, None]
    weights[:, _REACH] = share
    totals = 30 + rng.lognormal(4.5, 1.0, len(bases)).astype(np.int64)
    tags = rng.multinomial(totals, weights)
    others = np.delete(tags, _REACH, axis=1).max(axis=1)
    tags[:, _REACH] = np.maximum(tags[:, _REACH], others + 1)
    return tags


def _write_fasta(path: Path, genome: _Genome, width: int = 60) -> None:
    """Write the genome, soft-masked, `width` bases a line."""
    letters = np.frombuffer(b"ACGTN", dtype=np.uint8)[genome.codes] + 32 * genome.masked.astype(np.uint8)
    with path.open("wb") as handle:
        for name, sequence in zip(genome.names, np.split(letters, genome.starts[1:]), strict=True):
            whole = len(sequence) // width
            lines = np.full((whole, width + 1), ord("\n"), dtype=np.uint8)
            lines[:, :width] = sequence[: whole * width].reshape(whole, width)
            rest = sequence[whole * width :].tobytes()
            handle.write(f">{name}\n".encode() + lines.tobytes() + rest + b"\n" * bool(rest))


def _write_cage(folder: Path, genome: _Genome, caps: _Caps, tags: Ints) -> None:
    """Write `peaks.bed` and `ctss.bed`; a peak reaches from its first base with tags to its last."""
    row, step = np.nonzero(tags)
    places = caps.places[row] + caps.strands[row] * (step - _REACH)
    ctss = _bed6(genome, places, np.ones_like(places), tags[row, step], caps.strands[row])
    _write_table(folder / "ctss.bed", ctss.iloc[np.lexsort((caps.strands[row] < 0, places))], header=False)
    first = np.minimum.reduceat(places, np.flatnonzero(np.diff(row, prepend=-1)))
    last = np.maximum.reduceat(places, np.flatnonzero(np.diff(row, prepend=-1)))
    peaks = _bed6(genome, first, last - first + 1, tags.sum(axis=1), caps.strands)
    summit = genome.locate(caps.places)[1]
    colour = np.where(caps.strands > 0, "255,0,0", "0,0,255")
    peaks = peaks.assign(thick_start=summit, thick_end=summit + 1, rgb=colour)
    _write_table(folder / "peaks.bed", peaks, header=False)


def _bed6(genome: _Genome, places: Ints, sizes: Ints, scores: Ints, strands: Ints) -> pd.DataFrame:
    """Tabulate intervals as BED6, named as FANTOM5 names its peaks."""
    chrom, start = genome.locate(places)
    sign = np.where(strands > 0, "+", "-")
    table = pd.DataFrame({CHROM: chrom, START: start, END: start + sizes, SCORE: scores, STRAND: sign})
    names = [f"{c}:{s}..{e},{x}" for c, s, e, x in zip(chrom, start, start + sizes, sign, strict=True)]
    table.insert(3, NAME, names)
    return table


def _write_truth(path: Path, genome: _Genome, elements: pd.DataFrame) -> None:
    """Write every planted element in the genome's order; decoys have no offset and no cap site."""
    elements = elements.sort_values("place", kind="stable", ignore_index=True)
    chrom, start = genome.locate(elements["place"].to_numpy())
    decoy = elements["kind"] == "decoy"
    cap_site = genome.locate(np.maximum(elements["cap_site"].to_numpy(), 0))[1]
    table = pd.DataFrame({CHROM: chrom, START: start})
    table[END] = start + _widths(elements["element"].to_numpy(dtype=str))
    table[STRAND] = np.where(elements[STRAND] > 0, "+", "-")
    table["element"], table["kind"] = elements["element"], elements["kind"]
    table["offset"] = elements["offset"].astype(str).mask(decoy, ".")
    table["cap_site"] = pd.Series(cap_site).astype(str).mask(decoy, ".")
    _write_table(path, table, header=True)


def _write_table(path: Path, table: pd.DataFrame, *, header: bool) -> None:
    """Write a table, separated by tabs."""
    table.to_csv(path, sep="\t", header=header, index=False, lineterminator="\n")


def _write_motifs(path: Path, genome: _Genome, elements: pd.DataFrame) -> None:
    """Write the planted PWMs in MEME's minimal format, with the genome's base frequencies on both strands."""
    counts = np.bincount(genome.codes, minlength=5)[:4]
    background = (counts + counts[::-1]) / (2 * counts.sum())
    lines = ["MEME version 4", "", "ALPHABET= ACGT", "", "strands: + -", "", "Background letter frequencies"]
    lines.append(" ".join(f"{base} {share:.5f}" for base, share in zip("ACGT", background, strict=True)))
    for name, (pwm, _, _) in ELEMENTS.items():
        sites = int((elements["element"] == name).sum())
        lines += ["", f"MOTIF {name}"]
        lines.append(f"letter-probability matrix: alength= 4 w= {len(pwm)} nsites= {sites} E= 0")
        lines += [" ".join(f"{share:.6f}" for share in position) for position in pwm]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
