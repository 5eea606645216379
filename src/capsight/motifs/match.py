"""Known factors: sequences are scanned with their PWMs (FIMO), PWMs are compared with them (Tomtom).

Also which factors hit positives more often than negatives of the same GC content.
"""

import csv
import logging
from bisect import bisect_left
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import xlogy
from scipy.stats import false_discovery_control, hypergeom

from capsight import artefact
from capsight.compiled import load_compiled
from capsight.config import MatchConfig
from capsight.data.bases import N_CODE, Codes, encode
from capsight.data.independent import SHARED, independent
from capsight.data.sequences import read_sequences
from capsight.data.text import open_text
from capsight.errors import InputError
from capsight.motifs.known import is_file, known
from capsight.motifs.meme import Floats, MotifSet, Pwm, other_format, read_meme
from capsight.motifs.scan import MINUS, PWM, SCORE, SEQUENCE, START, P, Scan, scan, sites
from capsight.output import is_stream

logger = logging.getLogger(__name__)

Ints = NDArray[np.int64]

#: Columns of a scan's table, as in FIMO's own fimo.tsv; start and stop are 1-based, both inclusive.
FIMO_COLUMNS: Final = (
    "motif_id", "motif_alt_id", "sequence_name", "start", "stop", "strand", "score", "p-value", "q-value",
    "matched_sequence",
)  # fmt: skip

#: Columns of a comparison's table, as in Tomtom's own tomtom.tsv.
TOMTOM_COLUMNS: Final = (
    "Query_ID", "Target_ID", "Optimal_offset", "p-value", "E-value", "q-value", "Overlap", "Query_consensus",
    "Target_consensus", "Orientation",
)  # fmt: skip

#: Columns of factors.tsv, which lies beside the table of hits.
FACTOR_COLUMNS: Final = (
    "motif_id", "motif_alt_id", "positives", "negatives", "positive_rate", "negative_rate", "odds_ratio",
    "p-value", "q-value",
)  # fmt: skip
FACTORS: Final = "factors.tsv"

#: A positive and its negative differ in GC share by at most this.
GC_TOLERANCE: Final = 0.02
#: Fewer targets than this give Tomtom no null distribution; these PWMs then join it (and only it).
_FEWEST_TARGETS: Final = 50
#: Aligned columns with less information than this in either PWM are no match: chance gives as much to ten columns that
#: are counted from twenty sites (Schneider et al. 1986).
LEAST_BITS: Final = 1.25
#: A column with less information than this is even.
_EVEN: Final = 0.1
#: Motifs that a message names.
_NAMED: Final = 10
_NULL_PWMS: Final = ("JASPAR2022", "vertebrates")


def match(config: MatchConfig, motifs: Path, out: Path, negatives: Path | None = None) -> Path:
    """Scan sequences (FASTA), or compare PWMs (MEME format), with the PWMs of a database.

    Parameters
    ----------
    motifs
        FASTA: scanned. MEME format: compared.
    out
        The table to write. With `negatives`, ``factors.tsv`` is written beside it.
    negatives
        FASTA of sequences without cap sites; which factors hit `motifs` more often is then tested.

    Returns
    -------
    out
        The table.

    Raises
    ------
    InputError
        If an input cannot be used, or no PWM fits into the sequences.
    """
    scanned = _is_fasta(motifs)
    if negatives is not None and not scanned:
        raise InputError("negatives are for sequences that are scanned, and these are PWMs", where=motifs)
    if negatives is not None and is_stream(out):
        raise InputError("the table of factors goes beside the table of hits, which is no file", where=out)
    if negatives is not None and out.name == FACTORS:
        raise InputError("is where the table of factors goes: name the table of hits otherwise", where=out)
    inputs = {"motifs": motifs}
    if is_file(config.database):
        inputs["database"] = Path(config.database)
    if negatives is not None:
        inputs["negatives"] = negatives
    made = (out,) if negatives is None else (out, out.with_name(FACTORS))
    if all(artefact.is_done(path, "match", config, inputs) for path in made):
        logger.info("match: %s is done already", out)
        return out
    database = known(config.database, config.taxon)
    with ExitStack() as stack:
        partials = [stack.enter_context(artefact.building_file(path, "match", config, inputs)) for path in made]
        tables = _scan(config, database, motifs, negatives) if scanned else _compare(config, database, motifs)
        for partial, table in zip(partials, tables, strict=True):
            table.to_csv(partial, sep="\t", index=False, quoting=csv.QUOTE_NONE, lineterminator="\n")
    return out


