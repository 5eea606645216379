"""`predict` with a track model: the best TSS of every record, of any length."""

import logging
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from capsight import artefact
from capsight.config import PredictConfig
from capsight.data import schema
from capsight.data.genome.store import genome_inputs
from capsight.model.track_folder import TrackCard, load_track
from capsight.predict.calls import DISTANCE
from capsight.predict.records import UNKNOWN, Record, Records, open_records
from capsight.predict.stream import LONGEST_PACKED, Part, Sites, along, best_site, score_packed, working_threads
from capsight.predict.track import TrackScorer, best_device
from capsight.progress import progress

logger = logging.getLogger(__name__)


class Best(NamedTuple):
    """The most probable TSS of a record; `position` and what follows are `None` where the record has no bases."""

    name: str
    chrom: str
    start: int
    end: int
    position: int | None
    strand: str | None
    probability: float | None
    expected_tags: float | None


def predict_track(config: PredictConfig, model: Path, source: Path, out: Path) -> Path:
    """Write the best TSS of every record of a source as a table; see `capsight.predict.predict.predict`."""
    network, card = load_track(model)
    inputs = {"model": model, "source": source} | (genome_inputs(config.genome) if config.genome else {})
    if artefact.is_done(out, "predict", config, inputs):
        logger.info("predict: %s is done already", out)
        return out
    with artefact.atomic_file(out, "predict", config, inputs) as partial:
        records = open_records(source, config.genome, config.fold)
        scorer = TrackScorer(network.to(best_device()), card.calibration, config.precision)
        with (
            working_threads(config.threads, scorer) as threads,
            progress("predict", records.bases) as bar,
            partial.open("w", encoding="utf-8", newline="") as handle,
        ):
            handle.write("\t".join(schema.BEST_COLUMNS) + "\n")
            for best in best_tss(scorer, card, records, config.stranded, threads, bar.update):
                answer = [UNKNOWN] * 4
                if best.position is not None:
                    found = (str(best.position), str(best.strand))
                    answer = [*found, f"{best.probability:.6f}", f"{best.expected_tags:.6g}"]
                handle.write("\t".join([best.name, best.chrom, str(best.start), str(best.end), *answer]) + "\n")
        logger.info("predict: %s records written", f"{records.n:,}")
    return out


def table_of(found: Iterable[Best]) -> pd.DataFrame:
    """Return the rows as a table."""
    table = pd.DataFrame(list(found), columns=list(schema.BEST_COLUMNS))
    kinds = {schema.START: "int64", schema.END: "int64", schema.POSITION: "Int64"}
    return table.astype(kinds | {schema.PROBABILITY: "float64", schema.EXPECTED_TAGS: "float64"})


def best_tss(
    scorer: TrackScorer,
    card: TrackCard,
    records: Records,
    stranded: bool = False,
    threads: int = 1,
    advance: Callable[[int], object] = lambda bases: None,
) -> Iterator[Best]:
    """Yield the best TSS of every record, in their order.

    Parameters
    ----------
    stranded
        Whether a record is answered on its own strand alone, where it has one.
    advance
        Called with the number of bases that were answered.
    """
    distance = card.calling.distance if card.calling else DISTANCE
    if records.empty:
        logger.warning("predict: %d of %d records have no bases: their row has '.'", records.empty, records.n)
    for is_long, group in groupby(records.read(), key=lambda record: record.end - record.start > LONGEST_PACKED):
        if not is_long:
            yield from _best_of_short(scorer, group, distance, stranded, threads, advance)
            continue
        for record in group:
            best = _best_of_long(scorer, record, distance, _strands(record, stranded), threads, advance)
            yield _answer(record, best)


def _strands(record: Record, stranded: bool) -> tuple[int, ...]:
    """Return the strands on which a record is answered: 0 for +, 1 for -."""
    return ("+-".index(record.strand),) if stranded and record.strand in ("+", "-") else (0, 1)


def _answer(record: Record, best: Sites | None) -> Best:
    where = (record.name, record.chrom, record.start, record.end)
    if best is None:
        return Best(*where, None, None, None, None)
    strand, position, probability, tags, _ = (column[0] for column in best)
    return Best(*where, int(position), "+-"[int(strand)], float(probability), float(tags))


def _best_of_short(
    scorer: TrackScorer,
    records: Iterable[Record],
    distance: int,
    stranded: bool,
    threads: int,
    advance: Callable[[int], object],
) -> Iterator[Best]:
    """Yield the best TSSs of records that are packed; those that are being scored are kept until they are answered."""
    waiting: deque[Record] = deque()

    def parts() -> Iterator[Part]:
        for record in records:
            waiting.append(record)
            if record.end > record.start:
                yield Part(record.codes, record.start, record.end)

    for tile in score_packed(scorer, parts(), threads):
        while waiting[0].end == waiting[0].start:
            yield _answer(waiting.popleft(), None)
        record = waiting.popleft()
        inside = slice(record.start - tile.start, record.end - tile.start)
        yield _answer(record, best_site(tile, distance, inside, _strands(record, stranded)))
        advance(record.end - record.start)
    yield from (_answer(record, None) for record in waiting)


def _best_of_long(
    scorer: TrackScorer,
    record: Record,
    distance: int,
    strands: tuple[int, ...],
    threads: int,
    advance: Callable[[int], object],
) -> Sites:
    """Return the best TSS of a record that is read tile by tile."""
    best: Sites | None = None
    for stretch in along(scorer, record.codes, record.start, record.end, distance, threads=threads):
        sites = stretch.sites.where(np.isin(stretch.sites.strand, strands))
        if len(sites.position):
            first = sites.where(np.lexsort((sites.position, sites.strand, -sites.probability))[:1])
            if best is None or _goes_before(first, best):
                best = first
        advance(stretch.tile.end - stretch.tile.start)
    if best is None:  # the network expects nothing anywhere
        return best_site(next(scorer.tiles(record.codes, record.start, record.start + 1)), 0, slice(0, 1), strands)
    return best


def _goes_before(one: Sites, other: Sites) -> bool:
    """Tell whether a site is more probable than another one; of equals, + goes before -, then the left one."""
    keys = [(-site.probability[0], site.strand[0], site.position[0]) for site in (one, other)]
    return bool(keys[0] < keys[1])
