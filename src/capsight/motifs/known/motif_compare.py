"""`motif-compare`: which PWMs of a database resemble given ones, as Tomtom reports it."""

import logging
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import xlogy

from capsight import artefact
from capsight.compiled import load_compiled
from capsight.config import MotifCompareConfig
from capsight.data.io.meme import Floats, MotifSet, Pwm, read_meme
from capsight.motifs.known.database import motif_db_inputs, read_motif_db
from capsight.motifs.known.suite_tables import write_suite_table
from capsight.stats.multiple_testing import q_values

logger = logging.getLogger(__name__)

Ints = NDArray[np.int64]

#: Columns of the table, as in Tomtom's own tomtom.tsv.
TOMTOM_COLUMNS: Final = (
    "Query_ID", "Target_ID", "Optimal_offset", "p-value", "E-value", "q-value", "Overlap", "Query_consensus",
    "Target_consensus", "Orientation",
)  # fmt: skip

#: Fewer targets than this give Tomtom no null distribution; these PWMs then join it (and only it).
_MIN_TARGETS: Final = 50
_NULL_PWMS: Final = ("JASPAR2022", "vertebrates")
#: Aligned columns with less information than this in either PWM are no match: chance gives as much to ten columns that
#: are counted from twenty sites (Schneider et al. 1986).
MIN_BITS: Final = 1.25
#: A column with less information than this is even.
_EVEN: Final = 0.1
#: Motifs that a message names.
_NAMED: Final = 10


def motif_compare(config: MotifCompareConfig, motifs: Path, out: Path) -> Path:
    """Compare PWMs with those of a database.

    Parameters
    ----------
    motifs
        PWMs in MEME format.
    out
        The table to write, with `TOMTOM_COLUMNS`: by PWM, best match first, up to the largest q-value wanted.

    Returns
    -------
    out
        The table.

    Raises
    ------
    InputError
        If an input cannot be used.
    """
    inputs = {"motifs": motifs} | motif_db_inputs(config.motif_db)
    if artefact.is_done(out, "motif-compare", config, inputs):
        logger.info("motif-compare: %s is done already", out)
        return out
    database = read_motif_db(config.motif_db, config.taxon)
    with artefact.atomic_file(out, "motif-compare", config, inputs) as partial:
        queries = read_meme(motifs)
        table = compare(queries, database)
        table = table[table["q-value"] <= config.max_q]
        write_suite_table(table, partial)
    logger.info(
        "motif-compare: %d of %d motifs match; %d matches at q <= %g", table["Query_ID"].nunique(), len(queries.pwms),
        len(table), config.max_q,
    )  # fmt: skip
    return out


def compare(queries: MotifSet, targets: MotifSet) -> pd.DataFrame:
    """Compare every query with every target, in both orientations (Tomtom; Gupta et al. 2007).

    q-values are over all queries × targets; the E-value is the p-value times the number of targets. Where
    there are fewer than 50 targets, the columns of JASPAR2022's vertebrate PWMs join the null distribution.
    Even columns resemble even columns, and that names no factor: those at the ends of a query are left out, and where
    the aligned columns of either PWM hold less than `MIN_BITS`, p is 1.

    Returns
    -------
    table
        With `TOMTOM_COLUMNS`; by query, best target first.
    """
    tomtom = load_compiled("memelite").tomtom

    null = read_motif_db(*_NULL_PWMS).pwms if len(targets.pwms) < _MIN_TARGETS else ()
    columns = [pwm.probabilities.T for pwm in (*targets.pwms, *null)]
    cores = [_core(pwm) for pwm in queries.pwms]
    cut = [pwm.probabilities[core].T for pwm, core in zip(queries.pwms, cores, strict=True)]
    found = tomtom(cut, columns)[:, :, : len(targets.pwms)]
    p, _, offset, _, minus = found.reshape(len(found), -1)
    query, target = (i.ravel() for i in np.indices(found.shape[1:]))
    offset = offset.astype(np.int64) - np.array([core.start for core in cores])[query]
    width, other = (np.array([pwm.width for pwm in pwms]) for pwms in (queries.pwms, targets.pwms))
    overlap = np.minimum(other[target], offset + width[query]) - np.maximum(offset, 0)
    p = np.where(_is_informative(queries, targets, query, target, offset, minus), np.clip(p, 0.0, 1.0), 1.0)
    spelt = [(pwm.consensus, pwm.reverse_complement().consensus) for pwm in targets.pwms]
    table = pd.DataFrame(
        {
            "Query_ID": np.array([pwm.id for pwm in queries.pwms], dtype=object)[query],
            "Target_ID": np.array([pwm.id for pwm in targets.pwms], dtype=object)[target],
            "Optimal_offset": offset,
            "p-value": p,
            "E-value": p * len(targets.pwms),
            "q-value": q_values(p),
            "Overlap": overlap,
            "Query_consensus": np.array([pwm.consensus for pwm in queries.pwms], dtype=object)[query],
            "Target_consensus": [spelt[t][int(m)] for t, m in zip(target, minus, strict=True)],
            "Orientation": np.where(minus > 0, "-", "+"),
        }
    )
    return table.iloc[np.lexsort((target, p, query))].reset_index(drop=True)


def _core(pwm: Pwm) -> slice:
    """Return the columns of a PWM without the even ones at its ends; all of a PWM that is even throughout."""
    uneven = np.flatnonzero(np.diff(_information(pwm)) >= _EVEN)
    return slice(int(uneven[0]), int(uneven[-1]) + 1) if len(uneven) else slice(0, pwm.width)


def _is_informative(
    queries: MotifSet, targets: MotifSet, query: Ints, target: Ints, offset: Ints, minus: Floats
) -> NDArray[np.bool_]:
    """Return which alignments rest on informative columns of both PWMs, ``(n_pairs,)``; name the motifs without any.

    Parameters
    ----------
    query, target
        Numbers of the PWMs of each pair.
    offset, minus
        By how much the query is shifted right against the target, and whether the target is reverse-complemented.
    """
    of_query = [_information(pwm) for pwm in queries.pwms]
    flat = [pwm.id for pwm, bits in zip(queries.pwms, of_query, strict=True) if bits[-1] < MIN_BITS]
    if flat:
        more = f" and {len(flat) - _NAMED} more" if len(flat) > _NAMED else ""
        logger.warning(
            "motif-compare: %d of %d motifs hold less than %g bits and match nothing: %s%s", len(flat),
            len(queries.pwms), MIN_BITS, ", ".join(flat[:_NAMED]), more,
        )  # fmt: skip
    forward = [_information(pwm) for pwm in targets.pwms]
    backward = [_information(pwm.reverse_complement()) for pwm in targets.pwms]
    informative = np.zeros(len(query), dtype=bool)
    for pair, (i, j) in enumerate(zip(query, target, strict=True)):
        first, second = of_query[i], (backward if minus[pair] else forward)[j]
        shift = int(offset[pair])
        begin, end = max(0, shift), min(len(second) - 1, shift + len(first) - 1)  # in columns of the target
        bits = first[end - shift] - first[begin - shift], second[end] - second[begin]
        informative[pair] = min(bits) >= MIN_BITS
    return informative


def _information(pwm: Pwm) -> Floats:
    """Return the information in the columns before each, and in all, against even bases, in bits: ``(width + 1,)``."""
    shares = pwm.probabilities / pwm.probabilities.sum(axis=1, keepdims=True)
    bits = 2 + xlogy(shares, shares).sum(axis=1) / np.log(2)
    return np.concatenate([[0.0], np.cumsum(bits)])
