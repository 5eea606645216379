"""Simulate a genome with planted promoter grammar: ground truth for the demo and the tests.

What makes a promoter here is the right combination of elements, at the right distance, on the right strand.
The same elements stand all over the background as decoys: alone, too near, too far, in the wrong order, on
the wrong strand. Counting k-mers or elements therefore says little.
"""

import logging
from pathlib import Path

import numpy as np
import pandas as pd

from capsight.artefact import atomic_dir, is_done
from capsight.config import SimulateConfig
from capsight.errors import ConfigError
from capsight.simulate.cage import draw_ctss, write_cage
from capsight.simulate.files import write_fasta, write_motifs, write_truth
from capsight.simulate.genome import MARGIN, MIN_DISTANCE, background, draw_caps
from capsight.simulate.grammar import ELEMENTS, PROMOTERS, Ints, Promoter
from capsight.simulate.planting import decoy_elements, plant, promoter_elements, reserved

__all__ = ["ELEMENTS", "MARGIN", "MIN_DISTANCE", "PROMOTERS", "Promoter", "simulate"]

logger = logging.getLogger(__name__)


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
        logger.info("simulate: %s is done already", out)
        return out
    lengths = _chromosome_lengths(config)
    with atomic_dir(out, "simulate", config, {}) as folder:
        rng = np.random.default_rng(config.seed)
        caps = draw_caps(lengths, config.spacing, rng)
        genome = background(lengths, caps, rng)
        truth = pd.concat([promoter_elements(caps, rng), decoy_elements(reserved(genome, caps), rng)])
        plant(genome, truth, rng)
        write_fasta(folder / "genome.fa", genome)
        write_cage(folder, genome, caps, draw_ctss(genome, caps, rng))
        write_truth(folder / "truth.tsv", genome, truth)
        write_motifs(folder / "motifs.meme", genome, truth)
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
