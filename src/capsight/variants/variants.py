"""`variants`: what each alternative allele of a file of variants does to transcription initiation around it."""

import logging
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import IO, Final, NamedTuple, TypeVar

import pysam

from capsight import artefact, output
from capsight.config import VariantsConfig
from capsight.data.genome.contig_names import Aliases
from capsight.data.genome.genome import Genome
from capsight.data.genome.store import genome_inputs
from capsight.data.io.text import given, shown
from capsight.data.io.vcf import Kind, Variant, VariantFile
from capsight.errors import InputError
from capsight.model.track_folder import TrackCard, load_track
from capsight.predict.alleles import AlleleScorer, Change
from capsight.predict.scan import calling_rule, check_track
from capsight.predict.stream import in_order, working_threads
from capsight.predict.track import TrackScorer, best_device
from capsight.progress import progress
from capsight.shipped import find_model
from capsight.variants.effects import NO_EFFECT, UPSTREAM, Effect, Move, Summary
from capsight.variants.sites import FAULTS, Places, Unscored
from capsight.variants.tally import Answer, Tally
from capsight.version import __version__

logger = logging.getLogger(__name__)

Item = TypeVar("Item")

#: Records that are scored together. The batches are those of the whole file whatever its shard and the number of
#: threads: an answer then has the same bits in every run.
BATCH: Final = 256
#: Pairs of alleles that are held at a time.
_HELD: Final = 64
#: Positions of tabix indices (.tbi) end here; others are indexed as .csi.
_LARGEST_TBI: Final = 1 << 29

PREFIX: Final = "CAPSIGHT_"
#: Fields of the output: name, type, description.
FIELDS: Final = (
    ("LOG2_PLUS", "Float", "Change of log2 expected tags on the plus strand, {reach}"),
    ("LOG2_MINUS", "Float", "Change of log2 expected tags on the minus strand, {reach}"),
    ("GAIN", "Float", "Largest gain of probability of a TSS at a base"),
    ("GAIN_AT", "String", "Position (from 1) and strand of the largest gain"),
    ("LOSS", "Float", "Largest loss of probability of a TSS at a base"),
    ("LOSS_AT", "String", "Position (from 1) and strand of the largest loss"),
    ("TSS_LOG2", "Float", "Of the called TSS that changes most, change of log2 expected tags within 10 bases"),
    ("TSS_AT", "String", "Position (from 1) and strand of the called TSS that changes most"),
)
COLUMNS: Final = tuple(name.lower() for name, _, _ in FIELDS)
#: First columns of the table that is made of a VCF.
_FIRST: Final = b"chrom\tposition\tid\tref\talt"
_NOTHING: Final = (".",) * len(FIELDS)


class Survey(NamedTuple):
    """What is known of a file before it is scored: its records, whether they are sorted, and the last base of any."""

    n: int
    is_sorted: bool
    last: int


def variants(config: VariantsConfig, model: Path, genome: Path, source: Path, out: Path) -> Path:
    """Score the variants of a file with a track model.

    Parameters
    ----------
    config
        How far effects are looked for, and which records are scored.
    model
        Folder of a track model, or the name of a shipped one.
    genome
        FASTA (plain or bgzip), 2bit, or a folder of FASTA files.
    source
        VCF, BCF, or a table with the columns chrom, position (from 1), ref, alt.
    out
        The same records in the same order, with what was found: VCF, where `source` is one and the name ends in
        ``.vcf`` or ``.vcf.gz`` (bgzip, with an index beside it if the records are sorted), else a table.

    Raises
    ------
    InputError
        If a file cannot be used; with `strict`, of the first record that cannot be scored.
    """
    model, genome, source = find_model(model), given(genome), given(source)
    check_track(model)
    inputs = {"model": model, "source": source, **genome_inputs(genome)}
    if config.aliases:
        inputs["aliases"] = config.aliases
    if artefact.is_done(out, "variants", config, inputs):
        logger.info("variants: %s is done already", out)
        return out
    file = VariantFile.open(source)
    kind = _kind(file, out, config.haplotypes)
    suffix = ".vcf" if kind == "VCF" else ""
    if not output.is_stream(out):
        output.check_file(output.resolve(out), inputs.values(), suffix=suffix)
    opened = Genome.open(genome)
    places = Places(opened, Aliases.read(config.aliases, opened) if config.aliases else Aliases())
    found = survey(file, places, config.strict)
    beside = index_of(found, out) if kind == "VCF" else None
    with artefact.building_file(out, "variants", config, inputs, suffix=suffix, beside=beside) as partial:
        network, card = load_track(model)
        scorer = TrackScorer(network.to(best_device()), card.calibration, config.precision)
        told = (
            f"{__version__}, model {shown(model.name)} (SHA-256 {artefact.sha256(model)}), genome {shown(genome.name)}"
        )
        with partial.open("wb") as handle:
            if config.haplotypes:
                from capsight.variants.haplotypes import write_haplotypes

                write_haplotypes(config, file, places, scorer, summary_of(card, config.distance), found, handle)
            else:
                handle.writelines(_header(file, kind, config.distance, told))
                _write(config, file, kind, places, scorer, summary_of(card, config.distance), found.n, handle)
    return out


