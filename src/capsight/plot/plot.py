"""`plot`: a picture of one place."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np

from capsight import artefact, output
from capsight.config import PlotConfig
from capsight.data.ctss.reader import check_named_once, read_ctss
from capsight.data.genome.alphabet import LETTERS, Codes
from capsight.data.genome.contig_names import Aliases
from capsight.data.genome.genes import Stretch, check_contigs, read_genes
from capsight.data.genome.genome import Genome
from capsight.data.genome.store import genome_inputs
from capsight.data.genome.stretches import Span
from capsight.data.io.bed import BED, read_bed, read_records, records
from capsight.data.io.bigwig import BigWig
from capsight.data.io.text import given, open_text
from capsight.errors import ConfigError, InputError
from capsight.explain.place import BEFORE, BEHIND, explain_place
from capsight.explain.reader import TrackWrapper
from capsight.plot.drawing import draw_locus
from capsight.plot.locus import Floats, Locus, Logo, Tss
from capsight.plot.page import write_page
from capsight.plot.variants import read_alleles, score_alleles
from capsight.predict.best import best_tss
from capsight.predict.calls import SCORE_REACH
from capsight.predict.records import Record, Records
from capsight.predict.regions import spans
from capsight.predict.scan import calling_rule, check_track, scan_span
from capsight.predict.stream import working_threads
from capsight.predict.track import within
from capsight.predict.writers import STRANDS
from capsight.shipped import find_model

logger = logging.getLogger(__name__)

#: Formats of the picture, by the end of its name.
FORMATS: Final = (".svg", ".png", ".html")
#: A picture shows no more bases than this.
MOST_BASES: Final = 200_000
#: Of integrated gradients: dinucleotide shuffles, and steps of each integral.
N_REFERENCES: Final = 8
N_STEPS: Final = 24
#: A logo of a longer place shows bases near the TSS alone.
ZOOMED: Final = 150


def plot(config: PlotConfig, model: Path | None, out: Path) -> Path:
    """Draw a place of a genome.

    Parameters
    ----------
    config
        The place, and what is shown of it.
    model
        Folder of a track model, or the name of a shipped one. Needed unless ``config.scan`` has the tracks, and for
        explanations and variants.
    out
        Picture to write: ``.svg``, ``.png``, or ``.html``, a page that needs no other file; SVG with any other name.

    Raises
    ------
    InputError
        If a file cannot be used, or the region does not lie in the genome.
    """
    name = out.name.lower()
    packed = next((end for end in output.COMPRESSED if name.endswith(end)), "")
    kind = Path(name.removesuffix(packed)).suffix
    if kind not in FORMATS or output.is_stream(out):
        kind = FORMATS[0]
    model = _model(config, model)
    inputs = _inputs(config, model)
    if artefact.is_done(out, "plot", config, inputs):
        logger.info("plot: %s is done already", out)
        return out
    with artefact.atomic_file(out, "plot", config, inputs, suffix=kind) as partial:
        locus = _locus(config, model)
        if kind == ".html":
            write_page(locus, artefact.provenance("plot", config, inputs), partial)
        else:
            draw_locus(locus, partial, kind[1:])
    return out


def _model(config: PlotConfig, model: Path | None) -> Path | None:
    """Return the folder of the model; refuse to go on without one where it is needed."""
    if model is not None:
        model = find_model(model)
        check_track(model)
        return model
    for what, wanted in (("--explain", config.explain), ("--vcf", config.vcf)):
        if wanted:
            raise ConfigError(f"{what} needs a model: name it by --model")
    if config.scan is None:
        raise ConfigError("name a track model by --model, or a scan of the genome by --scan")
    return None


def _inputs(config: PlotConfig, model: Path | None) -> dict[str, Path]:
    """Return all files that are read."""
    if config.scan is not None:
        _scan_record(config.scan)
    check_named_once((*config.ctss, *config.ctss_plus, *config.ctss_minus))
    inputs = genome_inputs(config.genome) | ({"model": model} if model else {})
    for name in ("ctss", "ctss_plus", "ctss_minus"):
        inputs |= {f"{name}/{number}": given(path) for number, path in enumerate(getattr(config, name))}
    for name in ("genes", "vcf", "scan", "aliases"):
        if path := getattr(config, name):
            inputs[name] = given(path)
    return inputs


def _locus(config: PlotConfig, model: Path | None) -> Locus:
    """Collect what the picture shows."""
    genome = Genome.open(config.genome)
    [span] = spans(genome, config.region)
    if span.end - span.start > MOST_BASES:
        raise ConfigError(
            f"region {config.region!r} has {span.end - span.start:,} bases", where=config.genome,
            remedy=f"a picture shows {MOST_BASES:,} at most: name a part of it",
        )  # fmt: skip
    aliases = Aliases.read(config.aliases, genome) if config.aliases else Aliases()
    stretch = Stretch(span.chrom, span.start, span.end)
    shown: dict[str, Any] = {}
    if config.ctss or config.ctss_plus or config.ctss_minus:
        shown["observed"] = _observed(config, genome, span, aliases)
    if config.genes:
        shown["genes"] = tuple(read_genes(config.genes, genome, stretch, aliases))
    alleles = read_alleles(config.vcf, genome, span, aliases) if config.vcf else None
    reader = None if model is None else TrackWrapper.open(model, config.precision)
    if config.scan is not None:
        expected, tss, tags = scanned(config.scan, genome, span)
    else:
        assert reader is not None
        expected, tss, tags = _predicted(config, reader, genome, span)
    logger.info("plot: %d TSSs called in %s", len(tss), config.region)
    if alleles is not None:
        assert reader is not None
        shown["variants"] = tuple(score_alleles(alleles, reader, genome.view(span.contig)))
    if config.explain:
        assert reader is not None
        contig = genome.view(span.contig)
        chosen = tss[int(np.argmax(tags))] if tss else _most_probable(config, reader, contig, span)
        shown["logo"] = _logo(config, reader, contig, span, chosen)
    return Locus(span.chrom, span.start, span.end, expected, tss, **shown)


def _observed(config: PlotConfig, genome: Genome, span: Span, aliases: Aliases) -> Floats:
    """Return observed 5' ends, ``(2, length)``."""
    read, ends = read_ctss(config.ctss, config.ctss_plus, config.ctss_minus, ("--ctss-plus", "--ctss-minus"))
    names = aliases.names(read)
    check_contigs(names, genome, (*config.ctss, *config.ctss_plus, *config.ctss_minus)[0])
    found = np.zeros((2, span.end - span.start))
    there = np.array([name == span.chrom for name in names])[ends.contig]
    inside = ends.where(there & (ends.position >= span.start) & (ends.position < span.end))
    np.add.at(found, (inside.minus, inside.position - span.start), inside.counts)  # a contig may have two names
    if not found.any():
        logger.warning("plot: no 5' ends were observed in %s", config.region)
    return found


