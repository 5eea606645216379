"""Effects of many alleles, batch by batch, in the order of their records."""

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Final, NamedTuple, TypeVar

from capsight.data.io.vcf import Variant, VariantFile
from capsight.errors import InputError
from capsight.model.track_folder import TrackCard
from capsight.predict.alleles import AlleleScorer, Change
from capsight.predict.scan import calling_rule
from capsight.predict.stream import in_order
from capsight.predict.track import TrackScorer
from capsight.variants.effects import NO_EFFECT, Effect, Summary
from capsight.variants.sites import FAULTS, Places, Unscored
from capsight.variants.tally import Answer

Item = TypeVar("Item")

#: Records that are scored together. The batches are those of the whole file whatever its shard and the number of
#: threads: an answer then has the same bits in every run.
BATCH: Final = 256
#: Pairs of alleles that are held at a time.
_HELD: Final = 64


class Survey(NamedTuple):
    """What is known of a file before it is scored: its records, whether they are sorted, and the last base of any."""

    n: int
    is_sorted: bool
    last: int


def summary_of(card: TrackCard, distance: int) -> Summary:
    """Return how effects are read with a model."""
    rule = calling_rule(card)
    return Summary(card.calibration, rule.min_probability, rule.distance, distance)


def survey(file: VariantFile, places: Places, fail_on_error: bool = False) -> Survey:
    """Read all records before any of them is scored, so that a malformed one is found in time.

    Raises
    ------
    InputError
        Of `VariantFile.records`; with `fail_on_error`, of the first record that cannot be scored.
    """
    if not fail_on_error:
        return surveyed(file.records())
    found = surveyed(_checked(file, places))
    places.genome.release()
    return found


def _checked(file: VariantFile, places: Places) -> Iterator[Variant]:
    """Yield the records of a file; refuse the first that cannot be scored."""
    for variant in file.records():
        for allele in places.alleles(variant):
            if isinstance(allele, Unscored) and allele.why in FAULTS:
                raise InputError(
                    f"cannot be scored: {allele.why}: {allele.what}",
                    where=f"{file.path}:{variant.number}", remedy="without --fail-on-error it is passed through",
                )  # fmt: skip
        yield variant


def surveyed(records: Iterable[Variant]) -> Survey:
    """Return what is known of records once all are read."""
    n, last, is_sorted, before, seen = 0, 0, True, ("", 0), set()
    for n, variant in enumerate(records, start=1):  # noqa: B007 (n is returned)
        if variant.chrom != before[0]:
            is_sorted = is_sorted and variant.chrom not in seen
            seen.add(variant.chrom)
        elif variant.position < before[1]:
            is_sorted = False
        before = (variant.chrom, variant.position)
        last = max(last, variant.position + len(variant.ref))
    return Survey(n, is_sorted, last)


def score(
    records: Iterable[Variant], places: Places, scorer: TrackScorer, summary: Summary, threads: int = 1
) -> Iterator[Answer]:
    """Score records batch by batch, in their order."""

    def answer(batch: tuple[Variant, ...]) -> Answer:
        return _score_batch(batch, places, scorer, summary)

    yield from in_order(answer, batches(records, BATCH), threads)


def _score_batch(batch: tuple[Variant, ...], places: Places, scorer: TrackScorer, summary: Summary) -> Answer:
    """Score records together, those of one contig by their positions."""
    effects: list[list[Effect | None]] = [[None] * len(variant.alts) for variant in batch]
    unscored: list[tuple[Variant, Unscored]] = []
    found: dict[int, list[tuple[Change, int, int]]] = {}
    for i, variant in enumerate(batch):
        for j, allele in enumerate(places.alleles(variant)):
            if isinstance(allele, Unscored):
                unscored.append((variant, allele))
            elif allele.start == allele.end and not len(allele.alternative):
                effects[i][j] = NO_EFFECT  # the reference itself
            else:
                found.setdefault(places.contig(variant.chrom), []).append((allele, i, j))
    for contig, of_contig in sorted(found.items()):
        of_contig.sort(key=lambda one: (one[0].start, one[0].end))
        changes = [change for change, _, _ in of_contig]
        for (_, i, j), effect in zip(of_contig, effects_of(contig, changes, places, scorer, summary), strict=True):
            effects[i][j] = effect
    places.genome.release()
    return Answer(batch, effects, unscored)


def effects_of(
    contig: int, changes: list[Change], places: Places, scorer: TrackScorer, summary: Summary
) -> Iterator[Effect]:
    """Yield the effect of changes of one contig."""
    codes = places.genome.view(contig)
    alleles = AlleleScorer(scorer, summary.distance).alleles(codes, changes)
    for held in batches(zip(changes, alleles, strict=True), _HELD):
        yield from summary.effects([change for change, _ in held], [pair for _, pair in held], len(codes))


def batches(items: Iterable[Item], size: int) -> Iterator[tuple[Item, ...]]:
    """Yield items that follow each other in tuples of `size`; the last one may be shorter."""
    left = iter(items)
    while batch := tuple(islice(left, size)):
        yield batch


def share(n: int, shard: str | None) -> tuple[int, int]:
    """Return from which record to which a shard reaches: whole batches, as many as the others have."""
    if shard is None:
        return 0, n
    number, shards = map(int, shard.split("/"))
    batches = -(-n // BATCH)
    first, last = ((batches * part // shards) * BATCH for part in (number - 1, number))
    return min(first, n), min(last, n)
