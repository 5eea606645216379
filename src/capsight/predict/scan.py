"""`scan`: expected tags of every base of a genome on both strands, and the TSSs that are called on it."""

import logging
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from tqdm import tqdm

from capsight import artefact, output
from capsight.config import ScanConfig
from capsight.data.ctss.table import CTSS
from capsight.data.genome.genome import Genome
from capsight.data.genome.store import genome_inputs
from capsight.data.genome.stretches import Span
from capsight.data.io.text import given
from capsight.errors import InputError
from capsight.model.track_folder import TrackCard, check_card, is_track, load_track
from capsight.predict.calls import DISTANCE, SCORE_REACH
from capsight.predict.regions import spans
from capsight.predict.stream import Stretch, along, working_threads
from capsight.predict.track import TrackScorer, best_device
from capsight.predict.writers import CALLS, STRANDS, Contig, write_bed, write_gff, write_part, write_tags
from capsight.progress import progress
from capsight.shipped import find_model

logger = logging.getLogger(__name__)

#: From which probability on a TSS is called with a model that says nothing of it.
MIN_PROBABILITY = 0.5
#: Tiles after which the genome is unmapped: its pages would count as memory of this process.
_RELEASED_AFTER = 64


class Rule(NamedTuple):
    """How TSSs are called."""

    min_probability: float
    distance: int


def scan(config: ScanConfig, model: Path, source: Path, out: Path) -> Path:
    """Scan a genome with a track model.

    Parameters
    ----------
    config
        What is scanned, how TSSs are called, and how it is written.
    model
        Folder of a track model, or the name of a shipped one.
    source
        Genome: FASTA (plain or bgzip), 2bit, or a folder of FASTA files.
    out
        Folder to write: `plus.bw`, `minus.bw`, `tss.bed`, `tss.gff3`.

    Raises
    ------
    InputError
        If a file cannot be used, the model is of another kind, or the region is not in the genome.

    Notes
    -----
    Contigs that are done are kept in ``NAME.partial``: the same call goes on with the next one. The result is the same,
    byte for byte, in whatever steps and on however many threads it was made.
    """
    model, source = find_model(model), given(source)
    check_track(model)
    inputs = {"model": model, **genome_inputs(source)}
    if artefact.is_done(out, "scan", config, inputs):
        logger.info("scan: %s is done already", out)
        return out
    str(out.absolute()).encode("utf-8")  # pybigtools writes no other names
    with artefact.atomic_dir(out, "scan", config, inputs) as partial:
        network, card = load_track(model)
        genome = Genome.open(source)
        scorer = TrackScorer(network.to(best_device()), card.calibration, config.precision)
        contigs = _scan_parts(
            config, scorer, calling_rule(card, config.min_probability, config.distance), genome, partial
        )
        for strand, sign in zip(STRANDS, (1, -1 if config.minus_negative else 1), strict=True):
            write_tags(contigs, strand, sign, partial / f"{strand}.bw")
        with (partial / "tss.bed").open("w", encoding="utf-8", newline="") as handle:
            n = write_bed(contigs, handle)
        with (partial / "tss.gff3").open("w", encoding="utf-8", newline="") as handle:
            write_gff(contigs, handle, strengths=card.counts == CTSS)
        logger.info("scan: %s TSSs called", f"{n:,}")
    return out


def check_track(model: Path) -> None:
    """Refuse a model of another kind.

    Raises
    ------
    InputError
        If its card is not that of a track model, or is damaged.
    """
    if not is_track(model):
        check_card(model)
        raise InputError(
            "is not a track model: it reads windows of one length, and cannot be slid along a genome", where=model,
            remedy="score sequences and windows with it by `capsight predict`",
        )  # fmt: skip


def calling_rule(card: TrackCard, min_probability: float | None = None, distance: int | None = None) -> Rule:
    """Return how TSSs are called: as given, or as the card of the model says."""
    if card.calling is None and min_probability is None:
        logger.warning(
            "scan: the model has no threshold of its own, as it was trained without a validation chromosome, or found "
            "too few of its TSSs: TSSs are called from probability %g on", MIN_PROBABILITY,
        )  # fmt: skip
    default = (
        Rule(card.calling.min_probability, card.calling.distance) if card.calling else Rule(MIN_PROBABILITY, DISTANCE)
    )
    return Rule(
        default.min_probability if min_probability is None else min_probability,
        default.distance if distance is None else distance,
    )


def scan_span(scorer: TrackScorer, genome: Genome, span: Span, rule: Rule, threads: int) -> Iterator[Stretch]:
    """Read a contig or a part of it from left to right; what lies around a part has its say in what is called."""
    reach, length = rule.distance + SCORE_REACH, int(genome.lengths[span.contig])
    start, end = max(span.start - reach, 0), min(span.end + reach, length)
    found = along(scorer, genome.view(span.contig), start, end, rule.distance, rule.min_probability, threads)
    for number, (tile, sites) in enumerate(found):
        if number % _RELEASED_AFTER == 0:
            genome.release()
        yield Stretch(
            tile.part(max(tile.start, span.start), min(tile.end, span.end)),
            sites.where((sites.position >= span.start) & (sites.position < span.end)),
        )


def _scan_parts(config: ScanConfig, scorer: TrackScorer, rule: Rule, genome: Genome, partial: Path) -> list[Contig]:
    """Scan all contigs that have no part yet; return them all."""
    wanted = spans(genome, config.region, config.shard)
    kept = partial / artefact.CHECKPOINT
    kept.mkdir(exist_ok=True)
    contigs = [Contig(span.chrom, int(genome.lengths[span.contig]), kept / f"{i:07}") for i, span in enumerate(wanted)]
    done = sum(span.end - span.start for span, contig in zip(wanted, contigs, strict=True) if contig.part.is_dir())
    with (
        working_threads(config.threads, scorer) as threads,
        progress("scan", sum(span.end - span.start for span in wanted), done=done) as bar,
    ):
        for span, contig in zip(wanted, contigs, strict=True):
            if not contig.part.is_dir():
                _scan_part(scan_span(scorer, genome, span, rule, threads), config.min_expected_tags, contig.part, bar)
    logger.info(
        "scan: %s bases of %d contigs; TSSs are called from probability %g on, at most one within %d bases",
        f"{bar.n:,}", len(wanted), *rule,
    )  # fmt: skip
    return contigs


def _scan_part(stretches: Iterator[Stretch], min_tags: float, part: Path, bar: tqdm) -> None:
    """Write the part of a contig; it has its name when it is whole and on the disk."""
    unfinished = part.with_suffix(".partial")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir()
    for stretch in write_part(stretches, min_tags, unfinished):
        bar.update(stretch.tile.end - stretch.tile.start)
    for name in (*STRANDS, CALLS):
        output.flush(unfinished / name)
    unfinished.rename(part)