def _predicted(
    config: PlotConfig, reader: TrackWrapper, genome: Genome, span: Span
) -> tuple[Floats, tuple[Tss, ...], list[float]]:
    """Ask the model for expected tags, ``(2, length)``; call TSSs, and sum the expected tags around each of them."""
    rule = calling_rule(reader.card, config.min_probability, config.distance)
    with working_threads(config.threads, reader.scorer) as threads:
        stretches = list(scan_span(reader.scorer, genome, span, rule, threads))
    expected = np.concatenate([stretch.tile.expected_tags for stretch in stretches], axis=1)
    tss = [
        Tss(int(position), "+-"[strand], float(probability))
        for _, sites in stretches
        for strand, position, probability in zip(*sites[:3], strict=True)
    ]
    return expected, tuple(tss), [float(tags) for _, sites in stretches for tags in sites.expected_tags]


def scanned(folder: Path, genome: Genome, span: Span) -> tuple[Floats, tuple[Tss, ...], list[float]]:
    """Read expected tags, ``(2, length)``, and TSSs from the files of a scan; sum the expected tags around each TSS.

    Raises
    ------
    InputError
        If it is no scan, or not of this place.
    """
    _check_scanned(_scan_record(folder), folder, genome, span)
    # Sums around a TSS at the edge need the bases beyond it.
    length = int(genome.lengths[span.contig])
    first, last = max(span.start - SCORE_REACH, 0), min(span.end + SCORE_REACH, length)
    expected = np.zeros((2, last - first))
    for row, strand in enumerate(STRANDS):
        path = folder / f"{strand}.bw"
        with BigWig(path, remedy="make the scan anew") as bigwig:
            found = bigwig.chroms.get(span.chrom)
            if found != length:
                has = f"has a {span.chrom} of {found:,} bases, and not {length:,}" if found else f"has no {span.chrom}"
                raise InputError(has, where=path, remedy="name the genome that was scanned")
            expected[row] = np.abs(np.nan_to_num(bigwig.values(span.chrom, first, last)))
    path = folder / "tss.bed"
    with open_text(path) as handle:
        calls = read_bed(list(read_records(records(handle), path)), BED, path)
    tss = tuple(
        Tss(call.summit, call.strand, call.score / 1000)
        for call in calls
        if call.chrom == span.chrom and span.start <= call.summit < span.end
    )
    sums = within(expected, SCORE_REACH)
    tags = [float(sums["+-".index(one.strand), one.position - first]) for one in tss]
    return expected[:, span.start - first : span.end - first], tss, tags


