"""Genes of a stretch of a genome, from GFF3, GTF or BED, for pictures."""

import logging
import re
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import Final, NamedTuple
from urllib.parse import unquote

from capsight.data.genome.contig_names import Aliases
from capsight.data.genome.genome import Genome, match_contig_name
from capsight.data.io.bed import NO_STRAND, Line, has_blocks, is_header, position, read_records, records
from capsight.data.io.gtf import before_sequences, is_annotation
from capsight.data.io.text import open_text
from capsight.errors import InputError

logger = logging.getLogger(__name__)

#: Where a gene's name stands in GFF3 and GTF, the first that there is. SGD's files have the standard name as gene.
_NAMES: Final = ("gene", "gene_name", "Name", "gene_id", "ID")
#: Taken where a file has no features that are called genes.
_TRANSCRIPTS: Final = ("mRNA", "transcript")
_CODING, _EXON = "CDS", "exon"
_COLUMNS: Final = 9
_BED_COLUMNS: Final = 12
#: key=value in GFF3, key "value" in GTF.
_GFF_ATTRIBUTE: Final = re.compile(r"\s*([^=;\s]+)=([^;]*)")
_GTF_ATTRIBUTE: Final = re.compile(r'\s*([^;\s"]+) (?:"([^"]*)"|([^;]*))')


class Gene(NamedTuple):
    """A gene; 0-based half-open.

    Attributes
    ----------
    strand
        ``.`` where it has none.
    blocks
        What is translated of it, else its exons, from the left; all of it, where the file tells neither.
    """

    name: str
    start: int
    end: int
    strand: str
    blocks: tuple[tuple[int, int], ...]


class Stretch(NamedTuple):
    """A part of a contig; 0-based half-open."""

    chrom: str
    start: int
    end: int


def read_genes(path: Path, genome: Genome, stretch: Stretch, aliases: Aliases | None = None) -> list[Gene]:
    """Read the genes that have a base in a stretch, from the left.

    GFF3 and GTF: features whose type ends in ``gene``, with the CDS (or else exon) features that belong to them; in a
    file without such, its transcripts. BED: records, with the blocks of BED12.

    Raises
    ------
    InputError
        Naming file and line of a record that cannot be used; or if the file names no contig of the genome.
    """
    with open_text(path) as handle:
        lines = records(handle)
        first = next(lines, None)
        if first is None:
            raise InputError("holds no genes", where=path)
        known = _Contigs(genome, aliases or Aliases())
        if is_annotation(first.text):
            genes = _of_annotation(chain([first], lines), path, stretch, known)
        else:
            rest = lines if is_header(first.text) else chain([first], lines)
            genes = list(_of_bed(rest, path, stretch, known))
    known.check(path)
    logger.info("genes %s: %d in %s:%d-%d", path.name, len(genes), stretch.chrom, stretch.start + 1, stretch.end)
    return sorted(genes, key=lambda gene: (gene.start, gene.end, gene.name))


class _Contigs:
    """The genome's names of the contigs that a file has."""

    def __init__(self, genome: Genome, aliases: Aliases) -> None:
        self.genome, self.aliases = genome, aliases
        self.seen: set[str] = set()

    def name(self, given: str) -> str:
        """Return the genome's name of a contig."""
        [name] = self.aliases.names([given])
        self.seen.add(name)
        return name

    def check(self, path: Path) -> None:
        """Refuse a file that has no contig of the genome."""
        check_contigs(self.seen, self.genome, path)


def check_contigs(names: Iterable[str], genome: Genome, path: Path) -> None:
    """Refuse a file that has no contig of the genome: all of it would be left out.

    Raises
    ------
    InputError
        Naming a contig of the file.
    """
    found = sorted(set(names))
    if not found or set(found) & set(genome.names):
        return
    others = {name: other for name in found if (other := match_contig_name(name, genome.names))}
    example = next(iter(others), found[0])
    has = f", which has {others[example]!r}" if others else ""
    raise InputError(
        f"has no contig of {genome.path.name}: {example!r} is not in it{has}", where=path,
        remedy="name a table of aliases: --aliases" if others else "is it of another assembly?",
    )  # fmt: skip


class _Feature(NamedTuple):
    """A record of GFF3 or GTF that lies in the stretch."""

    kind: str
    start: int
    end: int
    strand: str
    attributes: dict[str, str]