def summary_of(card: TrackCard, distance: int) -> Summary:
    """Return how effects are read with a model."""
    rule = calling_rule(card)
    return Summary(card.calibration, rule.min_probability, rule.distance, distance)


def _kind(file: VariantFile, out: Path, haplotypes: bool) -> Kind:
    """Return what is written: by the name of the output, else what was read.

    Raises
    ------
    InputError
        If that cannot be made of the input.
    """
    name = out.name.lower()
    name = next((name.removesuffix(end) for end in output.COMPRESSED if name.endswith(end)), name)
    as_vcf = Path(name).suffix == ".vcf"
    if haplotypes:
        if file.kind != "VCF" or len(file.columns) < 10:
            raise InputError("has no genotypes: haplotypes are read from the samples of a VCF", where=file.path)
        if as_vcf:
            raise InputError("haplotypes are written as a table", where=out, remedy="name it .tsv")
        return "table"
    if as_vcf and file.kind == "table":
        raise InputError("a table is not written as VCF", where=out, remedy="name it .tsv (or .tsv.gz)")
    if file.kind == "VCF":
        clash = [line for line in file.header if f"ID={PREFIX}".encode() in line]
        return "table" if Path(name).suffix in (".tsv", ".txt") else _unless(clash, file, f"INFO/{PREFIX}…")
    taken = [name.lower() for name in file.columns if name.lower() in COLUMNS]
    return _unless(taken, file, f"column {taken[0]!r}" if taken else "")


def _unless(clash: Iterable[object], file: VariantFile, what: str) -> Kind:
    if clash:
        raise InputError(
            f"was scored before: it has {what}", where=file.path,
            remedy="remove that first (bcftools annotate -x), or score the original",
        )  # fmt: skip
    return file.kind


def survey(file: VariantFile, places: Places, strict: bool = False) -> Survey:
    """Read all records before any of them is scored, so that a malformed one is found in time.

    Raises
    ------
    InputError
        Of `VariantFile.records`; with `strict`, of the first record that cannot be scored.
    """
    if not strict:
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
                    where=f"{file.path}:{variant.number}", remedy="without --strict it is passed through",
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


def index_of(found: Survey, out: Path, stage: str = "variants") -> artefact.Beside | None:
    """Return the index that a VCF gets: none if it is not packed, or its records are not sorted."""
    if output.is_stream(out) or not out.name.lower().endswith(output.COMPRESSED):
        return None
    if not found.is_sorted:
        logger.warning("%s: the records are not sorted, so %s gets no index (bcftools sort sorts them)", stage, out)
        return None
    csi = found.last > _LARGEST_TBI

    def make(packed: Path, index: Path) -> None:
        pysam.tabix_index(str(packed), preset="vcf", csi=csi, index=str(index), keep_original=True, force=True)

    return artefact.Beside(".csi" if csi else ".tbi", make)