def _scan_record(folder: Path) -> dict[str, Any]:
    """Return how a scan was made."""
    record = artefact.read_record(folder / artefact.RECORD)
    if record.get("stage") != "scan":
        raise InputError("is not a folder that capsight scan wrote", where=folder)
    return record


def _check_scanned(record: Mapping[str, Any], folder: Path, genome: Genome, span: Span) -> None:
    """Refuse a scan of another place: its tracks would be empty here."""
    config = record.get("config") or {}
    region, shard = config.get("region"), config.get("shard")
    parts = spans(genome, region, shard)
    if any(part.chrom == span.chrom and part.start <= span.start and span.end <= part.end for part in parts):
        return
    raise InputError(
        f"is a scan of {region or f'shard {shard}'}, in which the region does not lie", where=folder,
        remedy="leave --scan out, and name the model",
    )  # fmt: skip


def _most_probable(config: PlotConfig, reader: TrackWrapper, contig: Codes, span: Span) -> Tss:
    """Return the TSS that `explain` reads where none is called: the most probable base of the place."""
    record = Record(str(config.region), span.chrom, span.start, span.end, ".", contig)
    records = Records(lambda: iter([record]), 1, 0, span.end - span.start)
    with working_threads(config.threads, reader.scorer) as threads:
        (best,) = best_tss(reader.scorer, reader.card, records, threads=threads)
    assert best.position is not None
    assert best.strand is not None
    logger.warning(
        "plot: no TSS is called here: the most probable base is explained, %s:%d-%d:%s",
        span.chrom, best.position + 1, best.position + 1, best.strand,
    )  # fmt: skip
    return Tss(best.position, best.strand, 0.0)


def _logo(config: PlotConfig, reader: TrackWrapper, contig: Codes, span: Span, tss: Tss) -> Logo:
    """Explain the bases of a short place, or those near the TSS of a longer one."""
    minus = tss.strand == "-"
    before, behind = BEFORE, BEHIND
    if span.end - span.start <= ZOOMED:
        before, behind = tss.position - span.start, span.end - 1 - tss.position
        before, behind = (behind, before) if minus else (before, behind)
    assert config.explain is not None
    codes, heights = explain_place(
        reader, contig, tss.position, minus=minus, before=before, behind=behind, method=config.explain,
        baselines=N_REFERENCES, steps=N_STEPS, seed=config.seed,
    )  # fmt: skip
    return Logo(tss, -before, "".join(LETTERS[code] for code in codes), heights, config.explain)
