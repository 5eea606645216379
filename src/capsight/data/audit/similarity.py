"""Similar windows: candidates that share spaced k-mers, then a real alignment of each by edlib.

1. *K-mers*. Every window is read through three patterns (`_PATTERNS`): one contiguous, two spaced [1]_, which miss far
   fewer substituted copies than contiguous k-mers of the same weight do. Those with a small hash are kept, the same
   ones in every window, so that any window, however long, has about `_KMERS_PER_WINDOW` of them.
2. *Candidates*. K-mers of the query, and of its reverse complement, are looked up among those of the targets. Pairs of
   windows are ranked by how many parts of the query have a k-mer that they share on one diagonal, then by the number of
   these k-mers; the best `MOST` of a query are aligned. So many copies of a short repeat do not hide a longer relative.
   Of a k-mer that occurs more often than `_OCCURRENCES` times only the first occurrences are followed, always in the
   same windows, so that a copy of a repeat finds other copies of it at a bounded cost. It may then not find *all*.
3. *Alignment*. The bases of the query that can face the target are aligned with it by edit distance [2]_, and the best
   local stretch of that alignment taken: +1 for a match, -2 for every substituted, inserted or deleted base. It counts
   when it covers enough of the query, and scores higher than chance would reach in one of a hundred such searches
   (the E-value of Karlin and Altschul [3]_; it only matters for short windows).

References
----------
.. [1] Ma, B., Tromp, J. and Li, M. (2002) Bioinformatics 18, 440-445 (PatternHunter).
.. [2] Sosic, M. and Sikic, M. (2017) Bioinformatics 33, 1394-1395 (edlib).
.. [3] Karlin, S. and Altschul, S. F. (1990) PNAS 87, 2264-2268; lambda and K as BLAST
   has them for a match of +1, a mismatch of -2, and -2 for every base of a gap.
"""

import math
import re
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Final, NamedTuple

import edlib
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from capsight.data.genome.alphabet import N_CODE, Codes, Ints, Mask, reverse_complement
from capsight.progress import progress

#: Returns the base codes ``(n_rows, length)`` of some windows.
Reader = Callable[[Ints], Codes]

#: Columns of the table of similar windows.
QUERY: Final = "query"
TARGET: Final = "target"
#: True where the query's reverse complement is similar to the target.
FLIPPED: Final = "flipped"
#: Share of matches among the columns of the best local stretch.
IDENTITY: Final = "identity"
#: Share of the query's known bases in that stretch.
COVERAGE: Final = "coverage"

#: Candidates aligned for each query.
MOST: Final = 64

_PATTERNS: Final = ("111010010100110111010110011", "110011101000101101011001110", "111111111111111")
_LIGHTEST, _HEAVIEST = 8, 15
#: The pattern's number stands above the bases of a k-mer.
_PATTERN_BIT: Final = 2 * _HEAVIEST
#: K-mers kept of each window, about.
_KMERS_PER_WINDOW: Final = 256
#: Chance hits of a query among all targets, at most, about: heavier k-mers are taken for more targets.
_CHANCE: Final = 300
_OCCURRENCES: Final = 200
#: Hits closer than this along the diagonal, in bases (a power of two), speak for the same alignment.
_DIAGONAL_BITS: Final = 5
_FEWEST_HITS: Final = 2
#: A query has 2 to the power of this many parts, of which a candidate should hit many.
_PART_BITS: Final = 4
#: Alignments with more edits than this per base of the query cannot hold a similar half: unrelated DNA has 0.48.
_MOST_EDITS: Final = 0.4
#: Bases of the query taken beyond what can face the target, for insertions and deletions.
_SLACK: Final = 4
_MISMATCH: Final = -2
_LAMBDA, _K = 1.19, 0.34
_CHANCE_FINDS: Final = 0.01
_QUERIES_AT_ONCE: Final = 512
_TARGETS_AT_ONCE: Final = 1 << 16
_BASES_AT_ONCE: Final = 1 << 21
_OPERATIONS: Final = re.compile(r"(\d+)([=XID])")


class Seeds(NamedTuple):
    """Which k-mers of a window are looked at: offsets of each pattern's bases, and the largest hash that is kept."""

    offsets: tuple[Ints, ...]
    largest: np.uint32


class Stretch(NamedTuple):
    """The best local stretch of an alignment: score, matches, columns, and bases of the query."""

    score: int
    matches: int
    columns: int
    bases: int


