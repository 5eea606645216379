"""Scan sequences with PWMs on both strands (FIMO; Grant, Bailey & Noble 2011): positions, scores, p-values.

memelite finds the hits. It knows a uniform background only, and its p-values are 5 to 11 % too high, so we hand
it log-odds against the background at hand, ask it for somewhat more than is wanted, and give every hit score
and p-value on FIMO's own grid, where they equal those of MEME's code.
"""

import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from capsight.compiled import load_compiled
from capsight.data.genome.alphabet import N_CODE, Codes, decode, encode, reverse_complement
from capsight.data.io.meme import UNIFORM, Floats, MotifSet, Pwm, sniff_motif_format
from capsight.data.io.sequences import read_fasta_sequences
from capsight.errors import InputError

logger = logging.getLogger(__name__)

Ints = NDArray[np.int64]

#: FIMO's pseudocount: this many letters drawn from the background are added to every position.
PSEUDOCOUNT: Final = 0.1
#: FIMO rounds the scores of a PWM to this many steps, about 1/70 bit each (1/7 in old releases: 100 steps).
_STEPS: Final = 1000
#: Of memelite's grid, in bits; it only decides how many hits are looked at again.
_COARSE: Final = 0.1
#: Bases handed to memelite at a time: bounds memory.
_BASES_AT_ONCE: Final = 1 << 22

#: Columns of a table of hits: numbers of PWM and sequence, 0-based start on the plus strand, strand, score, p-value.
PWM: Final = "pwm"
SEQUENCE: Final = "sequence"
START: Final = "start"
MINUS: Final = "minus"
SCORE: Final = "score"
P: Final = "p"
_TYPES: Final = {PWM: np.int64, SEQUENCE: np.int64, START: np.int64, MINUS: np.bool_, SCORE: float, P: float}


class Scan(NamedTuple):
    """What a scan found.

    Attributes
    ----------
    sequences
        Codes of what was scanned, one array ``(length,)`` for each sequence.
    hits
        One row a hit, with the columns above, by p-value.
    used
        Numbers of the PWMs that took part.
    tests
        PWMs × positions × strands that were looked at.
    """

    sequences: list[Codes]
    hits: pd.DataFrame
    used: list[int]
    tests: int


def read_scannable(path: Path) -> tuple[list[str], list[Codes]]:
    """Read names and codes of the sequences of a FASTA (plain, gzip or bgzip).

    Raises
    ------
    InputError
        If the file is none: a file of motifs is told from it, and what reads those is named.
    """
    if kind := sniff_motif_format(path):
        raise InputError(
            f"holds motifs ({kind}), not sequences", where=path,
            remedy="give a FASTA; PWMs in MEME format are compared with motif-compare",
        )  # fmt: skip
    names, sequences = read_fasta_sequences(path)
    return names, [encode(sequence) for sequence in sequences]


def scan(motifs: MotifSet, sequences: Sequence[Codes], threshold: float, before: Scan | None = None) -> Scan:
    """Find every site whose score against a PWM has a p-value of at most `threshold`, on both strands.

    The background is averaged over the strands. Sites that hold an N are not looked at. PWMs wider than
    every sequence, and those too short or flat to reach `threshold`, are left out and counted.

    Parameters
    ----------
    sequences
        Codes 0 to 4, ``(length,)`` each (or ``(n_sequences, length)``).
    before
        A scan of other sequences by the same PWMs: what it left out is not reported again.

    Raises
    ------
    InputError
        If no PWM can be used.
    """
    background = (motifs.background + motifs.background[::-1]) / 2
    rows = list(sequences)
    used = _usable(motifs.pwms, background, rows, threshold, range(len(motifs.pwms)) if before is None else before.used)
    pwms = [motifs.pwms[i] for i in used]
    hits = _find_hits(MotifSet(tuple(pwms), background), rows, threshold)
    hits[PWM] = np.array(used)[hits[PWM]]
    hits = hits.sort_values([P, PWM, SEQUENCE, START, MINUS], ignore_index=True)
    # The sites without N over PWMs, sequences and strands.
    joined, _ = _join(rows)
    unknown = np.concatenate([[0], np.cumsum(joined == N_CODE)])
    widths, number = np.unique([pwm.width for pwm in pwms], return_counts=True)
    looked_at = [np.count_nonzero(unknown[width:] == unknown[:-width]) for width in widths]
    return Scan(rows, hits, used, 2 * int(np.dot(looked_at, number)))