def _of_annotation(lines: Iterable[Line], path: Path, stretch: Stretch, known: _Contigs) -> list[Gene]:
    """Return the genes of GFF3 or GTF."""
    features, has_genes = [], False
    for line in before_sequences(lines):
        fields, where = line.text.split("\t"), f"{path}:{line.number}"
        if len(fields) not in (_COLUMNS - 1, _COLUMNS):
            raise InputError(f"{len(fields)} columns, but GFF3 and GTF have {_COLUMNS}, separated by tabs", where=where)
        start, end = position(fields[3], "start", where) - 1, position(fields[4], "end", where)
        if not 0 <= start < end:
            raise InputError(f"{start + 1} to {end} is no interval", where=where, remedy="GFF3 and GTF count from 1")
        if fields[6] not in ("+", "-", ".", "?"):
            raise InputError(f"strand {fields[6][:30]!r} is neither + nor -", where=where)
        has_genes |= _is_gene(fields[2])
        if known.name(fields[0]) == stretch.chrom and start < stretch.end and end > stretch.start:
            strand = fields[6] if fields[6] in ("+", "-") else NO_STRAND
            features.append(_Feature(fields[2], start, end, strand, _attributes(fields[8] if fields[8:] else "")))
    top = [feature for feature in features if (_is_gene if has_genes else _TRANSCRIPTS.__contains__)(feature.kind)]
    blocks = _blocks(features)
    found = []
    for each in top:
        names = [each.attributes[key] for key in _NAMES if each.attributes.get(key)]
        own = [each.attributes[key] for key in ("ID", "gene_id", "transcript_id") if key in each.attributes]
        parts = (blocks[kind, name] for kind in (_CODING, _EXON) for name in own if (kind, name) in blocks)
        joined = _joined(next(parts, [(each.start, each.end)]))
        found.append(Gene(names[0] if names else each.kind, each.start, each.end, each.strand, joined))
    return found


def _is_gene(kind: str) -> bool:
    """Tell whether a type of feature is a gene: gene, pseudogene, ncRNA_gene, tRNA_gene, …"""
    return kind.lower().endswith("gene")


def _attributes(text: str) -> dict[str, str]:
    """Read the last column of GFF3 or GTF."""
    if found := _GFF_ATTRIBUTE.findall(text):
        return {key: unquote(value.strip()) for key, value in found}
    return {key: quoted or plain.strip() for key, quoted, plain in _GTF_ATTRIBUTE.findall(text)}


def _blocks(features: Iterable[_Feature]) -> dict[tuple[str, str], list[tuple[int, int]]]:
    """Return where CDS and exons lie, by their type and whatever they belong to, however far above."""
    above: dict[str, list[str]] = {}
    parts = []
    for feature in features:
        parents = [name for name in feature.attributes.get("Parent", "").split(",") if name]
        parents += [feature.attributes[key] for key in ("transcript_id", "gene_id") if key in feature.attributes]
        if feature.kind in (_CODING, _EXON):
            parts.append((feature, parents))
        elif own := feature.attributes.get("ID"):
            above.setdefault(own, []).extend(parents)
    blocks: dict[tuple[str, str], list[tuple[int, int]]] = {}
    for feature, waiting in parts:
        names: set[str] = set()
        while waiting:
            if (name := waiting.pop()) not in names:
                names.add(name)
                waiting.extend(above.get(name, []))
        for name in names:
            blocks.setdefault((feature.kind, name), []).append((feature.start, feature.end))
    return blocks


def _joined(blocks: Iterable[tuple[int, int]]) -> tuple[tuple[int, int], ...]:
    """Join blocks that overlap, as those of several transcripts do."""
    joined: list[tuple[int, int]] = []
    for start, end in sorted(blocks):
        if joined and start <= joined[-1][1]:
            joined[-1] = joined[-1][0], max(end, joined[-1][1])
        else:
            joined.append((start, end))
    return tuple(joined)


def _of_bed(lines: Iterator[Line], path: Path, stretch: Stretch, known: _Contigs) -> Iterator[Gene]:
    """Yield the genes of BED."""
    for row in read_records(lines, path):
        if known.name(row.fields[0]) != stretch.chrom or row.end <= stretch.start or row.start >= stretch.end:
            continue
        name, _, strand = [*row.fields[3:6], *(NO_STRAND,) * 3][:3]
        blocks = [(row.start, row.end)]
        if len(row.fields) >= _BED_COLUMNS and has_blocks(row):
            sizes, starts = ([int(n) for n in text.strip().rstrip(",").split(",")] for text in row.fields[10:12])
            blocks = [(row.start + at, row.start + at + size) for at, size in zip(starts, sizes, strict=True)]
        yield Gene(name, row.start, row.end, strand if strand in ("+", "-") else NO_STRAND, _joined(blocks))