class _Least(NamedTuple):
    """What a stretch needs to count: share of the query that it covers, and score."""

    coverage: float
    score: float


class _Kmers(NamedTuple):
    """K-mers of some windows, each with its window's number and its own first base, ``(n_kmers,)``."""

    kmer: NDArray[np.uint32]
    window: Ints
    start: Ints


class _Index(NamedTuple):
    """K-mers of the targets in ascending order, and their places: window number × length + first base."""

    kmer: NDArray[np.uint32]
    place: NDArray[np.uint32]
    length: int


class _Candidates(NamedTuple):
    """Pairs that share k-mers: numbers, strand, sixteenths of the query with a hit, hits, and start of the target."""

    query: Ints
    flipped: Mask
    target: Ints
    spread: Ints
    hits: Ints
    shift: Ints


def find_similar(read: Reader, queries: Ints, targets: Ints, coverage: float) -> pd.DataFrame:
    """Find windows that are similar to others, on either strand.

    Parameters
    ----------
    read
        Returns the bases of windows by row number.
    queries, targets
        Row numbers; no row should be in both.
    coverage
        Least share of a query's bases that its stretch must cover, 0 to 1.

    Returns
    -------
    pairs
        One row per pair of windows: row numbers ``query`` and ``target``, ``flipped``, ``identity``, ``coverage``;
        by query, the most similar target first; at most `MOST` targets per query.
    """
    found: list[tuple[int, int, bool, float, float]] = []
    if len(queries) and len(targets):
        length = read(queries[:1]).shape[1]
        seeds = plan_seeds(length, len(targets))
        least = _Least(coverage, chance_score(length, len(queries), len(targets)))
        candidates = _find_candidates(read, queries, targets, seeds)
        first = np.searchsorted(candidates.query, np.arange(0, len(queries) + _QUERIES_AT_ONCE, _QUERIES_AT_ONCE))
        with progress("audit: alignments", len(candidates.query), "") as bar:
            for i, j in pairwise(first):
                found += _align_all(read, queries, targets, _take(candidates, np.arange(i, j)), least)
                bar.update(int(j - i))
    pairs = pd.DataFrame(found, columns=[QUERY, TARGET, FLIPPED, IDENTITY, COVERAGE])
    pairs = pairs.astype({QUERY: np.int64, TARGET: np.int64, FLIPPED: bool, IDENTITY: float, COVERAGE: float})
    pairs = pairs.sort_values([QUERY, IDENTITY, COVERAGE, TARGET], ascending=[True, False, False, True])
    return pairs.drop_duplicates([QUERY, TARGET]).reset_index(drop=True)


def plan_seeds(length: int, n_targets: int) -> Seeds:
    """Choose k-mers so heavy that chance hits stay few, and as many of them as a window needs."""
    places = 3 * length
    share = min(1.0, _KMERS_PER_WINDOW / places)
    weight = _LIGHTEST
    while weight < min(_HEAVIEST, length) and 2 * share * places * length * n_targets > _CHANCE * 4.0**weight:
        weight += 1
    offsets = [np.flatnonzero(np.array(list(pattern)) == "1")[:weight] for pattern in _PATTERNS]
    fitting = tuple(chosen for chosen in offsets if len(chosen) == weight and chosen[-1] < length)
    return Seeds(fitting, np.uint32(share * np.iinfo(np.uint32).max))


def chance_score(length: int, n_queries: int, n_targets: int) -> float:
    """Return the score above which a search of random windows, both strands, finds `_CHANCE_FINDS` stretches."""
    space = n_queries * length * 2.0 * n_targets * length
    return math.log(_K * space / _CHANCE_FINDS) / _LAMBDA


def best_stretch(cigar: str) -> Stretch:
    """Return the stretch of an alignment (an extended CIGAR) that scores best: +1 a match, -2 any other column."""
    best = Stretch(0, 0, 0, 0)
    score = matches = columns = bases = 0
    for digits, operation in _OPERATIONS.findall(cigar):
        n = int(digits)
        if score <= 0:
            score = matches = columns = bases = 0
        score += n if operation == "=" else _MISMATCH * n
        matches += n if operation == "=" else 0
        columns += n
        bases += n if operation != "D" else 0
        if score > best.score:
            best = Stretch(score, matches, columns, bases)
    return best


def known_span(codes: Codes) -> tuple[Ints, Ints]:
    """Return where the known bases of windows ``(n_windows, length)`` begin and end, N in between included."""
    known = codes != N_CODE
    none = ~known.any(axis=1)
    end = codes.shape[1] - known[:, ::-1].argmax(axis=1)
    return known.argmax(axis=1), np.where(none, 0, end)


