"""Leaks between folds, and contradictions: windows that share a place, are equal, or are similar.

Folds have an order, train before validation before test. A window is compared with those of the folds before its own:
what training or the choice of a model has seen must not be what is measured.
"""

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from capsight.data import schema
from capsight.data.audit.checks import SKIPPED, Check, Verdict, verdict_by_fraction, verdict_if_any, without_coordinates
from capsight.data.audit.similarity import COVERAGE, FLIPPED, IDENTITY, QUERY, TARGET, find_similar, known_span
from capsight.data.genome.alphabet import Ints, reverse_complement
from capsight.data.sequence.digest import digests
from capsight.data.windows.windows import Windows

#: Names of the checks.
COORDINATES: Final = "coordinates"
DUPLICATES: Final = "duplicates"
SIMILAR: Final = "similar"
REPEATED: Final = "repeated"
CONTRADICTIONS: Final = "contradictions"

#: Folds that are compared, and those before each.
BEFORE: Final = {schema.VALIDATION: (schema.TRAIN,), schema.TEST: (schema.TRAIN, schema.VALIDATION)}

#: What is said of exact copies where there are some, and where there are none.
_COPIES: Final = {
    DUPLICATES: ("are in an earlier fold too, base for base", "no sequence is in two folds"),
    REPEATED: ("repeat another of their fold", "no sequence is twice in a fold"),
    CONTRADICTIONS: ("are negatives with the bases of a positive", "no sequence has both labels"),
}
_ROWS_AT_ONCE: Final = 1 << 14
_PAIR_COLUMNS: Final = (QUERY, TARGET, FLIPPED, IDENTITY, COVERAGE)


class Found(NamedTuple):
    """A check, and the pairs of windows behind it: `QUERY`, `TARGET`, `FLIPPED`, `IDENTITY`, `COVERAGE`."""

    check: Check
    pairs: pd.DataFrame


def rows_of(data: Windows, *folds: str) -> Ints:
    """Return the row numbers of some folds."""
    return np.flatnonzero(data.table[schema.FOLD].isin(folds).to_numpy())


def compare_places(data: Windows) -> Found:
    """Find windows that share bases of the genome, on either strand, with one of an earlier fold."""
    if reason := without_coordinates(data):
        return Found(Check(COORDINATES, SKIPPED, reason, {}), _no_pairs())
    start = data.table[schema.START].to_numpy(np.int64)
    reach = int(data.genome.lengths.max()) + 3 * data.length
    place = data.genome.index(data.table[schema.CHROM]) * reach + start
    minus = (data.table[schema.STRAND] == "-").to_numpy()
    parts = [_no_pairs()]
    for fold, earlier in BEFORE.items():
        query, target = rows_of(data, fold), rows_of(data, *earlier)
        target = target[np.argsort(place[target], kind="stable")]
        after = np.searchsorted(place[target], place[query])
        for side in (after - 1, after) if len(target) else ():
            other = target[np.clip(side, 0, len(target) - 1)]
            shared = data.length - np.abs(place[other] - place[query])
            hit = shared > 0
            flipped = (minus[other] != minus[query])[hit]
            parts.append(_pairs(query[hit], other[hit], flipped, np.nan, shared[hit] / data.length))
    pairs = pd.concat(parts).sort_values([QUERY, COVERAGE, TARGET], ascending=[True, False, True])
    pairs = pairs.drop_duplicates(QUERY).reset_index(drop=True)
    counts = _count(data, pairs, _with_earlier(data))
    message = _sentence(counts, "share bases of the genome with an earlier fold", "no place is in two folds")
    return Found(_check(COORDINATES, verdict_if_any(len(pairs)), message, counts), pairs)


def compare_copies(data: Windows, max_fraction: float) -> list[Found]:
    """Find windows of exactly the same bases, on either strand: across folds, within a fold, with both labels.

    `max_fraction` is the share of a fold that may repeat other windows of the fold.
    """
    copies = _copies(data)
    fold, label = copies[schema.FOLD], copies[schema.LABEL]
    across = [_match(copies[fold == later], copies[fold.isin(earlier)]) for later, earlier in BEFORE.items()]
    within = [_match(copies[fold == name], copies[fold == name]) for name in schema.FOLDS]
    mixed = [_match(copies[label == 0], copies[label == 1])]
    if len(np.unique(data.labels)) < 2:
        both = Found(Check(CONTRADICTIONS, SKIPPED, "all windows have the same label", {}), _no_pairs())
    else:
        both = _same(CONTRADICTIONS, data, mixed, schema.FOLDS, 0)
    shared = _same(DUPLICATES, data, across, _with_earlier(data), 0)
    again = _same(REPEATED, data, within, schema.FOLDS, max_fraction)
    return [shared, again, both]


def _same(
    name: str, data: Windows, parts: Sequence[pd.DataFrame], folds: tuple[str, ...], max_fraction: float
) -> Found:
    """Make one of the checks of exact copies; with nothing `max_fraction`, any is a failure."""
    what, nothing = _COPIES[name]
    pairs = pd.concat(parts).sort_values(QUERY).reset_index(drop=True)
    counts = _count(data, pairs, folds)
    verdict = verdict_by_fraction(_largest(counts), max_fraction) if max_fraction else verdict_if_any(len(pairs))
    return Found(_check(name, verdict, _sentence(counts, what, nothing), counts), pairs)


