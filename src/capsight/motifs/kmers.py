"""k-mers in seqlets and windows: which are more frequent in seqlets of predicted positives, and the paper's tests."""

from typing import Any, Final, NamedTuple

import numpy as np
import pandas as pd
from scipy import stats

from capsight.data.attributions import Codes, Mask
from capsight.data.genome.alphabet import Floats
from capsight.data.sequence.kmers import encode_kmers, kmer_to_string
from capsight.motifs.counts import Counts, count_encoded, starts_inside
from capsight.motifs.kmer_tests import mann_whitney, rank_biserial, seqlet_enrichment_p, van_elteren
from capsight.stats.fisher import fisher_exact, odds_ratio
from capsight.stats.multiple_testing import q_values

#: Columns of `motifs.tsv`. Counts are of sequences unless they say occurrences; `positive` and `negative` are
#: as predicted.
KMER: Final = "kmer"
POSITIVES: Final = "positives"
NEGATIVES: Final = "negatives"
POSITIVE_OCCURRENCES: Final = "positive_occurrences"
NEGATIVE_OCCURRENCES: Final = "negative_occurrences"
POSITIVE_WINDOWS: Final = "positive_windows"
NEGATIVE_WINDOWS: Final = "negative_windows"
POSITIVE_WINDOW_OCCURRENCES: Final = "positive_window_occurrences"
NEGATIVE_WINDOW_OCCURRENCES: Final = "negative_window_occurrences"
ENRICHED_IN: Final = "enriched_in"
LOG2_ODDS: Final = "log2_odds"
RANK_BISERIAL: Final = "rank_biserial"
P_MWU: Final = "p_mwu"
P_FISHER: Final = "p_fisher"
P_SEQLETS: Final = "p_seqlets"
P_GC: Final = "p_gc"
P: Final = "p"
Q: Final = "q"
KMER_COLUMNS: Final = (
    KMER, ENRICHED_IN, Q, P, LOG2_ODDS, RANK_BISERIAL, POSITIVES, NEGATIVES, POSITIVE_OCCURRENCES,
    NEGATIVE_OCCURRENCES, POSITIVE_WINDOWS, NEGATIVE_WINDOWS, POSITIVE_WINDOW_OCCURRENCES,
    NEGATIVE_WINDOW_OCCURRENCES, P_MWU, P_FISHER, P_SEQLETS, P_GC,
)  # fmt: skip

#: Sequences are compared within this many groups of like GC content (column `P_GC`).
GC_STRATA: Final = 5

#: Columns of `aggregate.tsv`.
TEST: Final = "test"
STATISTIC: Final = "statistic"


class Counted(NamedTuple):
    """Counts of every k-mer in the seqlets and in the whole windows, and what the tests condition on."""

    seqlets: Counts
    windows: Counts
    share: Floats
    """Part of each window's k-mers that lie in its seqlets, ``(n,)``."""
    gc: Floats
    """Share of G and C among the bases of each window, ``(n,)``."""


def count_kmers(codes: Codes, inside: Mask, k: int) -> Counted:
    """Count every k-mer of every window, and those that lie wholly in its seqlets.

    Parameters
    ----------
    codes
        ``(n, length)`` base codes.
    inside
        Which bases lie in seqlets, ``(n, length)``.
    k
        Length of the k-mers.
    """
    kmers = encode_kmers(codes, k)
    starts = starts_inside(inside, k)
    known = kmers >= 0
    share = (starts & known).sum(axis=1) / np.maximum(known.sum(axis=1), 1)
    gc = ((codes == 1) | (codes == 2)).sum(axis=1) / np.maximum((codes < 4).sum(axis=1), 1)
    return Counted(count_encoded(kmers, 4**k, starts), count_encoded(kmers, 4**k), share, gc)