def _find_candidates(read: Reader, queries: Ints, targets: Ints, seeds: Seeds) -> _Candidates:
    """Return the best candidates of every query, by query; numbers count within `queries` and `targets`."""
    best: dict[int, _Candidates] = {}
    blocks = range(0, len(targets), _TARGETS_AT_ONCE)
    with progress("audit: shared k-mers", len(blocks) * len(queries), " comparisons") as bar:
        for first in blocks:
            block = targets[first : first + _TARGETS_AT_ONCE]
            index = _index(read, block, seeds)
            for i in range(0, len(queries), _QUERIES_AT_ONCE):
                rows = queries[i : i + _QUERIES_AT_ONCE]
                some = _share_kmers(index, read(rows), len(block), seeds)
                some = some._replace(query=some.query + i, target=some.target + first)
                some = _join([best[i], some]) if i in best else some
                order = np.lexsort((some.target, -some.hits, -some.spread, some.query))
                query = some.query[order]
                place = np.arange(len(query)) - np.searchsorted(query, query, side="left")
                best[i] = _take(some, order[place < MOST])
                bar.update(len(rows))
    return _join(list(best.values()))


def _join(parts: Sequence[_Candidates]) -> _Candidates:
    """Lay candidates end to end."""
    return _Candidates(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def _index(read: Reader, rows: Ints, seeds: Seeds) -> _Index:
    """Sort the k-mers of windows, at most `_TARGETS_AT_ONCE` of them."""
    keys: list[NDArray[np.uint64]] = []
    length = read(rows[:1]).shape[1]
    at_once = max(1, _BASES_AT_ONCE // length)
    for first in range(0, len(rows), at_once):
        codes = read(rows[first : first + at_once])
        found = _kmers(codes, seeds)
        place = (found.window + first) * length + found.start
        keys.append(found.kmer.astype(np.uint64) << np.uint64(32) | place.astype(np.uint64))
    both = np.sort(np.concatenate(keys))
    return _Index((both >> np.uint64(32)).astype(np.uint32), both.astype(np.uint32), length)


def _kmers(codes: Codes, seeds: Seeds) -> _Kmers:
    """Return the k-mers of windows ``(n_windows, length)`` that have no N and a small hash."""
    length = codes.shape[1]
    parts: list[_Kmers] = []
    for number, offsets in enumerate(seeds.offsets):
        n = length - int(offsets[-1])
        kmer = np.zeros((len(codes), n), dtype=np.uint32)
        known = np.ones(kmer.shape, dtype=bool)
        for offset in offsets:
            base = codes[:, offset : offset + n]
            kmer = kmer << np.uint32(2) | (base & 3)
            known &= base < N_CODE
        kmer |= np.uint32(number << _PATTERN_BIT)
        window, start = np.nonzero(known & (_hash(kmer) <= seeds.largest))
        parts.append(_Kmers(kmer[window, start], window, start))
    return _Kmers(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def _hash(kmer: NDArray[np.uint32]) -> NDArray[np.uint32]:
    """Scramble k-mers, so that a small hash says nothing about the bases (Wellons' lowbias32)."""
    kmer = kmer ^ kmer >> np.uint32(16)
    kmer = kmer * np.uint32(0x7FEB352D)
    kmer ^= kmer >> np.uint32(15)
    kmer *= np.uint32(0x846CA68B)
    return kmer ^ kmer >> np.uint32(16)


def _share_kmers(index: _Index, codes: Codes, n_targets: int, seeds: Seeds) -> _Candidates:
    """Count the k-mers that queries ``(n_queries, length)`` share with targets, per pair, strand and diagonal."""
    strands = [_kmers(codes, seeds), _kmers(reverse_complement(codes), seeds)]
    kmer, window, start = (np.concatenate(column) for column in zip(*strands, strict=True))
    flipped = np.repeat([0, 1], [len(kmers.kmer) for kmers in strands])
    first = np.searchsorted(index.kmer, kmer, side="left")
    times = np.minimum(np.searchsorted(index.kmer, kmer, side="right") - first, _OCCURRENCES)
    ends = np.cumsum(times)
    hit = np.repeat(np.arange(len(kmer)), times)
    place = index.place[first[hit] + np.arange(len(hit)) - (ends - times)[hit]].astype(np.int64)
    target, there = np.divmod(place, index.length)
    bits = max(int(2 * index.length).bit_length(), _DIAGONAL_BITS)
    key = (window[hit] * 2 + flipped[hit]) * n_targets + target
    part = (start[hit] << _PART_BITS) // index.length
    key = np.sort((key << bits | (start[hit] - there + index.length)) << _PART_BITS | part)
    return _count(key, bits, n_targets, index.length)


def _count(key: Ints, bits: int, n_targets: int, length: int) -> _Candidates:
    """Turn sorted hits into candidates with enough of them; the lowest bits of a hit are its diagonal and its part."""
    group = key >> (_PART_BITS + _DIAGONAL_BITS)
    begin = np.flatnonzero(np.append(True, group[1:] != group[:-1])) if len(key) else np.zeros(0, np.int64)
    hits = np.diff(np.append(begin, len(key)))
    enough = hits >= _FEWEST_HITS
    key = key[np.repeat(enough, hits)]
    hits = hits[enough]
    begin = np.cumsum(hits) - hits
    parts = np.unique(np.repeat(np.arange(len(hits)), hits) << _PART_BITS | (key & ((1 << _PART_BITS) - 1)))
    spread = np.bincount(parts >> _PART_BITS, minlength=len(hits))
    diagonal = key[begin + hits // 2] >> _PART_BITS  # the median
    stranded, target = np.divmod(diagonal >> bits, n_targets)
    shift = (diagonal & ((1 << bits) - 1)) - length
    return _Candidates(stranded >> 1, (stranded & 1).astype(bool), target, spread, hits, shift)


def _take(candidates: _Candidates, rows: Ints) -> _Candidates:
    """Return some of the candidates."""
    query, flipped, target, spread, hits, shift = candidates
    return _Candidates(query[rows], flipped[rows], target[rows], spread[rows], hits[rows], shift[rows])


def _align_all(
    read: Reader, queries: Ints, targets: Ints, candidates: _Candidates, least: _Least
) -> list[tuple[int, int, bool, float, float]]:
    """Align candidates; return those whose best stretch covers enough, as row numbers, strand and measures."""
    n_query, which_query = np.unique(candidates.query, return_inverse=True)
    n_target, which_target = np.unique(candidates.target, return_inverse=True)
    codes = read(queries[n_query]), read(targets[n_target])
    sides = [_Letters.from_codes(codes[0]), _Letters.from_codes(reverse_complement(codes[0]))]
    facing = _Letters.from_codes(codes[1], unknown=N_CODE + 1)
    found = []
    for i in range(len(candidates.query)):
        flipped = bool(candidates.flipped[i])
        query = sides[flipped], int(which_query[i])
        measured = _align(query, (facing, int(which_target[i])), int(candidates.shift[i]), least)
        if measured is not None:
            rows = int(queries[candidates.query[i]]), int(targets[candidates.target[i]])
            found.append((*rows, flipped, *measured))
    return found


class _Letters(NamedTuple):
    """Windows as bytes for the aligner, and where their known bases begin and end."""

    text: list[bytes]
    begin: list[int]
    end: list[int]

    @classmethod
    def from_codes(cls, codes: Codes, unknown: int = N_CODE) -> "_Letters":
        """Spell windows; N of queries and targets are spelt differently, so that they never match."""
        begin, end = known_span(codes)
        spelt = np.where(codes == N_CODE, np.uint8(unknown), codes)
        return cls([row.tobytes() for row in spelt], begin.tolist(), end.tolist())


def _align(
    query: tuple[_Letters, int], target: tuple[_Letters, int], shift: int, least: _Least
) -> tuple[float, float] | None:
    """Return identity and coverage of the best stretch, or nothing where it covers too little."""
    (letters, i), (others, j) = query, target
    begin, end = letters.begin[i], letters.end[i]
    first, last = max(begin, others.begin[j] + shift - _SLACK), min(end, others.end[j] + shift + _SLACK)
    facing = last - first
    if facing <= 0:
        return None
    aligned = edlib.align(
        letters.text[i][first:last], others.text[j][others.begin[j] : others.end[j]], mode="HW", task="path",
        k=int(_MOST_EDITS * facing) + _SLACK,
    )  # fmt: skip
    if aligned["editDistance"] < 0:
        return None
    best = best_stretch(aligned["cigar"])
    covered = best.bases / (end - begin)
    enough = covered >= least.coverage and best.score >= least.score
    return (best.matches / best.columns, covered) if enough else None