def _header(file: VariantFile, kind: Kind, distance: int, told: str) -> Iterator[bytes]:
    """Yield the header of the output."""
    last = file.header[-1]
    names = last.rstrip(b"\r\n")
    end = last[len(names) :] or b"\n"
    if kind == "VCF":
        yield from file.header[:-1]
        yield f"##capsight_variants={told}, distance {distance}".encode() + end
        reach = f"from {min(UPSTREAM, distance)} bases upstream of the variant to {distance} downstream"
        for name, of, description in FIELDS:
            text = description.format(reach=reach)
            line = f'##INFO=<ID={PREFIX}{name},Number=A,Type={of},Description="{text}",Source="capsight",'
            yield f'{line}Version="{__version__}">'.encode() + end
        yield last
    else:
        yield b"\t".join([_FIRST if file.kind == "VCF" else names, *(column.encode() for column in COLUMNS)]) + end


def _write(
    config: VariantsConfig,
    file: VariantFile,
    kind: Kind,
    places: Places,
    scorer: TrackScorer,
    summary: Summary,
    n: int,
    handle: IO[bytes],
) -> None:
    """Score the records of a shard and write them, batch by batch."""
    first, last = share(n, config.shard)
    wanted = (variant for number, variant in enumerate(file.records()) if first <= number < last)
    tally = Tally(file.path, places.genome)
    with working_threads(config.threads, scorer) as threads, progress("variants", last - first, " records") as bar:
        for answer in score(wanted, places, scorer, summary, threads):
            tally.add(answer)
            for variant, effects in zip(answer.records, answer.effects, strict=True):
                handle.write(_line(variant, effects, file, kind))
            bar.update(len(answer.records))
    tally.report()


def share(n: int, shard: str | None) -> tuple[int, int]:
    """Return from which record to which a shard reaches: whole batches, as many as the others have."""
    if shard is None:
        return 0, n
    number, shards = map(int, shard.split("/"))
    batches = -(-n // BATCH)
    first, last = ((batches * part // shards) * BATCH for part in (number - 1, number))
    return min(first, n), min(last, n)


def batches(items: Iterable[Item], size: int) -> Iterator[tuple[Item, ...]]:
    """Yield items that follow each other in tuples of `size`; the last one may be shorter."""
    left = iter(items)
    while batch := tuple(islice(left, size)):
        yield batch


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


def _line(variant: Variant, effects: list[Effect | None], file: VariantFile, kind: Kind) -> bytes:
    """Return a record with what was found."""
    if not variant.line:
        return variant.line + variant.end
    values = [",".join(column).encode() for column in zip(*map(fields, effects), strict=True)]
    if kind == "table":
        line = b"\t".join(variant.line.split(b"\t", 5)[:5]) if file.kind == "VCF" else variant.line
        return b"\t".join([line, *values]) + variant.end
    if not any(effects):
        return variant.line + variant.end
    before, info, *after = _around_info(variant.line)
    added = b";".join(f"{PREFIX}{name}=".encode() + v for (name, _, _), v in zip(FIELDS, values, strict=True))
    info = added if info in (b".", b"") else info.rstrip(b";") + b";" + added
    return b"\t".join([before, info, *after]) + variant.end


def _around_info(line: bytes) -> list[bytes]:
    """Split a line of a VCF into what stands before INFO, INFO, and what stands behind, if there is anything."""
    parts = line.split(b"\t", 8)
    return [b"\t".join(parts[:7]), *parts[7:]]


def fields(effect: Effect | None) -> tuple[str, ...]:
    """Return the values of `FIELDS` for one allele."""
    if effect is None:
        return _NOTHING
    plus, minus = (_number(value) for value in effect.log2)
    return plus, minus, *_moved(effect.gain, 1), *_moved(effect.loss, -1), *_moved(effect.tss, 1, ".")


def _moved(move: Move | None, sign: int, none: str = "0") -> tuple[str, str]:
    text = _number(sign * move.change) if move else "0"
    return (none, ".") if move is None or text == "0" else (text, f"{move.position + 1}:{'+-'[move.strand]}")


def _number(value: float) -> str:
    """Return a number with four decimals at the most; nothing is 0, never -0."""
    return f"{round(value, 4) + 0.0:.6g}"
