"""`motif-enrich`: which PWMs of a database hit positives more often than negatives of the same GC content."""

import logging
from bisect import bisect_left
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from capsight import artefact
from capsight.config import MotifEnrichConfig
from capsight.data.genome.alphabet import N_CODE, Codes
from capsight.data.io.meme import Floats, MotifSet
from capsight.data.sequence.nonredundant import SHARED, independent
from capsight.errors import InputError
from capsight.motifs.known.database import motif_db_inputs, read_motif_db
from capsight.motifs.known.pwm_scan import PWM, SEQUENCE, Scan, read_scannable, scan
from capsight.motifs.known.suite_tables import write_suite_table
from capsight.stats.fisher import fisher_greater, odds_ratio
from capsight.stats.multiple_testing import q_values

logger = logging.getLogger(__name__)

Ints = NDArray[np.int64]

#: Columns of the table.
FACTOR_COLUMNS: Final = (
    "motif_id", "motif_alt_id", "positives", "negatives", "positive_rate", "negative_rate", "odds_ratio",
    "p-value", "q-value",
)  # fmt: skip

#: A positive and its negative differ in GC share by at most this.
GC_TOLERANCE: Final = 0.02


def motif_enrich(config: MotifEnrichConfig, positives: Path, negatives: Path, out: Path) -> Path:
    """Test which PWMs of a database hit positives more often than negatives.

    Parameters
    ----------
    positives, negatives
        FASTA.
    out
        The table to write, with `FACTOR_COLUMNS`, most significant first.

    Returns
    -------
    out
        The table.

    Raises
    ------
    InputError
        If an input cannot be used, no PWM fits into the sequences, or no negative has the GC content of a positive.
    """
    inputs = {"positives": positives, "negatives": negatives} | motif_db_inputs(config.motif_db)
    if artefact.is_done(out, "motif-enrich", config, inputs):
        logger.info("motif-enrich: %s is done already", out)
        return out
    database = read_motif_db(config.motif_db, config.taxon)
    with artefact.atomic_file(out, "motif-enrich", config, inputs) as partial:
        codes, others = (read_scannable(path)[1] for path in (positives, negatives))
        found = scan(database, codes, config.threshold)
        other = scan(database, others, config.threshold, before=found)
        table = enrich(database, found, other, config.seed)
        write_suite_table(table, partial)
    logger.info("motif-enrich: %d of %d PWMs at q < 0.05", int((table["q-value"] < 0.05).sum()), len(table))
    return out


def enrich(motifs: MotifSet, positives: Scan, negatives: Scan, seed: int = 1) -> pd.DataFrame:
    """Test which PWMs hit positives more often than negatives of the same GC content.

    Of sequences that have DNA in common (`independent`) one takes part, drawn at random. Every positive is paired with
    a negative whose GC share differs by at most 0.02, at random where there is a choice; sequences without a partner
    are left out and counted. A sequence counts once for each PWM that hits it. Fisher's exact test, one-sided;
    Benjamini–Hochberg over all PWMs that took part.

    Returns
    -------
    table
        With `FACTOR_COLUMNS`, best first. The odds ratio has 1/2 added to each of the four counts
        (Haldane & Anscombe), so that it is finite.

    Raises
    ------
    InputError
        If no negative has the GC content of a positive.
    """
    apart = _nonredundant(positives, negatives, seed)
    gc, other = (_gc(scanned.sequences)[rows] for scanned, rows in zip((positives, negatives), apart, strict=True))
    matched = gc_matched(gc, other, seed)
    kept = apart[0][matched[0]], apart[1][matched[1]]
    pairs = len(kept[0])
    _report_pairs(positives, negatives, kept)
    used = np.intersect1d(positives.used, negatives.used)
    carriers = []
    for scanned, rows in zip((positives, negatives), kept, strict=True):
        hit = scanned.hits[[PWM, SEQUENCE]].drop_duplicates()
        hit = hit[hit[SEQUENCE].isin(rows)]
        carriers.append(np.bincount(hit[PWM], minlength=len(motifs.pwms)).astype(np.int64)[used])
    with_hit, without = carriers
    p = fisher_greater(with_hit, with_hit + without, pairs, 2 * pairs)
    columns = (
        [motifs.pwms[i].id for i in used],
        [motifs.pwms[i].name for i in used],
        with_hit,
        without,
        with_hit / pairs,
        without / pairs,
        odds_ratio(with_hit, pairs, without, pairs),
        p,
        q_values(p),
    )
    table = pd.DataFrame(dict(zip(FACTOR_COLUMNS, columns, strict=True)))
    return table.sort_values(["p-value", "odds_ratio", "motif_id"], ascending=[True, False, True], ignore_index=True)