def compare(queries: MotifSet, targets: MotifSet) -> pd.DataFrame:
    """Compare every query with every target, in both orientations (Tomtom; Gupta et al. 2007).

    q-values are over all queries × targets; the E-value is the p-value times the number of targets. Where
    there are fewer than 50 targets, the columns of JASPAR2022's vertebrate PWMs join the null distribution.
    Even columns resemble even columns, and that names no factor: those at the ends of a query are left out, and where
    the aligned columns of either PWM hold less than `LEAST_BITS`, p is 1.

    Returns
    -------
    table
        With `TOMTOM_COLUMNS`; by query, best target first.
    """
    tomtom = load_compiled("memelite").tomtom

    null = known(*_NULL_PWMS).pwms if len(targets.pwms) < _FEWEST_TARGETS else ()
    columns = [pwm.probabilities.T for pwm in (*targets.pwms, *null)]
    cores = [_core(pwm) for pwm in queries.pwms]
    cut = [pwm.probabilities[core].T for pwm, core in zip(queries.pwms, cores, strict=True)]
    found = tomtom(cut, columns)[:, :, : len(targets.pwms)]
    p, _, offset, _, minus = found.reshape(len(found), -1)
    query, target = (i.ravel() for i in np.indices(found.shape[1:]))
    offset = offset.astype(np.int64) - np.array([core.start for core in cores])[query]
    width, other = (np.array([pwm.width for pwm in pwms]) for pwms in (queries.pwms, targets.pwms))
    overlap = np.minimum(other[target], offset + width[query]) - np.maximum(offset, 0)
    p = np.where(_told(queries, targets, query, target, offset, minus), np.clip(p, 0.0, 1.0), 1.0)
    spelt = [(pwm.consensus, pwm.reverse_complement().consensus) for pwm in targets.pwms]
    table = pd.DataFrame(
        {
            "Query_ID": np.array([pwm.id for pwm in queries.pwms], dtype=object)[query],
            "Target_ID": np.array([pwm.id for pwm in targets.pwms], dtype=object)[target],
            "Optimal_offset": offset,
            "p-value": p,
            "E-value": p * len(targets.pwms),
            "q-value": false_discovery_control(p),
            "Overlap": overlap,
            "Query_consensus": np.array([pwm.consensus for pwm in queries.pwms], dtype=object)[query],
            "Target_consensus": [spelt[t][int(m)] for t, m in zip(target, minus, strict=True)],
            "Orientation": np.where(minus > 0, "-", "+"),
        }
    )
    return table.iloc[np.lexsort((target, p, query))].reset_index(drop=True)


def _core(pwm: Pwm) -> slice:
    """Return the columns of a PWM without the even ones at its ends; all of a PWM that is even throughout."""
    said = np.flatnonzero(np.diff(_information(pwm)) >= _EVEN)
    return slice(int(said[0]), int(said[-1]) + 1) if len(said) else slice(0, pwm.width)


def _told(
    queries: MotifSet, targets: MotifSet, query: Ints, target: Ints, offset: Ints, minus: Floats
) -> NDArray[np.bool_]:
    """Tell which alignments rest on columns that say something in both PWMs, ``(n_pairs,)``; count and name the rest.

    Parameters
    ----------
    query, target
        Numbers of the PWMs of each pair.
    offset, minus
        By how much the query is shifted right against the target, and whether the target is reverse-complemented.
    """
    of_query = [_information(pwm) for pwm in queries.pwms]
    flat = [pwm.id for pwm, bits in zip(queries.pwms, of_query, strict=True) if bits[-1] < LEAST_BITS]
    if flat:
        logger.warning(
            "compare: %d of %d motifs hold less than %g bits and match nothing: %s%s", len(flat), len(queries.pwms),
            LEAST_BITS, ", ".join(flat[:_NAMED]), f" and {len(flat) - _NAMED} more" if len(flat) > _NAMED else "",
        )  # fmt: skip
    forward = [_information(pwm) for pwm in targets.pwms]
    backward = [_information(pwm.reverse_complement()) for pwm in targets.pwms]
    told = np.zeros(len(query), dtype=bool)
    for pair, (i, j) in enumerate(zip(query, target, strict=True)):
        first, second = of_query[i], (backward if minus[pair] else forward)[j]
        shift = int(offset[pair])
        begin, end = max(0, shift), min(len(second) - 1, shift + len(first) - 1)  # in columns of the target
        bits = first[end - shift] - first[begin - shift], second[end] - second[begin]
        told[pair] = min(bits) >= LEAST_BITS
    return told