def compare_kmers(counted: Counted, positive: Mask, k: int) -> pd.DataFrame:
    """Test every k-mer: predicted positives against negatives, and seqlets against their windows.

    Returns
    -------
    table
        With `KMER_COLUMNS`, one row for each k-mer that occurs in any seqlet, most significant first. The
        others were tested too, with p = 1.

    Notes
    -----
    A k-mer is called by ``q``, from the largest of three p-values, so that it must pass all: Mann–Whitney on
    counts per sequence, Fisher's exact test on presence (which holds where the former's normal approximation
    does not), and `seqlet_enrichment_p` in the seqlets of the side where it is more frequent (which composition of
    the windows cannot cause).
    """
    seqlets = counted.seqlets.subset(positive), counted.seqlets.subset(~positive)
    windows = counted.windows.subset(positive), counted.windows.subset(~positive)
    n1, n2 = seqlets[0].sequences, seqlets[1].sequences
    a, b = seqlets[0].n_sequences_with(), seqlets[1].n_sequences_with()
    more = a * n2 >= b * n1
    fisher = fisher_exact(a, a + b, n1, n1 + n2)
    shares = counted.share[positive], counted.share[~positive]
    concentrated = [seqlet_enrichment_p(*each) for each in zip(seqlets, windows, shares, strict=True)]
    # Groups of like GC content and nearly equal size.
    borders = np.quantile(counted.gc, np.arange(1, GC_STRATA) / GC_STRATA)
    columns: dict[str, Any] = {
        ENRICHED_IN: np.where(more, POSITIVES, NEGATIVES),
        LOG2_ODDS: np.log2(odds_ratio(a, n1, b, n2)),
        RANK_BISERIAL: rank_biserial(counted.seqlets, positive),
        POSITIVES: a,
        NEGATIVES: b,
        POSITIVE_OCCURRENCES: seqlets[0].occurrences(),
        NEGATIVE_OCCURRENCES: seqlets[1].occurrences(),
        POSITIVE_WINDOWS: windows[0].n_sequences_with(),
        NEGATIVE_WINDOWS: windows[1].n_sequences_with(),
        POSITIVE_WINDOW_OCCURRENCES: windows[0].occurrences(),
        NEGATIVE_WINDOW_OCCURRENCES: windows[1].occurrences(),
        P_MWU: mann_whitney(counted.seqlets, positive),
        P_FISHER: fisher.p,
        P_SEQLETS: np.where(more, *concentrated),
        P_GC: van_elteren(counted.seqlets, positive, np.searchsorted(borders, counted.gc)),
    }
    columns[P] = np.maximum.reduce([columns[P_MWU], columns[P_FISHER], columns[P_SEQLETS]])
    columns[Q] = q_values(columns[P], least=fisher.least)
    seen = np.flatnonzero(a + b)
    seen = seen[np.lexsort((-columns[LOG2_ODDS][seen], columns[P][seen], columns[Q][seen]))]
    table = pd.DataFrame({name: values[seen] for name, values in columns.items()})
    table[KMER] = kmer_to_string(seen, k)
    return table[list(KMER_COLUMNS)]


def aggregate_tests(counted: Counted, positive: Mask) -> pd.DataFrame:
    """Carry out the paper's three rank-sum tests over the counts of all k-mers that occur.

    Their unit is the k-mer, and neighbouring k-mers share bases, so their p-values say little; they are here for
    comparison with Haldar et al. (2026).
    """
    of = {
        (name, where): counts.subset(chosen).occurrences().astype(np.float64)
        for where, counts in (("seqlets", counted.seqlets), ("windows", counted.windows))
        for name, chosen in ((POSITIVES, positive), (NEGATIVES, ~positive))
    }
    pairs = [((name, "seqlets"), (name, "windows")) for name in (POSITIVES, NEGATIVES)]
    rows = []
    for first, second in [*pairs, ((POSITIVES, "seqlets"), (NEGATIVES, "seqlets"))]:
        x, y = of[first], of[second]
        occurs = (x > 0) | (y > 0)
        if first[0] == second[0]:
            x, y = x / max(x.max(), 1), y / max(y.max(), 1)
        statistic, p = stats.mannwhitneyu(x[occurs], y[occurs]) if occurs.any() else (0.0, 1.0)
        rows.append({TEST: f"{' '.join(first)} against {' '.join(second)}", STATISTIC: statistic, P: p})
    return pd.DataFrame(rows)