def sites(motifs: MotifSet, scanned: Scan) -> list[str]:
    """Return the letters of every hit, 5'→3' on its strand."""
    joined, begins = _join(scanned.sequences)
    number, sequence, start, minus = (scanned.hits[name].to_numpy() for name in (PWM, SEQUENCE, START, MINUS))
    letters = np.empty(len(number), dtype=object)
    order = np.argsort(number, kind="stable")
    for rows in np.split(order, np.flatnonzero(np.diff(number[order])) + 1):
        if len(rows):
            width = motifs.pwms[number[rows[0]]].width
            letters[rows] = decode(_gather(joined, begins[sequence[rows]] + start[rows], minus[rows], width))
    return list(letters)


def log_odds(pwm: Pwm, background: Floats) -> Floats:
    """Return the score in bits of every base at every position, ``(width, 4)``, with FIMO's pseudocount."""
    shares = (pwm.probabilities * pwm.sites + PSEUDOCOUNT * background) / (pwm.sites + PSEUDOCOUNT)
    return np.log2(shares / background)


def tail(steps: Ints, background: Floats) -> Floats:
    """Return the exact distribution of integer scores ``(width, 4)`` of random sites.

    Returns
    -------
    tail
        ``tail[s]`` is the probability of a score of `s` or more above the smallest one.
    """
    mass = np.ones(1)
    for column in steps - steps.min(axis=1, keepdims=True):
        longer = np.zeros(len(mass) + column.max())
        for step, share in zip(column, background, strict=True):
            longer[step : step + len(mass)] += share * mass
        mass = longer
    return np.cumsum(mass[::-1])[::-1]


def _usable(
    pwms: Sequence[Pwm], background: Floats, rows: list[Codes], threshold: float, wanted: Sequence[int]
) -> list[int]:
    """Return numbers of the PWMs that fit into a sequence and can reach the threshold; count the others of `wanted`."""
    longest = max((len(codes) for codes in rows), default=0)
    fit = [i for i, pwm in enumerate(pwms) if pwm.width <= longest]
    if not fit:
        raise InputError(
            f"all {len(pwms)} PWMs are wider than the longest sequence ({longest} bases; the narrowest PWM has "
            f"{min(pwm.width for pwm in pwms)})"
        )
    if wide := len(set(wanted) - set(fit)):
        logger.warning("%d of %d PWMs are wider than every sequence (%d bases): left out", wide, len(pwms), longest)
    usable = []
    for i in fit:
        steps = _grid(pwms[i], background).steps
        best = ((steps == steps.max(axis=1, keepdims=True)) * background).sum(axis=1)  # p of the best base, each column
        if np.prod(best) <= threshold:
            usable.append(i)
    if not usable:
        raise InputError(f"no PWM is long and sharp enough to reach p = {threshold:g}", remedy="raise the threshold")
    if short := len(set(fit).intersection(wanted) - set(usable)):
        logger.warning(
            "%d of %d PWMs are too short, or too flat, to reach p = %g: left out", short, len(pwms), threshold
        )
    return usable


def _join(rows: Sequence[Codes]) -> tuple[Codes, Ints]:
    """Join sequences, an N between them; also return where each begins."""
    pieces = [piece for codes in rows for piece in (codes, np.array([N_CODE], dtype=np.uint8))]
    lengths = np.array([len(codes) + 1 for codes in rows], dtype=np.int64)
    return np.concatenate(pieces).astype(np.uint8), np.cumsum(lengths) - lengths


def _gather(joined: Codes, start: Ints, minus: NDArray[np.bool_], width: int) -> Codes:
    """Return the codes ``(n_sites, width)`` of sites, 5'→3' on their strand."""
    codes = joined[start[:, None] + np.arange(width)]
    codes[minus] = reverse_complement(codes[minus])
    return codes


