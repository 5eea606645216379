"""`mutate`: every single change of a region, as a table and a picture."""

import logging
from contextlib import ExitStack
from pathlib import Path
from typing import Final

import pandas as pd

from capsight import artefact
from capsight.config import MutateConfig
from capsight.data.genome.genome import Genome
from capsight.data.genome.store import genome_inputs
from capsight.data.io.text import given
from capsight.errors import InputError
from capsight.extras import need
from capsight.model.track_folder import load_track
from capsight.predict.scan import check_track
from capsight.predict.track import TrackScorer, best_device
from capsight.shipped import find_model
from capsight.variants.changes import changes_of, find_region, write_table
from capsight.variants.scoring import summary_of

logger = logging.getLogger(__name__)

#: Longest region of a picture, and the formats of pictures.
LONGEST_PICTURE: Final = 2_000
PICTURES: Final = (".png", ".svg")


def mutate(config: MutateConfig, model: Path, genome: Path, out: Path, picture: Path | None = None) -> Path:
    """Score all single changes of a region with a track model.

    Parameters
    ----------
    config
        The region, and how far effects are looked for.
    model
        Folder of a track model, or the name of a shipped one.
    genome
        FASTA (plain or bgzip), 2bit, or a folder of FASTA files.
    out
        Table to write, `schema.EFFECT_COLUMNS`: three rows for each base. Positions count from 0.
    picture
        PNG or SVG to draw of it.

    Raises
    ------
    InputError
        If a file cannot be used, or the region is not in the genome, has no base but N, or is too long for a picture.
    """
    model, genome = find_model(model), given(genome)
    check_track(model)
    inputs = {"model": model, **genome_inputs(genome)}
    suffix = "" if picture is None else _suffix(picture, out)
    wanted = [(out, "")] if picture is None else [(out, ""), (picture, suffix)]
    wanted = [each for each in wanted if not artefact.is_done(each[0], "mutate", config, inputs)]
    if not wanted:
        logger.info("mutate: %s is done already", out)
        return out
    if picture is not None:
        need("logomaker", "matplotlib")
    opened = Genome.open(genome)
    region = find_region(opened, config.region)
    if picture is not None and region.span.end - region.span.start > LONGEST_PICTURE:
        raise InputError(
            f"region {config.region!r} is too long for a picture: at most {LONGEST_PICTURE:,} bases", where=genome,
            remedy="leave --picture out, or draw a part of it",
        )  # fmt: skip
    with ExitStack() as stack:
        files = [
            (path, stack.enter_context(artefact.atomic_file(path, "mutate", config, inputs, suffix=end)))
            for path, end in wanted
        ]
        network, card = load_track(model)
        scorer = TrackScorer(network.to(best_device()), card.calibration, config.precision)
        summary = summary_of(card, config.distance)
        found = changes_of(scorer, summary, opened, region, config.threads)
        table = write_table(found, files[0][1]) if files[0][0] == out else pd.concat(found, ignore_index=True)
        if files[-1][0] == picture:
            from capsight.variants.mutate_figure import draw_mutations

            chrom, _, start, end = region.span
            draw_mutations(table, chrom, start, end, files[-1][1], suffix.removeprefix("."))
    return out


def _suffix(picture: Path, out: Path) -> str:
    """Return the end of the name of a picture, which is its format."""
    suffix = picture.suffix.lower()
    if suffix not in PICTURES:
        raise InputError("is no name of a picture", where=picture, remedy=f"end it in {' or '.join(PICTURES)}")
    if picture == out:
        raise InputError("is the table as well as the picture", where=out, remedy="name two files")
    return suffix
