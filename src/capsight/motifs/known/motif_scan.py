"""`motif-scan`: where the PWMs of a database hit sequences, as FIMO reports it."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd

from capsight import artefact
from capsight.config import MotifScanConfig
from capsight.data.genome.alphabet import N_CODE
from capsight.data.io.meme import MotifSet
from capsight.motifs.known.database import motif_db_inputs, read_motif_db
from capsight.motifs.known.pwm_scan import MINUS, PWM, SCORE, SEQUENCE, START, P, Scan, read_scannable, scan, sites
from capsight.motifs.known.suite_tables import write_suite_table
from capsight.stats.multiple_testing import q_values

logger = logging.getLogger(__name__)

#: Columns of the table, as in FIMO's own fimo.tsv; start and stop are 1-based, both inclusive.
FIMO_COLUMNS: Final = (
    "motif_id", "motif_alt_id", "sequence_name", "start", "stop", "strand", "score", "p-value", "q-value",
    "matched_sequence",
)  # fmt: skip


def motif_scan(config: MotifScanConfig, sequences: Path, out: Path) -> Path:
    """Scan sequences with the PWMs of a database.

    Parameters
    ----------
    sequences
        FASTA.
    out
        The table to write, with `FIMO_COLUMNS`, best hit first.

    Returns
    -------
    out
        The table.

    Raises
    ------
    InputError
        If an input cannot be used, or no PWM fits into the sequences.
    """
    inputs = {"sequences": sequences} | motif_db_inputs(config.motif_db)
    if artefact.is_done(out, "motif-scan", config, inputs):
        logger.info("motif-scan: %s is done already", out)
        return out
    database = read_motif_db(config.motif_db, config.taxon)
    with artefact.atomic_file(out, "motif-scan", config, inputs) as partial:
        names, codes = read_scannable(sequences)
        if unknown := sum(bool((each == N_CODE).all()) for each in codes):
            logger.warning(
                "motif-scan: %d of %d sequences hold nothing but N: there is nothing to scan", unknown, len(codes)
            )
        found = scan(database, codes, config.threshold)
        write_suite_table(hit_table(database, names, found), partial)
    logger.info(
        "motif-scan: %s hits of %d PWMs in %d of %d sequences; %s tests", f"{len(found.hits):,}",
        found.hits[PWM].nunique(), found.hits[SEQUENCE].nunique(), len(codes), f"{found.tests:,}",
    )  # fmt: skip
    return out


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
        q_values(hits[P].to_numpy(), tests=scanned.tests),
        sites(motifs, scanned),
    )
    return pd.DataFrame(dict(zip(FIMO_COLUMNS, columns, strict=True)))
