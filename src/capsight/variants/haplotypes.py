"""Variants of one haplotype together: what all that a sample has on one copy of a place does, against the reference."""

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise
from typing import IO, Final, NamedTuple

import numpy as np

from capsight.config import VariantsConfig
from capsight.data.io.vcf import Variant, VariantFile
from capsight.errors import InputError
from capsight.predict.alleles import Change
from capsight.predict.stream import in_order, working_threads
from capsight.predict.track import TrackScorer
from capsight.progress import progress
from capsight.variants.columns import COLUMNS, fields
from capsight.variants.effects import Effect, Summary
from capsight.variants.scoring import BATCH, Survey, batches, effects_of
from capsight.variants.sites import Places, Unscored
from capsight.variants.tally import Tally

logger = logging.getLogger(__name__)

_HEADER: Final = ("chrom", "first", "last", "variants", "n_carriers", "carriers", *COLUMNS)
#: Phase set of what is phased without one.
_PHASED: Final = ""
UNPHASED: Final = "unphased genotype"
OVERLAPS: Final = "variant that overlaps one before it on the same copy"
UNKNOWN: Final = "genotype with an allele that its record does not have"


class Carried(NamedTuple):
    """A change on one copy, and its record: what it is called, and its bases, 0-based half-open.

    `phase` is the phase set, `None` where both copies have the change.
    """

    change: Change
    label: str
    start: int
    end: int
    phase: str | None


class Haplotype(NamedTuple):
    """Several changes of one place as one, and the copies that have them: sample and number of the copy, from 1."""

    chrom: str
    contig: int
    carried: tuple[Carried, ...]
    change: Change
    carriers: tuple[str, ...]


@dataclass
class _Copy:
    """What one copy of a sample has: changes that may be near others, and how many of these have been looked at."""

    held: list[Carried] = field(default_factory=list)
    done: int = 0
    last: tuple[Carried, ...] = ()

    def around(self, reach: int, upto: int) -> Iterator[tuple[Carried, ...]]:
        """Yield what lies within `reach` of each change that ends before `upto` less `reach`, each set once."""
        while self.done < len(self.held) and self.held[self.done].change.end + reach < upto:
            centre = self.held[self.done]
            near = [
                other
                for other in self.held
                if other.change.end + reach >= centre.change.start and other.change.start - reach <= centre.change.end
            ]
            phases = {other.phase for other in near if other.phase is not None}
            phase = centre.phase if centre.phase is not None else phases.pop() if len(phases) == 1 else None
            chosen = tuple(other for other in near if other.phase in (None, phase))
            if len(chosen) > 1 and chosen != self.last:
                self.last = chosen
                yield chosen
            self.done += 1
        pending = self.held[self.done].change.start if self.done < len(self.held) else upto
        while self.done and self.held[0].change.end + reach < pending:  # near nothing that is still to come
            del self.held[0]
            self.done -= 1


def write_haplotypes(
    config: VariantsConfig,
    file: VariantFile,
    places: Places,
    scorer: TrackScorer,
    summary: Summary,
    found: Survey,
    handle: IO[bytes],
) -> None:
    """Write one row for each set of changes that some copy has within the distance of one of them.

    Raises
    ------
    InputError
        If the records are not sorted.
    """
    if not found.is_sorted:
        raise InputError(
            "the records are not sorted: which of them are neighbours is not known", where=file.path,
            remedy="bcftools sort",
        )  # fmt: skip
    handle.write(("\t".join(_HEADER) + "\n").encode())
    n = 0
    with working_threads(config.threads, scorer) as threads, progress("variants", found.n, " records") as bar:
        tally = Tally(file.path, places.genome)
        sets = haplotypes(file, places, config.distance, tally, bar.update)
        score = partial(_score, places=places, scorer=scorer, summary=summary)
        for rows in in_order(score, batches(sets, BATCH), threads):
            for haplotype, effect in rows:
                carried, carriers = haplotype.carried, haplotype.carriers
                first, last = min(one.start for one in carried) + 1, max(one.end for one in carried)
                names = ",".join(one.label for one in carried)
                values = (haplotype.chrom, first, last, names, len(carriers), ",".join(carriers))
                handle.write(("\t".join([*map(str, values), *fields(effect)]) + "\n").encode())
                n += 1
    tally.report_left_out()
    logger.info("variants: %s sets of neighbouring variants on one haplotype", f"{n:,}")


