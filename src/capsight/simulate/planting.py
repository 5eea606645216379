"""Elements in a simulated genome: those of its promoters, and decoys, which break the grammar."""

import numpy as np
import pandas as pd

from capsight.data.schema import STRAND
from capsight.simulate.genome import Caps, Genome, Mask, N, core, oriented
from capsight.simulate.grammar import ELEMENTS, PROMOTERS, Ints, Names, widths

_SLOT = 100  # bases that hold one decoy unit, a single element or a pair
_DECOYS = {"none": 0.40, "single": 0.25, "spacing": 0.15, "order": 0.10, "orientation": 0.10}
_SPACING_ERROR = (6, 14)  # beyond any jitter, and not so near that elements overlap
_SWAPPED_DISTANCE = (15, 40)


def reserved(genome: Genome, caps: Caps) -> Mask:
    """Mark the places where no decoy may stand: promoters and N (which begins each chromosome)."""
    return core(len(genome.codes), caps) | (genome.codes == N)


def _elements(names: Names, first: Ints, strands: Ints) -> pd.DataFrame:
    """Tabulate elements by name, first place (lowest, whatever the strand) and strand, as decoys."""
    return pd.DataFrame(
        {"element": names, "place": first, STRAND: strands, "kind": "decoy", "offset": 0, "cap_site": -1}
    )


def promoter_elements(caps: Caps, rng: np.random.Generator) -> pd.DataFrame:
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


def decoy_elements(reserved: Mask, rng: np.random.Generator) -> pd.DataFrame:
    """Lay out decoys: in each free slot nothing, one element, or a pair that breaks one rule."""
    whole = len(reserved) // _SLOT
    slots = np.flatnonzero(~reserved[: whole * _SLOT].reshape(whole, _SLOT).any(axis=1)) * _SLOT
    modes = rng.choice(list(_DECOYS), len(slots), p=list(_DECOYS.values()))
    slots, modes = slots[modes != "none"], modes[modes != "none"]
    left, right, distance = _draw_pairs(modes, rng)
    left_width, right_width = widths(left), widths(right)
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
    five_prime = decoys["place"].to_numpy() + np.where(strands > 0, 0, widths(names) - 1)
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


def plant(genome: Genome, elements: pd.DataFrame, rng: np.random.Generator) -> None:
    """Draw every element from its PWM and write it into the genome."""
    for name, (pwm, _, _) in ELEMENTS.items():
        chosen = elements[elements["element"] == name]
        draws = rng.random((len(chosen), len(pwm), 1))
        bases = (draws > np.cumsum(pwm, axis=1)[:, :3]).sum(axis=2).astype(np.uint8)
        places = chosen["place"].to_numpy()[:, None] + np.arange(len(pwm))
        genome.codes[places] = oriented(bases, chosen[STRAND].to_numpy())