def _information(pwm: Pwm) -> Floats:
    """Return the information in the columns before each, and in all, against even bases, in bits: ``(width + 1,)``."""
    shares = pwm.probabilities / pwm.probabilities.sum(axis=1, keepdims=True)
    bits = 2 + xlogy(shares, shares).sum(axis=1) / np.log(2)
    return np.concatenate([[0.0], np.cumsum(bits)])


def hit_table(motifs: MotifSet, names: Sequence[str], scanned: Scan) -> pd.DataFrame:
    """Return a scan's hits with `FIMO_COLUMNS`, by p-value; q-values count every site that was looked at."""
    hits = scanned.hits
    width = np.array([pwm.width for pwm in motifs.pwms])
    ids = np.array([(pwm.id, pwm.name) for pwm in motifs.pwms], dtype=object)
    columns = (
        ids[hits[PWM], 0],
        ids[hits[PWM], 1],
        np.array(names, dtype=object)[hits[SEQUENCE]],
        hits[START] + 1,
        hits[START] + width[hits[PWM]],
        np.where(hits[MINUS], "-", "+"),
        hits[SCORE],
        hits[P],
        q_values(hits[P].to_numpy(), scanned.tests),
        sites(motifs, scanned),
    )
    return pd.DataFrame(dict(zip(FIMO_COLUMNS, columns, strict=True)))


def q_values(p: Floats, tests: int) -> Floats:
    """Return Benjamini–Hochberg q-values of the `p` that are known of `tests`, smallest first.

    All other p-values are larger. Whatever they are, the true q-values are at most these.
    """
    ratio = p * tests / np.arange(1, len(p) + 1)
    return np.minimum(np.minimum.accumulate(ratio[::-1])[::-1], 1.0)


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
    apart = _apart(positives, negatives, seed)
    gc, other = (_gc(scanned.sequences)[rows] for scanned, rows in zip((positives, negatives), apart, strict=True))
    matched = gc_matched(gc, other, seed)
    kept = apart[0][matched[0]], apart[1][matched[1]]
    pairs = len(kept[0])
    _check_match(positives, negatives, kept)
    used = np.intersect1d(positives.used, negatives.used)
    with_hit, without = (
        _carriers(s, k, len(motifs.pwms))[used] for s, k in zip((positives, negatives), kept, strict=True)
    )
    p = np.clip(hypergeom.sf(with_hit - 1, 2 * pairs, with_hit + without, pairs), 0.0, 1.0)
    odds = (with_hit + 0.5) / (pairs - with_hit + 0.5) * (pairs - without + 0.5) / (without + 0.5)
    columns = (
        [motifs.pwms[i].id for i in used],
        [motifs.pwms[i].name for i in used],
        with_hit,
        without,
        with_hit / pairs,
        without / pairs,
        odds,
        p,
        false_discovery_control(p),
    )
    table = pd.DataFrame(dict(zip(FACTOR_COLUMNS, columns, strict=True)))
    return table.sort_values(["p-value", "odds_ratio", "motif_id"], ascending=[True, False, True], ignore_index=True)


def _apart(positives: Scan, negatives: Scan, seed: int) -> tuple[Ints, Ints]:
    """Return the numbers of the positives and of the negatives that share no DNA with each other; say how many do."""
    n = len(positives.sequences)
    sequences = [*positives.sequences, *negatives.sequences]
    kept = independent(sequences, np.random.default_rng([seed, 1]).permutation(len(sequences)))
    known = np.array([bool((codes != N_CODE).any()) for codes in sequences], dtype=bool)
    if unknown := int((~known).sum()):
        logger.warning("factors: %d of %d sequences hold nothing but N and are left out", unknown, len(known))
    kept |= ~known  # counted once
    if alike := int((~kept).sum()):
        logger.info("factors: %d of %d sequences share %d bases or more with another and are left out",
                    alike, len(kept), SHARED)  # fmt: skip
    kept &= known
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
        place = bisect_left(left, wanted)
        near = min(
            (j for j in (place - 1, place) if 0 <= j < len(left)), key=lambda j: abs(left[j] - wanted), default=-1
        )
        if near >= 0 and abs(left[near] - wanted) <= GC_TOLERANCE:
            pairs.append((int(i), numbers.pop(near)))
            del left[near]
    chosen = np.array(pairs, dtype=np.int64).reshape(-1, 2)
    return np.sort(chosen[:, 0]), np.sort(chosen[:, 1])