def _score(
    sets: tuple[Haplotype, ...], places: Places, scorer: TrackScorer, summary: Summary
) -> list[tuple[Haplotype, Effect]]:
    """Score haplotypes together, those of one contig by their positions."""
    order = sorted(range(len(sets)), key=lambda i: (sets[i].contig, sets[i].change.start, sets[i].change.end))
    found: dict[int, Effect] = {}
    for contig in sorted({one.contig for one in sets}):
        chosen = [i for i in order if sets[i].contig == contig]
        effects = effects_of(contig, [sets[i].change for i in chosen], places, scorer, summary)
        found.update(zip(chosen, effects, strict=True))
    return [(one, found[i]) for i, one in enumerate(sets)]


def haplotypes(
    file: VariantFile,
    places: Places,
    distance: int,
    tally: Tally,
    advance: Callable[[int], object] = lambda records: None,
) -> Iterator[Haplotype]:
    """Yield the sets of neighbouring changes of all copies of all samples, from sorted records."""
    samples = file.columns[9:]
    copies: dict[tuple[int, int], _Copy] = {}
    chrom, swept = "", 0
    for variant in file.records():
        if variant.chrom != chrom:
            yield from _finished(copies, samples, chrom, places, distance, np.iinfo(np.int64).max)
            copies, chrom, swept = {}, variant.chrom, 0
        elif variant.position > swept + distance:
            yield from _finished(copies, samples, chrom, places, distance, variant.position)
            swept = variant.position
        _carry(variant, places, copies, tally)
        advance(1)
    yield from _finished(copies, samples, chrom, places, distance, np.iinfo(np.int64).max)


def _carry(variant: Variant, places: Places, copies: dict[tuple[int, int], _Copy], tally: Tally) -> None:
    """Give the alleles of a record to the copies that have them."""
    keys, *genotypes = variant.line.decode("utf-8", "replace").split("\t")[8:]
    names = keys.split(":")
    if "GT" not in names:
        return
    alleles = places.alleles(variant)
    tally.alleles += len(alleles)
    for allele in alleles:
        if isinstance(allele, Unscored):
            tally.leave_out(variant, allele)
        else:
            tally.scored += 1
    for sample, genotype in enumerate(genotypes):
        values = dict(zip(names, genotype.split(":"), strict=False))
        text = values.get("GT", ".")  # fields at the end may be left out
        called = text.lstrip("|/").replace("|", "/").split("/")
        is_same = len(set(called)) == 1
        for copy, number in enumerate(called, start=1):
            if number == "0" or not number.isdecimal():
                continue
            what = f"{text} of sample {sample + 1} at {variant.chrom}:{variant.position + 1}"
            change = alleles[int(number) - 1] if int(number) <= len(alleles) else None
            held = copies.setdefault((sample, copy), _Copy()).held
            if change is None:
                tally.leave_out(variant, Unscored(UNKNOWN, what))
            elif isinstance(change, Unscored) or (change.start == change.end and not len(change.alternative)):
                continue
            elif "/" in text and not is_same:
                tally.leave_out(variant, Unscored(UNPHASED, what))
            elif held and held[-1].change.end > change.start:
                tally.leave_out(variant, Unscored(OVERLAPS, what))
            else:
                phase = None if is_same else values.get("PS", _PHASED)
                label = f"{variant.position + 1}:{variant.ref.decode()}>{variant.alts[int(number) - 1].decode()}"
                held.append(Carried(change, label, variant.position, variant.position + len(variant.ref), phase))


def _finished(
    copies: dict[tuple[int, int], _Copy], samples: list[str], chrom: str, places: Places, distance: int, upto: int
) -> Iterator[Haplotype]:
    """Yield the sets whose neighbours are all known when the records have come to a position."""
    carriers: dict[tuple[tuple[int, int, bytes], ...], tuple[tuple[Carried, ...], list[str]]] = {}
    for (sample, number), copy in sorted(copies.items()):
        for chosen in copy.around(distance, upto):
            key = tuple((c.change.start, c.change.end, c.change.alternative.tobytes()) for c in chosen)
            carriers.setdefault(key, (chosen, []))[1].append(f"{samples[sample]}:{number}")
    contig = places.contig(chrom) if carriers else -1
    for _, (chosen, names) in sorted(carriers.items(), key=lambda item: item[0]):
        codes, parts = places.genome.view(contig), [chosen[0].change.alternative]
        for before, after in pairwise(chosen):  # the bases of the reference between them
            parts += [codes[before.change.end : after.change.start] & np.uint8(7), after.change.alternative]
        change = Change(chosen[0].change.start, chosen[-1].change.end, np.concatenate(parts))
        yield Haplotype(chrom, contig, chosen, change, tuple(names))