def compare_similar(data: Windows, identity: float, coverage: float, max_fraction: float) -> tuple[Found, pd.DataFrame]:
    """Find windows that are similar to one of an earlier fold, on either strand.

    Parameters
    ----------
    data
        The windows.
    identity, coverage
        A window is similar where a stretch of at least `coverage` of it has at least this identity.
    tolerated
        Share of a fold that may be similar without failing.

    Returns
    -------
    found
        The check, and the pairs that are similar.
    nearest
        For every window of validation and test that has one, the most similar *training* window whose stretch covers
        enough, of whatever identity.
    """
    to_train = find_similar(data.codes, rows_of(data, *BEFORE), rows_of(data, schema.TRAIN), coverage)
    parts = [to_train, find_similar(data.codes, rows_of(data, schema.TEST), rows_of(data, schema.VALIDATION), coverage)]
    pairs = pd.concat([part for part in parts if len(part)] or parts[:1])
    pairs = pairs[pairs[IDENTITY] >= identity].sort_values([QUERY, IDENTITY, TARGET], ascending=[True, False, True])
    counts = _count(data, pairs, _with_earlier(data))
    what = f"resemble one of an earlier fold (identity {identity:g} or more over {coverage:.0%} of the window)"
    message = _sentence(counts, what, "no window resembles one of an earlier fold")
    check = _check(SIMILAR, verdict_by_fraction(_largest(counts), max_fraction), message, counts)
    return Found(check, pairs.reset_index(drop=True)), to_train.drop_duplicates(QUERY).reset_index(drop=True)


def _copies(data: Windows) -> pd.DataFrame:
    """Return the windows whose bases, on either strand, another has too: row, key, strand of the key, fold, label."""
    keys: list[bytes] = []
    turned: list[bool] = []
    for i in range(0, len(data.table), _ROWS_AT_ONCE):
        codes = data.codes(np.arange(i, min(i + _ROWS_AT_ONCE, len(data.table))))
        begin, end = known_span(codes)  # sequences that were padded with N are compared without it
        known = [row[first:last] for row, first, last in zip(codes, begin, end, strict=True)]
        keys += digests(known)
        turned += [reverse_complement(row).tobytes() < row.tobytes() for row in known]
    table = pd.DataFrame({"row": np.arange(len(keys)), "key": pd.Series(keys, dtype=object), "turned": turned})
    table[[schema.FOLD, schema.LABEL]] = data.table[[schema.FOLD, schema.LABEL]].to_numpy()
    return table[table["key"].duplicated(keep=False)]


def _match(queries: pd.DataFrame, targets: pd.DataFrame) -> pd.DataFrame:
    """Pair each copy with the first of `targets` that has the same bases, but not with itself."""
    joined = queries.merge(targets.drop_duplicates("key"), on="key", suffixes=("", "_of"))
    joined = joined[joined["row"] != joined["row_of"]]
    query, target = joined["row"].to_numpy(np.int64), joined["row_of"].to_numpy(np.int64)
    return _pairs(query, target, (joined["turned"] != joined["turned_of"]).to_numpy(bool), 1.0, 1.0)


def _pairs(
    query: Ints, target: Ints, flipped: NDArray[np.bool_], identity: float, coverage: float | NDArray[np.float64]
) -> pd.DataFrame:
    columns = zip(_PAIR_COLUMNS, (query, target, flipped, identity, coverage), strict=True)
    return pd.DataFrame(dict(columns)).astype({FLIPPED: bool, IDENTITY: float, COVERAGE: float})


def _no_pairs() -> pd.DataFrame:
    none = np.zeros(0, np.int64)
    return _pairs(none, none, none.astype(bool), np.nan, none.astype(float))


def _count(data: Windows, pairs: pd.DataFrame, folds: tuple[str, ...]) -> dict[str, Any]:
    """Count, per fold that has windows, those that stand first in a pair, and how many partners have their label."""
    label, fold = data.labels, data.table[schema.FOLD].to_numpy()
    best = pairs.drop_duplicates(QUERY)
    query, target = best[QUERY].to_numpy(np.int64), best[TARGET].to_numpy(np.int64)
    counts: dict[str, Any] = {}
    for name in folds:
        if windows := int((fold == name).sum()):
            here = fold[query] == name
            same = int((label[query] == label[target])[here].sum())
            found = int(here.sum())
            counts[name] = {"windows": windows, "found": found, "share": found / windows, "same_label": same}
    return counts


def _with_earlier(data: Windows) -> tuple[str, ...]:
    """Return the folds that can be compared: those before them have windows."""
    return tuple(fold for fold, earlier in BEFORE.items() if len(rows_of(data, *earlier)))


def _largest(counts: dict[str, Any]) -> float:
    return max((float(of["share"]) for of in counts.values()), default=0.0)


def _check(name: str, verdict: Verdict, message: str, counts: dict[str, Any]) -> Check:
    """Make the check, or say that there is nothing to compare."""
    if not counts:
        return Check(name, SKIPPED, "there are no two folds to compare", counts)
    return Check(name, verdict, message, counts)


def _sentence(counts: dict[str, Any], what: str, nothing: str) -> str:
    """Say how many windows of each fold were found."""
    told = [f"{of['found']:,} of {of['windows']:,} {fold} windows ({of['share']:.1%})"
            for fold, of in counts.items() if of["found"]]  # fmt: skip
    return f"{', '.join(told)} {what}" if told else nothing