def _is_fasta(path: Path) -> bool:
    """Tell sequences, which are scanned, from anything else, which must be MEME format."""
    with open_text(path) as handle:
        first = next((line for line in handle if line.strip()), "")
    return first.startswith((">", ";")) and other_format(path) is None


def _scan(config: MatchConfig, database: MotifSet, motifs: Path, negatives: Path | None) -> list[pd.DataFrame]:
    """Return the table of hits, and that of factors where there are negatives."""
    names, sequences = read_sequences(motifs)
    codes = [encode(s) for s in sequences]
    if unknown := sum(bool((each == N_CODE).all()) for each in codes):
        logger.warning("scan: %d of %d sequences hold nothing but N: there is nothing to scan", unknown, len(codes))
    found = scan(database, codes, config.threshold, config.engine)
    hits = hit_table(database, names, found)
    logger.info(
        "scan: %s hits of %d PWMs in %d of %d sequences; %s tests", f"{len(hits):,}", found.hits[PWM].nunique(),
        found.hits[SEQUENCE].nunique(), len(sequences), f"{found.tests:,}",
    )  # fmt: skip
    tables = [_written(hits)]
    if negatives is not None:
        others = [encode(s) for s in read_sequences(negatives).sequences]
        factors = enrich(database, found, scan(database, others, config.threshold, config.engine), config.seed)
        logger.info("factors: %d of %d at q < 0.05", int((factors["q-value"] < 0.05).sum()), len(factors))
        tables.append(_written(factors))
    return tables


def _compare(config: MatchConfig, database: MotifSet, motifs: Path) -> list[pd.DataFrame]:
    """Return the table of matches up to the largest q-value wanted."""
    if config.engine != "memelite":
        logger.warning("engine %s scans sequences; PWMs are compared by memelite", config.engine)
    queries = read_meme(motifs)
    table = compare(queries, database)
    table = table[table["q-value"] <= config.max_q]
    logger.info(
        "compare: %d of %d motifs match; %d matches at q <= %g", table["Query_ID"].nunique(), len(queries.pwms),
        len(table), config.max_q,
    )  # fmt: skip
    return [_written(table)]


def _written(table: pd.DataFrame) -> pd.DataFrame:
    """Write numbers as the MEME suite does: three digits of probabilities, six of all else."""
    digits = {name: ".3g" if name.endswith("-value") else ".6g" for name in table.select_dtypes("float").columns}
    return table.assign(**{name: table[name].map(("{:" + form + "}").format) for name, form in digits.items()})


def _gc(sequences: Sequence[Codes]) -> Floats:
    """Return the share of G and C among the known bases of each sequence (0 where none is known)."""
    counts = np.array([np.bincount(codes, minlength=5)[:4] for codes in sequences]).reshape(-1, 4)
    return (counts[:, 1] + counts[:, 2]) / np.maximum(counts.sum(axis=1), 1)


def _carriers(scanned: Scan, kept: Ints, pwms: int) -> Ints:
    """Count, for each PWM, the sequences among `kept` that it hits."""
    pairs = scanned.hits[[PWM, SEQUENCE]].drop_duplicates()
    return np.bincount(pairs.loc[pairs[SEQUENCE].isin(kept), PWM], minlength=pwms).astype(np.int64)


def _check_match(positives: Scan, negatives: Scan, kept: tuple[Ints, Ints]) -> None:
    """Say how many sequences found a partner, and whether length could still pass for enrichment."""
    total = len(positives.sequences)
    if not len(kept[0]):
        raise InputError(f"no negative has the GC content of a positive (within {GC_TOLERANCE})")
    report = logger.info if len(kept[0]) == total else logger.warning
    report("factors: %d of %d positives have a negative of the same GC content (of %d)", len(kept[0]), total,
           len(negatives.sequences))  # fmt: skip
    length, other = (
        float(np.mean([len(s.sequences[i]) for i in k])) for s, k in zip((positives, negatives), kept, strict=True)
    )
    if abs(length / other - 1) > 0.05:
        logger.warning("factors: positives have %.0f bases on average and negatives %.0f: the longer ones "
                       "have more hits by length alone", length, other)  # fmt: skip
