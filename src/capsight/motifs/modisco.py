"""TF-MoDISco (Shrikumar et al. 2018; modisco-lite): spans of high attribution, clustered into patterns."""

import logging
import warnings
from typing import Final

import numpy as np

from capsight.compiled import load_compiled
from capsight.data.attributions import Attributions, Ints, Scores
from capsight.motifs.motif_sites import Sites

logger = logging.getLogger(__name__)

#: A pattern, and a motif, needs this many sites.
FEWEST_SITES: Final = 12
#: A pattern is clustered from spans this wide, and so must the windows be.
SPAN: Final = 41
#: TF-MoDISco looks for spans this wide (its own default, 21, passes over what stands near something stronger), and
#: takes this many bases more on either side.
CORE: Final = 11
FLANK: Final = 5
#: TF-MoDISco reads this many spans at most.
MOST_SEQLETS: Final = 20_000
#: Runs of the Leiden clustering, of which the best counts: more take longer and change little.
LEIDEN_RUNS: Final = 5


def hypothetical_scores(data: Attributions, method: str, rows: Ints) -> Scores:
    """Return what each base would contribute at each place, ``(n, length, 4)``."""
    if method == "ism" and data.ism_full is not None:
        full = data.ism_full[rows]
        return np.ascontiguousarray((full - full.mean(axis=1, keepdims=True)).transpose(0, 2, 1))
    scores = data.methods[method][rows]
    if scores.min() >= 0:
        # TF-MoDISco takes scores about zero for noise, which those of a method without sign are not.
        scores = scores - np.median(scores, axis=1, keepdims=True)
    return np.ascontiguousarray(np.repeat(scores[:, :, None], 4, axis=2)) * (
        data.codes[rows][:, :, None] == np.arange(4)
    )


def find_patterns(one_hot: Scores, hypothetical: Scores) -> list[Sites]:
    """Run TF-MoDISco; return the sites of its patterns, strand by strand."""
    if not hypothetical.any():
        return []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # numba and h5py speak to their developers here
        modisco = load_compiled("modiscolite.tfmodisco")
        try:
            patterns, _ = modisco.TFMoDISco(
                one_hot,
                hypothetical.astype(np.float32),
                sliding_window_size=CORE,
                flank_size=FLANK,
                min_metacluster_size=FEWEST_SITES,
                final_min_cluster_size=FEWEST_SITES,
                max_seqlets_per_metacluster=MOST_SEQLETS,
                n_leiden_runs=LEIDEN_RUNS,
            )
        except (ValueError, IndexError, ZeroDivisionError) as error:
            # It has no word for "nothing stands out"; its arrays run empty.
            logger.warning("motifs: TF-MoDISco found nothing to work on (%s)", error)
            return []
    found = []
    for pattern in patterns or []:
        reverse = np.array([seqlet.is_revcomp for seqlet in pattern.seqlets])
        window = np.array([seqlet.example_idx for seqlet in pattern.seqlets])
        start = np.array([seqlet.start for seqlet in pattern.seqlets])
        for strand in (False, True):
            sites = Sites(window[reverse == strand], start[reverse == strand], int(pattern.length))
            found.append(sites.inside(one_hot.shape[1]))
    return [sites for sites in found if len(sites) >= FEWEST_SITES]
