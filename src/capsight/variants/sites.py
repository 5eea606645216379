"""Where variants lie in a genome: contigs by any of their names, alleles as changes, and why some have no answer."""

from dataclasses import dataclass, field
from typing import Final, NamedTuple

import numpy as np

from capsight.data.genome.alphabet import CODE_BITS, STORED, Codes
from capsight.data.genome.contig_names import Aliases
from capsight.data.genome.genome import Genome, match_contig_name
from capsight.data.io.vcf import Variant
from capsight.predict.alleles import Change

#: Longer alleles have no answer: what lies around them is another place.
LONGEST: Final = 10_000

CONTIG: Final = "the genome has no such contig"
BEYOND: Final = "the record lies beyond the end of its contig"
ZERO: Final = "position 0"
REF: Final = "REF has letters other than A, C, G, T"
DIFFERS: Final = "REF differs from the genome"
ALT: Final = "ALT has letters other than A, C, G, T"
LONG: Final = f"the allele has more than {LONGEST:,} bases"
SYMBOLIC: Final = "symbolic allele, such as <DEL>"
BREAKEND: Final = "breakend"
SPANNED: Final = "*, an allele that another record deletes"
NONE: Final = "no alternative allele"
#: Faults of a record, which stop a strict run; the others are legal alleles that bases cannot be read of.
FAULTS: Final = (CONTIG, ZERO, BEYOND, REF, DIFFERS, ALT, LONG)
LEGAL: Final = (SYMBOLIC, BREAKEND, SPANNED, NONE)

_BASES: Final = b"ACGT"
_LETTERS: Final = b"ACGT".ljust(256, b"N")


class Unscored(NamedTuple):
    """Why an allele has no answer, and in a few words what it is."""

    why: str
    what: str


@dataclass
class Places:
    """Finds variants in a genome.

    Attributes
    ----------
    genome, aliases
        Names are looked up in the genome, then in the aliases, then as `match_contig_name` has them (1 is chr1).
    """

    genome: Genome
    aliases: Aliases = field(default_factory=Aliases)
    _known: dict[str, int] = field(default_factory=dict)

    def contig(self, name: str) -> int:
        """Return the number of a contig, -1 for an unknown one."""
        if name not in self._known:
            own = self.aliases.known.get(name, name)
            if own not in self.genome.names:
                own = match_contig_name(name, self.genome.names) or own
            self._known[name] = self.genome.names.index(own) if own in self.genome.names else -1
        return self._known[name]

    def alleles(self, variant: Variant) -> list[Change | Unscored]:
        """Return each alternative allele as a change of its contig, or why it has no answer.

        Bases that both alleles begin or end with are no part of the change.
        """
        contig, start, ref = self.contig(variant.chrom), variant.position, variant.ref
        fault = self._fault(contig, start, ref)
        if fault is not None:
            return [Unscored(fault.why, f"{_shown(variant)}{fault.what}")] * len(variant.alts)
        codes = _codes(ref)
        found: list[Change | Unscored] = []
        for alt in variant.alts:
            why = _why_unscored(alt)
            if why is None and max(len(ref), len(alt)) > LONGEST:
                why = LONG
            found.append(_trimmed(start, codes, _codes(alt)) if why is None else Unscored(why, _shown(variant)))
        return found

    def _fault(self, contig: int, start: int, ref: bytes) -> Unscored | None:
        """Return what keeps a whole record from being scored."""
        if contig < 0:
            return Unscored(CONTIG, "")
        length = int(self.genome.lengths[contig])
        if start < 0:
            return Unscored(ZERO, ": positions count from 1")
        if start + len(ref) > length:
            return Unscored(BEYOND, f", but the contig has {length:,} bases")
        if len(ref) > LONGEST:
            return None
        if not ref or ref.translate(None, _BASES):
            return Unscored(REF, "")
        there = (self.genome.view(contig)[start : start + len(ref)] & np.uint8(CODE_BITS)).tobytes().translate(_LETTERS)
        return Unscored(DIFFERS, f", but the genome has {_short(there)}") if ref != there else None


def _shown(variant: Variant) -> str:
    alts = b",".join(variant.alts)
    return f"{variant.chrom}:{variant.position + 1} {_short(variant.ref)}>{_short(alts)}"


def _codes(letters: bytes) -> Codes:
    return STORED[np.frombuffer(letters, np.uint8)] & np.uint8(CODE_BITS)


def _why_unscored(alt: bytes) -> str | None:
    """Return why no bases can be read of an alternative allele; none if they can."""
    if alt in (b".", b""):
        return NONE
    if alt == b"*":
        return SPANNED
    if alt.startswith(b"<"):
        return SYMBOLIC
    if any(sign in alt for sign in (b"[", b"]")) or alt.startswith(b".") or alt.endswith(b"."):
        return BREAKEND
    return ALT if alt.translate(None, _BASES) else None


def _trimmed(start: int, ref: Codes, alt: Codes) -> Change:
    """Return a change without the bases that both alleles end with, then without those that both begin with."""
    if len(ref) == len(alt) == 1 and ref[0] != alt[0]:  # most of all, and this is quicker
        return Change(start, start + 1, alt)
    shorter = min(len(ref), len(alt))
    differs = np.flatnonzero(ref[::-1][:shorter] != alt[::-1][:shorter])
    behind = int(differs[0]) if len(differs) else shorter
    ref, alt = ref[: len(ref) - behind], alt[: len(alt) - behind]
    shorter = min(len(ref), len(alt))
    differs = np.flatnonzero(ref[:shorter] != alt[:shorter])
    before = int(differs[0]) if len(differs) else shorter
    return Change(start + before, start + len(ref), alt[before:])


def _short(letters: bytes) -> str:
    text = letters.decode("utf-8", "replace")
    return text if len(text) <= 20 else f"{text[:20]}… ({len(letters):,} letters)"
