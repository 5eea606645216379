"""`variants`: what each alternative allele of a file of variants does to transcription initiation around it."""

import logging
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, Final

import pysam

from capsight import artefact, output
from capsight.config import VariantsConfig
from capsight.data.genome.contig_names import Aliases
from capsight.data.genome.genome import Genome
from capsight.data.genome.store import genome_inputs
from capsight.data.io.text import given, shown
from capsight.data.io.vcf import Kind, Variant, VariantFile, quiet_htslib
from capsight.errors import InputError
from capsight.model.track_folder import load_track
from capsight.predict.scan import check_track
from capsight.predict.stream import working_threads
from capsight.predict.track import TrackScorer, best_device
from capsight.progress import progress
from capsight.shipped import find_model
from capsight.variants.columns import COLUMNS, FIELDS, PREFIX, fields
from capsight.variants.effects import UPSTREAM, Effect, Summary
from capsight.variants.scoring import Survey, score, share, summary_of, survey
from capsight.variants.sites import Places
from capsight.variants.tally import Tally
from capsight.version import __version__

logger = logging.getLogger(__name__)

#: Positions of tabix indices (.tbi) end here; others are indexed as .csi.
_LARGEST_TBI: Final = 1 << 29

#: First columns of the table that is made of a VCF.
_FIRST: Final = b"chrom\tposition\tid\tref\talt"


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
        If a file cannot be used; with `fail_on_error`, of the first record that cannot be scored.
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
    found = survey(file, places, config.fail_on_error)
    beside = index_of(found, out) if kind == "VCF" else None
    with artefact.atomic_file(out, "variants", config, inputs, suffix=suffix, beside=beside) as partial:
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
        is_table = Path(name).suffix in (".tsv", ".txt")
        return "table" if is_table else _unless(clash, file, f"INFO/{PREFIX}…", "that first (bcftools annotate -x)")
    taken = [name.lower() for name in file.columns if name.lower() in COLUMNS]
    return _unless(taken, file, f"column {taken[0]!r}" if taken else "", "that column first")


def _unless(clash: Iterable[object], file: VariantFile, what: str, remove: str) -> Kind:
    if clash:
        raise InputError(
            f"was scored before: it has {what}", where=file.path, remedy=f"remove {remove}, or score the original"
        )
    return file.kind


def index_of(found: Survey, out: Path, stage: str = "variants") -> artefact.Beside | None:
    """Return the index that a VCF gets: none if it is not packed, or its records are not sorted."""
    if output.is_stream(out) or not out.name.lower().endswith(output.COMPRESSED):
        return None
    if not found.is_sorted:
        logger.warning("%s: the records are not sorted, so %s gets no index (bcftools sort sorts them)", stage, out)
        return None
    csi = found.last > _LARGEST_TBI

    def make(packed: Path, index: Path) -> None:
        with quiet_htslib():  # it warns of position 0, which VCF has for telomeres
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
    parts = variant.line.split(b"\t", 8)
    before, info, *after = [b"\t".join(parts[:7]), *parts[7:]]
    added = b";".join(f"{PREFIX}{name}=".encode() + v for (name, _, _), v in zip(FIELDS, values, strict=True))
    info = added if info in (b".", b"") else info.rstrip(b";") + b";" + added
    return b"\t".join([before, info, *after]) + variant.end