def _nonredundant(positives: Scan, negatives: Scan, seed: int) -> tuple[Ints, Ints]:
    """Return the numbers of the positives and of the negatives that share no DNA with another; log how many do."""
    n = len(positives.sequences)
    sequences = [*positives.sequences, *negatives.sequences]
    kept = independent(sequences, np.random.default_rng([seed, 1]).permutation(len(sequences)))
    readable = np.array([bool((codes != N_CODE).any()) for codes in sequences], dtype=bool)
    if unknown := int((~readable).sum()):
        logger.warning("motif-enrich: %d of %d sequences hold nothing but N and are left out", unknown, len(readable))
    kept |= ~readable  # counted once
    if alike := int((~kept).sum()):
        logger.info("motif-enrich: %d of %d sequences share %d bases or more with another and are left out",
                    alike, len(kept), SHARED)  # fmt: skip
    kept &= readable
    return np.flatnonzero(kept[:n]), np.flatnonzero(kept[n:])


def gc_matched(positives: Floats, negatives: Floats, seed: int) -> tuple[Ints, Ints]:
    """Pair GC shares one to one: every positive, in random order, takes the nearest negative that is left.

    Returns
    -------
    positives, negatives
        Numbers of those that found a partner within `GC_TOLERANCE`, in order.
    """
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(negatives))
    order = order[np.argsort(negatives[order], kind="stable")]
    left, numbers = negatives[order].tolist(), order.tolist()
    pairs: list[tuple[int, int]] = []
    for i in rng.permutation(len(positives)):
        wanted = float(positives[i])
        position = bisect_left(left, wanted)
        near = min(
            (j for j in (position - 1, position) if 0 <= j < len(left)), key=lambda j: abs(left[j] - wanted), default=-1
        )
        if near >= 0 and abs(left[near] - wanted) <= GC_TOLERANCE:
            pairs.append((int(i), numbers.pop(near)))
            del left[near]
    chosen = np.array(pairs, dtype=np.int64).reshape(-1, 2)
    return np.sort(chosen[:, 0]), np.sort(chosen[:, 1])


def _gc(sequences: Sequence[Codes]) -> Floats:
    """Return the share of G and C among the known bases of each sequence (0 where none is known)."""
    counts = np.array([np.bincount(codes, minlength=5)[:4] for codes in sequences]).reshape(-1, 4)
    return (counts[:, 1] + counts[:, 2]) / np.maximum(counts.sum(axis=1), 1)


def _report_pairs(positives: Scan, negatives: Scan, kept: tuple[Ints, Ints]) -> None:
    """Log how many sequences found a partner, and whether length could still pass for enrichment."""
    total = len(positives.sequences)
    if not len(kept[0]):
        raise InputError(f"no negative has the GC content of a positive (within {GC_TOLERANCE})")
    report = logger.info if len(kept[0]) == total else logger.warning
    report("motif-enrich: %d of %d positives have a negative of the same GC content (of %d)", len(kept[0]), total,
           len(negatives.sequences))  # fmt: skip
    length, other = (
        float(np.mean([len(s.sequences[i]) for i in k])) for s, k in zip((positives, negatives), kept, strict=True)
    )
    if abs(length / other - 1) > 0.05:
        logger.warning("motif-enrich: positives have %.0f bases on average and negatives %.0f: the longer ones "
                       "have more hits by length alone", length, other)  # fmt: skip