class _Grid(NamedTuple):
    """Scores of a PWM in whole steps, ``(width, 4)``; in bits they are ``steps / scale + lowest``."""

    steps: Ints
    scale: float
    lowest: float


def _grid(pwm: Pwm, background: Floats) -> _Grid:
    """Round scores as FIMO does."""
    scores = log_odds(pwm, background)
    lowest = float(np.floor(scores.min()))
    scale = float(np.floor(_STEPS / ((scores.max() - lowest) or 1.0)))
    return _Grid(np.round((scores - lowest) * scale).astype(np.int64), scale, lowest)


class _Table(NamedTuple):
    """Scores of one PWM, and the p-values of the best of them.

    Attributes
    ----------
    grid
        Scores in steps.
    least
        The smallest total score, in steps, that is a hit.
    p
        The p-values of the total scores from `least` up.
    loose
        A threshold at which memelite, with its background and grid, misses none of these.
    """

    grid: _Grid
    least: int
    p: Floats
    loose: float


def _table(pwm: Pwm, background: Floats, threshold: float) -> _Table:
    """Tabulate a PWM that can reach the threshold."""
    grid = _grid(pwm, background)
    p = tail(grid.steps, background)
    first = int(np.argmax(p <= threshold))
    # Both grids round every position, and memelite rounds the total once more.
    slack = (pwm.width / 2 + 2) * _COARSE * grid.scale + pwm.width / 2
    loose = tail(grid.steps, np.array(UNIFORM))[max(first - int(np.ceil(slack)), 0)]
    least = int(grid.steps.min(axis=1).sum()) + first
    return _Table(grid, least, p[first:].copy(), 1.01 * float(loose))


def _find_hits(motifs: MotifSet, rows: list[Codes], threshold: float) -> pd.DataFrame:
    """Find hits with memelite, and give each its exact p-value."""
    fimo = load_compiled("memelite").fimo

    tables = [_table(pwm, motifs.background, threshold) for pwm in motifs.pwms]
    # memelite takes the logarithm of these over 1/4: our scores, exactly.
    weights = {str(i): 0.25 * np.exp2(log_odds(pwm, motifs.background)).T for i, pwm in enumerate(motifs.pwms)}
    loose = min(max(table.loose for table in tables), 0.5)
    frames = []
    for first, piece in _pieces(rows):
        joined, begins = _join(piece)
        one_hot = (joined == np.arange(4, dtype=np.uint8)[:, None]).astype(np.int8)
        for number, found in enumerate(fimo(weights, one_hot[None], eps=0.0, threshold=loose)):
            minus = (found["strand"] == "-").to_numpy(dtype=bool)
            frame = _scored(tables[number], joined, found["start"].to_numpy(dtype=np.int64), minus)
            row = np.searchsorted(begins, frame[START], side="right") - 1
            frame[PWM], frame[SEQUENCE], frame[START] = number, row + first, frame[START] - begins[row]
            frames.append(frame)
    return pd.concat(frames)[list(_TYPES)].astype(_TYPES).reset_index(drop=True)


def _pieces(rows: list[Codes]) -> Iterator[tuple[int, list[Codes]]]:
    """Cut the sequences into runs of bounded total length; yield number of the first, and the run."""
    first, total = 0, 0
    for i, codes in enumerate(rows):
        if i > first and total + len(codes) > _BASES_AT_ONCE:
            yield first, rows[first:i]
            first, total = i, 0
        total += len(codes)
    yield first, rows[first:]


def _scored(table: _Table, joined: Codes, start: Ints, minus: NDArray[np.bool_]) -> pd.DataFrame:
    """Score sites of one PWM, and keep those without N that reach the threshold."""
    steps, scale, lowest = table.grid
    width = len(steps)
    codes = _gather(joined, start, minus, width)
    known = (codes != N_CODE).all(axis=1)
    start, minus, codes = start[known], minus[known], codes[known]
    score = steps[np.arange(width), codes].sum(axis=1)
    hit = score >= table.least
    p = table.p[score[hit] - table.least]
    bits = score[hit] / scale + width * lowest
    return pd.DataFrame({START: start[hit], MINUS: minus[hit], SCORE: bits, P: p})
